//! govc with several datastores and datacenters of our simulator.

use std::path::Path;

use anyhow::{Result, ensure};

use super::Peers;
use super::endpoint::Endpoint;
use super::govc::Govc;
use super::report::Report;
use crate::peers::Peer;

/// A machine of the default inventory, which is on.
const MACHINE: &str = "DC0_H0_VM0";

/// Runs all checks.
pub(super) fn checks(report: &mut Report, peers: &Peers, simulator: &Path) {
    for (name, arguments, check) in [
        (
            "govc datastores",
            &["-ds", "3"][..],
            datastores as fn(Govc<'_>) -> Result<()>,
        ),
        ("govc vSAN", &["--ds-type", "vsan"], vsan),
        ("govc datacenters", &["-dc", "2"], datacenters),
    ] {
        match &peers.govc {
            Peer::Missing { reason } => report.not_run(name, reason),
            Peer::Had { program, .. } => report.check(name, || {
                let endpoint = Endpoint::vcenter_with(simulator, arguments)?;
                check(Govc::new(program, &endpoint))
            }),
        }
    }
}

/// Creates a directory, which govc does with the namespace manager, and a machine.
fn vsan(govc: Govc<'_>) -> Result<()> {
    let store = ["-ds", "LocalDS_0"];
    govc.run(&[&["datastore.mkdir", "-namespace"], &store[..], &["images"]].concat())?;
    let refused = govc.run(&[&["datastore.mkdir"], &store[..], &["plain"]].concat());
    ensure!(refused.is_err(), "a top-level directory was created");
    let create = ["vm.create", "-disk", "1M", "-on=false", "-host", "DC0_H0"];
    let network = ["-net", "VM Network"];
    govc.run(&[&create[..], &store[..], &network, &["new"]].concat())?;
    let path = govc.run(&["object.collect", "-s", "vm/new", "config.files.vmPathName"])?;
    let directory = path.trim().strip_prefix("[LocalDS_0] ");
    let directory = directory.and_then(|path| path.strip_suffix("/new.vmx"));
    ensure!(
        directory.is_some_and(|uuid| uuid.len() == 36),
        "the machine is at {path}"
    );
    let all = govc.run(&[&["datastore.ls", "-l"], &store[..]].concat())?;
    ensure!(
        all.contains("images") && all.lines().any(|line| line.ends_with(" new")),
        "the directories are:\n{all}"
    );
    Ok(())
}

/// Moves files and machines between datastores.
fn datastores(govc: Govc<'_>) -> Result<()> {
    let all = govc.run(&["ls", "datastore"])?;
    ensure!(all.lines().count() == 3, "the datastores are:\n{all}");
    let files = |datastore: &str| -> Result<Vec<String>> {
        let printed = govc.run(&["datastore.ls", "-ds", datastore])?;
        Ok(printed.lines().map(|line| line.trim().to_owned()).collect())
    };
    let manifest = crate::workspace::root().join("Cargo.toml");
    let manifest = manifest.display().to_string();
    govc.run(&["datastore.upload", "-ds", "LocalDS_1", &manifest, "a.toml"])?;
    let to = ["-ds", "LocalDS_1", "-ds-target", "LocalDS_2"];
    govc.run(&[&["datastore.cp"], &to[..], &["a.toml", "b.toml"]].concat())?;
    govc.run(&[&["datastore.mv"], &to[..], &["a.toml", "c.toml"]].concat())?;
    let (one, two) = (files("LocalDS_1")?, files("LocalDS_2")?);
    ensure!(
        one.is_empty() && two == ["b.toml", "c.toml"],
        "the files are {one:?} and {two:?}"
    );
    govc.run(&["vm.power", "-off", MACHINE])?;
    govc.run(&["vm.migrate", "-ds", "LocalDS_1", MACHINE])?;
    let path = govc.run(&[
        "object.collect",
        "-s",
        &format!("vm/{MACHINE}"),
        "config.files.vmPathName",
    ])?;
    let expected = format!("[LocalDS_1] {MACHINE}/{MACHINE}.vmx");
    ensure!(path.trim() == expected, "the machine is at {path}");
    ensure!(files("LocalDS_1")? == [MACHINE], "it has no directory");
    let clone = ["vm.clone", "-vm", MACHINE, "-ds", "LocalDS_2", "-on=false"];
    govc.run(&[&clone[..], &["-host", "DC0_H0", "copy"]].concat())?;
    ensure!(
        files("LocalDS_2")?.contains(&"copy".to_owned()),
        "the clone has no directory"
    );
    govc.run(&["vm.destroy", "copy"])?;
    ensure!(
        files("LocalDS_2")? == ["b.toml", "c.toml"],
        "the clone is not deleted"
    );
    Ok(())
}

/// Uses the second of two datacenters, whose datastores have the same names.
fn datacenters(govc: Govc<'_>) -> Result<()> {
    let stores = govc.find("s")?;
    ensure!(
        stores == ["/DC0/datastore/LocalDS_0", "/DC1/datastore/LocalDS_0"],
        "the datastores are {stores:?}"
    );
    let store = ["-ds", "LocalDS_0"];
    let refused = govc.run(&[&["datastore.ls"], &store[..]].concat());
    let refused = refused.err().map(|error| format!("{error:#}"));
    ensure!(
        refused
            .as_ref()
            .is_some_and(|words| words.contains("please specify a datacenter")),
        "without a datacenter, govc says {refused:?}"
    );

    let there = ["-dc", "DC1", "-ds", "LocalDS_0"];
    let manifest = crate::workspace::root().join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    let manifest = manifest.display().to_string();
    govc.run(&[&["datastore.mkdir"], &there[..], &["d"]].concat())?;
    govc.run(&[&["datastore.upload"], &there[..], &[&manifest, "d/a"]].concat())?;
    let back = govc.run(&[&["datastore.download"], &there[..], &["d/a", "-"]].concat())?;
    ensure!(back == text, "the file came back with other content");
    let here = ["-dc", "DC0", "-ds", "LocalDS_0"];
    let missing = govc.run(&[&["datastore.download"], &here[..], &["d/a", "-"]].concat());
    ensure!(missing.is_err(), "the file is in both datacenters");

    let create = ["vm.create", "-disk", "1M", "-on=false", "-host", "DC1_H0"];
    let network = ["-net", "DC1_DVPG0"];
    govc.run(&[&create[..], &there, &network, &["new"]].concat())?;
    let new = "/DC1/vm/new";
    ensure!(
        govc.find("m")?.iter().any(|path| path == new),
        "it is not in DC1"
    );
    let moved = govc.run(&["object.mv", new, "/DC0/vm"]);
    ensure!(
        moved.is_err(),
        "a machine changed its datacenter with its files elsewhere"
    );
    let migrate = [
        "vm.migrate",
        "-folder",
        "/DC0/vm",
        "-net",
        "/DC0/network/DC0_DVPG0",
    ];
    let to = [
        "-pool",
        "/DC0/host/DC0_H0/Resources",
        "-ds",
        "/DC0/datastore/LocalDS_0",
    ];
    govc.run(&[&migrate[..], &to, &[new]].concat())?;
    let left = govc.run(&[&["datastore.ls"], &there[..]].concat())?;
    let moved = govc.run(&[&["datastore.ls"], &here[..]].concat())?;
    let has = |list: &str| list.lines().any(|line| line.trim() == "new");
    ensure!(
        has(&moved) && !has(&left),
        "it is in:\n{moved}\nand\n{left}"
    );
    govc.run(&["vm.destroy", "-dc", "DC0", "new"])?;

    govc.run(&["datacenter.create", "empty"])?;
    govc.run(&["object.destroy", "/empty"])?;
    let refused = govc.run(&["object.destroy", "/DC1"]);
    ensure!(refused.is_err(), "a datacenter with machines was destroyed");
    Ok(())
}
