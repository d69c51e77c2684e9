//! What the pool promises, with few and with many threads.

use super::*;

fn pool(threads: usize) -> Pool {
    Pool::new(NonZeroUsize::new(threads).expect("not zero"))
}

#[test]
fn every_task_runs_once_with_and_without_sleep() {
    for threads in [1, 2, 3, 8] {
        let pool = pool(threads);
        assert_eq!(pool.num_threads(), threads);
        for round in 0..500 {
            let num_tasks = round % 40;
            let counts: Vec<AtomicUsize> = (0..num_tasks).map(|_| Default::default()).collect();
            pool.run(num_tasks, |i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
            if round % 100 == 0 {
                std::thread::sleep(SPIN_TIME * 4);
            }
        }
    }
}

#[test]
fn for_each_reaches_every_item() {
    let pool = pool(3);
    let mut items = vec![0; 1000];
    pool.for_each(&mut items, |i, item| *item += i);
    assert!(items.iter().enumerate().all(|(i, &item)| item == i));
    pool.for_each(&mut Vec::<u8>::new(), |_, _| unreachable!());
}

#[test]
fn nested_and_concurrent_runs_complete() {
    let pool = pool(2);
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                pool.run(10, |i| {
                    pool.run(10, |j| {
                        sum.fetch_add(10 * i + j, Ordering::Relaxed);
                    });
                });
            });
        }
    });
    assert_eq!(sum.into_inner(), 3 * 4950);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = pool(2);
    for _ in 0..20 {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(50, |i| assert!(i != 17, "task seventeen"));
        }));
        assert!(outcome.is_err());
        let done = AtomicUsize::new(0);
        pool.run(50, |_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 50);
    }
}

#[test]
fn tasks_borrow_and_run_on_several_threads() {
    let pool = pool(2);
    let ids = Mutex::new(std::collections::HashSet::new());
    pool.run(2, |_| {
        std::thread::sleep(Duration::from_millis(20));
        lock(&ids).insert(std::thread::current().id());
    });
    assert_eq!(lock(&ids).len(), 2);
}

#[test]
fn threads_take_part_as_there_are_cores() {
    let pool = pool(3);
    for (num_free, expected) in [(3, 3), (2, 2), (1, 1), (2, 2), (16, 3)] {
        *lock(&pool.running) = Rivals::with_free_cores(num_free);
        let ids = Mutex::new(std::collections::HashSet::new());
        pool.run(3, |_| {
            std::thread::sleep(Duration::from_millis(20));
            lock(&ids).insert(std::thread::current().id());
        });
        assert_eq!(lock(&ids).len(), expected, "{num_free} cores");
    }
}
