//! Benchmarks of documents, with a file of 1 MiB and 10,000 keys.
//!
//! Run `cargo bench -p vmx-config --bench document`. The bench `peers` measures other
//! parsers with the same file.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench fails by panicking"
)]

mod sample;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vmx::{Document, ExtraConfig};

fn document(c: &mut Criterion) {
    let bytes = sample::file();

    let mut group = c.benchmark_group("document");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("parse", |b| {
        b.iter_batched(
            || bytes.clone(),
            |bytes| Document::parse_lenient(bytes).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("parse strictly", |b| {
        b.iter_batched(
            || bytes.clone(),
            |bytes| Document::parse(bytes).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("parse into a map", |b| {
        b.iter(|| {
            let document = Document::parse_lenient(&bytes[..]).unwrap();
            let entries = document.entries();
            entries
                .map(|e| (e.name().to_string(), e.value().text().unwrap().into_owned()))
                .collect::<std::collections::HashMap<_, _>>()
        });
    });
    let untouched = Document::parse_lenient(&bytes[..]).unwrap();
    group.bench_function("print", |b| b.iter(|| untouched.to_bytes()));
    let mut edited = untouched.clone();
    for key in (3..10_000).step_by(100) {
        let name = edited.entries().nth(key).unwrap().name().to_string();
        edited.set(name, "edited").unwrap();
    }
    group.bench_function("print with 100 edits", |b| b.iter(|| edited.to_bytes()));
    group.bench_function("read every text", |b| {
        b.iter(|| {
            untouched
                .entries()
                .map(|e| e.value().text().unwrap().len())
                .sum::<usize>()
        });
    });
    group.finish();

    let mut group = c.benchmark_group("lookup");
    for size in [100, 10_000] {
        let lines = bytes
            .split_inclusive(|&b| b == b'\n')
            .take(size)
            .collect::<Vec<_>>()
            .concat();
        let document = Document::parse_lenient(lines).unwrap();
        let name = document.entries().last().unwrap().name().to_string();
        group.bench_function(format!("get of {size} keys"), |b| {
            b.iter(|| document.get(black_box(&name)).unwrap().raw().len());
        });
    }
    group.bench_function("set", |b| {
        let mut document = untouched.clone();
        let mut number = 0u32;
        let name = document.entries().last().unwrap().name().to_string();
        b.iter(|| {
            number = number.wrapping_add(1);
            document
                .set(
                    &name,
                    if number.is_multiple_of(2) {
                        "even"
                    } else {
                        "odd"
                    },
                )
                .unwrap()
        });
    });
    group.bench_function("apply 10 changes to 10,000 keys", |b| {
        let extra = ExtraConfig::from_document(&untouched).unwrap();
        let changes: Vec<_> = extra
            .iter()
            .step_by(900)
            .take(10)
            .map(|(key, _)| (key.to_owned(), "changed".to_owned()))
            .collect();
        b.iter_batched_ref(
            || extra.clone(),
            |extra| extra.apply(changes.iter().cloned()).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, document);
criterion_main!(benches);
