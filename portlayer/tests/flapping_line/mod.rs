//! Lines that are lost during transfers, and again while they are connected.

use portlayer::stream::Input;

use super::relay::Relay;
use super::transfer::{Transfer, numbered, read_all};
use super::*;

/// The number of bytes that the guest sends over each line before the line is lost: in the
/// transfer, in the handshake, in the key exchange of SSH, and in the transfer. The next line stays.
const BUDGETS: [u64; 4] = [200_000, 1, 1500, 200_000];
/// The number of clients, one after the other. All but the last one lose their line.
const CLIENTS: usize = 3;
/// The number of bytes that the process writes per client, more than a line carries before it is
/// lost.
const SHARE: usize = 400_000;
/// The number of bytes that the last client writes to the process.
const LAST_INPUT: usize = 300_000;
/// The number of bytes that a client writes at once: lines of 8 bytes.
const PIECE: usize = 8000;
/// The difference between the first lines of the clients' inputs.
const APART: usize = 2_000_000;

/// Writes numbered lines, after the first [`PIECE`], until the input fails.
async fn write_until_lost(mut input: Input, client: usize) {
    for piece in 1.. {
        let lines = numbered(client * APART + piece * PIECE / 8, PIECE);
        if timeout(LIMIT, input.write_all(&lines))
            .await
            .unwrap()
            .is_err()
        {
            return;
        }
    }
}

async fn flap(sees_carrier: bool) {
    let (guest, mut attachments) = Transfer::new(sees_carrier, CLIENTS * SHARE);
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::flapping(lines.local_addr().unwrap(), BUDGETS).await;
    let options = Options::default();
    let endpoint = Endpoint::with_lines(guest.clone(), options, lines, relay.address).await;
    let streams = endpoint.layer.streams();
    let id = endpoint.start_transfer("flaps").await;
    let text = numbered(0, CLIENTS * SHARE);
    for client in 0..CLIENTS {
        let attach = streams.attach(&id, AttachOptions::interactive());
        let attached = timeout(LIMIT, attach).await.unwrap().unwrap();
        let attach = streams.attach(&id, AttachOptions::output());
        let reader = timeout(LIMIT, attach).await.unwrap().unwrap();
        timeout(LIMIT, attachments.recv()).await.unwrap().unwrap();
        let start = client * SHARE;
        let is_last = client + 1 == CLIENTS;
        let mut input = attached.input.unwrap();
        if !is_last {
            // Some input arrives before the output may use up what the line carries.
            let lines = numbered(client * APART, PIECE);
            input.write_all(&lines).await.unwrap();
            guest.received_of(&id, client, PIECE).await;
        }
        guest.allow(start + SHARE);
        let input = async move {
            if is_last {
                let lines = numbered(client * APART, LAST_INPUT);
                input.write_all(&lines).await.unwrap();
                input.shutdown().await.unwrap();
            } else {
                write_until_lost(input, client).await;
            }
        };
        let ((output, error), (second, second_error), ()) =
            tokio::join!(read_all(attached.output), read_all(reader.output), input);
        // Up to the end of the output, no byte is missing, out of order or doubled.
        assert!(text[start..].starts_with(&output), "client {client}");
        assert!(output.ends_with(&second), "client {client}");
        assert_eq!(error.is_some(), second_error.is_some());
        if is_last {
            assert!(error.is_none(), "{error:?}");
            assert_eq!(output.len(), SHARE);
        } else {
            // What is missing is reported.
            let error = error.expect("the line was lost before the end");
            let is_lost = matches!(error.kind, ErrorKind::Unavailable { .. });
            assert!(is_lost, "{error:?}");
            assert!(output.len() < SHARE);
            // The process goes on.
            guest.written(&id, start + SHARE).await;
        }
    }
    let exit = endpoint.layer.exec().wait(&id).await.unwrap();
    assert_eq!(exit, ExitStatus::Code(7));

    let received = guest.received(&id);
    assert_eq!(received.len(), CLIENTS);
    for (client, received) in received.iter().enumerate() {
        assert!(!received.is_empty(), "client {client}");
        let sent = numbered(client * APART, received.len());
        assert!(*received == sent, "the input of client {client}");
    }
    assert_eq!(received[CLIENTS - 1].len(), LAST_INPUT);
    let log = endpoint.log_bytes(&id).await;
    assert!(log == text, "the log is not complete");
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_flaps_during_transfers_loses_only_what_is_reported() {
    flap(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_does_not_notice_a_lost_line_serves_the_next_one() {
    flap(false).await;
}
