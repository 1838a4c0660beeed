//! One measured operation, in a process of its own.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use disk_image::vmdk::SparseDisk;
use disk_image::{FsOptions, LayerDigests, Limits, Merge, Monitor, StreamOptions};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use portlayer::PortLayer;
use portlayer::exec::{Command as Run, ContainerSpec, RootFs};
use portlayer::image::{Digest, ImportOptions};
use portlayer::vsphere::{Hosts, Options};

use crate::CONTAINERS;
use crate::layers::{self, Layers};
use crate::server::{self, Server};

/// Capacity of the disks in bytes.
const CAPACITY: u64 = 4 << 30;
/// Number of containers that are created or removed at a time.
const AT_A_TIME: usize = 8;

/// The result of a conversion or an import.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Seconds of a second import.
    pub(crate) again: f64,
    /// The largest resident memory of the process in bytes.
    pub(crate) peak: u64,
}

/// What containers of one image share.
pub(crate) struct Shared {
    /// Seconds for creating all containers.
    pub(crate) created: f64,
    /// Bytes that the containers' disks do not read from their parent.
    pub(crate) copied: u64,
    /// Bytes that the containers' files occupy.
    pub(crate) occupied: u64,
    /// Seconds for removing all containers.
    pub(crate) removed: f64,
    /// Whether the digest of the parent is the same after the removal.
    pub(crate) is_unchanged: bool,
}

/// Converts the layers to a streamOptimized disk without an endpoint.
pub(crate) fn disk(layers: &Layers) -> Sample {
    let out = layers.config.with_extension("vmdk");
    let sample = sample(&child(&["disk", text(&layers.config), text(&out)]));
    std::fs::remove_file(out).unwrap();
    sample
}

/// Imports the image twice, and removes it.
pub(crate) fn import(server: &Server, layers: &Layers) -> Sample {
    let (url, pin) = (server.url.as_str(), server.thumbprint.as_str());
    sample(&child(&["import", text(&layers.config), url, pin]))
}

/// Imports the image, and creates and removes containers.
pub(crate) fn containers(server: &Server, layers: &Layers) -> Shared {
    let (url, pin) = (server.url.as_str(), server.thumbprint.as_str());
    let (config, datastore) = (text(&layers.config), text(&server.datastore));
    let words = child(&["containers", config, url, pin, datastore]);
    Shared {
        created: words[0].parse().unwrap(),
        copied: words[1].parse().unwrap(),
        occupied: words[2].parse().unwrap(),
        removed: words[3].parse().unwrap(),
        is_unchanged: words[4].parse().unwrap(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sample(words: &[String]) -> Sample {
    Sample {
        seconds: words[0].parse().unwrap(),
        again: words[1].parse().unwrap(),
        peak: words[2].parse().unwrap(),
    }
}

fn child(arguments: &[&str]) -> Vec<String> {
    // Temporary files are next to the layers, so in memory if the layers are.
    let folder = Path::new(arguments[1]).parent().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env("TMPDIR", folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.split_whitespace().map(str::to_owned).collect()
}

/// Runs in the child: measures, and prints the figures.
pub(crate) fn run(arguments: &[String]) {
    match arguments {
        [kind, config, out] if kind == "disk" => convert(Path::new(config), Path::new(out)),
        [kind, config, url, pin] if kind == "import" => measure_import(Path::new(config), url, pin),
        [kind, config, url, pin, datastore] if kind == "containers" => {
            measure_containers(Path::new(config), url, pin, Path::new(datastore));
        }
        _ => panic!("{arguments:?}"),
    }
}

struct Source(portlayer::image::Layer);

impl disk_image::LayerSource for Source {
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        self.0.open()
    }

    fn open_seekable(&self) -> std::io::Result<Option<Box<dyn disk_image::ReadSeek>>> {
        let reader = self.0.open_seekable()?;
        Ok(reader.map(|reader| Box::new(reader) as Box<_>))
    }
}

fn convert(config: &Path, out: &Path) {
    let image = layers::open(config);
    let start = Instant::now();
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default()).spool(std::env::temp_dir());
    for layer in image.layers() {
        let diff_id = disk_image::Digest::from_bytes(*layer.diff_id.as_bytes());
        let digests = LayerDigests::none().diff_id(diff_id);
        let source = Arc::new(Source(layer.clone()));
        merge.layer(source, digests, &monitor).unwrap();
    }
    let options = FsOptions::new(CAPACITY, uuid::Uuid::from_u128(1));
    let plan = merge.plan(&options, &monitor).unwrap();
    let file = std::io::BufWriter::with_capacity(256 << 10, File::create(out).unwrap());
    plan.write_stream_optimized(file, &StreamOptions::new(), &monitor)
        .unwrap();
    println!("{} 0 {}", start.elapsed().as_secs_f64(), peak());
}

async fn open(url: &str, pin: &str) -> PortLayer {
    let client = server::connect(url, pin).await;
    let hosts = Hosts::new(client, Options::default());
    hosts.open("vch").await.unwrap()
}

#[tokio::main(worker_threads = 2)]
async fn measure_import(config: &Path, url: &str, pin: &str) {
    let layer = open(url, pin).await;
    let image = layers::open(config);
    let options = ImportOptions::new().capacity(CAPACITY);
    let images = layer.images();
    let start = Instant::now();
    images.import(image.clone(), options.clone()).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    images.import(image.clone(), options).await.unwrap();
    let again = start.elapsed().as_secs_f64();
    let peak = peak();
    images.remove(&image.id()).await.unwrap();
    println!("{seconds} {again} {peak}");
}

#[tokio::main(worker_threads = 2)]
async fn measure_containers(config: &Path, url: &str, pin: &str, datastore: &Path) {
    let layer = open(url, pin).await;
    let image = layers::open(config);
    let options = ImportOptions::new().capacity(CAPACITY);
    layer.images().import(image.clone(), options).await.unwrap();
    let before = files(datastore);
    let is_parent = |file: &&PathBuf| text(file).ends_with("-flat.vmdk");
    let parent = before.iter().find(is_parent).unwrap();
    let digest = Digest::of(std::fs::read(parent).unwrap());

    let start = Instant::now();
    let ids: Vec<_> = stream::iter(0..CONTAINERS)
        .map(|number| {
            let spec = ContainerSpec::new(format!("child-{number}"), Run::new("/usr/bin/true"))
                .root(RootFs::image(image.id(), "bench"));
            layer.exec().create(spec)
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
        .unwrap();
    let created = start.elapsed().as_secs_f64();
    let mut new = files(datastore);
    new.retain(|file| !before.contains(file));
    let occupied: u64 = new
        .iter()
        .map(|file| file.metadata().unwrap().blocks() * 512)
        .sum();
    let copied: u64 = new
        .iter()
        .filter(|file| text(file).ends_with(".vmdk") && !text(file).ends_with("-delta.vmdk"))
        .map(|file| SparseDisk::open(file).unwrap().stored_bytes().unwrap())
        .sum();

    let start = Instant::now();
    stream::iter(&ids)
        .map(|id| layer.exec().remove(id))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await
        .unwrap();
    let removed = start.elapsed().as_secs_f64();
    let is_unchanged = Digest::of(std::fs::read(parent).unwrap()) == digest;
    layer.images().remove(&image.id()).await.unwrap();
    println!("{created} {copied} {occupied} {removed} {is_unchanged}");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Returns the largest resident memory of this process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.map_or(0, |number| number.parse::<u64>().unwrap() << 10)
}
