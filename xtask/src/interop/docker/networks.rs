//! Checks of the docker command's operations on networks.

use anyhow::{Result, ensure};

use super::command::Docker;

pub(super) fn checks(docker: &Docker) -> Result<()> {
    predefined(docker)?;
    user_defined(docker)
}

fn predefined(docker: &Docker) -> Result<()> {
    docker
        .ok(["network", "ls", "--format", "{{.Name}} {{.Driver}}"])?
        .is("bridge bridge\n")?;
    docker
        .ok(["network", "inspect", "--format", "{{.Scope}}", "bridge"])?
        .is("local\n")?;
    docker
        .run(["network", "rm", "bridge"])?
        .code(1)?
        .has("bridge is a pre-defined network and cannot be removed")?;
    Ok(())
}

fn user_defined(docker: &Docker) -> Result<()> {
    let options = [
        "--subnet",
        "10.9.0.0/24",
        "--gateway",
        "10.9.0.254",
        "--label",
        "tier=back",
    ];
    docker
        .ok(["network", "create"]
            .iter()
            .chain(&options)
            .chain(&["back"]))?
        .lines(1)?;
    docker
        .run(["network", "create", "back"])?
        .code(1)?
        .has("network with name back already exists")?;
    docker
        .run(["network", "create", "--subnet", "10.9.0.0/25", "other"])?
        .code(1)?
        .has("10.9.0.0/25")?;
    let format = "{{(index .IPAM.Config 0).Gateway}} {{.Labels.tier}} {{.Internal}}";
    docker
        .ok(["network", "inspect", "--format", format, "back"])?
        .is("10.9.0.254 back false\n")?;
    let run = [
        "run",
        "-d",
        "--name",
        "db",
        "--network",
        "back",
        "--ip",
        "10.9.0.7",
    ];
    docker
        .ok(run
            .iter()
            .chain(&["--network-alias", "store", "hello-world", "sleep"]))?
        .lines(1)?;
    let format =
        "{{range $name, $n := .NetworkSettings.Networks}}{{$name}}={{$n.IPAddress}} {{end}}";
    let connections = |expected: &str| {
        docker
            .ok(["inspect", "--format", format, "db"])?
            .has(expected)
            .map(drop)
    };
    connections("back=10.9.0.7")?;
    docker
        .run([
            "run",
            "--network",
            "back",
            "--ip",
            "10.9.0.7",
            "hello-world",
        ])?
        .code(125)?
        .has("db")?;
    docker
        .ok(["ps", "--filter", "network=back", "--format", "{{.Names}}"])?
        .is("db\n")?;
    docker.run(["network", "rm", "back"])?.code(1)?.has("db")?;
    docker.ok(["stop", "db"])?.is("db\n")?;
    docker.ok(["network", "connect", "bridge", "db"])?.is("")?;
    connections("bridge=")?;
    docker.ok(["network", "disconnect", "back", "db"])?.is("")?;
    let left = docker.ok(["inspect", "--format", format, "db"])?;
    ensure!(!left.out.contains("back"), "{left:?}");
    docker.ok(["network", "rm", "back"])?.is("back\n")?;
    docker.ok(["network", "create", "unused"])?.lines(1)?;
    docker
        .ok(["network", "prune", "-f"])?
        .has("Deleted Networks:\nunused")?;
    docker
        .ok(["ps", "-aq", "--no-trunc"])?
        .lines(docker.ok(["ps", "-aq"])?.out.lines().count())?;
    docker.ok(["container", "prune", "-f"])?;
    Ok(())
}
