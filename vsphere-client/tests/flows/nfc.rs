//! Flows that import machines under NFC leases.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use vim25::types::{
    ImportSpec, ParaVirtualSCSIController, VirtualController, VirtualDevice,
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualMachineConfigSpec, VirtualMachineFileInfo, VirtualMachineImportSpec,
    VirtualSCSIController, VirtualSCSISharing,
};
use vim25::{Call, Poly, Ref, mo, props};
use vsphere_client::{Client, Error, TransportProblem};

/// Returns the call that imports a machine with this name and one empty disk.
async fn import(client: &Client, name: &str) -> Call<Ref<mo::HttpNfcLease>> {
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    import_to(client, name, datastore.name()).await
}

async fn import_to(client: &Client, name: &str, datastore: &str) -> Call<Ref<mo::HttpNfcLease>> {
    let datacenter = client.inventory().datacenter(None).await.unwrap();
    let pools = client
        .retrieve::<mo::ResourcePool>()
        .property(props::resource_pool::NAME)
        .within(&client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let pool = pools.first().unwrap().object().clone();
    let add = |device: Poly<VirtualDevice>, file| {
        Poly::new(VirtualDeviceConfigSpec {
            operation: Some(VirtualDeviceConfigSpecOperation::Add),
            file_operation: file,
            device,
            ..Default::default()
        })
    };
    let controller = ParaVirtualSCSIController {
        base: VirtualSCSIController {
            base: VirtualController {
                base: VirtualDevice {
                    key: 1000,
                    ..Default::default()
                },
                ..Default::default()
            },
            shared_bus: VirtualSCSISharing::NoSharing,
            ..Default::default()
        },
    };
    let disk = VirtualDisk {
        base: VirtualDevice {
            key: -1,
            controller_key: Some(1000),
            unit_number: Some(0),
            backing: Some(Poly::new(VirtualDiskFlatVer2BackingInfo {
                disk_mode: "persistent".into(),
                thin_provisioned: Some(true),
                ..Default::default()
            })),
            ..Default::default()
        },
        capacity_in_kb: 1024,
        ..Default::default()
    };
    let create = VirtualDeviceConfigSpecFileOperation::Create;
    let config_spec = VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some("otherGuest64".into()),
        num_cpus: Some(1),
        memory_mb: Some(32),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        })),
        device_change: vec![
            add(Poly::new(controller), None),
            add(Poly::new(disk), Some(create)),
        ],
        ..Default::default()
    };
    let spec: Poly<ImportSpec> = Poly::new(VirtualMachineImportSpec {
        config_spec,
        ..Default::default()
    });
    pool.import_vapp(&spec, Some(datacenter.vm_folder()), None)
}

async fn destroy(client: &Client, entity: &Ref<mo::ManagedEntity>) {
    client.run(entity.destroy()).await.unwrap();
}

fn pieces(content: &[u8]) -> impl futures_core::Stream<Item = std::io::Result<Bytes>> + use<> {
    let pieces: Vec<_> = content
        .chunks(10_000)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    futures_util::stream::iter(pieces)
}

/// Returns the contents of an empty disk, as a streamOptimized VMDK.
fn disk() -> Vec<u8> {
    let options = disk_image::StreamOptions::new();
    let writer = disk_image::vmdk::StreamWriter::new(Vec::new(), 1 << 20, &options).unwrap();
    writer.finish().unwrap()
}

pub(crate) async fn a_machine_is_imported_under_a_lease(url: &str) {
    let client = super::client(url).await;
    let lease = client
        .lease(import(&client, "imported").await)
        .await
        .unwrap();
    let [device] = lease.devices() else {
        panic!("{:?}", lease.devices());
    };
    assert!(device.is_disk());
    let content = disk();
    let length = content.len() as u64;
    lease.announce(length);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&seen);
    let sent = lease
        .upload_stream(device, pieces(&content), Some(length))
        .with_checksum()
        .on_progress(move |progress| listener.lock().unwrap().push(progress.bytes))
        .await
        .unwrap();
    assert_eq!((sent.bytes, &*sent.key), (length, device.key()));
    assert_eq!(seen.lock().unwrap().last(), Some(&length));
    lease
        .check_manifest(std::slice::from_ref(&sent))
        .await
        .unwrap();
    let mut other = sent.clone();
    other.bytes += 1;
    assert!(lease.check_manifest(&[other]).await.is_err());

    let entity = lease.complete().await.unwrap();
    let name = client
        .get(&entity, props::managed_entity::NAME)
        .await
        .unwrap();
    assert_eq!(name, "imported");
    destroy(&client, &entity).await;
    client.close().await.unwrap();
}

/// Not run against vcsim, which crashes because of such a specification.
pub(crate) async fn a_lease_that_never_becomes_ready_says_why(url: &str) {
    let client = super::client(url).await;
    let nowhere = import_to(&client, "nowhere", "no-such-datastore").await;
    let error = client.lease(nowhere).await.unwrap_err();
    assert!(error.server_fault().is_some(), "{error:?}");
    assert!(error.to_string().contains("ImportVApp"), "{error}");
    client.close().await.unwrap();
}

pub(crate) async fn an_import_that_fails_leaves_no_lease(url: &str) {
    let client = super::client(url).await;
    let lease = client.lease(import(&client, "fails").await).await.unwrap();
    let entity = lease.entity().clone();

    // A source that ends too early is reported as such, not as an error of the server.
    let content = disk();
    let length = content.len() as u64;
    let device = lease.devices().first().unwrap();
    let short = pieces(&content[..content.len() / 2]);
    let error = lease.upload_stream(device, short, Some(length)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                problem: TransportProblem::Source,
                ..
            }
        ),
        "{error:?}"
    );
    let named = format!("{lease:?}");
    let (_, named) = named.split_once("HttpNfcLease:").unwrap();
    let reference = named.split([',', ' ']).next().unwrap();
    let reference: Ref<mo::HttpNfcLease> = Ref::new(reference);
    drop(lease);
    // The lease is aborted in the background.
    let gone = async {
        let state = props::http_nfc_lease::STATE;
        while client
            .get(&reference, state)
            .await
            .is_ok_and(|state| state.as_str() == "ready")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
    // vcsim keeps the machine of an aborted import.
    if client
        .get(&entity, props::managed_entity::NAME)
        .await
        .is_ok()
    {
        destroy(&client, &entity).await;
    }
    client.close().await.unwrap();
}

/// Sends a disk so slowly that it takes `pieces` progress reports, of which `reports` returns the
/// number that the server has answered.
pub(crate) async fn a_slow_upload_keeps_its_lease(
    url: &str,
    pieces: usize,
    reports: impl Fn() -> u64 + Send + 'static,
) {
    let client = super::client(url).await;
    let lease = client.lease(import(&client, "slow").await).await.unwrap();
    let device = lease.devices().first().unwrap();
    let content = disk();
    let length = content.len() as u64;
    let size = content.len().div_ceil(pieces);
    let all: Vec<_> = content.chunks(size).map(Bytes::copy_from_slice).collect();
    assert_eq!(all.len(), pieces);
    let state = (all.into_iter(), reports);
    let slow = futures_util::stream::unfold(state, |(mut rest, reports)| async move {
        let piece = rest.next()?;
        let earlier = reports();
        while reports() == earlier {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some((Ok(piece), (rest, reports)))
    });
    let sent = lease.upload_stream(device, slow, Some(length)).await;
    assert_eq!(sent.unwrap().bytes, length);
    let entity = lease.complete().await.unwrap();
    destroy(&client, &entity).await;
    client.close().await.unwrap();
}
