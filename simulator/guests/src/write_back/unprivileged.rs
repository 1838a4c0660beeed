//! Write-backs of a simulator that does not run as root.
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]
#![allow(clippy::print_stderr, reason = "a test that did not run is reported")]

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use disk_image::ext4::FileKind;
use tar::{EntryType, Header};
use tether::sys::RefusedFile;

use super::test_disks::disks;
use super::*;
use crate::container::{Container, Containers};
use crate::rights;
use crate::tree::Trees;
use crate::work::WorkDir;

/// A user that is not root and has no files.
const NOBODY: u32 = 65_534;
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A tar layer.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    /// Adds a file of `(uid, uid + 1)`.
    fn add(&mut self, name: &str, kind: EntryType, uid: u64, mode: u32, content: &str) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid + 1);
        header.set_mtime(1_000_000_000);
        header.set_device_major(1).unwrap();
        header.set_device_minor(7).unwrap();
        self.0
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }

    fn attributes(&mut self, attributes: &[(&str, &[u8])]) {
        let attributes = attributes.iter().copied();
        self.0.append_pax_extensions(attributes).unwrap();
    }
}

/// Returns a layer with files of several owners.
fn layer() -> Vec<u8> {
    use EntryType::{Block, Char, Directory, Fifo, Regular};
    let mut tar = Tar(tar::Builder::new(Vec::new()));
    tar.add("home", Directory, 1_000, 0o750, "");
    for name in ["kept", "changed", "replaced", "removed"] {
        tar.add(&format!("home/{name}"), Regular, 1_000, 0o640, "before");
    }
    tar.add("bin", Directory, 0, 0o755, "");
    for name in ["kept", "mode", "content"] {
        tar.attributes(&[("SCHILY.xattr.security.capability", CAPABILITY)]);
        tar.add(&format!("bin/{name}"), Regular, 2_000, 0o4755, "program");
    }
    tar.add("dev", Directory, 0, 0o755, "");
    tar.add("dev/full", Char, 0, 0o666, "");
    tar.add("dev/disk", Block, 0, 0o660, "");
    tar.add("dev/pipe", Fifo, 3_000, 0o620, "");
    tar.add("gone", Directory, 0, 0o755, "");
    tar.add("gone/full", Char, 0, 0o666, "");
    tar.0.into_inner().unwrap()
}

/// A container whose image was unpacked by this user.
struct Fixture {
    chain: Vec<PathBuf>,
    tree: PathBuf,
    work: Arc<WorkDir>,
    container: Container,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let chain = disks(folder.path(), layer());
        let work = Arc::new(WorkDir::open(None).unwrap());
        let tree = Trees::new(Arc::clone(&work)).get(&chain).await.unwrap();
        let container = Containers::new(Arc::clone(&work)).lock(&chain[0]).await;
        Self {
            chain,
            tree,
            work,
            container,
            _folder: folder,
        }
    }

    /// Prepares a run, and returns the upper directory.
    fn prepare(&self, method: RootMethod) -> PathBuf {
        let work = self.work.path();
        let made = self.container.prepare(&self.tree, method, false);
        made.unwrap();
        let name = WorkDir::container_name(&self.chain[0]);
        work.join("containers").join(name).join("upper")
    }

    /// Writes the changes back. Returns the disk's files.
    fn written(&self, method: RootMethod) -> Files {
        self.container.write_back(&self.chain, method).unwrap();
        Files(Reader::open(Disk::open(&self.chain[0]).unwrap()).unwrap())
    }
}

struct Files(Reader<Disk>);

impl Files {
    /// Returns the owner and the mode of a file.
    fn owner(&self, path: &str) -> (u32, u32, u32) {
        let inode = self.0.lookup(path.as_bytes()).unwrap();
        (inode.uid(), inode.gid(), inode.permissions())
    }

    fn kind(&self, path: &str) -> Option<FileKind> {
        let inode = self.0.lookup(path.as_bytes()).ok()?;
        Some(inode.kind())
    }

    fn has_capabilities(&self, path: &str) -> bool {
        let inode = self.0.lookup(path.as_bytes()).unwrap();
        let found = self.0.xattrs(&inode).unwrap();
        let found = found
            .iter()
            .find(|(name, _)| **name == *b"security.capability");
        found
            .inspect(|(_, value)| assert_eq!(**value, *CAPABILITY))
            .is_some()
    }

    /// Asserts what is the same however the root was made.
    fn verify(&self) {
        assert_eq!(self.owner("home"), (1_000, 1_001, 0o750));
        assert_eq!(self.owner("home/kept"), (1_000, 1_001, 0o640));
        assert_eq!(self.owner("home/changed"), (1_000, 1_001, 0o640));
        assert_eq!(self.kind("home/removed"), None);
        // Something else of this name, and something new, belong to root.
        assert_eq!(self.kind("home/replaced"), Some(FileKind::Directory));
        assert_eq!(self.owner("home/replaced"), (0, 0, 0o700));
        assert_eq!(self.owner("home/new"), (0, 0, 0o4711));
        assert_eq!(self.owner("bin/kept"), (2_000, 2_001, 0o4755));
        assert_eq!(self.owner("bin/mode"), (2_000, 2_001, 0o711));
        assert_eq!(self.owner("bin/content"), (2_000, 2_001, 0o4755));
        assert!(self.has_capabilities("bin/kept"));
        assert!(self.has_capabilities("bin/mode"));
        assert!(!self.has_capabilities("bin/content"), "its content changed");
        assert_eq!(self.kind("dev/full"), Some(FileKind::Char(1, 7)));
        assert_eq!(self.kind("dev/disk"), Some(FileKind::Block(1, 7)));
        assert_eq!(self.owner("dev/disk"), (0, 1, 0o660));
        assert_eq!(self.kind("dev/pipe"), Some(FileKind::Fifo));
        assert_eq!(self.owner("dev/pipe"), (3_000, 3_001, 0o620));
        assert_eq!(self.kind("gone"), None);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Copies a file of the tree to the upper directory, as the overlay does before a change.
fn copy_up(tree: &Path, upper: &Path, name: &str) {
    let (from, to) = (tree.join(name), upper.join(name));
    if from.is_dir() {
        fs::DirBuilder::new().mode(0o700).create(&to).unwrap();
    } else {
        fs::copy(&from, &to).unwrap();
    }
    let data = fs::metadata(&from).unwrap();
    mode(&to, data.mode() & 0o7777);
    let time = rustix::fs::Timespec {
        tv_sec: data.mtime(),
        tv_nsec: data.mtime_nsec(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    let flags = rustix::fs::AtFlags::empty();
    rustix::fs::utimensat(rustix::fs::CWD, &to, &times, flags).unwrap();
}

/// What the program in the container does.
fn change(upper: &Path) {
    fs::write(upper.join("home/changed"), "after").unwrap();
    fs::DirBuilder::new()
        .mode(0o700)
        .create(upper.join("home/replaced"))
        .unwrap();
    fs::write(upper.join("home/new"), "new").unwrap();
    mode(&upper.join("home/new"), 0o4711);
    mode(&upper.join("bin/mode"), 0o711);
    fs::write(upper.join("bin/content"), "another").unwrap();
}

#[tokio::test]
#[ignore = "is run by another test, without privileges"]
async fn overlay() {
    let fixture = Fixture::new().await;
    let upper = fixture.prepare(RootMethod::Overlay);
    let tree = fixture.work.path().join(&fixture.tree);
    assert!(!rights::is_root());
    assert!(
        !tree.join("dev/full").exists(),
        "the system refuses devices"
    );
    let table = fs::read(crate::tree::owners_of(&tree)).unwrap();
    for (path, uid, mode, device) in [
        ("home", 1_000, 0o040_750, (0, 0)),
        ("home/kept", 1_000, 0o100_640, (0, 0)),
        ("bin/kept", 2_000, 0o104_755, (0, 0)),
        ("dev/full", 0, 0o020_666, (1, 7)),
        ("dev/disk", 0, 0o060_660, (1, 7)),
    ] {
        let entry = RefusedFile::encode(&[RefusedFile {
            path: path.into(),
            uid,
            gid: uid + 1,
            mode,
            device,
        }]);
        // Without the number of entries.
        let entry = &entry[4..];
        assert!(
            table.windows(entry.len()).any(|part| part == entry),
            "{path}"
        );
    }
    for name in ["home", "home/changed", "bin", "bin/mode", "bin/content"] {
        copy_up(&tree, &upper, name);
    }
    for name in ["home/removed", "gone"] {
        // A whiteout, which this user may create.
        let (kind, mode) = (
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
        );
        rustix::fs::mknodat(rustix::fs::CWD, upper.join(name), kind, mode, 0).unwrap();
    }
    change(&upper);
    fixture.written(RootMethod::Overlay).verify();
}

#[tokio::test]
#[ignore = "is run by another test, without privileges"]
async fn copy() {
    let fixture = Fixture::new().await;
    let upper = fixture.prepare(RootMethod::Copy);
    assert!(!rights::is_root());
    for name in ["home/removed", "home/replaced"] {
        fs::remove_file(upper.join(name)).unwrap();
    }
    fs::remove_dir(upper.join("gone")).unwrap();
    change(&upper);
    fixture.written(RootMethod::Copy).verify();
}

/// Runs a test of this file as another user, if this one is root.
fn without_privileges(test: &str) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    let test = format!("write_back::unprivileged::{test}");
    command.args(["--ignored", "--exact", "--nocapture", &test]);
    if rights::is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = match command.output() {
        Ok(ran) => ran,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let program = program.display();
            eprintln!("NOT RUN: {test}: another user cannot be used for {program}: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(
        ran.status.success() && out.contains("1 passed"),
        "{out}{err}"
    );
}

#[test]
fn a_copy_that_was_made_without_privileges_keeps_the_owners_and_devices_of_the_image() {
    without_privileges("copy");
}

#[test]
fn changes_that_were_made_without_privileges_keep_the_owners_and_devices_of_the_image() {
    without_privileges("overlay");
}
