//! Creates disks from container layers on the command line, and inspects them.
#![expect(clippy::print_stdout, reason = "a command prints its result")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use disk_image::ext4::{ChangeKind, Changes, FileKind, Reader};
use disk_image::vmdk::{CreateType, Disk, FlatDisk, SparseDisk, StreamReader, StreamWriter};
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
        #[command(flatten)]
        output: Output,
        /// Layers: tar files, plain or compressed with gzip or zstd
        layers: Vec<PathBuf>,
    },
    /// Copy a disk into another format
    Convert {
        #[command(flatten)]
        output: Output,
        /// The disk to copy: a virtual disk, or a raw file system
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
        /// The archive to create
        #[arg(long, short)]
        output: PathBuf,
    },
    /// List the changes from one disk to another, or write them as a layer
    Changes {
        /// The older disk
        old: PathBuf,
        /// The newer disk
        new: PathBuf,
        /// The layer to create; without it, the changes are listed
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
    /// The disk to create
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
            output,
            layers,
        } => {
            let mut merge = Merge::new(Limits::default());
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
                println!("{}: {}", String::from_utf8_lossy(&note.entry), note.what);
            }
            let plan = merge.plan(&FsOptions::new(size << 20, uuid).label(label))?;
            output.write(plan.image_len(), |sink| plan.write(sink, &monitor))
        }
        Command::Convert { output, disk } => match open(&disk) {
            Ok(disk) => {
                let size = disk.size();
                output.write(size, |sink| disk_image::copy(&disk, sink, &monitor))
            }
            Err(error) => {
                // Fall back to reading the input as a stream, which needs no seeking.
                let stream = StreamReader::new(File::open(&disk)?).map_err(|_| error)?;
                output.write(stream.capacity(), |sink| stream.copy_to(sink, &monitor))
            }
        },
        Command::Check { disk } => check(&disk, &monitor),
        Command::List { disk } => list(&disk, &monitor),
        #[cfg(unix)]
        Command::Extract { disk, directory } => {
            let options = disk_image::UnpackOptions::new();
            let unpacked = Reader::open(open(&disk)?)?.unpack(directory, &options, &monitor)?;
            for refused in unpacked.refused {
                println!(
                    "{}: {:?}",
                    String::from_utf8_lossy(&refused.path),
                    refused.what
                );
            }
            Ok(())
        }
        Command::Tar {
            disk,
            start,
            output,
        } => {
            let reader = Reader::open(open(&disk)?)?;
            let start = reader.lookup(start.as_bytes())?;
            let out = BufWriter::new(create(&output)?);
            reader.write_tar(&start, out, |_| true, &monitor)?;
            Ok(())
        }
        Command::Changes { old, new, output } => {
            let (old, new) = (Reader::open(open(&old)?)?, Reader::open(open(&new)?)?);
            let changes = Changes::between(&old, &new, &monitor)?;
            if let Some(output) = output {
                let out = BufWriter::new(create(&output)?);
                changes.write_layer(&new, out, |_| true, &monitor)?;
                return Ok(());
            }
            let mut out = BufWriter::new(std::io::stdout().lock());
            for change in changes.list() {
                let letter = match change.kind {
                    ChangeKind::Added => 'A',
                    ChangeKind::Modified => 'C',
                    _ => 'D',
                };
                writeln!(out, "{letter} /{}", String::from_utf8_lossy(&change.path))?;
            }
            out.flush()?;
            Ok(())
        }
    }
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
                let mut writer = StreamWriter::new(create(path)?, size, &options)?;
                fill(&mut writer)?;
                writer.finish()?;
            }
            Form::Sparse => fill(&mut SparseDisk::create(path, size, self.cid)?)?,
            Form::Flat => {
                fill(&mut FlatDisk::create(
                    path,
                    CreateType::MonolithicFlat,
                    size,
                    self.cid,
                )?)?;
            }
            Form::Vmfs => fill(&mut FlatDisk::create(
                path,
                CreateType::Vmfs,
                size,
                self.cid,
            )?)?,
            Form::Raw => {
                let file = create(path)?;
                let mut writer = disk_image::RawFile::new(&file);
                fill(&mut writer)?;
                writer.finish(size)?;
            }
        }
        Ok(())
    }
}

/// Opens a file as a virtual disk, or as a raw disk if it is not one.
fn open(path: &Path) -> Result<Box<dyn BlockRead>> {
    match Disk::open(path) {
        Ok(disk) => Ok(Box::new(disk)),
        Err(error) => {
            let raw = RawDisk::open(path)?;
            if path
                .extension()
                .is_some_and(|extension| extension == "vmdk")
            {
                return Err(error).with_context(|| format!("disk {}", path.display()));
            }
            Ok(Box::new(raw))
        }
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("output {}", path.display()))
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
    reader.write_tar(&root, std::io::sink(), |_| true, monitor)?;
    println!(
        "{}: no damage found, {} entries",
        path.display(),
        monitor.entries()
    );
    Ok(())
}

fn list(path: &Path, monitor: &Monitor) -> Result<()> {
    let reader = Reader::open(open(path)?)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
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
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        bail!(error);
    }
    Ok(())
}
