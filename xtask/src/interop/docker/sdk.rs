//! Runs a script with Docker's SDK for Python on our front end.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::command::FrontEnd;
use crate::interop::report::Report;
use crate::peers::Peer;
use crate::process::run;
use crate::workspace;

pub(super) const NAME: &str = "docker's SDK for Python: images, run, logs, wait, ports, networks";

pub(super) fn check(report: &mut Report, program: &Path, python: &Peer) {
    match python {
        Peer::Missing { reason } => report.not_run(NAME, reason),
        Peer::Had {
            program: python, ..
        } => report.check(NAME, || run_script(program, python)),
    }
}

/// Runs the script, which fails at the first unexpected result.
fn run_script(program: &Path, python: &Path) -> Result<()> {
    let front_end = FrontEnd::scripted(program)?;
    let socket = front_end.directory().join("docker.sock");
    run(Command::new(python)
        .arg(workspace::root().join("xtask/interop/docker_sdk.py"))
        .env("DOCKER_HOST", format!("unix://{}", socket.display())))
}
