//! Getting the Go peers: vcsim and govc.
//!
//! Three ways, the best first: the upstream command by `go install`; the
//! upstream packages of the pinned module under a `main` of ours, in
//! `xtask/peers`; and, for vcsim alone, the same `main` over the older simulator
//! package that Debian carries.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::lock::{Lock, Pin};
use super::peer::Peer;
use crate::process::{on_path, output, run};
use crate::workspace;

/// Where Debian's Go library packages put their sources.
const DEBIAN_GOPATH: &str = "/usr/share/gocode";

/// Why nothing of Go can be had.
const NO_GO: &str = "there is no Go toolchain (`go`) on the PATH";

/// The Go peers.
#[derive(Debug)]
pub(crate) struct GoPeers {
    pub(crate) vcsim: Peer,
    pub(crate) govc: Peer,
}

/// Gets vcsim and govc into `bin`.
///
/// # Errors
/// When a peer can be had but does not build.
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

/// Gets the command `name` of the pinned module.
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

/// Gets a program of ours over the pinned module: `xtask/peers/<name>`.
///
/// # Errors
/// When the module can be had but the program does not build.
pub(crate) fn over_module(lock: &Lock, name: &str, bin: &Path) -> Result<Peer> {
    if !on_path("go") {
        return Ok(Peer::missing(NO_GO));
    }
    main_of_ours(lock.pin("go")?, name, bin)
}

/// Builds `xtask/peers/<name>` over the pinned module.
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

/// The last resort for vcsim: Debian's copy of the simulator package.
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
    // Debian ships the sources for the time before modules.
    run(build
        .env("GO111MODULE", "off")
        .env("GOPATH", DEBIAN_GOPATH)
        .env("GOFLAGS", "-buildvcs=false"))?;
    Ok(Peer::had(
        program,
        format!("the Debian package {}", pin.name),
    ))
}

/// The Go tool, deaf to settings of the surroundings that would change which
/// sources it takes.
fn go() -> Command {
    let mut command = Command::new("go");
    command
        .env_remove("GOBIN")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOWORK", "off");
    command
}

/// The last line of what a program wrote to its standard error: Go's reason.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given")
        .trim()
        .to_owned()
}
