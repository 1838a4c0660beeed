//! Lists and maps whose texts contain the separator.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::{Decode, Dialect, GuestInfo, IssueKind, encode, update};

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct List {
    #[guestinfo(key = "k", scope = "read-only")]
    list: Vec<String>,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Map {
    #[guestinfo(key = "k", scope = "read-only")]
    map: BTreeMap<String, String>,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Deep {
    #[guestinfo(key = "k", scope = "read-only")]
    map: BTreeMap<String, Leaf>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Leaf {
    #[guestinfo(scope = "read-only")]
    ro: u8,
    #[guestinfo(scope = "read-write")]
    rw: u8,
    #[guestinfo(scope = "hidden")]
    hidden: u8,
}

type Keys = BTreeMap<String, String>;

fn list(texts: &[&str]) -> List {
    List {
        list: texts.iter().map(ToString::to_string).collect(),
    }
}

fn map(entries: &[(&str, &str)]) -> Map {
    let entries = entries.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Map {
        map: entries.collect(),
    }
}

/// Returns the keys after VIC, which does not know the exact form, has written over ours.
fn vic_writes(keys: &mut Keys, entries: &[(&str, &str)]) {
    for (key, value) in entries {
        keys.insert(format!("guestinfo./{key}"), (*value).into());
    }
}

fn read<T: GuestInfo + Default>(keys: &Keys) -> (T, Vec<IssueKind>) {
    let decoded = Decode::new().dialect(Dialect::Vic04).run(keys);
    let kinds = decoded.report.issues().iter().map(|issue| issue.kind);
    (decoded.value, kinds.collect())
}

#[test]
fn lists_survive_and_vic_sees_what_it_would_have_written() {
    for texts in [
        &["a|b", "c"][..],
        &["|"],
        &["||", "", "|"],
        &["", ""],
        &[""],
        &["a", "b|"],
        &["PATH=/bin", "A=dmesg | grep vmxnet"],
        &["x|<nil>"],
    ] {
        let value = list(texts);
        let keys = encode(&value, Dialect::Vic04).unwrap();
        let joined = texts.join("|");
        let joined = if joined.is_empty() { "<nil>" } else { &joined };
        assert_eq!(keys["guestinfo./k"], (texts.len() - 1).to_string());
        assert_eq!(keys["guestinfo./k~"], joined);
        assert_eq!(read::<List>(&keys), (value, vec![]), "{texts:?}");
    }
}

#[test]
fn an_older_writer_of_a_list_wins() {
    let ours = encode(&list(&["a|b", "c"]), Dialect::Vic04).unwrap();

    let mut keys = ours.clone();
    vic_writes(&mut keys, &[("k", "1"), ("k~", "x|y")]);
    let (value, issues) = read::<List>(&keys);
    assert_eq!(value, list(&["x", "y"]));
    assert_eq!(issues, [IssueKind::Stale, IssueKind::Unknown]);

    // The joined text is the same, but now there are three elements.
    let mut keys = ours.clone();
    vic_writes(&mut keys, &[("k", "2")]);
    let (value, issues) = read::<List>(&keys);
    assert_eq!(value, list(&["a", "b", "c"]));
    assert_eq!(issues, [IssueKind::Stale, IssueKind::Unknown]);

    // A list written by VIC with a bar in an element: split as VIC reads it, and
    // reported.
    let mut keys = Keys::new();
    vic_writes(&mut keys, &[("k", "1"), ("k~", "a|b|c")]);
    let (value, issues) = read::<List>(&keys);
    assert_eq!(value, list(&["a", "b"]));
    assert_eq!(issues, [IssueKind::Surplus]);

    // A list written by VIC with a bar in an element, over our list of the same length.
    let mut keys = ours.clone();
    vic_writes(&mut keys, &[("k", "1"), ("k~", "x|y|z")]);
    let (value, issues) = read::<List>(&keys);
    assert_eq!(value, list(&["x", "y"]));
    assert_eq!(issues, [IssueKind::Stale, IssueKind::Surplus]);

    // The same with lists that have the same start or end as the stored one.
    for joined in ["a|b|c|", "|a|b|c", "a|b|cd", "a|b||c", "a|b|c|d"] {
        let mut keys = ours.clone();
        vic_writes(&mut keys, &[("k", "1"), ("k~", joined)]);
        let (value, issues) = read::<List>(&keys);
        let cut: Vec<_> = joined.split('|').take(2).collect();
        assert_eq!(value, list(&cut), "{joined}");
        assert_eq!(issues, [IssueKind::Stale, IssueKind::Surplus], "{joined}");
    }

    // The next update deletes the stale elements.
    let mut keys = ours;
    vic_writes(&mut keys, &[("k", "1"), ("k~", "x|y")]);
    let changes = update(&keys, &list(&["x", "y"])).unwrap();
    assert_eq!(changes.sets().count(), 0);
    assert_eq!(
        changes.deletes().collect::<Vec<_>>(),
        ["guestinfo./k|0", "guestinfo./k|1"]
    );
}

#[test]
fn map_keys_with_separators_survive() {
    for entries in [
        &[("a|b", "1"), ("c", "2")][..],
        &[("a|b", "1"), ("a", "2"), ("b", "3")],
        &[("|", "1")],
        &[("a||b", "1"), ("|a", "2"), ("b|", "3")],
        &[("a.b", "1"), ("a/b", "2"), ("..", "3"), ("a/", "4")],
        &[("a@b", "1"), ("a~b", "2")],
    ] {
        let value = map(entries);
        for dialect in Dialect::ALL {
            let keys = encode(&value, dialect).unwrap();
            let decoded = Decode::new().dialect(dialect).strict::<Map>(&keys);
            assert_eq!(decoded.unwrap(), value, "{entries:?}");
        }
    }
    for name in ["a|b", "a.b", "a/b", "a.b/c|d", "."] {
        let leaf = Leaf {
            ro: 1,
            rw: 2,
            hidden: 3,
        };
        let value = Deep {
            map: BTreeMap::from([(name.to_owned(), leaf)]),
        };
        let keys = encode(&value, Dialect::Vic1).unwrap();
        let decoded = Decode::new().dialect(Dialect::Vic1).strict::<Deep>(&keys);
        assert_eq!(decoded.unwrap(), value, "{name:?}");
    }
}

/// VIC 1.x treats the part of a key from the first `@` on as suffixes: it removes them from the
/// key of a parent, and moves them to the end of a child's key.
#[test]
fn map_keys_with_an_at_sign_are_spelled_as_vic_spells_them() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct State {
        #[guestinfo(key = "mounts", scope = "read-only")]
        mounts: BTreeMap<String, Leaf>,
        #[guestinfo(key = "lists", scope = "read-only")]
        lists: BTreeMap<String, Vec<String>>,
        #[guestinfo(key = "texts", scope = "read-only")]
        texts: BTreeMap<String, String>,
    }
    let leaf = Leaf {
        ro: 1,
        rw: 2,
        hidden: 3,
    };
    let name = "a@b".to_owned();
    let value = State {
        mounts: [(name.clone(), leaf), ("c@d@e".into(), Leaf::default())].into(),
        lists: [(name.clone(), vec!["x".into(), "y|z".into()])].into(),
        texts: [(name, "t".into())].into(),
    };
    let keys = encode(&value, Dialect::Vic1).unwrap();
    for (key, text) in [
        ("guestinfo.vice./mounts", "a@b|c@d@e"),
        ("guestinfo.vice./mounts|a/ro", "1"),
        ("guestinfo.vice..mounts|a.rw", "2"),
        ("mounts|a/hidden", "3"),
        ("guestinfo.vice./mounts|c/ro", "0"),
        ("guestinfo.vice./lists|a@b", "1"),
        ("guestinfo.vice./lists|a~@b", "x|y|z"),
        ("guestinfo.vice./lists|a|1@b", "y|z"),
        ("guestinfo.vice./texts|a@b", "t"),
    ] {
        assert_eq!(keys.get(key).map(String::as_str), Some(text), "{key}");
    }
    assert!(update(&keys, &value).unwrap().is_empty());
    let decoded = Decode::new().strict::<State>(&keys).unwrap();
    assert_eq!(decoded, value);
    let mut fewer = value.clone();
    fewer.mounts.remove("a@b");
    fewer.lists.clear();
    let mut changed = keys;
    for change in update(&changed.clone(), &fewer).unwrap().changes() {
        match change.value() {
            Some(text) => changed.insert(change.key().into(), text.into()),
            None => changed.remove(change.key()),
        };
    }
    assert_eq!(changed, encode(&fewer, Dialect::Vic1).unwrap());

    // A name that VIC truncates to an empty one leaves no keys behind, either.
    let only = |name: &str| State {
        mounts: [(name.to_owned(), Leaf::default())].into(),
        ..State::default()
    };
    let mut changed = encode(&only("@"), Dialect::Vic1).unwrap();
    for change in update(&changed.clone(), &only("|@")).unwrap().changes() {
        match change.value() {
            Some(text) => changed.insert(change.key().into(), text.into()),
            None => changed.remove(change.key()),
        };
    }
    assert_eq!(changed, encode(&only("|@"), Dialect::Vic1).unwrap());

    // 0.4 has no suffixes.
    let keys = encode(&value, Dialect::Vic04).unwrap();
    assert_eq!(keys["guestinfo./mounts|a@b/ro"], "1");
    assert_eq!(Decode::new().strict::<State>(&keys).unwrap(), value);

    // Names that VIC cannot distinguish are refused instead of lost.
    let mut two = value;
    two.mounts.insert("a".into(), Leaf::default());
    assert!(encode(&two, Dialect::Vic1).is_err());
    assert!(encode(&two, Dialect::Vic04).is_ok());
}

#[test]
fn vic_sees_the_map_that_it_would_have_written() {
    let keys = encode(&map(&[("a|b", "1"), ("c", "2")]), Dialect::Vic04).unwrap();
    assert_eq!(keys["guestinfo./k"], "a|b|c");
    assert_eq!(keys["guestinfo./k|a|b"], "1");
    assert_eq!(keys["guestinfo./k|c"], "2");
    assert_eq!(keys["guestinfo./k~|0"], "a|b");
    assert_eq!(keys["guestinfo./k~|1"], "c");
    let plain = encode(&map(&[("a", "1"), ("c", "2")]), Dialect::Vic04).unwrap();
    assert_eq!(plain.len(), 3);
}

#[test]
fn an_older_writer_of_a_map_wins() {
    let mut keys = encode(&map(&[("a|b", "1"), ("c", "2")]), Dialect::Vic04).unwrap();
    // The list of names is the same; the entries distinguish the maps.
    vic_writes(&mut keys, &[("k", "a|b|c"), ("k|a", "x"), ("k|b", "y")]);
    let (value, issues) = read::<Map>(&keys);
    assert_eq!(value, map(&[("a", "x"), ("b", "y"), ("c", "2")]));
    assert!(issues.contains(&IssueKind::Stale));

    let changes = update(&keys, &value).unwrap();
    assert_eq!(changes.sets().count(), 0);
    assert_eq!(
        changes.deletes().collect::<Vec<_>>(),
        ["guestinfo./k|a|b", "guestinfo./k~|0", "guestinfo./k~|1"]
    );
}

/// Nested maps, with names for which every lookup causes many more.
#[test]
fn looking_for_older_entries_is_bounded() {
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Node {
        #[guestinfo(key = "m", scope = "read-write")]
        map: BTreeMap<String, Node2>,
    }
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Node2 {
        #[guestinfo(key = "m", scope = "read-write")]
        map: BTreeMap<String, BTreeMap<String, String>>,
    }
    let names: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let names = names.join("|");
    let mut keys = Keys::new();
    let mut lie = |key: &str| {
        keys.insert(key.to_owned(), names.clone());
        keys.insert(format!("{key}~|0"), names.clone());
    };
    lie("guestinfo..m");
    for n in 0..5_000 {
        lie(&format!("guestinfo..m|{n}.m"));
    }
    let decoded = Decode::new().dialect(Dialect::Vic04).run::<Node>(&keys);
    assert!(decoded.report.is_lossy());
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct MapOf<T: GuestInfo> {
    #[guestinfo(key = "k", scope = "read-only")]
    map: BTreeMap<String, T>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Branch {
    #[guestinfo(key = "a", scope = "read-only")]
    leaf: Leaf,
}

/// A part of a name was mistaken for an entry, because another entry has the same keys.
#[test]
fn keys_of_an_entry_are_not_mistaken_for_other_entries() {
    // The elements of `_` are at `k|_~`.
    let lists = MapOf {
        map: BTreeMap::from([
            ("_".to_owned(), vec!["x".to_owned(), "y".to_owned()]),
            ("q|_~|z".to_owned(), vec!["v".to_owned()]),
        ]),
    };
    let keys = encode(&lists, Dialect::Vic04).unwrap();
    assert!(keys.contains_key("guestinfo./k|_~"), "{keys:#?}");
    let (found, issues) = read::<MapOf<Vec<String>>>(&keys);
    assert_eq!((found, issues), (lists, Vec::new()));
    // The field `a` of `m` is at `k|m/a`.
    let branches = MapOf {
        map: BTreeMap::from(["m", "q|m/a|z"].map(|name| (name.to_owned(), Branch::default()))),
    };
    let keys = encode(&branches, Dialect::Vic04).unwrap();
    let (found, issues) = read::<MapOf<Branch>>(&keys);
    assert_eq!((found, issues), (branches, Vec::new()));
}
