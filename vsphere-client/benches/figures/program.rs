//! The measured programs: this client, govc and pyvmomi.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// Marks a process that runs a command and prints what it cost.
const MEASURE: &str = "FIGURES_MEASURE";
/// Time in which a peer has to print its next line.
const PATIENCE: Duration = Duration::from_secs(600);

/// The peers, as far as they are available.
pub(crate) struct Peers {
    pub(crate) govc: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
}

impl Peers {
    pub(crate) fn from_environment() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            govc: path("GOVC"),
            python: path("PYTHON"),
        }
    }

    /// Returns a govc command, or the reason why there is none.
    pub(crate) fn govc(&self, url: &str, arguments: &[&str]) -> Result<Command, String> {
        let program = self.govc.as_ref().ok_or("GOVC is not set")?;
        let mut command = Command::new(program);
        command.args(arguments).env("GOVC_URL", url);
        // A session that is cached on disk would make the next command cheaper.
        command
            .env("GOVC_INSECURE", "true")
            .env("GOVC_PERSIST_SESSION", "false");
        Ok(command)
    }

    /// Returns a command of the program `pyvmomi.py`, or the reason why there is none.
    pub(crate) fn pyvmomi(&self, url: &str, arguments: &[&str]) -> Result<Command, String> {
        let program = self.python.as_ref().ok_or("PYTHON is not set")?;
        let url = url::Url::parse(url).unwrap();
        let mut command = Command::new(program);
        command.args(["-c", include_str!("pyvmomi.py")]).args([
            url.host_str().unwrap(),
            &url.port_or_known_default().unwrap().to_string(),
            url.username(),
            url.password().unwrap_or_default(),
        ]);
        command.args(arguments);
        Ok(command)
    }
}

/// Returns this program as a process that does one piece of work.
pub(crate) fn ours(url: &str, work: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("FIGURES_WORK", work).env("FIGURES_URL", url);
    command
}

/// What a program cost.
pub(crate) struct Cost {
    /// The first line that it printed.
    pub(crate) printed: String,
    /// Processor time in seconds, user and system.
    pub(crate) cpu: f64,
    /// Wall time in seconds.
    pub(crate) elapsed: f64,
    /// Peak of the resident memory in KiB.
    pub(crate) memory: f64,
}

/// Runs a program to its end. The system adds up the children of a process, so a process of its own
/// runs each program.
pub(crate) fn cost(command: &Command) -> Result<Cost, String> {
    let mut outer = Command::new(std::env::current_exe().unwrap());
    outer.arg(command.get_program()).args(command.get_args());
    outer.env(MEASURE, "1");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    let output = tokio::task::block_in_place(|| outer.output()).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = error.lines().last().unwrap_or_default();
        return Err(format!("failed: {last}"));
    }
    let (printed, figures) = text.trim_end().rsplit_once('\n').unwrap();
    let figures: Vec<f64> = figures
        .split(' ')
        .map(|figure| figure.parse().unwrap())
        .collect();
    Ok(Cost {
        printed: printed.lines().next().unwrap_or_default().to_owned(),
        cpu: figures[0],
        elapsed: figures[1],
        memory: figures[2],
    })
}

/// Runs a program several times; returns the run with the median processor time.
pub(crate) fn median(rounds: usize, command: &Command) -> Result<Cost, String> {
    let costs: Result<Vec<Cost>, String> = (0..rounds).map(|_| cost(command)).collect();
    let mut costs = costs?;
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Ok(costs.swap_remove(rounds / 2))
}

/// Runs the command in the arguments and prints its cost, if this process is the one for that.
pub(crate) fn measures() -> Option<ExitCode> {
    std::env::var_os(MEASURE)?;
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().unwrap());
    let start = Instant::now();
    let status = command.args(arguments).env_remove(MEASURE).status();
    let elapsed = start.elapsed().as_secs_f64();
    if !status.unwrap().success() {
        return Some(ExitCode::FAILURE);
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("\n{cpu} {elapsed} {}", usage.max_rss());
    Some(ExitCode::SUCCESS)
}

/// A running program that prints a line when it has done a step, and waits for one before the next.
pub(crate) struct Steps {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    input: ChildStdin,
}

impl Steps {
    pub(crate) fn start(command: Command) -> Self {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take().unwrap();
        Self {
            child,
            lines,
            input,
        }
    }

    /// Waits for the next line.
    pub(crate) async fn line(&mut self) -> Result<String, String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.map_err(|_| "failed: it hangs".to_owned())?;
        line.unwrap()
            .ok_or_else(|| "failed: see its messages".into())
    }

    /// Lets the program take its next step.
    pub(crate) async fn next(&mut self) {
        self.input.write_all(b"\n").await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Lets the program end.
    pub(crate) async fn end(mut self) {
        self.next().await;
        drop(self.input);
        while let Ok(Some(_)) = self.lines.next_line().await {}
        self.child.wait().await.unwrap();
    }
}
