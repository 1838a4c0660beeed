//! A guest with three sessions: `echo`, `flood` and `wait`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use guest_io::Stream;
use guest_io::ssh::client::{Connector, Session};
use guest_io::ssh::server::{
    Archive, Attachment, GuestSessions, Refused, ReloadReply, Request, Server, StdinEvent,
};
use guest_io::ssh::{ArchiveDirection, Exit, PrivateKey, ReloadReport};
use tokio::sync::{mpsc, watch};

/// The private keys of both ends.
pub(crate) struct Keys {
    pub(crate) host: PrivateKey,
    pub(crate) client: PrivateKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            host: PrivateKey::generate().expect("a key"),
            client: PrivateKey::generate().expect("a key"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) requests: mpsc::UnboundedSender<(String, Request)>,
    started: watch::Sender<bool>,
    pub(crate) detached: Arc<Mutex<usize>>,
    /// The requests that were not answered.
    pub(crate) reloads: Mutex<Vec<ReloadReply>>,
    pub(crate) reloads_answered: bool,
}

pub(crate) fn guest() -> (Arc<Guest>, mpsc::UnboundedReceiver<(String, Request)>) {
    let (requests, received) = mpsc::unbounded_channel();
    let guest = Guest {
        requests,
        started: watch::Sender::new(false),
        detached: Arc::default(),
        reloads: Mutex::default(),
        reloads_answered: true,
    };
    (Arc::new(guest), received)
}

impl GuestSessions for Guest {
    fn ids(&self) -> Vec<String> {
        ["echo", "flood", "wait"].map(str::to_owned).to_vec()
    }

    fn attach(&self, id: &str, attachment: Attachment) -> Result<(), Refused> {
        let detached = Arc::clone(&self.detached);
        match id {
            "echo" => {
                tokio::spawn(async move {
                    echo(attachment).await;
                    *detached.lock().expect("no panic") += 1;
                });
            }
            "flood" => {
                tokio::spawn(async move {
                    let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
                    while attachment
                        .output
                        .send(Stream::Stdout, chunk.clone())
                        .await
                        .is_ok()
                    {}
                    *detached.lock().expect("no panic") += 1;
                });
            }
            "wait" => {
                let mut started = self.started.subscribe();
                tokio::spawn(async move {
                    let _ = started.wait_for(|started| *started).await;
                    let first = Bytes::from_static(b"first\n");
                    let _ = attachment.output.send(Stream::Stdout, first).await;
                    let _ = attachment.output.finish(Exit::Code(3)).await;
                });
            }
            _ => return Err(Refused),
        }
        Ok(())
    }

    fn request(&self, id: &str, request: Request) -> bool {
        if request == Request::Unblock {
            self.started.send_replace(true);
        }
        self.requests.send((id.to_owned(), request)).is_ok()
    }

    fn reload(&self, reply: ReloadReply) -> Result<(), Refused> {
        self.reloads.lock().expect("no panic").push(reply);
        if self.reloads_answered {
            for reply in self.reloads.lock().expect("no panic").drain(..) {
                let mut report = ReloadReport::default();
                report.add_started("one");
                report.add_refused("two", "not yet");
                reply.send(Ok(report));
            }
        }
        Ok(())
    }

    /// What happens to the archive depends on its path.
    fn archive(&self, archive: Archive, attachment: Attachment) -> Result<(), Refused> {
        let detached = Arc::clone(&self.detached);
        if archive.path == "/refused" {
            return Err(Refused);
        }
        tokio::spawn(async move {
            transfer(archive, attachment).await;
            *detached.lock().expect("no panic") += 1;
        });
        Ok(())
    }
}

async fn transfer(archive: Archive, attachment: Attachment) {
    let Attachment {
        mut stdin, output, ..
    } = attachment;
    let text =
        |text: &'static str| output.send(Stream::Stderr, Bytes::from_static(text.as_bytes()));
    match (archive.direction, archive.path.as_str()) {
        (ArchiveDirection::Out, "/endless") => {
            let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
            while output.send(Stream::Stdout, chunk.clone()).await.is_ok() {}
        }
        (ArchiveDirection::Out, "/fails") => {
            let part = Bytes::from_static(b"a part");
            let _ = output.send(Stream::Stdout, part).await;
            let _ = text("the disk\nis \x1b[1mbroken\n").await;
            let _ = output.finish(Exit::Code(1)).await;
        }
        // The agent ends.
        (_, "/dies") => {}
        (_, "/silent") => std::future::pending().await,
        (_, "/babbles") => {
            let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
            while output.send(Stream::Stderr, chunk.clone()).await.is_ok() {}
        }
        (ArchiveDirection::In, "/answers") => {
            let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
            while output.send(Stream::Stdout, chunk.clone()).await.is_ok() {}
        }
        (ArchiveDirection::Out, _) => {
            for number in 0..100_u8 {
                let chunk = Bytes::from(vec![number; 10_000]);
                if output.send(Stream::Stdout, chunk).await.is_err() {
                    return;
                }
            }
            let _ = text("not preserved: owners\n\nnot preserved: times\n").await;
            let _ = output.finish(Exit::Code(0)).await;
        }
        (ArchiveDirection::In, "/full") => {
            let _ = stdin.next().await;
            let _ = text("no space left on device").await;
            let _ = output.finish(Exit::Code(1)).await;
        }
        (ArchiveDirection::In, _) => {
            let mut sum = 0_u64;
            loop {
                match stdin.next().await {
                    Some(StdinEvent::Data(data)) => sum += data.len() as u64,
                    Some(StdinEvent::Close) => break,
                    None => return,
                }
            }
            let sum = Bytes::from(format!("{sum} bytes\n"));
            let _ = output.send(Stream::Stderr, sum).await;
            let _ = output.finish(Exit::Code(0)).await;
        }
    }
}

/// Writes its input to both outputs, and exits when the input is closed.
async fn echo(mut attachment: Attachment) {
    while let Some(event) = attachment.stdin.next().await {
        match event {
            StdinEvent::Data(data) => {
                for stream in [Stream::Stdout, Stream::Stderr] {
                    if attachment.output.send(stream, data.clone()).await.is_err() {
                        return;
                    }
                }
            }
            StdinEvent::Close => {
                let exit = Exit::Signal {
                    name: "TERM".into(),
                    core_dumped: true,
                };
                let _ = attachment.output.finish(exit).await;
                return;
            }
        }
    }
}

/// Connects a guest and a host over a line with small buffers, as those of a UART.
pub(crate) async fn connected(keys: &Keys, guest: Arc<Guest>) -> (Session, Server) {
    let server = Server::new(keys.host.clone(), keys.client.public(), guest);
    let (near, far) = tokio::io::duplex(64);
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(far).await });
    let expected = keys.host.fingerprint();
    let session = Connector::new(keys.client.clone())
        .connect(near, async move |fingerprint| fingerprint == expected)
        .await
        .expect("a connection");
    assert_eq!(session.fingerprint(), expected);
    (session, server)
}
