//! Values that cannot be stored, and long values.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::time::Duration;

use guestinfo::{
    Decode, Dialect, EncodeError, GuestInfo, IssueKind, MAX_ELEMENTS, MAX_VALUE_BYTES, encode,
    update,
};

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Field<T> {
    #[guestinfo(key = "k", scope = "read-only")]
    value: T,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Chunked {
    #[guestinfo(key = "k", scope = "read-only", chunks)]
    value: String,
    #[guestinfo(key = "o", scope = "read-only", chunks)]
    option: Option<Vec<u8>>,
}

fn fails<T: GuestInfo + Default>(value: T) -> EncodeError {
    encode(&Field { value }, Dialect::Vic1).unwrap_err()
}

#[test]
fn keys_that_are_equal_to_the_platform_are_named() {
    let map = BTreeMap::from([("Data".to_owned(), 1), ("data".to_owned(), 2)]);
    let error = fails(map);
    assert_eq!(
        error.to_string(),
        "the keys \"guestinfo.vice./k|Data\" and \"guestinfo.vice./k|data\" are the same to the \
         platform; rename one of them"
    );

    #[derive(Debug, Default, GuestInfo)]
    struct Leaf {
        #[guestinfo(scope = "read-only")]
        f: u8,
    }
    let map: BTreeMap<String, Leaf> = ["a.b", "a/b"]
        .map(|name| (name.to_owned(), Leaf::default()))
        .into();
    assert!(matches!(fails(map), EncodeError::Collision { first, second } if first == second));
}

#[test]
fn texts_without_a_stored_form() {
    assert!(matches!(
        fails("<nil>".to_owned()),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails("a\0b".to_owned()),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails("\u{1b}[1m".to_owned()),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails("\u{ffff}".to_owned()),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails(vec!["<nil>".to_owned()]),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails(Duration::MAX),
        EncodeError::Unstorable { .. }
    ));
    assert!(matches!(
        fails(vec![Duration::MAX]),
        EncodeError::Unstorable { .. }
    ));
    assert!(
        encode(
            &Field {
                value: "line\r\n\tnext\u{1F600}".to_owned()
            },
            Dialect::Vic1
        )
        .is_ok()
    );
    assert!(matches!(
        encode(&1_u8, Dialect::Vic1),
        Err(EncodeError::Unstorable { .. })
    ));
}

#[test]
fn map_keys_that_no_file_could_hold() {
    for name in [
        "",
        "a b",
        "a=b",
        "a#",
        "a\"",
        "a\n",
        "x@secret",
        "x@non-persistent",
        "x~",
    ] {
        let error = fails(BTreeMap::from([(name.to_owned(), 1)]));
        assert!(
            matches!(error, EncodeError::MapKey { .. }),
            "{name:?}: {error}"
        );
    }
    let error = fails(BTreeMap::from([("n".repeat(1000), 1)]));
    assert!(
        matches!(error, EncodeError::KeyTooLong { len: 1018, .. }),
        "{error}"
    );
}

#[test]
fn long_values_are_refused_unless_the_field_takes_chunks() {
    let fits = "x".repeat(MAX_VALUE_BYTES);
    let keys = encode(
        &Field {
            value: fits.clone(),
        },
        Dialect::Vic1,
    )
    .unwrap();
    assert_eq!(keys.len(), 1);
    let error = fails(format!("{fits}x"));
    assert!(
        matches!(error, EncodeError::TooLong { len: 61441, .. }),
        "{error}"
    );
    let error = fails(vec![fits.clone(), String::new()]);
    assert!(matches!(error, EncodeError::TooLong { .. }), "{error}");

    // Characters of 3 bytes do not end exactly at the end of a chunk.
    let value = Chunked {
        value: format!("x{}", "\u{20ac}".repeat(50_000)),
        option: Some(vec![7; 100_000]),
    };
    let keys = encode(&value, Dialect::Vic1).unwrap();
    assert_eq!(keys["guestinfo.vice./k~"], "3|150001");
    assert!(!keys.contains_key("guestinfo.vice./k"));
    assert!(keys.values().all(|value| value.len() <= MAX_VALUE_BYTES));
    assert_eq!(Decode::new().strict::<Chunked>(&keys).unwrap(), value);
    assert!(update(&keys, &value).unwrap().is_empty());

    // A value that fits into one key is stored in the usual way.
    let short = Chunked {
        value: "short".into(),
        option: None,
    };
    let changes = update(&keys, &short).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice./k", "short")]
    );
    assert_eq!(changes.deletes().count(), keys.len());
}

#[test]
fn broken_chunks_are_reported_and_an_older_writer_wins() {
    let value = Chunked {
        value: "y".repeat(100_000),
        option: None,
    };
    let keys = encode(&value, Dialect::Vic1).unwrap();

    let mut broken = keys.clone();
    broken.remove("guestinfo.vice./k~|1");
    let decoded = Decode::new().run::<Chunked>(&broken);
    assert_eq!(decoded.value.value.len(), MAX_VALUE_BYTES);
    assert_eq!(decoded.report.of(IssueKind::Truncated).count(), 1);

    let mut broken = keys.clone();
    broken.insert("guestinfo.vice./k~".into(), "99999999|1".into());
    let decoded = Decode::new().run::<Chunked>(&broken);
    assert_eq!(decoded.report.of(IssueKind::Malformed).count(), 1);

    let mut overtaken = keys;
    overtaken.insert("guestinfo.vice./k".into(), "by VIC".into());
    let decoded = Decode::new().run::<Chunked>(&overtaken);
    assert_eq!(decoded.value.value, "by VIC");
    assert_eq!(decoded.report.of(IssueKind::Unknown).count(), 3);
}

#[test]
fn a_writer_has_the_bound_of_the_readers() {
    let elements = vec![vec![1_u8]; MAX_ELEMENTS];
    let keys = encode(
        &Field {
            value: elements.clone(),
        },
        Dialect::Vic1,
    )
    .unwrap();
    let decoded = Decode::new().strict::<Field<Vec<Vec<u8>>>>(&keys).unwrap();
    assert_eq!(decoded.value, elements);
    let error = fails(vec![vec![1_u8]; MAX_ELEMENTS + 1]);
    assert!(matches!(error, EncodeError::TooMany { .. }));
}

#[test]
fn only_a_fields_own_text_is_cut_into_chunks() {
    #[derive(Debug, Default, GuestInfo)]
    struct Texts {
        #[guestinfo(chunks)]
        list: Vec<String>,
    }
    let value = Texts {
        list: vec!["x".repeat(50_000), "y".repeat(50_000)],
    };
    let error = encode(&value, Dialect::Vic1).unwrap_err();
    assert!(matches!(error, EncodeError::TooLong { .. }), "{error}");
}

/// The depth of a recursive type is bounded when writing.
#[test]
fn types_that_contain_themselves_end() {
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Node {
        #[guestinfo(scope = "read-write")]
        name: String,
        #[guestinfo(scope = "read-write")]
        children: BTreeMap<String, Self>,
    }
    let leaf = Node {
        name: "leaf".into(),
        children: BTreeMap::new(),
    };
    let root = Node {
        name: "root".into(),
        children: [("a".to_owned(), leaf)].into(),
    };
    let keys = encode(&root, Dialect::Vic1).unwrap();
    assert_eq!(Decode::new().strict::<Node>(&keys).unwrap(), root);
    assert!(update(&keys, &root).unwrap().is_empty());

    let mut keys = BTreeMap::new();
    let mut key = "guestinfo.vice..children".to_owned();
    for _ in 0..3_000 {
        keys.insert(key.clone(), "a".to_owned());
        key.push_str("|a.children");
    }
    let decoded = Decode::new().run::<Node>(&keys);
    assert!(decoded.report.of(IssueKind::Unknown).count() > 2_800);
}
