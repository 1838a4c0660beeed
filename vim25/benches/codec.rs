//! The codec on replies of 100, 1,000 and 10,000 virtual machines.
//!
//! `events` is the reference in the same run: the rate at which bare
//! `quick-xml` `Reader` events (`from_str`, default configuration) stream over
//! the same bytes. What counts is the ratio of the others to it, not their
//! absolute rates: `document` decodes to a document, all limits on; `structs`
//! decodes and converts everything; `encode` writes the document again;
//! `path` looks up one deep value in every machine of a decoded page.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod events;
mod payload;

use std::time::Duration;

use criterion::{
    BatchSize, Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use vim25::soap;

/// Measures `work` without dropping its result, and drops that
/// immediately: ten pages of 10,000 machines would be gigabytes that no program
/// holds, and the measurement would be that of the system allocating them.
fn each<T>(b: &mut Bencher<'_>, mut work: impl FnMut() -> T) {
    b.iter_batched(|| (), |()| work(), BatchSize::PerIteration);
}

fn codec(c: &mut Criterion) {
    for machines in [100, 1_000, 10_000] {
        let xml = payload::reply(machines);
        let call = payload::call();
        let page = payload::document(&call, &xml);
        let mut group = c.benchmark_group("codec");
        group.throughput(Throughput::Bytes(xml.len() as u64));
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(4));
        group.bench_function(BenchmarkId::new("events", machines), |b| {
            b.iter(|| events::count(&xml));
        });
        group.bench_function(BenchmarkId::new("document", machines), |b| {
            each(b, || payload::document(&call, &xml));
        });
        group.bench_function(BenchmarkId::new("structs", machines), |b| {
            each(b, || {
                let page = payload::document(&call, &xml);
                (payload::structs(&page), page)
            });
        });
        group.bench_function(BenchmarkId::new("encode", machines), |b| {
            each(b, || soap::encode_response("RetrievePropertiesEx", &page));
        });
        group.finish();
        let mut group = c.benchmark_group("path");
        group.throughput(Throughput::Elements(machines as u64));
        group.bench_function(BenchmarkId::from_parameter(machines), |b| {
            b.iter(|| {
                page.node()
                    .all("objects")
                    .filter_map(|object| {
                        object.path("propSet[0].val.hardware.device[2000].backing.fileName")
                    })
                    .count()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
