//! The measured builds, in the workspace `xtask/cost`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::size;
use super::usage::{self, Usage};
use crate::process::{cargo, run};
use crate::workspace;

/// The package id of the crate that build times are compared with.
const REFERENCE: &str = "syn@2.0.117";

/// How often each build is repeated; the cheapest build counts.
const ROUNDS: usize = 2;

/// All measurements.
pub(super) struct Costs {
    pub(super) dev: Usage,
    pub(super) release: Usage,
    pub(super) sample: Usage,
    pub(super) reference: Usage,
    /// The size of the machine code in bytes.
    pub(super) machine_code: f64,
    /// The number of bytes by which the sample program is larger than a hello-world
    /// program.
    pub(super) sample_size: f64,
}

/// Builds everything and measures it.
///
/// # Errors
/// Fails when something does not build, or the system does not report resource usage.
pub(super) fn measure(target: &Path) -> Result<Costs> {
    let builds = Builds {
        target: target.join("cost"),
    };
    // Dependencies are built first, because their cost does not count.
    run(&mut builds.command("build", true))?;
    run(builds.command("build", false).args(["--package", "vim25"]))?;
    let mut costs: Option<Costs> = None;
    // The builds alternate, so that a machine that slows down affects all of them.
    for _ in 0..ROUNDS {
        let reference = builds.again(REFERENCE, true)?;
        let release = builds.again("vim25", true)?;
        let dev = builds.again("vim25", false)?;
        // The bindings were just rebuilt, so the sample is linked again in any case.
        run(&mut builds.command("build", true))?;
        let sample = builds.again("sample", true)?;
        let least = |new: Usage, old: Option<Usage>| Usage {
            cpu: old.map_or(new.cpu, |old| old.cpu.min(new.cpu)),
            wall: old.map_or(new.wall, |old| old.wall.min(new.wall)),
            memory: old.map_or(new.memory, |old| old.memory.max(new.memory)),
        };
        costs = Some(Costs {
            dev: least(dev, costs.as_ref().map(|c| c.dev)),
            release: least(release, costs.as_ref().map(|c| c.release)),
            sample: least(sample, costs.as_ref().map(|c| c.sample)),
            reference: least(reference, costs.as_ref().map(|c| c.reference)),
            machine_code: size::machine_code(&builds.built("libvim25.rlib"))?,
            sample_size: size::file(&builds.built("sample"))? - size::file(&builds.built("hello"))?,
        });
    }
    costs.ok_or_else(|| anyhow::anyhow!("nothing was measured"))
}

struct Builds {
    target: PathBuf,
}

impl Builds {
    fn command(&self, verb: &str, release: bool) -> Command {
        let mut command = cargo([verb, "--quiet", "--target-dir"]);
        command.arg(&self.target);
        command.arg("--manifest-path");
        command.arg(workspace::root().join("xtask/cost/Cargo.toml"));
        if release {
            command.arg("--release");
        }
        if verb == "build" {
            command.arg("--locked");
        }
        // Like a user's first build, regardless of the settings of this machine.
        command.env("CARGO_INCREMENTAL", "0");
        command
    }

    /// Rebuilds one package, but not its dependencies.
    fn again(&self, package: &str, release: bool) -> Result<Usage> {
        run(self.command("clean", release).args(["--package", package]))?;
        usage::of(self.command("build", release).args(["--package", package]))
    }

    fn built(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }
}
