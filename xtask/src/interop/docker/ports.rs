//! Checks `docker run -p`: this host connects to servers in containers on the simulator.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::command::{Docker, FrontEnd};
use super::image;
use crate::interop::report::Report;

pub(super) const NAME: &str = "docker run -p: TCP and UDP to real servers, port, ps, clashes";
const PATIENCE: Duration = Duration::from_secs(20);
const WORDS: &[u8] = b"to and fro";

pub(super) fn check(report: &mut Report, program: &Path) {
    if image::RUNS_HERE {
        report.check(NAME, || published(program));
    } else {
        report.not_run(NAME, image::ELSEWHERE);
    }
}

fn published(program: &Path) -> Result<()> {
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &[], 1)?;
    let docker = front_end.docker();
    image::import(&docker, "tcp", &image::echoes_tcp())?;
    image::import(&docker, "udp", &image::echoes_udp())?;
    let anywhere = ["run", "-d", "--name", "web", "-p", "127.0.0.1::8080", "tcp"];
    docker.ok(anywhere)?.lines(1)?;
    let web = at(&docker, "web", "8080/tcp")?;
    until(|| tcp(web))?;
    docker
        .ok(["ps", "--format", "{{.Ports}}"])?
        .is(&format!("{web}->8080/tcp\n"))?;
    let filter = format!("publish={}", web.port());
    docker.ok(["ps", "-q", "--filter", &filter])?.lines(1)?;
    let format = "{{(index (index .NetworkSettings.Ports \"8080/tcp\") 0).HostPort}}";
    docker
        .ok(["inspect", "--format", format, "web"])?
        .is(&format!("{}\n", web.port()))?;

    let same = format!("{web}:8080");
    docker
        .run(["run", "-d", "--name", "second", "-p", &same, "tcp"])?
        .code(125)?
        .has(&format!("Bind for {web} failed: port is already allocated"))?;
    docker
        .ok([
            "ps",
            "-a",
            "--filter",
            "name=second",
            "--format",
            "{{.Status}}",
        ])?
        .is("Created\n")?;
    docker.ok(["stop", "-t", "1", "web"])?.is("web\n")?;
    ensure!(tcp(web).is_err(), "the port of a stopped container answers");
    docker.ok(["port", "web"])?.is("")?;
    docker.ok(["start", "second"])?.is("second\n")?;
    until(|| tcp(web))?;

    // `-P` publishes an exposed port with its protocol.
    let all = [
        "run", "-d", "--name", "dns", "--expose", "8080/udp", "-P", "udp",
    ];
    docker.ok(all)?.lines(1)?;
    let dns = at(&docker, "dns", "8080/udp")?;
    ensure!(dns.ip().is_unspecified(), "{dns}");
    until(|| udp(dns.port()))?;
    docker.ok(["rm", "-f", "web", "second", "dns"])?.lines(3)?;
    ensure!(tcp(web).is_err(), "the port of a removed container answers");
    Ok(())
}

/// Returns the address at which a port is published, from `docker port`.
fn at(docker: &Docker, name: &str, port: &str) -> Result<SocketAddr> {
    let printed = docker.ok(["port", name])?.out;
    let line = printed.lines().next().context("a line")?;
    let address = line.strip_prefix(&format!("{port} -> "));
    let address = address.with_context(|| format!("`docker port` printed {printed:?}"))?;
    Ok(address.parse()?)
}

/// Retries until the server listens.
fn until(attempt: impl Fn() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > PATIENCE => {
                bail!("the server does not respond: {error:#}")
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the server does not say when it listens"
            )]
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn tcp(at: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(WORDS)?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    ensure!(back == WORDS, "{back:?} came back");
    Ok(())
}

fn udp(port: u16) -> Result<()> {
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.set_read_timeout(Some(Duration::from_millis(500)))?;
    client.send_to(WORDS, ("127.0.0.1", port))?;
    let mut back = [0; 64];
    let length = client.recv(&mut back)?;
    ensure!(&back[..length] == WORDS, "{:?} came back", &back[..length]);
    Ok(())
}
