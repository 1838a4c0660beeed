//! Measures guests and their streams, and compares the figures with their targets:
//!
//! ```console
//! $ cargo bench -p vsphere-simulator-guests --features ssh --bench figures
//! ```
//!
//! The first figure needs several minutes, because it builds the agent with the profile `tether`.
//! `LIVES`, `SESSIONS` and `MEGABYTES` change the sizes. A figure can be selected by its name:
//! `binary`, `lives`, `throughput`, `sessions`, `logs`. The memory of the agent inside a machine needs
//! QEMU and a kernel: `cargo xtask interop guests` measures, prints and asserts it.
//!
//! On 2026-11-28, on two idle cores of an AMD EPYC (load 1.2 before, 2.4 after); the resident memory is of
//! 2026-11-27:
//!
//! | measure | target | found | |
//! | --- | --- | --- | --- |
//! | size of the agent's static binary with SSH, stripped | 4 MB | 3.85 MB | met |
//! | resident memory of the agent's two processes in a machine under QEMU | 10 MB | 4.5 MB | met |
//! | process guest: boot to exit of a trivial program | 30 ms | 13.4 ms, 11.5 to 16.5 ms | met |
//! | the same, create to exit with the port layer | 30 ms | 19.2 ms, 15.4 to 35.5 ms | met |
//! | attached output, both ends and the line in one process | 200 MB/s | 1,193 MB/s | met |
//! | attached input, both ends and the line in one process | 200 MB/s | 1,384 MB/s | met |
//! | memory that 1,000 running containers add, each with a line and a client | 100 MB | 99 MB | met |
//! | requests by which a log of 8 MB is followed | the same for 100 readers as for one, and at most 10 more | 36 for one reader, 37 for 100 | met |
//!
//! The memory is what the port layer's process gained, so it includes its index and what the
//! allocator keeps. Most of it belongs to `russh`: a task of 30 KB per connection, and four queues of
//! 18 KB each, of which only the pages that were used count.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod binary;
mod endpoint;
mod lives;
mod logs;
mod process;
mod sessions;
mod throughput;

fn main() {
    simulator_guests::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // `cargo test --benches` only checks that the bench builds.
        Some("--test") | None => {}
        Some("serve") => sessions::serve(&arguments[1]),
        Some(_) => compare(&arguments),
    }
}

fn compare(arguments: &[String]) {
    let names: Vec<_> = arguments
        .iter()
        .filter(|name| !name.starts_with('-'))
        .collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| *wanted == name);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{processors} processors, load before: {}", load());
    println!("\n| measure | target | found | |\n| --- | --- | --- | --- |");
    if wanted("binary") {
        binary::measure();
        println!(
            "| resident memory of the agent's two processes in a machine | 10 MB | not measured here: \
             `cargo xtask interop guests` | |"
        );
    }
    if wanted("lives") {
        runtime().block_on(lives::measure());
    }
    if wanted("throughput") {
        throughput::measure();
    }
    if wanted("sessions") {
        runtime().block_on(sessions::measure());
    }
    if wanted("logs") {
        runtime().block_on(logs::measure());
    }
    println!("\nload after: {}", load());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Prints one line of the table.
fn line(measure: &str, target: &str, found: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("| {measure} | {target} | {found} | {verdict} |");
}

/// Returns a size from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    words.join(" ")
}
