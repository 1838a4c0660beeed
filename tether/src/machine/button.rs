//! The power button of the machine, with which the host requests a shutdown.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

/// The size of `struct input_event` on 64-bit Linux: two words of time, then type, code and value.
const EVENT: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// The state of the power button: whether it has been pressed.
#[derive(Debug)]
pub(super) struct PowerButton(watch::Receiver<bool>);

impl PowerButton {
    /// Watches the button in a separate thread. In a machine without a power button, it is never
    /// pressed.
    pub(super) fn watch() -> Self {
        let (pressed, receiver) = watch::channel(false);
        match device(Path::new("/sys/class/input")) {
            Some(device) => drop(std::thread::spawn(move || wait(&device, &pressed))),
            None => tracing::info!("the machine has no power button"),
        }
        Self(receiver)
    }

    /// Waits until the button has been pressed. Never returns in a machine without one.
    /// Cancel-safe.
    pub(super) async fn pressed(&self) {
        let mut pressed = self.0.clone();
        if pressed.wait_for(|pressed| *pressed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn device(class: &Path) -> Option<PathBuf> {
    fs::read_dir(class).ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("device/name")).ok()?;
        let event = entry.file_name();
        let is_event = event.to_string_lossy().starts_with("event");
        (is_event && name.trim() == "Power Button").then(|| Path::new("/dev/input").join(event))
    })
}

fn wait(device: &Path, pressed: &watch::Sender<bool>) {
    let Ok(mut file) = File::open(device) else {
        tracing::warn!("the power button cannot be read");
        return;
    };
    let mut event = [0; EVENT];
    while file.read_exact(&mut event).is_ok() {
        if is_press(&event) {
            pressed.send_replace(true);
        }
    }
}

fn is_press(event: &[u8; EVENT]) -> bool {
    let number = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
    number(16) == EV_KEY && number(18) == KEY_POWER && number(20) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pressing_the_power_key_is_a_press() {
        let mut event = [0; EVENT];
        event[16..18].copy_from_slice(&1_u16.to_ne_bytes());
        event[18..20].copy_from_slice(&116_u16.to_ne_bytes());
        assert!(!is_press(&event));
        event[20..24].copy_from_slice(&1_u32.to_ne_bytes());
        assert!(is_press(&event));
        event[18] = 30;
        assert!(!is_press(&event));
    }
}
