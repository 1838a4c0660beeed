//! The docker command on our Docker front end.
//!
//! Most checks use scripted containers, so that they exercise only the front end and take
//! milliseconds. Some checks use real processes on the simulator.

mod between;
mod command;
mod compare;
mod complete;
mod containers;
mod engine;
pub(crate) mod figures;
mod image;
mod networks;
mod ports;
pub(crate) mod recorded;
mod refused;
mod registry;
mod save;
mod sdk;
mod session;
mod storage;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};

use self::command::{Docker, FrontEnd};
use self::registry::Registry;
use super::Peers;
use super::report::Report;
use crate::peers::Peer;
use crate::process::{on_path, run};

/// Runs all checks with the docker command.
///
/// # Errors
/// Fails when the front end does not start.
pub(super) fn checks(report: &mut Report, program: &Path, peers: &Peers) -> Result<()> {
    sdk::check(report, program, &peers.python, &peers.bollard);
    if !on_path("docker") {
        for (name, _) in CHECKS {
            report.not_run(name, "there is no docker command");
        }
        let dialects = session::NAMES.map(|(_, name)| name);
        for name in [
            PULL,
            between::NAME,
            ports::NAME,
            storage::RESTART,
            storage::FULL,
            save::NAME,
            save::SKOPEO,
            complete::NAME,
        ]
        .into_iter()
        .chain(dialects)
        {
            report.not_run(name, "there is no docker command");
        }
        return Ok(());
    }
    let front_end = FrontEnd::scripted(program)?;
    let docker = front_end.docker();
    for (name, check) in CHECKS {
        report.check(name, || check(&docker));
    }
    match Registry::missing() {
        Some(reason) => report.not_run(PULL, &reason),
        None => report.check(PULL, || pull(&docker)),
    }
    session::check(report, program);
    between::check(report, program);
    ports::check(report, program);
    storage::check(report, program);
    save::check(report, program);
    complete::check(report);
    Ok(())
}

/// Runs the same docker commands on our front end and on a real engine.
pub(super) fn compare(report: &mut Report, program: &Path, engine: &Peer) {
    if on_path("docker") {
        compare::check(report, program, engine);
        save::check_engine(report, program, engine);
    } else {
        for name in compare::names() {
            report.not_run(&name, "there is no docker command");
        }
        for name in save::names() {
            report.not_run(name, "there is no docker command");
        }
    }
}

type Check = fn(&Docker) -> Result<()>;

const PULL: &str = "docker pull, load, login, from a registry on loopback";

/// The checks in order: later ones use the image of the first.
const CHECKS: &[(&str, Check)] = &[
    ("docker version and info", about),
    ("docker import, images, history, inspect, tag, rmi", images),
    ("docker run, its output and exit codes", run_and_exit),
    ("docker run -it under a terminal, and detach", terminal),
    (
        "docker create, start, wait, stop, kill, restart",
        containers::life_cycle,
    ),
    ("docker ps with filters, and its columns", containers::list),
    ("docker logs", containers::logs),
    ("docker rm, --rm, and container prune", containers::remove),
    ("docker events", events),
    ("docker pause, unpause, rename, inspect", containers::paused),
    (
        "docker attach with input, and by two clients",
        containers::attached,
    ),
    (
        "docker port, and ps of published ports",
        containers::published,
    ),
    (
        "docker network create, connect, disconnect, rm, prune",
        networks::checks,
    ),
    ("docker system df and prune, image prune", containers::prune),
    ("docker's error messages", errors),
    ("refused commands, by name", refused::commands),
    ("refused options, by name", refused::options),
    ("options without effect, with a warning", refused::warnings),
];

fn about(docker: &Docker) -> Result<()> {
    docker
        .ok([
            "version",
            "--format",
            "{{.Server.Os}} {{.Server.APIVersion}}",
        ])?
        .is("linux 1.50\n")?;
    docker.ok(["info"])?.has("Server Version:")?;
    Ok(())
}

fn images(docker: &Docker) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let hello = directory.path().join("hello");
    std::fs::write(&hello, "not read by scripted containers\n")?;
    let tar = directory.path().join("root.tar");
    run(Command::new("tar")
        .arg("cf")
        .arg(&tar)
        .arg("-C")
        .arg(directory.path())
        .arg("hello"))?;
    let id = docker.ok([
        "import".as_ref(),
        "--change".as_ref(),
        r#"CMD ["/hello"]"#.as_ref(),
        "--message".as_ref(),
        "made here".as_ref(),
        tar.as_os_str(),
        "hello-world".as_ref(),
    ])?;
    id.has("sha256:")?;
    docker
        .ok(["images", "--format", "{{.Repository}}:{{.Tag}}"])?
        .is("hello-world:latest\n")?;
    docker
        .ok([
            "image",
            "inspect",
            "--format",
            "{{.Config.Cmd}}",
            "hello-world",
        ])?
        .is("[/hello]\n")?;
    docker
        .ok(["history", "--format", "{{.Comment}}", "hello-world"])?
        .is("made here\n")?;
    docker.ok(["tag", "hello-world", "other:1"])?.is("")?;
    docker.ok(["rmi", "other:1"])?.is("Untagged: other:1\n")?;
    docker
        .ok(["images", "-q", "--filter", "reference=other"])?
        .is("")
}

fn run_and_exit(docker: &Docker) -> Result<()> {
    docker
        .ok(["run", "--rm", "hello-world"])?
        .has("Hello from a scripted container!")?;
    docker
        .ok(["run", "--rm", "hello-world", "echo", "a", "b"])?
        .is("a b\n")?;
    let both = docker.run(["run", "--rm", "hello-world", "both"])?;
    ensure!(both.out == "out\n" && both.err == "err\n", "{both:?}");
    docker
        .ok([
            "run",
            "--rm",
            "-e",
            "A=1",
            "-h",
            "name",
            "hello-world",
            "env",
        ])?
        .has("HOSTNAME=name\nA=1\n")?;
    docker
        .run(["run", "--rm", "hello-world", "exit", "7"])?
        .code(7)?;
    docker
        .run(["run", "--rm", "hello-world", "nosuch"])?
        .code(127)?
        .has("exec: \"nosuch\": executable file not found in $PATH")?;
    docker
        .run(["run", "--rm", "-v", "/a:/b", "hello-world"])?
        .code(125)?;
    Ok(())
}

fn terminal(docker: &Docker) -> Result<()> {
    if !on_path("script") {
        println!("    without a terminal: there is no script command");
        return Ok(());
    }
    docker
        .terminal("run --rm -it hello-world", "")?
        .has("Hello from a scripted container!")?;
    // Ctrl-P, Ctrl-Q: detaches, and the container keeps running.
    docker
        .terminal(
            "run -it --name detached hello-world cat",
            "typed\u{10}\u{11}",
        )?
        .has("typed")?;
    docker
        .ok(["ps", "-q", "--filter", "name=detached"])?
        .lines(1)?;
    docker
        .terminal("attach detached", "\u{10}\u{11}")?
        .has("read escape sequence")?;
    docker.ok(["rm", "-f", "detached"])?.is("detached\n")
}

fn events(docker: &Docker) -> Result<()> {
    let mut seen = docker.background(["events", "--format", "{{.Type}} {{.Action}}"])?;
    // There is no sign that the subscription exists, so cause events until one arrives.
    let patience = std::time::Duration::from_secs(20);
    let is_seen = AtomicBool::new(false);
    let tagged = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_seen.load(Ordering::Relaxed) {
                let _ = docker.run(["tag", "hello-world", "event:1"]);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "nothing signals that the subscription exists"
                )]
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        let line = seen.wait_for_line(patience, |line| {
            (line == "image tag").then(|| line.to_owned())
        });
        is_seen.store(true, Ordering::Relaxed);
        line
    });
    tagged?;
    docker.ok(["run", "--rm", "hello-world"])?.has("Hello")?;
    for action in ["create", "attach", "start", "die", "destroy"] {
        let wanted = format!("container {action}");
        seen.wait_for_line(patience, |line| (line == wanted).then(|| line.to_owned()))?;
    }
    docker.ok(["rmi", "event:1"])?.lines(1)
}

fn errors(docker: &Docker) -> Result<()> {
    docker
        .ok(["create", "--name", "taken", "hello-world"])?
        .lines(1)?;
    let cases: &[(&[&str], i32, &str)] = &[
        (&["inspect", "nosuch"], 1, "Error: No such object: nosuch"),
        (
            &["rm", "nosuch"],
            1,
            "Error response from daemon: No such container: nosuch",
        ),
        (
            &["rmi", "nosuch"],
            1,
            "Error response from daemon: No such image: nosuch:latest",
        ),
        (
            &["start", "nosuch"],
            1,
            "Error response from daemon: No such container: nosuch",
        ),
        (
            &["run", "--name", "taken", "hello-world"],
            125,
            "Conflict. The container name \"/taken\" is already in use by container",
        ),
        (
            &["run", "--name", "a b", "hello-world"],
            125,
            "Invalid container name (a b)",
        ),
        (&["kill", "taken"], 1, "is not running"),
        (&["rmi", "hello-world"], 1, "is using its referenced image"),
        (
            &["run", "-w", "here", "hello-world"],
            125,
            "needs to be an absolute path",
        ),
        (
            &["run", "-m", "1m", "hello-world"],
            125,
            "Minimum memory limit allowed is 6MB",
        ),
    ];
    for (arguments, code, message) in cases {
        docker
            .run(arguments.iter().copied())?
            .code(*code)?
            .has(message)?;
    }
    docker.ok(["rm", "taken"])?.is("taken\n")
}

fn pull(docker: &Docker) -> Result<()> {
    let registry = Registry::start()?;
    let name = registry.fill("hello:1", b"not read by scripted containers\n")?;
    docker
        .ok(["pull", &name])?
        .has("Pulling from hello\n")?
        .has("Pull complete\n")?
        .has("Digest: sha256:")?
        .has(&format!("Status: Downloaded newer image for {name}"))?;
    docker
        .ok(["pull", &name])?
        .has(&format!("Status: Image is up to date for {name}"))?;
    docker
        .ok(["run", "--rm", &name])?
        .has("Hello from a scripted container!")?;
    docker
        .ok([
            "image",
            "inspect",
            "--format",
            "{{len .RepoDigests}}",
            &name,
        ])?
        .is("1\n")?;
    docker.ok(["rmi", &name])?.has("Deleted: sha256:")?;
    let missing = name.replace("hello:1", "nosuch:1");
    let archive = registry.archive(&name, "loaded:1")?;
    docker
        .ok(["load".as_ref(), "-i".as_ref(), archive.as_os_str()])?
        .has("Loaded image: loaded:1")?;
    docker
        .ok(["run", "--rm", "loaded:1"])?
        .has("Hello from a scripted container!")?;
    docker.ok(["rmi", "loaded:1"])?.has("Untagged: loaded:1")?;
    let host = registry.address();
    docker
        .ok(["login", "-u", "me", "-p", "word", host])?
        .has("Login Succeeded")?;
    docker
        .ok(["logout", host])?
        .has("Removing login credentials")?;
    docker
        .run(["run", "--rm", &missing])?
        .code(125)?
        .has(&format!("Unable to find image '{missing}' locally"))?
        .has(&format!("manifest for {missing} not found"))?;
    docker
        .run(["pull", "127.0.0.1:1/a"])?
        .code(1)?
        .has("cannot reach 127.0.0.1:1")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    #[test]
    fn the_table_in_the_readme_names_each_check() {
        let readme = crate::workspace::root().join("examples/docker/README.md");
        let readme = std::fs::read_to_string(readme).unwrap();
        let rows = readme
            .lines()
            .skip_while(|line| *line != "| command | | check |");
        let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
        let named: Vec<&str> = rows
            .filter_map(|row| row.trim_end_matches('|').rsplit('|').next())
            .map(str::trim)
            .collect();
        let checks = CHECKS.iter().map(|(name, _)| *name);
        let others = [
            PULL,
            between::NAME,
            ports::NAME,
            sdk::PYTHON,
            sdk::BOLLARD,
            session::TLS,
            storage::RESTART,
            storage::FULL,
            save::NAME,
            save::SKOPEO,
            complete::NAME,
        ];
        let sessions = session::NAMES.map(|(_, name)| name);
        let all: Vec<&str> = checks.chain(others).chain(sessions).collect();
        for name in &named {
            assert!(all.contains(name), "no check has the name {name:?}");
        }
        // These do not belong to a single row.
        let other = ["docker's error messages", session::NAMES[1].1, save::SKOPEO];
        for name in all {
            let is_named = named.contains(&name) || other.contains(&name);
            assert!(is_named, "no row of the table names {name:?}");
        }
    }
}
