//! The session that this project started from, on the simulator: create a host, run
//! `docker --tls info`, run a container from a real image and see its output, run `ps -a`, and
//! find the same facts in the `.vmx`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::command::FrontEnd;
use crate::interop::report::Report;
use crate::process::run;

pub(super) const NAME: &str = "the first session: info by TLS, run -it, ps -a, the .vmx";
const TEXT: &str = "\nHello from a machine!\n\n";

pub(super) fn check(report: &mut Report, program: &Path) {
    let name = "docker by TLS, with and without a client's certificate";
    report.check(name, || tls(program));
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        report.check(NAME, || session(program));
    } else {
        report.not_run(NAME, "its program is one for Linux on x86-64");
    }
}

/// Copies the front end's CA certificate to where the docker command looks for it, which
/// it does with `--tls` too.
fn trust(front_end: &FrontEnd) -> Result<()> {
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
    // The port does not answer without TLS.
    let docker = front_end.docker_with(&["-H", server_only]);
    ensure!(docker.run(["info"])?.status != 0, "answered without TLS");

    let docker = front_end.docker_with(&["-H", mutual, "--tls"]);
    ensure!(
        docker.run(["info"])?.status != 0,
        "answered without a certificate"
    );
    let certificates = front_end.directory().join("certs");
    let file = |name: &str| certificates.join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
    let options = [
        "-H",
        mutual,
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
    ];
    front_end
        .docker_with(&options)
        .ok(["info"])?
        .has("Server Version:")?;
    Ok(())
}

/// Returns the address in a line that the front end printed.
fn address(front_end: &FrontEnd, line: usize) -> Result<&str> {
    let words = front_end.lines()[line].split_once(" -H ");
    let (_, words) = words.context("an address")?;
    words.split(' ').next().context("an address")
}

fn session(program: &Path) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let tar = image(directory.path())?;
    let arguments = ["--tls", "127.0.0.1:0", "--host", "vch"];
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &arguments, 2)?;
    trust(&front_end)?;
    let docker = front_end.docker_with(&["-H", address(&front_end, 1)?, "--tls"]);
    docker.ok(["info"])?.has("Name: vch")?;
    docker.ok([
        "import".as_ref(),
        "--change".as_ref(),
        r#"CMD ["/hello"]"#.as_ref(),
        tar.as_os_str(),
        "hello-world".as_ref(),
    ])?;
    docker
        .terminal("run -it --name jovial_ride hello-world", "")?
        .has(&TEXT.replace('\n', "\r\n"))?;
    docker.ok(["run", "--rm", "hello-world"])?.is(TEXT)?;
    docker
        .ok([
            "ps",
            "-a",
            "--format",
            "{{.Image}}|{{.Command}}|{{.Status}}|{{.Names}}",
        ])?
        .has("hello-world|\"/hello\"|Exited (0) ")?
        .has("|jovial_ride\n")?;
    docker
        .ok(["logs", "jovial_ride"])?
        .has("Hello from a machine!")?;
    let id = docker.ok(["ps", "-aq", "--no-trunc"])?.out;
    let vmx = find(front_end.directory(), id.trim())?;
    for words in [id.trim(), "jovial_ride", "hello-world", "/hello"] {
        ensure!(
            vmx.contains(words),
            "the .vmx does not hold {words:?}:\n{vmx}"
        );
    }
    docker.ok(["rm", "jovial_ride"])?.is("jovial_ride\n")?;
    docker.ok(["rmi", "hello-world"])?.has("Deleted: sha256:")?;
    Ok(())
}

/// Returns the text of the `.vmx` below this directory that contains a container's id.
fn find(directory: &Path, id: &str) -> Result<String> {
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
    anyhow::bail!("no .vmx below {} holds {id}", directory.display())
}

/// Writes the tar of a root file system whose only file is a program that prints its text.
fn image(directory: &Path) -> Result<PathBuf> {
    let hello = directory.join("hello");
    std::fs::write(&hello, program(TEXT))?;
    run(Command::new("chmod").arg("755").arg(&hello))?;
    let tar = directory.join("root.tar");
    run(Command::new("tar")
        .arg("cf")
        .arg(&tar)
        .arg("-C")
        .arg(directory)
        .arg("hello"))?;
    Ok(tar)
}

/// Returns an executable for Linux on x86-64 that writes a text and exits with 0: an ELF
/// header, one program header, 37 bytes of code, and the text.
fn program(text: &str) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    /// Loads the registers for `write` and `exit`; the text follows the code.
    const CODE: [u8; 37] = [
        0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
        0xbf, 1, 0, 0, 0, // mov edi, 1
        0x48, 0x8d, 0x35, 20, 0, 0, 0, // lea rsi, [rip + 20]
        0xba, 0, 0, 0, 0, // mov edx, length
        0x0f, 0x05, // syscall
        0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
        0x31, 0xff, // xor edi, edi
        0x0f, 0x05, // syscall
        0x90, 0x90, 0x90, 0x90, // padding up to the text
    ];
    let length = u32::try_from(text.len()).unwrap_or_default();
    let size = HEADERS + CODE.len() as u64 + u64::from(length);
    let mut bytes = Vec::new();
    bytes.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]); // executable, x86-64, version 1
    bytes.extend((BASE + HEADERS).to_le_bytes()); // entry
    bytes.extend(64u64.to_le_bytes()); // program headers
    bytes.extend([0; 12]); // no section headers, no flags
    bytes.extend([64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]); // load, readable and executable
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(BASE.to_le_bytes());
    bytes.extend(BASE.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(0x1000u64.to_le_bytes());
    bytes.extend(CODE);
    bytes.extend(text.as_bytes());
    let edx = HEADERS as usize + 18;
    bytes[edx..edx + 4].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_program_prints_its_text() -> Result<()> {
        let directory = tempfile::tempdir()?;
        image(directory.path())?;
        let printed = crate::process::capture(&mut Command::new(directory.path().join("hello")))?;
        ensure!(printed == TEXT, "{printed:?}");
        Ok(())
    }
}
