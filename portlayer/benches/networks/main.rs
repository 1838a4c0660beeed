//! Measures networks: addresses, scopes, the recovery of a host's endpoints, and the forwarder, and
//! compares the figures with their targets.
//!
//! ```console
//! $ cargo bench -p portlayer --bench networks
//! ```
//!
//! Everything runs in this process, the simulator that stands for the endpoint included. The
//! variables `ADDRESSES`, `SCOPES`, `ENDPOINTS`, `CONNECTIONS` and `MEBIBYTES` change the sizes. The
//! forwarder needs four file descriptors per connection (`ulimit -n`).
//!
//! On 2026-11-27, on two otherwise idle cores of an AMD EPYC:
//!
//! | measure | target | found | |
//! | --- | --- | --- | --- |
//! | an address of a /12 assigned or released, in random order, of 100,000 | 1 µs | 355 ns | met |
//! | memory, with 49,408 addresses in use in 17,639 ranges | O(ranges in use) | 20,300 entries | met |
//! | scopes on one host | 200 | 200, created in 5.0 ms each | met |
//! | recovery of 10,000 endpoints with a warm index | 100 ms | 91 ms | met |
//! | forwarder on loopback with 1,000 connections | 1 Gbit/s | 9.2 Gbit/s | met |
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod addresses;
mod forwarder;
mod recovery;

fn main() {
    // `cargo test --benches` only checks that the bench builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{processors} processors, load before: {}", load());
    println!("\n| measure | target | found | |\n| --- | --- | --- | --- |");
    addresses::measure();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(recovery::measure());
    runtime.block_on(forwarder::measure());
    println!("\nload after: {}", load());
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

/// Returns the median of durations in seconds.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    words.join(" ")
}
