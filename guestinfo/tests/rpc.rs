//! Access to keys from the guest.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use guestinfo::rpc::{
    Channel, GuestRpc, GuestStore, MAX_MESSAGE_BYTES, Memory, RpcError, Rpci, Vsock,
};
use guestinfo::vic::{ExecutorConfig, ExitLog, SessionConfig, Started};
use guestinfo::{Dialect, Encode, GuestInfo, Refusal, SECRET_KEY_KEY, SecretKey, encode};

/// A channel that answers with a function of the message.
struct Host<F>(F);

impl<F> std::fmt::Debug for Host<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

impl<F: FnMut(&[u8]) -> Vec<u8>> Channel for Host<F> {
    fn call(&mut self, message: &[u8]) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok((self.0)(message))
    }
}

fn answering(answer: &'static [u8]) -> Rpci<impl Channel> {
    Rpci::new(Host(move |_: &[u8]| answer.to_vec()))
}

#[test]
fn commands_are_spelled_as_the_host_reads_them() {
    let mut sent = Vec::new();
    {
        let mut rpc = Rpci::new(Host(|message: &[u8]| {
            sent.push(String::from_utf8(message.to_vec()).unwrap());
            b"1 v w".to_vec()
        }));
        assert_eq!(rpc.get("guestinfo./a").unwrap().as_deref(), Some("v w"));
        rpc.set("guestinfo..b", "two words\nand a line").unwrap();
    }
    assert_eq!(
        sent,
        [
            "info-get guestinfo./a",
            "info-set guestinfo..b two words\nand a line"
        ]
    );
}

#[test]
fn absence_refusal_and_nonsense_are_told_apart() {
    let get = |answer| answering(answer).get("guestinfo.k");
    assert_eq!(get(b"1 v").unwrap().as_deref(), Some("v"));
    assert_eq!(get(b"1 ").unwrap().as_deref(), Some(""));
    assert_eq!(get(b"1 v\0").unwrap().as_deref(), Some("v"));
    assert_eq!(get(b"0 No value found").unwrap(), None);
    assert_eq!(get(b"0 No value found\0").unwrap(), None);
    for refusal in [&b"0 Permission denied"[..], b"0 Unknown command", b"0 "] {
        assert!(matches!(get(refusal), Err(RpcError::Refused { .. })));
    }
    for nonsense in [&b""[..], b"1", b"0", b"2 x", b"1x", b"10", b"1 \xff"] {
        assert!(
            matches!(get(nonsense), Err(RpcError::Protocol { .. })),
            "{nonsense:?}"
        );
    }
    let error = answering(b"0 read-only")
        .set("guestinfo./k", "v")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the host refused to info-set the key \"guestinfo./k\": \"read-only\""
    );
}

#[test]
fn what_a_guest_cannot_say_is_not_sent() {
    let mut rpc = Rpci::new(Host(|_: &[u8]| panic!("sent")));
    for key in ["k", "", "guestinfo.a b", "guestinfo.a\n", "guestinfo.\0"] {
        assert!(matches!(rpc.get(key), Err(RpcError::Key { .. })), "{key:?}");
        assert!(
            matches!(rpc.set(key, "v"), Err(RpcError::Key { .. })),
            "{key:?}"
        );
    }
    for value in ["", "a\0b", &"x".repeat(MAX_MESSAGE_BYTES)] {
        let error = rpc.set("guestinfo.k", value).unwrap_err();
        assert!(matches!(error, RpcError::Value { .. }));
    }
}

/// Reads one frame from a stream.
fn read_frame(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut fields = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut fields).unwrap();
    fields
}

/// Returns a channel to a host at the other end of a Unix socket, which responds with a frame.
fn vsock(answer: Vec<u8>) -> Vsock<impl FnMut() -> io::Result<UnixStream>> {
    Vsock::new(move || {
        let (guest, mut host) = UnixStream::pair()?;
        let answer = answer.clone();
        thread::spawn(move || {
            let request = read_frame(&mut host);
            let expected: [&[u8]; 3] = [
                // Packet type: data.
                &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
                b"\0\0\0\x02\0\0\0\x02\0\0\0\x04ping",
                // Fast close.
                &[0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0],
            ];
            assert_eq!(request, expected.concat());
            // The guest may already have closed the connection because of a bad length.
            let _ = host.write_all(&answer);
        });
        Ok(guest)
    })
}

fn framed(fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    [&(fields.len() as u32).to_be_bytes()[..], &fields].concat()
}

const DATA: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0];

#[test]
fn frames_go_both_ways() {
    let answer = framed(&[DATA, b"\0\0\0\x02\0\0\0\x02\0\0\0\x061 pong"]);
    assert_eq!(vsock(answer).call(b"ping").unwrap(), b"1 pong");
    // Unknown fields are skipped, in any order.
    let answer = framed(&[
        b"\0\0\0\x02\0\0\0\x09\0\0\0\x01?",
        b"\0\0\0\x02\0\0\0\x02\0\0\0\x021 ",
        DATA,
    ]);
    assert_eq!(vsock(answer).call(b"ping").unwrap(), b"1 ");
}

#[test]
fn broken_frames_are_errors() {
    let message: &[u8] = b"\0\0\0\x02\0\0\0\x02\0\0\0\x021 ";
    let whole = framed(&[DATA, message]);
    for cut in 0..whole.len() {
        assert!(vsock(whole[..cut].to_vec()).call(b"ping").is_err(), "{cut}");
    }
    for answer in [
        framed(&[DATA]),
        framed(&[PING, message]),
        framed(&[b"\0\0\0\x03\0\0\0\x02\0\0\0\x021 "]),
        framed(&[b"\0\0\0\x02\0\0\0\x02\xff\xff\xff\xff1 "]),
        framed(&[b"\0\0\0\x02\0\0"]),
        // A frame of this size is not read.
        u32::MAX.to_be_bytes().to_vec(),
    ] {
        assert!(vsock(answer.clone()).call(b"ping").is_err(), "{answer:?}");
    }
}

#[test]
fn connections_that_are_reset_are_made_anew_a_few_times() {
    let mut attempts = 0;
    let mut channel = Vsock::new(|| -> io::Result<UnixStream> {
        attempts += 1;
        Err(io::ErrorKind::ConnectionReset.into())
    });
    assert!(channel.call(b"x").is_err());
    assert_eq!(attempts, 8);

    let mut attempts = 0;
    let mut channel = Vsock::new(|| -> io::Result<UnixStream> {
        attempts += 1;
        Err(io::ErrorKind::ConnectionRefused.into())
    });
    assert!(channel.call(b"x").is_err());
    assert_eq!(attempts, 1);
}

fn container() -> ExecutorConfig {
    let mut container = ExecutorConfig::default();
    container.common.id = "4e01".into();
    container.common.name = "hidden in 1.x".into();
    container
        .sessions
        .insert("4e01".into(), SessionConfig::default());
    container
}

#[test]
fn a_guest_finds_its_dialect_reads_and_writes_back() {
    for dialect in Dialect::ALL {
        let before = encode(&container(), dialect).unwrap();
        let mut guest = GuestStore::new(Memory::from_iter(before.clone()));
        let decoded = guest.read::<ExecutorConfig>().unwrap();
        assert!(decoded.report.is_empty(), "{dialect}: {}", decoded.report);
        assert_eq!(decoded.dialect, dialect);
        let mut state = decoded.value;
        assert_eq!(state.common.id, "4e01");
        assert_eq!(state.common.name.is_empty(), dialect == Dialect::Vic1);

        let session = state.sessions.get_mut("4e01").unwrap();
        session.started = Started::Failed("no such file".into());
        session.exit_status = Some(127);
        assert!(guest.write(&state).unwrap().is_empty());

        let after = guest.rpc().keys();
        let changed: Vec<_> = after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(value))
            .map(|(key, value)| (key.rsplit('.').next().unwrap(), value.as_str()))
            .collect();
        assert_eq!(changed, [("started", "no such file"), ("status", "127")]);
        // The host reads the guest's changes.
        let host = guestinfo::decode::<ExecutorConfig>(after).value;
        assert_eq!(host.sessions["4e01"].exit_status, Some(127));
        // Nothing is left to be written.
        let keys = guest.rpc().keys().clone();
        assert!(guest.write(&state).unwrap().is_empty());
        assert_eq!(guest.rpc().keys(), &keys);
    }
}

#[test]
fn forged_keys_do_not_change_the_dialect_of_a_guest() {
    let mut keys = encode(&container(), Dialect::Vic04).unwrap();
    keys.insert("guestinfo.vice..createtime".into(), "1".into());
    let mut guest = GuestStore::new(Memory::from_iter(keys));
    assert_eq!(
        guest.read::<ExecutorConfig>().unwrap().value.common.id,
        "4e01"
    );
}

#[test]
fn what_a_guest_cannot_write_comes_back() {
    let keys = encode(&container(), Dialect::Vic1).unwrap();
    let mut guest = GuestStore::new(Memory::from_iter(keys));
    let mut state = guest.read::<ExecutorConfig>().unwrap().value;
    state.repo_name = "forged".into();
    let refused = guest.write(&state).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].reason, Refusal::NotGuestWritable);
    assert_eq!(refused[0].change.key(), "guestinfo.vice./repo");
}

#[test]
fn names_are_written_after_what_they_name() {
    #[derive(Debug, Default)]
    struct Log(Vec<String>, Memory);
    impl GuestRpc for Log {
        fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
            self.1.get(key)
        }
        fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
            self.0.push(key.to_owned());
            self.1.set(key, value)
        }
    }
    let keys = encode(&container(), Dialect::Vic1).unwrap();
    let mut guest = GuestStore::new(Log(Vec::new(), Memory::from_iter(keys)));
    let mut state = guest.read::<ExecutorConfig>().unwrap().value;
    state.diagnostics.exit_logs.push(ExitLog {
        message: "done".into(),
        ..ExitLog::default()
    });
    guest.write(&state).unwrap();
    let written = &guest.rpc().0;
    assert_eq!(written.len(), 4);
    assert_eq!(written[3], "guestinfo.vice..diagnostics.exitlogs");

    // A guest cannot remove an element, so the change is refused.
    state.diagnostics.exit_logs.clear();
    let refused = guest.write(&state).unwrap();
    assert!(
        refused
            .iter()
            .all(|r| r.reason == Refusal::GuestCannotDelete)
    );
    assert_eq!(refused.len(), 4);
}

#[test]
fn the_secret_key_is_where_vic_keeps_it() {
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Secret {
        #[guestinfo(key = "token", secret)]
        token: String,
    }
    let key = SecretKey::generate();
    let value = Secret {
        token: "hunter2".into(),
    };
    let mut keys = Encode::new(Dialect::Vic1)
        .secret_key(&key)
        .run(&value)
        .unwrap();
    let mut guest = GuestStore::new(Memory::from_iter(keys.clone()));
    assert!(!guest.load_secret_key().unwrap());

    keys.insert(SECRET_KEY_KEY.into(), key.to_base64().to_string());
    let mut guest = GuestStore::new(Memory::from_iter(keys.clone()));
    assert!(guest.load_secret_key().unwrap());
    assert_eq!(guest.read::<Secret>().unwrap().value, value);
    assert!(!format!("{guest:?}").contains("hunter2"));

    // An OVF environment is stored under the same key.
    keys.insert(SECRET_KEY_KEY.into(), "<?xml version=\"1.0\"?>".into());
    let mut guest = GuestStore::new(Memory::from_iter(keys));
    assert!(matches!(
        guest.load_secret_key(),
        Err(RpcError::Protocol { .. })
    ));
}

#[test]
fn a_machine_without_state_reads_as_default() {
    let mut guest = GuestStore::new(Memory::new());
    let decoded = guest.read::<ExecutorConfig>().unwrap();
    assert_eq!(decoded.value, ExecutorConfig::default());
    let mut empty = Memory::from_iter(BTreeMap::from([("guestinfo.k".to_owned(), String::new())]));
    assert_eq!(empty.get("guestinfo.k").unwrap(), None);
}

#[test]
fn keys_of_the_guest_tell_its_dialect_when_there_are_no_others() {
    #[derive(Debug, Default, PartialEq, GuestInfo)]
    struct Status {
        #[guestinfo(key = "status", scope = "read-write")]
        status: i32,
    }
    for dialect in Dialect::ALL {
        let keys = encode(&Status { status: 7 }, dialect).unwrap();
        let mut guest = GuestStore::new(Memory::from_iter(keys));
        assert_eq!(guest.read::<Status>().unwrap().value.status, 7);
        guest.write(&Status { status: 8 }).unwrap();
        assert_eq!(guest.rpc().keys().len(), 1, "{dialect}");
    }
}
