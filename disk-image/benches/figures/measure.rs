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

/// The result of one run.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) entries: u64,
    /// The largest resident memory of the process in bytes.
    pub(crate) peak: u64,
}

/// Converts layers to a streamOptimized disk.
pub(crate) fn stream(to: &Path, level: &str, threads: usize, layers: &[&Path]) -> Sample {
    let mut arguments = vec!["stream".into(), text(to), level.into(), threads.to_string()];
    arguments.extend(layers.iter().map(|layer| text(layer)));
    child(&arguments)
}

/// Converts layers to a raw disk.
pub(crate) fn raw(to: &Path, layers: &[&Path]) {
    let layers: Vec<String> = layers.iter().map(|layer| text(layer)).collect();
    let file = File::create(to).unwrap();
    plan(&layers).write_file(&file, &Monitor::new()).unwrap();
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
            let plan = plan_with(layers, &monitor);
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

fn plan(layers: &[String]) -> Plan {
    plan_with(layers, &Monitor::new())
}

fn plan_with(layers: &[String], monitor: &Monitor) -> Plan {
    // Next to the layers, which is on a disk.
    let folder = Path::new(&layers[0]).parent().unwrap();
    let mut merge = Merge::new(Limits::default()).spool(folder);
    for layer in layers {
        let layer = Arc::new(FileLayer::new(layer));
        merge.layer(layer, LayerDigests::none(), monitor).unwrap();
    }
    let options = FsOptions::new(DISK, uuid::Uuid::from_u128(1));
    merge.plan(&options).unwrap()
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
