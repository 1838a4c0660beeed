//! Runs the same docker commands on our front end and on a real engine: exit codes and output
//! must be equal, except for identities, times and addresses.
//!
//! Both run real processes from the same image: a static busybox from Debian. Each deliberate
//! difference has a reason in [`steps`] and in the front end's README; the check also fails if
//! it no longer occurs.

mod plain;
mod steps;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use self::plain::plain;
use self::steps::{Look, SCRIPTS, Step};
use super::command::{Docker, FrontEnd};
use super::engine::Engine;
use super::image;
use super::registry::Registry;
use crate::interop::report::Report;
use crate::peers::Peer;
use crate::process::{capture, run};

/// The newest API version that Debian's engine supports. Both sides use it, so that the docker
/// command behaves the same with both.
const API: &str = "1.41";

/// Returns the names of all comparisons.
pub(super) fn names() -> impl Iterator<Item = String> {
    SCRIPTS
        .iter()
        .map(|(name, _)| format!("docker and a real engine: {name}"))
}

pub(super) fn check(report: &mut Report, program: &Path, engine: &Peer) {
    let missing = Engine::missing(engine).or_else(Registry::missing);
    let here = if image::RUNS_HERE {
        None
    } else {
        Some(image::ELSEWHERE.to_owned())
    };
    let sides = match (missing.or(here), engine) {
        (
            None,
            Peer::Had {
                program: dockerd, ..
            },
        ) => Sides::start(program, dockerd),
        (reason, _) => Err(anyhow!(reason.unwrap_or_default())),
    };
    let sides = match sides {
        Ok(sides) => sides,
        Err(reason) => {
            for name in names() {
                report.not_run(&name, &format!("{reason:#}"));
            }
            return;
        }
    };
    for ((_, steps), name) in SCRIPTS.iter().zip(names()) {
        report.check(&name, || sides.compare(steps));
    }
}

/// The two engines.
struct Sides {
    registry: Registry,
    ours: FrontEnd,
    theirs: Engine,
}

impl Sides {
    /// Starts both engines, with the same images.
    fn start(program: &Path, dockerd: &Path) -> Result<Self> {
        let registry = Registry::start()?;
        registry.fill("hello:1", &image::prints("Hello from an image\n"))?;
        let theirs = Engine::start(dockerd, Some(&registry))?;
        let ours = FrontEnd::start(program, tempfile::tempdir()?, &[], 1)?;
        let sides = Self {
            registry,
            ours,
            theirs,
        };
        for docker in [sides.ours.docker(), sides.theirs.docker()] {
            import_box(&docker, dockerd)?;
        }
        Ok(sides)
    }

    fn compare(&self, steps: &[Step]) -> Result<()> {
        let registry = self.registry.address();
        let (ours, theirs) = (self.ours.docker().api(API), self.theirs.docker().api(API));
        let all = |docker: &Docker| -> Result<Vec<Seen>> {
            steps
                .iter()
                .map(|step| Seen::of(docker, step, registry))
                .collect()
        };
        let (ours, theirs) = thread::scope(|scope| {
            let ours = scope.spawn(|| all(&ours));
            let theirs = all(&theirs);
            let ours = ours
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a step panicked")));
            (ours, theirs)
        });
        let mut differences = String::new();
        for (step, (ours, theirs)) in steps.iter().zip(ours?.iter().zip(&theirs?)) {
            match (ours == theirs, step.differs) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(_)) => {
                    writeln!(differences, "docker {}\n  no longer differs", step.line)?;
                }
                (false, None) => writeln!(
                    differences,
                    "docker {}\n  here:   {ours:?}\n  engine: {theirs:?}",
                    step.line
                )?,
            }
        }
        if !differences.is_empty() {
            bail!("{differences}");
        }
        Ok(())
    }
}

/// The result of a step, in which the parts that differ in each run are replaced.
#[derive(Debug, PartialEq)]
struct Seen {
    status: i32,
    out: String,
    err: String,
}

impl Seen {
    fn of(docker: &Docker, step: &Step, registry: &str) -> Result<Self> {
        let line = step.line.replace("REGISTRY", registry);
        let answer = match step.look {
            Look::Terminal(keys) => docker.terminal(&line, keys)?,
            Look::Resized(rows, columns) => docker.resized_terminal(&line, rows, columns)?,
            _ => docker.run(words(&line))?,
        };
        let text = |text: &str| match step.look {
            Look::Status => String::new(),
            Look::Sorted => {
                let text = plain(text);
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            }
            _ => plain(text),
        };
        Ok(Self {
            status: answer.status,
            out: text(&answer.out),
            // Ignores case, because newer engines begin messages in lower case.
            err: text(&answer.err).to_ascii_lowercase(),
        })
    }
}

/// Splits a line at its spaces, except between single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Imports the image `box`: the busybox that was unpacked with the engine.
pub(super) fn import_box(docker: &Docker, dockerd: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tar = root_fs(dockerd, directory.path()).context("make an image of busybox")?;
    docker.ok([
        "import".as_ref(),
        "--change".as_ref(),
        r#"CMD ["sh"]"#.as_ref(),
        "--change".as_ref(),
        "ENV PATH=/bin".as_ref(),
        tar.as_os_str(),
        "box".as_ref(),
    ])?;
    Ok(())
}

/// Creates the tar archive of a root file system that contains busybox, and a link for each of
/// its commands.
fn root_fs(dockerd: &Path, directory: &Path) -> Result<PathBuf> {
    let packages = dockerd.ancestors().nth(3).context("the packages")?;
    let root = directory.join("root");
    let bin = root.join("bin");
    for folder in [&bin, &root.join("etc"), &root.join("tmp")] {
        std::fs::create_dir_all(folder)?;
    }
    let busybox = bin.join("busybox");
    std::fs::copy(packages.join("bin/busybox"), &busybox)?;
    for name in capture(Command::new(&busybox).arg("--list"))?.lines() {
        let link = bin.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink("busybox", link)?;
        }
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    std::fs::write(root.join("etc/group"), "root:x:0:\n")?;
    let tar = directory.join("root.tar");
    run(Command::new("tar")
        .arg("cf")
        .arg(&tar)
        .arg("-C")
        .arg(&root)
        .arg("."))?;
    Ok(tar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_except_between_quotes() {
        assert_eq!(
            words("run box sh -c 'echo a  b' "),
            ["run", "box", "sh", "-c", "echo a  b"]
        );
    }

    #[test]
    fn the_readme_has_each_difference() -> Result<()> {
        let readme = crate::workspace::root().join("examples/docker/README.md");
        let readme = std::fs::read_to_string(readme)?;
        let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
        let readme = readme.to_lowercase();
        for step in SCRIPTS.iter().flat_map(|(_, steps)| *steps) {
            if let Some(reason) = step.differs {
                anyhow::ensure!(
                    readme.contains(&reason.to_lowercase()),
                    "the README lacks: {reason}"
                );
            }
        }
        Ok(())
    }
}
