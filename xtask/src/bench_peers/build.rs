//! Builds the measured programs, and records where they are, how long the builds took,
//! and how large the programs are.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;

use super::subject::Had;
use crate::peers::crates::Workspace;
use crate::peers::{Lock, Peer, go};
use crate::process::{capture, cargo, describe, on_path, run};

/// Builds benches of the bindings and returns the paths of their programs, in the order
/// of `names`.
///
/// # Errors
/// Fails when the benches do not build.
pub(super) fn benches(names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut command = cargo(["bench", "--locked", "--no-run", "--package", "vim25"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    for name in names {
        command.args(["--bench", name]);
    }
    println!("$ {}", describe(&command));
    // Only standard output is parsed; cargo's messages go to standard error.
    let built = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("start cargo")?;
    if !built.status.success() {
        bail!("`{}` ended with {}", describe(&command), built.status);
    }
    let programs: Vec<(String, PathBuf)> = Message::parse_stream(built.stdout.as_slice())
        .filter_map(|message| match message.ok()? {
            Message::CompilerArtifact(artifact) => Some((
                artifact.target.name,
                artifact.executable?.into_std_path_buf(),
            )),
            _ => None,
        })
        .collect();
    names
        .iter()
        .map(|name| {
            let found = programs.iter().find(|(built, _)| built == name);
            let (_, program) = found.with_context(|| format!("cargo built no bench `{name}`"))?;
            Ok(program.clone())
        })
        .collect()
}

/// Returns how long a clean release build of the bindings takes, in seconds.
///
/// # Errors
/// Fails when the bindings do not build.
pub(super) fn bindings_seconds(folder: &Path) -> Result<f64> {
    let target = folder.join("ours");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))?;
    }
    let mut command = cargo(["build", "--locked", "--release", "--lib"]);
    command.args(["--package", "vim25", "--quiet", "--target-dir"]);
    command.arg(&target);
    println!("$ {}, from nothing", describe(&command));
    let start = Instant::now();
    run(&mut command)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The programs that use vim_rs.
pub(super) struct VimRs {
    pub(super) decode: PathBuf,
    pub(super) allocations: PathBuf,
    /// The duration of the clean build in seconds, if it was built in this run.
    pub(super) seconds: Option<f64>,
}

/// Builds the programs that use vim_rs. The first build takes long.
///
/// # Errors
/// Fails when vim_rs can be downloaded but does not build.
pub(super) fn vim_rs(folder: &Path) -> Result<Had<VimRs>> {
    let workspace = Workspace::of("vim_rs");
    let target = folder.join("vim_rs");
    if let Err(reason) = workspace.fetch()? {
        return Ok(Err(reason));
    }

    let kept = target.join("build-seconds");
    let from_nothing = !target.join("release").exists();
    let mut build = workspace.cargo(&["build", "--release", "--quiet"]);
    build.arg("--target-dir").arg(&target);
    println!("$ {}", describe(&build));
    if from_nothing {
        println!("  FROM NOTHING: this takes up to 25 minutes and 8 GB, once");
    }
    let start = Instant::now();
    run(&mut build)?;
    if from_nothing {
        let seconds = start.elapsed().as_secs_f64();
        fs::write(&kept, seconds.to_string())
            .with_context(|| format!("write {}", kept.display()))?;
    }
    let seconds = fs::read_to_string(&kept).ok();
    Ok(Ok(VimRs {
        decode: target.join("release/decode"),
        allocations: target.join("release/allocations"),
        seconds: seconds.and_then(|text| text.trim().parse().ok()),
    }))
}

/// Builds the program that uses govmomi.
///
/// # Errors
/// Fails when govmomi is available but the program does not build.
pub(super) fn govmomi(lock: &Lock, folder: &Path) -> Result<Peer> {
    go::over_module(lock, "decode", &folder.join("bin"))
}

/// Returns the size of a program without symbols, in bytes; `None` if there is no
/// `strip`.
///
/// # Errors
/// Fails when the copy cannot be written.
pub(super) fn stripped_size(program: &Path, folder: &Path) -> Result<Option<u64>> {
    if !on_path("strip") {
        return Ok(None);
    }
    let copy = folder.join("stripped");
    capture(Command::new("strip").args([OsStr::new("-o"), copy.as_os_str(), program.as_os_str()]))?;
    let size = fs::metadata(&copy).context("read the size of the stripped program")?;
    Ok(Some(size.len()))
}
