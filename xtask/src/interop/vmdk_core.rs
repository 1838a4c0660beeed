//! Lets the crate vmdk-core read the disks that `disk-image` writes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::built::Built;
use super::report::Report;
use crate::peers::Peer;
use crate::process::{capture, run};

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

/// Runs the check if the peer is available.
pub(super) fn check(report: &mut Report, built: &Built, peer: &Peer) {
    match peer {
        Peer::Missing { reason } => report.not_run(NAME, reason),
        Peer::Had { program, .. } => report.check(NAME, || compare(built, program)),
    }
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
