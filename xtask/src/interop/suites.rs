//! Runs the tests of our own crates on third-party servers.

use std::path::Path;

use anyhow::Result;

use super::built::Built;
use super::endpoint::Endpoint;
use super::report::Report;
use crate::peers::Peer;
use crate::process::run;

/// Runs the client's tests, the port layer's conformance suite and the installer on vcsim.
pub(super) fn on_vcsim(report: &mut Report, built: &Built, vcsim: &Peer) {
    let client = [
        "the client's tests on vcsim, ESX",
        "the client's tests on vcsim, vCenter",
    ];
    let conformance = "the port layer's conformance suite on vcsim";
    let installer = "vch create, ls, inspect and delete on vcsim";
    match vcsim {
        Peer::Missing { reason } => {
            for name in client.into_iter().chain([conformance, installer]) {
                report.not_run(name, reason);
            }
        }
        Peer::Had { program, .. } => {
            for (name, esx) in client.into_iter().zip([true, false]) {
                report.check(name, || client_tests(built, program, esx));
            }
            report.check(conformance, || conformance_tests(built, program));
            report.check(installer, || installer_tests(built, program));
        }
    }
}

fn client_tests(built: &Built, vcsim: &Path, esx: bool) -> Result<()> {
    let endpoint = Endpoint::vcsim(vcsim, esx)?;
    let mut command = built.test("vsphere-client", "vcsim")?;
    run(command
        .arg("--ignored")
        .env("VCSIM_URL", endpoint.with_user()))
}

fn installer_tests(built: &Built, vcsim: &Path) -> Result<()> {
    let mut command = built.test("vch", "it")?;
    run(command.args(["--ignored", "vcsim"]).env("VCSIM", vcsim))
}

fn conformance_tests(built: &Built, vcsim: &Path) -> Result<()> {
    let mut command = built.test("portlayer", "vcsim")?;
    run(command.arg("--ignored").env("VCSIM", vcsim))
}
