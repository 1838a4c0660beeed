//! Attaching to containers of VIC 0.4. Their processes do not wait for the line, so it is connected
//! after the first output, or not at all.

use tokio::sync::Notify;

use super::*;

const ONE: &[u8] = b"one\n";
const TWO: &[u8] = b"two\n";

/// An agent of VIC 0.4. The path of the process determines its behaviour:
///
/// | path | behaviour |
/// | --- | --- |
/// | `/short` | writes two lines and ends; the line is never connected |
/// | `/mute` | powers off without output and without a report |
/// | `/until-told` | writes a line, and a second one when the test requests it; the line is never connected |
/// | `/echo` | writes a line, and then echoes what it receives over the line |
#[derive(Clone, Debug, Default)]
pub(super) struct OldAgent {
    go_on: Arc<Notify>,
}

#[async_trait]
impl Guest for OldAgent {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some((id, session)) = config.sessions.first_key_value() else {
            machine.shutdown_requested().await;
            return;
        };
        let key = |leaf: &str| format!("guestinfo..sessions|{id}.{leaf}");
        let mut log = machine.serial(1).unwrap();
        match &*session.command.path {
            "/mute" => return machine.power_off(),
            "/short" => {
                log.write_all(ONE).await.unwrap();
                log.write_all(TWO).await.unwrap();
                machine.set(&key("started"), "true").unwrap();
            }
            "/until-told" => {
                machine.set(&key("started"), "true").unwrap();
                log.write_all(ONE).await.unwrap();
                self.go_on.notified().await;
                log.write_all(TWO).await.unwrap();
            }
            "/echo" => {
                log.write_all(ONE).await.unwrap();
                machine.set(&key("started"), "true").unwrap();
                let (server, mut received) = serve_sessions(&config, id);
                tokio::select! {
                    _ = server.serve(machine.serial(0).unwrap()) => {}
                    () = echo(&mut received, &mut log) => {}
                }
            }
            path => panic!("{path}"),
        }
        machine.set(&key("status"), "3").unwrap();
        machine.power_off();
    }
}

async fn echo(orders: &mut mpsc::UnboundedReceiver<Order>, log: &mut simulator::SerialPort) {
    let mut attachment = loop {
        if let Order::Attach(attachment) = orders.recv().await.unwrap() {
            break attachment;
        }
    };
    while let Some(StdinEvent::Data(data)) = attachment.stdin.next().await {
        log.write_all(&data).await.unwrap();
        attachment.output.send(Stream::Stdout, data).await.unwrap();
    }
    let _ = attachment.output.finish(Exit::Code(3)).await;
}

async fn old_endpoint() -> Endpoint {
    Endpoint::with(OldAgent::default(), Dialect::Vic04).await
}

impl Endpoint {
    async fn old(&self, path: &str) -> ContainerId {
        let spec = ContainerSpec::new("jovial_ride", Command::new(path).open_stdin(true));
        self.layer.exec().create(spec).await.unwrap()
    }

    async fn attach(&self, id: &ContainerId) -> portlayer::stream::Attached {
        let attach = self
            .layer
            .streams()
            .attach(id, AttachOptions::interactive());
        timeout(LIMIT, attach).await.unwrap().unwrap()
    }

    async fn run(&self, id: &ContainerId) -> ExitStatus {
        let options = StartOptions::default();
        self.layer.exec().start(id, options).await.unwrap();
        self.layer.exec().wait(id).await.unwrap()
    }
}

/// Reads all output; fails if it does not end.
async fn rest(output: portlayer::stream::Output) -> String {
    let chunks = output.map(|chunk| chunk.unwrap().bytes).collect::<Vec<_>>();
    let chunks = timeout(Duration::from_secs(20), chunks).await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_before_its_line_is_connected_is_heard() {
    let endpoint = old_endpoint().await;
    let id = endpoint.old("/short").await;
    for _run in 0..2 {
        let attached = endpoint.attach(&id).await;
        let run = async {
            assert_eq!(endpoint.run(&id).await, ExitStatus::Code(3));
        };
        let (output, ()) = tokio::join!(rest(attached.output), run);
        assert_eq!(output, "one\ntwo\n");
    }
    // As a front end does for a container that is removed when it ends.
    let attached = endpoint.attach(&id).await;
    let run = async {
        endpoint.run(&id).await;
        endpoint.layer.exec().remove(&id).await.unwrap();
    };
    let (output, ()) = tokio::join!(rest(attached.output), run);
    assert_eq!(output, "one\ntwo\n");
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_does_not_outlive_its_container() {
    let endpoint = old_endpoint().await;
    // Removed before it was started.
    let id = endpoint.old("/short").await;
    let attached = endpoint.attach(&id).await;
    endpoint.layer.exec().remove(&id).await.unwrap();
    assert_eq!(rest(attached.output).await, "");
    // Powered off without a report.
    let id = endpoint.old("/mute").await;
    let attached = endpoint.attach(&id).await;
    let start = endpoint.layer.exec().start(&id, StartOptions::default());
    let (output, _) = tokio::join!(rest(attached.output), start);
    assert_eq!(output, "");
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_goes_off_while_its_line_is_awaited_is_heard() {
    let guest = OldAgent::default();
    let endpoint = Endpoint::with(guest.clone(), Dialect::Vic04).await;
    let id = endpoint.old("/until-told").await;
    let started = endpoint.layer.exec().start(&id, StartOptions::default());
    started.await.unwrap();
    // `attach` reads the length of the log because it is too late for the beginning.
    let script = endpoint.simulator.script();
    let looks = || script.calls().get("GET /folder").copied();
    let before = looks();
    let end = async {
        while looks() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        guest.go_on.notify_one();
    };
    let (attached, ()) = tokio::join!(endpoint.attach(&id), end);
    let output = rest(attached.output).await;
    assert!(output.ends_with("two\n"), "{output:?}");
    endpoint.simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_the_line_came_is_heard_once() {
    let endpoint = old_endpoint().await;
    let id = endpoint.old("/echo").await;
    let attached = endpoint.attach(&id).await;
    let mut input = attached.input.unwrap();
    let typed = async {
        input.write_all(TWO).await.unwrap();
        input.shutdown().await.unwrap();
        endpoint.run(&id).await
    };
    let (output, exit) = tokio::join!(rest(attached.output), typed);
    assert_eq!(output, "one\ntwo\n");
    assert_eq!(exit, ExitStatus::Code(3));
    endpoint.simulator.shutdown().await;
}
