//! What an operator does with govc and with scripts on pyvmomi, on our simulator as an ESXi host
//! and as a vCenter.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Peers;
use super::endpoint::Endpoint;
use super::govc::Govc;
use super::report::Report;
use crate::peers::Peer;
use crate::process::capture;
use crate::workspace;

/// The objects of the default inventory that the commands use.
#[derive(Clone, Copy)]
struct Place {
    esx: bool,
    /// A machine that is on.
    machine: &'static str,
    machines: &'static str,
    host: &'static str,
    pool: &'static str,
    datastore: &'static str,
}

const ESX: Place = Place {
    esx: true,
    machine: "ha-host_VM0",
    machines: "/ha-datacenter/vm",
    host: "localhost.localdomain",
    pool: "/ha-datacenter/host/localhost.localdomain/Resources",
    datastore: "datastore1",
};

const VCENTER: Place = Place {
    esx: false,
    machine: "DC0_H0_VM0",
    machines: "/DC0/vm",
    host: "DC0_H0",
    pool: "/DC0/host/DC0_H0/Resources",
    datastore: "LocalDS_0",
};

/// The network of both models.
const NETWORK: &str = "VM Network";

/// One part of an operator's work.
type Work = fn(Govc<'_>, Place) -> Result<()>;

const WORKS: [(&str, Work); 8] = [
    ("machines", machines),
    ("disks and devices", devices),
    ("datastore files", files),
    ("pools", pools),
    ("folders", folders),
    ("hosts and networks", hosts),
    ("tasks, sessions and managers", managers),
    ("OVF packages", packages),
];

/// Runs all checks, on a new server for each.
pub(super) fn checks(report: &mut Report, peers: &Peers, simulator: &Path) {
    for place in [ESX, VCENTER] {
        let model = if place.esx { "ESXi" } else { "vCenter" };
        for (name, work) in WORKS {
            let name = format!("govc as an operator of {model}: {name}");
            match &peers.govc {
                Peer::Missing { reason } => report.not_run(&name, reason),
                Peer::Had { program, .. } => report.check(&name, || {
                    work(Govc::new(program, &server(simulator, place)?), place)
                }),
            }
        }
        let name = format!("pyvmomi machines on {model}");
        match &peers.python {
            Peer::Missing { reason } => report.not_run(&name, reason),
            Peer::Had { program, .. } => {
                report.check(&name, || script(program, &server(simulator, place)?, place));
            }
        }
    }
}

fn server(simulator: &Path, place: Place) -> Result<Endpoint> {
    match place.esx {
        true => Endpoint::esx_with(simulator, &["-vm", "1"]),
        false => Endpoint::vcenter_with(simulator, &[]),
    }
}

/// Runs the script that creates, reconfigures and deletes a machine.
fn script(python: &Path, endpoint: &Endpoint, place: Place) -> Result<()> {
    let mut command = Command::new(python);
    command.arg(workspace::root().join("xtask/interop/machines.py"));
    command.args([place.datastore, place.host]);
    endpoint.set_user(&mut command);
    command.env("GOVC_URL", &endpoint.url);
    let printed = capture(&mut command)?;
    ensure!(
        printed.lines().last() == Some("done"),
        "the script did not reach its end:\n{printed}"
    );
    Ok(())
}

/// Checks that a text contains a part.
fn says(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "`{part}` is missing in:\n{text}");
    Ok(())
}

/// Creates a machine that is off, with a disk and a network card.
fn create(govc: Govc<'_>, place: Place, name: &str) -> Result<()> {
    let hardware = ["-c", "2", "-m", "512", "-g", "otherGuest64", "-disk", "10M"];
    let placed = ["-pool", place.pool, "-ds", place.datastore, "-net", NETWORK];
    let on = ["-on=false", "-disk.controller", "pvscsi"];
    govc.run(&[&["vm.create"], &hardware[..], &placed, &on, &[name]].concat())?;
    Ok(())
}

fn machines(govc: Govc<'_>, place: Place) -> Result<()> {
    create(govc, place, "first")?;
    let change = ["vm.change", "-vm", "first", "-c", "4", "-name", "web"];
    govc.run(&[&change[..], &["-annotation", "text", "-e", "guestinfo.a=b"]].concat())?;
    let info = govc.run(&["vm.info", "-e", "-r", "web"])?;
    for part in ["4 vCPU", "poweredOff", "guestinfo.a:"] {
        says(&info, part)?;
    }
    for power in ["-on", "-suspend", "-on", "-reset", "-off"] {
        govc.run(&["vm.power", power, "web"])?;
    }
    let again = govc.run(&["vm.power", "-off", "web"]);
    let refused = again.err().context("a machine was switched off twice")?;
    says(&format!("{refused:#}"), "current state")?;
    // Without tools, the machine cannot be asked to shut down.
    ensure!(
        govc.run(&["vm.power", "-s", place.machine]).is_err(),
        "a machine without tools was shut down"
    );
    for (property, expected) in [
        ("runtime.powerState", "poweredOff"),
        ("config.annotation", "text"),
    ] {
        let web = format!("{}/web", place.machines);
        let found = govc.run(&["object.collect", "-s", &web, property])?;
        ensure!(found.trim() == expected, "{property} is {found}");
    }
    govc.run(&["vm.unregister", "web"])?;
    let register = ["vm.register", "-pool", place.pool, "-ds", place.datastore];
    govc.run(&[&register[..], &["first/first.vmx"]].concat())?;
    let name = match govc.find("m")?.iter().any(|path| path.ends_with("/web")) {
        true => "web",
        false => "first",
    };
    if !place.esx {
        govc.run(&["vm.markastemplate", name])?;
        govc.run(&["vm.markasvm", "-pool", place.pool, name])?;
    }
    govc.run(&["vm.destroy", name])?;
    let left = govc.run(&["datastore.ls", "-ds", place.datastore])?;
    ensure!(!left.contains("first"), "files are left:\n{left}");
    Ok(())
}

fn devices(govc: Govc<'_>, place: Place) -> Result<()> {
    create(govc, place, "web")?;
    let run =
        |command: &'static str, more: &[&str]| govc.run(&[&[command, "-vm", "web"], more].concat());
    run("vm.disk.create", &["-name", "web/data", "-size", "10M"])?;
    run(
        "vm.disk.create",
        &["-name", "web/thick", "-size", "10M", "-thick"],
    )?;
    run(
        "vm.disk.change",
        &["-disk.name", "disk-1000-0", "-size", "20M"],
    )?;
    let disks = run("device.info", &["disk-*"])?;
    ensure!(
        disks.matches("Name:").count() == 3 && disks.contains("20,480 KB"),
        "the disks are:\n{disks}"
    );
    run(
        "vm.network.add",
        &["-net", NETWORK, "-net.adapter", "vmxnet3"],
    )?;
    run("vm.network.change", &["-net", NETWORK, "ethernet-1"])?;
    let manifest = workspace::root().join("Cargo.toml").display().to_string();
    let upload = ["datastore.upload", "-ds", place.datastore, &manifest];
    govc.run(&[&upload[..], &["cd.iso"]].concat())?;
    let added = |command| -> Result<String> { Ok(run(command, &[])?.trim().to_owned()) };
    let cdrom = added("device.cdrom.add")?;
    run("device.cdrom.insert", &["-ds", place.datastore, "cd.iso"])?;
    says(&run("device.info", &[&cdrom])?, "cd.iso")?;
    run("device.disconnect", &[&cdrom])?;
    run("device.cdrom.eject", &[])?;
    let floppy = added("device.floppy.add")?;
    let serial = added("device.serial.add")?;
    run(
        "device.serial.connect",
        &["-device", &serial, "tcp://127.0.0.1:9"],
    )?;
    let lsi = run("device.scsi.add", &["-type", "lsilogic"])?;
    added("device.sata.add")?;
    added("device.usb.add")?;
    run("device.usb.add", &["-type", "xhci"])?;
    run("device.boot", &["-order", "cdrom,disk", "-delay", "1000"])?;
    let order = run("device.ls", &["-boot"])?;
    says(&order, "cdrom")?;
    let before = run("device.ls", &[])?.lines().count();
    run("device.remove", &[&floppy])?;
    run("device.remove", &[lsi.trim()])?;
    let after = run("device.ls", &[])?.lines().count();
    ensure!(before == after + 2, "{before} devices became {after}");
    govc.run(&["vm.power", "-on", "web"])?;
    // A network card can be added to a machine that is on.
    run("vm.network.add", &["-net", NETWORK])?;
    govc.run(&["vm.destroy", "web"])?;
    Ok(())
}

fn files(govc: Govc<'_>, place: Place) -> Result<()> {
    let run = |command: &'static str, more: &[&str]| {
        govc.run(&[&[command, "-ds", place.datastore], more].concat())
    };
    let manifest = workspace::root().join("Cargo.toml");
    let shown = manifest.display().to_string();
    run("datastore.mkdir", &["-p", "a/b/c"])?;
    run("datastore.upload", &[&shown, "a/one.toml"])?;
    run("datastore.cp", &["a/one.toml", "a/two.toml"])?;
    run("datastore.mv", &["a/two.toml", "a/b/three.toml"])?;
    let folder = tempfile::tempdir()?;
    let back = folder.path().join("back");
    run(
        "datastore.download",
        &["a/b/three.toml", &back.display().to_string()],
    )?;
    ensure!(
        std::fs::read(back)? == std::fs::read(manifest)?,
        "the file changed on its way"
    );
    let all = run("datastore.ls", &["-R", "-l", "-a", "a"])?;
    says(&all, "three.toml")?;
    let tail = run("datastore.tail", &["-n", "1", "a/one.toml"])?;
    ensure!(!tail.is_empty(), "the end of the file is empty");
    run("datastore.disk.create", &["-size", "10M", "a/disk.vmdk"])?;
    says(&run("datastore.disk.info", &["a/disk.vmdk"])?, "disk.vmdk")?;
    run("datastore.disk.extend", &["-size", "20M", "a/disk.vmdk"])?;
    run("datastore.disk.inflate", &["a/disk.vmdk"])?;
    run("datastore.cp", &["-t", "a/disk.vmdk", "a/copy.vmdk"])?;
    run("datastore.rm", &["-t", "a/disk.vmdk"])?;
    let missing = run("datastore.rm", &["a/nothing"]);
    ensure!(missing.is_err(), "a missing file was deleted");
    run("datastore.rm", &["a"])?;
    says(
        &govc.run(&["datastore.info", place.datastore])?,
        "Capacity:",
    )
}

fn pools(govc: Govc<'_>, place: Place) -> Result<()> {
    let path = |name: &str| format!("{}/{name}", place.pool);
    let (one, two, three) = (path("one"), path("two"), path("three"));
    govc.run(&["pool.create", &one, &two])?;
    let limits = ["pool.change", "-cpu.limit", "1000", "-mem.shares", "high"];
    govc.run(&[&limits[..], &["-name", "three", &one]].concat())?;
    let info = govc.run(&["pool.info", &three])?;
    for part in ["Name:", "three", "1000MHz"] {
        says(&info, part)?;
    }
    create(
        govc,
        Place {
            pool: "two",
            ..place
        },
        "inside",
    )?;
    govc.run(&["pool.destroy", &three, &two])?;
    let pools = govc.find("p")?;
    ensure!(
        !pools.iter().any(|path| path.ends_with("two")),
        "a pool is left: {pools:?}"
    );
    // Its machine is now in the pool above.
    govc.run(&["vm.destroy", "inside"])?;
    Ok(())
}

fn folders(govc: Govc<'_>, place: Place) -> Result<()> {
    let path = |name: &str| format!("{}/{name}", place.machines);
    let (one, two) = (path("one"), path("two"));
    if place.esx {
        let created = govc.run(&["folder.create", &one]);
        ensure!(created.is_err(), "an ESXi host has no folders of users");
        return Ok(());
    }
    govc.run(&["folder.create", &one, &format!("{one}/inner")])?;
    create(govc, place, "web")?;
    govc.run(&["object.mv", &path("web"), &one])?;
    govc.run(&["object.rename", &one, "two"])?;
    says(&govc.run(&["folder.info", &two])?, "two")?;
    says(&govc.run(&["ls", &two])?, "web")?;
    govc.run(&["object.mv", &format!("{two}/web"), place.machines])?;
    govc.run(&["object.destroy", &format!("{two}/inner")])?;
    govc.run(&["object.destroy", &two])?;
    govc.run(&["vm.destroy", "web"])?;
    Ok(())
}

fn hosts(govc: Govc<'_>, place: Place) -> Result<()> {
    let run = |command: &'static str, more: &[&str]| {
        govc.run(&[&[command, "-host", place.host], more].concat())
    };
    says(&run("host.info", &[])?, "Memory usage:")?;
    for command in [
        "host.storage.info",
        "host.date.info",
        "host.service.ls",
        "host.option.ls",
        "host.autostart.info",
        "host.cert.info",
        "host.vnic.info",
    ] {
        run(command, &[])?;
    }
    run("host.vswitch.add", &["vSwitch9"])?;
    run(
        "host.portgroup.add",
        &["-vswitch", "vSwitch9", "-vlan", "5", "web"],
    )?;
    says(&run("host.portgroup.info", &[])?, "web")?;
    create(govc, place, "web")?;
    govc.run(&["vm.network.add", "-vm", "web", "-net", "web"])?;
    let used = run("host.portgroup.remove", &["web"]);
    ensure!(used.is_err(), "a port group in use was removed");
    govc.run(&["vm.destroy", "web"])?;
    run("host.portgroup.remove", &["web"])?;
    run("host.vswitch.remove", &["vSwitch9"])?;
    ensure!(
        !run("host.vswitch.info", &[])?.contains("vSwitch9"),
        "the switch is left"
    );
    if !place.esx {
        for command in ["cluster.rule.ls", "cluster.group.ls"] {
            govc.run(&[command, "-cluster", "DC0_C0"])?;
        }
        govc.run(&["datacenter.info", "DC0"])?;
        govc.run(&["object.collect", "-s", "network/DVS0", "name"])?;
    }
    Ok(())
}

fn managers(govc: Govc<'_>, place: Place) -> Result<()> {
    create(govc, place, "web")?;
    let tasks = govc.run(&["tasks", "-n", "5"])?;
    ensure!(tasks.lines().count() > 1, "no task is shown:\n{tasks}");
    let cancelled = govc.run(&["task.cancel", "task-none"]);
    ensure!(cancelled.is_err(), "a task that never was is cancelled");
    says(&govc.run(&["session.ls"])?, "root")?;
    let ended = govc.run(&["session.rm", "nothing"]);
    ensure!(ended.is_err(), "a session that never was is ended");
    for command in [
        &["about", "-l"][..],
        &["events", "-n", "3"],
        &["role.ls"],
        &["permissions.ls"],
        &["license.ls"],
        &["logs.ls"],
        &["metric.interval.info"],
        &["option.ls"],
        &["disk.ls", "-ds", place.datastore],
        &["find", "/", "-type", "n"],
        &["ls", "-l", place.machines],
    ] {
        govc.run(command)?;
    }
    govc.run(&["vm.destroy", "web"])?;
    Ok(())
}

fn packages(govc: Govc<'_>, place: Place) -> Result<()> {
    create(govc, place, "web")?;
    let folder = tempfile::tempdir()?;
    let shown = folder.path().display().to_string();
    govc.run(&["export.ovf", "-vm", "web", "-sha", "256", &shown])?;
    let descriptor = folder.path().join("web/web.ovf").display().to_string();
    says(&govc.run(&["import.spec", &descriptor])?, "NetworkMapping")?;
    let placed = ["-pool", place.pool, "-ds", place.datastore, "-net", NETWORK];
    let name = ["-m", "-name", "copy", &descriptor];
    govc.run(&[&["import.ovf"], &placed[..], &name].concat())?;
    let disk = govc.run(&["device.info", "-vm", "copy", "disk-*"])?;
    says(&disk, "10,240 KB")?;
    govc.run(&["vm.power", "-on", "copy"])?;
    for name in ["copy", "web"] {
        govc.run(&["vm.destroy", name])?;
    }
    Ok(())
}
