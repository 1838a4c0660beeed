//! The gate: the checks that every change must pass. People and `.ci/run` run the same
//! command.

mod example;
mod expectation;
mod measured;
mod packages;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{cargo, describe, on_path, output, run};
use crate::{arrows, bench_peers, codegen, cost, interop, words, workspace};

/// The test command in the README.
pub(crate) const README_TESTS: &[&str] = &["test", "--workspace"];

/// The command of the main example in the README.
pub(crate) const README_JOB: &[&str] = &["run", "--example", "hello_world"];

/// How long the whole gate may take on two cores, from a clean checkout.
const BUDGET: Duration = Duration::from_secs(55 * 60);

/// The steps of the gate to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps, in the gate's order; default all
    steps: Vec<String>,
    /// Print the steps and what they check, and run none
    #[arg(long)]
    list: bool,
}

/// The result of a step that did not fail.
enum Outcome {
    Passed,
    /// The step could not run on this machine, for this reason.
    NotRun(String),
}

/// One step of the gate.
struct Step {
    name: &'static str,
    checks: &'static str,
    run: fn() -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        checks: "the sources are formatted",
        run: fmt,
    },
    Step {
        name: "arrows",
        checks: "the crates depend on each other as the architecture allows",
        run: layers,
    },
    Step {
        name: "words",
        checks: "the text uses the words of the trade",
        run: plain_words,
    },
    Step {
        name: "codegen",
        checks: "the generated sources are current",
        run: generated,
    },
    Step {
        name: "packages",
        checks: "how many packages a user of our crates builds, and that hello_world is light",
        run: count,
    },
    Step {
        name: "deny",
        checks: "licences, sources and bans of the dependencies",
        run: deny,
    },
    Step {
        name: "advisories",
        checks: "no dependency has a known vulnerability",
        run: advisories,
    },
    Step {
        name: "clippy",
        checks: "clippy finds nothing",
        run: clippy,
    },
    Step {
        name: "features",
        checks: "each crate builds by itself with no features and with each of them",
        run: features,
    },
    Step {
        name: "doc",
        checks: "the documentation builds without a warning",
        run: doc,
    },
    Step {
        name: "test",
        checks: "the README's test command passes",
        run: test,
    },
    Step {
        name: "optional",
        checks: "the tests behind features that are off by default pass",
        run: optional,
    },
    Step {
        name: "example",
        checks: "the README's main example prints what is expected",
        run: example,
    },
    Step {
        name: "cost",
        checks: "the build cost of the bindings is within its limits",
        run: costs,
    },
    Step {
        name: "codec",
        checks: "the bindings' codec is fast enough, relative to bare quick-xml",
        run: codec,
    },
    Step {
        name: "interop",
        checks: "third-party clients and servers interoperate with ours",
        run: peers,
    },
];

/// Runs every step of the gate, even after a failure, and prints a summary.
///
/// # Errors
/// Fails when a step failed, or a requested step does not exist.
pub(crate) fn start(args: &Args) -> Result<()> {
    let steps = select(&args.steps)?;
    if args.list {
        for step in steps {
            println!("{:<10} {}", step.name, step.checks);
        }
        return Ok(());
    }
    let begin = Instant::now();
    let mut summary = Vec::new();
    let mut failed = Vec::new();
    for step in steps {
        println!("\n==> {}: {}", step.name, step.checks);
        let start = Instant::now();
        let verdict = match (step.run)() {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::NotRun(reason)) => format!("NOT RUN: {reason}"),
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(step.name);
                format!(
                    "FAILED: {}",
                    error.to_string().lines().next().unwrap_or_default()
                )
            }
        };
        let line = format!(
            "{:<10} {:>7.1} s  {verdict}",
            step.name,
            start.elapsed().as_secs_f64()
        );
        println!("<== {line}");
        summary.push(line);
    }
    println!("\n{}", summary.join("\n"));
    let took = begin.elapsed();
    println!(
        "{:<10} {:>7.1} s  of {} s",
        "total",
        took.as_secs_f64(),
        BUDGET.as_secs()
    );
    if took > BUDGET {
        println!("the gate is OVER ITS BUDGET");
    }
    if !failed.is_empty() {
        bail!("the gate failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Returns the named steps, in the gate's order.
fn select(names: &[String]) -> Result<Vec<&'static Step>> {
    for name in names {
        if !STEPS.iter().any(|step| step.name == name) {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            bail!("the gate has no step `{name}`; it has {}", known.join(", "));
        }
    }
    Ok(STEPS
        .iter()
        .filter(|step| names.is_empty() || names.iter().any(|name| name == step.name))
        .collect())
}

/// Prints a command, runs it, and fails if it fails.
fn sh(command: &mut Command) -> Result<()> {
    println!("$ {}", describe(command));
    run(command)
}

fn fmt() -> Result<Outcome> {
    sh(&mut cargo(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn layers() -> Result<Outcome> {
    arrows::run()?;
    Ok(Outcome::Passed)
}

fn plain_words() -> Result<Outcome> {
    words::run(false)?;
    Ok(Outcome::Passed)
}

fn generated() -> Result<Outcome> {
    codegen::run(true)?;
    Ok(Outcome::Passed)
}

fn count() -> Result<Outcome> {
    packages::print(&workspace::metadata()?)?;
    packages::check_main_example()?;
    Ok(Outcome::Passed)
}

fn deny() -> Result<Outcome> {
    if !on_path("cargo-deny") {
        return Ok(Outcome::NotRun("cargo-deny is not installed".to_owned()));
    }
    let mut command = cargo(["deny", "--all-features", "--log-level", "error", "check"]);
    sh(command.args(["bans", "licenses", "sources"]))?;
    Ok(Outcome::Passed)
}

/// This is a separate step because the advisories are downloaded from a server that not
/// every machine can reach.
fn advisories() -> Result<Outcome> {
    if !on_path("cargo-deny") {
        return Ok(Outcome::NotRun("cargo-deny is not installed".to_owned()));
    }
    let mut command = cargo(["deny", "--all-features", "check", "advisories"]);
    println!("$ {}", describe(&command));
    let output = output(&mut command)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("failed to fetch advisory database") {
        return Ok(Outcome::NotRun(
            "the advisories cannot be fetched from here".to_owned(),
        ));
    }
    eprint!("{said}");
    if !output.status.success() {
        bail!("`{}` ended with {}", describe(&command), output.status);
    }
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    let mut command = cargo(["clippy", "--locked", "--workspace", "--all-targets"]);
    sh(command.args(["--all-features", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

/// Builds every library by itself, because in a workspace build the features that one
/// crate enables also apply to the others and hide missing declarations. The generated
/// namespaces of the bindings are independent by construction and are not built one by
/// one.
fn features() -> Result<Outcome> {
    let metadata = workspace::metadata()?;
    for package in metadata.workspace_packages() {
        if package.publish.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let check = |feature: Option<&str>| {
            let mut command = cargo(["clippy", "--locked", "--lib", "--no-default-features"]);
            command.args(["--package", package.name.as_str()]);
            if let Some(feature) = feature {
                command.args(["--features", feature]);
            }
            sh(command.args(["--", "-D", "warnings"]))
        };
        check(None)?;
        let apart = |feature: &&String| *feature != "default" && !codegen::is_namespace(feature);
        for feature in package.features.keys().filter(apart) {
            check(Some(feature))?;
        }
    }
    Ok(Outcome::Passed)
}

fn doc() -> Result<Outcome> {
    sh(cargo([
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--all-features",
    ])
    .env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}

fn test() -> Result<Outcome> {
    sh(&mut cargo(README_TESTS))?;
    Ok(Outcome::Passed)
}

/// Tests the leaf crates again with all their features: their commands, and the codec
/// with every type of the schema. The tests of the other crates enable the features that
/// they need, so the README's command covers them.
fn optional() -> Result<Outcome> {
    let mut command = cargo([
        "test",
        "--locked",
        "--all-features",
        "--lib",
        "--bins",
        "--tests",
    ]);
    for package in ["guestinfo", "vim25", "vmx-config"] {
        command.args(["--package", package]);
    }
    sh(&mut command)?;
    let mut command = cargo(["test", "--locked", "--all-features", "--test", "features"]);
    sh(command.args(["--package", "disk-image"]))?;
    Ok(Outcome::Passed)
}

fn example() -> Result<Outcome> {
    example::run()
}

fn costs() -> Result<Outcome> {
    measured::unless_unchanged("cost", cost::run)
}

fn codec() -> Result<Outcome> {
    measured::unless_unchanged("codec", bench_peers::gate)
}

fn peers() -> Result<Outcome> {
    interop::start(&interop::Args::default())?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    #[test]
    fn steps_run_in_the_order_of_the_gate() {
        let names = ["doc".to_owned(), "fmt".to_owned()];
        let selected: Vec<&str> = select(&names)
            .unwrap()
            .iter()
            .map(|step| step.name)
            .collect();
        assert_eq!(selected, ["fmt", "doc"]);
        assert_eq!(select(&[]).unwrap().len(), STEPS.len());
    }

    #[test]
    fn the_readme_tells_people_to_run_what_the_gate_runs() {
        let readme = std::fs::read_to_string(workspace::root().join("README.md")).unwrap();
        for command in [README_TESTS, README_JOB] {
            let line = format!("$ cargo {}", command.join(" "));
            assert!(readme.lines().any(|told| told == line), "{line}");
        }
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let Err(error) = select(&["lint".to_owned()]) else {
            panic!("there is no step `lint`")
        };
        assert!(
            error
                .to_string()
                .contains("no step `lint`; it has fmt, arrows")
        );
    }
}
