//! Runs programs that use third-party libraries on our front end: docker's SDK for Python, and
//! bollard for Rust.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::command::FrontEnd;
use crate::interop::report::Report;
use crate::peers::Peer;
use crate::process::capture;
use crate::workspace;

pub(super) const PYTHON: &str = "docker's SDK for Python: images, run, logs, wait, ports, networks";
pub(super) const BOLLARD: &str =
    "bollard: images, create, attach, logs, wait, events, ports, networks";

pub(super) fn check(report: &mut Report, program: &Path, python: &Peer, bollard: &Peer) {
    drive(report, PYTHON, python, |python| {
        with_front_end(program, |socket| {
            let mut command = Command::new(python);
            command
                .arg(workspace::root().join("xtask/interop/docker_sdk.py"))
                .env("DOCKER_HOST", format!("unix://{socket}"));
            command
        })
    });
    drive(report, BOLLARD, bollard, |bollard| {
        with_front_end(program, |socket| {
            let mut command = Command::new(bollard);
            command.arg(socket);
            command
        })
    });
}

fn drive(report: &mut Report, name: &str, peer: &Peer, check: impl FnOnce(&Path) -> Result<()>) {
    match peer {
        Peer::Missing { reason } => report.not_run(name, reason),
        Peer::Had { program, .. } => report.check(name, || check(program)),
    }
}

/// Runs a command against a front end of its own. The command fails at the first
/// unexpected result.
fn with_front_end(program: &Path, client: impl FnOnce(&str) -> Command) -> Result<()> {
    let front_end = FrontEnd::scripted(program)?;
    let socket = front_end.directory().join("docker.sock");
    let socket = socket.to_str().context("the path of the socket")?;
    capture(&mut client(socket)).map(drop)
}
