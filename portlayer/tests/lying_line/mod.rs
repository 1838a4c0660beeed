//! Guests that violate the protocols of their line: whatever they send is bounded and reported, and
//! another container's line works concurrently.

mod guest;
mod logs;
mod ssh;

use std::error::Error as _;

use portlayer::exec::ExecExt as _;
use portlayer::stream::Attached;

use super::*;
use guest::{Liar, Lie};

/// How long a client waits for the line of a container that has none.
const NO_LINE: Duration = Duration::from_secs(3);

/// The container next to which the others lie.
struct Honest {
    id: ContainerId,
    attached: Attached,
}

impl Honest {
    async fn start(endpoint: &Endpoint) -> Self {
        let id = endpoint.container("honest").await;
        let attach = endpoint.layer.streams();
        let attach = attach.attach(&id, AttachOptions::interactive().stderr(false));
        let mut attached = attach.await.unwrap();
        endpoint.start_liar(&id).await;
        read(&mut attached.output, "ready\n").await;
        Self { id, attached }
    }

    /// The line carries data in both directions.
    async fn echoes(&mut self, text: &str) {
        let input = self.attached.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).await.unwrap();
        read(&mut self.attached.output, text).await;
    }
}

impl Endpoint {
    async fn with_liars() -> (Self, Liar) {
        let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
        let lines = lines
            .connect_timeout(NO_LINE)
            .handshake_timeout(Duration::from_secs(1))
            .answer_timeout(Duration::from_secs(1));
        let address = lines.local_addr().unwrap();
        let liar = Liar::default();
        let endpoint = Self::with_lines(liar.clone(), Options::default(), lines, address).await;
        (endpoint, liar)
    }

    async fn start_liar(&self, id: &ContainerId) {
        let exec = self.layer.exec();
        let start = exec.start(id, StartOptions::default());
        timeout(LIMIT, start).await.unwrap().unwrap();
    }

    /// Creates and starts a container that lies.
    async fn liar(&self, lie: Lie) -> ContainerId {
        let command = Command::new(lie.path()).open_stdin(true);
        let spec = ContainerSpec::new(lie.path().trim_start_matches('/'), command);
        let id = self.layer.exec().create(spec).await.unwrap();
        self.start_liar(&id).await;
        id
    }

    /// Attaches to a container that lies, and returns the output and the error with its source.
    async fn attach_to_liar(&self, id: &ContainerId) -> (Vec<u8>, ErrorKind, String) {
        let streams = self.layer.streams();
        let attach = streams.attach(id, AttachOptions::interactive());
        let (output, error) = match timeout(LIMIT, attach).await.unwrap() {
            Ok(attached) => transfer::read_all(attached.output).await,
            Err(error) => (Vec::new(), Some(Box::new(error))),
        };
        let error = error.expect("the guest lies");
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        (output, error.kind.clone(), source)
    }
}

/// The guests never prove to have a key, so their containers have no line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_before_the_login_leave_only_the_liar_without_a_line() {
    let (endpoint, liar) = Endpoint::with_liars().await;
    let mut honest = Honest::start(&endpoint).await;
    for (lie, reason, limit) in [
        // Firmware and kernels print less than 32 MiB.
        (Lie::Noise, "33554432 bytes", 48 << 20),
        (Lie::Refusals, "(handshake)", 1 << 20),
        (Lie::Promises, "(handshake)", 1 << 20),
        (Lie::EndlessBanner, "ssh", 16 << 20),
        (Lie::HugePacket, "ssh", 16 << 20),
    ] {
        let id = endpoint.liar(lie).await;
        let attaching = endpoint.attach_to_liar(&id);
        let (attached, ()) = tokio::join!(attaching, honest.echoes("concurrently\n"));
        let (output, kind, source) = attached;
        assert!(output.is_empty());
        assert!(
            matches!(kind, ErrorKind::Timeout { .. }),
            "{lie:?}: {kind:?}"
        );
        assert!(source.contains(reason), "{lie:?}: {source}");
        assert!(source.len() < 1000, "{lie:?}: {source}");
        // What the server does not read, the guest cannot send, apart from the buffers between.
        let taken = liar.most_taken(lie);
        assert!(taken > 0 && taken < limit, "{lie:?}: {taken} bytes");
        honest.echoes("after it\n").await;
        endpoint.layer.exec().kill(&id).await.unwrap();
    }
    let state = endpoint
        .layer
        .exec()
        .inspect(&honest.id)
        .await
        .unwrap()
        .state;
    assert_eq!(state, portlayer::State::Running);
    endpoint.simulator.shutdown().await;
}

/// The guests have the keys of their machines, so clients can be attached to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_after_the_login_end_only_the_liars_streams() {
    let (endpoint, liar) = Endpoint::with_liars().await;
    let mut honest = Honest::start(&endpoint).await;
    for lie in Lie::AFTER_LOGIN {
        let id = endpoint.liar(lie).await;
        let attaching = endpoint.attach_to_liar(&id);
        let (attached, ()) = tokio::join!(attaching, honest.echoes("concurrently\n"));
        let (output, kind, source) = attached;
        match lie {
            Lie::NoChannel | Lie::NoSubsystem => {
                let is_reported = matches!(&kind, ErrorKind::GuestFailed { reason } if reason.contains("does not answer"));
                assert!(is_reported, "{lie:?}: {kind:?}");
                assert!(source.contains("within 1s"), "{lie:?}: {source}");
            }
            _ => {
                let is_lost = matches!(kind, ErrorKind::Unavailable { .. });
                assert!(is_lost, "{lie:?}: {kind:?}");
                assert!(source.contains("was lost"), "{lie:?}: {source}");
            }
        }
        if let Lie::PacketInSession | Lie::HugeRequest = lie {
            assert!(source.contains("ssh"), "{lie:?}: {source}");
        }
        assert!(source.len() < 1000, "{lie:?}: {source}");
        // A client that reads lets the guest send more, until it exceeds its window.
        assert!(lie == Lie::Flood || output.len() <= 6, "{lie:?}");
        let taken = liar.most_taken(lie);
        assert!(taken < 16 << 20, "{lie:?}: {taken} bytes");
        honest.echoes("after it\n").await;
        endpoint.layer.exec().kill(&id).await.unwrap();
    }
    endpoint.simulator.shutdown().await;
}

/// A long name of a signal fits into a packet. It is not kept, and the output is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_large_payload_is_the_end_of_its_session_only() {
    let (endpoint, _liar) = Endpoint::with_liars().await;
    let mut honest = Honest::start(&endpoint).await;
    let id = endpoint.liar(Lie::LargeRequest).await;
    let streams = endpoint.layer.streams();
    let attach = streams.attach(&id, AttachOptions::output());
    let attached = timeout(LIMIT, attach).await.unwrap().unwrap();
    let (output, error) = transfer::read_all(attached.output).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(output, b"ready\n");
    honest.echoes("after it\n").await;
    endpoint.simulator.shutdown().await;
}
