//! Persists the inventory in the datastore's directory, so that it survives a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model;
use crate::shared::Shared;
use crate::world::Transaction;

/// Subdirectory for files that clients cannot access.
pub(crate) const DIRECTORY: &str = ".vsphere-simulator";
const FILE: &str = "inventory.json";
/// Version of the file format.
const FORMAT: u32 = 1;
/// Minimum time between two writes of the file.
const PACE: Duration = Duration::from_millis(100);
/// How many times longer the pause after a write is than the write: a large inventory takes no more
/// than this share of the time.
const SHARE: u32 = 20;

/// The persisted inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) format: u32,
    /// Positions of the generators of identifiers.
    pub(crate) numbers: u64,
    pub(crate) drawn: u64,
    /// The UUIDs of the first datastore and, in the next field, of the host.
    pub(crate) datastore: String,
    pub(crate) host: String,
    /// The UUIDs of the other datastores, by their names.
    #[serde(default)]
    pub(crate) other_datastores: BTreeMap<String, String>,
    pub(crate) switches: Vec<Switch>,
    pub(crate) port_groups: Vec<PortGroup>,
    /// The pools except the root pool, parents before their children.
    pub(crate) pools: Vec<Pool>,
    pub(crate) machines: Vec<SavedMachine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Switch {
    pub(crate) name: String,
    pub(crate) ports: i32,
    pub(crate) mtu: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortGroup {
    pub(crate) name: String,
    pub(crate) vlan: i32,
    pub(crate) switch: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parent: String,
    pub(crate) cpu: Allocation,
    pub(crate) memory: Allocation,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Allocation {
    pub(crate) reservation: Option<i64>,
    pub(crate) limit: Option<i64>,
    pub(crate) expandable: Option<bool>,
    /// Number of shares and their level.
    pub(crate) shares: Option<(i32, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedMachine {
    pub(crate) id: String,
    /// The path of the `.vmx` file, relative to the root of its datastore.
    pub(crate) vmx: String,
    /// The name of this datastore; `None` for the first one.
    #[serde(default)]
    pub(crate) datastore: Option<String>,
    pub(crate) pool: String,
}

impl Saved {
    /// Reads the persisted inventory of a datastore; `None` if it has none.
    pub(crate) fn read(directory: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read(directory.join(DIRECTORY).join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let saved: Self = serde_json::from_slice(&text)?;
        if saved.format == FORMAT {
            Ok(Some(saved))
        } else {
            let words = format!("its inventory has the format {}", saved.format);
            Err(io::Error::new(io::ErrorKind::InvalidData, words))
        }
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let directory = directory.join(DIRECTORY);
        std::fs::create_dir_all(&directory)?;
        let (new, file) = (directory.join("inventory.part"), directory.join(FILE));
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(new, file)
    }
}

/// Persists the inventory in its file after changes.
#[derive(Debug)]
pub(crate) struct Saver {
    /// The datastore's directory; `None` if it is temporary.
    directory: Option<PathBuf>,
    dirty: AtomicBool,
    news: Notify,
}

impl Saver {
    pub(crate) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            dirty: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    /// Records that something persisted has changed.
    pub(crate) fn note(&self) {
        if self.directory.is_some() {
            self.dirty.store(true, Ordering::Release);
            self.news.notify_one();
        }
    }

    /// Writes the file after changes, until the simulator shuts down.
    pub(crate) async fn run(shared: Arc<Shared>) {
        if shared.saver.directory.is_none() {
            return;
        }
        loop {
            shared.saver.news.notified().await;
            let start = Instant::now();
            let saving = Arc::clone(&shared);
            let saved = tokio::task::spawn_blocking(move || saving.saver.save(&saving)).await;
            if let Err(error) = saved {
                tracing::error!(%error, "saving the inventory panicked");
            }
            tokio::time::sleep(PACE.max(start.elapsed() * SHARE)).await;
        }
    }

    /// Writes the file if anything has changed since the last time.
    pub(crate) fn save(&self, shared: &Arc<Shared>) {
        let Some(directory) = &self.directory else {
            return;
        };
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        let Ok(mut tx) = Transaction::begin(shared) else {
            return;
        };
        let saved = model::restore::snapshot(&mut tx);
        drop(tx);
        let written = saved.map(|mut saved| {
            saved.format = FORMAT;
            saved.write(directory)
        });
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the inventory was not saved"),
            Err(fault) => tracing::warn!(%fault, "the inventory was not saved"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_inventory_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Saved::read(directory.path()).unwrap(), None);
        let saved = Saved {
            format: FORMAT,
            numbers: 7,
            machines: vec![SavedMachine {
                id: "3".into(),
                vmx: "a b/ä.vmx".into(),
                datastore: Some("other".into()),
                pool: "ha-root-pool".into(),
            }],
            ..Saved::default()
        };
        saved.write(directory.path()).unwrap();
        assert_eq!(Saved::read(directory.path()).unwrap(), Some(saved.clone()));
        for text in [&b"{"[..], b"", b"{\"format\":1}", b"{\"format\":99}"] {
            std::fs::write(directory.path().join(DIRECTORY).join(FILE), text).unwrap();
            assert!(Saved::read(directory.path()).is_err());
        }
    }
}
