//! Runs the docker command, and the front end that it connects to.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::{Background, output, run};

const PATIENCE: Duration = Duration::from_secs(60);

/// The commands that were run, by their first word and by their first two words.
static RAN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Returns the docker commands that this process has run, by their first word and by their first
/// two words.
pub(super) fn ran() -> BTreeSet<String> {
    RAN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn record(mut words: impl Iterator<Item = String>) {
    let mut ran = RAN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = words.next() {
        if let Some(second) = words.next() {
            ran.insert(format!("{first} {second}"));
        }
        ran.insert(first);
    }
}

/// A front end in the background, with a directory of its own; dropping it stops and removes both.
#[derive(Debug)]
pub(super) struct FrontEnd {
    directory: tempfile::TempDir,
    lines: Vec<String>,
    server: Background,
}

impl FrontEnd {
    /// Starts a front end for scripted containers.
    pub(super) fn scripted(program: &Path) -> Result<Self> {
        Self::start(program, tempfile::tempdir()?, &["--scripted"], 1)
    }

    /// Starts the front end, and waits for the `lines` lines that it prints when it is ready.
    pub(super) fn start(
        program: &Path,
        directory: tempfile::TempDir,
        arguments: &[&str],
        lines: usize,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command, directory, lines)
    }

    /// Starts a front end by a command, to which the directory is added.
    pub(super) fn spawn(
        mut command: Command,
        directory: tempfile::TempDir,
        lines: usize,
    ) -> Result<Self> {
        command.arg("--directory").arg(directory.path());
        let mut server = Background::start(&mut command)?;
        let mut printed = Vec::new();
        while printed.len() < lines {
            printed.push(server.wait_for_line(PATIENCE, |line| Some(line.to_owned()))?);
        }
        Ok(Self {
            directory,
            lines: printed,
            server,
        })
    }

    /// Stops the front end and returns its directory.
    pub(super) fn stop(self) -> tempfile::TempDir {
        let Self {
            directory, server, ..
        } = self;
        drop(server);
        directory
    }

    /// Returns the printed lines, which contain the options to connect.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns the id of the front end's process.
    pub(super) fn process(&self) -> u32 {
        self.server.id()
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a docker command that connects through the Unix socket.
    pub(super) fn docker(&self) -> Docker {
        Docker::on_socket(
            &self.directory.path().join("docker.sock"),
            self.directory.path().join("config"),
        )
    }

    /// Returns a docker command with other options.
    pub(super) fn docker_with(&self, options: &[&str]) -> Docker {
        Docker {
            options: options.iter().map(|&option| option.to_owned()).collect(),
            ..self.docker()
        }
    }
}

/// The docker command for one front end.
#[derive(Debug)]
pub(super) struct Docker {
    options: Vec<String>,
    /// A configuration directory instead of the user's, which must not affect the checks.
    config: PathBuf,
    /// The version of the API to use, instead of the newest that both sides support.
    api: Option<&'static str>,
}

impl Docker {
    /// Returns a docker command that connects through a Unix socket.
    pub(super) fn on_socket(socket: &Path, config: PathBuf) -> Self {
        Self {
            options: vec!["-H".into(), format!("unix://{}", socket.display())],
            config,
            api: None,
        }
    }

    /// Makes the command use this version of the API.
    pub(super) fn api(self, version: &'static str) -> Self {
        let api = Some(version);
        Self { api, ..self }
    }

    pub(super) fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let words = arguments.iter().take(2);
        record(words.map(|word| word.as_ref().to_string_lossy().into_owned()));
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_HOST")
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_CONFIG", &self.config)
            .envs(self.api.map(|version| ("DOCKER_API_VERSION", version)))
            .args(&self.options)
            .args(arguments);
        command
    }

    /// Runs docker with these arguments.
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

    /// Runs docker and fails unless it succeeds.
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

    /// Runs docker in a terminal, types some keys shortly after its start, and waits until it exits.
    pub(super) fn terminal(&self, arguments: &str, keys: &str) -> Result<Answer> {
        /// Keys typed before the command reads them are lost, as with a real terminal.
        const BEFORE_TYPING: Duration = Duration::from_millis(1500);
        let line = self.line(arguments);
        let mut child = self.script(&line).spawn().context("start script")?;
        if let Some(mut input) = child.stdin.take() {
            if !keys.is_empty() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a person waits for the prompt before typing"
                )]
                std::thread::sleep(BEFORE_TYPING);
            }
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
            return Ok(Answer::new(line, &ended));
        }
        anyhow::bail!("the script command has no standard input")
    }

    /// Runs docker in a terminal of 20 rows and 70 columns, resizes the terminal again and again
    /// once the container has printed something, and waits until docker exits.
    ///
    /// One resize is not enough: docker sends the size that it read after the start, and only then
    /// listens for changes, so it misses one in between. Each turn ends with the size asked for.
    pub(super) fn resized_terminal(
        &self,
        arguments: &str,
        rows: u16,
        columns: u16,
    ) -> Result<Answer> {
        let line = self.line(arguments);
        let directory = tempfile::tempdir()?;
        let resize = directory.path().join("resize");
        run(Command::new("mkfifo").arg(&resize))?;
        // Like a window manager: docker only gets the signal.
        let resizes = format!(
            "stty rows 20 cols 70; \
             {{ read now < {}; \
                while stty -F /dev/tty rows {rows} cols {other} \
                   && stty -F /dev/tty rows {rows} cols {columns}; do sleep 0.5; done; }} & \
             {line}; status=$?; kill $!; exit $status",
            resize.display(),
            other = columns.saturating_sub(1)
        );
        let mut child = self.script(&resizes).spawn().context("start script")?;
        // Script ends at the end of its input.
        let input = child.stdin.take();
        let mut output = child.stdout.take().context("the output of script")?;
        let mut out = vec![0];
        let first = output.read(&mut out)?;
        out.truncate(first);
        // Opened for both, a pipe does not wait for the other end.
        let mut now = OpenOptions::new().read(true).write(true).open(&resize)?;
        if first > 0 {
            now.write_all(b"\n")?;
        }
        output.read_to_end(&mut out)?;
        let mut ended = child.wait_with_output()?;
        drop(input);
        ended.stdout = out;
        Ok(Answer::new(line, &ended))
    }

    /// Returns a command line for a shell, and records that it is run.
    fn line(&self, arguments: &str) -> String {
        record(arguments.split(' ').take(2).map(str::to_owned));
        format!("docker {} {arguments}", self.options.join(" "))
    }

    /// Returns the command that runs a line in a new terminal.
    fn script(&self, line: &str) -> Command {
        let mut script = Command::new("timeout");
        script
            .args(["30", "script", "-qec", line, "/dev/null"])
            .env_remove("DOCKER_HOST")
            .env("DOCKER_CONFIG", &self.config)
            .envs(self.api.map(|version| ("DOCKER_API_VERSION", version)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        script
    }
}

/// The output and exit status of a command.
#[derive(Debug)]
pub(super) struct Answer {
    command: String,
    pub(super) status: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Answer {
    fn new(command: String, ended: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            command,
            status: ended.status.code().unwrap_or(-1),
            out: text(&ended.stdout),
            err: text(&ended.stderr),
        }
    }

    /// Checks the exit code.
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

    /// Checks that standard output is exactly this.
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

    /// Checks that standard output or standard error contains this.
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

    /// Checks the number of lines on standard output.
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
