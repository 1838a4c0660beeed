//! Tests of both ends of the multiplexed streams.

mod archive;
mod guest;
mod vic_agent;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use guest_io::Stream;
use guest_io::ssh::client::{ConnectError, Connector, Event, SessionError};
use guest_io::ssh::server::{Request, Server};
use guest_io::ssh::{Exit, PrivateKey, Window};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use guest::{Keys, connected, guest};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn input_comes_back_on_both_streams_and_the_exit_is_reported() {
    let (guest, _requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    assert_eq!(
        session.container_ids().await.unwrap(),
        ["echo", "flood", "wait"]
    );
    assert_eq!(session.version().await.unwrap(), 1);
    session.ping().await.unwrap();

    let mut attach = session.attach("echo").await.unwrap();
    attach.input.write_all(b"hello").await.unwrap();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let event = attach.output.next().await.unwrap();
        assert_eq!(event, Event::Data(stream, Bytes::from_static(b"hello")));
    }
    attach.input.shutdown().await.unwrap();
    let exit = Exit::Signal {
        name: "TERM".into(),
        core_dumped: true,
    };
    assert_eq!(attach.output.next().await, Some(Event::Exit(exit)));
    assert_eq!(attach.output.next().await, None);
}

#[tokio::test]
async fn more_data_than_all_buffers_is_sent_concurrently_both_ways() {
    let (guest, _requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    let attach = session.attach("echo").await.unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let data = sent.clone();
    let mut input = attach.input;
    let writing = tokio::spawn(async move {
        input.write_all(&data).await.unwrap();
        input.shutdown().await.unwrap();
    });
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = attach.output;
    let reading = async {
        while let Some(event) = output.next().await {
            match event {
                Event::Data(Stream::Stdout, data) => out.extend_from_slice(&data),
                Event::Data(Stream::Stderr, data) => err.extend_from_slice(&data),
                Event::Exit(_) => break,
                other => panic!("unexpected {other:?}"),
            }
        }
    };
    timeout(LIMIT, reading).await.expect("no deadlock");
    writing.await.unwrap();
    assert!(out == sent && err == sent);
}

#[tokio::test]
async fn a_session_without_a_reader_does_not_stop_the_others() {
    let (guest, _requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    let flood = session.attach("flood").await.unwrap();
    let mut echo = session.attach("echo").await.unwrap();
    for round in 0..20 {
        let text = Bytes::from(format!("round {round}"));
        echo.input.send(text.clone()).await.unwrap();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let event = timeout(LIMIT, echo.output.next()).await.expect("no stop");
            assert_eq!(event, Some(Event::Data(stream, text.clone())));
        }
    }
    drop(flood);
}

#[tokio::test]
async fn a_session_attached_before_its_start_loses_no_byte() {
    let (guest, mut requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    let mut attach = session.attach("wait").await.unwrap();
    attach.control.resize(Window::new(80, 24)).unwrap();
    attach.control.signal("USR2").unwrap();
    attach.control.unblock().unwrap();
    let first = Bytes::from_static(b"first\n");
    assert_eq!(
        attach.output.next().await,
        Some(Event::Data(Stream::Stdout, first))
    );
    assert_eq!(attach.output.next().await, Some(Event::Exit(Exit::Code(3))));
    for request in [
        Request::Resize(Window::new(80, 24)),
        Request::Signal("USR2".into()),
        Request::Unblock,
    ] {
        assert_eq!(requests.recv().await, Some(("wait".into(), request)));
    }
}

#[tokio::test]
async fn a_writer_can_wait_until_its_input_was_consumed() {
    let (guest, _requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    let mut attach = session.attach("echo").await.unwrap();
    attach.input.send(Bytes::from_static(b"one")).await.unwrap();
    timeout(LIMIT, attach.input.consumed())
        .await
        .expect("the session reads")
        .unwrap();
    // `wait` never reads its input.
    let mut unread = session.attach("wait").await.unwrap();
    unread.input.consumed().await.unwrap();
    unread.input.send(Bytes::from_static(b"one")).await.unwrap();
    {
        let mut waiting = std::pin::pin!(unread.input.consumed());
        let text = Bytes::from_static(b"two");
        attach.input.send(text).await.unwrap();
        tokio::select! {
            biased;
            done = &mut waiting => panic!("nothing has read it: {done:?}"),
            done = attach.input.consumed() => done.unwrap(),
        }
    }
    unread.control.unblock().unwrap();
    while unread.output.next().await.is_some() {}
    let ended = timeout(LIMIT, unread.input.consumed())
        .await
        .expect("an end");
    assert_eq!(ended, Err(SessionError::Lost));
}

#[tokio::test]
async fn dropping_an_attachment_detaches_without_closing_the_input() {
    let (guest, _requests) = guest();
    let detached = Arc::clone(&guest.detached);
    let (session, _server) = connected(&Keys::new(), guest).await;
    let attach = session.attach("echo").await.unwrap();
    drop(attach);
    // The guest is detached. At the end of its input, it would exit.
    let seen = async {
        while *detached.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
            session.ping().await.unwrap();
        }
    };
    timeout(LIMIT, seen).await.expect("the guest is notified");
    // The line is still usable.
    let _again = session.attach("echo").await.unwrap();
}

#[tokio::test]
async fn an_unknown_session_is_refused() {
    let (guest, _requests) = guest();
    let (session, _server) = connected(&Keys::new(), guest).await;
    assert_eq!(
        session.attach("none").await.unwrap_err(),
        SessionError::Refused
    );
    for id in ["", "a b", &"x".repeat(300)] {
        assert_eq!(session.attach(id).await.unwrap_err(), SessionError::Id);
    }
}

#[tokio::test]
async fn a_host_with_another_key_is_refused_and_the_guest_serves_the_next() {
    let keys = Keys::new();
    let (guest, _requests) = guest();
    let server = Server::new(keys.host.clone(), keys.client.public(), guest);
    let (near, far) = tokio::io::duplex(1024);
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(far).await });
    let stranger = Connector::new(PrivateKey::generate().unwrap());
    let refused = stranger.connect(near, async |_| true).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Denied), "{refused:?}");

    let (near, far) = tokio::io::duplex(1024);
    tokio::spawn(async move { server.serve(far).await });
    let host = Connector::new(keys.client);
    let session = host.connect(near, async |_| true).await.unwrap();
    session.ping().await.unwrap();
}

#[tokio::test]
async fn an_unknown_host_key_is_reported() {
    let keys = Keys::new();
    let (guest, _requests) = guest();
    let server = Server::new(keys.host.clone(), keys.client.public(), guest);
    let (near, far) = tokio::io::duplex(1024);
    tokio::spawn(async move { server.serve(far).await });
    let error = Connector::new(keys.client)
        .connect(near, async |_| false)
        .await
        .unwrap_err();
    match error {
        ConnectError::UnknownHostKey { fingerprint } => {
            assert_eq!(fingerprint, keys.host.fingerprint());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_respond_causes_a_timeout() {
    let (near, _far) = tokio::io::duplex(1024);
    let error = Connector::new(PrivateKey::generate().unwrap())
        .connect(near, async |_| true)
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_line_replaces_the_old_one() {
    let keys = Keys::new();
    let (guest, _requests) = guest();
    let (old, server) = connected(&keys, guest).await;
    let mut attach = old.attach("flood").await.unwrap();
    let (near, far) = tokio::io::duplex(1024);
    tokio::spawn(async move { server.serve(far).await });
    let new = Connector::new(keys.client.clone())
        .connect(near, async |_| true)
        .await
        .unwrap();
    new.ping().await.unwrap();
    let ends = async {
        old.closed().await;
        while attach.output.next().await.is_some() {}
    };
    timeout(LIMIT, ends).await.expect("the old connection ends");
}

#[tokio::test]
async fn a_line_is_closed_while_a_client_is_attached() {
    let keys = Keys::new();
    let (guest, _requests) = guest();
    let server = Server::new(keys.host.clone(), keys.client.public(), guest);
    let (near, far) = tokio::io::duplex(1024);
    let serving = tokio::spawn(async move { server.serve(far).await });
    let session = Connector::new(keys.client)
        .connect(near, async |_| true)
        .await
        .unwrap();
    let mut attach = session.attach("flood").await.unwrap();
    attach.output.next().await.unwrap();
    session.abort();
    // The guest's end of the line ends although the host still holds everything.
    let ended = timeout(LIMIT, serving).await.expect("an end").unwrap();
    let is_end = ended
        .as_ref()
        .map_or_else(|error| error.kind() == io::ErrorKind::BrokenPipe, |()| true);
    assert!(is_end, "{ended:?}");
    let ends = async {
        session.closed().await;
        while attach.output.next().await.is_some() {}
    };
    timeout(LIMIT, ends).await.expect("the connection ends");
}

/// A serial line does not end when the host is replaced.
#[tokio::test]
async fn a_new_host_on_the_same_line_is_served() {
    let keys = Keys::new();
    let (guest, _requests) = guest();
    let detached = Arc::clone(&guest.detached);
    let server = Server::new(keys.host.clone(), keys.client.public(), guest);
    let (line, guest_end) = tokio::io::duplex(256);
    tokio::spawn(async move { server.serve(guest_end).await });
    let (mut from_guest, mut to_guest) = tokio::io::split(line);

    for round in 0..2 {
        let (near, far) = tokio::io::duplex(256);
        let (mut from_host, mut to_host) = tokio::io::split(far);
        let connecting = Connector::new(keys.client.clone());
        let host = async {
            let session = connecting.connect(near, async |_| true).await.unwrap();
            let mut flood = session.attach("flood").await.unwrap();
            flood.output.next().await.unwrap();
        };
        tokio::select! {
            () = host => {}
            _ = tokio::io::copy(&mut from_host, &mut to_guest) => unreachable!(),
            _ = tokio::io::copy(&mut from_guest, &mut to_host) => unreachable!(),
        }
        // A host disconnects without notice; the guest detects it when the next one connects.
        assert_eq!(*detached.lock().unwrap(), round);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}
