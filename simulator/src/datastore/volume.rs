//! One datastore, which is a directory of files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use vim25::{Ref, mo};

use super::namespace::Namespaces;
use super::site::Site;
use super::space;
use super::spec::{Datastore, DatastoreKind};
use super::unwritten::UnwrittenDirectories;
use crate::ids::Ids;

/// Makes the UUIDs of directories differ from those of the inventory.
const SALT: u64 = 0x7653_414e;

/// One datastore.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) site: Site,
    pub(crate) name: String,
    pub(crate) kind: DatastoreKind,
    pub(crate) directory: PathBuf,
    /// Bytes; `None` without a limit.
    pub(crate) capacity: Option<u64>,
    /// The top-level directories, if they are objects of vSAN.
    pub(crate) namespaces: Option<Namespaces>,
    /// The directories of machines whose files nobody has used yet. Only a temporary datastore has
    /// some: what is kept has to survive a crash. Nor has one with a capacity, whose free space is
    /// measured on disk.
    pub(super) unwritten: UnwrittenDirectories,
    temporary: Mutex<Option<tempfile::TempDir>>,
    identity: OnceLock<Identity>,
}

/// How the inventory and the hosts know a datastore.
#[derive(Clone, Debug)]
struct Identity {
    id: String,
    /// The name of its directory in `/vmfs/volumes`.
    mount: String,
}

impl Volume {
    /// Opens the directory of a datastore, or creates a temporary one, which is removed with the
    /// simulator. `home` is where datastores without a directory are kept, if they are.
    pub(super) fn open(
        spec: &Datastore,
        site: Site,
        home: Option<&Path>,
        seed: u64,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let kept = spec.directory.clone();
        let kept = kept.or_else(|| home.map(|home| home.join(&spec.name)));
        let (directory, temporary) = match kept {
            Some(directory) => {
                let open = || {
                    std::fs::create_dir_all(&directory)?;
                    directory.canonicalize()
                };
                (open().map_err(|error| (directory.clone(), error))?, None)
            }
            None => {
                let directory = tempfile::Builder::new()
                    .prefix("vsphere-simulator-")
                    .tempdir()
                    .map_err(|error| (std::env::temp_dir(), error))?;
                (directory.path().to_owned(), Some(directory))
            }
        };
        let namespaces = match spec.kind {
            DatastoreKind::Vsan => {
                let opened = Namespaces::open(&directory, Ids::new(seed ^ SALT));
                Some(opened.map_err(|error| (directory.clone(), error))?)
            }
            _ => None,
        };
        let may_wait = temporary.is_some() && namespaces.is_none() && spec.capacity.is_none();
        Ok(Self {
            site,
            namespaces,
            unwritten: UnwrittenDirectories::new(may_wait),
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            directory,
            capacity: spec.capacity,
            temporary: Mutex::new(temporary),
            identity: OnceLock::new(),
        })
    }

    /// Records the reference of the datastore, and the name of its directory in `/vmfs/volumes`.
    pub(crate) fn identify(&self, id: &str, mount: &str) {
        let (id, mount) = (id.to_owned(), mount.to_owned());
        let _ = self.identity.set(Identity { id, mount });
    }

    /// Returns the reference of the datastore in the inventory.
    pub(crate) fn reference(&self) -> Ref<mo::Datastore> {
        let identity = self.identity.get();
        identity.map_or_else(Ref::default, |identity| Ref::new(&identity.id))
    }

    /// Returns the name of the directory in `/vmfs/volumes` at which hosts mount the datastore.
    pub(crate) fn mount(&self) -> &str {
        self.identity.get().map_or("", |identity| &identity.mount)
    }

    /// Returns the path at which hosts mount the datastore.
    pub(crate) fn url(&self) -> String {
        format!("/vmfs/volumes/{}", self.mount())
    }

    /// Returns the number of bytes that are free; `None` without a capacity.
    pub(crate) fn free(&self) -> Option<u64> {
        let capacity = self.capacity?;
        Some(capacity.saturating_sub(space::occupied(&self.directory)))
    }

    /// Writes all files, and from now on writes files immediately: somebody reads the directory
    /// without the simulator. Best effort: what cannot be written is only logged.
    pub(crate) fn expose(&self) -> &Path {
        if let Err(error) = self.unwritten.stop(&self.directory) {
            tracing::error!(datastore = self.name, %error, "files were not written");
        }
        &self.directory
    }

    pub(super) fn remove_temporary(&self) {
        let directory = self
            .temporary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Err(error)) = directory.map(tempfile::TempDir::close) {
            tracing::warn!(%error, "a temporary datastore was not removed");
        }
    }
}
