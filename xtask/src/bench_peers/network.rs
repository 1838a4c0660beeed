//! Compares our simulator with vcsim, and our client with govc and pyvmomi: runs benches of the
//! client, which need the programs of the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::peers::{Lock, Peer, go, python};
use crate::process::{capture, cargo, describe, run};
use crate::workspace;

/// Measures our simulator and vcsim with the same client, and prints a table in Markdown.
///
/// # Errors
/// Fails when a program that is available does not build or fails.
pub(super) fn servers(folder: &Path) -> Result<()> {
    let peers = go::get(&Lock::read()?, &folder.join("bin"))?;
    let mut bench = bench("vsphere-client", "servers");
    bench.env("SIMULATOR", simulator()?);
    with(&mut bench, "VCSIM", &peers.vcsim);
    print(&mut bench, &folder.join("servers.md"))
}

/// Measures our client, govc and pyvmomi on our simulator and on vcsim, and the calls of a
/// container's life.
///
/// # Errors
/// Fails when a program that is available does not build or fails.
pub(super) fn clients(folder: &Path) -> Result<()> {
    let lock = Lock::read()?;
    let peers = go::get(&lock, &folder.join("bin"))?;
    let python = python::get(&lock, folder)?;
    let mut figures = bench("vsphere-client", "figures");
    figures.env("SIMULATOR", simulator()?);
    with(&mut figures, "VCSIM", &peers.vcsim);
    with(&mut figures, "GOVC", &peers.govc);
    with(&mut figures, "PYTHON", &python);
    print(&mut figures, &folder.join("clients.md"))?;
    println!("\na container's life, which the peers do not have:\n");
    let mut life = bench("portlayer", "exec");
    life.env("ONLY", "life");
    print(&mut life, &folder.join("life.md"))
}

/// Returns the command that runs a bench.
fn bench(package: &str, name: &str) -> Command {
    cargo(["bench", "--locked", "--package", package, "--bench", name])
}

/// Passes the path of a peer in an environment variable, or says why it is not measured.
fn with(bench: &mut Command, variable: &str, peer: &Peer) {
    match peer {
        Peer::Had { program, .. } => {
            bench.env(variable, program);
        }
        Peer::Missing { reason } => println!("{variable}: NOT MEASURED ({reason})"),
    }
}

/// Builds our simulator in release mode and returns its path.
fn simulator() -> Result<PathBuf> {
    let mut build = cargo(["build", "--locked", "--release"]);
    build.args([
        "--package",
        "vsphere-simulator",
        "--bin",
        "vsphere-simulator",
    ]);
    println!("$ {}", describe(&build));
    run(&mut build)?;
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    Ok(target.join("release/vsphere-simulator"))
}

/// Runs a bench, prints its output and keeps it in a file.
fn print(bench: &mut Command, file: &Path) -> Result<()> {
    println!("$ {}", describe(bench));
    let text = capture(bench)?;
    println!("{text}");
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}
