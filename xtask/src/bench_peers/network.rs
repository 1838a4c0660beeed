//! Compares our simulator with vcsim, and our client with govc and pyvmomi: runs benches of the
//! client, which need the programs of the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::peers::{Lock, Peer, go, python};
use crate::process::{Background, capture, cargo, describe, run};
use crate::workspace;

/// What a peer's address looks like in its output.
const ADDRESS: &str = "GOVC_URL=";

/// Measures our simulator and vcsim with the same client, and prints a table in Markdown.
///
/// # Errors
/// Fails when a program that is available does not build or fails.
pub(super) fn servers(folder: &Path) -> Result<()> {
    let peers = go::get(&Lock::read()?, &folder.join("bin"))?;
    let mut bench = bench("servers");
    bench.env("SIMULATOR", simulator()?);
    with(&mut bench, "VCSIM", &peers.vcsim);
    print(&mut bench, &folder.join("servers.md"))
}

/// Measures our client, govc and pyvmomi on our simulator, and again on vcsim.
///
/// # Errors
/// Fails when a program that is available does not build or fails.
pub(super) fn clients(folder: &Path) -> Result<()> {
    let lock = Lock::read()?;
    let peers = go::get(&lock, &folder.join("bin"))?;
    let python = python::get(&lock, folder)?;
    let on = |server: Option<&str>| {
        let mut bench = bench("figures");
        with(&mut bench, "GOVC", &peers.govc);
        with(&mut bench, "PYTHON", &python);
        if let Some(url) = server {
            bench.env("SERVER_URL", url);
        }
        bench
    };
    println!("\non our simulator:\n");
    print(&mut on(None), &folder.join("clients.txt"))?;
    let Peer::Had { program, .. } = &peers.vcsim else {
        println!("on vcsim: NOT MEASURED ({})", peers.vcsim.describe());
        return Ok(());
    };
    println!("\nread on vcsim, the rest on our simulator:\n");
    let mut vcsim = Command::new(program);
    // vcsim takes minutes to start with more.
    vcsim.args(["-esx", "-vm", "500", "-l", "127.0.0.1:0", "-stdinexit"]);
    let mut vcsim = Background::start(&mut vcsim)?;
    let patience = std::time::Duration::from_secs(300);
    let url = vcsim.wait_for_line(patience, |line| {
        let mut words = line.split_whitespace();
        words.find_map(|word| Some(word.strip_prefix(ADDRESS)?.to_owned()))
    })?;
    print(&mut on(Some(&url)), &folder.join("clients-vcsim.txt"))
}

/// Returns the command that runs a bench of the client.
fn bench(name: &str) -> Command {
    cargo([
        "bench",
        "--locked",
        "--package",
        "vsphere-client",
        "--bench",
        name,
    ])
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
