//! After one update, the stored keys read as the new value, and a second update has
//! nothing to do.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use guestinfo::{Decode, Dialect, Encode, GuestInfo, SecretKey, decode, encode};

type Keys = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Field<T> {
    #[guestinfo(key = "k", scope = "read-only")]
    value: T,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Item {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
    #[guestinfo(key = "n", scope = "read-write")]
    n: Option<u8>,
}

fn item(id: &str) -> Item {
    Item {
        id: id.into(),
        n: None,
    }
}

fn keys(entries: &[(&str, &str)]) -> Keys {
    let spell = |key: &str| match key.strip_prefix(':') {
        Some(rest) => format!("guestinfo.vice..k{rest}"),
        None => format!("guestinfo.vice./{key}"),
    };
    entries
        .iter()
        .map(|(key, text)| (spell(key), (*text).to_owned()))
        .collect()
}

fn apply(keys: &mut Keys, update: &guestinfo::Update) {
    for change in update.changes() {
        match change.value() {
            Some(value) => keys.insert(change.key().into(), value.into()),
            None => keys.remove(change.key()),
        };
    }
}

/// Sets the field to a value, or to the value that was read; checks that the stored keys
/// are then `expected`.
#[track_caller]
fn repairs<T>(stored: &[(&str, &str)], new: Option<T>, expected: &[(&str, &str)])
where
    T: GuestInfo + Default + Clone + PartialEq + std::fmt::Debug,
{
    let mut stored = keys(stored);
    let codec = Encode::new(Dialect::Vic1);
    let new = match new {
        Some(value) => Field { value },
        None => decode::<Field<T>>(&stored).value,
    };
    let changes = codec.update(&stored, &new).unwrap();
    apply(&mut stored, &changes);
    assert_eq!(stored, keys(expected));
    assert_eq!(decode::<Field<T>>(&stored).value, new);
    let again = codec.update(&stored, &new).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn a_length_that_announces_too_much() {
    for new in [None, Some(texts(&["x", "y"]))] {
        repairs(
            &[("k", "3"), ("k~", "x|y")],
            new,
            &[("k", "1"), ("k~", "x|y")],
        );
    }
    repairs(
        &[("k", "what"), ("k~", "x|y")],
        Some(texts(&["x", "y"])),
        &[("k", "1"), ("k~", "x|y")],
    );
    repairs::<Vec<String>>(&[("k", "3")], None, &[]);
    repairs(
        &[("k", "999"), ("k|0/id", "a")],
        Some(vec![item("a")]),
        &[("k", "0"), ("k|0/id", "a")],
    );
    // This also holds for an index larger than any list could have.
    repairs(
        &[("k", "2147483647"), ("k|0/id", "a")],
        None::<Vec<Item>>,
        &[("k", "0"), ("k|0/id", "a")],
    );
}

#[test]
fn malformed_elements() {
    repairs(
        &[("k", "3"), ("k~", "1|x|3|5")],
        None::<Vec<u32>>,
        &[("k", "2"), ("k~", "1|3|5")],
    );
    repairs(
        &[("k", "2"), ("k~", "4|5|6")],
        None::<[u16; 2]>,
        &[("k", "1"), ("k~", "0|0")],
    );
}

#[test]
fn lists_of_structs_with_a_hole() {
    repairs(
        &[("k", "2"), ("k|0/id", "a"), ("k|2/id", "c"), (":|2.n", "7")],
        None::<Vec<Item>>,
        &[("k", "1"), ("k|0/id", "a"), ("k|1/id", "c"), (":|1.n", "7")],
    );
    // Everything behind the hole moves, although it reads the same.
    repairs(
        &[("k", "2"), ("k|1/id", "b"), ("k|2/id", "c")],
        None::<Vec<Item>>,
        &[("k", "1"), ("k|0/id", "b"), ("k|1/id", "c")],
    );
    repairs(
        &[("k", "2"), ("k|1/id", "b"), ("k|2/id", "c")],
        Some(vec![item("b"), item("c"), item("d")]),
        &[
            ("k", "2"),
            ("k|0/id", "b"),
            ("k|1/id", "c"),
            ("k|2/id", "d"),
        ],
    );
}

#[test]
fn address_lists_with_a_malformed_element() {
    let v4 = "AAAAAAAAAAAAAP//CAgICA==";
    let other = "AAAAAAAAAAAAAP//CAgEBA==";
    repairs(
        &[("k", "2"), ("k|0", v4), ("k|1", "!"), ("k|2", other)],
        None::<Vec<IpAddr>>,
        &[("k", "1"), ("k|0", v4), ("k|1", other)],
    );
    repairs(
        &[("k", "2"), ("k|0", "!"), ("k|1", v4), ("k|2", other)],
        None::<Vec<IpAddr>>,
        &[("k", "1"), ("k|0", v4), ("k|1", other)],
    );
}

#[test]
fn maps_that_name_entries_without_keys() {
    let map = BTreeMap::from([("a".to_owned(), item("x"))]);
    for new in [None, Some(map)] {
        repairs(
            &[("k", "a|b"), ("k|a/id", "x")],
            new,
            &[("k", "a"), ("k|a/id", "x")],
        );
    }
    repairs(
        &[("k", "a|a|b"), ("k|a", "1"), ("k|b", "many")],
        None::<BTreeMap<String, u8>>,
        &[("k", "a"), ("k|a", "1")],
    );
    repairs(
        &[("k", "1|x|2"), ("k|1", "p"), ("k|2", "q"), ("k|x", "r")],
        None::<BTreeMap<u8, String>>,
        &[("k", "1|2"), ("k|1", "p"), ("k|2", "q")],
    );
}

/// The exact names move together.
#[test]
fn maps_whose_names_hold_the_separator() {
    repairs(
        &[("k", "a||"), ("k||", "1"), ("k~|0", "a"), ("k~|1", "|")],
        None::<BTreeMap<String, u8>>,
        &[("k", "|"), ("k||", "1"), ("k~|0", "|")],
    );
}

/// A list that VIC truncated because an element contains the separator stays as VIC wrote
/// it until the list is changed.
#[test]
fn lists_that_hold_more_than_they_announce() {
    let stored = [("k", "1"), ("k~", "dmesg | grep net|-v")];
    repairs(&stored, None::<Vec<String>>, &stored);
    repairs(
        &stored,
        Some(texts(&["dmesg", "-v"])),
        &[("k", "1"), ("k~", "dmesg|-v")],
    );
    repairs(&[("k~", "a|b")], None::<Vec<String>>, &[("k~", "a|b")]);
    repairs(
        &[("k~", "a|b")],
        Some(texts(&["c"])),
        &[("k", "0"), ("k~", "c")],
    );
}

#[test]
fn values_in_other_forms_are_left_alone() {
    let stored = [("k", "2"), ("k|0", "CAgICA=="), ("k|1", "CAgEBA==")];
    let complete = &stored[..];
    let mut two = complete.to_vec();
    two[0].1 = "1";
    repairs(&two, None::<Vec<IpAddr>>, &two);
    repairs(
        &[("k", "b|a"), ("k|a", "1"), ("k|b", "+2")],
        None::<BTreeMap<String, u8>>,
        &[("k", "b|a"), ("k|a", "1"), ("k|b", "+2")],
    );
}

#[test]
fn chunks_are_left_alone_until_they_change() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Chunked {
        #[guestinfo(key = "k", scope = "read-only", chunks)]
        value: String,
        #[guestinfo(key = "name", scope = "read-only")]
        name: String,
    }
    let long = "x".repeat(70_000);
    let by_others = [
        keys(&[("name", "n"), ("k", &long)]),
        keys(&[("name", "n"), ("k~", "2|4"), ("k~|0", "ab"), ("k~|1", "cd")]),
        keys(&[("name", "n"), ("k~", "3|6"), ("k~|0", "ab"), ("k~|2", "ef")]),
    ];
    for stored in by_others {
        let mut new = decode::<Chunked>(&stored).value;
        assert!(guestinfo::update(&stored, &new).unwrap().is_empty());
        new.name = "m".into();
        assert_eq!(guestinfo::update(&stored, &new).unwrap().changes().len(), 1);
        new.value = "short".into();
        let mut changed = stored.clone();
        apply(&mut changed, &guestinfo::update(&stored, &new).unwrap());
        assert_eq!(changed, keys(&[("name", "m"), ("k", "short")]));
    }
}

#[test]
fn sealed_values_that_cannot_be_opened_are_left_alone() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Secrets {
        #[guestinfo(secret)]
        text: String,
        #[guestinfo(secret)]
        maybe: Option<String>,
        #[guestinfo(secret)]
        list: Vec<String>,
        #[guestinfo(secret)]
        items: Vec<Item>,
        #[guestinfo(secret)]
        map: BTreeMap<String, Item>,
        #[guestinfo(scope = "read-only")]
        open: String,
    }
    let (ours, theirs) = (SecretKey::generate(), SecretKey::generate());
    let value = Secrets {
        text: "t".into(),
        maybe: Some("m".into()),
        list: vec!["l|l".into()],
        items: vec![item("a"), item("b")],
        map: [("n".to_owned(), item("c"))].into(),
        open: "o".into(),
    };
    let codec = Encode::new(Dialect::Vic1);
    let stored = codec.clone().secret_key(&ours).run(&value).unwrap();
    let read = |keys: &Keys, key| Decode::new().secret_key(key).run::<Secrets>(keys).value;

    let mut blind = read(&stored, &theirs);
    assert_eq!(blind.text, "");
    let wrong = codec.clone().secret_key(&theirs);
    assert!(wrong.update(&stored, &blind).unwrap().is_empty());
    blind.open = "p".into();
    let changes = wrong.update(&stored, &blind).unwrap();
    assert_eq!(changes.changes().len(), 1);
    let mut changed = stored.clone();
    apply(&mut changed, &changes);
    let expected = Secrets {
        open: "p".into(),
        ..value.clone()
    };
    assert_eq!(read(&changed, &ours), expected);

    // One element that was sealed with a different key is not removed.
    let mut mixed = stored.clone();
    let foreign = codec.clone().secret_key(&theirs).run(&value).unwrap();
    let key = "guestinfo.vice./items|0/id@secret";
    mixed.insert(key.into(), foreign[key].clone());
    let half = read(&mixed, &ours);
    let right = codec.secret_key(&ours);
    assert!(right.update(&mixed, &half).unwrap().is_empty());

    // A changed value is written.
    blind.text = "new".into();
    let changes = wrong.update(&stored, &blind).unwrap();
    assert_eq!(changes.changes().len(), 2);
}

/// Missing required keys are written; optional ones are left alone until they change.
#[test]
fn missing_keys() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct State {
        #[guestinfo(scope = "read-only")]
        required: String,
        #[guestinfo(scope = "read-only", default)]
        usual: u8,
        #[guestinfo(scope = "read-only")]
        inner: Field<u8>,
    }
    let stored = keys(&[("usual", "0")]);
    let new = decode::<State>(&stored).value;
    let changes = guestinfo::update(&stored, &new).unwrap();
    assert_eq!(
        changes.sets().map(|(key, _)| key).collect::<Vec<_>>(),
        ["guestinfo.vice./inner/k", "guestinfo.vice./required"]
    );
    let mut stored = encode(&State::default(), Dialect::Vic1).unwrap();
    stored.remove("guestinfo.vice./usual");
    let mut new = decode::<State>(&stored).value;
    assert!(guestinfo::update(&stored, &new).unwrap().is_empty());
    new.usual = 1;
    assert_eq!(guestinfo::update(&stored, &new).unwrap().changes().len(), 1);
}

#[test]
fn a_name_that_is_only_listed_and_cannot_be_written_is_dropped() {
    for name in ["~", "c~", "a b", "x@secret"] {
        let read = decode::<Field<BTreeMap<String, Item>>>(&keys(&[("k", name)])).value;
        assert!(read.value.is_empty(), "{name}: {read:?}");
        repairs::<BTreeMap<String, Item>>(&[("k", name)], None, &[]);
    }
}

/// Deleting the only, malformed key of an optional struct made the struct vanish.
#[test]
fn a_struct_of_which_only_damage_is_stored_survives_its_repair() {
    use guestinfo::vic::{AssignedNetwork, ExecutorConfig, NetworkEndpoint};

    let mut container = ExecutorConfig::default();
    let mut endpoint = NetworkEndpoint::default();
    endpoint.network.assigned = Some(AssignedNetwork {
        gateway: Some("10.0.0.1/24".parse().unwrap()),
        nameservers: Vec::new(),
    });
    container.networks.insert("bridge".into(), endpoint);
    let mut stored = encode(&container, Dialect::Vic1).unwrap();
    let assigned = "guestinfo.vice..networks|bridge.network.assigned";
    let gateway = format!("{assigned}.gateway.IP");
    assert!(stored.insert(gateway, "nonsense".into()).is_some());

    let read = decode::<ExecutorConfig>(&stored).value;
    let found = read.networks["bridge"].network.assigned.as_ref().unwrap();
    assert_eq!(found.gateway, None);
    let update = guestinfo::update(&stored, &read).unwrap();
    apply(&mut stored, &update);
    assert_eq!(decode::<ExecutorConfig>(&stored).value, read);
    assert!(guestinfo::update(&stored, &read).unwrap().is_empty());
}

/// An entry whose name was read but cannot be written must not stop every update.
#[test]
fn damage_around_a_name_that_cannot_be_written_stays() {
    use guestinfo::vic::{ExecutorConfig, MountSpec};

    let mut container = ExecutorConfig::default();
    // VIC's keys of the entry end at the `@`, so that the first piece has them, too.
    let name = "~@d~|x";
    container.mounts.insert(name.into(), MountSpec::default());
    let mut stored = encode(&container, Dialect::Vic1).unwrap();
    assert!(stored.remove("guestinfo.vice./mounts~|0").is_some());
    let read = decode::<ExecutorConfig>(&stored).value;
    assert!(read.mounts.contains_key("~@d~"), "{:?}", read.mounts);

    let mut renamed = read.clone();
    renamed.repo_name = "busybox".into();
    let update = guestinfo::update(&stored, &renamed).unwrap();
    apply(&mut stored, &update);
    let again = decode::<ExecutorConfig>(&stored).value;
    assert_eq!(again, renamed);
    assert!(guestinfo::update(&stored, &renamed).unwrap().is_empty());
}
