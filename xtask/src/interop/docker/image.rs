//! Images with one program each: small ELF files for Linux on x86-64, which require no compiler and
//! no library.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

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

/// Returns a program that prints a text and exits with 0.
pub(super) fn prints(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or_default();
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 16, 0, 0, 0]); // lea rsi, [the text]
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0x31, 0xff, 0x0f, 0x05]); // xor edi, edi; syscall
    code.extend(text.as_bytes());
    file(&code)
}

/// The address on which the servers listen: all of IPv4, port 8080.
const ANY_8080: [u8; 16] = [2, 0, 0x1f, 0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Returns a server on TCP port 8080 that echoes its input, one client after the other.
pub(super) fn echoes_tcp() -> Vec<u8> {
    let mut code = vec![0xbf, 2, 0, 0, 0]; // mov edi, 2 (AF_INET)
    code.extend([0xbe, 1, 0, 0, 0]); // mov esi, 1 (SOCK_STREAM)
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0xb8, 41, 0, 0, 0, 0x0f, 0x05]); // socket
    code.extend([0x41, 0x89, 0xc4]); // mov r12d, eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0x48, 0x8d, 0x35, 0x5b, 0, 0, 0]); // lea rsi, [the address]
    code.extend([0xba, 16, 0, 0, 0]); // mov edx, 16
    code.extend([0xb8, 49, 0, 0, 0, 0x0f, 0x05]); // bind
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0xbe, 16, 0, 0, 0]); // mov esi, 16
    code.extend([0xb8, 50, 0, 0, 0, 0x0f, 0x05]); // listen
    code.extend([0x44, 0x89, 0xe7]); // next: mov edi, r12d
    code.extend([0x31, 0xf6, 0x31, 0xd2]); // xor esi, esi; xor edx, edx
    code.extend([0xb8, 43, 0, 0, 0, 0x0f, 0x05]); // accept
    code.extend([0x41, 0x89, 0xc5]); // mov r13d, eax
    code.extend([0x44, 0x89, 0xef]); // echo: mov edi, r13d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0xba, 0, 0x10, 0, 0]); // mov edx, 4096
    code.extend([0x31, 0xc0, 0x0f, 0x05]); // read
    code.extend([0x44, 0x89, 0xef]); // mov edi, r13d
    code.extend([0x85, 0xc0, 0x7e, 0x0b]); // test eax, eax; jle done
    code.extend([0x89, 0xc2]); // mov edx, eax
    code.extend([0xb8, 1, 0, 0, 0, 0x0f, 0x05]); // write
    code.extend([0xeb, 0xda]); // jmp echo
    code.extend([0xb8, 3, 0, 0, 0, 0x0f, 0x05]); // done: close
    code.extend([0xeb, 0xc0]); // jmp next
    code.extend(ANY_8080);
    file(&code)
}

/// Returns a server on UDP port 8080 that echoes each datagram.
pub(super) fn echoes_udp() -> Vec<u8> {
    let mut code = vec![0xbf, 2, 0, 0, 0]; // mov edi, 2 (AF_INET)
    code.extend([0xbe, 2, 0, 0, 0]); // mov esi, 2 (SOCK_DGRAM)
    code.extend([0x31, 0xd2]); // xor edx, edx
    code.extend([0xb8, 41, 0, 0, 0, 0x0f, 0x05]); // socket
    code.extend([0x41, 0x89, 0xc4]); // mov r12d, eax
    code.extend([0x89, 0xc7]); // mov edi, eax
    code.extend([0x48, 0x8d, 0x35, 0x5c, 0, 0, 0]); // lea rsi, [the address]
    code.extend([0xba, 16, 0, 0, 0]); // mov edx, 16
    code.extend([0xb8, 49, 0, 0, 0, 0x0f, 0x05]); // bind
    code.extend([0x48, 0x83, 0xec, 0x20]); // sub rsp, 32 (the sender's address, its length)
    code.extend([0xc7, 0x44, 0x24, 0x10, 16, 0, 0, 0]); // next: mov dword [rsp + 16], 16
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0xba, 0, 0x10, 0, 0]); // mov edx, 4096
    code.extend([0x45, 0x31, 0xd2]); // xor r10d, r10d
    code.extend([0x49, 0x89, 0xe0]); // mov r8, rsp
    code.extend([0x4c, 0x8d, 0x4c, 0x24, 0x10]); // lea r9, [rsp + 16]
    code.extend([0xb8, 45, 0, 0, 0, 0x0f, 0x05]); // recvfrom
    code.extend([0x44, 0x89, 0xe7]); // mov edi, r12d
    code.extend([0x48, 0x8d, 0xb4, 0x24, 0, 0xf0, 0xff, 0xff]); // lea rsi, [rsp - 4096]
    code.extend([0x89, 0xc2]); // mov edx, eax
    code.extend([0x45, 0x31, 0xd2]); // xor r10d, r10d
    code.extend([0x49, 0x89, 0xe0]); // mov r8, rsp
    code.extend([0x41, 0xb9, 16, 0, 0, 0]); // mov r9d, 16
    code.extend([0xb8, 44, 0, 0, 0, 0x0f, 0x05]); // sendto
    code.extend([0xeb, 0xb4]); // jmp next
    code.extend(ANY_8080);
    file(&code)
}

/// Returns an executable with one segment: an ELF header, a program header, and the code.
fn file(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
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
    bytes.extend(code);
    bytes
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_program_prints_its_text() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let hello = write(directory.path().join("hello"), &prints("some text\n"))?;
        let printed = crate::process::capture(&mut Command::new(hello))?;
        anyhow::ensure!(printed == "some text\n", "{printed:?}");
        Ok(())
    }
}
