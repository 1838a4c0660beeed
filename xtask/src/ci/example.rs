//! Runs the README's main example and compares its output.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Outcome, README_JOB, expectation};
use crate::process::{capture, cargo};
use crate::workspace;

/// The maximum run time of the example once everything is built.
const PATIENCE: Duration = Duration::from_secs(2);

/// Builds `hello_world`, runs it with a generated and with a given name, and
/// compares its output with `examples/hello_world.expected`.
pub(super) fn run() -> Result<Outcome> {
    let examples = workspace::root().join("examples");
    if !examples.join("hello_world.rs").is_file() {
        return Ok(Outcome::NotRun(
            "examples/hello_world.rs does not exist".to_owned(),
        ));
    }
    let path = examples.join("hello_world.expected");
    let expected = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;

    super::sh(&mut cargo([
        "build",
        "--locked",
        "--example",
        "hello_world",
    ]))?;
    let target = workspace::metadata()?.target_directory;
    let program = target.join("debug/examples/hello_world");
    let mut least = Duration::MAX;
    for arguments in [&[][..], &["--name", "quick_otter"]] {
        let mut job = cargo(README_JOB);
        job.arg("--quiet");
        if !arguments.is_empty() {
            job.arg("--").args(arguments);
        }
        println!("$ {}", crate::process::describe(&job));
        let printed = capture(&mut job)?;
        print!("{printed}");
        expectation::compare(&expected, &printed).with_context(|| {
            format!("compare the output of hello_world with {}", path.display())
        })?;
        if let [_, name] = arguments
            && !printed.contains(name)
        {
            bail!("hello_world was given the container name `{name}` and did not print it");
        }
        // Without the time that cargo takes.
        let mut alone = Command::new(&program);
        alone.args(arguments.iter().copied());
        let start = Instant::now();
        capture(&mut alone)?;
        let took = start.elapsed();
        println!("as expected, in {:.2} s", took.as_secs_f64());
        least = least.min(took);
    }
    // The first run after a build also loads the program from disk.
    if least > PATIENCE {
        bail!("hello_world took {least:?}; its limit is {PATIENCE:?}");
    }
    Ok(Outcome::Passed)
}
