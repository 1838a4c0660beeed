//! Whatever is written reads back unchanged; anything else is refused.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
use guestinfo::{
    Decode, Dialect, EncodeError, GuestInfo, PowerState, Refusal, decode, encode, update,
};

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Field<T> {
    #[guestinfo(key = "k", scope = "read-only")]
    value: T,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Leaf {
    #[guestinfo(scope = "read-only")]
    f: u8,
}

fn round_trips<T: GuestInfo + Default + Clone + PartialEq + std::fmt::Debug>(value: T) {
    let value = Field { value };
    for dialect in Dialect::ALL {
        let keys = encode(&value, dialect).unwrap();
        let decoded = Decode::new().dialect(dialect).strict::<Field<T>>(&keys);
        assert_eq!(decoded.unwrap(), value);
        assert!(update(&keys, &value).unwrap().is_empty());
    }
}

#[track_caller]
fn refused<T: GuestInfo + Default>(value: T) {
    let error = encode(&Field { value }, Dialect::Vic1).unwrap_err();
    assert!(matches!(error, EncodeError::Unstorable { .. }), "{error}");
}

fn map<V: Clone>(names: &[&str], value: &V) -> BTreeMap<String, V> {
    let entries = names.iter().map(|name| ((*name).to_owned(), value.clone()));
    entries.collect()
}

/// Part of a name is itself another name for the platform.
#[test]
fn names_that_hold_another_name_in_another_case() {
    round_trips(BTreeMap::from([("A|b".to_owned(), 1), ("a".to_owned(), 2)]));
    round_trips(map(&["Data|x", "data"], &1));
    round_trips(map(&["Data|x", "data"], &Leaf { f: 3 }));
    round_trips(map(&["x|Data|y", "data", "Z"], &String::from("v")));
    round_trips(map(&["a.b|c", "a/b"], &Leaf { f: 3 }));
    round_trips(map(&["a|b", "B|a"], &1));
}

#[test]
fn nested_options_are_refused_where_they_would_collapse() {
    refused(Some(None::<u8>));
    refused(Some(Some(None::<String>)));
    refused(Some(None::<Vec<String>>));
    round_trips(Some(Some(3_u8)));
    round_trips(None::<Option<u8>>);
    round_trips(Some(Some(Vec::<String>::new())));
    round_trips(vec![Some(1_u8), None]);
}

/// A struct without any key, inside an `Option`.
#[test]
fn empty_structs_in_options_are_carried_or_refused() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Lists {
        maybe: Option<u8>,
        bytes: Vec<u8>,
        list: Vec<String>,
    }
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Outer {
        #[guestinfo(flatten)]
        flat: Nothing,
        maybe: Option<u8>,
        inner: Lists,
        map: BTreeMap<String, Leaf>,
    }
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Nothing {
        #[guestinfo(vic1)]
        maybe: Option<Leaf>,
    }
    round_trips(Some(Lists::default()));
    round_trips(Some(Box::new(Lists::default())));
    round_trips(Some(Outer::default()));
    round_trips(vec![Some(Outer::default()), None]);
    round_trips(Some((None::<u8>, Vec::<u8>::new())));
    round_trips(Some((Lists::default(),)));
    round_trips(BTreeMap::from([("a".to_owned(), Some(Lists::default()))]));
    refused(Some(Nothing::default()));
    refused(Some((None::<u8>, Nothing::default())));
    // For a struct without fields, nothing is lost.
    let value = Field {
        value: Some(Nothing::default()),
    };
    assert!(encode(&value, Dialect::Vic04).unwrap().is_empty());

    // If it was read from damaged keys, an update repairs it.
    let mut keys = BTreeMap::from([(
        "guestinfo.vice./k/bytes".to_owned(),
        "Y2VydA==guestinfo".to_owned(),
    )]);
    let new = decode::<Field<Option<Lists>>>(&keys).value;
    assert_eq!(new.value, Some(Lists::default()));
    for change in update(&keys.clone(), &new).unwrap().changes() {
        match change.value() {
            Some(value) => keys.insert(change.key().into(), value.into()),
            None => keys.remove(change.key()),
        };
    }
    assert_eq!(decode::<Field<Option<Lists>>>(&keys).value, new);
    assert!(update(&keys, &new).unwrap().is_empty());
    // Damaged keys of a struct that could not be written again do not prevent an update.
    keys = BTreeMap::from([("guestinfo.vice./k/maybe/f".to_owned(), "x".to_owned())]);
    let new = decode::<Field<Option<Nothing>>>(&keys).value;
    assert!(update(&keys, &new).is_ok());
}

#[test]
fn texts_of_another_variant_are_refused() {
    for text in ["true", ""] {
        refused(Started::Failed(text.into()));
        refused(vec![Started::Failed(text.into())]);
    }
    refused(BTreeMap::from([(Name::Other("true".into()), 1)]));
    round_trips(Started::failed(""));
    round_trips(Started::failed("true"));
    round_trips(Started::failed("<nil>"));
}

/// An enum as map key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, GuestInfo)]
enum Name {
    #[default]
    #[guestinfo(text = "true")]
    Yes,
    #[guestinfo(other)]
    Other(String),
}

#[test]
fn a_missing_exit_status_is_not_zero() {
    for dialect in Dialect::ALL {
        for exit_status in [None, Some(0), Some(-1)] {
            let session = SessionConfig {
                exit_status,
                ..SessionConfig::default()
            };
            let container = ExecutorConfig {
                sessions: [("a".to_owned(), session)].into(),
                ..ExecutorConfig::default()
            };
            let keys = encode(&container, dialect).unwrap();
            let decoded = Decode::new().dialect(dialect).run::<ExecutorConfig>(&keys);
            assert_eq!(decoded.value.sessions["a"].exit_status, exit_status);
            let key = format!("{}.sessions|a.status", dialect.base());
            assert_eq!(keys.contains_key(&key), exit_status.is_some());
        }
    }
}

/// While the machine is on, a new entry of a map cannot be listed, so none of its keys
/// are written; and no key of an entry that stays listed is deleted.
#[test]
fn entries_that_come_and_go_while_on_leave_nothing_behind() {
    let mut container = ExecutorConfig::default();
    container
        .sessions
        .insert("a".into(), SessionConfig::default());
    container
        .sessions
        .insert("b".into(), SessionConfig::default());
    let stored = encode(&container, Dialect::Vic1).unwrap();
    let mut new = decode::<ExecutorConfig>(&stored).value;
    new.sessions.remove("b");
    let mut added = SessionConfig::default();
    added.common.notes = "hidden".into();
    new.sessions.insert("c".into(), added);
    new.sessions.get_mut("a").unwrap().common.notes = "kept".into();
    new.common.notes = "also kept".into();
    let all = update(&stored, &new).unwrap();

    let on = all.clone().for_power(PowerState::On);
    assert_eq!(
        on.sets().collect::<Vec<_>>(),
        [
            ("common/notes", "also kept"),
            ("sessions|a/common/notes", "kept")
        ]
    );
    assert_eq!(on.deletes().count(), 0);
    let hidden = |key: &str| {
        on.refused()
            .iter()
            .any(|refused| refused.change.key() == key && refused.reason == Refusal::PoweredOn)
    };
    assert!(hidden("sessions|b/common/notes") && hidden("sessions|c/common/notes"));

    let off = all.for_power(PowerState::Off);
    assert!(off.refused().is_empty());
    assert!(off.sets().any(|(key, _)| key == "sessions|c/common/notes"));
    assert!(off.deletes().any(|key| key == "sessions|b/common/notes"));
}
