//! Tests of `VirtualDiskManager`: what it tells of a disk, and how it keeps it in shape.

use simulator::{Simulator, Topology};
use vim25::types::{FileBackedVirtualDiskSpec, InvalidArgument, VirtualDiskSpec};
use vim25::{Poly, Ref, mo};

use crate::client::Client;

const DISK: &str = "[datastore1] kept.vmdk";
const UUID: &str = "60 00 C2 9a 01 02 03 04-05 06 07 08 09 0a 0b 0c";

fn thin() -> Poly<VirtualDiskSpec> {
    let mut spec = FileBackedVirtualDiskSpec::default();
    spec.capacity_kb = 16 << 10;
    spec.disk_type = "thin".into();
    spec.adapter_type = "lsiLogic".into();
    Poly::new(spec)
}

#[tokio::test]
async fn a_disk_is_described_and_kept_in_shape() {
    let directory = tempfile::tempdir().unwrap();
    let datastore = simulator::Datastore::vmfs("datastore1").directory(directory.path());
    let builder = Simulator::builder().topology(Topology::esx());
    let simulator = builder.datastore(datastore).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let manager: Ref<mo::VirtualDiskManager> = client.content.virtual_disk_manager.clone().unwrap();
    client
        .run(manager.create_virtual_disk(DISK, None, &thin()))
        .await
        .unwrap();

    client
        .call(manager.set_virtual_disk_uuid(DISK, None, UUID))
        .await
        .unwrap();
    let uuid = client.call(manager.query_virtual_disk_uuid(DISK, None));
    assert_eq!(uuid.await.unwrap(), UUID);
    for wrong in ["", "60 00", "not a uuid\"\nddb.deletable = \"false"] {
        let refused = client.call(manager.set_virtual_disk_uuid(DISK, None, wrong));
        let fault = refused.await.unwrap_err().fault();
        assert!(fault.is::<InvalidArgument>(), "{wrong}: {fault}");
    }
    let geometry = client.call(manager.query_virtual_disk_geometry(DISK, None));
    let geometry = geometry.await.unwrap();
    let tracks = geometry.cylinder * i64::from(geometry.head);
    let sectors = tracks * i64::from(geometry.sector);
    assert!(sectors > 0 && sectors <= 2 * (16 << 10), "{geometry:?}");
    let fragments = client.call(manager.query_virtual_disk_fragmentation(DISK, None));
    assert_eq!(fragments.await.unwrap(), 0);

    let flat = directory.path().join("kept-flat.vmdk");
    let descriptor = || std::fs::read_to_string(directory.path().join("kept.vmdk")).unwrap();
    let mut content = std::fs::read(&flat).unwrap();
    content[..4].copy_from_slice(b"kept");
    std::fs::write(&flat, &content).unwrap();
    let is_thin = || descriptor().contains("ddb.thinProvisioned = \"1\"");
    assert!(is_thin());
    for call in [
        manager.defragment_virtual_disk(DISK, None),
        manager.shrink_virtual_disk(DISK, None, Some(false)),
    ] {
        client.run(call).await.unwrap();
    }
    assert!(is_thin());
    client
        .run(manager.eager_zero_virtual_disk(DISK, None))
        .await
        .unwrap();
    assert!(!is_thin());
    assert!(
        std::fs::read(&flat).unwrap() == content,
        "the content is kept"
    );
    client
        .run(manager.zero_fill_virtual_disk(DISK, None))
        .await
        .unwrap();
    let zeros = std::fs::read(&flat).unwrap();
    assert!(zeros.len() == content.len() && zeros.iter().all(|byte| *byte == 0));
    simulator.shutdown().await;
}
