//! The first session of a new user, on the simulator: create a host, run `docker --tls info`,
//! run a container from a real image, check its output, run `ps -a`, and find the same values in
//! the `.vmx`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::command::{Docker, FrontEnd};
use super::image;
use super::registry::Registry;
use crate::interop::report::Report;

/// The session in each dialect of the keys.
pub(super) const NAMES: [(&str, &str); 2] = [
    (
        "0.4",
        "the first session in dialect 0.4: info by TLS, run -it, ps -a, the .vmx",
    ),
    (
        "1.x",
        "the first session in dialect 1.x: info by TLS, run -it, ps -a, the .vmx",
    ),
];
pub(super) const TLS: &str = "docker by TLS, with and without a client's certificate";
const TEXT: &str = "\nHello from a machine!\n\n";

pub(super) fn check(report: &mut Report, program: &Path) {
    report.check(TLS, || tls(program));
    for (dialect, name) in NAMES {
        if image::RUNS_HERE {
            report.check(name, || session(program, dialect));
        } else {
            report.not_run(name, image::ELSEWHERE);
        }
    }
}

/// Copies the front end's CA certificate to the docker command's configuration directory, where
/// the command expects it, even with `--tls`.
pub(super) fn trust(front_end: &FrontEnd) -> Result<()> {
    let config = front_end.directory().join("config");
    std::fs::create_dir_all(&config)?;
    std::fs::copy(
        front_end.directory().join("certs/ca.pem"),
        config.join("ca.pem"),
    )?;
    Ok(())
}

fn tls(program: &Path) -> Result<()> {
    let arguments = [
        "--scripted",
        "--tls",
        "127.0.0.1:0",
        "--tlsverify",
        "127.0.0.1:0",
    ];
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &arguments, 3)?;
    trust(&front_end)?;
    let (server_only, mutual) = (address(&front_end, 1)?, address(&front_end, 2)?);
    let docker = front_end.docker_with(&["-H", server_only, "--tls"]);
    docker.ok(["info"])?.has("Server Version:")?;
    // The port does not accept connections without TLS.
    let docker = front_end.docker_with(&["-H", server_only]);
    ensure!(docker.run(["info"])?.status != 0, "accepted without TLS");

    let docker = front_end.docker_with(&["-H", mutual, "--tls"]);
    ensure!(
        docker.run(["info"])?.status != 0,
        "accepted without a certificate"
    );
    // The certificate of another front end's authority, for the client and for the server.
    let other = FrontEnd::start(program, tempfile::tempdir()?, &arguments, 3)?;
    let with_at = |address: &str, authority: &FrontEnd, client: &FrontEnd| {
        let file = |of: &FrontEnd, name: &str| {
            let path = of.directory().join("certs").join(name);
            path.display().to_string()
        };
        let (ca, cert) = (file(authority, "ca.pem"), file(client, "cert.pem"));
        let key = file(client, "key.pem");
        let options = [
            "-H",
            address,
            "--tlsverify",
            "--tlscacert",
            &ca,
            "--tlscert",
            &cert,
            "--tlskey",
            &key,
        ];
        front_end.docker_with(&options).run(["info"])
    };
    let with = |authority, client| with_at(mutual, authority, client);
    with(&front_end, &front_end)?
        .code(0)?
        .has("Server Version:")?;
    with(&front_end, &other)?.code(1)?.has("tls: ")?;
    with(&other, &front_end)?.code(1)?.has("x509: ")?;

    // A directory of certificates that exists.
    let certificates = other.directory().join("certs").display().to_string();
    let arguments = [
        "--scripted",
        "--tlsverify",
        "127.0.0.1:0",
        "--certificates",
        &certificates,
    ];
    let third = FrontEnd::start(program, tempfile::tempdir()?, &arguments, 2)?;
    with_at(address(&third, 1)?, &other, &other)?.code(0)?;
    with_at(address(&third, 1)?, &other, &front_end)?.code(1)?;
    Ok(())
}

/// Returns the address in a line that the front end printed.
fn address(front_end: &FrontEnd, line: usize) -> Result<&str> {
    let option = front_end.lines()[line].split_once(" -H ");
    let (_, rest) = option.context("an address")?;
    rest.split(' ').next().context("an address")
}

fn session(program: &Path, dialect: &str) -> Result<()> {
    let arguments = [
        "--tls",
        "127.0.0.1:0",
        "--host",
        "vch",
        "--dialect",
        dialect,
    ];
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &arguments, 2)?;
    trust(&front_end)?;
    let docker = front_end.docker_with(&["-H", address(&front_end, 1)?, "--tls"]);
    docker.ok(["info"])?.has("Name: vch")?;
    let greeting = TEXT.replace('\n', "\r\n");
    // Only one of the sessions pulls the image from a registry, if a registry can run here.
    let registry = match Registry::missing() {
        None if dialect == "0.4" => Some(Registry::start()?),
        _ => None,
    };
    let image = match &registry {
        None => {
            image::import(&docker, "hello-world", &image::prints(TEXT))?;
            "hello-world".to_owned()
        }
        Some(registry) => registry.fill("hello-world:latest", &image::prints(TEXT))?,
    };
    let image = image.trim_end_matches(":latest");
    let ran = docker
        .terminal(&format!("run -it --name jovial_ride {image}"), "")?
        .code(0)?
        .has(&greeting)?;
    if registry.is_some() {
        ran.has(&format!("Unable to find image '{image}:latest' locally"))?
            .has("latest: Pulling from hello-world")?
            .has("Pull complete")?
            .has("Digest: sha256:")?
            .has(&format!(
                "Status: Downloaded newer image for {image}:latest"
            ))?;
    }
    docker.ok(["run", "--rm", image])?.is(TEXT)?;
    let id = docker.ok(["ps", "-aq", "--no-trunc"])?.out;
    let id = id.trim();
    row(&docker, id, image)?;
    docker
        .ok(["logs", "jovial_ride"])?
        .has("Hello from a machine!")?;
    let vmx = find(front_end.directory(), id)?;
    if dialect == "0.4" {
        for (key, value) in [
            ("common/id".to_owned(), id),
            ("common/name".to_owned(), "jovial_ride"),
            ("repo".to_owned(), image),
            (format!("sessions|{id}/cmd/Path"), "/hello"),
        ] {
            let line = format!("guestinfo./{key} = \"{value}\"");
            ensure!(
                vmx.lines().any(|written| written == line),
                "the .vmx does not contain the line {line}:\n{vmx}"
            );
        }
    }
    for value in [id, "jovial_ride", image, "/hello"] {
        ensure!(
            vmx.contains(value),
            "the .vmx does not contain {value:?}:\n{vmx}"
        );
    }
    docker.ok(["rm", "jovial_ride"])?.is("jovial_ride\n")?;
    docker.ok(["rmi", image])?.has("Deleted: sha256:")?;
    Ok(())
}

/// Checks the container's row in `docker ps -a`, as a user sees it.
fn row(docker: &Docker, id: &str, image: &str) -> Result<()> {
    let printed = docker.ok(["ps", "-a"])?.out;
    let (titles, row) = printed.trim_end().split_once('\n').context("two lines")?;
    let columns: Vec<&str> = titles
        .split("  ")
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .collect();
    let expected = [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ];
    ensure!(columns == expected, "the columns are {columns:?}");
    let cells: Vec<&str> = row
        .split("   ")
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .collect();
    let [short, from, command, created, status, name] = cells[..] else {
        anyhow::bail!("the row is {cells:?}");
    };
    ensure!(
        id.starts_with(short) && short.len() == 12 && from == image,
        "the row is {cells:?}"
    );
    ensure!(
        command == "\"/hello\"" && name == "jovial_ride",
        "the row is {cells:?}"
    );
    let ended = status.strip_prefix("Exited (0) ").unwrap_or_default();
    for ago in [created, ended] {
        ensure!(is_recent(ago), "{ago:?} is not a recent time in {row:?}");
    }
    Ok(())
}

/// Returns whether a text is docker's description of a time up to about a minute ago.
fn is_recent(text: &str) -> bool {
    let Some(time) = text.strip_suffix(" ago") else {
        return false;
    };
    match time.split_once(' ') {
        Some((number, "seconds")) => number.parse::<u32>().is_ok(),
        _ => matches!(time, "Less than a second" | "1 second" | "About a minute"),
    }
}

/// Returns the text of the `.vmx` below this directory that contains a container's id.
pub(super) fn find(directory: &Path, id: &str) -> Result<String> {
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "vmx") {
                let text = std::fs::read_to_string(&path)?;
                if text.contains(id) {
                    return Ok(text);
                }
            }
        }
    }
    anyhow::bail!("no .vmx below {} contains {id}", directory.display())
}
