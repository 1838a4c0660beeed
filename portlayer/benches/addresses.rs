//! Speed of the address pool: assigns and releases the 100,000 addresses of a /12 in random order.
//!
//! `cargo bench -p portlayer --bench addresses`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use portlayer::network::{AddressPool, BridgeRange};

const ADDRESSES: usize = 100_000;

fn pool() -> AddressPool {
    let range = BridgeRange::default().range();
    AddressPool::new(range, Duration::from_secs(60)).begin_at(0x5eed_5eed)
}

/// Returns a pseudo-random number; the sequence is the same in every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 1).unwrap()
}

fn addresses(c: &mut Criterion) {
    let mut group = c.benchmark_group("addresses");
    group.sample_size(20);
    group.throughput(Throughput::Elements(2 * ADDRESSES as u64));
    group.bench_function("assign and release in random order", |b| {
        b.iter_batched(
            pool,
            |mut pool| {
                let (mut held, mut seed) = (Vec::with_capacity(ADDRESSES), 0x9e37_79b9_7f4a_7c15);
                let mut now = Instant::now();
                let mut assigned = 0;
                while assigned < ADDRESSES || !held.is_empty() {
                    now += Duration::from_millis(1);
                    let random = next(&mut seed);
                    if assigned < ADDRESSES && (held.is_empty() || !random.is_multiple_of(3)) {
                        held.push(pool.assign(now).unwrap());
                        assigned += 1;
                    } else {
                        let address = held.swap_remove(random % held.len());
                        pool.release(address, now);
                    }
                }
                black_box(pool)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, addresses);
criterion_main!(benches);
