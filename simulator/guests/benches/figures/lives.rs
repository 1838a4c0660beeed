//! Lives of containers with a trivial program.

use std::time::{Duration, Instant};

use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::vsphere::LineServer;
use portlayer::{ExitStatus, PortLayer};

use super::endpoint::{Endpoint, open};
use super::{line, setting};

const TARGET: Duration = Duration::from_millis(30);

async fn live(layer: &PortLayer) -> Duration {
    let exec = layer.exec();
    let begun = Instant::now();
    let spec = ContainerSpec::new("job", Command::new("/exit").arg("0"));
    let id = exec.create(spec).await.unwrap();
    exec.start(&id, StartOptions::default()).await.unwrap();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(0));
    let took = begun.elapsed();
    exec.remove(&id).await.unwrap();
    took
}

/// Measures lives one after the other.
pub(super) async fn measure() {
    let server = LineServer::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let endpoint = Endpoint::start(&address).await;
    let layer = open(&endpoint.url, &endpoint.thumbprint, server).await;
    live(&layer).await;
    endpoint.guest.ran.lock().unwrap().clear();
    let mut whole = Vec::new();
    for _ in 0..setting("LIVES", 100) {
        whole.push(live(&layer).await);
    }
    let mut guest = endpoint.guest.ran.lock().unwrap().clone();
    show(
        "process guest: boot to exit of a trivial program",
        &mut guest,
    );
    show("the same, create to exit with the port layer", &mut whole);
    drop(layer);
    endpoint.simulator.shutdown().await;
}

fn show(measure: &str, took: &mut [Duration]) {
    took.sort_unstable();
    let (median, last) = (took[took.len() / 2], took[took.len() - 1]);
    let first = took[0];
    line(
        measure,
        "30 ms",
        &format!("{median:.1?}, {first:.1?} to {last:.1?}"),
        median < TARGET,
    );
}
