//! The power button of the machine, by which a host requests a shutdown.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

/// `struct input_event` of 64 bit Linux: two words of time, then type, code and value.
const EVENT: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Says whether the button was pressed.
#[derive(Debug)]
pub(super) struct PowerButton(watch::Receiver<bool>);

impl PowerButton {
    /// Watches the button in a thread of its own; a machine without one has none that is pressed.
    pub(super) fn watch() -> Self {
        let (pressed, receiver) = watch::channel(false);
        match device(Path::new("/sys/class/input")) {
            Some(device) => drop(std::thread::spawn(move || wait(&device, &pressed))),
            None => tracing::info!("the machine has no power button"),
        }
        Self(receiver)
    }

    /// Waits until it is pressed; for ever if it cannot be. Cancel-safe.
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
    fn only_the_power_key_going_down_counts() {
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
