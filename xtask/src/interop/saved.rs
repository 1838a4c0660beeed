//! An inventory of vcsim that govc saves and our simulator loads.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Peers;
use super::endpoint::Endpoint;
use super::govc::Govc;
use super::report::Report;
use crate::peers::Peer;

/// A machine of the inventory, which is on.
const MACHINE: &str = "DC0_H0_VM0";

/// Runs the check.
pub(super) fn check(report: &mut Report, peers: &Peers, simulator: &Path) {
    let name = "our simulator loads vcsim's inventory";
    match (&peers.vcsim, &peers.govc) {
        (Peer::Missing { reason }, _) | (_, Peer::Missing { reason }) => {
            report.not_run(name, reason);
        }
        (Peer::Had { program: vcsim, .. }, Peer::Had { program: govc, .. }) => {
            report.check(name, || loaded(vcsim, govc, simulator));
        }
    }
}

fn loaded(vcsim: &Path, govc: &Path, simulator: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder")?;
    let saved = folder.path().join("saved").display().to_string();
    let original = Endpoint::vcsim(vcsim, false)?;
    let original = Govc::new(govc, &original);
    original.run(&["object.save", "-d", &saved])?;
    let endpoint = Endpoint::vcenter_with(simulator, &["-load", &saved])?;
    let copy = Govc::new(govc, &endpoint);
    for kind in ["m", "h", "p", "s", "n"] {
        let (before, after) = (original.find(kind)?, copy.find(kind)?);
        ensure!(before == after, "of {before:?}, {after:?} is loaded");
    }
    let info = copy.run(&["vm.info", MACHINE])?;
    ensure!(info.contains("poweredOn"), "the machine is off:\n{info}");
    copy.run(&["vm.destroy", MACHINE])?;
    Ok(())
}
