//! Images with one program each, for Linux on x86-64.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use guest_programs::Machine;
pub(super) use guest_programs::x86_64::{connects_tcp, echoes_tcp, echoes_udp};

use super::command::Docker;
use crate::process::{output, run};

/// Whether the programs run here.
pub(super) const RUNS_HERE: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));
/// The reason why a check is not run on other systems.
pub(super) const ELSEWHERE: &str = "its program requires Linux on x86-64";

/// Imports an image with the command `/hello`, which is `program`.
pub(super) fn import(docker: &Docker, name: &str, program: &[u8]) -> Result<()> {
    let archive = tempfile::NamedTempFile::new()?;
    std::fs::write(archive.path(), tar("hello", program)?)?;
    docker.ok([
        "import".as_ref(),
        "--change".as_ref(),
        r#"CMD ["/hello"]"#.as_ref(),
        archive.path().as_os_str(),
        name.as_ref(),
    ])?;
    Ok(())
}

/// Returns a tar with one executable file.
pub(super) fn tar(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let directory = tempfile::tempdir()?;
    write(directory.path().join(name), content)?;
    let mut tar = Command::new("tar");
    tar.arg("cf")
        .arg("-")
        .arg("-C")
        .arg(directory.path())
        .arg(name);
    let made = output(&mut tar)?;
    ensure!(made.status.success(), "tar ended with {}", made.status);
    Ok(made.stdout)
}

/// Returns bytes that cannot be compressed.
pub(super) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(size / 8).flatten().collect()
}

/// Writes a program to a file.
pub(super) fn write(path: PathBuf, program: &[u8]) -> Result<PathBuf> {
    std::fs::write(&path, program)?;
    run(Command::new("chmod").arg("755").arg(&path))?;
    Ok(path)
}

/// Returns a program that prints a text of up to 65,535 bytes and exits with 0.
pub(super) fn prints(text: &str) -> Vec<u8> {
    guest_programs::prints(Machine::X86_64, text, 0).unwrap_or_default()
}
