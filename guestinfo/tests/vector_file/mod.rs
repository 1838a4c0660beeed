//! Reads the files of test vectors.

use std::collections::BTreeMap;

use guestinfo::Dialect;

/// The keys and values of one `key = value` listing.
pub fn listing(text: &str) -> BTreeMap<String, String> {
    lines(text).map(entry).collect()
}

/// Returns the case `name` for a dialect, with `RO:` and `RW:` expanded.
pub fn case(text: &str, name: &str, dialect: Dialect) -> BTreeMap<String, String> {
    let tag = match dialect {
        Dialect::Vic04 => "vic04",
        Dialect::Vic1 => "vic1",
    };
    let (plain, own) = (format!("[{name}]"), format!("[{name} {tag}]"));
    let mut found = false;
    let mut here = false;
    let mut entries = BTreeMap::new();
    for line in lines(text) {
        if line.starts_with('[') {
            here = line == plain || line == own;
            found |= here;
            continue;
        }
        if here {
            let (key, value) = entry(line);
            entries.insert(spell(&key, dialect), value);
        }
    }
    assert!(found, "no case {name:?} for {dialect}");
    entries
}

/// Returns the names of all cases.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    lines(text)
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
        .map(|name| {
            name.strip_suffix(" vic04")
                .or(name.strip_suffix(" vic1"))
                .unwrap_or(name)
        })
}

pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn entry(line: &str) -> (String, String) {
    let (key, value) = line.split_once(" = ").expect("a line `key = value`");
    (key.to_owned(), value.to_owned())
}

fn spell(key: &str, dialect: Dialect) -> String {
    let base = dialect.base();
    match key.split_once(':') {
        Some(("RO", path)) => format!("{base}/{path}"),
        Some(("RW", path)) => format!("{base}.{path}"),
        _ => key.to_owned(),
    }
}
