//! Creates disks from container layers on the command line, and inspects them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use disk_image::ext4::{ChangeKind, Changes, FileKind, Reader};
use disk_image::vmdk::{self, CreateType, Disk, FlatDisk, SparseDisk, StreamReader, StreamWriter};
use disk_image::{
    BlockRead, CompressionLevel, FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor,
    RawDisk, Sink, StreamOptions,
};

#[derive(Parser)]
#[command(
    version,
    about = "Converts container layers to disks, and disks to layers"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a disk from layers, the lowest first
    Make {
        /// Size of the disk in MiB
        #[arg(long, default_value_t = 8192)]
        size: u64,
        /// UUID of the file system; the same UUID and layers produce the same disk
        #[arg(long, default_value = "00000000-0000-0000-0000-000000000001")]
        uuid: uuid::Uuid,
        /// Volume label
        #[arg(long, default_value = "")]
        label: String,
        /// Directory for temporary files, so that compressed layers are decompressed only once
        #[arg(long)]
        spool: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
        /// Layers: tar files, plain or compressed with gzip or zstd
        layers: Vec<PathBuf>,
    },
    /// Copy a disk into another format
    Convert {
        #[command(flatten)]
        output: Output,
        /// The disk to copy: a virtual disk, a raw disk, or a pipe with a streamOptimized VMDK
        disk: PathBuf,
    },
    /// Read a whole disk and its file system, and report damage
    Check {
        /// A virtual disk, or a raw file system
        disk: PathBuf,
    },
    /// List the files on a disk
    List {
        /// A virtual disk, or a raw file system
        disk: PathBuf,
    },
    /// Unpack the files of a disk into a directory
    #[cfg(unix)]
    Extract {
        /// A virtual disk, or a raw file system
        disk: PathBuf,
        /// Must be empty; created if it does not exist
        directory: PathBuf,
    },
    /// Write the files of a disk as a tar archive
    Tar {
        /// A virtual disk, or a raw file system
        disk: PathBuf,
        /// The directory to start from
        #[arg(long, default_value = "/")]
        start: String,
        /// The archive to create; an existing file is replaced
        #[arg(long, short)]
        output: PathBuf,
    },
    /// List the changes from one disk to another, or write them as a layer
    Changes {
        /// The older disk
        old: PathBuf,
        /// The newer disk
        new: PathBuf,
        /// The layer to create, replacing an existing file; without it, the changes are listed
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Output {
    /// Format of the disk
    #[arg(long, value_enum, default_value_t = Form::Stream)]
    form: Form,
    /// Compress better, but slower
    #[arg(long)]
    small: bool,
    /// Number of compression threads
    #[arg(long)]
    threads: Option<usize>,
    /// Content identifier of the disk
    #[arg(long, default_value_t = 0x1234_5678)]
    cid: u32,
    /// The disk to create; only for the forms `stream` and `raw` it may exist, and is replaced
    #[arg(long, short)]
    output: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// streamOptimized VMDK
    Stream,
    /// monolithicSparse VMDK
    Sparse,
    /// Flat extent and a descriptor
    Flat,
    /// Flat extent and a descriptor, as on a datastore of ESXi
    Vmfs,
    /// Raw
    Raw,
}

fn main() -> Result<()> {
    let monitor = Monitor::new();
    match Arguments::parse().command {
        Command::Make {
            size,
            uuid,
            label,
            spool,
            output,
            layers,
        } => {
            let mut merge = Merge::new(Limits::default());
            if let Some(directory) = spool {
                merge = merge.spool(directory);
            }
            for layer in layers {
                let context = format!("layer {}", layer.display());
                merge
                    .layer(
                        Arc::new(FileLayer::new(layer)),
                        LayerDigests::none(),
                        &monitor,
                    )
                    .context(context)?;
            }
            for note in merge.notes() {
                let entry = String::from_utf8_lossy(&note.entry);
                print(&format!("{entry}: {}", note.what))?;
            }
            match merge.dropped_notes() {
                0 => {}
                more => print(&format!("and {more} more notes"))?,
            }
            let Some(size) = size.checked_mul(1 << 20) else {
                bail!("a disk of {size} MiB is too large");
            };
            let plan = merge.plan(&FsOptions::new(size, uuid).label(label), &monitor)?;
            output.write(plan.image_len(), |sink| plan.write(sink, &monitor))
        }
        // A pipe can only be read as a stream.
        Command::Convert { output, disk } if is_pipe(&disk) => {
            let stream = File::open(&disk).map_err(anyhow::Error::from);
            let stream = stream.and_then(|file| Ok(StreamReader::new(file)?));
            let stream = stream.with_context(|| name_of(&disk))?;
            output.write(stream.capacity(), |sink| stream.copy_to(sink, &monitor))
        }
        Command::Convert { output, disk } => {
            let source = open(&disk)?;
            let copy = |sink: &mut dyn Sink| disk_image::copy(&source, sink, &monitor);
            output.write(source.size(), copy)
        }
        Command::Check { disk } => check(&disk, &monitor).with_context(|| name_of(&disk)),
        Command::List { disk } => list(&disk, &monitor).with_context(|| name_of(&disk)),
        #[cfg(unix)]
        Command::Extract { disk, directory } => {
            let options = disk_image::UnpackOptions::new();
            let reader = read(&disk)?;
            let unpacked = reader.unpack(directory, &options, &monitor);
            for refused in unpacked.with_context(|| name_of(&disk))?.refused {
                let path = String::from_utf8_lossy(&refused.path);
                print(&format!("/{path}: not set: {}", describe(&refused.what)))?;
            }
            Ok(())
        }
        Command::Tar {
            disk,
            start,
            output,
        } => {
            let write = |out: &File| -> Result<()> {
                let reader = read(&disk)?;
                let start = reader.lookup(start.as_bytes())?;
                reader.write_tar(&start, BufWriter::new(out), |_| true, &monitor)?;
                Ok(())
            };
            create(&output, |out| write(out).with_context(|| name_of(&disk)))
        }
        Command::Changes { old, new, output } => {
            let context = || format!("{} and {}", name_of(&old), name_of(&new));
            let (old_reader, new_reader) = (read(&old)?, read(&new)?);
            let changes = Changes::between(&old_reader, &new_reader, &monitor);
            let changes = changes.with_context(context)?;
            if let Some(output) = output {
                return create(&output, |out| {
                    let out = BufWriter::new(out);
                    let written = changes.write_layer(&new_reader, out, |_| true, &monitor);
                    written.map(drop).with_context(context)
                });
            }
            for change in changes.list() {
                let letter = match change.kind {
                    ChangeKind::Added => 'A',
                    ChangeKind::Modified => 'C',
                    _ => 'D',
                };
                print(&format!(
                    "{letter} /{}",
                    String::from_utf8_lossy(&change.path)
                ))?;
            }
            Ok(())
        }
    }
}

/// Prints a line. A reader that has stopped reading is not an error.
fn print(line: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(unix)]
fn describe(refused: &disk_image::RefusedKind) -> String {
    use disk_image::RefusedKind;
    match refused {
        RefusedKind::Owner { uid, gid } => format!("the owner {uid}:{gid}"),
        RefusedKind::Mode(mode) => format!("the set-id bits of the mode {mode:04o}"),
        RefusedKind::Device { major, minor, .. } => format!("the device {major}:{minor}"),
        RefusedKind::Xattr { name, .. } => {
            format!("the attribute {}", String::from_utf8_lossy(name))
        }
        other => format!("{other:?}"),
    }
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = fs::metadata(path).map(|meta| meta.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

impl Output {
    fn write(
        &self,
        size: u64,
        fill: impl FnOnce(&mut dyn Sink) -> Result<(), disk_image::Error>,
    ) -> Result<()> {
        let path = &self.output;
        match self.form {
            Form::Stream => {
                let level = if self.small {
                    CompressionLevel::Small
                } else {
                    CompressionLevel::Fast
                };
                let mut options = StreamOptions::new().level(level).cid(self.cid);
                if let Some(threads) = self.threads {
                    options = options.threads(threads);
                }
                create(path, |file| {
                    let mut writer = StreamWriter::new(file, size, &options)?;
                    fill(&mut writer)?;
                    writer.finish()?;
                    Ok(())
                })
            }
            Form::Sparse => {
                let mut disk = SparseDisk::create(path, size, self.cid)?;
                fill(&mut disk).inspect_err(|_| _ = fs::remove_file(path))?;
                Ok(())
            }
            Form::Flat => self.write_flat(CreateType::MonolithicFlat, size, fill),
            Form::Vmfs => self.write_flat(CreateType::Vmfs, size, fill),
            Form::Raw => create(path, |file| {
                let mut writer = disk_image::RawFile::new(file);
                fill(&mut writer)?;
                writer.finish(size)?;
                Ok(())
            }),
        }
    }

    fn write_flat(
        &self,
        create_type: CreateType,
        size: u64,
        fill: impl FnOnce(&mut dyn Sink) -> Result<(), disk_image::Error>,
    ) -> Result<()> {
        let mut disk = FlatDisk::create(&self.output, create_type, size, self.cid)?;
        fill(&mut disk).inspect_err(|_| {
            for path in [&self.output, disk.flat_path()] {
                _ = fs::remove_file(path);
            }
        })?;
        Ok(())
    }
}

fn name_of(disk: &Path) -> String {
    format!("disk {}", disk.display())
}

/// Opens a file as a virtual disk, or as a raw disk if it is not one.
fn open(path: &Path) -> Result<Box<dyn BlockRead>> {
    let is_vmdk = path.extension().is_some_and(|name| name == "vmdk");
    let disk: Box<dyn BlockRead> = match Disk::open(path) {
        Ok(disk) => Box::new(disk),
        Err(disk_image::Error::Vmdk(vmdk::Error::Unsupported(_))) if !is_vmdk => {
            Box::new(RawDisk::open(path).with_context(|| name_of(path))?)
        }
        Err(error) => return Err(error).with_context(|| name_of(path)),
    };
    Ok(disk)
}

/// Opens the file system on a disk.
fn read(path: &Path) -> Result<Reader<Box<dyn BlockRead>>> {
    Reader::open(open(path)?).with_context(|| name_of(path))
}

/// Creates a file, which has its name only when it is complete, so that a failure leaves nothing and
/// an input of the same name can be read until then. Devices and pipes are written to directly.
fn create(path: &Path, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let context = || format!("output {}", path.display());
    // A symbolic link keeps leading to the file.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|meta| !meta.is_file()) {
        return fill(&File::create(&target).with_context(context)?);
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = target.with_file_name(name);
    let file = File::create_new(&partial).with_context(context)?;
    let filled = fill(&file);
    let complete = filled.and_then(|()| fs::rename(&partial, &target).with_context(context));
    complete.inspect_err(|_| _ = fs::remove_file(&partial))
}

fn check(path: &Path, monitor: &Monitor) -> Result<()> {
    struct Nowhere;
    impl Sink for Nowhere {
        fn put(&mut self, _: u64, _: &[u8]) -> Result<(), disk_image::Error> {
            Ok(())
        }
    }
    let disk = open(path)?;
    disk_image::copy(&disk, &mut Nowhere, monitor)?;
    let reader = Reader::open(disk)?;
    let root = reader.root()?;
    reader.write_tar(&root, io::sink(), |_| true, monitor)?;
    let entries = monitor.entries();
    print(&format!(
        "{}: no damage found, {entries} entries",
        path.display()
    ))?;
    Ok(())
}

fn list(path: &Path, monitor: &Monitor) -> Result<()> {
    let reader = Reader::open(open(path)?)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut failed = None;
    reader
        .walk(&reader.root()?, monitor, |visited| {
            let inode = visited.inode;
            let (letter, target) = match inode.kind() {
                FileKind::File => ('-', String::new()),
                FileKind::Directory => ('d', String::new()),
                FileKind::Symlink => {
                    let target = reader.read_link(inode)?;
                    ('l', format!(" -> {}", String::from_utf8_lossy(&target)))
                }
                FileKind::Char(..) => ('c', String::new()),
                FileKind::Block(..) => ('b', String::new()),
                FileKind::Fifo => ('p', String::new()),
                _ => ('?', String::new()),
            };
            let line = writeln!(
                out,
                "{letter}{:04o} {:>5} {:>5} {:>10} /{}{target}",
                inode.permissions(),
                inode.uid(),
                inode.gid(),
                inode.size(),
                String::from_utf8_lossy(visited.path)
            );
            if let Err(error) = line {
                failed = Some(error);
                monitor.cancel();
            }
            Ok(true)
        })
        .or_else(|error| if failed.is_some() { Ok(()) } else { Err(error) })?;
    if let Some(error) = failed
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        bail!(error);
    }
    Ok(())
}
