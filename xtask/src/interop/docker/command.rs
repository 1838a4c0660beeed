//! The docker command, and the front end it is pointed at.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::{Background, output};

const PATIENCE: Duration = Duration::from_secs(60);

/// A front end in the background, with a directory of its own; both go when it is dropped.
#[derive(Debug)]
pub(super) struct FrontEnd {
    directory: tempfile::TempDir,
    lines: Vec<String>,
    _server: Background,
}

impl FrontEnd {
    /// Serves scripted containers.
    pub(super) fn scripted(program: &Path) -> Result<Self> {
        Self::start(program, tempfile::tempdir()?, &["--scripted"], 1)
    }

    /// Starts the front end, which prints `lines` lines once it serves.
    pub(super) fn start(
        program: &Path,
        directory: tempfile::TempDir,
        arguments: &[&str],
        lines: usize,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("--directory")
            .arg(directory.path())
            .args(arguments);
        let mut server = Background::start(&mut command)?;
        let mut printed = Vec::new();
        while printed.len() < lines {
            printed.push(server.wait_for_line(PATIENCE, |line| Some(line.to_owned()))?);
        }
        Ok(Self {
            directory,
            lines: printed,
            _server: server,
        })
    }

    /// What it printed: how to reach it.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The docker command, by the Unix socket.
    pub(super) fn docker(&self) -> Docker {
        let socket = self.directory.path().join("docker.sock");
        Docker {
            options: vec!["-H".into(), format!("unix://{}", socket.display())],
            config: self.directory.path().join("config"),
        }
    }

    /// The docker command with other options.
    pub(super) fn docker_with(&self, options: &[&str]) -> Docker {
        Docker {
            options: options.iter().map(|&option| option.to_owned()).collect(),
            ..self.docker()
        }
    }
}

/// The docker command on one front end.
#[derive(Debug)]
pub(super) struct Docker {
    options: Vec<String>,
    /// Not the user's own: what is there must not matter.
    config: PathBuf,
}

impl Docker {
    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_CONFIG", &self.config)
            .args(&self.options)
            .args(arguments);
        command
    }

    /// Runs it.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Answer> {
        let mut command = self.command(arguments);
        let ended = output(&mut command)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Answer {
            command: crate::process::describe(&command),
            status: ended.status.code().unwrap_or(-1),
            out: text(&ended.stdout),
            err: text(&ended.stderr),
        })
    }

    /// Runs it, and expects it to succeed.
    pub(super) fn ok<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Answer> {
        self.run(arguments)?.code(0)
    }

    pub(super) fn background<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Background> {
        Background::start(&mut self.command(arguments))
    }

    /// Runs it under a terminal, types some keys a moment after the start, and ends when it ends.
    pub(super) fn terminal(&self, arguments: &str, keys: &str) -> Result<Answer> {
        /// Keys that are typed before the command reads them are lost, as in life.
        const BEFORE_TYPING: Duration = Duration::from_millis(1500);
        let line = format!("docker {} {arguments}", self.options.join(" "));
        let mut child = Command::new("timeout")
            .args(["30", "script", "-qec", &line, "/dev/null"])
            .env_remove("DOCKER_HOST")
            .env("DOCKER_CONFIG", &self.config)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start script")?;
        if let Some(mut input) = child.stdin.take() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a person waits for the prompt before typing"
            )]
            std::thread::sleep(BEFORE_TYPING);
            for key in keys.chars() {
                let _ = write!(input, "{key}");
                let _ = input.flush();
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a person types one key after the other"
                )]
                std::thread::sleep(Duration::from_millis(50));
            }
            let ended = child.wait_with_output()?;
            drop(input);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Ok(Answer {
                command: line,
                status: ended.status.code().unwrap_or(-1),
                out: text(&ended.stdout),
                err: text(&ended.stderr),
            });
        }
        anyhow::bail!("script has no input")
    }
}

/// What the command printed, and how it ended.
#[derive(Debug)]
pub(super) struct Answer {
    command: String,
    pub(super) status: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Answer {
    /// Expects an exit code.
    pub(super) fn code(self, expected: i32) -> Result<Self> {
        ensure!(
            self.status == expected,
            "`{}` ended with {} instead of {expected}\n{}{}",
            self.command,
            self.status,
            self.out,
            self.err
        );
        Ok(self)
    }

    /// Expects exactly this on the standard output.
    pub(super) fn is(self, expected: &str) -> Result<()> {
        ensure!(
            self.out == expected,
            "`{}` printed {:?} instead of {expected:?}\n{}",
            self.command,
            self.out,
            self.err
        );
        Ok(())
    }

    /// Expects this somewhere on the standard output or the error output.
    pub(super) fn has(self, expected: &str) -> Result<Self> {
        ensure!(
            self.out.contains(expected) || self.err.contains(expected),
            "`{}` did not print {expected:?} but\n{}{}",
            self.command,
            self.out,
            self.err
        );
        Ok(self)
    }

    /// Expects so many lines on the standard output.
    pub(super) fn lines(self, expected: usize) -> Result<()> {
        ensure!(
            self.out.lines().count() == expected,
            "`{}` printed {:?}, not {expected} lines",
            self.command,
            self.out
        );
        Ok(())
    }
}
