//! Access to the keys of the machine.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use guestinfo::rpc::{Backdoor, GuestRpc, Rpci, Vsock};

/// The name of the virtio-serial port that provides the keys in a machine without a backdoor.
const PORT: &str = "com.vmware.guestinfo";

/// Connects to the keys: over VMware's backdoor, or else over the port, with the messages of
/// VMware's sockets.
pub(super) fn find() -> io::Result<Box<dyn GuestRpc + Send>> {
    let refused = match Backdoor::probe() {
        Ok(rpc) => return Ok(Box::new(rpc)),
        Err(error) => error,
    };
    let Some(device) = port(Path::new("/sys/class/virtio-ports")) else {
        let text = format!(
            "the machine cannot access its keys: it has no backdoor ({refused}), and no \
             virtio-serial port called {PORT}"
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    };
    let channel = Vsock::new(move || open(&device));
    Ok(Box::new(Rpci::new(channel)))
}

fn open(device: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(device)
}

fn port(class: &Path) -> Option<PathBuf> {
    fs::read_dir(class).ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim() == PORT).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_by_its_name() {
        let class = tempfile::tempdir().expect("a directory");
        assert_eq!(port(class.path()), None);
        for (device, name) in [
            ("vport0p1", "org.qemu.guest_agent.0\n"),
            ("vport0p2", "com.vmware.guestinfo\n"),
        ] {
            fs::create_dir(class.path().join(device)).expect("a directory");
            fs::write(class.path().join(device).join("name"), name).expect("a name");
        }
        assert_eq!(port(class.path()), Some("/dev/vport0p2".into()));
    }
}
