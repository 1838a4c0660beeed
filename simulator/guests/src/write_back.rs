//! Writes a container's changes back to its disk.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use disk_image::ext4::Reader;
use disk_image::vmdk::{Disk, SparseDisk};
use disk_image::{FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor};
use uuid::Uuid;

use crate::changes::{Image, write_layer};
use crate::originals::Original;
use crate::probe::RootMethod;
use crate::rights::Rights;
use crate::work::remove;

/// The previous content of the disk, as a tar archive.
const BASE: &str = "base.tar";
/// The container's changes, as a tar layer.
const CHANGES: &str = "changes.tar";
/// The UUID and label of the file system.
const IDENTITY: &str = "file-system";

/// Collects the parts of a disk's new content in the directory `spool`. Nothing is written to the
/// disk. The directory exists only if it is complete. `rights` are those with which the changes were
/// made: the owners, devices and attributes that the system refused are those of the disk's
/// [originals](crate::originals).
///
/// # Errors
/// Fails when the disk or the directory `upper` cannot be read, or there is no space left.
pub(crate) fn collect(
    spool: &Path,
    upper: &Path,
    method: RootMethod,
    chain: &[PathBuf],
    rights: Rights,
) -> io::Result<()> {
    let disk = chain.first().ok_or(io::ErrorKind::NotFound)?;
    let part = spool.with_extension("part");
    remove(&part)?;
    fs::create_dir(&part)?;
    let reader = Disk::open(disk)
        .and_then(Reader::open)
        .map_err(io::Error::other)?;
    let label = String::from_utf8_lossy(reader.label()).into_owned();
    fs::write(
        part.join(IDENTITY),
        format!("{}\n{label}\n", reader.uuid().as_hyphenated()),
    )?;
    // An overlay contains the differences from the disk; a copy contains everything.
    if method == RootMethod::Overlay {
        let root = reader.root().map_err(io::Error::other)?;
        let base = reader
            .write_tar(
                &root,
                new_file(&part.join(BASE))?,
                |_| true,
                &Monitor::new(),
            )
            .map_err(io::Error::other)?;
        base.sync_all()?;
    }
    let changes = new_file(&part.join(CHANGES))?;
    let image = Image {
        root: Original::root(&reader)?,
        rights,
        is_complete: method != RootMethod::Overlay,
    };
    write_layer(upper, &image, changes)?.sync_all()?;
    fs::rename(&part, spool)
}

/// Writes the content that was collected in `spool` to the disk. If it was interrupted, it must be
/// repeated before the disk is read.
///
/// # Errors
/// Fails when the disk cannot be written, has no parent, or is too small for the content.
pub(crate) fn write(spool: &Path, chain: &[PathBuf]) -> io::Result<()> {
    let begun = Instant::now();
    let disk = chain.first().ok_or(io::ErrorKind::NotFound)?;
    let identity = fs::read_to_string(spool.join(IDENTITY))?;
    let mut identity = identity.lines();
    let uuid: Uuid = identity
        .next()
        .unwrap_or_default()
        .parse()
        .map_err(io::Error::other)?;
    let label = identity.next().unwrap_or_default();

    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    for layer in [BASE, CHANGES].map(|name| spool.join(name)) {
        if layer.try_exists()? {
            merge
                .layer(
                    Arc::new(FileLayer::new(layer)),
                    LayerDigests::none(),
                    &monitor,
                )
                .map_err(io::Error::other)?;
        }
    }
    let mut target = SparseDisk::open(disk).map_err(io::Error::other)?;
    let options = FsOptions::new(target.capacity(), uuid).label(label);
    let plan = merge.plan(&options, &monitor).map_err(io::Error::other)?;
    let mut content = target.replace();
    plan.write(&mut content, &monitor)
        .and_then(|()| content.finish())
        .and_then(|()| target.sync())
        .map_err(io::Error::other)?;
    tracing::info!(disk = %disk.display(), took = ?begun.elapsed(), "wrote the changes of a container to its disk");
    Ok(())
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod test_disks;
#[cfg(test)]
mod unprivileged;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tether::sys::{IdRange, SubIds};

    use super::test_disks::{SIZE, disks};
    use super::*;
    use crate::container::Containers;
    use crate::helper::Helper;
    use crate::sub_ids::suffix;
    use crate::work::WorkDir;

    /// Returns a layer with a few files.
    fn layer() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in [
            ("etc/kept", "as it was"),
            ("etc/changed", "before"),
            ("old/hidden", "below an opaque directory"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            header.set_uid(1_000);
            tar.append_data(&mut header, name, content.as_bytes())
                .unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// The disks of a container, and the directory with its changes.
    struct Fixture {
        folder: tempfile::TempDir,
        chain: Vec<PathBuf>,
        work: Arc<WorkDir>,
        directory: PathBuf,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let chain = disks(folder.path(), layer());
            let work = Arc::new(WorkDir::open(None).unwrap());
            let name = WorkDir::container_name(&chain[0]);
            let directory = work.path().join("containers").join(name);
            Self {
                folder,
                chain,
                work,
                directory,
            }
        }
    }

    fn read(disk: &Path, path: &str) -> Option<String> {
        let reader = Reader::open(Disk::open(disk).unwrap()).unwrap();
        let inode = reader.lookup(path.as_bytes()).ok()?;
        let mut text = String::new();
        io::Read::read_to_string(&mut reader.file(&inode).unwrap(), &mut text).unwrap();
        Some(text)
    }

    /// Creates the upper directory of an overlay.
    fn upper(upper: &Path) {
        fs::create_dir_all(upper.join("etc")).unwrap();
        fs::write(upper.join("etc/changed"), "after").unwrap();
        fs::write(upper.join("new"), "made by the container").unwrap();
        fs::set_permissions(upper.join("new"), fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("new", upper.join("link")).unwrap();
        fs::hard_link(upper.join("new"), upper.join("second")).unwrap();
        fs::create_dir(upper.join("old")).unwrap();
        let value = b"y";
        let flags = rustix::fs::XattrFlags::empty();
        // A file system without these attributes cannot be an upper directory either.
        rustix::fs::setxattr(upper.join("old"), "user.overlay.opaque", value, flags).unwrap();
    }

    async fn lock(work: &Arc<WorkDir>, disk: &Path) -> crate::container::Container {
        Containers::new(Arc::clone(work)).lock(disk).await
    }

    #[tokio::test]
    async fn the_changes_are_written_to_the_disk_and_not_to_its_parent() {
        let Fixture {
            folder,
            chain,
            work,
            directory,
        } = Fixture::new();
        let parent = fs::read(folder.path().join("image-flat.vmdk")).unwrap();
        upper(&directory.join("upper"));

        let container = lock(&work, &chain[0]).await;
        container.write_back(&chain, RootMethod::Overlay).unwrap();

        assert_eq!(read(&chain[0], "etc/kept").unwrap(), "as it was");
        assert_eq!(read(&chain[0], "etc/changed").unwrap(), "after");
        assert_eq!(read(&chain[0], "new").unwrap(), "made by the container");
        assert_eq!(read(&chain[0], "old/hidden"), None);
        let reader = Reader::open(Disk::open(&chain[0]).unwrap()).unwrap();
        let inode = |path: &str| reader.lookup(path.as_bytes()).unwrap();
        assert_eq!(inode("new").number(), inode("second").number());
        assert_eq!(inode("new").permissions(), 0o4755);
        assert_eq!(inode("etc/kept").uid(), 1_000);
        assert_eq!(reader.read_link(&inode("link")).unwrap(), b"new");
        assert_eq!(reader.uuid(), Uuid::from_u128(7));
        assert!(reader.xattrs(&inode("old")).unwrap().is_empty());

        assert!(!directory.exists(), "the changes are deleted");
        assert!(parent == fs::read(folder.path().join("image-flat.vmdk")).unwrap());
        let written = fs::metadata(folder.path().join("child-delta.vmdk")).unwrap();
        assert!(
            written.len() < SIZE / 4,
            "only what differs: {}",
            written.len()
        );
        container.write_back(&chain, RootMethod::Overlay).unwrap();
    }

    #[tokio::test]
    async fn an_interrupted_write_is_completed_from_the_spool() {
        let Fixture {
            folder: _folder,
            chain,
            work,
            directory,
        } = Fixture::new();
        let (spool, changes) = (directory.join("spool"), directory.join("upper"));
        upper(&changes);
        collect(&spool, &changes, RootMethod::Overlay, &chain, Rights::Root).unwrap();
        // The interrupted write has overwritten the superblock and the groups' descriptors.
        let mut half = SparseDisk::open(&chain[0]).unwrap();
        half.write_at(0, &[0xA5; 1 << 20]).unwrap();
        drop(half);

        let container = lock(&work, &chain[0]).await;
        container.resume_write_back(&chain).unwrap();
        assert_eq!(read(&chain[0], "etc/changed").unwrap(), "after");
        assert_eq!(read(&chain[0], "etc/kept").unwrap(), "as it was");
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn changes_that_were_made_without_subordinate_ids_are_written_back_before_a_run_with_them()
     {
        let Fixture {
            folder: _folder,
            chain,
            work: _work,
            directory,
        } = Fixture::new();
        let base = |name: &str| fs::write(directory.join("base"), name).unwrap();
        let range = |first, count| IdRange { first, count };
        let ids = |first| SubIds::new("/u", "/g", range(first, 9), range(first, 9));
        // A helper is not necessary, because none of the files belongs to these ids.
        let helper = Helper::find(Some(Path::new("/no-helper"))).unwrap();
        let work = WorkDir::open(Some(directory.ancestors().nth(2).unwrap())).unwrap();
        let work = Arc::new(work.with_sub_ids(helper, ids(100_000)));
        let container = lock(&work, &chain[0]).await;

        // Made with these ids: they stay.
        upper(&directory.join("upper"));
        base(&format!("trees/0123{}", suffix(Some(&ids(100_000)))));
        container
            .settle(&chain, RootMethod::Overlay, false)
            .unwrap();
        assert!(directory.join("upper/new").exists());
        // Made with other ids, whose files cannot be read.
        base(&format!("trees/0123{}", suffix(Some(&ids(200_000)))));
        let refused = container.settle(&chain, RootMethod::Overlay, false);
        let reason = refused.unwrap_err().to_string();
        assert!(reason.contains("subordinate ids"), "{reason}");
        assert!(directory.join("upper/new").exists());
        // Made without subordinate ids.
        base("trees/0123");
        container
            .settle(&chain, RootMethod::Overlay, false)
            .unwrap();
        assert_eq!(read(&chain[0], "new").unwrap(), "made by the container");
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_copy_replaces_the_content_of_the_disk() {
        let Fixture {
            folder: _folder,
            chain,
            work,
            directory,
        } = Fixture::new();
        fs::create_dir_all(directory.join("upper/etc")).unwrap();
        fs::write(directory.join("upper/etc/changed"), "after").unwrap();

        let container = lock(&work, &chain[0]).await;
        container.write_back(&chain, RootMethod::Copy).unwrap();
        assert_eq!(read(&chain[0], "etc/changed").unwrap(), "after");
        assert_eq!(read(&chain[0], "etc/kept"), None);
    }
}
