//! Assigns and releases addresses of a /12 in random order.

use std::hint::black_box;
use std::time::{Duration, Instant};

use portlayer::network::{AddressPool, BridgeRange};

use super::median;
use super::table::{line, setting};

const RUNS: usize = 15;
const REST: Duration = Duration::from_secs(60);
/// The time between two operations: 100 in a second.
const STEP: Duration = Duration::from_millis(10);

/// Returns the next pseudo-random number; the sequence is the same in every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 1).unwrap()
}

pub(super) fn measure() {
    let addresses = setting("ADDRESSES", 100_000);
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        black_box(work(addresses, |_, _| {}));
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let each = median(seconds) / (2 * addresses) as f64;
    line(
        &format!("{addresses} addresses of a /12 assigned and released in random order, each"),
        "1 µs",
        &format!("{:.0} ns", each * 1e9),
        each < 1e-6,
    );

    let (mut most, mut ranges, mut entries) = (0, 0, 0);
    work(addresses, |pool, held| {
        if held.len() > most && held.len().is_multiple_of(256) {
            most = held.len();
            entries = pool.entries();
            ranges = count_ranges(held);
        }
    });
    // Each range in use, each gap between them, and the addresses that are resting.
    let limit = 2 * ranges + usize::try_from(REST.as_millis() / STEP.as_millis()).unwrap() + 64;
    line(
        &format!("memory, with {most} addresses in use in {ranges} ranges"),
        "O(ranges in use)",
        &format!("{entries} entries"),
        entries <= limit,
    );
}

fn work(
    addresses: usize,
    mut look: impl FnMut(&AddressPool, &[std::net::Ipv4Addr]),
) -> AddressPool {
    let range = BridgeRange::default().range();
    let mut pool = AddressPool::new(range, REST).begin_at(0x5eed_5eed);
    let (mut held, mut seed) = (Vec::with_capacity(addresses), 0x9e37_79b9_7f4a_7c15);
    let (mut now, mut assigned) = (Instant::now(), 0);
    while assigned < addresses || !held.is_empty() {
        now += STEP;
        let random = next(&mut seed);
        if assigned < addresses && (held.is_empty() || !random.is_multiple_of(3)) {
            held.push(pool.assign(now).unwrap());
            assigned += 1;
            look(&pool, &held);
        } else {
            let address = held.swap_remove(random % held.len());
            pool.release(address, now);
        }
    }
    pool
}

fn count_ranges(held: &[std::net::Ipv4Addr]) -> usize {
    let mut numbers: Vec<_> = held.iter().map(|address| u32::from(*address)).collect();
    numbers.sort_unstable();
    let gaps = numbers.windows(2).filter(|pair| pair[0] + 1 < pair[1]);
    gaps.count() + usize::from(!numbers.is_empty())
}
