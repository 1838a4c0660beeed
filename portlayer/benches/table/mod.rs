//! The table of figures that a bench prints, and what the system says of the bench.
#![allow(dead_code, reason = "no bench needs all of it")]

use std::time::Duration;

/// Prints the head of the table.
pub(crate) fn head() {
    println!("\n| measure | target | found | |\n| --- | --- | --- | --- |");
}

/// Prints one line of the table.
pub(crate) fn line(measure: &str, target: &str, found: &str, met: bool) {
    let verdict = if met { "met" } else { "MISSED" };
    println!("| {measure} | {target} | {found} | {verdict} |");
}

/// Returns a size from the environment.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Prints the number of processors and the load before the measurements.
pub(crate) fn surroundings() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    println!("{processors} processors, load before: {}", load());
}

/// Returns the load of the last 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    words.join(" ")
}

/// Returns the processor time that this process has used, in steps of 10 ms.
pub(crate) fn processor_time() -> Duration {
    processor_time_of("self")
}

/// Returns the processor time that a process has used, in steps of 10 ms.
pub(crate) fn processor_time_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the program, in parentheses, may contain blanks.
    let fields = stat.rsplit_once(')').unwrap().1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the resident memory of this process in bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}
