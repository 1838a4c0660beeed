//! Measures containers: the calls and the processor time of their lives, many at a time, and lists,
//! and compares the figures with their targets:
//!
//! ```console
//! $ cargo bench -p portlayer --bench exec
//! ```
//!
//! The endpoint is our simulator, in a process of its own, so "own" processor time is that of the
//! port layer and the client. `LIVES`, `AT_ONCE` and `CONTAINERS` change the sizes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

mod lists;
mod lives;
mod process;
mod server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // `cargo test --benches` only checks that the bench builds.
        Some("--test") | None => {}
        Some("serve") => server::run(&arguments[1]),
        Some("list") => lists::run(&arguments[1], &arguments[2]),
        Some(_) => compare(),
    }
}

fn compare() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{processors} processors, load before: {}", load());
    println!("\n| measure | target | found | |\n| --- | --- | --- | --- |");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        lives::calls("esx", 4).await;
        lives::calls("vcenter", 5).await;
        lives::one_after_the_other().await;
        lives::at_once().await;
        lists::measure().await;
    });
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

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    words.join(" ")
}
