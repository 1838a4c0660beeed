//! Measures the speed and memory of the front end and of a real engine.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::command::{Docker, FrontEnd};
use super::engine::Engine;
use super::registry::Registry;
use super::{compare, image};
use crate::peers::{self, Peer, engine};
use crate::process::{capture, run};
use crate::workspace;

/// The program and the sizes of the measurements.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The front end, built in release mode
    #[arg(long, value_name = "PROGRAM")]
    front_end: PathBuf,
    /// How many containers `docker ps -a` lists
    #[arg(long, default_value_t = 10_000)]
    containers: usize,
    /// The size of the pulled image in megabytes
    #[arg(long, default_value_t = 300)]
    image: usize,
    /// Megabytes that a container writes to its log
    #[arg(long, default_value_t = 300)]
    log: usize,
}

const ROUNDS: usize = 10;
const AT_ONCE: usize = 50;
const MEMORY_CONTAINERS: usize = 1_000;

/// Measures and prints a table in Markdown. A figure that cannot be measured is printed as not
/// measured, with the reason.
///
/// # Errors
/// Fails when the front end does not start.
pub(crate) fn start(args: &Args) -> Result<()> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let folder = peers::folder(&target);
    std::fs::create_dir_all(&folder)?;
    let peer = engine::get(&folder)?;
    let registry = match Registry::missing() {
        None => Ok(Registry::start()?),
        Some(reason) => Err(reason),
    };
    let theirs = match (&peer, Engine::missing(&peer)) {
        (Peer::Had { program, .. }, None) => {
            Engine::start(program, registry.as_ref().ok()).map_err(|error| format!("{error:#}"))
        }
        (_, reason) => Err(reason.unwrap_or_default()),
    };
    let ours = FrontEnd::start(&args.front_end, tempfile::tempdir()?, &[], 1)?;
    let sides = [
        Ok(ours.docker()),
        theirs.as_ref().map(Engine::docker).map_err(Clone::clone),
    ];

    println!("load before: {}\n", load());
    println!("| figure | target | front end | real engine |");
    println!("| --- | --- | --- | --- |");
    for docker in sides.iter().flatten() {
        image::import(docker, "hello", &image::prints("Hello\n"))?;
    }
    row("`docker version`", "", &sides, |docker| {
        Ok(milliseconds(median(|| version(docker))?))
    });
    let warm = "150 ms, and less than the engine's";
    row(
        "`run --rm hello` beyond `docker version`",
        warm,
        &sides,
        |docker| {
            let base = median(|| version(docker))?;
            let whole = median(|| timed(|| docker.ok(["run", "--rm", "hello"])?.is("Hello\n")))?;
            Ok(milliseconds(whole.saturating_sub(base)))
        },
    );
    row(
        "50 × `run --rm hello` at once beyond 50 × `docker version`",
        "3 s",
        &sides,
        |docker| {
            let base = at_once(docker, &["version"])?;
            let whole = at_once(docker, &["run", "--rm", "hello"])?;
            Ok(format!("{:.2} s", whole.saturating_sub(base).as_secs_f64()))
        },
    );
    pulled(args, &registry, &sides);
    logged(args, &peer, &sides);
    memory(&args.front_end, &ours)?;
    let containers = format!("`ps -a` with {} containers", args.containers);
    row(&containers, "400 ms", &sides[..1], |docker| {
        create_in_networks(&ours, args.containers.saturating_sub(MEMORY_CONTAINERS))?;
        let listed = median(|| timed(|| docker.ok(["ps", "-a"])?.lines(args.containers + 1)))?;
        Ok(milliseconds(listed))
    });
    println!("\nload after: {}", load());
    Ok(())
}

/// Measures a figure on each side and prints its row.
fn row(
    name: &str,
    target: &str,
    sides: &[Result<Docker, String>],
    measure: impl Fn(&Docker) -> Result<String>,
) {
    let mut cells = sides.iter().map(|side| match side {
        Ok(docker) => measure(docker).unwrap_or_else(|error| format!("not measured: {error:#}")),
        Err(reason) => format!("not measured: {reason}"),
    });
    let (ours, theirs) = (cells.next(), cells.next());
    let cell = |cell: Option<String>| cell.unwrap_or_default().replace('\n', " ");
    println!("| {name} | {target} | {} | {} |", cell(ours), cell(theirs));
}

fn timed(action: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    action()?;
    Ok(start.elapsed())
}

/// Returns the median of [`ROUNDS`] rounds, after a warm-up.
fn median(round: impl Fn() -> Result<Duration>) -> Result<Duration> {
    round()?;
    let mut times = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn version(docker: &Docker) -> Result<Duration> {
    timed(|| docker.ok(["version"]).map(drop))
}

/// Runs the same command [`AT_ONCE`] times concurrently; returns how long all of them take.
fn at_once(docker: &Docker, arguments: &[&str]) -> Result<Duration> {
    timed(|| {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..AT_ONCE)
                .map(|_| scope.spawn(|| docker.run_with_timeout(arguments)))
                .collect();
            let mut ended = all.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended.try_for_each(|ended| ended.unwrap_or_else(|_| anyhow::bail!("it panicked")))
        })
    })
}

/// Measures the pull of an image of incompressible data, and for comparison how long other tools
/// take to copy and unpack it.
fn pulled(args: &Args, registry: &Result<Registry, String>, sides: &[Result<Docker, String>]) {
    let name = format!("pull of {} MB", args.image);
    let target = "2 × the tools";
    let filled = registry
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|registry| {
            let filled = registry.fill("big:1", &image::noise(args.image << 20));
            filled.map_err(|error| format!("{error:#}"))
        });
    let image = match filled {
        Ok(image) => image,
        Err(reason) => {
            println!("| {name} | {target} | not measured: {reason} | |");
            return;
        }
    };
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    row(&name, target, sides, |docker| {
        timed(|| docker.ok(["pull", "-q", &image]).map(drop)).map(seconds)
    });
    let tools =
        copy_and_unpack(&image).map_or_else(|error| format!("not measured: {error:#}"), seconds);
    println!("| `skopeo copy` of it to a directory, and unpacking | | {tools} | |");
}

fn copy_and_unpack(image: &str) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("copy");
    timed(|| {
        run(Command::new("skopeo")
            .args([
                "copy",
                "--quiet",
                "--insecure-policy",
                "--src-tls-verify=false",
            ])
            .arg(format!("docker://{image}"))
            .arg(format!("dir:{}", copy.display())))?;
        for entry in std::fs::read_dir(&copy)? {
            let path = entry?.path();
            // The configuration is named by its digest, like the layers, but is smaller.
            if path.extension().is_none() && path.metadata()?.len() > 4096 {
                run(Command::new("tar")
                    .arg("xzf")
                    .arg(&path)
                    .arg("-C")
                    .arg(directory.path()))?;
            }
        }
        Ok(())
    })
}

/// Measures how fast a container writes output, and checks that its log is complete.
fn logged(args: &Args, peer: &Peer, sides: &[Result<Docker, String>]) {
    let name = format!(
        "{} MB written by a container, and its log complete",
        args.log
    );
    row(&name, "100 MB/s", sides, |docker| {
        let Peer::Had { program, .. } = peer else {
            anyhow::bail!("there is no busybox for its image");
        };
        compare::import_box(docker, program)?;
        let bytes = args.log * 1_000_000;
        let script = format!("yes {} | head -c {bytes}", "x".repeat(99));
        let took = timed(|| {
            docker.ok(["run", "-d", "--name", "log", "box", "sh", "-c", &script])?;
            docker.ok(["wait", "log"])?.is("0\n")
        })?;
        let read = docker.count(["logs", "log"])?;
        docker.ok(["rm", "log"])?;
        ensure!(read == bytes as u64, "the log has {read} of {bytes} bytes");
        Ok(format!("{:.0} MB/s", args.log as f64 / took.as_secs_f64()))
    });
}

/// Measures the memory of the front end with scripted containers, and with the simulator.
fn memory(program: &Path, simulated: &FrontEnd) -> Result<()> {
    let scripted = FrontEnd::scripted(program)?;
    image::import(&scripted.docker(), "hello", &image::prints("Hello\n"))?;
    create(&scripted, "bridge", MEMORY_CONTAINERS)?;
    create(simulated, "bridge", MEMORY_CONTAINERS)?;
    for (name, target, front_end) in [
        (
            "memory with 1,000 containers, without a simulator",
            "80 MB",
            &scripted,
        ),
        ("the same with the simulator in the process", "", simulated),
    ] {
        println!(
            "| {name} | {target} | {:.0} MB | |",
            resident(front_end.process())?
        );
    }
    Ok(())
}

/// Returns the resident memory of a process in MB.
fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    Ok(kib.context("the memory of the process")? * 1024.0 / 1e6)
}

/// Creates containers through the API, because the docker command is much slower.
fn create(front_end: &FrontEnd, network: &str, count: usize) -> Result<()> {
    let body = format!(r#"{{"Image":"hello","HostConfig":{{"NetworkMode":"{network}"}}}}"#);
    (0..count).try_for_each(|_| post(front_end, "/containers/create", &body))
}

/// Creates containers in networks of their own, because a network has 4,093 addresses.
fn create_in_networks(front_end: &FrontEnd, count: usize) -> Result<()> {
    const PER_NETWORK: usize = 4_000;
    for (number, made) in (0..count).step_by(PER_NETWORK).enumerate() {
        let network = format!("figures-{number}");
        let body = format!(r#"{{"Name":"{network}"}}"#);
        post(front_end, "/networks/create", &body)?;
        create(front_end, &network, PER_NETWORK.min(count - made))?;
    }
    Ok(())
}

/// Sends a request to create something.
fn post(front_end: &FrontEnd, path: &str, body: &str) -> Result<()> {
    let mut stream = UnixStream::connect(front_end.directory().join("docker.sock"))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    Ok(())
}

/// Returns the load average of the last minute, or `unknown`.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

impl Docker {
    /// Runs docker with a timeout: a busy engine may lose an event, for which the command waits.
    fn run_with_timeout(&self, arguments: &[&str]) -> Result<()> {
        let docker = self.command(arguments);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "120"]);
        command.arg(docker.get_program()).args(docker.get_args());
        for (name, value) in docker.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        capture(&mut command).map(drop)
    }

    /// Runs docker and returns the number of bytes on its standard output.
    fn count<A: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<u64> {
        let mut child = self.command(arguments).stdout(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().context("the output")?;
        let count = std::io::copy(&mut output, &mut std::io::sink())?;
        ensure!(child.wait()?.success(), "docker failed");
        Ok(count)
    }
}
