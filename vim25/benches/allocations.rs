//! Allocations and memory of decoding, counted by `dhat`.
//!
//! Prints, for replies of 10 and 100 virtual machines: allocations to decode to a
//! document (target: O(log n) per reply, none per object), allocations to
//! convert all of it to structs (target: at most 0.5 per XML element) and the
//! memory of the document against its XML (target: at most 0.65).
#![allow(clippy::print_stdout, reason = "a bench prints its result")]

mod payload;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for machines in [10, 100] {
        let xml = payload::reply(machines);
        let elements = xml.matches("</").count();
        let call = payload::call();
        let before = dhat::HeapStats::get();
        let page = payload::document(&call, &xml);
        let decoded = dhat::HeapStats::get();
        let disks = payload::structs(&page);
        let converted = dhat::HeapStats::get();
        let document = decoded.total_blocks - before.total_blocks;
        let memory = decoded.curr_bytes - before.curr_bytes;
        let structs = converted.total_blocks - decoded.total_blocks;
        assert_eq!(disks, machines * 2);
        println!(
            "{machines} machines, {} bytes, {elements} elements: \
             document {document} allocations, {:.3} of the XML in memory; \
             structs {structs} allocations, {:.3} per element",
            xml.len(),
            memory as f64 / xml.len() as f64,
            structs as f64 / elements as f64,
        );
    }
}
