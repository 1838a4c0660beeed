//! Boots a Linux kernel under QEMU. The kernel is from Debian's packages, which are unpacked
//! and not installed; the initramfs is our own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};

use super::initramfs::Initramfs;
use crate::process::{Background, capture, on_path, run};

const QEMU: &str = "qemu-system-x86_64";
/// Depends on the current cloud kernel, which has ext4 and the serial console built in, and
/// the drivers of VMware's disks and network cards as modules.
const PACKAGE: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";

/// How long a machine may take until it powers off. On a loaded host, it takes ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// An unpacked kernel with its modules, and a static busybox.
#[derive(Debug)]
pub(super) struct Kernel {
    root: PathBuf,
    image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Returns the kernel in `folder`; downloads and unpacks it the first time.
    ///
    /// # Errors
    /// Returns the reason why there is no kernel, for [`Report::not_run`].
    ///
    /// [`Report::not_run`]: super::report::Report::not_run
    pub(super) fn get(folder: &Path) -> Result<Self, String> {
        if !on_path(QEMU) {
            return Err(format!("{QEMU} is not installed"));
        }
        let root = folder.join("kernel");
        if let Some(kernel) = Self::find(&root) {
            return Ok(kernel);
        }
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if !on_path(program) {
                return Err(format!(
                    "{program}, which downloads a kernel, is not installed"
                ));
            }
        }
        unpack(folder, &root).map_err(|error| format!("cannot download a kernel: {error:#}"))?;
        Self::find(&root).ok_or_else(|| format!("the package {PACKAGE} has no kernel"))
    }

    fn find(root: &Path) -> Option<Self> {
        let first = |folder: &Path, prefix: &str| {
            let mut found: Vec<PathBuf> = fs::read_dir(folder)
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with(prefix)
                })
                .collect();
            found.sort();
            found.pop()
        };
        let image = first(&root.join("boot"), "vmlinuz-")?;
        let modules = first(&root.join("lib/modules"), "")?;
        let root = root.to_owned();
        root.join("bin/busybox").is_file().then_some(Self {
            root,
            image,
            modules,
        })
    }

    /// Returns an initramfs with busybox and the modules `names`. `/init` has to load the
    /// files in `/modules` in the order of their names.
    ///
    /// # Errors
    /// Fails when a module does not exist.
    pub(super) fn initramfs(&self, names: &[&str]) -> Result<Initramfs> {
        let mut initramfs = Initramfs::new();
        for directory in ["bin", "dev", "proc", "sys", "mnt", "modules"] {
            initramfs.directory(directory);
        }
        initramfs.file("bin/busybox", 0o755, &read(&self.busybox())?);
        for (index, module) in self.load_order(names)?.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("modules/{index:02}-{name}");
            initramfs.file(&name, 0o644, &read(module)?);
        }
        Ok(initramfs)
    }

    /// Returns the files of the modules and of all their dependencies, in the order in which
    /// to load them. A dependency without a file is built into the kernel.
    fn load_order(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        find_modules(&self.modules, &mut files)?;
        let file_of = |name: &str| files.iter().find(|path| module_name(path) == name);
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for &name in names {
            ensure!(file_of(name).is_some(), "the kernel has no module {name}");
            // Depth first; a module follows its dependencies.
            let mut open = vec![(name.to_owned(), false)];
            while let Some((name, is_ready)) = open.pop() {
                let Some(file) = file_of(&name) else { continue };
                if is_ready {
                    order.push(file.clone());
                } else if seen.insert(name.clone()) {
                    open.push((name, true));
                    open.extend(dependencies(file)?.into_iter().map(|name| (name, false)));
                }
            }
        }
        Ok(order)
    }

    /// Returns the kernel's file.
    pub(super) fn image(&self) -> &Path {
        &self.image
    }

    /// Returns the static busybox's file.
    pub(super) fn busybox(&self) -> PathBuf {
        self.root.join("bin/busybox")
    }

    /// Returns a QEMU command that boots this kernel, without any device. The console is
    /// standard output.
    pub(super) fn machine(&self, initramfs: &Path) -> Command {
        let mut command = Command::new(QEMU);
        // Emulated, because KVM often does not work on hosts that are virtual machines.
        command.args(["-accel", "tcg", "-machine", "pc", "-m", "256", "-smp", "1"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        command.args(["-no-reboot", "-serial", "stdio"]);
        command.arg("-kernel").arg(&self.image);
        command.arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 quiet panic=-1"]);
        command
    }
}

/// Adds a disk on VMware's paravirtual controller. `format` is QEMU's name of the disk's
/// format.
pub(super) fn add_disk(command: &mut Command, number: usize, path: &Path, format: &str) {
    if number == 0 {
        command.args(["-device", "pvscsi,id=scsi0"]);
    }
    command.arg("-drive").arg(format!(
        "if=none,id=d{number},format={format},file={}",
        path.display()
    ));
    let device = format!("scsi-hd,bus=scsi0.0,scsi-id={number},drive=d{number}");
    command.args(["-device", &device]);
}

/// Runs a machine until it powers off, and returns what it printed on its console.
///
/// # Errors
/// Fails when it does not power off within [`PATIENCE`]; the error contains what it printed.
pub(super) fn boot(command: &mut Command) -> Result<String> {
    Background::start(command)?.finish(PATIENCE)
}

/// Downloads and unpacks the packages. This does not require root.
fn unpack(folder: &Path, root: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let download = tempfile::tempdir_in(folder).context("create a folder for packages")?;
    let depends = capture(Command::new("apt-cache").args(["depends", PACKAGE]))?;
    let image = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("the package {PACKAGE} does not depend on a kernel"))?;
    println!("downloading {image} and {BUSYBOX}");
    run(Command::new("apt-get")
        .args(["download", "-q", image, BUSYBOX])
        .current_dir(download.path())
        .stdout(Stdio::null()))?;
    let unpacked = tempfile::tempdir_in(folder).context("create a folder for the kernel")?;
    for package in fs::read_dir(download.path()).context("list the packages")? {
        let package = package.context("list the packages")?.path();
        let mut unpack = Command::new("dpkg-deb");
        run(unpack.arg("-x").arg(package).arg(unpacked.path()))?;
    }
    // Renamed last, so that an interrupted download is not mistaken for a kernel.
    fs::rename(unpacked.keep(), root).with_context(|| format!("create {}", root.display()))
}

fn find_modules(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.context("list modules")?.path();
        if path.is_dir() && !path.is_symlink() {
            find_modules(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns a module's name with underscores, for which the kernel also accepts dashes.
fn module_name(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.replace('-', "_")
}

/// Reads the names of a module's dependencies from its file: the packages have no
/// `modules.dep`.
fn dependencies(module: &Path) -> Result<Vec<String>> {
    let bytes = read(module)?;
    let describe = || format!("read {}", module.display());
    let file = object::File::parse(&*bytes).with_context(describe)?;
    let section = file.section_by_name(".modinfo").with_context(describe)?;
    let records = section.data().with_context(describe)?;
    let depends = records
        .split(|&byte| byte == 0)
        .find_map(|record| record.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(depends.unwrap_or_default()).into_owned();
    let names = names.split(',').filter(|name| !name.is_empty());
    Ok(names.map(|name| name.replace('-', "_")).collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}
