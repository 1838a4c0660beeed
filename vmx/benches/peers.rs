//! Compares this crate with other parsers on the same file, in one run.
//!
//! Run `cargo bench -p vmx-config --bench peers`. For each parser the best of several
//! runs is printed. Parsers that cannot run here are listed as not measured.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod sample;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vmx::Document;

fn main() {
    // `cargo test --benches` only checks that the bench builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let bytes = sample::file();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("peers.vmx");
    std::fs::write(&path, &bytes).unwrap();
    let last = Document::parse_lenient(&bytes[..]).unwrap();
    let last = last.entries().last().unwrap().name().to_string();

    println!(
        "{} bytes, {} lines\n",
        bytes.len(),
        bytes.split(|&b| b == b'\n').count() - 1
    );
    let ours = [
        (
            "vmx: parse",
            best(|| Document::parse_lenient(&bytes[..]).unwrap()),
        ),
        (
            "vmx: parse strictly",
            best(|| Document::parse(&bytes[..]).unwrap()),
        ),
        (
            "vmx: parse, then get",
            best(|| {
                Document::parse_lenient(&bytes[..])
                    .unwrap()
                    .get(&last)
                    .is_some()
            }),
        ),
        ("vmx: parse, then a map of all texts", best(|| map(&bytes))),
    ];
    let document = Document::parse_lenient(&bytes[..]).unwrap();
    let print = best(|| document.to_bytes());

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let peers = [
        (
            "Python: a regular expression for each line",
            Command::new("python3")
                .arg(folder.join("regex_map.py"))
                .arg(&path)
                .output(),
        ),
        (
            "Python: dissect.hypervisor",
            Command::new("python3")
                .arg(folder.join("dissect_vmx.py"))
                .arg(&path)
                .output(),
        ),
        (
            "Go: a regular expression for each line",
            Command::new("go")
                .arg("run")
                .arg(folder.join("regex_map.go"))
                .arg(&path)
                .output(),
        ),
    ];
    for (name, time) in ours {
        report(name, time, &bytes);
    }
    report("vmx: print", print, &bytes);
    for (name, output) in peers {
        let time = output
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse().ok())
            .map(Duration::from_nanos);
        match time {
            Some(time) => {
                report(name, time, &bytes);
                for (ours, taken) in ours {
                    println!(
                        "    {:>8.1} times {ours}",
                        time.as_secs_f64() / taken.as_secs_f64()
                    );
                }
            }
            None => println!("{name:<45} not measured: it does not run here"),
        }
    }
    for name in [
        "Go: hooklift/govmx",
        "Go: the parser of Packer's VMware plugin",
    ] {
        println!("{name:<45} not measured: not offered by the Go module proxy");
    }
}

fn map(bytes: &[u8]) -> HashMap<String, String> {
    let document = Document::parse_lenient(bytes).unwrap();
    let mut map = HashMap::with_capacity(document.entries().count());
    map.extend(document.entries().map(|entry| {
        let name = entry.name().as_str().unwrap().to_owned();
        (name, entry.value().text().unwrap().into_owned())
    }));
    map
}

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    let time = || {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    std::iter::repeat_with(time).take(200).min().unwrap()
}

fn report(name: &str, time: Duration, bytes: &[u8]) {
    let rate = bytes.len() as f64 / time.as_secs_f64() / 1e6;
    println!(
        "{name:<45} {:>9.3} ms {rate:>8.0} MB/s",
        time.as_secs_f64() * 1e3
    );
}
