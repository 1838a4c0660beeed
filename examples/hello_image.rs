//! Generates an image with one layer that contains one program, `/hello`, which writes a text
//! and exits. This needs no network, compiler or tool, so the examples only require Rust.

use std::io::{self, Cursor, Read};

use anyhow::{Context, Result};
use guest_programs::Machine;
use portlayer::image::{Digest, Image, ImageConfig, Layer};

/// The text that the program writes.
pub const GREETING: &str = "\
Hello from a container that is a virtual machine!

Your image became a disk, the disk a machine, and this text came
out of its serial line.
";

/// The reference of the image in the examples.
pub const REFERENCE: &str = "hello-world:latest";

/// Returns the processor of this system.
///
/// # Errors
/// Fails if there are no programs for it.
pub fn processor() -> Result<Machine> {
    Machine::here().with_context(|| {
        let processor = std::env::consts::ARCH;
        format!("there is no program for the processor {processor}")
    })
}

/// Creates an image for this processor, like docker's `hello-world`: its program writes
/// [`GREETING`] and exits with status 0.
///
/// # Errors
/// Fails if the text is too long for the program.
pub fn hello_world(machine: Machine) -> Result<Image> {
    let program = guest_programs::prints(machine, GREETING, 0).context("the text is too long")?;
    let layer = layer("hello", &program)?;
    let diff_id = Digest::of(&layer);
    let config = serde_json::json!({
        "architecture": machine.architecture(),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn the_layer_is_the_one_that_the_configuration_names() {
        let image = hello_world(processor().unwrap()).unwrap();
        let mut content = Vec::new();
        image.layers()[0]
            .open()
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        assert_eq!(image.config().diff_ids(), [Digest::of(&content)]);
        assert_eq!(image.config().process().cmd, ["/hello"]);
        assert_eq!(
            hello_world(processor().unwrap()).unwrap().id(),
            image.id(),
            "the image must be the same every time"
        );
    }
}
