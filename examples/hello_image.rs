//! Generates an image with one layer that contains one program, `/hello`, which writes a text
//! and exits. This needs no network, compiler or tool, so the examples only require Rust.

use std::io::{self, Cursor, Read};

use anyhow::{Context, Result};
use portlayer::image::{Digest, Image, ImageConfig, Layer};

/// The text that the program writes.
pub const GREETING: &str = "\
Hello from a container that is a virtual machine!

Your image became a disk, the disk a machine, and this text came
out of its serial line.
";

/// The reference of the image in the examples.
pub const REFERENCE: &str = "hello-world:latest";

/// Creates an image like docker's `hello-world`: its program writes [`GREETING`] and exits
/// with status 0.
///
/// # Errors
/// Fails on an unsupported processor architecture.
pub fn hello_world() -> Result<Image> {
    let program = program(GREETING)?;
    let layer = layer("hello", &program)?;
    let diff_id = Digest::of(&layer);
    let config = serde_json::json!({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": "2026-11-25T00:00:00Z",
        "config": {
            "Cmd": ["/hello"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created_by": "a program written by the example" }],
    });
    let config = ImageConfig::parse(serde_json::to_vec(&config)?)?;
    let open =
        move || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(layer.clone()))) };
    Ok(Image::new(config, [Layer::new(diff_id, open)]))
}

/// Creates a layer with one executable file, as a tar.
fn layer(name: &str, program: &[u8]) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(program.len())?);
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Regular);
    let mut layer = tar::Builder::new(Vec::new());
    layer
        .append_data(&mut header, name, program)
        .and_then(|()| layer.into_inner())
        .context("write the layer")
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &str = "arm64";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: &str = std::env::consts::ARCH;

/// The size of the ELF header and the program header, after which the code begins.
const HEADERS: usize = 64 + 56;
/// The address at which the file is mapped.
const BASE: u64 = 0x40_0000;

/// Creates a static Linux program for this processor, which writes a text to standard output
/// and exits with status 0.
///
/// # Errors
/// Fails on an unsupported processor architecture.
pub fn program(text: &str) -> Result<Vec<u8>> {
    let machine: u16 = match std::env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        other => anyhow::bail!("there is no program for the processor {other}"),
    };
    let length = u32::try_from(text.len()).context("measure the text")?;
    let code = if machine == 62 {
        x86_64(length)
    } else {
        aarch64(length)?
    };
    let size = u64::try_from(HEADERS + code.len() + text.len())?;

    let mut file = Vec::new();
    // The ELF header: 64-bit, little-endian, version 1; System V, Appendix of
    // the ABI, "ELF Header".
    file.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, machine] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS as u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // The program header: one segment, loaded, readable and executable.
    for word in [1_u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file.extend(text.as_bytes());
    Ok(file)
}

/// Returns x86-64 code for `write(1, text, length); exit(0)`.
fn x86_64(length: u32) -> Vec<u8> {
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35]); // lea rsi, [rip + to the text]
    code.extend(16_u32.to_le_bytes());
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x0f, 0x05]); // syscall
    code
}

/// Returns AArch64 code for `write(1, text, length); exit(0)`.
fn aarch64(length: u32) -> Result<Vec<u8>> {
    anyhow::ensure!(length < 1 << 16, "the text is too long");
    let instructions = [
        0xd280_0808,               // mov x8, 64 (write)
        0xd280_0020,               // mov x0, 1
        0x1000_0001 | (6 << 5),    // adr x1, 6 instructions from here
        0xd280_0002 | length << 5, // mov x2, length
        0xd400_0001,               // svc 0
        0xd280_0ba8,               // mov x8, 93 (exit)
        0xd280_0000,               // mov x0, 0
        0xd400_0001,               // svc 0
    ];
    Ok(instructions
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn the_layer_is_the_one_that_the_configuration_names() {
        let image = hello_world().unwrap();
        let mut content = Vec::new();
        image.layers()[0]
            .open()
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        assert_eq!(image.config().diff_ids(), [Digest::of(&content)]);
        assert_eq!(image.config().process().cmd, ["/hello"]);
        assert_eq!(
            hello_world().unwrap().id(),
            image.id(),
            "the image must be the same every time"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_program_runs_and_writes_its_text() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, program("hi\n").unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let output = std::process::Command::new(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"hi\n");
    }
}
