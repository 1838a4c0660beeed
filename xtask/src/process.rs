//! Runs other programs, to completion or in the background until dropped.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// The time that a program has to exit after a termination request.
const GRACE: Duration = Duration::from_secs(5);

/// Formats a command line as a person would type it, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| {
            let value = value?.to_string_lossy();
            let name = name.to_string_lossy();
            // A password in the environment must not appear in a log.
            Some(if name.contains("PASSWORD") {
                format!("{name}=…")
            } else {
                format!("{name}='{value}'")
            })
        })
        .collect();
    words.push(
        Path::new(command.get_program())
            .file_name()
            .unwrap_or(command.get_program())
            .to_string_lossy()
            .into_owned(),
    );
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// Returns whether `program` can be run from here.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Runs `command` to completion with our own standard streams.
///
/// # Errors
/// Fails when the command cannot be started or exits with a non-zero status.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start `{}`", describe(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", describe(command));
    }
    Ok(())
}

/// Runs `command` to completion and returns its standard output.
///
/// # Errors
/// Fails when the command cannot be started or exits with a non-zero status; the error
/// then contains what it wrote to both streams.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{}` ended with {}\n{}{}",
            describe(command),
            output.status,
            text,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

/// Runs `command` to completion with an empty standard input, and returns its
/// status and output.
///
/// # Errors
/// Fails when the command cannot be started.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start `{}`", describe(command)))
}

/// A program in the background, which is killed and reaped when dropped.
///
/// Its standard input stays open as long as this value lives, so a program that exits at
/// the end of its input exits even if this process is killed. It inherits our standard
/// error; its standard output is read line by line.
#[derive(Debug)]
pub(crate) struct Background {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Background {
    /// Starts `command`.
    ///
    /// # Errors
    /// Fails when the program cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = describe(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start `{name}`"))?;
        let input = child.stdin.take();
        let output = child
            .stdout
            .take()
            .ok_or_else(|| anyhow!("`{name}` has no standard output"))?;
        Ok(Self {
            name,
            child,
            input,
            lines: follow(output),
            seen: Vec::new(),
        })
    }

    /// Returns the id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line for which `pick` returns a value.
    ///
    /// # Errors
    /// Fails when the program closes its output, or `patience` runs out, before such a
    /// line; the error contains what was read.
    pub(crate) fn wait_for_line<T>(
        &mut self,
        patience: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    let picked = pick(&line);
                    self.seen.push(line);
                    if let Some(value) = picked {
                        return Ok(value);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!(
                    "`{}` did not print the awaited line within {patience:?}; it printed:\n{}",
                    self.name,
                    self.seen.join("\n")
                ),
                Err(RecvTimeoutError::Disconnected) => bail!(
                    "`{}` ended before the awaited line; it printed:\n{}",
                    self.name,
                    self.seen.join("\n")
                ),
            }
        }
    }

    /// Writes `line` and a newline to the program's standard input.
    ///
    /// # Errors
    /// Fails when the program no longer reads.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let input = self
            .input
            .as_mut()
            .ok_or_else(|| anyhow!("the input of `{}` is closed", self.name))?;
        writeln!(input, "{line}").with_context(|| format!("write to `{}`", self.name))
    }

    /// Waits for the program to exit. Returns whether it did so within `patience`.
    fn ended_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        // The output closes when the program exits, so no polling is needed.
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until the program exits by itself and returns everything it printed.
    ///
    /// # Errors
    /// Fails when the program exits with a non-zero status or `patience` runs out.
    pub(crate) fn finish(mut self, patience: Duration) -> Result<String> {
        let deadline = Instant::now() + patience;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        if Instant::now() >= deadline {
            bail!(
                "`{}` did not end within {patience:?}; it printed:\n{}",
                self.name,
                self.seen.join("\n")
            );
        }
        let status = self
            .child
            .wait()
            .with_context(|| format!("wait for `{}`", self.name))?;
        let printed = self.seen.join("\n");
        if !status.success() {
            bail!(
                "`{}` ended with {status}; it printed:\n{printed}",
                self.name
            );
        }
        Ok(printed)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.input.take());
        // SIGTERM is sent first, so that the program can remove its temporary files.
        // These calls fail only if the program has already exited.
        if !self.ended_within(Duration::ZERO) {
            let id = self.child.id().to_string();
            let _ = Command::new("kill")
                .args(["-TERM", &id])
                .stderr(Stdio::null())
                .status();
            if !self.ended_within(GRACE) {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
    }
}

/// Reads the lines of `output` in a separate thread, so that waiting for one
/// can time out and the program never blocks on a full pipe.
fn follow(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns a command that runs cargo: the same cargo that started this program, if one
/// did. The environment variables in which that cargo describes our own package are
/// removed. Otherwise, build scripts that read them would run again, and their dependents
/// would be rebuilt, whenever a person runs cargo.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(crate::workspace::root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_command_is_named_with_what_it_wrote() {
        let error = capture(&mut shell("echo broken >&2; exit 3"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("broken"),
            "{error}"
        );
    }

    #[test]
    fn a_background_program_is_spoken_to_and_finishes() {
        let mut echo =
            Background::start(&mut shell("echo ready; read word; echo got $word")).unwrap();
        echo.wait_for_line(Duration::from_secs(20), |line| {
            (line == "ready").then_some(())
        })
        .unwrap();
        echo.say("word").unwrap();
        assert_eq!(
            echo.finish(Duration::from_secs(20)).unwrap(),
            "ready\ngot word"
        );
    }

    #[test]
    fn a_background_program_that_ends_early_is_an_error_with_its_output() {
        let mut early = Background::start(&mut shell("echo something else")).unwrap();
        let error = early
            .wait_for_line(Duration::from_secs(20), |line| {
                (line == "ready").then_some(())
            })
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ended before") && error.contains("something else"),
            "{error}"
        );
    }

    #[test]
    fn a_dropped_background_program_is_gone() {
        let sleeper = Background::start(&mut shell("exec sleep 1000")).unwrap();
        let process = Path::new("/proc").join(sleeper.child.id().to_string());
        assert!(process.exists());
        drop(sleeper);
        assert!(!process.exists());
    }

    #[test]
    fn a_dropped_background_program_may_clean_up() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("clean");
        let script = format!(
            "trap 'touch {}; exit' TERM; echo ready; while :; do sleep 0.05; done",
            mark.display()
        );
        let mut tidy = Background::start(&mut shell(&script)).unwrap();
        tidy.wait_for_line(Duration::from_secs(20), |line| {
            (line == "ready").then_some(())
        })
        .unwrap();
        drop(tidy);
        assert!(mark.exists());
    }

    #[test]
    fn passwords_are_not_described() {
        let mut command = shell("true");
        command.env("GOVC_PASSWORD", "open sesame");
        assert!(!describe(&command).contains("sesame"));
    }
}
