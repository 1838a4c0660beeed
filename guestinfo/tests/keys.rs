//! Parsing, printing, comparing and matching keys.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use guestinfo::{Access, Dialect, Key, Pattern, Scope, Step};

#[test]
fn every_form_is_parsed_and_printed_exactly() {
    let read_only = Scope::READ_ONLY;
    let read_write = Scope::READ_WRITE;
    for (text, dialect, scope, path) in [
        ("common/name", None, Scope::HIDDEN, "common/name"),
        (
            "annotations|metaData",
            None,
            Scope::HIDDEN,
            "annotations|metaData",
        ),
        ("guestinfo./x", Some(Dialect::Vic04), read_only, "x"),
        ("guestinfo..x", Some(Dialect::Vic04), read_write, "x"),
        ("guestinfo.vice./x", Some(Dialect::Vic1), read_only, "x"),
        ("guestinfo.vice..x", Some(Dialect::Vic1), read_write, "x"),
        (
            "guestinfo..a.b.c",
            Some(Dialect::Vic04),
            read_write,
            "a/b/c",
        ),
        (
            "guestinfo./sessions|id/cmd/Args~",
            Some(Dialect::Vic04),
            read_only,
            "sessions|id/cmd/Args~",
        ),
        (
            "guestinfo.vice./npl~@non-persistent",
            Some(Dialect::Vic1),
            read_only.non_persistent(),
            "npl~",
        ),
        (
            "guestinfo.vice./secm|k@secret",
            Some(Dialect::Vic1),
            read_only.secret(),
            "secm|k",
        ),
        (
            "guestinfo.vice..a.b.c@secret@non-persistent",
            Some(Dialect::Vic1),
            read_write.secret().non_persistent(),
            "a/b/c",
        ),
        (
            "guestinfo.vice./nps|0/A@non-persistent",
            Some(Dialect::Vic1),
            read_only.non_persistent(),
            "nps|0/A",
        ),
        (
            "guestinfo..vice.x",
            Some(Dialect::Vic04),
            read_write,
            "vice/x",
        ),
        ("guestinfo./m|a.b", Some(Dialect::Vic04), read_only, "m|a.b"),
        ("annotations|a@b", None, Scope::HIDDEN, "annotations|a@b"),
    ] {
        let key = Key::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.dialect(), dialect, "{text}");
        assert_eq!(key.scope(), scope, "{text}");
        assert_eq!(key.path(), path, "{text}");
    }
}

#[test]
fn errors_say_where_and_why() {
    for (text, at, why) in [
        ("", 0, "empty"),
        ("a b", 1, "VMX"),
        ("guestinfo./a\nb", 12, "VMX"),
        ("a=b", 1, "VMX"),
        ("a#", 1, "VMX"),
        ("guestinfo.ip", 10, "read-only"),
        ("guestinfo.vice.x", 15, "read-only"),
        ("guestinfo.", 10, "read-only"),
        ("guestinfo./", 11, "name of a field"),
        ("GuestInfo./x", 0, "lower case"),
        ("guestinfo./a//b", 13, "name of a field"),
        ("guestinfo..a..b", 13, "name of a field"),
        ("a/", 2, "name of a field"),
        ("|a", 0, "name of a field"),
        (
            "guestinfo.vice./a@non-persistent@secret",
            17,
            "`@secret` before",
        ),
        ("guestinfo.vice./a@secret@secret", 17, "once each"),
        ("@secret", 0, "name of a field"),
    ] {
        let error = Key::parse(text).expect_err(text);
        let shown = error.to_string();
        assert!(shown.contains(why), "{text:?}: {shown}");
        assert!(shown.contains(&format!("at byte {}", error.position())));
        if !text.contains("@secret") {
            assert_eq!(error.position(), at, "{text:?}: {shown}");
        }
    }
    let long = "a".repeat(1001);
    assert!(
        Key::parse(&long)
            .unwrap_err()
            .to_string()
            .contains("longer than 1000 bytes")
    );
    let long = format!("{} ", "ü".repeat(499));
    assert!(Key::parse(&long).unwrap_err().to_string().len() < 400);
}

#[test]
fn only_visible_keys_without_a_slash_are_the_guests_to_write() {
    for (text, expected) in [
        ("guestinfo..started", true),
        ("guestinfo.vice..sessions|x.started", true),
        ("guestinfo./started", false),
        ("guestinfo..m|a/b", false),
        ("started", false),
        ("a.b", false),
    ] {
        assert_eq!(
            Key::parse(text).unwrap().guest_may_write(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn keys_of_one_object_sort_together() {
    let mut keys: Vec<Key> = [
        "guestinfo.vice./sessions|b/tty",
        "guestinfo.vice..sessions|a.status",
        "guestinfo.vice./sessions",
        "guestinfo.vice..sessions|b.status",
        "guestinfo.vice./sessions|a/tty",
        "sessions|a/common/notes",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec();
    keys.sort();
    let sorted: Vec<_> = keys.iter().map(Key::as_str).collect();
    assert_eq!(
        sorted,
        [
            "guestinfo.vice./sessions",
            "sessions|a/common/notes",
            "guestinfo.vice..sessions|a.status",
            "guestinfo.vice./sessions|a/tty",
            "guestinfo.vice..sessions|b.status",
            "guestinfo.vice./sessions|b/tty",
        ],
    );
}

#[test]
fn prefixes_go_by_steps() {
    let key: Key = "guestinfo..sessions|ab.status".parse().unwrap();
    for (parent, expected) in [
        ("guestinfo.vice./sessions", true),
        ("sessions|ab", true),
        ("guestinfo..sessions|ab.status", true),
        ("sessions|a", false),
        ("session", false),
        ("sessions/ab", false),
        ("sessions|ab/status/x", false),
    ] {
        assert_eq!(
            key.starts_with(&parent.parse().unwrap()),
            expected,
            "{parent}"
        );
    }
}

#[test]
fn steps_tell_fields_from_entries() {
    let key: Key = "guestinfo..logs|0.Time".parse().unwrap();
    assert_eq!(
        key.steps().collect::<Vec<_>>(),
        [Step::Field("logs"), Step::Entry("0"), Step::Field("Time")],
    );
    let key: Key = "m~|0".parse().unwrap();
    assert_eq!(
        key.steps().collect::<Vec<_>>(),
        [Step::Field("m"), Step::Joined, Step::Entry("0")],
    );
    let key: Key = "m|x~".parse().unwrap();
    assert_eq!(
        key.steps().collect::<Vec<_>>(),
        [Step::Field("m"), Step::Entry("x"), Step::Joined],
    );
}

#[test]
fn patterns_match_in_every_form() {
    for (pattern, key, captures) in [
        (
            "sessions|*/status",
            "guestinfo..sessions|x.status",
            Some(vec!["x"]),
        ),
        (
            "sessions|*/status",
            "guestinfo.vice..sessions|x.Status",
            Some(vec!["x"]),
        ),
        (
            "sessions|*/status",
            "guestinfo.vice..sessions|x.status@non-persistent",
            Some(vec!["x"]),
        ),
        (
            "sessions|*/status",
            "guestinfo./sessions|x/cmd/status",
            None,
        ),
        ("sessions|*/status", "guestinfo./sessions/x/status", None),
        ("sessions|*", "guestinfo./sessions|x/tty", None),
        (
            "*|*/*",
            "guestinfo./mounts|v/dest",
            Some(vec!["mounts", "v", "dest"]),
        ),
        (
            "sessions|*/cmd/Args~",
            "guestinfo./sessions|x/cmd/Args~",
            Some(vec!["x"]),
        ),
        (
            "sessions|*/cmd/Args",
            "guestinfo./sessions|x/cmd/Args~",
            None,
        ),
    ] {
        let pattern: Pattern = pattern.parse().unwrap();
        let key: Key = key.parse().unwrap();
        assert_eq!(pattern.captures(&key), captures, "{pattern} {key}");
        assert_eq!(pattern.matches(&key), captures.is_some());
    }
    let pattern = Pattern::parse("x").unwrap().access(Access::ReadWrite);
    assert!(pattern.matches(&"guestinfo..x".parse().unwrap()));
    assert!(!pattern.matches(&"guestinfo./x".parse().unwrap()));
    for (text, at) in [
        ("", 0),
        ("a//b", 2),
        ("a|", 2),
        ("/a", 0),
        ("a b", 1),
        ("~", 0),
    ] {
        assert_eq!(
            Pattern::parse(text).expect_err(text).position(),
            at,
            "{text:?}"
        );
    }
}

#[test]
fn the_guest_cannot_choose_the_dialect() {
    let detect = |keys: &[&str]| Dialect::detect(keys);
    assert_eq!(
        detect(&["guestinfo./x", "guestinfo.vice./y"]),
        Some(Dialect::Vic1)
    );
    assert_eq!(
        detect(&["guestinfo./x", "guestinfo.vice..forged"]),
        Some(Dialect::Vic04)
    );
    assert_eq!(detect(&["guestinfo.vice..x"]), Some(Dialect::Vic1));
    assert_eq!(detect(&["guestinfo..x"]), Some(Dialect::Vic04));
    assert_eq!(detect(&["guestinfo.ip", "guestinfo.vice.x", "nvram"]), None);
}
