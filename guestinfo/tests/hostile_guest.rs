//! A guest cannot make the host panic, exhaust its budget, or block it.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use guestinfo::vic::{Command, ExecutorConfig, MountSpec, NetworkEndpoint, SessionConfig};
use guestinfo::{
    Decode, Dialect, GuestInfo, IssueKind, MAX_ELEMENTS, MAX_VALUE_BYTES, Refusal, Update, decode,
    encode, update,
};

type Keys = BTreeMap<String, String>;

fn apply(keys: &mut Keys, update: &Update) {
    for change in update.changes() {
        match change.value() {
            Some(value) => keys.insert(change.key().into(), value.into()),
            None => keys.remove(change.key()),
        };
    }
}

fn container() -> ExecutorConfig {
    let mut container = ExecutorConfig {
        layer_id: "l".into(),
        ..ExecutorConfig::default()
    };
    container.common.id = "4e01".into();
    let args = ["/bin/sh", "-c", "run", "--no-privileges"];
    let session = SessionConfig {
        command: Command {
            path: "/bin/sh".into(),
            args: args.map(str::to_owned).to_vec(),
            ..Command::default()
        },
        ..SessionConfig::default()
    };
    container.sessions.insert("4e01".into(), session);
    container.mounts.insert("vol1".into(), MountSpec::default());
    container
        .networks
        .insert("bridge".into(), NetworkEndpoint::default());
    container
}

/// A number that is an extreme value of every integer type up to its size.
const EXTREMES: [&str; 7] = [
    "-9223372036854775808",
    "9223372036854775807",
    "18446744073709551615",
    "-170141183460469231731687303715884105728",
    "-2147483648",
    "4294967295",
    "99999999999",
];

/// Every key of a container is set to every extreme value, one by one: the container
/// decodes, and the decoded value updates and encodes without a panic.
#[test]
fn extremes_of_integers_panic_nowhere() {
    for dialect in Dialect::ALL {
        let mut value = container();
        let session = value.sessions.get_mut("4e01").unwrap();
        session.diagnostics.exit_logs = vec![guestinfo::vic::ExitLog::default()];
        let stored = encode(&value, dialect).unwrap();
        // Keys and values alternate, so that every kind of key gets every value.
        for (at, key) in stored.keys().enumerate() {
            for text in EXTREMES.iter().skip(at % 2).step_by(2) {
                let mut keys = stored.clone();
                keys.insert(key.clone(), (*text).into());
                let decode = Decode::new().dialect(dialect);
                let decoded = decode.run::<ExecutorConfig>(&keys);
                let _ = encode(&decoded.value, dialect);
                let changes = update(&keys, &decoded.value).unwrap();
                apply(&mut keys, &changes);
                let again = decode.run::<ExecutorConfig>(&keys);
                assert_eq!(again.value, decoded.value, "{key} = {text}");
            }
        }
    }
    let keys: Keys = [
        ("guestinfo.vice./layerid", "l"),
        ("guestinfo.vice..createtime", "-9223372036854775808"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let value = decode::<ExecutorConfig>(&keys).value;
    assert_eq!(value.create_time.0.as_second(), -9_223_372_036);
}

/// What the guest announces, with junk to make it plausible, does not use up the budget
/// of the host's data; and an update that changes the host's data writes that change and
/// nothing else.
#[test]
fn keys_of_the_guest_use_up_no_budget_of_the_host() {
    let value = container();
    for (announced, junk) in [("99999", 8_250), ("16380", 16_400)] {
        let mut keys = encode(&value, Dialect::Vic1).unwrap();
        for path in ["", "sessions|4e01."] {
            keys.insert(
                format!("guestinfo.vice..{path}diagnostics.exitlogs"),
                announced.into(),
            );
        }
        for at in 0..junk {
            keys.insert(format!("guestinfo.{at}"), "junk".into());
        }
        let decoded = decode::<ExecutorConfig>(&keys);
        assert_eq!(decoded.value.mounts, value.mounts);
        assert_eq!(decoded.value.networks, value.networks);
        assert_eq!(
            decoded.value.sessions["4e01"].command,
            value.sessions["4e01"].command
        );
        assert_eq!(decoded.report.host_damage().count(), 0);
        assert!(decoded.report.is_lossy());

        let mut new = decoded.value;
        new.repo_name = "busybox".into();
        let changes = update(&keys, &new).unwrap();
        let keys_changed: Vec<_> = changes.changes().iter().map(|c| c.key()).collect();
        assert!(
            keys_changed
                .iter()
                .all(|key| *key == "guestinfo.vice./repo" || key.ends_with(".exitlogs")),
            "{keys_changed:?}"
        );
        assert!(keys_changed.contains(&"guestinfo.vice./repo"));
    }
}

/// A host's list inside a guest's map is charged to the guest, and so is a name that is
/// listed many times.
#[test]
fn names_of_the_guest_make_lists_of_the_host_cost_nothing() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Entry {
        #[guestinfo(scope = "read-only")]
        list: Vec<u32>,
    }
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct State {
        #[guestinfo(scope = "read-write")]
        asked: BTreeMap<String, Entry>,
        #[guestinfo(scope = "read-only")]
        last: Vec<u32>,
    }
    let numbers: Vec<u32> = (0..1_000).collect();
    let value = State {
        asked: BTreeMap::from([(
            "a".into(),
            Entry {
                list: numbers.clone(),
            },
        )]),
        last: numbers.clone(),
    };
    let mut keys = encode(&value, Dialect::Vic1).unwrap();
    keys.insert("guestinfo.vice..asked".into(), vec!["a"; 20_000].join("|"));
    let decoded = decode::<State>(&keys);
    assert_eq!(decoded.value.last, numbers);
    assert_eq!(decoded.report.of(IssueKind::TooMany).count(), 2);
    assert_eq!(decoded.report.host_damage().count(), 1);
}

/// Data that was read only in part is neither written back nor deleted.
#[test]
fn what_was_read_in_part_stays() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct Item {
        #[guestinfo(scope = "read-only")]
        id: u32,
    }
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct State {
        #[guestinfo(scope = "read-only")]
        name: String,
        #[guestinfo(scope = "read-only")]
        list: Vec<Item>,
        #[guestinfo(scope = "read-only")]
        map: BTreeMap<String, Item>,
    }
    let many = MAX_ELEMENTS + 10;
    let mut keys = Keys::from([
        ("guestinfo.vice./name".into(), "n".into()),
        ("guestinfo.vice./list".into(), (many - 1).to_string()),
        ("guestinfo.vice./map".into(), "a".into()),
        ("guestinfo.vice./map|a/id".into(), "1".into()),
    ]);
    for at in 0..many {
        keys.insert(format!("guestinfo.vice./list|{at}/id"), at.to_string());
    }
    let decoded = decode::<State>(&keys);
    assert_eq!(decoded.value.list.len(), MAX_ELEMENTS);
    assert!(decoded.value.map.is_empty());
    assert!(decoded.report.host_damage().count() > 0);

    let mut new = decoded.value;
    assert!(update(&keys, &new).unwrap().is_empty());
    new.name = "m".into();
    let changes = update(&keys, &new).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice./name", "m")]
    );
    assert_eq!(changes.changes().len(), 1);
    assert!(changes.refused().is_empty());

    new.list.truncate(1);
    new.map.insert("b".into(), Item { id: 2 });
    let changes = update(&keys, &new).unwrap();
    assert_eq!(changes.changes().len(), 1);
    assert!(!changes.refused().is_empty());
    assert!(
        changes
            .refused()
            .iter()
            .all(|refused| refused.reason == Refusal::ReadInPart)
    );
}

/// A value that was read but cannot be written does not prevent an update of anything
/// else.
#[test]
fn what_did_not_change_is_not_checked() {
    let long = "x".repeat(MAX_VALUE_BYTES + 1);
    let mut keys = encode(&container(), Dialect::Vic1).unwrap();
    for (key, text) in [
        ("guestinfo.vice..createtime", "99999999999"),
        ("guestinfo.vice..sessions|4e01.started", &long),
        ("guestinfo.vice..networks|bridge.network.type", "\u{1}"),
        ("guestinfo.vice..diagnostics.exitlogs", "1"),
        (
            "guestinfo.vice..diagnostics.exitlogs|0.Time",
            "0000-01-01 00:00:00 +1200 UTC",
        ),
        ("guestinfo.vice..diagnostics.exitlogs|0.ExitStatus", "0"),
        ("guestinfo.vice..diagnostics.exitlogs|0.Message", &long),
        (
            "guestinfo.vice..diagnostics.exitlogs|1.Time",
            "0001-01-01 00:00:00 +0000 UTC",
        ),
        ("guestinfo.vice..diagnostics.exitlogs|1.ExitStatus", "1"),
        ("guestinfo.vice..diagnostics.exitlogs|1.Message", "m"),
    ] {
        keys.insert(key.into(), text.into());
    }
    let mut new = decode::<ExecutorConfig>(&keys).value;
    assert_eq!(new.diagnostics.exit_logs.len(), 2);
    assert!(update(&keys, &new).unwrap().is_empty());
    new.repo_name = "busybox".into();
    let changes = update(&keys, &new).unwrap();
    assert_eq!(
        changes.sets().collect::<Vec<_>>(),
        [("guestinfo.vice./repo", "busybox")]
    );
    assert_eq!(changes.changes().len(), 1);

    // A hole before such an element is not repaired then.
    keys.insert("guestinfo.vice..diagnostics.exitlogs".into(), "7".into());
    keys.remove("guestinfo.vice./repo");
    let new = decode::<ExecutorConfig>(&keys).value;
    assert!(update(&keys, &new).unwrap().is_empty());

    // A value that does change is checked.
    let mut new = new;
    let session = new.sessions.get_mut("4e01").unwrap();
    session.started = guestinfo::vic::Started::Failed(format!("{long}y"));
    assert!(update(&keys, &new).is_err());
}

/// Names that could not be written, in a map that the guest can write.
#[test]
fn names_that_cannot_be_written_stop_no_update() {
    #[derive(Clone, Debug, Default, PartialEq, GuestInfo)]
    struct State {
        #[guestinfo(scope = "read-write")]
        map: BTreeMap<String, u32>,
        #[guestinfo(scope = "read-only")]
        name: String,
    }
    let mut keys = Keys::from([
        ("guestinfo.vice./name".into(), "n".into()),
        ("guestinfo.vice..map".into(), "Data|a b|c~|data".into()),
        ("guestinfo.vice..map|a b".into(), "1".into()),
        ("guestinfo.vice..map|c~".into(), "1".into()),
        ("guestinfo.vice..map|data".into(), "1".into()),
    ]);
    let mut new = decode::<State>(&keys).value;
    assert_eq!(new.map.len(), 4);
    assert!(update(&keys, &new).unwrap().is_empty());
    new.name = "m".into();
    let changes = update(&keys, &new).unwrap();
    assert_eq!(changes.changes().len(), 1);
    apply(&mut keys, &changes);
    assert_eq!(decode::<State>(&keys).value, new);
    new.map.insert("d".into(), 1);
    assert!(update(&keys, &new).is_err());
}
