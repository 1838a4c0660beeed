//! Tests of loading an inventory that was saved from another server.

use std::collections::BTreeMap;
use std::path::Path;

use simulator::{Simulator, StartError, Topology};
use vim25::soap::encode_response;
use vim25::types::{ObjectContent, VirtualDisk, VirtualMachinePowerState};
use vim25::{Any, Ref, mo};

use crate::client::Client;
use crate::inventory::{check, everything};
use crate::vcenter::{bare, typed};

/// Writes objects as `govc object.save` does: one file for each.
fn save(objects: &[ObjectContent], directory: &Path, is_saved: impl Fn(&str) -> bool) {
    for (number, object) in objects.iter().enumerate() {
        let ty = object.obj.type_name();
        if !is_saved(ty) {
            continue;
        }
        let text = encode_response("Save", &Any::new(object)).unwrap();
        let start = text.find("<returnval").unwrap() + "<returnval".len();
        // The type of the value is that of the element.
        let start = start + text[start..].find('>').unwrap() + 1;
        let end = text.rfind("</returnval>").unwrap();
        let text = format!("<ObjectContent>{}</ObjectContent>", &text[start..end]);
        let name = format!("{number:04}-{ty}-{}.xml", object.obj.value());
        std::fs::write(directory.join(name), text).unwrap();
    }
}

/// Returns everything in a vCenter with machines.
async fn original() -> Vec<ObjectContent> {
    let topology = Topology::vcenter().machines(1).pools(1).folders(1);
    let simulator = Simulator::builder().topology(topology.autostart(true));
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let all = everything(&client, None).await;
    simulator.shutdown().await;
    all
}

fn counted(objects: &[ObjectContent]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object.obj.type_name().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_saved_inventory_is_loaded_and_works() {
    let before = original().await;
    let saved = tempfile::tempdir().unwrap();
    save(&before, saved.path(), |_| true);
    let simulator = Simulator::builder().load_directory(saved.path());
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    assert_eq!(client.content.about.api_type, "VirtualCenter");
    let after = everything(&client, None).await;
    check(&after);
    assert_eq!(counted(&after), counted(&before));

    let vm: Ref<mo::VirtualMachine> = typed(&client, "DC0/vm/DC0_H0_VM0").await;
    let saved_vm = before
        .iter()
        .find(|object| object.obj.value() == vm.value());
    assert!(saved_vm.is_some(), "{vm} has another id");
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    // A single reference stays one.
    let compute: Ref<mo::ComputeResource> = typed(&client, "DC0/host/DC0_H0").await;
    let pools = |all: &[ObjectContent]| {
        let own = all.iter().find(|one| one.obj.value() == compute.value());
        let mut properties = own.unwrap().prop_set.iter();
        let pool = properties.find(|one| one.name == "resourcePool");
        pool.unwrap().val.clone()
    };
    assert_eq!(pools(&after), pools(&before));
    let disk: VirtualDisk = client.get(&vm, "config.hardware.device[2000]").await;
    assert_eq!(disk.capacity_in_kb, 10 << 20);
    client.run(vm.power_off_vm()).await.unwrap();
    client.run(vm.destroy()).await.unwrap();

    let folder: Ref<mo::Folder> = typed(&client, "DC0/vm/F0").await;
    let pool: Ref<mo::ResourcePool> = typed(&client, "DC0/host/DC0_C0/Resources/DC0_C0_RP1").await;
    let create = folder.create_vm(&bare("new"), &pool, None);
    let new: Ref<mo::VirtualMachine> = client.run(create).await.unwrap();
    let own: Vec<Ref<mo::VirtualMachine>> = client.get(&pool, "vm").await;
    assert_eq!(own.len(), 2, "{own:?}");
    client.run(new.power_on_vm(None)).await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn objects_without_their_folders_are_adopted() {
    let before = original().await;
    let saved = tempfile::tempdir().unwrap();
    save(&before, saved.path(), |ty| {
        let left_out = ["Folder", "Datacenter", "ServiceInstance", "Network"];
        !left_out.contains(&ty)
    });
    let simulator = Simulator::builder().load_directory(saved.path());
    let simulator = simulator.start().await.unwrap();
    let client = Client::login(&simulator).await;
    check(&everything(&client, None).await);
    for path in [
        "DC0/vm/DC0_C0_RP0_VM0",
        "DC0/host/DC0_C0/DC0_C0_H2",
        "DC0/datastore/LocalDS_0",
        "DC0/network/DC0_DVPG0",
    ] {
        let index = client.content.search_index.clone().unwrap();
        let found = client.call(index.find_by_inventory_path(path)).await;
        assert!(found.unwrap().is_some(), "{path}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let saved = tempfile::tempdir().unwrap();
    let start = || Simulator::builder().load_directory(saved.path()).start();
    let error = start().await.unwrap_err();
    assert!(matches!(error, StartError::Load(_)), "{error}");
    let text = "<ObjectContent>\n<obj type=\"Folder\">a</obj>\n<propSet>\n</ObjectContent>";
    std::fs::write(saved.path().join("0001-Folder-a.xml"), text).unwrap();
    let error = start().await.unwrap_err();
    let StartError::Load(load) = &error else {
        panic!("{error}");
    };
    assert!(
        load.to_string().contains("0001-Folder-a.xml, line 4"),
        "{load}"
    );
}
