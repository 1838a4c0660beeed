//! The names of images. The port layer has no names, so they are the front end's state.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use image_source::Reference;
use portlayer::PortLayer;
use portlayer::image::{Digest, ImageId};
use portlayer::store::Expect;
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Result, chain};

const PREFIX: &str = "docker/image/";

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tag {
    /// The complete name, with registry and tag.
    pub(crate) reference: String,
    pub(crate) image: ImageId,
    /// The digest of the image's manifest in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
}

impl Tag {
    pub(crate) fn reference(&self) -> Option<Reference> {
        self.reference.parse().ok()
    }
}

/// Where names are persisted.
#[derive(Debug)]
enum Keeper {
    /// In the host's store, each under a separate key.
    Store(PortLayer),
    /// In a file, for hosts without a store.
    File(PathBuf),
    /// Not persisted, for tests.
    Memory,
}

/// The names of images.
#[derive(Debug)]
pub(crate) struct Catalog {
    keeper: Keeper,
    tags: RwLock<Arc<BTreeMap<String, Tag>>>,
    /// Serialises changes; readers do not wait for them.
    turn: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// Reads the names from the host's store, or from a file if the host has none.
    pub(crate) async fn open(layer: &PortLayer, file: Option<&Path>) -> anyhow::Result<Self> {
        let stored = layer.capabilities().contains(portlayer::Capability::Store);
        let keeper = match file {
            _ if stored => Keeper::Store(layer.clone()),
            Some(path) => Keeper::File(path.to_owned()),
            None => Keeper::Memory,
        };
        let mut tags = BTreeMap::new();
        match &keeper {
            Keeper::Memory => {}
            Keeper::File(path) => match tokio::fs::read(path).await {
                Ok(bytes) => tags = serde_json::from_slice(&bytes)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            },
            Keeper::Store(layer) => {
                for key in layer.store().keys(PREFIX).await? {
                    let Some(value) = layer.store().get(&key).await? else {
                        continue;
                    };
                    match serde_json::from_slice::<Tag>(&value.value) {
                        Ok(tag) => drop(tags.insert(tag.reference.clone(), tag)),
                        Err(error) => tracing::warn!(%key, %error, "an image's name is unreadable"),
                    }
                }
            }
        }
        Ok(Self {
            keeper,
            tags: RwLock::new(Arc::new(tags)),
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn current(&self) -> Arc<BTreeMap<String, Tag>> {
        Arc::clone(&self.tags.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, tags: BTreeMap<String, Tag>) {
        *self.tags.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tags);
    }

    /// Returns all names, sorted.
    pub(crate) fn all(&self) -> Vec<Tag> {
        self.current().values().cloned().collect()
    }

    pub(crate) fn get(&self, reference: &Reference) -> Option<Tag> {
        self.current().get(&reference.to_string()).cloned()
    }

    /// Returns the names of an image.
    pub(crate) fn of(&self, image: &ImageId) -> Vec<Tag> {
        let tags = self.current();
        let named = tags.values().filter(|tag| tag.image == *image);
        named.cloned().collect()
    }

    /// Assigns a name to an image. It may have been a name of another image before.
    pub(crate) async fn put(&self, tag: Tag) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut tags = (*self.current()).clone();
        if tags.get(&tag.reference) == Some(&tag) {
            return Ok(());
        }
        tags.insert(tag.reference.clone(), tag.clone());
        match &self.keeper {
            Keeper::Store(layer) => {
                let value = serde_json::to_vec(&tag).map_err(kept)?;
                let key = key(&tag.reference);
                let store = layer.store();
                store.put(&key, value.into(), Expect::Any).await?;
            }
            Keeper::File(path) => write(path, &tags).await?,
            Keeper::Memory => {}
        }
        self.replace(tags);
        Ok(())
    }

    /// Deletes a name. Returns whether it existed.
    pub(crate) async fn remove(&self, reference: &str) -> Result<bool> {
        let _turn = self.turn.lock().await;
        let mut tags = (*self.current()).clone();
        if tags.remove(reference).is_none() {
            return Ok(false);
        }
        match &self.keeper {
            Keeper::Store(layer) => {
                let store = layer.store();
                store.delete(&key(reference), Expect::Any).await?;
            }
            Keeper::File(path) => write(path, &tags).await?,
            Keeper::Memory => {}
        }
        self.replace(tags);
        Ok(true)
    }
}

/// Returns the key of a name: its digest, because names can be longer than keys. The value contains
/// the name.
fn key(reference: &str) -> String {
    format!("{PREFIX}{}", Digest::of(reference).hex())
}

/// Replaces the file atomically: after a crash, it is the old one or the new one.
async fn write(path: &Path, tags: &BTreeMap<String, Tag>) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(tags).map_err(kept)?;
    let new = path.with_extension("new");
    tokio::fs::write(&new, bytes).await.map_err(kept)?;
    tokio::fs::rename(&new, path).await.map_err(kept)
}

fn kept(error: impl std::error::Error) -> ApiError {
    ApiError::internal(format!("cannot keep the name: {}", chain(&error)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use portlayer::exec::ContainerSpec;
    use portlayer::memory::{Behaviour, MemoryExec};

    use super::*;

    #[tokio::test]
    async fn names_survive_in_a_file() {
        let layer = PortLayer::new(MemoryExec::new(|_: &ContainerSpec| Behaviour::exits(0)));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.json");
        let tag = Tag {
            reference: "docker.io/library/a:latest".into(),
            image: ImageId::new(Digest::of(b"a")),
            digest: None,
        };
        let catalog = Catalog::open(&layer, Some(&path)).await.unwrap();
        catalog.put(tag.clone()).await.unwrap();
        drop(catalog);
        let catalog = Catalog::open(&layer, Some(&path)).await.unwrap();
        assert_eq!(catalog.get(&"a".parse().unwrap()), Some(tag.clone()));
        assert!(catalog.remove(&tag.reference).await.unwrap());
        assert!(!catalog.remove(&tag.reference).await.unwrap());
        let catalog = Catalog::open(&layer, Some(&path)).await.unwrap();
        assert_eq!(catalog.all(), []);
    }
}
