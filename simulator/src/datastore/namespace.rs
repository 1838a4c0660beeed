//! The top-level directories of a vSAN datastore. Each is an object, whose UUID is the name of the
//! directory; the name that a client gave it is another name for it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::ids::Ids;
use crate::saved;

const FILE: &str = "namespaces.json";

/// The names of the top-level directories of a vSAN datastore.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// The directory of the datastore.
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The UUIDs by the names. Directories may have been deleted since.
    names: BTreeMap<String, String>,
    ids: Ids,
}

impl Namespaces {
    /// Reads the names of the directories in a datastore.
    pub(super) fn open(root: &Path, ids: Ids) -> io::Result<Self> {
        let names = match std::fs::read(root.join(saved::DIRECTORY).join(FILE)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            root: root.to_owned(),
            state: Mutex::new(State { names, ids }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, directory: &str) -> bool {
        self.root.join(directory).is_dir()
    }

    /// Returns the UUID of the directory with a name.
    pub(crate) fn uuid(&self, name: &str) -> Option<String> {
        let uuid = self.lock().names.get(name).cloned();
        uuid.filter(|uuid| self.has(uuid))
    }

    /// Returns the name of a directory.
    pub(crate) fn name(&self, uuid: &str) -> Option<String> {
        let state = self.lock();
        let mut names = state.names.iter();
        let found = names.find(|(_, own)| *own == uuid);
        found.map(|(name, _)| name.clone())
    }

    /// Creates a directory, with or without a name. Returns its UUID.
    pub(crate) fn create(&self, name: Option<&str>) -> io::Result<String> {
        let mut state = self.lock();
        let taken = name.and_then(|name| state.names.get(name));
        if taken.is_some_and(|uuid| self.has(uuid)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let uuid = loop {
            let uuid = state.ids.uuid().to_string();
            // After a restart, the first ones exist already.
            match std::fs::create_dir(self.root.join(&uuid)) {
                Ok(()) => break uuid,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        if let Some(name) = name {
            state.names.retain(|_, uuid| self.has(uuid));
            state.names.insert(name.to_owned(), uuid.clone());
            self.write(&state.names)?;
        }
        Ok(uuid)
    }

    fn write(&self, names: &BTreeMap<String, String>) -> io::Result<()> {
        let directory = self.root.join(saved::DIRECTORY);
        std::fs::create_dir_all(&directory)?;
        let new = directory.join("namespaces.part");
        std::fs::write(&new, serde_json::to_vec_pretty(names)?)?;
        std::fs::rename(new, directory.join(FILE))
    }

    /// Returns whether a name is a UUID, which cannot be chosen.
    pub(crate) fn is_uuid(name: &str) -> bool {
        Uuid::parse_str(name).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_survive_until_their_directory_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let open = || Namespaces::open(root.path(), Ids::new(7)).unwrap();
        let first = open().create(Some("a")).unwrap();
        let again = open();
        assert_eq!(again.uuid("a").as_ref(), Some(&first));
        assert_eq!(again.name(&first).as_deref(), Some("a"));
        assert!(again.create(Some("a")).is_err());
        let second = again.create(None).unwrap();
        assert_ne!(first, second);
        std::fs::remove_dir(root.path().join(&first)).unwrap();
        assert_eq!(again.uuid("a"), None);
        let third = again.create(Some("a")).unwrap();
        assert_eq!(open().uuid("a"), Some(third));
    }
}
