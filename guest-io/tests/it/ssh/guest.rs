//! A guest with three sessions: `echo`, `flood` and `wait`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use guest_io::Stream;
use guest_io::ssh::client::{Connector, Session};
use guest_io::ssh::server::{Attachment, GuestSessions, Refused, Request, Server, StdinEvent};
use guest_io::ssh::{Exit, PrivateKey};
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
}

pub(crate) fn guest() -> (Arc<Guest>, mpsc::UnboundedReceiver<(String, Request)>) {
    let (requests, received) = mpsc::unbounded_channel();
    let guest = Guest {
        requests,
        started: watch::Sender::new(false),
        detached: Arc::default(),
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
