//! Decoding of broken state, situation by situation: the result is a value and a report,
//! never a panic.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use guestinfo::vic::NicAddress;
use guestinfo::{Decode, Decoded, Dialect, GoUrl, GuestInfo, IssueKind};
use ipnet::IpNet;
use jiff::Timestamp;

use IssueKind::{Duplicate, Malformed, Missing, Surplus, TooMany, Truncated, Unknown};

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Field<T> {
    #[guestinfo(key = "k", scope = "read-only")]
    value: T,
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
struct Item {
    #[guestinfo(key = "id", scope = "read-only")]
    id: String,
}

#[derive(Debug, PartialEq, GuestInfo)]
struct Preset {
    #[guestinfo(key = "a", scope = "read-only", default = "preset".into())]
    a: String,
    #[guestinfo(key = "n", scope = "read-only", default = 7)]
    n: i32,
    #[guestinfo(key = "x", scope = "read-only")]
    x: String,
}

impl Default for Preset {
    fn default() -> Self {
        Self {
            a: "preset".into(),
            n: 7,
            x: String::new(),
        }
    }
}

#[derive(Debug, Default, PartialEq, GuestInfo)]
enum Color {
    #[default]
    Red,
    Green,
}

fn keys(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let entries = entries.iter().map(|(key, value)| {
        let key = match key.strip_prefix("k") {
            Some(rest) => format!("guestinfo./k{rest}"),
            None => format!("guestinfo./{key}"),
        };
        (key, (*value).to_owned())
    });
    entries.collect()
}

fn decode<T: GuestInfo + Default>(entries: &[(&str, &str)]) -> Decoded<T> {
    Decode::new().dialect(Dialect::Vic04).run(&keys(entries))
}

/// Decodes one field, and checks the value and the findings with their keys.
#[track_caller]
fn check<T: GuestInfo + Default + PartialEq + std::fmt::Debug>(
    entries: &[(&str, &str)],
    expected: T,
    issues: &[(IssueKind, &str)],
) {
    let decoded = decode::<Field<T>>(entries);
    assert_eq!(decoded.value.value, expected, "{entries:?}");
    let found: Vec<_> = decoded
        .report
        .issues()
        .iter()
        .map(|issue| (issue.kind, issue.key.strip_prefix("guestinfo./").unwrap()))
        .collect();
    assert_eq!(found, issues, "{entries:?}");
    let lossy = issues.iter().any(|(kind, _)| *kind != Unknown);
    let strict = Decode::new()
        .dialect(Dialect::Vic04)
        .strict::<Field<T>>(&keys(entries));
    // A struct without any stored field is reported as missing once.
    assert_eq!(strict.is_err(), lossy, "{entries:?}");
}

#[test]
fn missing_keys_leave_the_default() {
    let decoded = decode::<Preset>(&[("x", "here")]);
    assert_eq!(decoded.value.a, "preset");
    assert_eq!(decoded.value.n, 7);
    assert!(decoded.report.is_empty());

    let decoded = decode::<Preset>(&[("a", "b")]);
    let missing: Vec<_> = decoded
        .report
        .issues()
        .iter()
        .map(|i| (i.kind, &*i.key))
        .collect();
    assert_eq!(missing, [(Missing, "guestinfo./x")]);
    let error = Decode::new()
        .strict::<Preset>(&keys(&[("a", "b")]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stored state is not complete: missing key \"guestinfo./x\": the key is not stored"
    );
}

#[test]
fn an_empty_text_is_the_empty_value_of_text_and_malformed_elsewhere() {
    check("k".entry("<nil>"), String::new(), &[]);
    check("k".entry(""), String::new(), &[]);
    check("k".entry("<nil>"), Some(String::new()), &[]);
    check("k".entry("<nil>"), 0_i32, &[(Malformed, "k")]);
    check("k".entry(""), false, &[(Malformed, "k")]);
    check("k".entry("<nil>"), None::<u64>, &[(Malformed, "k")]);
}

#[test]
fn malformed_numbers_and_names() {
    check("k".entry("x"), 0_i32, &[(Malformed, "k")]);
    check("k".entry("yes"), false, &[(Malformed, "k")]);
    check("k".entry("1,5"), 0.0_f64, &[(Malformed, "k")]);
    check("k".entry("300"), 0_i8, &[(Malformed, "k")]);
    check("k".entry("-1"), 0_u32, &[(Malformed, "k")]);
    check("k".entry("18446744073709551615"), u64::MAX, &[]);
    check("k".entry("Blue"), Color::Red, &[(Malformed, "k")]);
    check("k".entry("Green"), Color::Green, &[]);
    check(
        "k".entry("-5"),
        std::time::Duration::ZERO,
        &[(Malformed, "k")],
    );
    for text in ["1", "t", "T", "TRUE", "true", "True"] {
        check("k".entry(text), true, &[]);
    }
    check("k".entry("2.5E+00"), 2.5_f32, &[]);
    check("k".entry("+Inf"), f64::INFINITY, &[]);
}

#[test]
fn malformed_times() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    check(
        "k".entry("0001-01-01 00:00:00 +0000 UTC"),
        time("0001-01-01T00:00:00Z"),
        &[],
    );
    check(
        "k".entry("2016-07-01 12:30:45.123456789 -0700 PDT"),
        time("2016-07-01T19:30:45.123456789Z"),
        &[],
    );
    check(
        "k".entry("2016-07-01 12:30:45.5 +0000 UTC m=+0.123"),
        time("2016-07-01T12:30:45.5Z"),
        &[],
    );
    for text in [
        "",
        "2016-07-01",
        "2016-07-01 12:30:45",
        "2016-13-01 12:30:45 +0000 UTC",
        "2016-07-01 12:30:45.1234567890 +0000 UTC",
        "2016-07-01 12:30:45 0000 UTC",
        "2016-07-01 12:30:45 +9999 UTC",
        "2016-07-01 12:30:45 +0000 UTC and more",
        "-016-07-01 12:30:45 +0000 UTC",
        "2016-07-01T12:30:45Z",
    ] {
        check("k".entry(text), Timestamp::default(), &[(Malformed, "k")]);
    }
}

#[test]
fn malformed_bytes_and_addresses() {
    check("k".entry("!"), Vec::<u8>::new(), &[(Malformed, "k")]);
    check::<Vec<u8>>(&[("other", "x")], Vec::new(), &[(Unknown, "other")]);
    check("k".entry("<nil>"), Vec::<u8>::new(), &[]);
    check("k".entry("<nil>"), Some(Vec::<u8>::new()), &[]);
    check("k".entry("AAAA"), None::<IpAddr>, &[(Malformed, "k")]);
    check("k".entry("<nil>"), None::<IpAddr>, &[]);
    check(
        "k".entry("CAgICA=="),
        Some("8.8.8.8".parse::<IpAddr>().unwrap()),
        &[],
    );
    let net = |entries: &[(&str, &str)], issues: &[(IssueKind, &str)]| {
        check(entries, None::<IpNet>, issues);
    };
    net(&[("k/IP", "rBAAAg==")], &[(Malformed, "k")]);
    net(
        &[("k/IP", "rBAAAg=="), ("k/Mask", "/wD/AA==")],
        &[(Malformed, "k/Mask")],
    );
    net(
        &[("k/IP", "IAENuAAAAAAAAAAAAAAAAQ=="), ("k/Mask", "//8AAA==")],
        &[(Malformed, "k")],
    );
    net(&[("k/IP", "<nil>"), ("k/Mask", "<nil>")], &[]);
    // For a network card, VIC stores the address without a mask.
    let nic = |address: &str| Some(NicAddress::Bare(address.parse().unwrap()));
    check(&[("k/IP", "AAAAAAAAAAAAAP//AAAAAA==")], nic("0.0.0.0"), &[]);
    check(
        &[("k/IP", "rBAAAg=="), ("k/Mask", "<nil>")],
        nic("172.16.0.2"),
        &[],
    );
    check(
        &[("k/IP", "rBAAAg=="), ("k/Mask", "!")],
        None::<NicAddress>,
        &[(Malformed, "k/Mask")],
    );
    check(
        &[("k/Mask", "//8AAA==")],
        None::<NicAddress>,
        &[(Malformed, "k")],
    );
}

#[test]
fn lists_that_disagree_with_their_length() {
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
    // A missing length: empty, and reported.
    check(&[("k~", "a|b")], texts(&[]), &[(Missing, "k")]);
    // Missing elements.
    check(&[("k", "1")], texts(&[]), &[(Missing, "k~")]);
    // Fewer elements than announced.
    check(
        &[("k", "2"), ("k~", "a|b")],
        texts(&["a", "b"]),
        &[(Truncated, "k~")],
    );
    // More elements than announced.
    check(
        &[("k", "0"), ("k~", "a|b")],
        texts(&["a"]),
        &[(Surplus, "k~")],
    );
    // A malformed length: all elements are read.
    check(
        &[("k", "x"), ("k~", "a|b")],
        texts(&["a", "b"]),
        &[(Malformed, "k")],
    );
    check(
        &[("k", "-7"), ("k~", "a|b")],
        texts(&["a", "b"]),
        &[(Malformed, "k")],
    );
    check(
        &[("k", "9223372036854775807"), ("k~", "a|b")],
        texts(&["a", "b"]),
        &[(Malformed, "k")],
    );
    // A length of -1 means empty.
    check(&[("k", "-1")], texts(&[]), &[]);
    check(&[("k", "-1")], Some(texts(&[])), &[]);
    check::<Option<Vec<String>>>(&[("other", "x")], None, &[(Unknown, "other")]);
    // A malformed element is skipped.
    check(
        &[("k", "2"), ("k~", "1|x|3")],
        vec![1, 3],
        &[(Malformed, "k~")],
    );
    // Arrays have a fixed length.
    check(&[("k", "1"), ("k~", "4|5")], [4, 5], &[]);
    check(&[("k", "2"), ("k~", "4|5|6")], [0, 0], &[(Malformed, "k")]);
}

#[test]
fn lists_of_structs_with_holes() {
    let item = |id: &str| Item { id: id.into() };
    check(
        &[("k", "2"), ("k|0/id", "a"), ("k|2/id", "c")],
        vec![item("a"), item("c")],
        &[(Missing, "k|1")],
    );
    check(
        &[("k", "0"), ("k|0/id", "a"), ("k|1/id", "b")],
        vec![item("a")],
        &[(Unknown, "k|1/id")],
    );
    check(
        &[("k", "x"), ("k|0/id", "a")],
        Vec::<Item>::new(),
        &[(Malformed, "k"), (Unknown, "k|0/id")],
    );
}

#[test]
fn a_length_of_two_billion_allocates_nothing() {
    check(
        &[("k", "2147483647"), ("k|0/id", "a")],
        vec![Item { id: "a".into() }],
        &[(Missing, "k|1"), (TooMany, "k")],
    );
    check(
        &[("k", "999"), ("k|0/id", "a")],
        vec![Item { id: "a".into() }],
        &[(Missing, "k|1"), (Truncated, "k")],
    );
    let decoded = decode::<Field<Vec<Vec<String>>>>(&[("k", "2147483647")]);
    assert!(decoded.value.value.len() <= guestinfo::MAX_ELEMENTS);
    assert!(decoded.report.is_lossy());
    let names = "x|".repeat(100_000);
    let decoded = decode::<Field<BTreeMap<String, Vec<String>>>>(&[("k", &names)]);
    assert!(decoded.report.of(TooMany).next().is_some());
}

#[test]
fn maps_that_disagree_with_their_entries() {
    let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    };
    // No list of names: the map is empty, and the entry is unknown.
    check(&[("k|a", "1")], map(&[]), &[(Unknown, "k|a")]);
    // A name without an entry is skipped.
    check(
        &[("k", "a|b"), ("k|a", "1")],
        map(&[("a", "1")]),
        &[(Missing, "k|b")],
    );
    // An entry without a name.
    check(
        &[("k", "a"), ("k|a", "1"), ("k|b", "2")],
        map(&[("a", "1")]),
        &[(Unknown, "k|b")],
    );
    // A duplicate name.
    check(
        &[("k", "a|a"), ("k|a", "1")],
        map(&[("a", "1")]),
        &[(Duplicate, "k")],
    );
    // A name that is not a number.
    let numbers = BTreeMap::from([(1_u32, "x".to_owned())]);
    check(
        &[("k", "1|x"), ("k|1", "x"), ("k|x", "y")],
        numbers,
        &[(Malformed, "k"), (Unknown, "k|x")],
    );
    // An entry with a malformed value.
    check(
        &[("k", "a"), ("k|a", "x")],
        HashMap::<String, u8>::new(),
        &[(Malformed, "k|a")],
    );
    // Structs: a name without any key.
    check(
        &[("k", "a|b"), ("k|a/id", "1")],
        BTreeMap::from([("a".to_owned(), Item { id: "1".into() })]),
        &[(Missing, "k|b")],
    );
}

#[test]
fn optional_structs_are_there_when_a_key_is() {
    check::<Option<Item>>(&[("x", "1")], None, &[(Unknown, "x")]);
    check(&[("k/id", "<nil>")], Some(Item::default()), &[]);
}

#[test]
fn urls_of_any_go_version() {
    let url: GoUrl = "ds://h/p".parse().unwrap();
    check(
        &[("k/Scheme", "ds"), ("k/Host", "h"), ("k/Path", "/p")],
        url.clone(),
        &[],
    );
    check(
        &[
            ("k/Scheme", "ds"),
            ("k/Host", "h"),
            ("k/Path", "/p"),
            ("k/OmitHost", "false"),
        ],
        url,
        &[(Unknown, "k/OmitHost")],
    );
}

#[test]
fn keys_that_differ_in_case_only() {
    let mut map = keys(&[("k", "first")]);
    map.insert("guestinfo./K".into(), "second".into());
    let decoded = Decode::new().run::<Field<String>>(&map);
    // The upper-case letter sorts first.
    assert_eq!(decoded.value.value, "second");
    assert_eq!(decoded.report.of(Duplicate).count(), 1);

    let mut map = BTreeMap::new();
    map.insert("GUESTINFO./K".to_owned(), "folded".to_owned());
    assert_eq!(
        Decode::new().run::<Field<String>>(&map).value.value,
        "folded"
    );
}

/// A shorter form for the tables above.
trait Entry {
    fn entry<'a>(&'a self, value: &'a str) -> &'a [(&'a str, &'a str)];
}

impl Entry for str {
    fn entry<'a>(&'a self, value: &'a str) -> &'a [(&'a str, &'a str)] {
        Box::leak(Box::new([(self, value)]))
    }
}
