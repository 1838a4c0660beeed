//! Allocations and memory of decoding, counted by `dhat`.
//!
//! Prints, for replies of 10 and 100 virtual machines: allocations to decode to a
//! document (target: O(log n) per reply, none per object), allocations to
//! convert all of it to structs (target: at most 0.5 per XML element) and the
//! memory of the document against its XML (target: at most 0.65).
//!
//! `allocations measure FILE` prints the same for a payload of `cargo xtask
//! bench-peers`, as lines of `name=value`.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]

mod payload;
mod whole;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The counts.
struct Counted {
    elements: usize,
    disks: usize,
    /// Allocations to decode to a document.
    document: u64,
    /// Bytes of the document.
    memory: usize,
    /// Allocations to convert the document to structs.
    structs: u64,
    /// Allocations to convert it completely, without lazy parts.
    whole: u64,
}

fn count(xml: &str) -> Counted {
    let elements = xml.matches("</").count();
    let call = payload::call();
    let before = dhat::HeapStats::get();
    let page = payload::document(&call, xml);
    let decoded = dhat::HeapStats::get();
    let disks = payload::structs(&page);
    let converted = dhat::HeapStats::get();
    whole::convert(&page);
    let all = dhat::HeapStats::get();
    Counted {
        elements,
        disks,
        document: decoded.total_blocks - before.total_blocks,
        memory: decoded.curr_bytes - before.curr_bytes,
        structs: converted.total_blocks - decoded.total_blocks,
        whole: all.total_blocks - converted.total_blocks,
    }
}

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file] = &arguments[..]
        && command == "measure"
    {
        let xml = std::fs::read_to_string(file).expect("the payload");
        let counted = count(&xml);
        println!("disks={}", counted.disks);
        println!("elements={}", counted.elements);
        println!("document_allocations={}", counted.document);
        println!("document_bytes={}", counted.memory);
        println!("structs_allocations={}", counted.structs);
        println!("whole_allocations={}", counted.whole);
        return;
    }
    for machines in [10, 100] {
        let xml = payload::reply(machines);
        let counted = count(&xml);
        assert_eq!(counted.disks, machines * 2);
        println!(
            "{machines} machines, {} bytes, {} elements: \
             document {} allocations, {:.3} of the XML in memory; \
             structs {} allocations, {:.3} per element",
            xml.len(),
            counted.elements,
            counted.document,
            counted.memory as f64 / xml.len() as f64,
            counted.structs,
            counted.structs as f64 / counted.elements as f64,
        );
    }
}
