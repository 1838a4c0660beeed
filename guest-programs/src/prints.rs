//! A program that writes a text.

use crate::Machine;
use crate::elf::file;

/// Returns a program that writes a text to standard output and exits with a status. Returns `None`
/// if the text has more than 65,535 bytes.
#[must_use]
pub fn prints(machine: Machine, text: &str, status: u8) -> Option<Vec<u8>> {
    let length = u16::try_from(text.len()).ok()?;
    let code = match machine {
        Machine::X86_64 => x86_64(length, status),
        Machine::Aarch64 => aarch64(length, status),
    };
    Some(file(machine, &code, text.as_bytes()))
}

fn x86_64(length: u16, status: u8) -> Vec<u8> {
    let mut code = vec![0xb8, 1, 0, 0, 0]; // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1 (stdout)
    code.extend([0x48, 0x8d, 0x35, 21, 0, 0, 0]); // lea rsi, [rip + 21]
    code.push(0xba); // mov edx, length
    code.extend(u32::from(length).to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 231, 0, 0, 0]); // mov eax, 231 (exit_group)
    code.push(0xbf); // mov edi, status
    code.extend(u32::from(status).to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0x0f, 0x0b]); // ud2
    code
}

fn aarch64(length: u16, status: u8) -> Vec<u8> {
    let movz = |register: u32, value: u16| 0xd280_0000 | u32::from(value) << 5 | register;
    let instructions: [u32; 8] = [
        movz(0, 1),                 // mov x0, 1 (stdout)
        0x1000_0000 | (7 << 5) | 1, // adr x1, 28 bytes on
        movz(2, length),            // mov x2, length
        movz(8, 64),                // mov x8, 64 (write)
        0xd400_0001,                // svc 0
        movz(0, status.into()),     // mov x0, status
        movz(8, 94),                // mov x8, 94 (exit_group)
        0xd400_0001,                // svc 0
    ];
    instructions
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        for machine in [Machine::X86_64, Machine::Aarch64] {
            assert!(prints(machine, &"x".repeat(65_535), 0).is_some());
            assert_eq!(prints(machine, &"x".repeat(65_536), 0), None);
        }
    }

    #[cfg(all(unix, target_os = "linux"))]
    #[test]
    fn the_program_writes_its_text_and_exits_with_its_status() -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        let Some(machine) = Machine::here() else {
            return Ok(());
        };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("hello");
        std::fs::write(&path, prints(machine, "some text\n", 7).unwrap_or_default())?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        let output = std::process::Command::new(&path).output()?;
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        assert_eq!(output.stdout, b"some text\n");
        Ok(())
    }
}
