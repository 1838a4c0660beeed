//! Updates from stored keys to new ones.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{ExecutorConfig, SessionConfig};
use guestinfo::{
    Access, Decode, Dialect, Encode, EncodeError, GuestInfo, PowerState, Refusal, SecretKey,
    Update, decode, encode, update,
};

type Keys = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct State {
    #[guestinfo(key = "name", scope = "hidden")]
    name: String,
    #[guestinfo(key = "list", scope = "read-only")]
    list: Vec<Item>,
    #[guestinfo(key = "status", scope = "read-write")]
    status: i32,
    #[guestinfo(vic1(key = "execs", scope = "read-only", non_persistent))]
    execs: BTreeMap<String, Item>,
    #[guestinfo(vic1(key = "token", secret))]
    token: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Item {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
    #[guestinfo(key = "note", scope = "read-only")]
    note: Option<String>,
}

fn item(id: &str) -> Item {
    Item {
        id: id.into(),
        note: None,
    }
}

fn apply(keys: &mut Keys, update: &Update) {
    for change in update.changes() {
        match change.value() {
            Some(value) => keys.insert(change.key().into(), value.into()),
            None => keys.remove(change.key()),
        };
    }
}

#[test]
fn only_what_differs_is_written() {
    // VIC's own vector: `is`, `cruel` and `enough` are sent, and nothing else.
    #[derive(Debug, Default, GuestInfo)]
    struct Words {
        hello: Option<String>,
        is: Option<String>,
        present: Option<String>,
        cruel: Option<String>,
        enough: Option<String>,
    }
    let stored: Keys = [("hello", "x"), ("is", "y"), ("present", "z")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let some = |text: &str| Some(text.to_owned());
    let new = Words {
        hello: some("x"),
        is: some("y2"),
        present: some("z"),
        cruel: some("1"),
        enough: some("2"),
    };
    let changes = update(&stored, &new).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("cruel", "1"), ("enough", "2"), ("is", "y2")]
    );
    assert_eq!(changes.deletes().count(), 0);
}

#[test]
fn a_shorter_list_leaves_no_orphans() {
    let old = State {
        list: vec![item("a"), item("b"), item("c")],
        ..State::default()
    };
    let mut keys = encode(&old, Dialect::Vic1).unwrap();
    keys.insert("guestinfo.vice./list|7/id".into(), "orphan".into());
    keys.insert("guestinfo.vice./other".into(), "unknown".into());
    keys.insert("list".into(), "somebody else's hidden key".into());

    let new = State {
        list: vec![item("a")],
        ..State::default()
    };
    let changes = update(&keys, &new).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice./list", "0")]
    );
    assert_eq!(
        changes.deletes().collect::<Vec<_>>(),
        [
            "guestinfo.vice./list|1/id",
            "guestinfo.vice./list|2/id",
            "guestinfo.vice./list|7/id"
        ]
    );
    apply(&mut keys, &changes);
    assert_eq!(decode::<State>(&keys).value, new);
    assert!(keys.contains_key("guestinfo.vice./other") && keys.contains_key("list"));
    assert!(update(&keys, &new).unwrap().is_empty());
}

#[test]
fn another_form_of_the_same_value_is_left_alone() {
    let stored: Keys = include_str!("vectors/container-vic04.txt")
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let container = decode::<ExecutorConfig>(&stored).value;
    assert!(update(&stored, &container).unwrap().is_empty());
}

#[test]
fn malformed_text_is_repaired_even_if_it_read_as_the_same_value() {
    let mut keys = encode(&State::default(), Dialect::Vic1).unwrap();
    keys.insert("guestinfo.vice..status".into(), "zero".into());
    let value = decode::<State>(&keys).value;
    assert_eq!(value.status, 0);
    let changes = update(&keys, &value).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice..status", "0")]
    );
}

#[test]
fn the_stored_spelling_is_kept() {
    let mut keys = encode(&State::default(), Dialect::Vic1).unwrap();
    keys.remove("guestinfo.vice..status");
    keys.insert("guestinfo.vice..Status".into(), "0".into());
    let new = State {
        status: 3,
        ..State::default()
    };
    let changes = update(&keys, &new).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice..Status", "3")]
    );
    assert_eq!(changes.deletes().count(), 0);
}

#[test]
fn power_state_mask_and_guest_refuse_without_dropping() {
    let keys = encode(&State::default(), Dialect::Vic1).unwrap();
    let new = State {
        name: "n".into(),
        list: vec![item("a")],
        status: 1,
        execs: [("x".to_owned(), item("x"))].into(),
        token: None,
    };
    let all = update(&keys, &new).unwrap();
    assert_eq!(all.changes().len(), 6);
    let written = |update: &Update| -> Vec<String> {
        update
            .changes()
            .iter()
            .map(|c| c.key().to_owned())
            .collect()
    };

    let off = all.clone().for_power(PowerState::Off);
    assert_eq!(off.refused().len(), 2);
    assert!(
        off.refused()
            .iter()
            .all(|r| r.reason == Refusal::PoweredOff)
    );

    let on = all.clone().for_power(PowerState::On);
    assert_eq!(
        written(&on),
        [
            "guestinfo.vice./execs@non-persistent",
            "guestinfo.vice./execs|x/id@non-persistent",
            "name"
        ]
    );
    assert_eq!(on.refused().len(), 3);

    let guest = all.clone().for_guest();
    assert_eq!(written(&guest), ["guestinfo.vice..status"]);
    assert_eq!(guest.refused()[0].reason, Refusal::NotGuestWritable);

    let hidden = all.masked(|scope| scope.access == Access::Hidden);
    assert_eq!(written(&hidden), ["name"]);
    assert_eq!(hidden.refused().len(), 5);
    // A second filter adds to the refused changes.
    assert_eq!(hidden.for_guest().refused().len(), 6);
}

#[test]
fn sealed_values_are_compared_open() {
    let secret = SecretKey::generate();
    let codec = Encode::new(Dialect::Vic1).secret_key(&secret);
    let old = State {
        token: Some("hunter2".into()),
        ..State::default()
    };
    let keys = codec.run(&old).unwrap();
    assert!(codec.update(&keys, &old).unwrap().is_empty());

    let new = State {
        token: Some("hunter3".into()),
        ..State::default()
    };
    let changes = codec.update(&keys, &new).unwrap();
    assert_eq!(changes.changes().len(), 1);
    assert!(!format!("{changes:?}").contains("hunter"));
    let mut updated = keys.clone();
    apply(&mut updated, &changes);
    let decoded = Decode::new().secret_key(&secret).strict::<State>(&updated);
    assert_eq!(decoded.unwrap(), new);

    // Without the key, the value is neither seen nor lost.
    let blind = decode::<State>(&keys).value;
    assert_eq!(blind.token, None);
    assert!(update(&keys, &blind).unwrap().is_empty());
    let error = update(&keys, &new).unwrap_err();
    assert!(matches!(error, EncodeError::NoSecretKey { .. }));
    // With the key, the value can be removed.
    let changes = codec.update(&keys, &State::default()).unwrap();
    assert_eq!(
        changes.deletes().collect::<Vec<_>>(),
        ["guestinfo.vice./token@secret"]
    );
}

#[test]
fn whole_containers_update_into_each_other() {
    let mut old = ExecutorConfig::default();
    old.sessions.insert("a".into(), SessionConfig::default());
    old.annotations.insert("meta".into(), "{}".into());
    let mut new = ExecutorConfig::default();
    new.sessions.insert("b|c".into(), SessionConfig::default());
    for dialect in Dialect::ALL {
        let mut keys = encode(&old, dialect).unwrap();
        let changes = update(&keys, &new).unwrap();
        apply(&mut keys, &changes);
        assert_eq!(keys, encode(&new, dialect).unwrap(), "{dialect}");
    }
}
