//! The directory of a container.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tether::sys::RootDirectory;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::file_job::FileJob;
use crate::probe::RootMethod;
use crate::rights::Rights;
use crate::sub_ids::{suffix, suffix_of};
use crate::work::{CONTAINERS, WorkDir};
use crate::write_back;

/// The changes of the container: the upper layer of an overlay, or a modified copy of the image.
const UPPER: &str = "upper";
/// The work directory of the overlay, which only the kernel uses.
const WORK: &str = "work";
/// The mount point of the root.
const ROOT: &str = "root";
/// The directory in which `/dev` is prepared.
const STAGE: &str = "stage";
/// A file with the name of the tree that the upper directory belongs to.
const BASE: &str = "base";
/// The content that is being written back to the disk.
const SPOOL: &str = "spool";

/// The directories of all containers.
#[derive(Debug)]
pub(crate) struct Containers {
    work: Arc<WorkDir>,
    locks: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
}

/// The locked directory of a container. The lock is exclusive: for a run, a write-back, or the
/// removal.
#[derive(Debug)]
pub(crate) struct Container {
    /// The path relative to the directory of the guests.
    relative: PathBuf,
    path: PathBuf,
    work: Arc<WorkDir>,
    _held: OwnedMutexGuard<()>,
}

impl Containers {
    pub(crate) fn new(work: Arc<WorkDir>) -> Self {
        Self {
            work,
            locks: Mutex::default(),
        }
    }

    /// Locks the directory of the container with this disk; waits for the lock. The directory
    /// need not exist.
    pub(crate) async fn lock(&self, disk: &Path) -> Container {
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
        let relative = Path::new(CONTAINERS).join(name);
        Container {
            path: self.work.path().join(&relative),
            relative,
            work: Arc::clone(&self.work),
            _held: lock.lock_owned().await,
        }
    }
}

impl Container {
    /// Creates the directories of a run on top of an image's tree. Keeps the changes of an
    /// earlier run on top of the same tree, unless `fresh` is set.
    pub(crate) fn prepare(
        &self,
        tree: &Path,
        method: RootMethod,
        fresh: bool,
    ) -> io::Result<RootDirectory> {
        let base = self.path.join(BASE);
        let tree_name = tree.to_string_lossy();
        let kept = fs::read_to_string(&base).is_ok_and(|name| name == tree_name);
        if fresh || !kept {
            self.remove()?;
        }
        // The work directory of an earlier run is no longer used by an overlay.
        self.work.remove(&self.path.join(WORK))?;
        for name in [WORK, ROOT, STAGE] {
            fs::create_dir_all(self.path.join(name))?;
        }
        let upper = self.path.join(UPPER);
        let root = match method {
            RootMethod::Overlay => {
                if !upper.try_exists()? {
                    fs::create_dir(&upper)?;
                    self.copy_owner(&self.work.path().join(tree), &upper)?;
                }
                RootDirectory::Overlay {
                    lower: tree.to_owned(),
                    upper: self.relative.join(UPPER),
                    work: self.relative.join(WORK),
                }
            }
            RootMethod::Copy | RootMethod::Chroot => {
                if !upper.try_exists()? {
                    let (from, to) = (self.work.path().join(tree), upper);
                    self.work.run(&FileJob::Copy { from, to })?;
                }
                RootDirectory::Plain(self.relative.join(UPPER))
            }
        };
        fs::write(&base, tree_name.as_bytes())?;
        Ok(root)
    }

    /// Writes the changes to the disk with these files, and deletes the directory. Does nothing
    /// if there are no changes.
    pub(crate) fn write_back(&self, chain: &[PathBuf], method: RootMethod) -> io::Result<()> {
        let (upper, spool) = (self.path.join(UPPER), self.path.join(SPOOL));
        if !spool.try_exists()? {
            if !upper.try_exists()? {
                return Ok(());
            }
            self.collect(spool, upper, method, chain)?;
        }
        self.resume_write_back(chain)
    }

    /// Completes a [`write_back`](Self::write_back) that was interrupted while it wrote to the
    /// disk. Must be called before the disk is read. Does nothing otherwise.
    pub(crate) fn resume_write_back(&self, chain: &[PathBuf]) -> io::Result<()> {
        let spool = self.path.join(SPOOL);
        if !spool.try_exists()? {
            return Ok(());
        }
        write_back::write(&spool, chain)?;
        // Deletes the upper directory first; if only the spool were deleted, the changes would
        // be written again.
        for name in [UPPER, SPOOL] {
            self.work.remove(&self.path.join(name))?;
        }
        self.remove()
    }

    /// Returns the mount point of the root, and the directory in which `/dev` is prepared.
    pub(crate) fn mount_points(&self) -> (PathBuf, PathBuf) {
        (self.relative.join(ROOT), self.relative.join(STAGE))
    }

    /// Deletes the directory.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.work.remove(&self.path)
    }

    /// Collects the changes, with the rights with which they were made.
    fn collect(
        &self,
        spool: PathBuf,
        upper: PathBuf,
        method: RootMethod,
        chain: &[PathBuf],
    ) -> io::Result<()> {
        let made_with = fs::read_to_string(self.path.join(BASE)).unwrap_or_default();
        let made_with = suffix_of(&made_with);
        let job = FileJob::Collect {
            spool,
            upper,
            method,
            chain: chain.to_vec(),
        };
        if made_with == suffix(self.work.sub_ids()) {
            self.work.run(&job)
        } else if made_with.is_empty() {
            job.run(Rights::of_this_process())
        } else {
            Err(io::Error::other(
                "the changes were made with subordinate ids that are not available now",
            ))
        }
    }

    /// Prepares the disk to be read before a run: completes a write-back that was interrupted, and
    /// writes back changes that were made with other subordinate ids, which a run could not use.
    pub(crate) fn settle(
        &self,
        chain: &[PathBuf],
        method: RootMethod,
        fresh: bool,
    ) -> io::Result<()> {
        self.resume_write_back(chain)?;
        let base = fs::read_to_string(self.path.join(BASE));
        match base {
            Ok(base) if !fresh && suffix_of(&base) != suffix(self.work.sub_ids()) => {
                self.write_back(chain, method)
            }
            _ => Ok(()),
        }
    }

    /// Copies the owner and mode of the tree's root to the upper directory, which determines those of
    /// the overlay's root.
    fn copy_owner(&self, tree: &Path, upper: &Path) -> io::Result<()> {
        let job = FileJob::CopyOwner {
            from: tree.to_owned(),
            to: upper.to_owned(),
        };
        let owner = |path| fs::metadata(path).map(|data| (data.uid(), data.gid()));
        if owner(tree)? == owner(upper)? {
            // Also possible without the subordinate ids, whose process would delay the start.
            return job.run(Rights::of_this_process());
        }
        self.work.run(&job)
    }
}
