#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const REST: Duration = Duration::from_secs(60);

fn pool(subnet: &str) -> AddressPool {
    AddressPool::new(subnet.parse().unwrap(), REST)
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

#[test]
fn what_cannot_be_held_is_refused_with_the_reason() {
    let mut pool = pool("10.0.0.0/29").reserve(address("10.0.0.1"));
    let subnet = pool.subnet();
    assert_eq!(pool.total(), 5);
    for (text, purpose) in [
        ("10.0.0.0", "the network's own address"),
        ("10.0.0.7", "the broadcast address"),
        ("10.0.0.1", "the gateway or a name server"),
    ] {
        let address = address(text);
        let reserved = AddressError::Reserved {
            address,
            subnet,
            purpose,
        };
        assert_eq!(pool.claim(address), Err(reserved));
    }
    let outside = address("10.0.0.8");
    assert!(matches!(
        pool.claim(outside),
        Err(AddressError::OutsideSubnet { .. })
    ));
    pool.claim(address("10.0.0.3")).unwrap();
    let taken = AddressError::Taken(address("10.0.0.3"));
    assert_eq!(pool.claim(address("10.0.0.3")), Err(taken));
    assert_eq!(pool.free(), 4);
}

#[test]
fn exhaustion_names_what_would_free_some() {
    let mut pool = pool("10.0.0.0/30");
    let now = Instant::now();
    let (first, _second) = (pool.assign(now).unwrap(), pool.assign(now).unwrap());
    let text = pool.assign(now).unwrap_err().to_string();
    assert!(
        text.ends_with("remove a container connected to it"),
        "{text}"
    );
    pool.release(first, now);
    let later = now + Duration::from_millis(18_500);
    let text = pool.assign(later).unwrap_err().to_string();
    assert!(text.contains("retry in 42 s"), "{text}");
    assert_eq!(pool.assign(now + REST).unwrap(), first);
}

#[test]
fn what_is_assignable_is_the_pools_and_the_rest_can_be_claimed() {
    let ranges = [(address("10.0.0.16"), address("10.0.0.17"))];
    let mut pool = pool("10.0.0.0/24").only(ranges);
    let now = Instant::now();
    assert_eq!(pool.total(), 2);
    assert_eq!(pool.assign(now).unwrap(), address("10.0.0.16"));
    assert_eq!(pool.assign(now).unwrap(), address("10.0.0.17"));
    assert!(pool.assign(now).is_err());
    pool.claim(address("10.0.0.99")).unwrap();
    assert!(pool.claim(address("10.0.0.99")).is_err());
    assert!(pool.release(address("10.0.0.99"), now));
    pool.claim(address("10.0.0.99")).unwrap();
    assert_eq!(pool.free(), 0);
}

#[test]
fn it_begins_where_it_is_told_and_goes_round() {
    let mut pool = pool("10.0.0.0/29").begin_at(4 + 6 * 1000);
    let now = Instant::now();
    let order: Vec<_> = (0..6)
        .map(|_| pool.assign(now).unwrap().octets()[3])
        .collect();
    assert_eq!(order, [5, 6, 1, 2, 3, 4]);
}

#[test]
fn an_address_that_nobody_used_does_not_rest() {
    let mut pool = pool("10.0.0.0/30");
    let now = Instant::now();
    let (first, second) = (pool.assign(now).unwrap(), pool.assign(now).unwrap());
    assert!(pool.release_unused(first));
    assert!(!pool.release_unused(first));
    assert_eq!(pool.assign(now).unwrap(), first);
    assert!(pool.is_held(second));
}

#[test]
fn memory_grows_with_what_is_held_and_not_with_what_was() {
    let mut pool = pool("172.16.0.0/12");
    let mut now = Instant::now();
    let mut held = VecDeque::new();
    for round in 0..60_000u32 {
        held.push_back(pool.assign(now).unwrap());
        if held.len() > 100 {
            pool.release(held.pop_front().unwrap(), now);
        }
        if round.is_multiple_of(100) {
            now += REST;
        }
    }
    assert!(pool.entries() <= REMEMBERED + 300, "{}", pool.entries());
    assert_eq!(pool.free(), pool.total() - 100);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Assign,
    Claim(u8),
    Release(u8),
    ReleaseUnused(u8),
    Wait(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Assign),
        1 => (0..16u8).prop_map(Op::Claim),
        2 => (0..16u8).prop_map(Op::Release),
        1 => (0..16u8).prop_map(Op::ReleaseUnused),
        2 => (0..40u8).prop_map(Op::Wait),
    ]
}

proptest! {
    /// Compares the pool with a model that records for every address when it was freed.
    #[test]
    fn the_longest_unused_comes_first(random: u64, ops in prop::collection::vec(op(), 0..120)) {
        let subnet: Ipv4Net = "10.0.0.0/28".parse().unwrap();
        let gateway = Ipv4Addr::new(10, 0, 0, 1);
        let mut pool = AddressPool::new(subnet, REST).reserve(gateway).begin_at(random);
        let mut now = Instant::now();
        // `None`: the address was never used.
        let mut free: BTreeMap<Ipv4Addr, Option<(Instant, usize)>> =
            (2..15).map(|n| (Ipv4Addr::new(10, 0, 0, n), None)).collect();
        let mut held = BTreeSet::new();
        for (step, op) in ops.into_iter().enumerate() {
            match op {
                Op::Wait(seconds) => now += Duration::from_secs(seconds.into()),
                Op::Assign => match pool.assign(now) {
                    Ok(address) => {
                        let since = free.remove(&address);
                        prop_assert!(since.is_some(), "{} was held", address);
                        let since = since.unwrap();
                        let longest = free.values().min().copied().unwrap_or(since);
                        prop_assert!(since <= longest);
                        prop_assert!(since.is_none_or(|(at, _)| now - at >= REST));
                        held.insert(address);
                    }
                    Err(AddressError::Exhausted { resting, next, .. }) => {
                        prop_assert_eq!(resting, free.len() as u64);
                        let first = free.values().flatten().map(|(at, _)| *at).min();
                        prop_assert_eq!(next, first.map(|at| REST - (now - at)));
                        prop_assert!(free.values().all(Option::is_some));
                    }
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                },
                Op::Claim(n) => {
                    let address = Ipv4Addr::new(10, 0, 0, n);
                    let expected = free.remove(&address).is_some();
                    prop_assert_eq!(pool.claim(address).is_ok(), expected);
                    if expected {
                        held.insert(address);
                    }
                }
                Op::Release(n) => {
                    let address = Ipv4Addr::new(10, 0, 0, n);
                    let expected = held.remove(&address);
                    prop_assert_eq!(pool.release(address, now), expected);
                    if expected {
                        free.insert(address, Some((now, step)));
                    }
                }
                Op::ReleaseUnused(n) => {
                    let address = Ipv4Addr::new(10, 0, 0, n);
                    let expected = held.remove(&address);
                    prop_assert_eq!(pool.release_unused(address), expected);
                    if expected {
                        free.insert(address, None);
                    }
                }
            }
            prop_assert_eq!(pool.free(), free.len() as u64);
            for n in 0..16 {
                let address = Ipv4Addr::new(10, 0, 0, n);
                prop_assert_eq!(pool.is_held(address), held.contains(&address));
            }
        }
    }
}
