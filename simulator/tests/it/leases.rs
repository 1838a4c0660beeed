//! Tests of importing and exporting machines with their disks.

use std::io::Read as _;
use std::time::Duration;

use disk_image::Sink as _;
use disk_image::vmdk::{StreamOptions, StreamWriter};
use simulator::{Platform, Reaction, Simulator};
use vim25::types::{
    HttpNfcLeaseInfo, HttpNfcLeaseManifestEntry, HttpNfcLeaseState, InvalidState,
    LocalizedMethodFault, NoDiskSpace, ParaVirtualSCSIController, RequestCanceled, TaskInProgress,
    Timedout, VirtualDisk, VirtualMachineImportSpec, VirtualSCSISharing,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{add, disk_of, spec};

const SIZE: u64 = 64 << 20;

/// Returns a streamOptimized disk of 64 MiB that contains a few bytes.
fn packed() -> Vec<u8> {
    let mut writer = StreamWriter::new(Vec::new(), SIZE, &StreamOptions::new()).unwrap();
    writer.put(0, b"first").unwrap();
    writer.put(SIZE / 2, &vec![7; 200_000]).unwrap();
    writer.put(SIZE - 4, b"last").unwrap();
    writer.finish().unwrap()
}

fn import_spec(name: &str) -> Poly<vim25::types::ImportSpec> {
    let mut scsi = ParaVirtualSCSIController::default();
    scsi.key = -1;
    scsi.shared_bus = VirtualSCSISharing::NoSharing;
    let mut spec = spec(name, &[].into());
    spec.files = None;
    spec.device_change = vec![disk_of(64 << 10, -1, None), add(scsi, None)];
    Poly::new(VirtualMachineImportSpec {
        config_spec: spec,
        ..Default::default()
    })
}

async fn import(client: &Client, name: &str) -> Ref<mo::HttpNfcLease> {
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let call = pool.import_vapp(&import_spec(name), None, None);
    client.call(call).await.unwrap()
}

/// Waits until a lease has left the state `initializing`; returns its state.
async fn settled(client: &Client, lease: &Ref<mo::HttpNfcLease>) -> HttpNfcLeaseState {
    loop {
        let state: HttpNfcLeaseState = client.get(lease, "state").await;
        if state != HttpNfcLeaseState::Initializing {
            return state;
        }
        tokio::task::yield_now().await;
    }
}

async fn ready(client: &Client, lease: &Ref<mo::HttpNfcLease>) -> HttpNfcLeaseInfo {
    assert_eq!(settled(client, lease).await, HttpNfcLeaseState::Ready);
    client.get(lease, "info").await
}

fn url(simulator: &Simulator, info: &HttpNfcLeaseInfo) -> String {
    let host = simulator.address().to_string();
    info.device_url[0].url.replace('*', &host)
}

async fn machines(client: &Client) -> usize {
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let children: Vec<Ref<mo::ManagedEntity>> = client.get(&folder, "childEntity").await;
    children.len()
}

fn files(simulator: &Simulator) -> usize {
    std::fs::read_dir(simulator.datastore_directory())
        .unwrap()
        .count()
}

#[tokio::test]
async fn a_machine_is_imported_and_exported_with_its_disk() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let lease = import(&client, "a").await;
    let info = ready(&client, &lease).await;
    let [device] = info.device_url.as_slice() else {
        panic!("{info:?}");
    };
    assert_eq!(device.import_key, "/a/ParaVirtualSCSIController0:0");
    assert_eq!(device.target_id.as_deref(), Some("disk-0.vmdk"));
    assert!(device.url.starts_with("https://*/nfc/"), "{}", device.url);
    assert_eq!(info.lease_timeout, 300);
    assert_eq!(info.total_disk_capacity_in_kb, 64 << 10);
    let vm: Ref<mo::VirtualMachine> = Ref::new(info.entity.value());
    // The machine cannot be used before the lease ends.
    let fault = client.run(vm.power_on_vm(None)).await.unwrap_err();
    assert!(fault.is::<TaskInProgress>(), "{fault}");

    let stream = packed();
    let url = url(&simulator, &info);
    // Upload in chunks, without a `Content-Length`.
    let chunks: Vec<_> = stream
        .chunks(10_000)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let sent = client.http().post(&url).body(body).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    client
        .call(lease.http_nfc_lease_progress(50))
        .await
        .unwrap();
    // Upload again with a `Content-Length`, like a client that lost the response.
    let sent = client
        .http()
        .put(&url)
        .body(stream.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    let manifest: Vec<HttpNfcLeaseManifestEntry> = client
        .call(lease.http_nfc_lease_get_manifest())
        .await
        .unwrap();
    let [entry] = manifest.as_slice() else {
        panic!("{manifest:?}");
    };
    assert_eq!(entry.key, device.key);
    assert_eq!(entry.size, i64::try_from(stream.len()).unwrap());
    assert_eq!(entry.capacity, Some(64 << 20));
    client.call(lease.http_nfc_lease_complete()).await.unwrap();
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Done);
    let fault = client
        .call(lease.http_nfc_lease_complete())
        .await
        .unwrap_err()
        .fault();
    assert!(fault.is::<InvalidState>(), "{fault}");
    let gone = client.http().put(&url).body(stream).send().await.unwrap();
    assert_eq!(gone.status(), 404);

    let flat = simulator.datastore_directory().join("a/a-flat.vmdk");
    let mut flat = std::fs::File::open(flat).unwrap();
    assert_eq!(flat.metadata().unwrap().len(), SIZE);
    let mut first = [0; 6];
    flat.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first\0");

    let lease = client.call(vm.export_vm()).await.unwrap();
    let info = ready(&client, &lease).await;
    assert!(info.device_url[0].import_key.is_empty());
    let url = self::url(&simulator, &info);
    let answer = client.http().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let out = answer.bytes().await.unwrap();
    assert!(out.starts_with(b"KDMV"));
    client.call(lease.http_nfc_lease_complete()).await.unwrap();
    // Importing the exported disk results in the same content.
    let lease = import(&client, "b").await;
    let info = ready(&client, &lease).await;
    let url = self::url(&simulator, &info);
    let sent = client.http().post(&url).body(out).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    client.call(lease.http_nfc_lease_complete()).await.unwrap();
    let read = |name: &str| std::fs::read(simulator.datastore_directory().join(name)).unwrap();
    assert!(
        read("a/a-flat.vmdk") == read("b/b-flat.vmdk"),
        "the disk has changed"
    );
    client.run(vm.power_on_vm(None)).await.unwrap();
    let fault = client.call(vm.export_vm()).await.unwrap_err().fault();
    assert!(fault.is::<InvalidState>(), "{fault}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_import_that_is_given_up_leaves_nothing() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let lease = import(&client, "a").await;
    let info = ready(&client, &lease).await;
    let url = url(&simulator, &info);
    for bad in [b"no disk".to_vec(), packed()[..70_000].to_vec()] {
        let sent = client.http().post(&url).body(bad).send().await.unwrap();
        assert_eq!(sent.status(), 500);
    }
    // Start an upload that is still in progress when the lease ends.
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let body = reqwest::Body::wrap_stream(body);
    let uploading = tokio::spawn(client.http().post(&url).body(body).send());
    sender.send(Ok(packed()[..70_000].to_vec())).await.unwrap();
    while std::fs::read_dir(simulator.datastore_directory().join("a"))
        .unwrap()
        .count()
        < 4
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.call(lease.http_nfc_lease_abort(None)).await.unwrap();
    let refused = uploading.await.unwrap();
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 500));
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<RequestCanceled>());
    while machines(&client).await > 0 || files(&simulator) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(sender);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_disk_keeps_the_entry_of_its_stream_that_protects_it() {
    for honours in [true, false] {
        let platform = Platform {
            destroy_honours_ddb_deletable: honours,
            ..Platform::default()
        };
        let builder = Simulator::builder().platform(platform);
        let simulator = builder.start().await.unwrap();
        let client = Client::login(&simulator).await;
        let options = StreamOptions::new().database("ddb.deletable", "false");
        let writer = StreamWriter::new(Vec::new(), SIZE, &options).unwrap();
        let stream = writer.finish().unwrap();
        for (name, complete) in [("a", true), ("b", false)] {
            let lease = import(&client, name).await;
            let info = ready(&client, &lease).await;
            let url = url(&simulator, &info);
            let sent = client.http().post(&url).body(stream.clone()).send();
            assert_eq!(sent.await.unwrap().status(), 200);
            if complete {
                client.call(lease.http_nfc_lease_complete()).await.unwrap();
                let vm: Ref<mo::VirtualMachine> = Ref::new(info.entity.value());
                client.run(vm.destroy()).await.unwrap();
            } else {
                client.call(lease.http_nfc_lease_abort(None)).await.unwrap();
            }
            assert_eq!(machines(&client).await, 0);
            let file = simulator.datastore_directory().join(name);
            let file = file.join(format!("{name}.vmdk"));
            assert_eq!(file.exists(), honours, "{name}");
        }
        simulator.shutdown().await;
    }
}

#[tokio::test]
async fn a_lease_without_progress_times_out() {
    let builder = Simulator::builder().lease_timeout(Duration::from_millis(50));
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let lease = import(&client, "a").await;
    while client.get::<HttpNfcLeaseState>(&lease, "state").await != HttpNfcLeaseState::Error {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<Timedout>());
    assert_eq!((machines(&client).await, files(&simulator)), (0, 0));
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_lease_is_timed_out_on_demand() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let lease = import(&client, "a").await;
    ready(&client, &lease).await;
    let done = import(&client, "b").await;
    ready(&client, &done).await;
    client.call(done.http_nfc_lease_complete()).await.unwrap();
    simulator.time_out_leases();
    simulator.time_out_leases();
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<Timedout>());
    assert_eq!(settled(&client, &done).await, HttpNfcLeaseState::Done);
    assert_eq!((machines(&client).await, files(&simulator)), (1, 1));
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_datastore_that_becomes_full_during_an_upload_ends_the_lease() {
    const CAPACITY: u64 = 256 << 10;
    let builder = Simulator::builder().datastore_capacity(CAPACITY);
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-datastore");
    let datastores: Vec<Ref<mo::ManagedEntity>> = client.get(&folder, "childEntity").await;
    let datastore: Ref<mo::Datastore> = Ref::new(datastores[0].value());
    let free = async || {
        client.call(datastore.refresh_datastore()).await.unwrap();
        client.get::<i64>(&datastore, "summary.freeSpace").await
    };
    assert_eq!(free().await, CAPACITY as i64);
    let capacity: i64 = client.get(&datastore, "summary.capacity").await;
    assert_eq!(capacity, CAPACITY as i64);

    let lease = import(&client, "a").await;
    let info = ready(&client, &lease).await;
    assert!(free().await < CAPACITY as i64);
    let url = url(&simulator, &info);
    let sent = client.http().post(&url).body(packed()).send().await;
    // The server closes the connection without reading the rest.
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status() == 500));
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    let full: NoDiskSpace = Fault::from(error).get().unwrap().unwrap();
    assert_eq!(full.datastore, "datastore1");
    assert!(full.base.file.ends_with("a/a.vmdk"), "{}", full.base.file);
    assert_eq!((machines(&client).await, files(&simulator)), (0, 0));
    assert_eq!(free().await, CAPACITY as i64);

    // A file and a new machine need space, too.
    let put = |bytes: usize| {
        let url = client.file_url("file");
        let request = client.http().put(url).body(vec![7; bytes]);
        request.basic_auth("root", Some("vmware")).send()
    };
    assert_eq!(put(300 << 10).await.unwrap().status(), 500);
    assert_eq!(files(&simulator), 0);
    assert_eq!(put(256 << 10).await.unwrap().status(), 201);
    let lease = import(&client, "a").await;
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<NoDiskSpace>());
    assert_eq!((machines(&client).await, files(&simulator)), (0, 1));
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_import_that_cannot_be_says_why() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let fault = Fault::new("no room", NoDiskSpace::default());
    simulator
        .script()
        .next("ImportVApp", Reaction::TaskFault(fault));
    let lease = import(&client, "a").await;
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<NoDiskSpace>());
    assert_eq!((machines(&client).await, files(&simulator)), (0, 0));
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_import_is_given_up_before_it_is_ready() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let slow = Reaction::SlowTask(Duration::from_millis(50));
    simulator.script().next("ImportVApp", slow);
    let lease = import(&client, "a").await;
    let fault = client.call(lease.http_nfc_lease_complete()).await;
    assert!(fault.unwrap_err().fault().is::<InvalidState>());
    client.call(lease.http_nfc_lease_abort(None)).await.unwrap();
    assert_eq!(settled(&client, &lease).await, HttpNfcLeaseState::Error);
    // Import another machine after the time at which the aborted import would have created its
    // machine: there is only the new machine.
    tokio::time::sleep(Duration::from_millis(60)).await;
    let next = import(&client, "b").await;
    ready(&client, &next).await;
    while files(&simulator) > 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(machines(&client).await, 1);
    let error: LocalizedMethodFault = client.get(&lease, "error").await;
    assert!(Fault::from(error).is::<RequestCanceled>());
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_disk_of_a_machine_that_is_on_is_locked() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let lease = import(&client, "a").await;
    let info = ready(&client, &lease).await;
    client.call(lease.http_nfc_lease_complete()).await.unwrap();
    let vm: Ref<mo::VirtualMachine> = Ref::new(info.entity.value());
    let get = || {
        let url = client.file_url("a/a-flat.vmdk");
        let request = client.http().head(url);
        request.basic_auth("root", Some("vmware")).send()
    };
    assert_eq!(get().await.unwrap().status(), 200);
    client.run(vm.power_on_vm(None)).await.unwrap();
    assert_eq!(get().await.unwrap().status(), 500);
    client.run(vm.power_off_vm()).await.unwrap();
    assert_eq!(get().await.unwrap().status(), 200);
    let disk: VirtualDisk = client.get(&vm, "config.hardware.device[2000]").await;
    assert_eq!(disk.capacity_in_kb, 64 << 10);
    simulator.shutdown().await;
}
