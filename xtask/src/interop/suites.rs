//! The tests of our own crates, on third-party servers.

use std::path::Path;

use anyhow::Result;

use super::endpoint::Endpoint;
use super::report::Report;
use crate::peers::Peer;
use crate::process::{cargo, run};

/// Runs the client's tests and the port layer's conformance suite on vcsim.
pub(super) fn on_vcsim(report: &mut Report, vcsim: &Peer) {
    let client = [
        "the client's tests on vcsim, ESX",
        "the client's tests on vcsim, vCenter",
    ];
    let conformance = "the port layer's conformance suite on vcsim";
    match vcsim {
        Peer::Missing { reason } => {
            for name in client.into_iter().chain([conformance]) {
                report.not_run(name, reason);
            }
        }
        Peer::Had { program, .. } => {
            for (name, esx) in client.into_iter().zip([true, false]) {
                report.check(name, || client_tests(program, esx));
            }
            report.check(conformance, || conformance_tests(program));
        }
    }
}

fn client_tests(vcsim: &Path, esx: bool) -> Result<()> {
    let endpoint = Endpoint::vcsim(vcsim, esx)?;
    let mut command = cargo([
        "test",
        "--locked",
        "--package",
        "vsphere-client",
        "--test",
        "vcsim",
    ]);
    run(command.env("VCSIM_URL", endpoint.with_user()))
}

fn conformance_tests(vcsim: &Path) -> Result<()> {
    let mut command = cargo([
        "test",
        "--locked",
        "--package",
        "portlayer",
        "--features",
        "conformance",
    ]);
    command.args(["--test", "vcsim", "--", "--ignored"]);
    run(command.env("VCSIM", vcsim))
}
