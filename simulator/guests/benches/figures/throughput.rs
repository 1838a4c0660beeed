//! The rate at which attached streams carry bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use guest_io::Stream;
use guest_io::ssh::client::{Connector, Event};
use guest_io::ssh::server::{Attachment, GuestSessions, Refused, Request, Server, StdinEvent};
use guest_io::ssh::{Exit, PrivateKey};

use super::{line, runtime, setting};

const TARGET: f64 = 200e6;

/// Sends output as fast as it is read, or reads input as fast as it comes.
#[derive(Debug)]
struct Busy {
    bytes: usize,
}

impl GuestSessions for Busy {
    fn ids(&self) -> Vec<String> {
        ["output", "input"].map(str::to_owned).to_vec()
    }

    fn attach(&self, id: &str, mut attachment: Attachment) -> Result<(), Refused> {
        let (mut left, writes) = (self.bytes, id == "output");
        tokio::spawn(async move {
            let piece = Bytes::from(vec![b'x'; 32 << 10]);
            while writes && left > 0 {
                let data = piece.slice(..left.min(piece.len()));
                left -= data.len();
                attachment.output.send(Stream::Stdout, data).await.unwrap();
            }
            while left > 0
                && let Some(StdinEvent::Data(data)) = attachment.stdin.next().await
            {
                left = left.saturating_sub(data.len());
            }
            let _ = attachment.output.finish(Exit::Code(0)).await;
        });
        Ok(())
    }

    fn request(&self, _: &str, _: Request) -> bool {
        true
    }
}

/// Measures both directions over a line in memory.
pub(super) fn measure() {
    for session in ["output", "input"] {
        let bytes = setting("MEGABYTES", 512) * 1_000_000;
        let took = runtime().block_on(carry(session, bytes));
        let rate = bytes as f64 / took.as_secs_f64();
        line(
            &format!("attached {session}, both ends and the line in one process"),
            "200 MB/s",
            &format!("{:.0} MB/s", rate / 1e6),
            rate >= TARGET,
        );
    }
}

async fn carry(session: &str, bytes: usize) -> Duration {
    let (host, client) = (key(), key());
    let server = Server::new(host, client.public(), Arc::new(Busy { bytes }));
    let (near, far) = tokio::io::duplex(256 << 10);
    tokio::spawn(async move { server.serve(far).await });
    let connector = Connector::new(client);
    let line = connector.connect(near, async |_| true).await.unwrap();
    let mut attach = line.attach(session).await.unwrap();
    let begun = Instant::now();
    let mut input = attach.input;
    if session == "input" {
        tokio::spawn(async move {
            let piece = Bytes::from(vec![b'x'; 32 << 10]);
            while input.send(piece.clone()).await.is_ok() {}
        });
    }
    let mut received = 0;
    loop {
        match attach.output.next().await.unwrap() {
            Event::Data(_, data) => received += data.len(),
            Event::Exit(_) => break,
            _ => {}
        }
    }
    assert_eq!(received, if session == "output" { bytes } else { 0 });
    begun.elapsed()
}

fn key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}
