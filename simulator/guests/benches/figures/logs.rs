//! Many readers of one growing log.

use futures_util::StreamExt as _;
use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::stream::{AttachOptions, LogOptions};
use portlayer::vsphere::LineServer;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::endpoint::{Endpoint, open};
use super::line;

/// The number of pieces that are written to the log.
const PIECES: usize = 64;
const PIECE: usize = 64 << 10;

/// Counts the requests by which one reader, and 100 of them, follow a log of eight megabytes.
pub(super) async fn measure() {
    let one = follow(1).await;
    let hundred = follow(100).await;
    // All readers share what one of them reads. How the file is divided into requests depends on how
    // fast it grows.
    let added = hundred.saturating_sub(one);
    line(
        "requests by which a log of 8 MB is followed",
        "the same for 100 readers as for one, and at most 10 more",
        &format!("{one} for one reader, {hundred} for 100"),
        added <= 10,
    );
}

/// Returns the number of requests for the file while it is followed.
async fn follow(readers: usize) -> u64 {
    let server = LineServer::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let endpoint = Endpoint::start(&address).await;
    let layer = open(&endpoint.url, &endpoint.thumbprint, server).await;
    let spec = ContainerSpec::new("talks", Command::new("/echo").open_stdin(true));
    let id = layer.exec().create(spec).await.unwrap();
    layer.exec().start(&id, StartOptions::new()).await.unwrap();
    let mut client = layer
        .streams()
        .attach(&id, AttachOptions::interactive())
        .await
        .unwrap();
    let requests = || {
        let calls = endpoint.simulator.script().calls();
        calls.get("GET /folder").copied().unwrap_or(0)
    };
    let before = requests();
    let mut following = JoinSet::new();
    for _ in 0..readers {
        let log = layer.streams().logs(&id, LogOptions::new().follow());
        let mut log = log.await.unwrap();
        following.spawn(async move {
            let mut bytes = 0;
            while let Some(record) = log.next().await {
                bytes += record.unwrap().bytes.len();
            }
            bytes
        });
    }
    let mut output = client.output;
    let reading = tokio::spawn(async move { while output.next().await.is_some() {} });
    let mut input = client.input.take().unwrap();
    let piece = vec![b'x'; PIECE];
    for _ in 0..PIECES {
        input.write_all(&piece).await.unwrap();
    }
    input.shutdown().await.unwrap();
    reading.await.unwrap();
    layer.exec().wait(&id).await.unwrap();
    while let Some(bytes) = following.join_next().await {
        // Both outputs, and the greeting and the farewell.
        assert_eq!(bytes.unwrap(), 2 * PIECES * PIECE + 10);
    }
    let count = requests() - before;
    endpoint.simulator.shutdown().await;
    count
}
