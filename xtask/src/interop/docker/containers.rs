//! Checks of the docker command's operations on containers.

use anyhow::{Result, ensure};

use super::command::Docker;

pub(super) fn life_cycle(docker: &Docker) -> Result<()> {
    docker
        .ok(["create", "--name", "life", "hello-world", "sleep"])?
        .lines(1)?;
    let state = |wanted: &str| {
        docker
            .ok([
                "inspect",
                "--format",
                "{{.State.Status}} {{.State.ExitCode}}",
                "life",
            ])?
            .is(&format!("{wanted}\n"))
    };
    state("created 0")?;
    docker.ok(["start", "life"])?.is("life\n")?;
    state("running 0")?;
    docker.ok(["stop", "life"])?.is("life\n")?;
    state("exited 143")?;
    docker.ok(["wait", "life"])?.is("143\n")?;
    docker.ok(["restart", "life"])?.is("life\n")?;
    state("running 0")?;
    docker.ok(["kill", "life"])?.is("life\n")?;
    docker.ok(["wait", "life"])?.is("137\n")?;
    docker.ok(["rm", "life"])?.is("life\n")?;
    // A container that ignores the stop signal.
    docker
        .ok(["run", "-d", "--name", "stubborn", "hello-world", "stubborn"])?
        .lines(1)?;
    docker
        .ok(["stop", "-t", "1", "stubborn"])?
        .is("stubborn\n")?;
    docker.ok(["wait", "stubborn"])?.is("137\n")?;
    docker.ok(["rm", "stubborn"])?.is("stubborn\n")
}

pub(super) fn paused(docker: &Docker) -> Result<()> {
    docker
        .ok(["run", "-d", "--name", "live", "hello-world", "sleep"])?
        .lines(1)?;
    let status = ["ps", "--filter", "name=live", "--format", "{{.Status}}"];
    docker.ok(["pause", "live"])?.is("live\n")?;
    docker.ok(status)?.has("(Paused)")?;
    docker
        .run(["pause", "live"])?
        .code(1)?
        .has("is already paused")?;
    docker.ok(["unpause", "live"])?.is("live\n")?;
    let after = docker.ok(status)?;
    ensure!(!after.out.contains("Paused"), "{after:?}");
    docker
        .run(["unpause", "live"])?
        .code(1)?
        .has("is not paused")?;
    docker.ok(["rename", "live", "renamed"])?.is("")?;
    docker.run(["inspect", "live"])?.code(1)?;
    let format = "{{.Name}} {{.Config.Image}} {{.State.Status}} {{.HostConfig.NetworkMode}}";
    docker
        .ok(["inspect", "--format", format, "renamed"])?
        .is("/renamed hello-world running bridge\n")?;
    docker.ok(["rm", "-f", "renamed"])?.is("renamed\n")
}

pub(super) fn attached(docker: &Docker) -> Result<()> {
    docker
        .ok(["run", "-d", "-i", "--name", "two", "hello-world", "cat"])?
        .lines(1)?;
    let patience = std::time::Duration::from_secs(20);
    let mut first = docker.background(["attach", "two"])?;
    let mut second = docker.background(["attach", "--no-stdin", "two"])?;
    let echoed = |line: &str| (line == "to and fro").then_some(());
    first.say("to and fro")?;
    first.wait_for_line(patience, echoed)?;
    // There is no sign that the second client is attached, so repeat the input until it has
    // received the echo.
    let is_attached = (0..100).any(|_| {
        first.say("to and fro").is_ok()
            && second
                .wait_for_line(std::time::Duration::from_millis(200), echoed)
                .is_ok()
    });
    ensure!(is_attached, "the second client receives no output");
    docker
        .ok(["logs", "--tail", "1", "two"])?
        .is("to and fro\n")?;
    docker.ok(["kill", "two"])?.is("two\n")?;
    docker.ok(["wait", "two"])?.is("137\n")?;
    docker.ok(["rm", "two"])?.is("two\n")
}

pub(super) fn list(docker: &Docker) -> Result<()> {
    docker
        .ok([
            "run",
            "-d",
            "--name",
            "up",
            "--label",
            "a=b",
            "hello-world",
            "sleep",
        ])?
        .lines(1)?;
    docker
        .run(["run", "--name", "down", "hello-world", "exit", "3"])?
        .code(3)?;
    docker
        .ok(["create", "--name", "new", "hello-world"])?
        .lines(1)?;
    let row = |name: &str, expected: &str| {
        let filter = format!("name={name}");
        let format = "{{.Image}}|{{.Command}}|{{.Status}}|{{.Names}}";
        docker
            .ok(["ps", "-a", "--filter", &filter, "--format", format])?
            .has(expected)
    };
    row("up", "hello-world|\"sleep\"|Up ")?;
    row("down", "hello-world|\"exit 3\"|Exited (3) ")?;
    row("new", "hello-world|\"/hello\"|Created|new")?;
    let names = |filter: &str, expected: &str| {
        docker
            .ok(["ps", "-a", "--filter", filter, "--format", "{{.Names}}"])?
            .is(expected)
    };
    names("label=a=b", "up\n")?;
    names("status=exited", "down\n")?;
    names("exited=3", "down\n")?;
    names("since=down", "new\n")?;
    names("ancestor=hello-world", "new\ndown\nup\n")?;
    docker.ok(["ps", "--format", "{{.Names}}"])?.is("up\n")?;
    docker.ok(["rm", "-f", "up", "down", "new"])?.lines(3)
}

pub(super) fn logs(docker: &Docker) -> Result<()> {
    docker
        .ok(["run", "--name", "log", "hello-world", "both"])?
        .is("out\n")?;
    let both = docker.run(["logs", "log"])?;
    ensure!(both.out == "out\n" && both.err == "err\n", "{both:?}");
    docker.ok(["logs", "--tail", "1", "log"])?.is("")?;
    let stamped = docker.ok(["logs", "-t", "log"])?;
    ensure!(
        stamped.out.ends_with("Z out\n") && stamped.out.starts_with("20"),
        "{stamped:?}"
    );
    docker.ok(["logs", "-f", "log"])?.is("out\n")?;
    docker.ok(["logs", "--since", "1h", "log"])?.is("out\n")?;
    docker.ok(["logs", "--until", "1h", "log"])?.is("")?;
    docker.ok(["rm", "log"])?.is("log\n")
}

pub(super) fn remove(docker: &Docker) -> Result<()> {
    docker
        .ok(["run", "-d", "--name", "on", "hello-world", "sleep"])?
        .lines(1)?;
    docker
        .run(["rm", "on"])?
        .code(1)?
        .has("cannot remove container \"/on\": container is running")?;
    docker.ok(["rm", "-f", "on"])?.is("on\n")?;
    docker
        .ok(["run", "--rm", "--name", "gone", "hello-world"])?
        .has("Hello")?;
    docker.ok(["ps", "-aq"])?.is("")?;
    docker
        .ok(["create", "--name", "left", "hello-world"])?
        .lines(1)?;
    docker
        .ok(["container", "prune", "-f"])?
        .has("Deleted Containers:")?;
    docker.ok(["ps", "-aq"])?.is("")
}

pub(super) fn published(docker: &Docker) -> Result<()> {
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "--expose",
        "81",
        "-p",
        "127.0.0.1::80",
    ];
    docker
        .ok(run.iter().chain(&["hello-world", "sleep"]))?
        .lines(1)?;
    let printed = docker.ok(["port", "web"])?.out;
    let at = printed
        .strip_prefix("80/tcp -> 127.0.0.1:")
        .unwrap_or_default();
    let at = at.trim_end();
    ensure!(at.parse::<u16>().is_ok(), "{printed:?}");
    docker
        .ok(["port", "web", "80"])?
        .is(&format!("127.0.0.1:{at}\n"))?;
    docker
        .run(["port", "web", "81"])?
        .code(1)?
        .has("No public port '81' published for web")?;
    docker
        .ok(["ps", "--format", "{{.Ports}}"])?
        .is(&format!("81/tcp, 127.0.0.1:{at}->80/tcp\n"))?;
    docker
        .run([
            "run",
            "--name",
            "other",
            "-p",
            &format!("127.0.0.1:{at}:80"),
            "hello-world",
        ])?
        .code(125)?
        .has(&format!(
            "Bind for 127.0.0.1:{at} failed: port is already allocated"
        ))?;
    docker.ok(["stop", "web"])?.is("web\n")?;
    docker.ok(["port", "web"])?.is("")?;
    docker.ok(["rm", "web", "other"])?.lines(2)
}

pub(super) fn prune(docker: &Docker) -> Result<()> {
    docker.ok(["system", "df"])?.has("Images")?;
    docker
        .ok(["create", "--name", "left", "hello-world"])?
        .lines(1)?;
    docker
        .ok(["system", "prune", "-f"])?
        .has("Deleted Containers:")?
        .has("Total reclaimed space:")?;
    docker.ok(["ps", "-aq"])?.is("")?;
    docker
        .ok(["builder", "prune", "-f"])?
        .has("Total reclaimed space: 0B")?;
    docker
        .ok(["image", "prune", "-f"])?
        .has("Total reclaimed space: 0B")?;
    docker.ok(["images", "-q"])?.lines(1)
}
