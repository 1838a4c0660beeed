//! Installs the Go peers: vcsim and govc.
//!
//! There are three ways, in order of preference: the upstream command through
//! `go install`; the upstream packages of the pinned module with our own `main`, in
//! `xtask/peers`; and, for vcsim only, the same `main` with the older simulator package
//! from Debian.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::lock::{Lock, Pin};
use super::peer::Peer;
use crate::process::{on_path, output, run};
use crate::workspace;

/// Where Debian's Go library packages install their sources.
const DEBIAN_GOPATH: &str = "/usr/share/gocode";

/// Why no Go peer is available.
const NO_GO: &str = "there is no Go toolchain (`go`) on the PATH";

/// The Go peers.
#[derive(Debug)]
pub(crate) struct GoPeers {
    pub(crate) vcsim: Peer,
    pub(crate) govc: Peer,
}

/// Installs vcsim and govc into `bin`.
///
/// # Errors
/// Fails when a peer is available but does not build.
pub(crate) fn get(lock: &Lock, bin: &Path) -> Result<GoPeers> {
    if !on_path("go") {
        let missing = Peer::missing(NO_GO);
        return Ok(GoPeers {
            vcsim: missing.clone(),
            govc: missing,
        });
    }
    let pin = lock.pin("go")?;
    let vcsim = one(pin, "vcsim", bin)?;
    let govc = one(pin, "govc", bin)?;
    let vcsim = match vcsim {
        Peer::Missing { reason } => debian(lock.pin("debian")?, &reason, bin)?,
        had @ Peer::Had { .. } => had,
    };
    Ok(GoPeers { vcsim, govc })
}

/// Installs the command `name` of the pinned module.
fn one(pin: &Pin, name: &str, bin: &Path) -> Result<Peer> {
    let upstream = format!("{}/{name}@{}", pin.name, pin.version);
    println!("$ go install {upstream}");
    let mut install = go();
    install.args(["install", &upstream]).env("GOBIN", bin);
    let refused = match output(&mut install)? {
        output if output.status.success() => return Ok(Peer::had(bin.join(name), upstream)),
        output => last_line(&output.stderr),
    };
    println!("  not this way: {refused}");

    main_of_ours(pin, name, bin)
}

/// Builds one of our programs that use the pinned module: `xtask/peers/<name>`.
///
/// # Errors
/// Fails when the module is available but the program does not build.
pub(crate) fn over_module(lock: &Lock, name: &str, bin: &Path) -> Result<Peer> {
    if !on_path("go") {
        return Ok(Peer::missing(NO_GO));
    }
    main_of_ours(lock.pin("go")?, name, bin)
}

/// Builds `xtask/peers/<name>` with the pinned module.
fn main_of_ours(pin: &Pin, name: &str, bin: &Path) -> Result<Peer> {
    println!("$ go mod download {}@{}", pin.name, pin.version);
    let sources = workspace::root().join("xtask/peers");
    let mut download = go();
    download
        .args(["mod", "download", &pin.name])
        .current_dir(&sources);
    let output = output(&mut download)?;
    if !output.status.success() {
        return Ok(Peer::missing(format!(
            "the Go module cannot be fetched: {}",
            last_line(&output.stderr)
        )));
    }

    let program = bin.join(name);
    println!(
        "$ go build ./{name}, a main of ours over {}@{}",
        pin.name, pin.version
    );
    let mut build = go();
    build
        .args(["build", "-mod=readonly", "-trimpath", "-o"])
        .arg(&program)
        .arg(format!("./{name}"));
    run(build.current_dir(&sources))?;
    Ok(Peer::had(
        program,
        format!("{} {}, linked by a main of ours", pin.name, pin.version),
    ))
}

/// Builds vcsim from Debian's copy of the simulator package, as the last resort.
fn debian(pin: &Pin, without: &str, bin: &Path) -> Result<Peer> {
    if !Path::new(DEBIAN_GOPATH)
        .join("src/github.com/vmware/govmomi/simulator")
        .is_dir()
    {
        return Ok(Peer::missing(format!(
            "{without}; and Debian's {} is not installed",
            pin.name
        )));
    }
    let program = bin.join("vcsim");
    println!("$ go build vcsim, over the Debian package {}", pin.name);
    let mut build = go();
    build
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg("main.go");
    build.current_dir(workspace::root().join("xtask/peers/vcsim"));
    // Debian installs the sources in the layout that predates modules.
    run(build
        .env("GO111MODULE", "off")
        .env("GOPATH", DEBIAN_GOPATH)
        .env("GOFLAGS", "-buildvcs=false"))?;
    Ok(Peer::had(
        program,
        format!("the Debian package {}", pin.name),
    ))
}

/// Returns the Go tool without the environment variables that would change which sources
/// it uses.
fn go() -> Command {
    let mut command = Command::new("go");
    command
        .env_remove("GOBIN")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    command
}

/// Returns the last line that a program wrote to standard error: Go's error message.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given")
        .trim()
        .to_owned()
}
