//! Input for a process that does not read it.

use tokio::sync::watch;

use super::*;

/// The input of each client. It fits in the buffer of one client's input, so that writing it never
/// waits.
const SHARE: usize = 48 * 1024;
/// More clients than may leave unread input behind.
const CLIENTS: u8 = 100;

/// An agent that stays attached, and reads its process's input only when the test requests it.
#[derive(Clone, Debug)]
struct Reluctant {
    reads: watch::Receiver<bool>,
    read: mpsc::Sender<Bytes>,
}

#[async_trait]
impl Guest for Reluctant {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let (server, received) = serve_sessions(&config, id);
        let key = format!("guestinfo.vice..sessions|{id}.started");
        machine.set(&key, "true").unwrap();
        let line = machine.serial(0).unwrap();
        tokio::select! {
            _ = server.serve(line) => {}
            () = self.read_input(received) => {}
            () = machine.shutdown_requested() => {}
        }
        machine.power_off();
    }
}

impl Reluctant {
    async fn read_input(&self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut reads = self.reads.clone();
        while let Some(order) = orders.recv().await {
            let Order::Attach(mut attachment) = order else {
                continue;
            };
            reads.wait_for(|reads| *reads).await.unwrap();
            while let Some(event) = attachment.stdin.next().await {
                if let StdinEvent::Data(data) = event {
                    self.read.send(data).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_unread_input_behind_are_bounded_and_lose_none_of_it() {
    let (reading, reads) = watch::channel(false);
    let (sender, mut read) = mpsc::channel(16);
    let guest = Reluctant {
        reads,
        read: sender,
    };
    let endpoint = Endpoint::with(guest, Dialect::Vic1).await;
    let streams = endpoint.layer.streams();
    let id = endpoint.container("jovial_ride").await;
    let options = AttachOptions::interactive().stdout(false).stderr(false);
    endpoint
        .layer
        .exec()
        .start(&id, StartOptions::default())
        .await
        .unwrap();

    let mut written = Vec::new();
    for client in 0..CLIENTS {
        let attached = match streams.attach(&id, options.clone()).await {
            Ok(attached) => attached,
            Err(refused) => {
                assert!(matches!(refused.kind, ErrorKind::InUse { .. }), "{refused}");
                break;
            }
        };
        let share = vec![client; SHARE];
        let mut input = attached.input.unwrap();
        timeout(LIMIT, input.write_all(&share))
            .await
            .unwrap()
            .unwrap();
        written.extend(share);
    }
    let clients = written.len() / SHARE;
    assert!(clients < CLIENTS.into(), "unread input has no bound");

    reading.send_replace(true);
    let mut arrived = Vec::new();
    while arrived.len() < written.len() {
        arrived.extend(timeout(LIMIT, read.recv()).await.unwrap().unwrap());
    }
    assert!(arrived == written, "input was lost or reordered");
    // There is room for another client once the input has been read.
    let attached = loop {
        match streams.attach(&id, options.clone()).await {
            Ok(attached) => break attached,
            Err(refused) => {
                assert!(matches!(refused.kind, ErrorKind::InUse { .. }), "{refused}");
                tokio::task::yield_now().await;
            }
        }
    };
    attached.input.unwrap().write_all(b"more").await.unwrap();
    let more = timeout(LIMIT, read.recv()).await.unwrap().unwrap();
    assert_eq!(more, "more");
    endpoint.simulator.shutdown().await;
}
