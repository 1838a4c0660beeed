//! Transfers straight to a host, with the simulator as vCenter and as its host.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use simulator::{Reaction, Simulator};
use vim25::types::NotSupported;
use vim25::{Fault, Property, Ref, mo, props};
use vsphere_client::{Client, Datastore, Error};

mod connected;

const THUMBPRINT: Property<mo::HostSystem, String> = Property::new("summary.config.sslThumbprint");

async fn start() -> (Simulator, Client, Datastore, Vec<Ref<mo::HostSystem>>) {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = connected::client(&simulator).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    let mounts = client
        .get(datastore.reference(), props::datastore::HOST)
        .await
        .unwrap();
    let hosts: Vec<_> = mounts.into_iter().map(|mount| mount.key).collect();
    assert!(!hosts.is_empty());
    let address = simulator
        .url()
        .trim_start_matches("https://")
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    for host in &hosts {
        simulator
            .set_property(host, Property::new("name"), &address)
            .unwrap();
        simulator
            .set_property(host, THUMBPRINT, &simulator.thumbprint().to_owned())
            .unwrap();
    }
    (simulator, client, datastore, hosts)
}

/// Returns the numbers of tickets, and of requests for files.
fn counts(simulator: &Simulator) -> [u64; 3] {
    let calls = simulator.script().calls();
    ["AcquireGenericServiceTicket", "GET /folder", "PUT /folder"]
        .map(|name| calls.get(name).copied().unwrap_or_default())
}

#[tokio::test]
async fn each_transfer_has_a_ticket_of_its_own() {
    let (simulator, client, datastore, _) = start().await;
    let files = client.files(&datastore).direct(true);
    files.make_directory("direct", true).await.unwrap();
    let content = vec![7_u8; 300_000];
    let upload = files.upload_bytes("direct/a+b c.iso", content.clone());
    upload.await.unwrap();
    let download = files.download("direct/a+b c.iso").await.unwrap();
    assert_eq!(download.read_to_end(1 << 20).await.unwrap(), content);
    let part = files.read_part("direct/a+b c.iso", 10, 5).await.unwrap();
    assert_eq!((part.bytes.len(), part.total), (5, 300_000));
    assert_eq!(counts(&simulator), [3, 2, 1]);
    let error = files.download("direct/none").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");

    // The hosts and their certificates are read once: their objects' properties, and the datastore's.
    let reads = || simulator.script().calls()["RetrievePropertiesEx"];
    let read = reads();
    let again = files.download("direct/a+b c.iso").await.unwrap();
    assert_eq!(again.read_to_end(1 << 20).await.unwrap(), content);
    assert_eq!(reads(), read);

    // A failed request is repeated with a new ticket.
    let before = counts(&simulator)[0];
    let script = simulator.script();
    script.next("GET /folder", Reaction::HttpStatus(503));
    let download = files.download("direct/a+b c.iso").await.unwrap();
    assert_eq!(download.read_to_end(1 << 20).await.unwrap(), content);
    assert_eq!(counts(&simulator)[0], before + 2);

    // Through vCenter by default.
    let through = client.files(&datastore);
    through.upload_bytes("direct/b", "text").await.unwrap();
    assert_eq!(counts(&simulator)[0], before + 2);
    client.close().await.unwrap();
    simulator.shutdown().await;
}

/// Nothing is sent to a host with another certificate than vCenter reports.
#[tokio::test]
async fn a_host_that_cannot_be_trusted_or_reached_is_passed_by() {
    let (simulator, client, datastore, hosts) = start().await;
    let files = client.files(&datastore).direct(true);
    for host in &hosts {
        let other = ["AB"; 32].join(":");
        simulator.set_property(host, THUMBPRINT, &other).unwrap();
    }
    files.upload_bytes("a", "wrong certificate").await.unwrap();
    assert_eq!(counts(&simulator), [0, 0, 1]);
    for host in &hosts {
        // A port on which nobody listens.
        let nobody = "127.0.0.1:1".to_owned();
        simulator
            .set_property(host, Property::new("name"), &nobody)
            .unwrap();
    }
    let download = files.download("a").await.unwrap();
    assert_eq!(
        download.read_to_end(100).await.unwrap(),
        "wrong certificate"
    );
    assert_eq!(counts(&simulator), [0, 1, 1]);
    client.close().await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn without_tickets_files_go_through_vcenter() {
    let (simulator, client, datastore, _) = start().await;
    let files = client.files(&datastore).direct(true);
    let fault = Fault::new("no tickets", NotSupported::default());
    let script = simulator.script();
    script.always("AcquireGenericServiceTicket", Reaction::Fault(fault));
    files.upload_bytes("a", "text").await.unwrap();
    let download = files.download("a").await.unwrap();
    assert_eq!(download.read_to_end(100).await.unwrap(), "text");
    client.close().await.unwrap();
    simulator.shutdown().await;
}
