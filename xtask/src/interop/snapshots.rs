//! govc and pyvmomi with the snapshots and clones of our simulator.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Peers;
use super::endpoint::Endpoint;
use super::govc::Govc;
use super::report::Report;
use crate::peers::Peer;
use crate::process::capture;
use crate::workspace;

/// A machine of the default inventory of a vCenter, which is on.
const MACHINE: &str = "DC0_H0_VM0";
/// The same of an ESXi host.
const ON_ESXI: &str = "ha-host_VM0";
/// The pool of the clones.
const POOL: &str = "/DC0/host/DC0_H0/Resources";

/// Runs all checks, on a new server for each.
pub(super) fn checks(report: &mut Report, peers: &Peers, simulator: &Path) {
    for machine in [ON_ESXI, MACHINE] {
        let model = if machine == ON_ESXI {
            "ESXi"
        } else {
            "vCenter"
        };
        let name = format!("govc snapshots on {model}");
        govc(report, peers, &name, |program| {
            let endpoint = server(simulator, machine)?;
            snapshots(Govc::new(program, &endpoint), machine)
        });
        let name = format!("pyvmomi snapshots and clones on {model}");
        match &peers.python {
            Peer::Missing { reason } => report.not_run(&name, reason),
            Peer::Had { program, .. } => report.check(&name, || {
                let endpoint = server(simulator, machine)?;
                let mut command = Command::new(program);
                command.arg(workspace::root().join("xtask/interop/snapshots.py"));
                endpoint.set_user(&mut command);
                command.env("GOVC_URL", &endpoint.url).arg(machine);
                let printed = capture(&mut command)?;
                ensure!(
                    printed.lines().last() == Some("done"),
                    "the script did not reach its end:\n{printed}"
                );
                Ok(())
            }),
        }
    }
    govc(report, peers, "govc clones", |program| {
        let endpoint = server(simulator, MACHINE)?;
        clones(Govc::new(program, &endpoint))
    });
}

fn govc(report: &mut Report, peers: &Peers, name: &str, check: impl FnOnce(&Path) -> Result<()>) {
    match &peers.govc {
        Peer::Missing { reason } => report.not_run(name, reason),
        Peer::Had { program, .. } => report.check(name, || check(program)),
    }
}

/// Starts the server that has a machine.
fn server(simulator: &Path, machine: &str) -> Result<Endpoint> {
    match machine {
        ON_ESXI => Endpoint::esx_with(simulator, &["-vm", "1"]),
        _ => Endpoint::vcenter_with(simulator, &[]),
    }
}

/// Returns the lines of `snapshot.tree`. A dot stands for the machine's current state.
fn tree(govc: Govc<'_>, machine: &str, options: &[&str]) -> Result<Vec<String>> {
    let arguments = [&["snapshot.tree", "-vm", machine], options].concat();
    let printed = govc.run(&arguments)?;
    Ok(printed
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect())
}

fn snapshots(govc: Govc<'_>, machine: &str) -> Result<()> {
    let of = |command: &'static str| [command, "-vm", machine];
    let run = |command: &'static str, more: &[&str]| {
        let arguments = [&of(command)[..], more].concat();
        govc.run(&arguments)
    };
    run("snapshot.create", &["-m=false", "first"])?;
    run("snapshot.create", &["-m=true", "-d", "why", "second"])?;
    run("snapshot.create", &["-m=false", "third"])?;
    let all = tree(govc, machine, &[])?;
    ensure!(
        all == ["first", "  second", "    third", "    ."],
        "the tree is {all:?}"
    );
    run("snapshot.revert", &["second"])?;
    let info = govc.run(&["vm.info", machine])?;
    ensure!(
        info.contains("poweredOn"),
        "the memory was not reverted to:\n{info}"
    );
    run("snapshot.revert", &["first"])?;
    let info = govc.run(&["vm.info", machine])?;
    ensure!(
        info.contains("poweredOff"),
        "the machine is still on:\n{info}"
    );
    let sizes = tree(govc, machine, &["-s", "-i", "-D", "-d"])?;
    ensure!(sizes.len() == 4, "the tree with sizes is {sizes:?}");
    run("snapshot.revert", &[])?;
    run("snapshot.remove", &["first/second"])?;
    let left = tree(govc, machine, &["-f"])?;
    ensure!(left.len() == 3, "after the removal, the tree is {left:?}");
    run("snapshot.remove", &["-r", "first"])?;
    let none = tree(govc, machine, &[])?;
    ensure!(none.is_empty(), "{none:?} is left");
    run("snapshot.create", &["again"])?;
    run("snapshot.remove", &["*"])?;
    let files = govc.run(&["datastore.ls", machine])?;
    ensure!(!files.contains("-00000"), "redo logs are left:\n{files}");
    Ok(())
}

fn clones(govc: Govc<'_>) -> Result<()> {
    let clone = |more: &[&str]| {
        let own = ["vm.clone", "-vm", MACHINE, "-pool", POOL, "-on=false"];
        govc.run(&[&own[..], more].concat())
    };
    // The source is on.
    clone(&["copy"])?;
    clone(&["-link", "shared"])?;
    govc.run(&["snapshot.create", "-vm", MACHINE, "base"])?;
    clone(&["-link", "-snapshot", "base", "linked"])?;
    clone(&["-snapshot", "base", "-annotation", "of base", "full"])?;
    clone(&["-template", "template"])?;
    govc.run(&[
        "vm.clone",
        "-vm",
        "template",
        "-pool",
        POOL,
        "from-template",
    ])?;
    for (name, is_linked) in [
        ("copy", false),
        ("shared", false),
        ("linked", true),
        ("full", false),
    ] {
        let disk = govc.run(&["device.info", "-vm", name, "disk-*"])?;
        ensure!(
            disk.contains("Parent:") == is_linked,
            "the disk of {name} is not as expected:\n{disk}"
        );
        govc.run(&["vm.power", "-on", name])?;
        govc.run(&["vm.power", "-off", name])?;
    }
    // The snapshot's disk is kept while a clone needs it.
    govc.run(&["snapshot.remove", "-vm", MACHINE, "*"])?;
    govc.run(&["vm.power", "-on", "linked"])?;
    for name in [
        "linked",
        "full",
        "copy",
        "shared",
        "from-template",
        "template",
        MACHINE,
    ] {
        govc.run(&["vm.destroy", name])?;
    }
    Ok(())
}
