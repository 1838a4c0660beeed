//! The load of the machine while a bench runs.

/// Returns the load averages of the last 1, 5 and 15 minutes, where the system provides them.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().take(3).collect();
    words.join(" ")
}
