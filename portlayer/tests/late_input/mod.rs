//! Input whose client has left before a line could carry it.

use tokio::sync::watch;

use super::relay::Relay;
use super::*;

/// An agent that survives the loss of its line. Its process reads no input before the test requests
/// it.
#[derive(Clone, Debug)]
struct Survivor {
    reads: watch::Receiver<bool>,
    read: mpsc::Sender<Bytes>,
    attached: mpsc::Sender<()>,
}

#[async_trait]
impl Guest for Survivor {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let (server, mut received) = serve_sessions(&config, id);
        let key = format!("guestinfo.vice..sessions|{id}.started");
        machine.set(&key, "true").unwrap();
        let serving = async {
            loop {
                let line = machine.serial(0).unwrap();
                line.carrier_is(true).await;
                let watched = machine.serial(0).unwrap();
                tokio::select! {
                    _ = server.serve(line) => {}
                    () = watched.carrier_is(false) => {}
                }
            }
        };
        let reading = async {
            while let Some(order) = received.recv().await {
                if let Order::Attach(attachment) = order {
                    self.attached.send(()).await.unwrap();
                    let agent = self.clone();
                    tokio::spawn(async move { agent.read_input(attachment).await });
                }
            }
        };
        tokio::select! {
            () = serving => {}
            () = reading => {}
            () = machine.shutdown_requested() => {}
        }
        machine.power_off();
    }
}

impl Survivor {
    async fn read_input(mut self, mut attachment: Attachment) {
        let _ = self.reads.wait_for(|reads| *reads).await;
        while let Some(event) = attachment.stdin.next().await {
            if let StdinEvent::Data(data) = event {
                let _ = self.read.send(data).await;
            }
        }
    }
}

/// Attaches, writes, and leaves.
async fn write(endpoint: &Endpoint, id: &ContainerId, text: &[u8]) {
    let options = AttachOptions::interactive().stdout(false).stderr(false);
    let attach = endpoint.layer.streams().attach(id, options);
    let attached = timeout(LIMIT, attach).await.unwrap().unwrap();
    attached.input.unwrap().write_all(text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_of_clients_that_left_before_the_start_is_read_in_order_and_bounded() {
    let endpoint = Endpoint::start().await;
    let id = endpoint.container("early").await;
    write(&endpoint, &id, b"one\n").await;
    write(&endpoint, &id, b"two\n").await;
    // A client that leaves nothing does not count.
    for _ in 0..20 {
        loop {
            let options = AttachOptions::interactive();
            match endpoint.layer.streams().attach(&id, options).await {
                Ok(_left) => break,
                // The departure of the client before it was not noticed yet.
                Err(error) => assert!(matches!(error.kind, ErrorKind::InUse { .. }), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }
    let exec = endpoint.layer.exec();
    exec.start(&id, StartOptions::default()).await.unwrap();
    let mut log = endpoint
        .layer
        .streams()
        .logs(&id, LogOptions::new().stderr(false).follow())
        .await
        .unwrap();
    let mut text = String::new();
    while text != "ready\none\ntwo\n" {
        let record = timeout(LIMIT, log.next()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&record.bytes).unwrap());
        assert!("ready\none\ntwo\n".starts_with(&text), "{text:?}");
    }
    // The process still has an open input.
    let options = AttachOptions::interactive();
    let attached = endpoint.layer.streams().attach(&id, options).await.unwrap();
    attached.input.unwrap().shutdown().await.unwrap();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(7));
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_input_before_the_start_is_refused() {
    let endpoint = Endpoint::start().await;
    let id = endpoint.container("early").await;
    let mut clients = 0;
    let refused = loop {
        let options = AttachOptions::interactive().stdout(false).stderr(false);
        match endpoint.layer.streams().attach(&id, options).await {
            Ok(attached) => attached.input.unwrap().write_all(b"x").await.unwrap(),
            Err(refused) => break refused,
        }
        clients += 1;
        assert!(clients < 100, "no bound");
    };
    assert!(matches!(refused.kind, ErrorKind::InUse { .. }), "{refused}");
    assert!(
        refused.to_string().contains("input of earlier clients"),
        "{refused}"
    );
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_that_waits_when_the_line_is_lost_is_carried_by_the_next_one() {
    let (reading, reads) = watch::channel(false);
    let (sender, mut read) = mpsc::channel(16);
    let (attached, mut attachments) = mpsc::channel(16);
    let guest = Survivor {
        reads,
        read: sender,
        attached,
    };
    let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::start(lines.local_addr().unwrap()).await;
    let endpoint = Endpoint::with_lines(guest, Options::default(), lines, relay.address).await;
    let id = endpoint.container("cut").await;
    let exec = endpoint.layer.exec();
    exec.start(&id, StartOptions::default()).await.unwrap();
    // The process does not read the first input, so the second one is not sent.
    write(&endpoint, &id, b"one\n").await;
    timeout(LIMIT, attachments.recv()).await.unwrap().unwrap();
    write(&endpoint, &id, b"two\n").await;
    relay.cut.send_replace(());
    // Attached again, although no client is there any more.
    timeout(LIMIT, attachments.recv()).await.unwrap().unwrap();
    reading.send_replace(true);
    let mut text = Vec::new();
    while !text.ends_with(b"two\n") {
        text.extend_from_slice(&timeout(LIMIT, read.recv()).await.unwrap().unwrap());
    }
    // What was sent over the first line may have reached the process; nothing is doubled.
    assert!(text == b"two\n" || text == b"one\ntwo\n", "{text:?}");
    endpoint.simulator.shutdown().await;
}
