//! Checks that the front end refuses unsupported commands and options by name.

use anyhow::{Result, ensure};

use super::command::Docker;

/// Commands, with the name in their refusal.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["exec", "here", "ls"], "docker exec"),
    (&["cp", "here:/a", "-"], "docker cp"),
    (&["cp", "/dev/null", "here:/a"], "docker cp"),
    (&["diff", "here"], "docker diff"),
    (&["export", "here"], "docker export"),
    (&["commit", "here"], "docker commit"),
    (&["top", "here"], "docker top"),
    (&["update", "-m", "1g", "here"], "docker update"),
    (&["push", "hello-world"], "docker push"),
    (&["search", "a"], "docker search"),
    (&["volume", "ls"], "docker volume"),
    (&["volume", "create", "v"], "docker volume"),
    (&["swarm", "init"], "docker swarm"),
    (&["service", "ls"], "docker service"),
    (&["stack", "ls"], "docker service"),
    (&["node", "ls"], "docker node"),
    (&["secret", "ls"], "docker secret"),
    (&["config", "ls"], "docker config"),
    (&["plugin", "ls"], "docker plugin"),
];

/// Options of `docker create`, with the name in their refusal.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--restart", "always"], "The option --restart"),
    (&["-v", "/a:/b"], "The option --volume"),
    (&["-v", "/a"], "The option --volume"),
    (&["--mount", "type=tmpfs,target=/a"], "The option --mount"),
    (&["--tmpfs", "/a"], "The option --tmpfs"),
    (&["--health-cmd", "true"], "The option --health-cmd"),
    (&["--read-only"], "The option --read-only"),
    (&["--device", "/dev/null"], "The option --device"),
    (&["--dns", "10.0.0.1"], "The option --dns"),
    (&["--add-host", "a:10.0.0.1"], "The option --add-host"),
    (&["--cap-drop", "ALL"], "The option --cap-drop"),
    (
        &["--security-opt", "no-new-privileges"],
        "The option --security-opt",
    ),
    (&["--pids-limit", "10"], "The option --pids-limit"),
    (&["--sysctl", "net.core.somaxconn=1"], "The option --sysctl"),
    (&["--pid", "host"], "The option --pid"),
    (&["--ipc", "host"], "The option --ipc"),
    (&["--uts", "host"], "The option --uts"),
    (&["--gpus", "all"], "The option --gpus"),
    (&["--log-driver", "syslog"], "The option --log-driver"),
    (&["--domainname", "a.example"], "The option --domainname"),
    (&["--network", "host"], "The network mode host"),
    (&["--network", "none"], "The network mode none"),
    (&["-p", "80:80/sctp"], "Publishing the port 80/sctp"),
];

/// Options of `docker create` that have no effect, with the start of the warning.
const WARNINGS: &[(&[&str], &str)] = &[
    (&["--privileged"], "--privileged has no effect"),
    (&["--cap-add", "NET_ADMIN"], "--cap-add has no effect"),
    (&["--cpu-shares", "5"], "--cpu-shares has no effect"),
    (&["--shm-size", "1m"], "--shm-size has no effect"),
    (&["--init"], "--init has no effect"),
    (&["--oom-score-adj", "5"], "--oom-score-adj has no effect"),
    (
        &["--memory-swap", "1g", "-m", "1g"],
        "--memory-swap has no effect",
    ),
    (&["--blkio-weight", "100"], "--blkio-weight has no effect"),
];

pub(super) fn commands(docker: &Docker) -> Result<()> {
    docker
        .ok(["create", "--name", "here", "hello-world"])?
        .lines(1)?;
    for (arguments, what) in COMMANDS {
        refuses(docker, arguments, what)?;
    }
    // The docker command refuses this one itself.
    docker
        .run(["checkpoint", "ls", "here"])?
        .code(1)?
        .has("only supported on a Docker daemon with experimental features")?;
    let directory = tempfile::tempdir()?;
    std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\n")?;
    let directory = directory.path().display().to_string();
    refuses(docker, &["build", &directory], "docker build")?;
    refuses(docker, &["stats", "--no-stream", "here"], "docker stats")?;
    docker.ok(["rm", "here"])?.is("here\n")
}

pub(super) fn options(docker: &Docker) -> Result<()> {
    for (options, what) in OPTIONS {
        let arguments: Vec<&str> = ["create"]
            .iter()
            .chain(*options)
            .chain(&["hello-world"])
            .copied()
            .collect();
        refuses(docker, &arguments, what)?;
    }
    docker.ok(["ps", "-aq"])?.is("")
}

pub(super) fn warnings(docker: &Docker) -> Result<()> {
    for (options, warning) in WARNINGS {
        let arguments = ["create", "--name", "warned"].iter().chain(*options);
        docker
            .ok(arguments.chain(&["hello-world"]))?
            .has(&format!("WARNING: {warning}"))?;
        docker.ok(["rm", "warned"])?.is("warned\n")?;
    }
    Ok(())
}

fn refuses(docker: &Docker, arguments: &[&str], what: &str) -> Result<()> {
    let answer = docker.run(arguments)?;
    ensure!(
        answer.status != 0,
        "`docker {}` was not refused",
        arguments.join(" ")
    );
    answer.has(&format!("{what} is not supported by this host"))?;
    Ok(())
}
