//! Runs the example `hello_world` on an endpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::endpoint::Endpoint;
use super::govc::Govc;
use crate::process::{capture, cargo, run};

/// How `hello_world` verifies the endpoint's certificate.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trust<'a> {
    /// Does not verify it.
    Insecure,
    /// Pins it with a known-hosts file.
    KnownHosts(&'a Path),
}

/// Builds `hello_world` and returns its path.
///
/// # Errors
/// Fails when it does not build.
pub(super) fn build(target: &Path) -> Result<PathBuf> {
    println!("$ cargo build --example hello_world");
    run(&mut cargo([
        "build",
        "--locked",
        "--example",
        "hello_world",
    ]))?;
    Ok(target.join("debug/examples/hello_world"))
}

/// Returns a command that runs `hello_world` on the endpoint.
pub(super) fn command(program: &Path, endpoint: &Endpoint, trust: Trust<'_>) -> Command {
    let mut command = Command::new(program);
    endpoint.set_user(&mut command);
    command.env("VSPHERE_URL", &endpoint.url);
    command.envs(endpoint.choices.iter().copied());
    match trust {
        Trust::Insecure => command.env("GOVC_INSECURE", "true"),
        Trust::KnownHosts(file) => command.env("GOVC_TLS_KNOWN_HOSTS", file),
    };
    command
}

/// Runs `hello_world` on the endpoint, and checks with govc that it leaves nothing behind.
///
/// # Errors
/// Fails when `hello_world` fails, does not show the container, or leaves a machine or
/// a pool behind.
pub(super) fn passes(
    program: &Path,
    endpoint: &Endpoint,
    govc: Option<Govc<'_>>,
    trust: Trust<'_>,
) -> Result<()> {
    let inventory = |govc: Govc<'_>| Ok::<_, anyhow::Error>((govc.find("m")?, govc.find("p")?));
    let before = govc.map(inventory).transpose()?;
    let printed = capture(command(program, endpoint, trust).args(["--name", "quick_otter"]))?;
    for line in printed.lines() {
        println!("    {line}");
    }
    ensure!(
        printed.contains("quick_otter"),
        "hello_world did not print its container's name"
    );
    let after = govc.map(inventory).transpose()?;
    if before != after {
        bail!("hello_world left something behind\nbefore: {before:?}\nafter: {after:?}");
    }
    Ok(())
}

/// Writes a known-hosts file for the endpoint into `folder`.
///
/// # Errors
/// Fails when govc cannot retrieve the certificate or the file cannot be written.
pub(super) fn known_hosts(folder: &Path, govc: Govc<'_>, endpoint: &Endpoint) -> Result<PathBuf> {
    let path = folder.join("known_hosts");
    let line = govc.known_host()?;
    ensure!(
        line.starts_with(endpoint.authority()),
        "govc pinned another host: {line}"
    );
    fs::write(&path, line).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}
