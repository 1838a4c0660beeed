//! Reading does not allocate for each line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hint::black_box;

use allocation_counter::measure;
use vmx::Document;

fn file(lines: usize) -> Vec<u8> {
    (0..lines)
        .map(|n| format!("guestinfo.key{n} = \"value {n}\"\n"))
        .collect::<String>()
        .into()
}

/// Counts the allocations when parsing and reading a file with that many lines.
fn allocations(lines: usize) -> u64 {
    let bytes = file(lines);
    let last = format!("GUESTINFO.KEY{}", lines - 1);
    let info = measure(|| {
        let document = Document::parse_lenient(bytes).unwrap();
        for entry in document.entries() {
            black_box(entry.value().text().unwrap());
        }
        for line in document.lines() {
            black_box(line.content());
        }
        black_box(document.get(&last).unwrap().text().unwrap());
    });
    info.count_total
}

#[test]
fn the_number_of_allocations_does_not_grow_with_the_file() {
    let (small, large) = (allocations(100), allocations(10_000));
    assert!(small <= 4 && large <= 4, "{small}, {large}");
}

#[test]
fn a_lookup_allocates_nothing() {
    let document = Document::parse_lenient(file(1000)).unwrap();
    let _ = (document.contains("x"), document.encoding());
    let info = measure(|| {
        black_box(document.get("guestinfo.KEY500").unwrap().text().unwrap());
    });
    assert_eq!(info.count_total, 0);
}
