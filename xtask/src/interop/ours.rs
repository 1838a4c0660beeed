//! Third-party clients on our simulator, while a container exists there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Peers;
use super::endpoint::Endpoint;
use super::govc::Govc;
use super::hello_world::{self, Trust};
use super::report::Report;
use crate::peers::Peer;
use crate::process::{Background, capture};
use crate::workspace;

/// How long `hello_world` may take to start its container, and how long to remove it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the container.
const CONTAINER: &str = "quick_otter";

/// The names of the checks in the report.
const NAMES: &[&str] = &[
    "govc about",
    "govc ls",
    "govc vm.info -e",
    "govc datastore.ls",
    "pyvmomi inventory walk",
];

/// Runs all checks on our simulator.
pub(super) fn checks(report: &mut Report, peers: &Peers, simulator: &Path, job: &Path) {
    let mut running = None;
    report.check("hello_world creates a container on our simulator", || {
        running = Some(Running::start(simulator, job)?);
        Ok(())
    });
    let Some(running) = running else { return };
    match &peers.govc {
        Peer::Missing { reason } => {
            for name in NAMES.iter().filter(|name| name.starts_with("govc")) {
                report.not_run(name, reason);
            }
        }
        Peer::Had { program, .. } => {
            let govc = Govc::new(program, &running.endpoint);
            report.check("govc about", || about(govc));
            report.check("govc ls", || ls(govc));
            report.check("govc vm.info -e", || vm_info(govc));
            report.check("govc datastore.ls", || datastore_ls(govc));
        }
    }
    match &peers.python {
        Peer::Missing { reason } => report.not_run("pyvmomi inventory walk", reason),
        Peer::Had { program, .. } => report.check("pyvmomi inventory walk", || {
            inventory(program, &running.endpoint)
        }),
    }
    report.check(
        "hello_world removes its container from our simulator",
        || running.stop(),
    );
}

/// Our simulator, and a running `hello_world` whose container is on it.
struct Running {
    job: Background,
    endpoint: Endpoint,
}

impl Running {
    /// Starts the simulator and `hello_world`, and waits until its container exists.
    fn start(simulator: &Path, job: &Path) -> Result<Self> {
        let endpoint = Endpoint::ours(simulator, true)?;
        let mut command = hello_world::command(job, &endpoint, Trust::Insecure);
        let mut job = Background::start(command.args(["--name", CONTAINER, "--pause"]))?;
        job.wait_for_line(PATIENCE, |line| line.contains("press Enter").then_some(()))?;
        Ok(Self { job, endpoint })
    }

    /// Lets `hello_world` delete everything, and checks that it reports success.
    fn stop(mut self) -> Result<()> {
        self.job.say("")?;
        let printed = self.job.finish(PATIENCE)?;
        ensure!(
            printed.contains("nothing is left"),
            "hello_world did not report that nothing is left:\n{printed}"
        );
        Ok(())
    }
}

fn about(govc: Govc<'_>) -> Result<()> {
    let printed = govc.run(&["about"])?;
    contains(&printed, "API type:")?;
    contains(&printed, "API version:")
}

fn ls(govc: Govc<'_>) -> Result<()> {
    let machines = govc.run(&["ls", "vm"])?;
    ensure!(
        machines.lines().any(is_container),
        "no machine is named by a container's id:\n{machines}"
    );
    let all = govc.run(&["ls", "-l", "/*/*"])?;
    for kind in ["VirtualMachine", "Datastore", "Network", "ComputeResource"] {
        contains(&all, kind)?;
    }
    Ok(())
}

fn vm_info(govc: Govc<'_>) -> Result<()> {
    let path = container(govc)?;
    let printed = govc.run(&["vm.info", "-e", &path])?;
    contains(&printed, "Power state:")?;
    contains(&printed, "guestinfo./common/name:")?;
    contains(&printed, "/cmd/Path:")?;
    contains(&printed, "/hello")
}

fn datastore_ls(govc: Govc<'_>) -> Result<()> {
    // govc lists a folder by searching the datastore.
    let all = govc.run(&["datastore.ls", "-R"])?;
    contains(&all, ".vmx")?;
    contains(&all, ".vmdk")
}

/// Returns the inventory path of the container's machine.
fn container(govc: Govc<'_>) -> Result<String> {
    let machines = govc.find("m")?;
    machines
        .into_iter()
        .find(|path| is_container(path))
        .ok_or_else(|| anyhow::anyhow!("govc find shows no machine named by a container's id"))
}

/// Returns whether an inventory path is that of a container's machine. VIC 0.4 names machines
/// by the container's id, which has 64 hexadecimal digits.
fn is_container(path: &str) -> bool {
    let name = path.trim().rsplit('/').next().unwrap_or_default();
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn inventory(python: &Path, endpoint: &Endpoint) -> Result<()> {
    let mut command = Command::new(python);
    command.arg(workspace::root().join("xtask/interop/inventory.py"));
    endpoint.set_user(&mut command);
    command.env("GOVC_URL", &endpoint.url);
    let printed = capture(&mut command)?;
    contains(&printed, "guestinfo./common/name")?;
    contains(&printed, CONTAINER)?;
    contains(&printed, "fault ")
}

/// Checks that `printed` contains `part`.
fn contains(printed: &str, part: &str) -> Result<()> {
    ensure!(
        printed.contains(part),
        "the output does not contain `{part}`:\n{printed}"
    );
    Ok(())
}
