//! What this machine has.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// Cores that do not share their arithmetic units with another: hyperthreads only slow kernels
/// down.
pub(crate) fn physical_cores() -> NonZeroUsize {
    let logical = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let Some(physical) = linux_cores().and_then(NonZeroUsize::new) else { return logical };
    physical.min(logical)
}

/// Distinct (package, core) pairs in `/proc/cpuinfo`; `None` where there is no such file or field.
fn linux_cores() -> Option<usize> {
    count_cores(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn count_cores(cpuinfo: &str) -> Option<usize> {
    let value = |line: &str| line.split(':').nth(1).map(|v| v.trim().to_owned());
    let mut cores = BTreeSet::new();
    for cpu in cpuinfo.split("\n\n") {
        let field = |name| cpu.lines().find(|line| line.starts_with(name)).and_then(value);
        if let (Some(package), Some(core)) = (field("physical id"), field("core id")) {
            cores.insert((package, core));
        }
    }
    (!cores.is_empty()).then_some(cores.len())
}

/// Bytes that programs can still take without swapping; `None` where the system does not say.
pub(crate) fn available_memory() -> Option<u64> {
    meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// Bytes of memory in all.
pub(crate) fn total_memory() -> Option<u64> {
    meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal")
}

fn meminfo(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split(':').next() == Some(field))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Processes that wanted to compute in the last minute, on average.
pub(crate) fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The operating system and the version of its kernel, if it says so.
pub(crate) fn os_name() -> String {
    let version = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, version.trim()).trim_end().to_owned()
}

/// The CPU's own name.
pub(crate) fn cpu_name() -> Option<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split(':').nth(1)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperthreads_count_once() {
        let cpu = |package, core| format!("physical id\t: {package}\ncore id\t\t: {core}\n\n");
        let text = [cpu(0, 0), cpu(0, 1), cpu(0, 0), cpu(1, 0)].concat();
        assert_eq!(count_cores(&text), Some(3));
        assert_eq!(count_cores("processor : 0\n"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let text = "MemTotal:       24000 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), Some(1_024_000));
        assert_eq!(meminfo(text, "SwapTotal"), None);
    }
}
