//! The README's main job, run as the README says, and its output compared.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Outcome, README_JOB, expectation};
use crate::process::{capture, cargo};
use crate::workspace;

/// How long the container's life may take once everything is built.
const PATIENCE: Duration = Duration::from_secs(2);

/// Builds the main job, runs it with a generated and with a given name, and
/// compares what it printed with `examples/hello_world.expected`.
pub(super) fn run() -> Result<Outcome> {
    let examples = workspace::root().join("examples");
    if !examples.join("hello_world.rs").is_file() {
        return Ok(Outcome::NotRun(
            "examples/hello_world.rs does not exist yet".to_owned(),
        ));
    }
    let path = examples.join("hello_world.expected");
    let expected = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;

    super::sh(&mut cargo([
        "build",
        "--locked",
        "--release",
        "--example",
        "hello_world",
    ]))?;
    for arguments in [&[][..], &["--name", "quick_otter"]] {
        let mut job = cargo(README_JOB);
        job.arg("--quiet");
        if !arguments.is_empty() {
            job.arg("--").args(arguments);
        }
        println!("$ {}", crate::process::describe(&job));
        let start = Instant::now();
        let printed = capture(&mut job)?;
        let took = start.elapsed();
        print!("{printed}");
        expectation::compare(&expected, &printed).with_context(|| {
            format!("compare what the main job printed with {}", path.display())
        })?;
        if let [_, name] = arguments
            && !printed.contains(name)
        {
            bail!(
                "the main job was told to name its container `{name}` and did not print that name"
            );
        }
        println!("as expected, in {:.2} s", took.as_secs_f64());
        if took > PATIENCE {
            bail!("the main job took {took:?}, and promises to take less than {PATIENCE:?}");
        }
    }
    Ok(Outcome::Passed)
}
