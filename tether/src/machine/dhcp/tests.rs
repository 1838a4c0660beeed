//! Tests of the client with a server in the same process, on tokio's paused clock.

#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

mod real_socket;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::message::tests::{MAC, reply};
use super::*;

const SERVER: [u8; 4] = [10, 0, 2, 2];
const HOUR: Duration = Duration::from_secs(3600);

/// What the server did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Discover,
    Accept,
    /// A lease was extended, by a message to the server or to all.
    Extend {
        to_all: bool,
    },
}

type Answer = dyn FnMut(Seen, u32) -> Vec<Vec<u8>> + Send;

/// A server that answers with a function.
struct Server {
    answer: Mutex<Box<Answer>>,
    seen: Arc<Mutex<Vec<(Seen, Instant)>>>,
    replies: mpsc::UnboundedSender<Vec<u8>>,
    received: AsyncMutex<mpsc::UnboundedReceiver<Vec<u8>>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

#[async_trait]
impl Wire for Server {
    async fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()> {
        let transaction = u32::from_be_bytes(message[4..8].try_into().unwrap());
        let has_address = message[12..16] != [0; 4];
        let is_discover = message[240..243] == [53, 1, 1];
        let seen = match (is_discover, has_address) {
            (true, _) => Seen::Discover,
            (false, false) => Seen::Accept,
            (false, true) => Seen::Extend {
                to_all: to.is_broadcast(),
            },
        };
        self.seen.lock().unwrap().push((seen, Instant::now()));
        for reply in (self.answer.lock().unwrap())(seen, transaction) {
            self.replies.send(reply).unwrap();
        }
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let message = self.received.lock().await.recv().await.unwrap();
        buffer[..message.len()].copy_from_slice(&message);
        Ok(message.len())
    }
}

type History = Arc<Mutex<Vec<(Seen, Instant)>>>;

fn client(
    answer: impl FnMut(Seen, u32) -> Vec<Vec<u8>> + Send + 'static,
) -> (Client<Server>, History) {
    let (replies, received) = mpsc::unbounded_channel();
    let seen = History::default();
    let server = Server {
        answer: Mutex::new(Box::new(answer)),
        seen: Arc::clone(&seen),
        replies,
        received: AsyncMutex::new(received),
    };
    (Client::new(server, MAC, "jovial".to_owned()), seen)
}

fn terms(kind: u8, transaction: u32, last: u8, lease: Duration) -> Vec<u8> {
    let seconds = u32::try_from(lease.as_secs()).unwrap().to_be_bytes();
    let options: [(u8, &[u8]); 4] = [
        (54, &SERVER),
        (51, &seconds),
        (1, &[255, 255, 255, 0]),
        (6, &[10, 0, 2, 3]),
    ];
    reply(kind, transaction, [10, 0, 2, last].into(), &options)
}

/// Offers and grants 10.0.2.15 for an hour.
fn willing(seen: Seen, transaction: u32) -> Vec<Vec<u8>> {
    let kind = if seen == Seen::Discover { 2 } else { 5 };
    vec![terms(kind, transaction, 15, HOUR)]
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_obtained_in_two_exchanges_and_extended_while_the_machine_runs() {
    let (client, seen) = client(willing);
    let begun = Instant::now();
    let lease = client.acquire().await;
    assert_eq!(lease.net().to_string(), "10.0.2.15/24");
    let leased = lease.change("lan".to_owned()).leased.expect("values");
    assert_eq!(leased.nameservers.len(), 1);
    let kept = tokio::time::timeout(10 * HOUR, client.keep(lease)).await;
    assert!(kept.is_err(), "{kept:?}");
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].0, Seen::Discover);
    assert_eq!(seen[1].0, Seen::Accept);
    // In the middle of each lease.
    for (number, (seen, at)) in seen[2..].iter().enumerate() {
        assert_eq!(*seen, Seen::Extend { to_all: false });
        assert_eq!(*at - begun, HOUR / 2 * u32::try_from(number + 1).unwrap());
    }
    assert!((18..=20).contains(&(seen.len() - 2)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_asked_less_and_less_often_then_all_servers_and_the_lease_expires() {
    let mut is_silent = false;
    let (client, seen) = client(move |seen, transaction| {
        if is_silent {
            return Vec::new();
        }
        is_silent = seen == Seen::Accept;
        willing(seen, transaction)
    });
    let lease = client.acquire().await;
    let begun = Instant::now();
    assert_eq!(client.keep(lease).await, Change::Lost);
    assert_eq!(begun.elapsed(), HOUR);
    let seen = seen.lock().unwrap();
    let attempts: Vec<_> = seen[2..]
        .iter()
        .map(|(seen, at)| (*seen, *at - begun))
        .collect();
    assert!((8..40).contains(&attempts.len()), "{attempts:?}");
    for (seen, at) in attempts {
        let to_all = at >= HOUR / 8 * 7;
        assert_eq!(seen, Seen::Extend { to_all }, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_terms_and_a_withdrawn_lease_are_reported() {
    let mut extended = 0;
    let (client, _) = client(move |seen, transaction| match seen {
        Seen::Extend { .. } => {
            extended += 1;
            match extended {
                1 => vec![terms(5, transaction, 15, HOUR)],
                2 => vec![terms(5, transaction, 16, HOUR)],
                _ => vec![reply(6, transaction, [0; 4].into(), &[(54, &SERVER)])],
            }
        }
        seen => willing(seen, transaction),
    });
    let lease = client.acquire().await;
    let Change::Changed(lease) = client.keep(lease).await else {
        panic!("the address has changed");
    };
    assert_eq!(lease.net().to_string(), "10.0.2.16/24");
    assert_eq!(client.keep(lease).await, Change::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_server_neither_blocks_nor_hurries_the_client() {
    // It sends noise and replies to others, refuses what it has offered, and then grants a lease of
    // no time.
    let mut accepts = 0;
    let (client, seen) = client(move |seen, transaction| {
        let mut replies = vec![vec![0xff; 700], terms(5, transaction ^ 1, 66, HOUR)];
        replies.push(match seen {
            Seen::Discover => terms(2, transaction, 15, Duration::ZERO),
            Seen::Accept if accepts < 5 => {
                accepts += 1;
                reply(6, transaction, [0; 4].into(), &[(54, &SERVER)])
            }
            _ => terms(5, transaction, 15, Duration::ZERO),
        });
        replies
    });
    let begun = Instant::now();
    let lease = client.acquire().await;
    assert_eq!(lease.net().to_string(), "10.0.2.15/24");
    assert_eq!(begun.elapsed(), Duration::from_secs(1 + 2 + 4 + 8 + 16));
    assert_eq!(seen.lock().unwrap().len(), 12);
    drop(tokio::time::timeout(HOUR, client.keep(lease)).await);
    let extended = seen.lock().unwrap().len() - 12;
    assert!(extended <= 120, "it was asked {extended} times in an hour");
}
