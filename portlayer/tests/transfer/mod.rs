//! A guest whose process writes numbered lines and reads its input at the same time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use guest_io::ssh::server::Output;
use portlayer::Error;
use tokio::sync::watch;

use super::*;

/// The number of bytes that the process writes at once.
const PIECE: usize = 5000;

/// Returns numbered lines of eight bytes, from the line with this number.
pub(super) fn numbered(from: usize, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 8);
    for number in (from..).take(bytes.div_ceil(8)) {
        text.extend_from_slice(format!("{number:07}\n").as_bytes());
    }
    text.truncate(bytes);
    text
}

/// Reads output to its end, and returns it with the error that ended it.
pub(super) async fn read_all(
    mut output: portlayer::stream::Output,
) -> (Vec<u8>, Option<Box<Error>>) {
    let mut bytes = Vec::new();
    while let Some(chunk) = timeout(LIMIT, output.next()).await.unwrap() {
        match chunk {
            Ok(chunk) => bytes.extend_from_slice(&chunk.bytes),
            Err(error) => {
                assert!(output.next().await.is_none(), "the error is the last item");
                return (bytes, Some(Box::new(error)));
            }
        }
    }
    (bytes, None)
}

type Received = Vec<(String, Vec<u8>)>;

/// An agent that survives the loss of its line. Its process writes [`numbered`] lines and exits
/// with 7 when it has written all of them and its input is closed.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// Whether the agent notices that its line was lost. If not, it learns of that by the handshake
    /// on the next line.
    sees_carrier: bool,
    /// The number of bytes that each process writes in total.
    total: usize,
    allowed: watch::Sender<usize>,
    /// The number of bytes that the processes have written, by their session.
    written: watch::Sender<BTreeMap<String, usize>>,
    /// Reports the session of each attachment.
    attached: mpsc::Sender<String>,
    /// The input that arrived over each attachment, by its session.
    received: Arc<Mutex<Received>>,
}

impl Transfer {
    /// Returns the guest, and the sessions of its attachments.
    pub(super) fn new(sees_carrier: bool, total: usize) -> (Self, mpsc::Receiver<String>) {
        let (attached, attachments) = mpsc::channel(16);
        let guest = Self {
            sees_carrier,
            total,
            allowed: watch::Sender::new(0),
            written: watch::Sender::default(),
            attached,
            received: Arc::default(),
        };
        (guest, attachments)
    }

    /// Allows the processes to write up to this number of bytes.
    pub(super) fn allow(&self, bytes: usize) {
        self.allowed.send_replace(bytes);
    }

    /// Waits until a container's process has written this number of bytes.
    pub(super) async fn written(&self, id: &ContainerId, bytes: usize) {
        let mut written = self.written.subscribe();
        let all = written.wait_for(|written| written.get(&id.to_string()) == Some(&bytes));
        timeout(LIMIT, all).await.unwrap().unwrap();
    }

    /// Waits until a container has received this many bytes over an attachment.
    pub(super) async fn received_of(&self, id: &ContainerId, attachment: usize, bytes: usize) {
        let received = async {
            while self.received(id).get(attachment).map_or(0, Vec::len) < bytes {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, received).await.unwrap();
    }

    /// Returns the input that a container received over each attachment.
    pub(super) fn received(&self, id: &ContainerId) -> Vec<Vec<u8>> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let of_id = received.iter().filter(|(of, _)| *of == id.to_string());
        of_id.map(|(_, bytes)| bytes.clone()).collect()
    }
}

#[async_trait]
impl Guest for Transfer {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let (server, orders) = serve_sessions(&config, id);
        let key = |leaf: &str| format!("guestinfo.vice..sessions|{id}.{leaf}");
        machine.set(&key("started"), "true").unwrap();
        let outputs = watch::Sender::new(None);
        let closed = watch::Sender::new(false);
        tokio::select! {
            () = self.serve_lines(&machine, &server) => {}
            () = self.attach(id, orders, &outputs, &closed) => {}
            () = self.process(id, &machine, &outputs, &closed) => {}
            () = machine.shutdown_requested() => {}
        }
        machine.set(&key("status"), "7").unwrap();
        machine.set(&key("detail.stoptime"), "1467000001").unwrap();
        machine.power_off();
    }
}

impl Transfer {
    async fn serve_lines(&self, machine: &GuestMachine, server: &Server) {
        loop {
            let line = machine.serial(0).unwrap();
            if !self.sees_carrier {
                let _ = server.serve(line).await;
                return;
            }
            line.carrier_is(true).await;
            let watched = machine.serial(0).unwrap();
            tokio::select! {
                _ = server.serve(line) => {}
                () = watched.carrier_is(false) => {}
            }
        }
    }

    async fn attach(
        &self,
        id: &str,
        mut orders: mpsc::UnboundedReceiver<Order>,
        outputs: &watch::Sender<Option<Output>>,
        closed: &watch::Sender<bool>,
    ) {
        while let Some(order) = orders.recv().await {
            let Order::Attach(Attachment {
                mut stdin, output, ..
            }) = order
            else {
                continue;
            };
            outputs.send_replace(Some(output));
            let number = {
                let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
                received.push((id.to_owned(), Vec::new()));
                received.len() - 1
            };
            let (received, closed) = (Arc::clone(&self.received), closed.clone());
            tokio::spawn(async move {
                while let Some(event) = stdin.next().await {
                    let StdinEvent::Data(data) = event else {
                        closed.send_replace(true);
                        return;
                    };
                    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
                    received[number].1.extend_from_slice(&data);
                }
            });
            self.attached.send(id.to_owned()).await.unwrap();
        }
    }

    async fn process(
        &self,
        id: &str,
        machine: &GuestMachine,
        outputs: &watch::Sender<Option<Output>>,
        closed: &watch::Sender<bool>,
    ) {
        let text = Bytes::from(numbered(0, self.total));
        let mut log = machine.serial(1).unwrap();
        let mut allowed = self.allowed.subscribe();
        let mut written = 0;
        while written < text.len() {
            let end = *allowed.wait_for(|end| *end > written).await.unwrap();
            let piece = text.slice(written..end.min(written + PIECE));
            let mut record = Vec::new();
            guest_io::log::encode(
                Stream::Stdout,
                1_467_000_000_000_000_000,
                &piece,
                &mut record,
            );
            log.write_all(&record).await.unwrap();
            written += piece.len();
            let output = outputs.borrow().clone();
            if let Some(output) = output {
                // Fails if the line was lost, which the process does not notice.
                let _ = output.send(Stream::Stdout, piece).await;
            }
            self.written.send_modify(|all| {
                all.insert(id.to_owned(), written);
            });
        }
        let mut closed = closed.subscribe();
        closed.wait_for(|closed| *closed).await.unwrap();
        let output = outputs.send_replace(None);
        if let Some(output) = output {
            let _ = output.finish(Exit::Code(7)).await;
        }
    }
}

impl Endpoint {
    /// Creates and starts a container whose process takes input.
    pub(super) async fn start_transfer(&self, name: &str) -> ContainerId {
        let spec = ContainerSpec::new(name, Command::new("/transfer").open_stdin(true));
        let id = self.layer.exec().create(spec).await.unwrap();
        let start = self.layer.exec().start(&id, StartOptions::default());
        timeout(LIMIT, start).await.unwrap().unwrap();
        id
    }

    /// Returns the bytes of a container's log.
    pub(super) async fn log_bytes(&self, id: &ContainerId) -> Vec<u8> {
        let records = self.log(id, LogOptions::new()).await.into_iter();
        records.map(|(_, text)| text).collect::<String>().into()
    }
}
