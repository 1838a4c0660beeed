//! What the clients know from the results of their operations.

use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use portlayer::image::{Digest, Image, ImageConfig, Layer};
use portlayer::{ContainerId, ExitStatus, State};

/// A container, as known to its client.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) id: ContainerId,
    /// The possible names.
    pub(crate) names: Vec<String>,
    /// The exit code of its process; `None` if the process runs until it is stopped.
    pub(crate) code: Option<i32>,
    /// Whether the container exists; `None` if unknown.
    pub(crate) there: Option<bool>,
    pub(crate) run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// The outcome of an operation is unknown, and it may still take effect.
    Unknown,
    Created,
    Running,
    /// The process exits, or has exited, by itself with this code; the flag says whether the
    /// endpoint may forget the code.
    Ends(i32, bool),
    Stopped(ExitStatus),
    Suspended,
}

impl Run {
    pub(crate) fn of(state: &State) -> Option<Self> {
        Some(match state {
            State::Created => Self::Created,
            State::Running => Self::Running,
            State::Suspended => Self::Suspended,
            State::Stopped { exit } => Self::Stopped(*exit),
            _ => return None,
        })
    }

    /// Returns whether the container may be observed in this state.
    pub(crate) fn agrees(self, state: &State) -> bool {
        match self {
            Self::Unknown => true,
            Self::Ends(code, forgets) => match state {
                State::Starting | State::Running => true,
                State::Stopped { exit } => {
                    let is_lost = matches!(exit, ExitStatus::Lost | ExitStatus::NeverOn);
                    *exit == ExitStatus::Code(code) || (forgets && is_lost)
                }
                // A first start that no port layer observed is not recorded.
                State::Created => forgets,
                _ => false,
            },
            known => Self::of(state) == Some(known),
        }
    }
}

/// The images that the first client imports and removes. The first two have the same layers.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) all: [Image; 3],
    known: Mutex<[(Option<bool>, u64); 3]>,
}

impl Images {
    pub(crate) fn new() -> Self {
        let layers = |content: &[u8]| vec![layer("hello", content)];
        Self {
            all: [
                image(&layers(b"one"), "/run"),
                image(&layers(b"one"), "/run again"),
                image(&layers(b"two"), "/run"),
            ],
            known: Mutex::new([(Some(false), 0); 3]),
        }
    }

    /// Returns whether the image exists, if known, and a number that changes with each operation on
    /// it.
    pub(crate) fn known(&self, number: usize) -> (Option<bool>, u64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)[number]
    }

    pub(crate) fn set(&self, number: usize, there: Option<bool>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known[number] = (there, known[number].1 + 1);
    }
}

fn layer(path: &str, content: &[u8]) -> (Digest, Arc<[u8]>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, path, content).unwrap();
    let tar = tar.into_inner().unwrap();
    (Digest::of(&tar), tar.into())
}

fn image(layers: &[(Digest, Arc<[u8]>)], command: &str) -> Image {
    let diff_ids: Vec<_> = layers.iter().map(|(id, _)| id.to_string()).collect();
    let config = serde_json::json!({
        "os": "linux",
        "architecture": "amd64",
        "config": { "Cmd": [command] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = ImageConfig::parse(config.to_string()).unwrap();
    let layers = layers.iter().cloned().map(|(diff_id, tar)| {
        Layer::new(diff_id, move || {
            Ok(Box::new(Cursor::new(Arc::clone(&tar))) as Box<dyn Read + Send>)
        })
    });
    Image::new(config, layers)
}
