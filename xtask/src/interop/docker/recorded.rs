//! Records the first session, with the output of the docker command, for the documentation.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::command::{Docker, FrontEnd};
use super::registry::Registry;
use super::{image, session};
use crate::workspace;

/// What to record.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The built front end
    #[arg(long, value_name = "PROGRAM", default_value = "target/debug/docker")]
    front_end: PathBuf,
}

const FILE: &str = "examples/docker/SESSION.md";
const HEAD: &str = "# A recorded session

Recorded by `cargo xtask record-docker` with the real docker command, a registry on loopback and
the front end on the simulator, started with `--tls 127.0.0.1:2376 --dialect 0.4 --host vch`. The
process is a real one. The certificate of the front end's authority is where the docker command
looks for it.

";
const TEXT: &str = "\nHello from a machine!\n\n";
/// The keys in a container's `.vmx` that are recorded.
const KEYS: &str = "^guestinfo\\./(common/(id|name)|repo|sessions.*/cmd/Path) ";

/// Runs the session and records it.
///
/// # Errors
/// Fails when a required program is missing, or a command fails.
pub(crate) fn start(args: &Args) -> Result<()> {
    if let Some(reason) = Registry::missing() {
        anyhow::bail!("the session cannot be recorded: {reason}");
    }
    ensure!(image::RUNS_HERE, "{}", image::ELSEWHERE);
    let registry = Registry::start()?;
    let image = registry.fill("hello-world:latest", &image::prints(TEXT))?;
    let image = image.trim_end_matches(":latest");
    let tls = [
        "--tls",
        "127.0.0.1:2376",
        "--dialect",
        "0.4",
        "--host",
        "vch",
    ];
    let front_end = FrontEnd::start(&args.front_end, tempfile::tempdir()?, &tls, 2)?;
    session::trust(&front_end)?;
    let docker = front_end.docker_with(&["-H", "127.0.0.1:2376", "--tls"]);

    let mut text = HEAD.to_owned();
    text.push_str("```console\n");
    record(&mut text, &docker, "info")?;
    let run = format!("run -it --name jovial_ride {image}");
    let ran = docker.terminal(&run, "")?.code(0)?;
    writeln!(text, "$ docker -H 127.0.0.1:2376 --tls {run}")?;
    text.push_str(&screen(&ran.out));
    record(&mut text, &docker, "ps -a")?;
    let id = docker.ok(["ps", "-aq", "--no-trunc"])?.out;
    let vmx = session::find(front_end.directory(), id.trim())?;
    writeln!(text, "$ grep -E '{KEYS}' jovial_ride*/*.vmx")?;
    for key in [
        "guestinfo./common/id ",
        "guestinfo./common/name ",
        "guestinfo./repo ",
        "cmd/Path ",
    ] {
        let line = vmx.lines().find(|line| line.contains(key));
        writeln!(
            text,
            "{}",
            line.with_context(|| format!("no line with {key} in the .vmx"))?
        )?;
    }
    record(&mut text, &docker, "rm jovial_ride")?;
    record(&mut text, &docker, &format!("rmi {image}"))?;
    text.push_str("```\n");
    // Replaces a path that differs in each run.
    let directory = front_end.directory().display().to_string();
    let text = text.replace(&directory, "/tmp/portlayer-docker");
    // The placeholder has the same length if the port has five digits, so columns stay aligned.
    let text = text.replace(registry.address(), "127.0.0.1:50000");
    let path = workspace::root().join(FILE);
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    println!("wrote {FILE}");
    Ok(())
}

/// Runs a command, and appends the command and its output to `text`.
fn record(text: &mut String, docker: &Docker, line: &str) -> Result<()> {
    let answer = docker.ok(line.split(' '))?;
    writeln!(text, "$ docker -H 127.0.0.1:2376 --tls {line}")?;
    for line in answer.out.lines() {
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Returns the final lines on a terminal, without those that were overwritten by progress.
fn screen(output: &str) -> String {
    let mut rows: Vec<String> = Vec::new();
    let mut row = 0;
    let mut rest = output;
    while let Some(next) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
            let end = sequence
                .find(|c: char| c.is_ascii_alphabetic())
                .unwrap_or(sequence.len());
            let count = sequence[..end].parse().unwrap_or(1);
            match sequence[end..].chars().next() {
                Some('A') => row = usize::saturating_sub(row, count),
                Some('B') => row += count,
                Some('K') if row < rows.len() => rows[row].clear(),
                _ => {}
            }
            rest = sequence.get(end + 1..).unwrap_or_default();
            continue;
        }
        match next {
            '\n' => row += 1,
            '\r' => {}
            shown => {
                if rows.len() <= row {
                    rows.resize(row + 1, String::new());
                }
                rows[row].push(shown);
            }
        }
        rest = &rest[next.len_utf8()..];
    }
    if rows.len() < row {
        rows.resize(row, String::new());
    }
    rows.iter()
        .map(|row| format!("{}\n", row.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::screen;

    #[test]
    fn overwritten_lines_are_returned_in_their_final_state() {
        let output =
            "a: Pulling\r\nb: Pulling\r\n\u{1b}[2A\u{1b}[2K\ra: done\r\u{1b}[2Bend\r\n\r\n";
        assert_eq!(screen(output), "a: done\nb: Pulling\nend\n\n");
    }
}
