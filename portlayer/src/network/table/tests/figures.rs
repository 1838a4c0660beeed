//! Measures the table. Run with optimization: `cargo test --release -p
//! portlayer --lib figures -- --ignored --nocapture --test-threads 1`
#![allow(clippy::print_stdout, reason = "figures are printed")]

use std::collections::VecDeque;

use super::*;
use crate::network::AddressPool;

const ADDRESSES: u32 = 100_000;
const SCOPES: u32 = 200;
const ENDPOINTS: u32 = 10_000;

fn numbered(n: u32) -> ContainerId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    ContainerId::from_bytes(bytes)
}

/// Returns the next pseudo-random number; the sequence is the same in every run.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 1).unwrap()
}

#[test]
#[ignore = "a figure"]
fn allocations_and_releases_in_random_order() {
    let range = BridgeRange::default().range();
    let mut pool = AddressPool::new(range, Duration::from_secs(60)).begin_at(0x5eed_5eed);
    let (mut held, mut seed) = (Vec::new(), 0x9e37_79b9_7f4a_7c15);
    let (begun, mut now, mut assigned) = (Instant::now(), Instant::now(), 0);
    let mut most = 0;
    while assigned < ADDRESSES || !held.is_empty() {
        now += Duration::from_millis(1);
        let random = next(&mut seed);
        if assigned < ADDRESSES && (held.is_empty() || !random.is_multiple_of(3)) {
            held.push(pool.assign(now).unwrap());
            assigned += 1;
        } else {
            pool.release(held.swap_remove(random % held.len()), now);
        }
        most = most.max(held.len());
    }
    let took = begun.elapsed();
    println!(
        "{ADDRESSES} allocations and as many releases, {most} held at most: {:?} each; {} entries \
         are left",
        took / (2 * ADDRESSES),
        pool.entries()
    );
}

#[test]
#[ignore = "a figure"]
fn scopes_and_recovery() {
    let mut table = table();
    let begun = Instant::now();
    let mut kept = VecDeque::new();
    for n in 0..SCOPES {
        kept.push_back(scope(&mut table, ScopeSpec::bridge(format!("scope-{n}"))).spec);
    }
    println!("{SCOPES} scopes: {:?} to create", begun.elapsed());
    let machines: Vec<_> = (0..ENDPOINTS)
        .map(|n| {
            let spec = [EndpointSpec::new(format!("scope-{}", n % SCOPES)).alias("db")];
            let (id, name) = (numbered(n), format!("c{n}"));
            let assigned = table.assign_new(id, &name, made(i64::from(n)), &spec, Instant::now());
            (id, name, made(i64::from(n)), assigned.unwrap().endpoints)
        })
        .collect();
    let mut found = super::table();
    let begun = Instant::now();
    assert!(found.reconcile(kept).is_empty());
    for (id, name, created, endpoints) in machines {
        found.adopt(id, &name, Some(created), endpoints, begun);
    }
    println!(
        "recovery of {ENDPOINTS} endpoints in {SCOPES} scopes: {:?}",
        begun.elapsed()
    );
    assert_eq!(found.inspect("scope-7").unwrap().containers.len(), 50);
}
