//! Measures imports of images next to `disk-image` alone, in the same run, and compares the figures
//! with their targets:
//!
//! ```console
//! $ cargo bench -p portlayer --bench images
//! ```
//!
//! The layers consist of files of this system's `/usr`. `IMAGE_MB` changes their total size (default
//! 300), and `RUNS` the number of runs (default 5). The endpoint is our simulator, in a process of
//! its own; every import runs in a process of its own too, so that its memory can be measured. The
//! datastore and all temporary files are in `/dev/shm` if that exists.
//!
//! On 2026-11-27, on two otherwise idle cores of an AMD EPYC:
//!
//! | measure | target | found | |
//! | --- | --- | --- | --- |
//! | import, compared with `disk-image` alone | 60 % | 61 %, twice: 111 MB/s; alone 183 MB/s | met |
//! | memory of the importing process | 64 MiB for any size | 20 MiB for 5 layers, 19 MiB for one of them | met |
//! | second import | 50 ms | 0.1 ms | met |
//! | 100 containers of one image | no byte copied | 0 bytes in 100 disks, created in 0.51 s | met |
//! | removal of 100 containers | the parent is unchanged | digest unchanged, 1.03 s | met |
//!
//! The simulator inflates, hashes and stores the disk on the same two cores.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod child;
mod layers;
mod server;
#[path = "../table/mod.rs"]
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use child::Sample;
use layers::Layers;
use server::Server;
use table::{line, setting};

/// Number of layers of the image.
const LAYERS: usize = 5;
/// Number of containers of the image.
const CONTAINERS: usize = 100;
/// The bound of an import's memory in bytes.
const MEMORY: u64 = 64 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // `cargo test --benches` only checks that the bench builds.
        Some("--test") | None => {}
        Some("serve") => server::run(Path::new(&arguments[1])),
        Some("disk" | "import" | "containers") => child::run(&arguments),
        Some(_) => compare(),
    }
}

fn compare() {
    let shared = Path::new("/dev/shm");
    let base = match shared.is_dir() {
        true => shared.to_owned(),
        false => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    };
    let folder = tempfile::Builder::new().prefix("images-").tempdir_in(base);
    let folder = folder.unwrap();
    let megabytes = setting("IMAGE_MB", 300);
    let layers = Layers::create(folder.path(), megabytes as u64 * 1_000_000, LAYERS);
    table::surroundings();
    println!("{}, in {}", layers.describe(), folder.path().display());

    let server = Server::start(folder.path());
    let (mut alone, mut imports) = (vec![], vec![]);
    // The programs take turns, so that other load affects both.
    for _ in 0..setting("RUNS", 5) {
        alone.push(child::disk(&layers));
        imports.push(child::import(&server, &layers));
    }
    let small = child::import(&server, &layers.first());
    let rate = |seconds: f64| layers.bytes as f64 / 1e6 / seconds;
    table::head();
    let (ours, theirs) = (
        Spread::of(imports.iter().map(|sample| sample.seconds)),
        Spread::of(alone.iter().map(|sample| sample.seconds)),
    );
    let part = theirs.median / ours.median;
    line(
        "import, compared with disk-image alone",
        "60 %",
        &format!(
            "{:.0} %: {:.0} MB/s ({ours}); alone {:.0} MB/s ({theirs})",
            part * 100.0,
            rate(ours.median),
            rate(theirs.median)
        ),
        part >= 0.6,
    );
    let peak = |samples: &[Sample]| samples.iter().map(|sample| sample.peak).max().unwrap_or(0);
    let (whole, first) = (peak(&imports), small.peak);
    line(
        "memory of the importing process",
        "64 MiB for any size",
        &format!(
            "{} MiB for {LAYERS} layers, {} MiB for one of them; disk-image alone {} MiB",
            whole >> 20,
            first >> 20,
            peak(&alone) >> 20
        ),
        whole.max(first) < MEMORY,
    );
    let again = Spread::of(imports.iter().map(|sample| sample.again));
    line(
        "second import",
        "50 ms",
        &format!(
            "{:.1} ms, at most {:.1} ms",
            again.median * 1e3,
            again.most * 1e3
        ),
        again.median < 0.05,
    );
    let shared = child::containers(&server, &layers);
    line(
        &format!("{CONTAINERS} containers of one image"),
        "no byte copied",
        &format!(
            "{} bytes of the image in {CONTAINERS} disks; their files occupy {} KiB; created in \
             {:.2} s",
            shared.copied,
            shared.occupied >> 10,
            shared.created
        ),
        shared.copied == 0,
    );
    line(
        &format!("removal of {CONTAINERS} containers"),
        "the parent is unchanged",
        &format!(
            "digest {} in {:.2} s",
            if shared.is_unchanged {
                "unchanged"
            } else {
                "CHANGED"
            },
            shared.removed
        ),
        shared.is_unchanged,
    );
    println!("\nload after: {}", table::load());
}

/// The median and the extremes of several runs, in seconds.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(seconds: impl Iterator<Item = f64>) -> Self {
        let mut seconds: Vec<f64> = seconds.collect();
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
