//! Field types other than numbers, texts, lists and maps.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroI64, NonZeroU8};
use std::path::PathBuf;

use guestinfo::{Decode, Dialect, GuestInfo, IssueKind, decode, encode, update};

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, GuestInfo)]
struct Name(String);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, GuestInfo)]
struct Wrapped<T>(T);

/// This type cannot be a map key, but can be derived nevertheless.
#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Bytes(Vec<u8>);

mod plain {
    pub fn to_text(value: &u16) -> String {
        value.to_string()
    }

    pub fn from_text(text: &str) -> Option<u16> {
        text.parse().ok()
    }
}

mod fallible {
    pub fn to_text(value: &u16) -> Result<String, &'static str> {
        if *value == 0 {
            return Err("zero has no text");
        }
        Ok(value.to_string())
    }

    pub use super::plain::from_text;
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Types {
    boxed: Box<u16>,
    next: Option<Box<Leaf>>,
    pair: Option<(String, u8)>,
    pairs: Vec<(u8, Option<u8>)>,
    path: PathBuf,
    texts: BTreeSet<String>,
    hashed: HashSet<u32>,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    socket: Option<SocketAddr>,
    few: Option<NonZeroU8>,
    many: Vec<NonZeroI64>,
    names: BTreeMap<Name, u8>,
    wrapped: BTreeMap<Wrapped<u8>, u8>,
    bytes: Bytes,
    #[guestinfo(with = "plain")]
    plain: u16,
    #[guestinfo(with = "fallible", default)]
    fallible: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
struct Leaf {
    plain: u16,
}

fn types() -> Types {
    Types {
        boxed: Box::new(5),
        next: Some(Box::new(Leaf { plain: 7 })),
        pair: Some(("p".into(), 1)),
        pairs: vec![(1, None), (2, Some(3))],
        path: "/a/b".into(),
        texts: ["z", "a|b"].map(str::to_owned).into(),
        hashed: [3, 1, 20].into(),
        v4: Some(Ipv4Addr::LOCALHOST),
        v6: Some(Ipv6Addr::LOCALHOST),
        socket: "[::1]:80".parse().ok(),
        few: NonZeroU8::new(5),
        many: NonZeroI64::new(-1).into_iter().collect(),
        names: [(Name("n|m".into()), 1)].into(),
        wrapped: [(Wrapped(3), 1)].into(),
        bytes: Bytes(vec![1, 2]),
        plain: 9,
        fallible: Some(1),
    }
}

#[test]
fn they_come_back() {
    for dialect in Dialect::ALL {
        let keys = encode(&types(), dialect).unwrap();
        for (key, text) in [
            ("boxed", "5"),
            ("next/plain", "7"),
            ("pair/0", "p"),
            ("pair/1", "1"),
            ("pairs", "1"),
            ("pairs|1/1", "3"),
            ("path", "/a/b"),
            ("texts~", "a|b|z"),
            ("texts", "1"),
            ("hashed~", "1|3|20"),
            ("v4", "AAAAAAAAAAAAAP//fwAAAQ=="),
            ("v6", "AAAAAAAAAAAAAAAAAAAAAQ=="),
            ("socket", "[::1]:80"),
            ("few", "5"),
            ("names|n|m", "1"),
            ("plain", "9"),
        ] {
            assert_eq!(keys.get(key).map(String::as_str), Some(text), "{key}");
        }
        let decoded = Decode::new().dialect(dialect).run::<Types>(&keys);
        assert_eq!(decoded.value, types());
        assert!(update(&keys, &types()).unwrap().is_empty());
    }
}

#[test]
fn what_does_not_fit_is_reported() {
    let mut keys = encode(&types(), Dialect::Vic1).unwrap();
    for (key, text) in [
        ("few", "0"),
        ("socket", "::1"),
        ("v4", "IAENuAAAAAAAAAAAAAAAAQ=="),
    ] {
        keys.insert(key.into(), text.into());
    }
    keys.remove("pair/1");
    keys.insert("hashed".into(), "3".into());
    keys.insert("hashed~".into(), "3|1|20|3".into());
    let decoded = decode::<Types>(&keys);
    assert_eq!(decoded.report.of(IssueKind::Malformed).count(), 3);
    assert_eq!(decoded.value.pair, None);
    assert_eq!(decoded.value.hashed, types().hashed);
    let changes = update(&keys, &decoded.value).unwrap();
    assert!(changes.sets().any(|key| key == ("hashed~", "1|3|20")));
}

#[test]
fn what_has_no_text_is_refused() {
    let value = Types {
        fallible: Some(0),
        ..types()
    };
    assert!(encode(&value, Dialect::Vic1).is_err());
}
