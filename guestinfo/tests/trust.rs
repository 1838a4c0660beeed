//! Keys that the guest can write never set values that it may not write.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, VirtualContainerHostConfig};
use guestinfo::{Decode, Dialect, GuestInfo, Key, View, decode, encode};

type Keys = BTreeMap<String, String>;

/// Returns every spelling of a key with which the guest could write it.
fn forgeries(keys: &Keys) -> Keys {
    let mut forged = Keys::new();
    for (key, value) in keys {
        let path = key
            .strip_prefix("guestinfo.vice.")
            .or(key.strip_prefix("guestinfo."))
            .unwrap_or(key);
        let path = path.trim_start_matches(['.', '/']).replace('/', ".");
        for base in [
            "guestinfo.",
            "guestinfo..",
            "guestinfo.vice.",
            "guestinfo.vice..",
            "GUESTINFO..",
        ] {
            forged.insert(format!("{base}{path}"), value.clone());
        }
    }
    forged.retain(|key, _| !key.contains('/'));
    forged
}

fn stored(file: &str) -> Keys {
    file.lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// Returns the keys of the value that the guest may not write.
fn trusted<T: GuestInfo>(value: &T, dialect: Dialect) -> Keys {
    let mut keys = encode(value, dialect).unwrap();
    keys.retain(|key, _| !Key::parse(key).unwrap().guest_may_write());
    keys
}

#[test]
fn forged_keys_change_no_read_only_or_hidden_field() {
    for (file, dialect) in [
        (include_str!("vectors/container-vic04.txt"), Dialect::Vic04),
        (include_str!("vectors/container-vic1.txt"), Dialect::Vic1),
    ] {
        let real = stored(file);
        let forged = forgeries(&real);
        assert!(forged.len() > 100);

        // On their own, they set only what the guest may write.
        let alone: ExecutorConfig = Decode::new().dialect(dialect).run(&forged).value;
        assert_eq!(
            trusted(&alone, dialect),
            trusted(&ExecutorConfig::default(), dialect)
        );
        let alone: VirtualContainerHostConfig = Decode::new().dialect(dialect).run(&forged).value;
        assert_eq!(
            trusted(&alone, dialect),
            trusted(&VirtualContainerHostConfig::default(), dialect)
        );

        // Next to the real keys, they change only that, and not the dialect.
        let before: ExecutorConfig = decode(&real).value;
        let mut both = forged.clone();
        for (key, value) in &mut both {
            *value = format!("{value}forged");
            assert!(!real.contains_key(key) || !key.contains('/'));
        }
        for (key, value) in real {
            both.entry(key).or_insert(value);
        }
        let after: ExecutorConfig = decode(&both).value;
        assert_eq!(trusted(&after, dialect), trusted(&before, dialect));
    }
}

#[test]
fn the_guest_sees_no_hidden_field() {
    let real = stored(include_str!("vectors/container-vic1.txt"));
    let decoded: ExecutorConfig = Decode::new().view(View::Guest).run(&real).value;
    assert_eq!(decoded.common.name, "");
    assert!(decoded.annotations.is_empty());
    assert_eq!(decoded.common.id, "deadbeef");
    let visible = real.iter().filter(|(key, _)| key.starts_with("guestinfo."));
    let decoded = Decode::new()
        .view(View::Guest)
        .run::<ExecutorConfig>(visible);
    assert!(decoded.report.is_empty(), "{}", decoded.report);
}
