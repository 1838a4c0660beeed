//! Tests of the tickets for consoles of machines.

use crate::client::{Client, Failure};
use crate::vcenter::typed;
use simulator::{Simulator, Topology};
use vim25::types::{InvalidArgument, InvalidPowerState, VirtualMachinePowerState};
use vim25::{Ref, mo};

type Vm = Ref<mo::VirtualMachine>;

async fn start() -> (Simulator, Client, Vm) {
    let topology = Topology::vcenter().machines(1);
    let simulator = Simulator::builder().topology(topology).start();
    let simulator = simulator.await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = typed(&client, "DC0/vm/DC0_H0_VM0").await;
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    if state == VirtualMachinePowerState::PoweredOff {
        client.run(vm.power_on_vm(None)).await.unwrap();
    }
    (simulator, client, vm)
}

/// Opens the console of a ticket; returns the status.
async fn open(simulator: &Simulator, client: &Client, ticket: &str) -> u16 {
    let url = format!("https://{}/ticket/{ticket}", simulator.address());
    let answer = client.http().get(url).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_ticket_names_its_machine_and_is_valid_once() {
    let (simulator, client, vm) = start().await;
    let host: Ref<mo::HostSystem> = client.get(&vm, "runtime.host").await;
    let thumbprint: String = client.get(&host, "summary.config.sslThumbprint").await;
    let path: String = client.get(&vm, "summary.config.vmPathName").await;
    let (_, path) = path.split_once("] ").unwrap();
    for kind in ["webmks", "mks", "device", "guestControl", "webRemoteDevice"] {
        let ticket = client.call(vm.acquire_ticket(kind)).await.unwrap();
        assert!(ticket.cfg_file.starts_with("/vmfs/volumes/"), "{ticket:?}");
        assert!(ticket.cfg_file.ends_with(&format!("/{path}")), "{ticket:?}");
        let (host, port) = (ticket.host.unwrap(), ticket.port.unwrap());
        assert_eq!(format!("{host}:{port}"), simulator.address().to_string());
        assert_eq!(ticket.ssl_thumbprint.as_ref(), Some(&thumbprint));
        let url = format!("wss://{host}:{port}/ticket/{}", ticket.ticket);
        assert_eq!(ticket.url, (kind == "webmks").then_some(url));
        // There is no console behind it, and the server says so.
        assert_eq!(open(&simulator, &client, &ticket.ticket).await, 501);
        assert_eq!(open(&simulator, &client, &ticket.ticket).await, 404);
    }
    let old = client.call(vm.acquire_mks_ticket()).await.unwrap();
    assert_eq!(old.port, Some(simulator.address().port().into()));
    assert_eq!(open(&simulator, &client, &old.ticket).await, 501);
    assert_eq!(open(&simulator, &client, "guessed").await, 404);
    simulator.shutdown().await;
}

#[tokio::test]
async fn only_a_machine_that_is_on_has_a_console() {
    let (simulator, client, vm) = start().await;
    let fault = client.call(vm.acquire_ticket("vnc")).await;
    let fault = fault.map(drop).unwrap_err().fault();
    assert!(fault.is::<InvalidArgument>(), "{fault}");
    client.run(vm.suspend_vm()).await.unwrap();
    let suspended = client.call(vm.acquire_ticket("webmks")).await.map(drop);
    client.run(vm.power_off_vm()).await.unwrap();
    let off = client.call(vm.acquire_ticket("webmks")).await.map(drop);
    let old = client.call(vm.acquire_mks_ticket()).await.map(drop);
    for refused in [suspended, off, old] {
        let fault = refused.map_err(Failure::fault).unwrap_err();
        assert!(fault.is::<InvalidPowerState>(), "{fault}");
    }
    simulator.shutdown().await;
}
