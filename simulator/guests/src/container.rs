//! The directory of one container, and access to it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tether::sys::RootDirectory;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::copy::copy;
use crate::probe::RootMethod;
use crate::work::{CONTAINERS, WorkDir, remove};
use crate::write_back;

/// The differences from the image: the upper layer of an overlay, or a modified copy.
const UPPER: &str = "upper";
/// The kernel's own.
const WORK: &str = "work";
/// Where the root is mounted.
const ROOT: &str = "root";
/// Where `/dev` is prepared.
const STAGE: &str = "stage";
/// Says which tree the upper directory belongs to.
const BASE: &str = "base";
/// What is being written back to the disk.
const SPOOL: &str = "spool";

/// The directories of all containers.
#[derive(Debug)]
pub(crate) struct Containers {
    work: Arc<WorkDir>,
    locks: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

/// The directory of a container, held by one user: a run, a flush, a removal.
#[derive(Debug)]
pub(crate) struct Container {
    /// Relative to the directory of the guests.
    place: PathBuf,
    path: PathBuf,
    _held: OwnedMutexGuard<()>,
}

impl Containers {
    pub(crate) fn new(work: Arc<WorkDir>) -> Self {
        Self {
            work,
            locks: Mutex::default(),
        }
    }

    /// Takes the directory of the container with this disk; waits until the last
    /// user has ended. It need not exist.
    pub(crate) async fn hold(&self, disk: &Path) -> Container {
        let name = WorkDir::container_name(disk);
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let known = locks.get(&name).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(AsyncMutex::new(()));
                locks.insert(name.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        let place = Path::new(CONTAINERS).join(name);
        Container {
            path: self.work.path().join(&place),
            place,
            _held: lock.lock_owned().await,
        }
    }
}

impl Container {
    /// Makes what a run needs, over an image's tree; keeps what an earlier run has
    /// written over the same tree.
    pub(crate) fn prepare(
        &self,
        work: &Path,
        tree: &Path,
        method: RootMethod,
        fresh: bool,
    ) -> io::Result<RootDirectory> {
        let base = self.path.join(BASE);
        let tree_name = tree.to_string_lossy();
        let kept = fs::read_to_string(&base).is_ok_and(|name| name == tree_name);
        if fresh || !kept {
            self.forget()?;
        }
        // The kernel's work directory of an earlier run is removed: only an
        // overlay that is still mounted would need it.
        remove(&self.path.join(WORK))?;
        for name in [WORK, ROOT, STAGE] {
            fs::create_dir_all(self.path.join(name))?;
        }
        let upper = self.path.join(UPPER);
        let root = match method {
            RootMethod::Overlay => {
                if !upper.try_exists()? {
                    fs::create_dir(&upper)?;
                    same_root(&work.join(tree), &upper)?;
                }
                RootDirectory::Overlay {
                    lower: tree.to_owned(),
                    upper: self.place.join(UPPER),
                    work: self.place.join(WORK),
                }
            }
            RootMethod::Copy | RootMethod::Chroot => {
                if !upper.try_exists()? {
                    copy(&work.join(tree), &upper)?;
                }
                RootDirectory::Plain(self.place.join(UPPER))
            }
        };
        fs::write(&base, tree_name.as_bytes())?;
        Ok(root)
    }

    /// Writes what was kept to the disk with these files, and deletes it. A no-op
    /// when nothing was kept.
    pub(crate) fn write_back(&self, chain: &[PathBuf], method: RootMethod) -> io::Result<()> {
        let (upper, spool) = (self.path.join(UPPER), self.path.join(SPOOL));
        if !spool.try_exists()? {
            if !upper.try_exists()? {
                return Ok(());
            }
            write_back::collect(&spool, &upper, method, chain)?;
        }
        self.resume_write_back(chain)
    }

    /// Ends a [`write_back`](Self::write_back) that was interrupted while it wrote to the
    /// disk, which cannot be read before. A no-op otherwise.
    pub(crate) fn resume_write_back(&self, chain: &[PathBuf]) -> io::Result<()> {
        let spool = self.path.join(SPOOL);
        if !spool.try_exists()? {
            return Ok(());
        }
        write_back::write(&spool, chain)?;
        // The upper directory goes first: without the spool its content would be written twice.
        for name in [UPPER, SPOOL] {
            remove(&self.path.join(name))?;
        }
        self.forget()
    }

    /// Where the root is to be mounted, and where `/dev` is to be prepared.
    pub(crate) fn mount_points(&self) -> (PathBuf, PathBuf) {
        (self.place.join(ROOT), self.place.join(STAGE))
    }

    /// Deletes all that was kept.
    pub(crate) fn forget(&self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// The root directory of an overlay has the owner and mode of its upper one.
fn same_root(tree: &Path, upper: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let data = fs::metadata(tree)?;
    match chown(upper, Some(data.uid()), Some(data.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    fs::set_permissions(upper, data.permissions())
}
