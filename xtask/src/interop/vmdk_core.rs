//! Lets the crate vmdk-core read the disks that `disk-image` writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::built::Built;
use super::report::Report;
use crate::process::{capture, cargo, output, run};
use crate::workspace;

const NAME: &str = "disk-image: vmdk-core reads every form as we wrote it";
/// Not among them: children whose extent is a file of its own, of which version 0.8.4 reads zeros
/// instead of the parent's content. QEMU reads those.
const DISKS: [&str; 6] = [
    "stream.vmdk",
    "small-stream.vmdk",
    "sparse.vmdk",
    "flat.vmdk",
    "vmfs.vmdk",
    "child.vmdk",
];

/// Runs the check if the crate can be fetched. It is built below `folder`.
pub(super) fn check(report: &mut Report, built: &Built, folder: &Path) {
    match build(folder) {
        Err(error) => report.check(NAME, || Err(error)),
        Ok(Err(reason)) => report.not_run(NAME, &reason),
        Ok(Ok(program)) => report.check(NAME, || compare(built, &program)),
    }
}

/// Builds the program; the inner error is the reason why its dependencies are not available.
fn build(folder: &Path) -> Result<Result<PathBuf, String>> {
    let manifest = workspace::root().join("xtask/peers/vmdk_core/Cargo.toml");
    let target = folder.join("vmdk_core");
    let cargo = |arguments: &[&str]| {
        let mut command = cargo(arguments);
        command.args(["--locked", "--manifest-path"]).arg(&manifest);
        command
    };
    let fetched = output(&mut cargo(&["fetch", "--quiet"]))?;
    if !fetched.status.success() {
        let said = String::from_utf8_lossy(&fetched.stderr);
        let last = said.lines().last().unwrap_or("no reason given");
        return Ok(Err(format!("vmdk-core cannot be fetched: {last}")));
    }
    let mut build = cargo(&["build", "--release", "--quiet", "--target-dir"]);
    run(build.arg(&target))?;
    Ok(Ok(target.join("release/vmdk-core-peer")))
}

fn compare(built: &Built, program: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder for disks")?;
    let folder = folder.path();
    let test = "peers::disks_for_vmdk_core_are_written";
    run(built
        .test("disk-image", "it")?
        .args(["--ignored", "--exact", test])
        .env("DISKS", folder))?;
    let sum = fs::read_to_string(folder.join("sum")).context("read the sum that the test wrote")?;
    let printed = capture(Command::new(program).current_dir(folder).args(DISKS))?;
    for (disk, line) in DISKS.iter().zip(printed.lines()) {
        ensure!(
            line == format!("{} {} {disk}", sum.trim(), 64 << 20),
            "{disk} should have the content {sum}; vmdk-core found {line}"
        );
    }
    ensure!(printed.lines().count() == DISKS.len(), "a disk is missing");
    Ok(())
}
