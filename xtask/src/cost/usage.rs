//! The cost of a command: its processor time and the memory of its largest process.
//!
//! The operating system adds up the children of a process over its whole life, so each
//! command is measured by a separate process: this program, started again as
//! `cargo xtask measure`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{capture, describe};

/// The cost of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Processor time of all its processes, user and system, in seconds.
    pub(super) cpu: f64,
    /// Wall time, in seconds.
    pub(super) wall: f64,
    /// Peak resident memory of its largest process, in bytes.
    pub(super) memory: f64,
}

/// Runs a command and measures it.
///
/// # Errors
/// Fails when the command cannot be started or fails.
pub(super) fn of(command: &Command) -> Result<Usage> {
    println!("$ {}", describe(command));
    let mut outer = Command::new(std::env::current_exe().context("find this program")?);
    outer.args(["measure", "--"]);
    outer.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    let said = capture(&mut outer)?;
    let line = said.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [cpu, wall, memory] = numbers[..] else {
        bail!("`{}` printed no figures but {line:?}", describe(&outer));
    };
    Ok(Usage { cpu, wall, memory })
}

/// The entry point of the measuring process: runs the command and prints its figures as
/// the last line.
///
/// # Errors
/// Fails when the command cannot be started or fails, or if the system does not report
/// usage.
#[cfg(unix)]
pub(crate) fn measure(command: &[OsString]) -> Result<()> {
    use nix::sys::resource::{UsageWho, getrusage};

    let (program, arguments) = command.split_first().context("no command to measure")?;
    let start = std::time::Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    let wall = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{} ended with {status}", program.display());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask what the children used")?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // The unit is kilobytes on Linux, and bytes on Apple's systems.
    let unit = if cfg!(target_vendor = "apple") {
        1.0
    } else {
        1024.0
    };
    println!("\n{cpu} {wall} {}", usage.max_rss() as f64 * unit);
    Ok(())
}

/// The entry point of the measuring process, on a system that does not report usage.
///
/// # Errors
/// Always fails.
#[cfg(not(unix))]
pub(crate) fn measure(_: &[OsString]) -> Result<()> {
    bail!("this system does not report the resource usage of a command")
}
