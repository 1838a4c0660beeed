//! Makes disks of container layers on the command line.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use disk_image::{
    FileLayer, FsOptions, LayerDigests, Level, Limits, Merge, Monitor, StreamOptions,
};

#[derive(Parser)]
#[command(
    version,
    about = "Container layers become disks, and disks become layers"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a disk of layers, the lowest first
    Make {
        /// Size of the disk in MiB
        #[arg(long, default_value_t = 8192)]
        size: u64,
        /// Identifies the file system
        #[arg(long, default_value = "00000000-0000-0000-0000-000000000001")]
        uuid: uuid::Uuid,
        /// Volume label
        #[arg(long, default_value = "")]
        label: String,
        /// Form of the disk
        #[arg(long, value_enum, default_value_t = Form::Stream)]
        form: Form,
        /// Compress better, and take longer
        #[arg(long)]
        small: bool,
        /// Threads that compress
        #[arg(long)]
        threads: Option<usize>,
        /// The disk to make
        #[arg(long, short)]
        output: PathBuf,
        /// Layers: tar files, plain or compressed with gzip or zstd
        layers: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// streamOptimized VMDK
    Stream,
    /// The file system as it is
    Raw,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Make {
            size,
            uuid,
            label,
            form,
            small,
            threads,
            output,
            layers,
        } => {
            let monitor = Monitor::new();
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
            let plan = merge.plan(&FsOptions::new(size << 20, uuid).label(label))?;
            let context = || format!("output {}", output.display());
            let file = File::create(&output).with_context(context)?;
            match form {
                Form::Raw => plan.write_file(&file, &monitor)?,
                Form::Stream => {
                    let level = if small { Level::Small } else { Level::Fast };
                    let mut options = StreamOptions::new().level(level);
                    if let Some(threads) = threads {
                        options = options.threads(threads);
                    }
                    plan.write_stream_optimized(file, &options, &monitor)?;
                }
            }
        }
    }
    Ok(())
}
