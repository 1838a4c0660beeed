//! Programs in `xtask/peers` that use a pinned crate, each a Cargo workspace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::lock::Lock;
use super::peer::Peer;
use crate::process::{cargo, describe, output, run};
use crate::workspace;

/// A workspace in `xtask/peers`.
#[derive(Debug)]
pub(crate) struct Workspace {
    name: &'static str,
    manifest: PathBuf,
}

impl Workspace {
    /// Returns the workspace that is named like the crate it uses.
    pub(crate) fn of(name: &'static str) -> Self {
        let folder = workspace::root().join("xtask/peers").join(name);
        Self {
            name,
            manifest: folder.join("Cargo.toml"),
        }
    }

    /// Returns a cargo command for this workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command
            .args(["--locked", "--manifest-path"])
            .arg(&self.manifest);
        command
    }

    /// Downloads the crates. Returns the reason if that is not possible here.
    ///
    /// # Errors
    /// Fails when cargo cannot be started.
    pub(crate) fn fetch(&self) -> Result<Result<(), String>> {
        let mut fetch = self.cargo(&["fetch", "--quiet"]);
        println!("$ {}", describe(&fetch));
        let fetched = output(&mut fetch)?;
        if fetched.status.success() {
            return Ok(Ok(()));
        }
        let said = String::from_utf8_lossy(&fetched.stderr);
        let reason = said.lines().last().unwrap_or("no reason given");
        Ok(Err(format!("{} cannot be fetched: {reason}", self.name)))
    }
}

/// Builds the program that drives a Docker engine with bollard, below `folder`. The first build
/// compiles some 90 crates.
///
/// # Errors
/// Fails when bollard can be downloaded but the program does not build.
pub(crate) fn bollard(lock: &Lock, folder: &Path) -> Result<Peer> {
    get(lock, folder, "bollard", &[], "debug/drive-bollard")
}

/// Builds the program that reads disks with vmdk-core, below `folder`. It is optimised, because
/// it hashes whole disks.
///
/// # Errors
/// Fails when vmdk-core can be downloaded but the program does not build.
pub(crate) fn vmdk_core(lock: &Lock, folder: &Path) -> Result<Peer> {
    let program = "release/vmdk-core-peer";
    get(lock, folder, "vmdk-core", &["--release"], program)
}

/// Builds the workspace of a crate into a folder of its own. `program` is relative to that folder.
fn get(
    lock: &Lock,
    folder: &Path,
    name: &'static str,
    options: &[&str],
    program: &str,
) -> Result<Peer> {
    let workspace = Workspace::of(name);
    if let Err(reason) = workspace.fetch()? {
        return Ok(Peer::missing(reason));
    }
    let target = folder.join(name);
    let mut build = workspace.cargo(&["build", "--quiet"]);
    build.args(options).arg("--target-dir").arg(&target);
    println!("$ {}", describe(&build));
    run(&mut build)?;
    let pin = lock.pins("crates").find(|pin| pin.name == name);
    let version = pin.map_or("", |pin| &pin.version);
    Ok(Peer::had(target.join(program), format!("{name} {version}")))
}
