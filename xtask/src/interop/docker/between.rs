//! Checks connections between containers on the simulator.

use std::path::Path;

use anyhow::Result;

use super::command::FrontEnd;
use super::image;
use crate::interop::report::Report;

pub(super) const NAME: &str =
    "docker run: containers connect on their network, and not to another one";
/// The device that the network cards of containers require.
const TUN: &str = "/dev/net/tun";

pub(super) fn check(report: &mut Report, program: &Path) {
    if !image::RUNS_HERE {
        return report.not_run(NAME, image::ELSEWHERE);
    }
    match std::fs::File::options().read(true).write(true).open(TUN) {
        Ok(_) => report.check(NAME, || connected(program)),
        Err(error) => report.not_run(NAME, &format!("{TUN} cannot be opened: {error}")),
    }
}

fn connected(program: &Path) -> Result<()> {
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &[], 1)?;
    let docker = front_end.docker();
    image::import(&docker, "tcp", &image::echoes_tcp())?;
    image::import(&docker, "connect", &image::connects_tcp())?;
    docker.ok(["network", "create", "back"])?.lines(1)?;
    docker
        .ok(["run", "-d", "--name", "web", "--network", "back", "tcp"])?
        .lines(1)?;
    let format = "{{.NetworkSettings.Networks.back.IPAddress}}";
    let printed = docker.ok(["inspect", "--format", format, "web"])?.out;
    let address = printed.trim();
    // The server echoes what the client sends, and the client prints it.
    docker
        .ok(from("back", address).iter().copied())?
        .is("to and fro\n")?;
    // The client's exit status is the system's error number: no route to the host.
    docker
        .run(from("bridge", address).iter().copied())?
        .code(113)?;
    docker.ok(["rm", "-f", "web"])?.lines(1)?;
    docker
        .run(from("back", address).iter().copied())?
        .code(113)?;
    docker.ok(["network", "rm", "back"])?.is("back\n")?;
    Ok(())
}

/// Returns the arguments of a container that connects to an address.
fn from<'a>(network: &'a str, address: &'a str) -> [&'a str; 7] {
    [
        "run",
        "--rm",
        "--network",
        network,
        "connect",
        "/hello",
        address,
    ]
}
