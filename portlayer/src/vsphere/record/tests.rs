//! Tests that containers can be stored as keys and read again.

#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use super::*;
use crate::ExitStatus;
use crate::exec::{Limit, LimitKind, Signal};
use crate::image::Digest;
use proptest::prelude::*;

fn record(command: Command) -> Record {
    let image = ImageId::new(Digest::of(b"hello-world"));
    let spec = ContainerSpec::new("jovial_ride", command).root(RootFs::image(image, "hello-world"));
    Record::new(&spec, Timestamp::from_second(1_467_000_000).unwrap())
}

#[test]
fn vic_0_4_finds_its_keys() {
    let record = record(Command::new("/hello").arg("world"));
    let id = record.spec.id;
    let keys = record.keys(Dialect::Vic04).unwrap();
    for (key, text) in [
        ("guestinfo./common/id".to_owned(), id.to_string()),
        (
            "guestinfo./common/name".to_owned(),
            "jovial_ride".to_owned(),
        ),
        (
            "guestinfo./common/created".to_owned(),
            "1467000000".to_owned(),
        ),
        ("guestinfo./repo".to_owned(), "hello-world".to_owned()),
        ("guestinfo./sessions".to_owned(), id.to_string()),
        (
            format!("guestinfo./sessions|{id}/common/name"),
            "jovial_ride".to_owned(),
        ),
        (
            format!("guestinfo./sessions|{id}/cmd/Path"),
            "/hello".to_owned(),
        ),
        (format!("guestinfo./sessions|{id}/cmd/Args"), "1".to_owned()),
        (
            format!("guestinfo./sessions|{id}/cmd/Args~"),
            "/hello|world".to_owned(),
        ),
        (
            format!("guestinfo..sessions|{id}.started"),
            "<nil>".to_owned(),
        ),
    ] {
        assert_eq!(keys.get(&key), Some(&text), "{key}");
    }
    // No process exits with this status, so a process that has only reported its start has not
    // ended.
    let status = keys.get(&format!("guestinfo..sessions|{id}.status"));
    assert_eq!(status, Some(&i32::MIN.to_string()));
}

#[test]
fn a_container_that_vic_0_4_made_is_read() {
    // The keys as VIC 0.4 stored them, with an id of full length.
    let id = ContainerId::from_bytes([0xde; 32]);
    let keys: Keys = [
        (
            "guestinfo./common/ExecutionEnvironment".to_owned(),
            "<nil>".to_owned(),
        ),
        (
            "guestinfo./common/created".to_owned(),
            "1467000000".to_owned(),
        ),
        ("guestinfo./common/id".to_owned(), id.to_string()),
        (
            "guestinfo./common/name".to_owned(),
            "jovial_ride".to_owned(),
        ),
        ("guestinfo./repo".to_owned(), "hello-world".to_owned()),
        ("guestinfo./sessions".to_owned(), id.to_string()),
        (
            format!("guestinfo./sessions|{id}/common/id"),
            id.to_string(),
        ),
        (
            format!("guestinfo./sessions|{id}/cmd/Path"),
            "/hello".to_owned(),
        ),
        (format!("guestinfo./sessions|{id}/cmd/Args"), "1".to_owned()),
        (
            format!("guestinfo./sessions|{id}/cmd/Args~"),
            "/hello|world".to_owned(),
        ),
        (format!("guestinfo./sessions|{id}/cmd/Env"), "0".to_owned()),
        (
            format!("guestinfo./sessions|{id}/cmd/Env~"),
            "PATH=/bin".to_owned(),
        ),
        (format!("guestinfo./sessions|{id}/cmd/Dir"), "/".to_owned()),
        (
            format!("guestinfo..sessions|{id}.started"),
            "true".to_owned(),
        ),
        (format!("guestinfo..sessions|{id}.status"), "3".to_owned()),
    ]
    .into();
    let read = Record::read(&keys).unwrap();
    assert_eq!(
        read,
        Record {
            spec: ContainerSpec::new(
                "jovial_ride",
                Command::new("/hello")
                    .arg("world")
                    .env("PATH", "/bin")
                    .working_dir("/")
            )
            .id(id),
            created: Timestamp::from_second(1_467_000_000).ok(),
            endpoints: Vec::new(),
            networks: BTreeMap::new(),
        }
    );
    let state = RunState::read(&keys);
    assert_eq!(
        (state.last(&id).started(), state.last(&id).status),
        ("true", Some(ExitStatus::Code(3)))
    );
}

#[test]
fn what_is_no_container_is_refused_with_the_id_where_it_can_be_read() {
    assert_eq!(Record::read(&Keys::new()).unwrap_err().id, None);
    let record = record(Command::new("/hello"));
    for dialect in Dialect::ALL {
        let mut keys = record.keys(dialect).unwrap();
        keys.retain(|key, _| !key.contains("sessions"));
        assert_eq!(Record::read(&keys).unwrap_err().id, Some(record.spec.id));
        keys.retain(|key, _| !key.ends_with("common/id"));
        keys.insert(format!("{}/common/id", dialect.base()), "not an id".into());
        assert_eq!(Record::read(&keys).unwrap_err().id, None);
    }
}

#[test]
fn damage_to_what_only_the_host_writes_is_refused_and_what_a_guest_does_is_not() {
    for dialect in Dialect::ALL {
        let record = record(Command::new("/bin/sh").args(["-c", "run", "--no-privileges"]));
        let id = record.spec.id;
        let keys = record.keys(dialect).unwrap();
        let base = dialect.base();
        let with = |key: String, text: &str| {
            let mut keys = keys.clone();
            keys.insert(key, text.to_owned());
            Record::read(&keys)
        };

        let args = format!("{base}/sessions|{id}/cmd/Args");
        let error = with(args.clone(), "7").unwrap_err();
        assert_eq!(error.id, Some(id));
        assert!(error.to_string().contains("cmd/Args~"), "{error}");
        assert!(with(format!("{base}/sessions|{id}/tty"), "perhaps").is_err());
        assert!(with(format!("{base}/networks"), &"a|".repeat(20_000)).is_err());

        for leaf in [
            "started",
            "status",
            "detail.stoptime",
            "diagnostics.exitlogs",
        ] {
            let key = format!("{base}.sessions|{id}.{leaf}");
            assert_eq!(with(key, "99999999999").unwrap(), record);
        }
        let exits = format!("{base}.diagnostics.exitlogs");
        assert_eq!(with(exits, "99999").unwrap(), record);
    }
}

#[test]
fn everything_that_a_specification_names_is_read_back() {
    let command = Command::new("/hello")
        .user("nobody")
        .group("100")
        .tty(true)
        .open_stdin(true)
        .stop_signal(Signal::INT)
        .limit(Limit::new(LimitKind::NoFile, 1024).hard(4096))
        .limit(Limit::unlimited(LimitKind::Core));
    let mut record = record(command);
    let mut endpoint = EndpointInfo::new(EndpointSpec::new("backend").alias("db"));
    endpoint.address = Some("172.16.0.2/20".parse().unwrap());
    endpoint.mac = Some("00:50:56:00:00:01".parse().unwrap());
    record = record.connected(&[endpoint], BTreeMap::new());
    record.spec = record
        .spec
        .host_name("web-1")
        .label("Tier", "web")
        .label("tier", "")
        .annotation("front.end", "{}")
        .restart_count(7);
    for dialect in Dialect::ALL {
        let keys = record.keys(dialect).unwrap();
        assert_eq!(Record::read(&keys), Ok(record.clone()));
    }
}

#[test]
fn the_connections_of_a_container_that_vic_made_are_read() {
    let keys = |pairs: &[(&str, &str)], id: &ContainerId| -> Keys {
        let mut keys = Record::new(
            &ContainerSpec::new("a", Command::new("/hello")).id(*id),
            Timestamp::from_second(1_467_000_000).unwrap(),
        )
        .keys(Dialect::Vic04)
        .unwrap();
        keys.extend(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
        );
        keys
    };
    let id = ContainerId::generate();
    let record = Record::read(&keys(
        &[
            ("guestinfo./networks", "bridge"),
            ("guestinfo./networks|bridge/Common/id", "192"),
            ("guestinfo./networks|bridge/staticip/IP", "rBAAAg=="),
            ("guestinfo./networks|bridge/staticip/Mask", "//8AAA=="),
            ("guestinfo./networks|bridge/network/Common/name", "bridge"),
            (
                "guestinfo./networks|bridge/network/gateway/IP",
                "AAAAAAAAAAAAAP//rBAAAQ==",
            ),
            (
                "guestinfo./networks|bridge/network/gateway/Mask",
                "//8AAA==",
            ),
        ],
        &id,
    ))
    .unwrap();
    let [endpoint] = record.endpoints.as_slice() else {
        panic!("{record:?}");
    };
    assert_eq!(endpoint.spec, EndpointSpec::new("bridge"));
    assert_eq!(endpoint.address, Some("172.16.0.2/16".parse().unwrap()));
    assert_eq!(endpoint.gateway, Some("172.16.0.1".parse().unwrap()));
    assert_eq!(endpoint.mac, None);
    assert_eq!(record.spec.endpoints, [EndpointSpec::new("bridge")]);
}

#[test]
fn a_change_is_no_more_than_what_differs() {
    for dialect in Dialect::ALL {
        let old = record(Command::new("/hello"));
        let mut new = old.clone();
        new.spec.labels.insert("a".into(), "b".into());
        let changes = new.changes(&old, dialect).unwrap();
        assert_eq!(
            changes,
            [("portlayer/labels".to_owned(), r#"{"a":"b"}"#.to_owned())].into()
        );
        let back = old.changes(&new, dialect).unwrap();
        assert_eq!(
            back,
            [("portlayer/labels".to_owned(), String::new())].into()
        );
    }
}

proptest! {
    #[test]
    fn commands_survive_both_dialects(
        path in "[a-z/ =|]{1,12}",
        args in prop::collection::vec("[ -~ä|]{0,8}", 0..4),
        env in prop::collection::vec(("[A-Z|]{1,4}", "[ -~|=]{0,8}"), 0..3),
        labels in prop::collection::btree_map("[a-zA-Z|.]{1,4}", "[ -~ä\n|=]{0,8}", 0..4),
    ) {
        prop_assume!(args.iter().chain(env.iter().map(|(_, value)| value)).all(|a| a != "<nil>"));
        let mut command = Command::new(path).args(args);
        command.env = env;
        let mut record = record(command);
        record.spec.labels = labels;
        for dialect in Dialect::ALL {
            let keys = record.keys(dialect).unwrap();
            prop_assert_eq!(Record::read(&keys), Ok(record.clone()));
        }
    }
}
