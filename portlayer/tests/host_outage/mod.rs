//! ESXi hosts that stop responding to their vCenter, and come back.

use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Exec, StartOptions, StopOptions};
use portlayer::vsphere::Dialect;
use portlayer::{ContainerId, Error, ErrorKind, ExitStatus, State};
use simulator::{Program, Simulator, Tether, Topology};

use crate::{Endpoint, spec};

/// The host of the vCenter's only cluster.
const HOST: &str = "DC0_C0_H0";

async fn vcenter() -> Endpoint {
    let simulator = Simulator::builder()
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .guest(Tether::new().program("/run", Program::forever()))
        .start()
        .await
        .unwrap();
    let spec = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    Endpoint::install(simulator, Dialect::Vic1, spec).await
}

/// Returns once the state of the container matches.
async fn becomes(exec: &impl Exec, id: &ContainerId, expected: fn(&State) -> bool) {
    let seen = async {
        while !expected(&exec.inspect(id).await.unwrap().state) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_outage_of_a_host_ends_nothing() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let container = ContainerSpec::new("cut-off", Command::new("/run"));
    let id = exec.create(container).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();

    let wait = exec.wait(&id);
    tokio::pin!(wait);
    endpoint.simulator.set_host_responding(HOST, false).unwrap();
    let unknown = becomes(&exec, &id, |state| matches!(state, State::Unknown { .. }));
    tokio::select! {
        ended = &mut wait => panic!("the wait ended: {ended:?}"),
        () = unknown => {}
    }
    // Nothing can be done to the container now, and the error says that it may work later.
    let stopped = exec.stop(&id, StopOptions::AT_ONCE).await;
    assert!(
        matches!(
            stopped,
            Err(Error {
                kind: ErrorKind::Unavailable { .. },
                ..
            })
        ),
        "{stopped:?}"
    );

    endpoint.simulator.set_host_responding(HOST, true).unwrap();
    becomes(&exec, &id, |state| matches!(state, State::Running)).await;
    let (ended, stopped) = tokio::join!(wait, exec.stop(&id, StopOptions::AT_ONCE));
    assert_eq!(stopped.unwrap(), ExitStatus::KILLED);
    assert_eq!(ended.unwrap(), ExitStatus::KILLED);
}
