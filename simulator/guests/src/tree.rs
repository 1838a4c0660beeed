//! Unpacks the trees of base disks once, so that containers share them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use disk_image::ext4::Reader;
use disk_image::vmdk::Disk;
use disk_image::{BlockRead as _, Monitor, Refused, RefusedKind, UnpackOptions};
use tether::sys::RefusedFile;
use tokio::sync::OnceCell;

use crate::file_job::FileJob;
use crate::rights::Rights;
use crate::sub_ids::suffix;
use crate::work::{TREES, WorkDir, name_of};

/// The unpacked trees, by the identity of their disks.
#[derive(Debug)]
pub(crate) struct Trees {
    work: Arc<WorkDir>,
    known: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl Trees {
    pub(crate) fn new(work: Arc<WorkDir>) -> Self {
        Self {
            work,
            known: Mutex::default(),
        }
    }

    /// Returns the tree of the disk with these files, as a path relative to the directory of the
    /// guests. Unpacks it the first time; concurrent callers wait for the same result.
    pub(crate) async fn get(&self, chain: &[PathBuf]) -> io::Result<PathBuf> {
        let chain = chain.to_vec();
        let suffix = suffix(self.work.sub_ids());
        let look = move || -> io::Result<(Vec<PathBuf>, String)> {
            let chain = without_unwritten_child(chain)?;
            let name = identity(&chain)?;
            Ok((chain, name + &suffix))
        };
        let (chain, name) = tokio::task::spawn_blocking(look).await??;
        let once = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(name.clone()).or_default())
        };
        let tree = Path::new(TREES).join(name);
        let to = self.work.path().join(&tree);
        let work = Arc::clone(&self.work);
        once.get_or_try_init(|| async move {
            tokio::task::spawn_blocking(move || unpack_to(&work, chain, &to)).await?
        })
        .await?;
        Ok(tree)
    }
}

/// The number of bytes at the start of a file system in which every write changes something: the
/// superblock and the descriptors of the groups.
const CHANGED_BY_WRITES: usize = 1 << 20;

/// Removes the disk itself from its chain if nothing was written to it, so that all containers of
/// an image share its tree.
fn without_unwritten_child(mut chain: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let Some(first) = chain.first() else {
        return Ok(chain);
    };
    if chain.len() < 2 {
        return Ok(chain);
    }
    let disk = Disk::open(first).map_err(io::Error::other)?;
    if let Some(parent) = disk.parent() {
        let size = disk.size().min(parent.size());
        let length = usize::try_from(size).unwrap_or(CHANGED_BY_WRITES);
        let length = length.min(CHANGED_BY_WRITES);
        let read = |disk: &Disk| {
            let mut bytes = vec![0; length];
            disk.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        if read(&disk).map_err(io::Error::other)? == read(parent).map_err(io::Error::other)? {
            chain.remove(0);
        }
    }
    Ok(chain)
}

/// Returns the identity of a tree, which consists of the paths of its disk's files and their
/// versions.
fn identity(chain: &[PathBuf]) -> io::Result<String> {
    let mut parts = Vec::new();
    for path in chain {
        let data = fs::metadata(path)?;
        parts.push(path.as_os_str().as_bytes().to_vec());
        for number in [data.ino(), data.len()] {
            parts.push(number.to_le_bytes().to_vec());
        }
        parts.push(data.mtime().to_le_bytes().to_vec());
        parts.push(data.mtime_nsec().to_le_bytes().to_vec());
    }
    Ok(name_of(parts.iter().map(Vec::as_slice)))
}

/// Unpacks next to the destination and renames the result, so that the destination is always
/// complete.
fn unpack_to(work: &WorkDir, chain: Vec<PathBuf>, to: &Path) -> io::Result<()> {
    if to.try_exists()? {
        return Ok(());
    }
    let part = to.with_extension("part");
    work.remove(&part)?;
    fs::create_dir(&part)?;
    let job = FileJob::Unpack {
        to: part.clone(),
        chain,
    };
    let done = work.run(&job).and_then(|()| fs::rename(&part, to));
    if done.is_err()
        && let Err(error) = work.remove(&part)
    {
        tracing::warn!(%error, path = %part.display(), "an incomplete tree was not deleted");
    }
    done
}

/// Returns the file with the owners and device nodes that the system refused for a tree.
pub(crate) fn owners_of(tree: &Path) -> PathBuf {
    tree.with_extension("refused")
}

/// Returns the files below `to` that have not got their owners, and the missing device nodes.
fn refused_files(to: &Path, refused: &[Refused]) -> io::Result<Vec<RefusedFile>> {
    let mut owners: Vec<RefusedFile> = Vec::new();
    for Refused { path, what, .. } in refused {
        match what {
            RefusedKind::Owner { uid, gid } => {
                let file = to.join(std::ffi::OsStr::from_bytes(path));
                owners.push(RefusedFile {
                    path: path.to_vec(),
                    uid: *uid,
                    gid: *gid,
                    mode: fs::symlink_metadata(file)?.mode(),
                    device: (0, 0),
                });
            }
            RefusedKind::Device {
                is_block,
                major,
                minor,
                mode,
                uid,
                gid,
            } => owners.push(RefusedFile {
                path: path.to_vec(),
                uid: *uid,
                gid: *gid,
                mode: mode & 0o7777 | if *is_block { 0o060_000 } else { 0o020_000 },
                device: (*major, *minor),
            }),
            // Refused after the owner of the same file.
            RefusedKind::Mode(mode) => {
                if let Some(last) = owners.last_mut().filter(|last| last.path == **path) {
                    last.mode |= mode & 0o6000;
                }
            }
            _ => {}
        }
    }
    Ok(owners)
}

/// Unpacks the disk with these files into a directory.
pub(crate) fn unpack(chain: &[PathBuf], to: &Path, rights: Rights) -> io::Result<()> {
    let Some(first) = chain.first() else {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    };
    let begun = Instant::now();
    let disk = Disk::open(first).map_err(io::Error::other)?;
    let reader = Reader::open(disk).map_err(io::Error::other)?;
    // What the system refuses nevertheless is ignored.
    let options = UnpackOptions::new()
        .owners(rights != Rights::Caller)
        .devices(rights == Rights::Root);
    let unpacked = reader
        .unpack(to, &options, &Monitor::new())
        .map_err(io::Error::other)?;
    let owners = refused_files(to, &unpacked.refused)?;
    if !owners.is_empty() {
        fs::write(owners_of(to), RefusedFile::encode(&owners))?;
    }
    tracing::info!(
        disk = %first.display(),
        entries = unpacked.entries,
        bytes = unpacked.bytes,
        refused = unpacked.refused.len(),
        took = ?begun.elapsed(),
        "unpacked an image"
    );
    Ok(())
}
