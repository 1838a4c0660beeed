//! Measures one conversion in a process of its own.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use disk_image::ext4::Reader;
use disk_image::{
    CompressionLevel, FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor, Plan, RawDisk,
    StreamOptions,
};

use crate::DISK;
use crate::layers::Layer;

/// The result of one run.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) entries: u64,
    /// The largest resident memory of the process in bytes.
    pub(crate) peak: u64,
}

/// Converts layers to a streamOptimized disk, and verifies their digests.
pub(crate) fn stream(to: &Path, level: &str, threads: usize, layers: &[Layer]) -> Sample {
    // Freeing the file of the last run is no work of this one.
    _ = std::fs::remove_file(to);
    let mut arguments = vec!["stream".into(), text(to), level.into(), threads.to_string()];
    for layer in layers {
        arguments.extend([text(&layer.path), layer.diff_id.to_string()]);
    }
    child(&arguments)
}

/// Converts layers to a raw disk.
pub(crate) fn raw(to: &Path, layers: &[Layer]) {
    let layers = layers.iter().cloned();
    let (file, monitor) = (File::create(to).unwrap(), Monitor::new());
    plan(layers, &monitor).write_file(&file, &monitor).unwrap();
}

/// Reads a raw disk as tar.
pub(crate) fn tar(disk: &Path) -> Sample {
    child(&["tar".into(), text(disk)])
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn child(arguments: &[String]) -> Sample {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("measure")
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let mut words = printed.split_whitespace();
    let mut next = || words.next().unwrap();
    Sample {
        seconds: next().parse().unwrap(),
        entries: next().parse().unwrap(),
        peak: next().parse().unwrap(),
    }
}

/// Runs in the child: measures, and prints the sample.
pub(crate) fn run(arguments: &[String]) {
    let start = Instant::now();
    let mut entries = 0;
    match arguments {
        [kind, to, level, threads, layers @ ..] if kind == "stream" => {
            let level = match level.as_str() {
                "small" => CompressionLevel::Small,
                _ => CompressionLevel::Fast,
            };
            let threads = threads.parse().unwrap();
            let options = StreamOptions::new().level(level).threads(threads);
            let (monitor, file) = (Monitor::new(), File::create(to).unwrap());
            let file = std::io::BufWriter::with_capacity(256 << 10, file);
            let layers = layers.chunks_exact(2).map(|words| Layer {
                path: words[0].clone().into(),
                diff_id: words[1].parse().unwrap(),
            });
            let plan = plan(layers, &monitor);
            entries = monitor.entries();
            plan.write_stream_optimized(file, &options, &monitor)
                .unwrap();
        }
        [kind, disk] if kind == "tar" => {
            let reader = Reader::open(RawDisk::open(disk).unwrap()).unwrap();
            let root = reader.root().unwrap();
            reader
                .write_tar(&root, std::io::sink(), |_| true, &Monitor::new())
                .unwrap();
        }
        _ => panic!("{arguments:?}"),
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{seconds} {entries} {}", peak());
}

fn plan(layers: impl Iterator<Item = Layer>, monitor: &Monitor) -> Plan {
    let mut merge = Merge::new(Limits::default());
    for layer in layers {
        // Next to the layers, which is on a disk.
        merge = merge.spool(layer.path.parent().unwrap());
        let digests = LayerDigests::none().diff_id(layer.diff_id);
        let source = Arc::new(FileLayer::new(layer.path));
        merge.layer(source, digests, monitor).unwrap();
    }
    let options = FsOptions::new(DISK, uuid::Uuid::from_u128(1));
    merge.plan(&options, monitor).unwrap()
}

/// Returns the largest resident memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.map_or(0, |number| number.parse::<u64>().unwrap() << 10)
}

/// The median and the extremes of several runs, in seconds.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(samples: &[Sample]) -> Self {
        Self::of_seconds(samples.iter().map(|sample| sample.seconds).collect())
    }

    pub(crate) fn of_seconds(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self {
            median: seconds[seconds.len() / 2],
            least: seconds[0],
            most: seconds[seconds.len() - 1],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            median,
            least,
            most,
        } = self;
        write!(f, "{median:.2} s, {least:.2} to {most:.2}")
    }
}
