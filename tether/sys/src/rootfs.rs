//! Creates the file systems of a container.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, chroot, fchdir, pivot_root};

use crate::error::{Step, SysError};
use crate::setup::{ContainerSetup, RootDirectory, fits_options};

/// The devices of the host that every container has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// Paths in `/proc` with settings of the host, which are read-only in the container.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// Paths that are hidden from the container.
const MASKED: [&str; 7] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/scsi",
];
/// The directories in the staging directory.
const DEV: &str = "dev";
const FILES: &str = "files";
const BINDS: &str = "binds";
/// The group "tty".
const TTY: u32 = 5;

const NONE: Option<&str> = None;
/// The mount flags of file systems without programs.
const PROTECTED: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);

/// The files that replace those of the image, by path. They are open, so that whatever the container
/// does to their paths, nothing else is written.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, File>);

impl Files {
    /// Replaces the content of a file.
    pub(crate) fn write(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "it is a file of the image");
        let file = self.0.get(path).ok_or_else(missing)?;
        // A concurrent reader does not see an empty file.
        file.write_all_at(content, 0)?;
        file.set_len(content.len() as u64)
    }
}

/// Mounts the root of a container and makes it the root of the calling process, which must be the
/// first of its mount and process namespaces. Returns the files of the setup, and a note for each
/// missing feature.
pub(crate) fn enter(
    setup: &ContainerSetup,
    in_user_namespace: bool,
) -> Result<(Files, Vec<String>), SysError> {
    let mut notes = Vec::new();
    let private = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(NONE, "/", NONE, private, NONE).step("keep mounts from the host")?;
    chdir(&setup.base).step(format_args!("enter {}", setup.base.display()))?;
    mount_root(setup, in_user_namespace)?;
    let files = prepare(setup, in_user_namespace, &mut notes)?;

    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let old = open("/", directory, Mode::empty()).step("open the root directory")?;
    let base = open(".", directory, Mode::empty()).step("open the base directory")?;
    chdir(&setup.mount_point).step("enter the new root")?;
    let can_unmount = match pivot_root(".", ".") {
        // An initramfs cannot be replaced as the root; it is covered.
        Err(Errno::EINVAL) => {
            mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).step("cover the root directory")?;
            chroot(".").step("change the root directory")?;
            false
        }
        done => done.map(|()| true).step("change the root directory")?,
    };

    // From here on, absolute paths are those of the container. Relative paths are those of the
    // host, below the base directory, until the old root is unmounted.
    fchdir(base.as_fd()).step("enter the base directory")?;
    let stage = &setup.stage;
    attach(&stage.join(DEV), Path::new("/dev"), Kind::Directory).step("mount /dev")?;
    mount_proc(&mut notes)?;
    mount_sys(&mut notes);
    for (index, (path, _)) in setup.files.iter().enumerate() {
        let source = stage.join(FILES).join(index.to_string());
        if let Err(error) = attach(&source, Path::new(path), Kind::File) {
            notes.push(format!("{path} of the image was not replaced: {error}"));
        }
    }
    for (index, bind) in setup.binds.iter().enumerate() {
        let (source, target) = (stage.join(BINDS).join(index.to_string()), &bind.target);
        let attached = attach(&source, Path::new(target), Kind::Directory);
        attached.step(format_args!("mount {target}"))?;
        if bind.read_only {
            read_only(&bind.target, MsFlags::empty())
                .step(format_args!("mount {} read-only", bind.target))?;
        }
    }
    if can_unmount {
        fchdir(old.as_fd()).step("enter the old root")?;
        umount2(".", MntFlags::MNT_DETACH).step("unmount the old root")?;
    }
    chdir("/").step("enter the root")?;
    Ok((files, notes))
}

fn mount_root(setup: &ContainerSetup, in_user_namespace: bool) -> Result<(), SysError> {
    let target = &setup.mount_point;
    match &setup.root {
        RootDirectory::Overlay { lower, upper, work } => {
            if ![lower, upper, work]
                .into_iter()
                .all(|path| fits_options(path))
            {
                let error = io::Error::from(io::ErrorKind::InvalidInput);
                return Err(SysError::new(
                    "mount an overlay of paths with , : or \\",
                    error,
                ));
            }
            let mut options = format!(
                "lowerdir={},upperdir={},workdir={}",
                lower.display(),
                upper.display(),
                work.display()
            );
            // Independent of the kernel's defaults, the upper directory contains no metadata
            // except whiteouts and opaque directories, because we read it.
            options.push_str(if in_user_namespace {
                ",userxattr"
            } else {
                ",redirect_dir=off,metacopy=off,index=off"
            });
            mount(
                Some("overlay"),
                target,
                Some("overlay"),
                MsFlags::empty(),
                Some(options.as_str()),
            )
            .step("mount the overlay")
        }
        RootDirectory::Plain(path) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(path), target, NONE, flags, NONE).step("mount the root directory")
        }
        RootDirectory::Disk { label } => {
            let device = crate::disk::by_label(label)?;
            let flags = MsFlags::MS_NOATIME;
            mount(Some(&device), target, Some("ext4"), flags, NONE)
                .step(format_args!("mount {} ({label:?})", device.display()))
        }
    }
}

/// Prepares `/dev` and the files in a file system in memory, which the image cannot affect.
fn prepare(
    setup: &ContainerSetup,
    in_user_namespace: bool,
    notes: &mut Vec<String>,
) -> Result<Files, SysError> {
    let stage = &setup.stage;
    let memory = Some("tmpfs");
    let flags = MsFlags::MS_NOSUID;
    mount(memory, stage, memory, flags, Some("mode=755,size=16m")).step("mount a tmpfs")?;
    let files = stage.join(FILES);
    fs::create_dir(&files).step("make a directory")?;
    let mut made = Files::default();
    for (index, (path, content)) in setup.files.iter().enumerate() {
        let mut file = File::create(files.join(index.to_string())).step("make a file")?;
        file.write_all(content).step("write a file")?;
        made.0.insert(path.clone(), file);
    }

    for (index, bind) in setup.binds.iter().enumerate() {
        let target = stage.join(BINDS).join(index.to_string());
        fs::create_dir_all(&target).step("make a directory")?;
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        let mounted = mount(Some(&bind.source), &target, NONE, flags, NONE);
        mounted.step(format_args!("mount {}", bind.source.display()))?;
    }

    let dev = stage.join(DEV);
    fs::create_dir(&dev).step("make a directory")?;
    mount(memory, &dev, memory, flags, Some("mode=755,size=1m")).step("mount a tmpfs")?;
    for name in DEVICES {
        let (target, source) = (dev.join(name), Path::new("/dev").join(name));
        File::create(&target).step("make a file")?;
        let bound = mount(Some(&source), &target, NONE, MsFlags::MS_BIND, NONE);
        if let Err(error) = bound {
            notes.push(format!("/dev/{name} is missing: {}", error.desc()));
        }
    }
    for (name, target) in LINKS {
        std::os::unix::fs::symlink(target, dev.join(name)).step("make a link")?;
    }
    let pts = dev.join("pts");
    fs::create_dir(&pts).step("make a directory")?;
    let mut options = "newinstance,ptmxmode=0666,mode=0620".to_owned();
    let sub_ids = setup.sub_ids.as_ref();
    if !in_user_namespace || sub_ids.is_some_and(|ids| ids.gids.count >= TTY) {
        // The group does not exist in a namespace with one id.
        let _ = write!(options, ",gid={TTY}");
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let devpts = Some("devpts");
    mount(devpts, &pts, devpts, flags, Some(options.as_str())).step("mount /dev/pts")?;
    let shm = dev.join("shm");
    fs::create_dir(&shm).step("make a directory")?;
    let flags = flags | MsFlags::MS_NODEV;
    mount(memory, &shm, memory, flags, Some("mode=1777,size=64m")).step("mount /dev/shm")?;
    let queues = dev.join("mqueue");
    fs::create_dir(&queues).step("make a directory")?;
    if let Err(error) = mount(Some("mqueue"), &queues, Some("mqueue"), flags, NONE) {
        notes.push(format!("/dev/mqueue is empty: {}", error.desc()));
    }
    Ok(made)
}

fn mount_proc(notes: &mut Vec<String>) -> Result<(), SysError> {
    make(Path::new("/proc"), Kind::Directory).step("make /proc")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if let Err(error) = mount(Some("proc"), "/proc", Some("proc"), flags, NONE) {
        // The kernel refuses this inside another container that hides parts of /proc.
        notes.push(format!("/proc is empty: {}", error.desc()));
        return Ok(());
    }
    for path in READ_ONLY {
        match mount(Some(path), path, NONE, MsFlags::MS_BIND, NONE) {
            Ok(()) => read_only(path, PROTECTED).step(format_args!("protect {path}"))?,
            Err(Errno::ENOENT) => {}
            Err(error) => return Err(SysError::new(format!("protect {path}"), error)),
        }
    }
    for path in MASKED {
        mask(path).step(format_args!("mask {path}"))?;
    }
    Ok(())
}

fn mount_sys(notes: &mut Vec<String>) {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    let made = make(Path::new("/sys"), Kind::Directory);
    let mounted = made.and_then(|()| Ok(mount(Some("sysfs"), "/sys", Some("sysfs"), flags, NONE)?));
    if let Err(error) = mounted.and_then(|()| mask("/sys/firmware")) {
        notes.push(format!("/sys is empty: {error}"));
        let _ = umount2("/sys", MntFlags::MNT_DETACH);
    }
}

/// Hides a file or a directory; does nothing if it does not exist.
fn mask(path: &str) -> io::Result<()> {
    let done = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(data) if data.is_dir() => {
            let flags = MsFlags::MS_RDONLY;
            mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("size=4k"))
        }
        Ok(_) => mount(Some("/dev/null"), path, NONE, MsFlags::MS_BIND, NONE),
    };
    Ok(done?)
}

fn read_only(path: &str, kept: MsFlags) -> nix::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | kept;
    match mount(NONE, path, NONE, flags, NONE) {
        // Flags that were set in another namespace must be kept.
        Err(Errno::EPERM) => {
            let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RELATIME;
            mount(NONE, path, NONE, flags, NONE)
        }
        done => done,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Directory,
    File,
}

/// Mounts a directory or file of the host over one of the container.
fn attach(source: &Path, target: &Path, kind: Kind) -> io::Result<()> {
    make(target, kind)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    Ok(mount(Some(source), target, NONE, flags, NONE)?)
}

fn make(path: &Path, kind: Kind) -> io::Result<()> {
    if path.metadata().is_ok() {
        return Ok(());
    }
    match kind {
        Kind::Directory => fs::create_dir_all(path),
        Kind::File => {
            fs::create_dir_all(
                path.parent()
                    .map_or_else(|| PathBuf::from("/"), Path::to_path_buf),
            )?;
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map(drop)
        }
    }
}
