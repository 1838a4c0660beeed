//! Whole containers as VIC stored them, read into one type and written back.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test")]

mod vector_file;

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, Started, TrustLevel};
use guestinfo::{Dialect, decode, encode};

fn vic04() -> BTreeMap<String, String> {
    vector_file::listing(include_str!("vectors/container-vic04.txt"))
}

fn vic1() -> BTreeMap<String, String> {
    vector_file::listing(include_str!("vectors/container-vic1.txt"))
}

#[test]
fn a_0_4_container_is_read_whole_and_written_back() {
    let decoded = decode::<ExecutorConfig>(&vic04());
    assert!(decoded.report.is_empty(), "{}", decoded.report);
    let container = decoded.value;
    assert_eq!(container.common.name, "jovial_ride");
    assert_eq!(container.create_time.0.as_second(), 1_467_000_000);
    assert_eq!(
        container.sessions["deadbeef"].command.args,
        ["/hello", "world"]
    );
    assert_eq!(container.sessions["deadbeef"].started, Started::No);
    let nic = &container.networks["bridge"];
    assert_eq!(
        nic.address.map(|net| net.to_string()).as_deref(),
        Some("172.16.0.2/16")
    );
    assert_eq!(nic.assigned, None);
    assert_eq!(
        container.mounts["vol1"].source.to_string(),
        "label:///my-label"
    );

    let mut written = encode(&container, Dialect::Vic04).expect("an encodable container");
    // A gateway in 4 bytes is the same network as in 16.
    let gateway = "guestinfo./networks|bridge/network/gateway/IP".to_owned();
    assert_eq!(
        written
            .insert(gateway, "AAAAAAAAAAAAAP//rBAAAQ==".into())
            .as_deref(),
        Some("rBAAAQ==")
    );
    assert_eq!(written, vic04());
}

#[test]
fn a_1_5_container_is_read_whole_and_written_back() {
    let decoded = decode::<ExecutorConfig>(&vic1());
    assert!(decoded.report.is_empty(), "{}", decoded.report);
    let container = decoded.value;
    assert_eq!(container.common.name, "jovial_ride");
    assert_eq!(container.create_time.0.as_second(), 1_467_000_000);
    assert_eq!(container.execs["cafe"].command.path, "/bin/sh");
    assert_eq!(
        container.networks["bridge"].network.trust_level,
        TrustLevel::Open
    );
    assert_eq!(container.networks["bridge"].network.nameservers.len(), 2);
    let log = &container.diagnostics.exit_logs[0];
    assert_eq!(log.time.to_string(), "2016-07-01T19:30:45.123456789Z");

    let written = encode(&container, Dialect::Vic1).expect("an encodable container");
    let again = decode::<ExecutorConfig>(&written);
    assert!(again.report.is_empty(), "{}", again.report);
    assert_eq!(again.value, container);
    let stored = vic1();
    assert_eq!(
        written.keys().collect::<Vec<_>>(),
        stored.keys().collect::<Vec<_>>()
    );
}

#[test]
fn one_type_reads_one_dialect_and_writes_the_other() {
    let mut old = decode::<ExecutorConfig>(&vic04()).value;
    let keys = encode(&old, Dialect::Vic1).expect("an encodable container");
    assert_eq!(keys["common/name"], "jovial_ride");
    assert_eq!(keys["guestinfo.vice..createtime"], "1467000000000000000");
    assert_eq!(keys["guestinfo.vice./networks|bridge/ip/IP"], "rBAAAg==");
    let new = decode::<ExecutorConfig>(&keys);
    assert!(new.report.is_empty(), "{}", new.report);
    old.sessions
        .get_mut("deadbeef")
        .expect("the session")
        .common
        .created = 0;
    assert_eq!(new.value, old);
}
