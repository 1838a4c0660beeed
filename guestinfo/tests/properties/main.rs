//! Any value of any derived type reads back from its keys, in both dialects.
#![allow(missing_docs, unreachable_pub, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod container;
mod everything;
mod leaf;

use guestinfo::vic::ExecutorConfig;
use guestinfo::{Decode, Dialect, Encode, EncodeError, GuestInfo, Key, SecretKey, update};
use proptest::collection::btree_map;
use proptest::prelude::*;

use crate::container::container;
use crate::everything::{Everything, everything};
use crate::leaf::text;

/// A text to store in place of the correct one, or none.
fn damage() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(prop_oneof![
        "-?[0-9]{1,3}",
        "[a-c|]{0,9}",
        "[A-Za-z0-9+/]{0,24}={0,2}",
        text(),
    ])
}

/// Encodes, checks every key, decodes, and updates in place.
fn round_trip<T>(value: &T, dialect: Dialect) -> Result<(), TestCaseError>
where
    T: GuestInfo + Default + Clone + PartialEq + std::fmt::Debug,
{
    let secret = SecretKey::from_bytes([7; 32]);
    let codec = Encode::new(dialect).secret_key(&secret);
    let keys = match codec.run(value) {
        Ok(keys) => keys,
        // Names that are equal on the platform, and lists of a single `<nil>`, have no
        // stored form; an error is correct.
        Err(EncodeError::Collision { .. } | EncodeError::Unstorable { .. }) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    for (key, value) in &keys {
        let parsed = Key::parse(key).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(parsed.as_str(), key);
        prop_assert!(parsed.dialect().is_none_or(|found| found == dialect));
        prop_assert!(!value.is_empty());
    }
    let decode = Decode::new().dialect(dialect).secret_key(&secret);
    let decoded = decode.run::<T>(&keys);
    prop_assert!(decoded.report.is_empty(), "{}\n{:#?}", decoded.report, keys);
    let again = codec.run(&decoded.value).unwrap();
    prop_assert_eq!(
        keys.keys().collect::<Vec<_>>(),
        again.keys().collect::<Vec<_>>()
    );
    prop_assert!(codec.update(&keys, &decoded.value).unwrap().is_empty());
    // Everything that exists in the dialect reads back.
    if dialect == Dialect::Vic1 {
        prop_assert_eq!(&decoded.value, value);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn everything_comes_back(value in everything()) {
        for dialect in Dialect::ALL {
            round_trip(&value, dialect)?;
        }
        // In 0.4, all fields of this type exist.
        if let Ok(keys) = Encode::new(Dialect::Vic04).run(&value) {
            let decoded = Decode::new().dialect(Dialect::Vic04).run::<Everything>(&keys);
            prop_assert_eq!(decoded.value, value);
        }
    }

    #[test]
    fn containers_come_back(value in container()) {
        for dialect in Dialect::ALL {
            round_trip(&value, dialect)?;
        }
    }

    /// Updates from any state to any other: afterwards the keys are those of the new
    /// state.
    #[test]
    fn updates_lead_from_any_state_to_any_other(old in container(), new in container()) {
        for dialect in Dialect::ALL {
            let codec = Encode::new(dialect);
            let (Ok(mut keys), Ok(expected)) = (codec.run(&old), codec.run(&new)) else {
                continue;
            };
            keys.insert("svga.present".into(), "TRUE".into());
            let changes = codec.update(&keys, &new).unwrap();
            for change in changes.changes() {
                match change.value() {
                    Some(value) => keys.insert(change.key().into(), value.into()),
                    None => keys.remove(change.key()),
                };
            }
            let foreign = keys.remove("svga.present");
            prop_assert_eq!(foreign.as_deref(), Some("TRUE"));
            let changed = Decode::new().dialect(dialect).run::<ExecutorConfig>(&keys).value;
            let wanted = Decode::new().dialect(dialect).run::<ExecutorConfig>(&expected).value;
            prop_assert_eq!(changed, wanted);
            prop_assert!(codec.update(&keys, &new).unwrap().is_empty());
        }
    }

    /// Any keys decode to a value and a report, and the value can be updated and encoded.
    #[test]
    fn any_keys_decode(
        mut keys in btree_map(
            prop_oneof![
                "(guestinfo\\.(vice\\.)?[./])?(sessions|mounts|networks)?[|/.]?[a-c]{0,2}[|/.]?(common|cmd|id|~|status|started|Args)?[~]?(@secret|@non-persistent)?",
                ".{0,20}",
            ],
            prop_oneof![text(), "-?[0-9]{1,20}", "[a-c|]{0,9}", "[A-Za-z0-9+/]{0,24}={0,2}"],
            0..40,
        ),
        container in container(),
    ) {
        // Half of the keys are those of a real container.
        if let Ok(real) = guestinfo::encode(&container, Dialect::Vic1) {
            for (key, value) in real.into_iter().step_by(2) {
                keys.entry(key).or_insert(value);
            }
        }
        for dialect in Dialect::ALL {
            let decoded = Decode::new().dialect(dialect).run::<ExecutorConfig>(&keys);
            let _ = update(&keys, &decoded.value);
        }
        let _ = guestinfo::decode::<guestinfo::vic::VirtualContainerHostConfig>(&keys);
        let _ = guestinfo::decode::<Everything>(&keys);
    }

    /// Keys that parse are printed unchanged, and errors have a position.
    #[test]
    fn keys_are_printed_as_parsed(text in "(guestinfo\\.)?(vice\\.)?[a-c./|~@]{0,12}(@secret)?(@non-persistent)?") {
        match Key::parse(&text) {
            Ok(key) => {
                prop_assert_eq!(key.to_string(), text);
                prop_assert!(key.starts_with(&key));
                prop_assert!(key.steps().count() > 0);
            }
            Err(error) => prop_assert!(error.position() <= text.len()),
        }
    }

    #[test]
    fn patterns_that_spell_a_key_match_it(text in "guestinfo\\./[a-c]{1,3}(\\|[a-c]{1,3})?(/[a-c]{1,3})?~?") {
        let key = Key::parse(&text).unwrap();
        let pattern = guestinfo::Pattern::parse(&key.path()).unwrap();
        prop_assert!(pattern.matches(&key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// For any damaged state, one update repairs it, and an update without changes loses
    /// nothing.
    #[test]
    fn one_update_repairs_any_damage(
        container in container(),
        damage in proptest::collection::vec(
            (any::<proptest::sample::Index>(), damage()),
            1..6,
        ),
    ) {
        for dialect in Dialect::ALL {
            let codec = Encode::new(dialect);
            let Ok(mut keys) = codec.run(&container) else {
                continue;
            };
            for (at, damage) in &damage {
                let key = at.get(&keys.keys().collect::<Vec<_>>()).to_string();
                match damage {
                    Some(text) => keys.insert(key, text.clone()),
                    None => keys.remove(&key),
                };
            }
            let decode = Decode::new().dialect(dialect);
            let read = decode.run::<ExecutorConfig>(&keys).value;
            let changes = codec.update(&keys, &read).unwrap();
            prop_assert!(changes.refused().is_empty());
            let before = keys.clone();
            for change in changes.changes() {
                match change.value() {
                    Some(value) => keys.insert(change.key().into(), value.into()),
                    None => keys.remove(change.key()),
                };
            }
            // Equal except for an `Option` of a struct of which nothing is stored.
            let again = decode.run::<ExecutorConfig>(&keys).value;
            let (again, wanted) = (codec.run(&again), codec.run(&read));
            if let (Ok(again), Ok(wanted)) = (again, wanted) {
                prop_assert_eq!(again, wanted, "{:#?}\n{:#?}", before, changes);
            }
            let second = codec.update(&keys, &read).unwrap();
            prop_assert!(second.is_empty(), "{:?}\n{:?}\n{:#?}", changes, second, before);
        }
    }
}
