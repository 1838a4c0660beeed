//! Machines of early releases of 1.x.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, VirtualContainerHostConfig, migrate};
use guestinfo::{Dialect, decode, encode};

fn keys(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let entries = entries.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    entries.collect()
}

#[test]
fn ungrouped_keys_of_an_appliance_are_grouped() {
    let stored = keys(&[
        ("guestinfo.vice./target/Scheme", "https"),
        ("guestinfo.vice./target/Host", "vc.example:443"),
        ("guestinfo.vice./target/Path", "/sdk"),
        ("guestinfo.vice./target/RawQuery", "<nil>"),
        ("guestinfo.vice./image_stores", "0"),
        ("guestinfo.vice./image_stores|0/Scheme", "ds"),
        ("guestinfo.vice./image_stores|0/Host", "datastore1"),
        ("guestinfo.vice./bridge_network", "bridge"),
        ("guestinfo.vice./bridge_networks", "another field"),
        ("guestinfo.vice./insecure_registries", "1"),
        ("guestinfo.vice./insecure_registries|0/Host", "<nil>"),
        (
            "guestinfo.vice./insecure_registries|0/Path",
            "registry:5000",
        ),
        ("guestinfo.vice./insecure_registries|1/Host", "other"),
        ("guestinfo.vice./init/common/id", "vm-42"),
        ("guestinfo.vice./init/common/name", "vch"),
    ]);
    let host = decode::<VirtualContainerHostConfig>(&migrate(stored)).value;
    assert_eq!(host.connection.target.0, "https://vc.example:443/sdk");
    assert_eq!(host.storage.image_stores[0].host, "datastore1");
    assert_eq!(host.networks.bridge_network, "bridge");
    assert_eq!(host.registries.insecure, ["registry:5000", "other"]);
    assert_eq!(host.executor.common.name, "vch");
}

#[test]
fn names_and_times_of_old_containers() {
    let stored = keys(&[
        ("guestinfo.vice./common/name", "jovial_ride"),
        ("guestinfo.vice..createtime", "1467000000"),
        ("guestinfo.vice./version/PluginVersion", "1"),
    ]);
    let container = decode::<ExecutorConfig>(&migrate(stored)).value;
    assert_eq!(container.common.name, "jovial_ride");
    assert_eq!(container.create_time.0.as_second(), 1_467_000_000);
}

#[test]
fn what_is_new_or_0_4_stays() {
    let container = ExecutorConfig {
        version: Some(guestinfo::vic::Build {
            data_version: 10,
            ..Default::default()
        }),
        ..Default::default()
    };
    for dialect in Dialect::ALL {
        let stored = encode(&container, dialect).unwrap();
        assert_eq!(migrate(stored.clone()), stored);
    }
    // An arbitrary length costs nothing.
    let stored = keys(&[(
        "guestinfo.vice./insecure_registries",
        "18446744073709551615",
    )]);
    assert_eq!(migrate(stored.clone()), stored);
}
