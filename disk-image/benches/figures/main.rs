//! Measures the conversion of layers to disks next to `mke2fs -d` and `qemu-img convert`, in the
//! same run, and compares the figures with their targets.
//!
//! Run `cargo bench -p disk-image --bench figures` on a Debian system, whose files are the content
//! of the layers. Every figure is the median of several runs, each in a process of its own.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod layers;
mod measure;
mod peer;

use std::path::{Path, PathBuf};

use layers::Layers;
use measure::{Sample, Spread};
use peer::Peer;

/// Number of runs of each figure.
const RUNS: usize = 5;
/// Size of the disks in bytes.
const DISK: u64 = 4 << 30;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // `cargo test --benches` only checks that the bench builds.
        Some("--test") | None => {}
        Some("measure") => measure::run(&arguments[1..]),
        Some(_) => compare(),
    }
}

/// One line of the table.
fn line(measure: &str, target: &str, found: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("| {measure} | {target} | {found} | {verdict} |");
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    words.join(" ")
}

fn compare() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures");
    std::fs::create_dir_all(&folder).unwrap();
    let layers = Layers::create(&folder);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{processors} processors, load before: {}", load());
    println!("{}", layers.describe());
    let disk = folder.join("disk.vmdk");
    let debian = [layers.debian.clone()];
    let gzip = [layers.packed.clone()];
    let peer = Peer::new(&folder, &layers.debian.path);

    let (mut fast, mut small, mut packed, mut many, mut back) =
        (vec![], vec![], vec![], vec![], vec![]);
    let mut theirs = vec![];
    let (mut fast_size, mut small_size, mut their_size) = (0, 0, 0);
    let raw = folder.join("disk.img");
    measure::raw(&raw, &layers.all());
    // The programs take turns, so that other load affects all of them.
    for _ in 0..RUNS {
        fast.push(measure::stream(&disk, "fast", 2, &debian));
        fast_size = size(&disk);
        if let Some(peer) = &peer {
            theirs.push(peer.run());
            their_size = peer.size();
        }
        small.push(measure::stream(&disk, "small", 2, &debian));
        small_size = size(&disk);
        packed.push(measure::stream(&disk, "fast", 2, &gzip));
        many.push(measure::stream(&disk, "fast", 2, &layers.all()));
        back.push(measure::tar(&raw));
    }

    let megabytes = layers.debian_bytes as f64 / 1e6;
    println!("\n| measure | target | found | |\n| --- | --- | --- | --- |");
    let spread = Spread::of(&fast);
    line(
        "Debian layer to streamOptimized, level fast, 2 threads, with SHA-256",
        "250 MB/s",
        &format!(
            "{:.0} MB/s ({spread}), {} bytes",
            megabytes / spread.median,
            fast_size
        ),
        megabytes / spread.median >= 250.0,
    );
    let ours = Spread::of(&small);
    if theirs.is_empty() {
        println!("| the same at level small, and mke2fs with qemu-img | | not installed | |");
    } else {
        let peer = Spread::of_seconds(theirs.iter().map(|(a, b)| a + b).collect());
        let (make, convert): (Vec<f64>, Vec<f64>) = theirs.into_iter().unzip();
        let factor = peer.median / ours.median;
        line(
            "the same at level small, compared with mke2fs -d and qemu-img convert",
            "3.5 times",
            &format!(
                "{factor:.1} times: {ours}, {small_size} bytes; they {peer} \
                 ({:.2} and {:.2} s), {their_size} bytes",
                Spread::of_seconds(make).median,
                Spread::of_seconds(convert).median,
            ),
            factor >= 3.5,
        );
    }
    let spread = Spread::of(&packed);
    line(
        "the same layer as tar.gz, level fast, spooled",
        "180 MB/s",
        &format!("{:.0} MB/s ({spread})", megabytes / spread.median),
        megabytes / spread.median >= 180.0,
    );
    let spread = Spread::of(&many);
    line(
        "55,000 files in 3 layers, level fast",
        "1.5 s",
        &spread.to_string(),
        spread.median <= 1.5,
    );
    for (name, samples) in [("the Debian layer", &fast), ("55,000 files", &many)] {
        let Sample { peak, entries, .. } = samples[0];
        let peak = samples
            .iter()
            .map(|sample| sample.peak)
            .max()
            .unwrap_or(peak);
        let allowed = (48 << 20) + 1024 * entries;
        line(
            &format!("memory, {name}"),
            "48 MB and 1 KB per inode",
            &format!("{} MB of {} MB", peak >> 20, allowed >> 20),
            peak <= allowed,
        );
    }
    let spread = Spread::of(&back);
    line(
        "55,000 files read back as tar",
        "1 s",
        &spread.to_string(),
        spread.median <= 1.0,
    );
    let digests: Vec<String> = [1, 2, 8]
        .map(|threads| {
            measure::stream(&disk, "fast", threads, &layers.all());
            disk_image::Digest::of(&std::fs::read(&disk).unwrap()).to_string()
        })
        .into();
    let equal = digests.iter().all(|digest| *digest == digests[0]);
    line(
        "determinism",
        "equal bytes for 1, 2 and 8 threads",
        if equal { "equal" } else { "different" },
        equal,
    );
    println!("\nload after: {}", load());
    std::fs::remove_dir_all(&folder).unwrap();
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}
