//! Sharing out rows among threads.

use crate::Executor;
use crate::disjoint::DisjointMut;

/// Elements below which one thread is faster than waking others.
const MIN_PARALLEL_LEN: usize = 32 * 1024;
/// Tasks for each thread, so that a slow core takes fewer.
const TASKS_PER_THREAD: usize = 4;

/// Calls `work` with stretches of whole rows of `x` and where they start; together they are all of
/// `x`, each row once.
pub(crate) fn for_rows(
    exec: &Executor,
    x: &mut [f32],
    width: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    let len = x.len();
    if len < MIN_PARALLEL_LEN || exec.num_threads() == 1 {
        return work(0, x);
    }
    let num_tasks = TASKS_PER_THREAD * exec.num_threads();
    let task_len = (len / width).div_ceil(num_tasks) * width;
    let rows = DisjointMut::new(x);
    exec.pool().run(len.div_ceil(task_len), |task| {
        let start = task * task_len;
        // SAFETY: the stretches of different tasks do not overlap, and each task runs once.
        let stretch = unsafe { rows.slice(start..len.min(start + task_len)) };
        work(start, stretch);
    });
}
