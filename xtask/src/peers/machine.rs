//! What the machine is, what it is doing beside us, and the date. Source: proc(5).

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Facts for the record.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_gb: Option<u64>,
    pub(super) kernel: String,
}

impl Machine {
    pub(super) fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            cpu: cpu_name(&read("/proc/cpuinfo")).unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_gb: memory_gb(&read("/proc/meminfo")),
            kernel: if kernel.is_empty() { unknown() } else { kernel },
        }
    }
}

/// The name, and family and model, since virtual machines shorten the name.
fn cpu_name(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let name = field("model name")?;
    Some(match field("cpu family").zip(field("model")) {
        Some((family, model)) => format!("{name} (family {family}, model {model})"),
        None => name,
    })
}

fn memory_gb(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib * 1024 + 500_000_000) / 1_000_000_000)
}

/// Processor time so far, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    all: u64,
    busy: u64,
    stolen: u64,
    /// Of this process and of its children that have ended.
    own: u64,
}

/// Shares of all processor time in a span, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Foreign {
    /// Used by other processes.
    pub(super) busy: f64,
    /// Used by other guests of the host.
    pub(super) stolen: f64,
}

impl Ticks {
    /// `None` where there is no `/proc`.
    pub(super) fn now() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Self::parse(&read("/proc/stat")?, &read("/proc/self/stat")?)
    }

    fn parse(system: &str, own: &str) -> Option<Self> {
        let line = system.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        // The guests' time after them is part of user time.
        let &[user, nice, kernel, idle, waiting, irq, soft_irq, stolen, ..] = &fields[..] else {
            return None;
        };
        let busy = user + nice + kernel + irq + soft_irq;
        // The name before may contain anything; utime is the 12th field after it.
        let (_, after_name) = own.rsplit_once(')')?;
        let fields = after_name.split_whitespace().skip(11).take(4);
        let own = fields.map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Self { all: busy + idle + waiting + stolen, busy, stolen, own })
    }

    /// What others used between `before` and `self`.
    pub(super) fn foreign_since(self, before: Self) -> Option<Foreign> {
        let all = self.all.checked_sub(before.all).filter(|&ticks| ticks > 0)? as f64;
        let busy = (self.busy - before.busy).saturating_sub(self.own - before.own) as f64;
        Some(Foreign { busy: busy / all, stolen: (self.stolen - before.stolen) as f64 / all })
    }
}

/// Today as `2026-11-21`, in UTC.
pub(super) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs() / 86_400)
}

/// The date `days` after 1970-01-01.
/// Source: Howard Hinnant, chrono-compatible low-level date algorithms.
fn date(days: u64) -> String {
    // Years start in March, so that the leap day comes last.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let known = [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")];
        for (days, expected) in known {
            assert_eq!(date(days), expected);
        }
        assert_eq!(date(20_513 + 365), "2027-03-01");
    }

    #[test]
    fn what_we_did_is_not_foreign() {
        let own =
            |user, children| format!("7 (a ) b) R 1 1 1 0 -1 0 0 0 0 0 {user} 5 {children} 1 20");
        let system =
            |user, idle, steal| format!("cpu  {user} 0 10 {idle} 0 0 0 {steal} 0 0\ncpu0 1");
        let before = Ticks::parse(&system(100, 100, 0), &own(10, 20)).unwrap();
        assert_eq!(before, Ticks { all: 210, busy: 110, stolen: 0, own: 36 });
        let after = Ticks::parse(&system(180, 110, 10), &own(20, 80)).unwrap();
        // 80 of 100 ticks were used, 70 of them by us and our children.
        assert_eq!(after.foreign_since(before), Some(Foreign { busy: 0.1, stolen: 0.1 }));
        assert_eq!(before.foreign_since(before), None);
        assert_eq!(Ticks::parse("", &own(1, 1)), None);
    }

    #[test]
    fn the_machine_is_named() {
        let cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n";
        assert_eq!(cpu_name(cpuinfo).unwrap(), "AMD EPYC (family 25, model 17)");
        assert_eq!(cpu_name(""), None);
        assert_eq!(memory_gb("MemTotal:       24610000 kB\n"), Some(25));
    }
}
