//! Engines that are killed, and a benchmark that is interrupted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{bench, report, told};
use crate::engines::{all_are_gone, starter};

/// After this a condition that should have come true fails the test.
const PATIENCE: Duration = Duration::from_secs(120);

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The children of a process that serve a model, by the port they were told.
fn engines(parent: u32) -> BTreeMap<u16, u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_parent = ids.filter(|id| stat(*id, 1) == Some(parent.into()));
    let port = |id: u32| {
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        let mut words = line.split('\0').skip_while(|word| *word != "--port");
        words.nth(1)?.parse().ok()
    };
    of_parent.filter_map(|id| Some((port(id)?, id))).collect()
}

/// A field of `/proc/PID/stat` behind the name, from 0.
fn stat(process: u32, field: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(field)?.parse().ok()
}

/// Whether the server on a port has loaded its model.
fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// A long comparison of two engines that has begun to measure.
struct Running {
    bench: Child,
    /// By port; the arms are started one after the other, but ports do not tell in which order.
    engines: BTreeMap<u16, u32>,
}

impl Running {
    fn start() -> Self {
        starter();
        let arms = ["--arm", "a:native=starter", "--arm", "b:native=starter", "--threads", "1"];
        let load = ["-c", "2", "--rounds", "16", "-n", "24", "--json"];
        let mut command = bench(&[&arms[..], &load].concat());
        let bench = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("two engines", || engines(bench.id()).len() == 2);
        let engines = engines(bench.id());
        eventually("both are ready", || engines.keys().all(|port| is_healthy(*port)));
        // Processor time after that is spent on requests.
        let ticks = |id: u32| stat(id, 11).unwrap_or(0) + stat(id, 12).unwrap_or(0);
        let before: Vec<u64> = engines.values().map(|id| ticks(*id)).collect();
        eventually("both compute", || {
            engines.values().zip(&before).all(|(id, before)| ticks(*id) >= before + 10)
        });
        Self { bench, engines }
    }

    fn signal(&self, name: &str, process: u32) {
        let status = Command::new("kill").args([name, &process.to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(self) -> (bool, String, String) {
        let told = told(self.bench.wait_with_output().unwrap());
        for process in self.engines.values() {
            // The dead may keep their ids where nobody reaps orphans.
            let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            assert!(matches!(state, None | Some('Z' | 'X')), "{process} is alive: {text}");
        }
        told
    }
}

#[test]
fn an_engine_that_is_killed_shows_as_errors_and_leaves_nothing_behind() {
    let running = Running::start();
    let (&port, &killed) = running.engines.iter().next().unwrap();
    running.signal("-KILL", killed);
    let (succeeded, printed, errors) = running.end();
    assert!(!succeeded && errors.contains("requests failed"), "{errors}");
    let report = report(&printed);
    all_are_gone(&report);
    let arms = report["arms"].as_array().unwrap();
    let is_killed = |arm: &Value| arm["base_url"] == format!("http://127.0.0.1:{port}/v1");
    let at = arms.iter().position(is_killed).unwrap();
    let died = arms[at]["died"].as_str().unwrap();
    assert!(died.contains("signal: 9"), "{died}");
    assert!(errors.contains("ended before it was stopped"), "{errors}");
    let rows = &report["levels"][0]["rows"];
    let (killed, other) = (&rows[at]["stats"], &rows[1 - at]["stats"]);
    assert_eq!((&killed["num_requests"], &other["num_requests"]), (&json!(32), &json!(32)));
    let failed: u64 =
        killed["failures"].as_object().unwrap().values().flat_map(Value::as_u64).sum();
    assert!(failed > 0 && failed + killed["num_done"].as_u64().unwrap() == 32, "{killed}");
    assert_eq!((&other["num_done"], &other["failures"]), (&json!(32), &json!({})));
}

#[test]
fn an_interrupt_keeps_what_was_measured_and_stops_the_engines() {
    let running = Running::start();
    running.signal("-INT", running.bench.id());
    let (succeeded, printed, errors) = running.end();
    assert!(!succeeded && errors.contains("it was stopped early"), "{errors}");
    let report = report(&printed);
    all_are_gone(&report);
    assert_eq!((&report["is_complete"], &report["arms"][0]["died"]), (&json!(false), &Value::Null));
    assert_eq!(report["levels"].as_array().unwrap().len(), 1);
}
