//! Tests of both ends of archives and reloads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use guest_io::ssh::ReloadFailed;
use guest_io::ssh::client::{ArchiveCause, ArchiveError, ReloadError, Session, SessionError};
use tokio::time::timeout;

use super::LIMIT;
use super::guest::{Keys, connected, guest};

async fn session() -> (Session, Arc<Mutex<usize>>) {
    let (guest, _requests) = guest();
    let detached = Arc::clone(&guest.detached);
    (connected(&Keys::new(), guest).await.0, detached)
}

fn guest_says(reason: &str) -> ArchiveCause {
    ArchiveCause::Guest {
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn an_archive_is_read_to_its_last_byte_and_no_further() {
    let (session, _) = session().await;
    let mut archive = session.archive_out("/etc").await.unwrap();
    let mut bytes = Vec::new();
    while let Some(data) = archive.next().await.unwrap() {
        bytes.extend_from_slice(&data);
    }
    let expected: Vec<u8> = (0..100_u8).flat_map(|number| [number; 10_000]).collect();
    assert!(bytes == expected, "{} bytes", bytes.len());
    assert_eq!(archive.next().await, Ok(None));
    assert_eq!(
        archive.notes(),
        ["not preserved: owners", "not preserved: times"]
    );
}

#[tokio::test]
async fn an_archive_is_written_to_its_last_byte() {
    let (session, _) = session().await;
    let mut archive = session.archive_in("/a directory").await.unwrap();
    for _ in 0..100 {
        archive.send(Bytes::from(vec![1; 20_000])).await.unwrap();
    }
    assert_eq!(archive.finish().await.unwrap(), ["2000000 bytes"]);
}

#[tokio::test]
async fn the_reason_of_the_guest_is_reported_in_one_line() {
    let (session, _) = session().await;
    let mut archive = session.archive_out("/fails").await.unwrap();
    assert_eq!(archive.next().await.unwrap().unwrap(), "a part");
    let error = archive.next().await.unwrap_err();
    assert_eq!(error.cause, guest_says("the disk is  [1mbroken"));
    assert_eq!(
        error.to_string(),
        "\"/fails\" cannot be copied out of the container"
    );

    let mut archive = session.archive_in("/full").await.unwrap();
    let error = timeout(LIMIT, async {
        loop {
            if let Err(error) = archive.send(Bytes::from(vec![0; 60_000])).await {
                break error;
            }
        }
    });
    let error = error.await.expect("the guest no longer reads");
    assert_eq!(error.cause, guest_says("no space left on device"));
    // An archive that fits into the window fails at its end.
    let mut archive = session.archive_in("/full").await.unwrap();
    archive.send(Bytes::from_static(b"short")).await.unwrap();
    let error = archive.finish().await.unwrap_err();
    assert_eq!(error.cause, guest_says("no space left on device"));
}

#[tokio::test]
async fn an_end_without_an_exit_is_not_a_complete_archive() {
    let (session, _) = session().await;
    let lost = ArchiveCause::Session(SessionError::Lost);
    let mut archive = session.archive_out("/dies").await.unwrap();
    assert_eq!(archive.next().await.unwrap_err().cause, lost);
    let archive = session.archive_in("/dies").await.unwrap();
    assert_eq!(archive.finish().await.unwrap_err().cause, lost);

    let mut archive = session.archive_out("/endless").await.unwrap();
    archive.next().await.unwrap().unwrap();
    session.abort();
    let error = loop {
        match archive.next().await {
            Ok(data) => assert!(data.is_some(), "an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.cause, lost);
}

#[tokio::test]
async fn an_archive_without_a_reader_stops_neither_the_line_nor_the_guest() {
    let (session, detached) = session().await;
    let mut archive = session.archive_out("/endless").await.unwrap();
    archive.next().await.unwrap().unwrap();
    for _ in 0..20 {
        timeout(LIMIT, session.version()).await.unwrap().unwrap();
    }
    let writing = session.archive_in("/").await.unwrap();
    assert_eq!(*detached.lock().unwrap(), 0);
    drop((archive, writing));
    let ended = async {
        while *detached.lock().unwrap() < 2 {
            tokio::task::yield_now().await;
            session.ping().await.unwrap();
        }
    };
    timeout(LIMIT, ended).await.expect("both transfers end");
}

#[tokio::test]
async fn invalid_paths_and_refused_archives_are_reported() {
    let (session, _) = session().await;
    let long = format!("/{}", "x".repeat(5_000));
    for path in ["", "etc", "/a\0b", &long] {
        let error = session.archive_out(path).await.unwrap_err();
        assert_eq!(error.cause, ArchiveCause::Session(SessionError::Path));
        let error = session.archive_in(path).await.unwrap_err();
        assert_eq!(error.cause, ArchiveCause::Session(SessionError::Path));
    }
    let error = session.archive_out("/refused").await.unwrap_err();
    assert_eq!(error.cause, ArchiveCause::Session(SessionError::Refused));
}

#[tokio::test]
async fn a_reload_reports_what_the_guest_did() {
    let (session, _) = session().await;
    let report = session.reload().await.unwrap();
    assert_eq!(report.started, ["one"]);
    assert_eq!(report.refused.len(), 1);
    assert_eq!(
        (&*report.refused[0].id, &*report.refused[0].reason),
        ("two", "not yet")
    );
}

#[tokio::test]
async fn a_reload_that_is_not_answered_does_not_stop_the_line() {
    let (mut guest, _requests) = guest();
    Arc::get_mut(&mut guest).unwrap().reloads_answered = false;
    let (session, _server) = connected(&Keys::new(), Arc::clone(&guest)).await;
    let reload = session.reload();
    tokio::pin!(reload);
    tokio::select! {
        response = &mut reload => panic!("{response:?}"),
        () = async {
            while guest.reloads.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            session.ping().await.unwrap();
        } => {}
    }
    guest.reloads.lock().unwrap().clear();
    let failed = timeout(LIMIT, reload).await.expect("a response");
    let ended = ReloadFailed::new("the agent has ended");
    assert_eq!(failed, Err(ReloadError::Failed(ended)));
}

/// Whatever the guest sends instead of an archive, the transfer ends, and the line is usable.
#[tokio::test]
async fn endless_answers_to_a_transfer_are_refused() {
    let (session, detached) = session().await;
    let invalid = ArchiveCause::Session(SessionError::Invalid);
    let mut archive = session.archive_out("/babbles").await.unwrap();
    let error = timeout(LIMIT, archive.next()).await.unwrap().unwrap_err();
    assert_eq!(error.cause, invalid);
    drop(archive);
    for path in ["/babbles", "/answers"] {
        let mut archive = session.archive_in(path).await.unwrap();
        archive.send(Bytes::from_static(b"tar")).await.unwrap();
        let error = timeout(LIMIT, archive.finish()).await.unwrap().unwrap_err();
        assert_eq!(error.cause, invalid, "{path}");
    }
    let all_detached = async {
        while *detached.lock().unwrap() < 3 {
            session.ping().await.unwrap();
        }
    };
    timeout(LIMIT, all_detached).await.expect("the guest stops");
}

/// The guest still answers SSH's own messages, so the line is not closed.
#[tokio::test(start_paused = true)]
async fn a_guest_that_does_nothing_for_a_transfer_ends_it() {
    let (session, _) = session().await;
    let silent = |error: ArchiveError| {
        let after = match error.cause {
            ArchiveCause::Session(SessionError::NoAnswer { after }) => after,
            other => panic!("{other}"),
        };
        assert_eq!(after, Duration::from_secs(60));
    };
    let mut archive = session.archive_out("/silent").await.unwrap();
    silent(archive.next().await.unwrap_err());
    let archive = session.archive_in("/silent").await.unwrap();
    silent(archive.finish().await.unwrap_err());
    // More than the window.
    let mut archive = session.archive_in("/silent").await.unwrap();
    let error = loop {
        let chunk = Bytes::from(vec![0; 64 * 1024]);
        if let Err(error) = archive.send(chunk).await {
            break error;
        }
    };
    silent(error);
    session.ping().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_answer_a_reload_ends_it() {
    let (mut guest, _requests) = guest();
    Arc::get_mut(&mut guest).unwrap().reloads_answered = false;
    let (session, _server) = connected(&Keys::new(), guest).await;
    let unanswered = session.reload().await.unwrap_err();
    let is_silent = matches!(
        unanswered,
        ReloadError::Session(SessionError::NoAnswer { .. })
    );
    assert!(is_silent, "{unanswered:?}");
    session.ping().await.unwrap();
}
