//! `doctor`: what this machine offers, and what is in the way.

use std::fs::File;
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
    cache(hub, "russet cache", &config.russet_home)?;
    cache(hub, "hub cache", &config.hf_cache)?;
    pip(hub)?;
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

fn cache(hub: &Hub, name: &str, dir: &Path) -> Result<()> {
    let existing = dir.ancestors().find(|d| d.is_dir()).unwrap_or(dir);
    let writable = try_to_write(existing);
    match (hub.config().free_space)(existing).and_then(|bytes| writable.map(|()| bytes)) {
        Err(error) => warn(name, &format!("{}: {error}", dir.display())),
        Ok(bytes) => ok(name, &format!("{}, {} free", dir.display(), BinaryBytes(bytes))),
    }
}

/// Permission bits do not tell of read-only mounts and other owners, so a file is made.
fn try_to_write(dir: &Path) -> Result<()> {
    let probe = dir.join(format!(".russet-doctor-{}", std::process::id()));
    File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

/// pip fetches the starter where the hub cannot be reached.
fn pip(hub: &Hub) -> Result<()> {
    let version = |command: &Vec<String>| {
        let (program, arguments) = command.split_first()?;
        let output = Command::new(program).args(arguments).arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    match hub.config().starter.pip.iter().find_map(version) {
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
