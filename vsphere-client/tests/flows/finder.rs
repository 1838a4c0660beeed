//! Flows that find objects by patterns of their paths.

use vim25::{Ref, mo};
use vsphere_client::{EntityKind, Error};

pub(crate) async fn things_are_found_by_patterns(url: &str) {
    let client = super::client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let top = datacenter.path();

    // Every object has exactly one path, and the path finds it.
    let machines = inventory
        .find_all::<mo::VirtualMachine>(&format!("{top}/vm/..."))
        .await
        .unwrap();
    assert!(machines.len() >= 2, "{machines:?}");
    let found = machines.first().unwrap();
    let same = inventory.find_one(&found.path).await.unwrap();
    assert_eq!(same, *found);
    assert_eq!(inventory.path_of(&found.object).await.unwrap(), found.path);

    // The machine is found by its name alone, by wildcards, and by the end of its path.
    let name = found.path.rsplit('/').next().unwrap();
    let by_name = inventory
        .find_all::<mo::VirtualMachine>(name)
        .await
        .unwrap();
    assert!(by_name.contains(found), "{by_name:?}");
    let (first, rest) = name.split_at(1);
    for pattern in [
        format!("{top}/vm/{first}*"),
        format!("{top}/v?/?{rest}"),
        format!("/.../{name}"),
        format!("vm/{name}"),
    ] {
        let all = inventory
            .find_all::<mo::VirtualMachine>(&pattern)
            .await
            .unwrap();
        assert!(all.contains(found), "{pattern}: {all:?}");
        // A machine is not found as a datastore.
        let none = inventory.find_all::<mo::Datastore>(&pattern).await.unwrap();
        assert!(none.is_empty(), "{pattern}: {none:?}");
    }

    // Finds all objects of a type, and checks that there are at least `least`.
    async fn has<T: vim25::ManagedObject + vim25::IsA<mo::ManagedEntity>>(
        client: &vsphere_client::Client,
        least: usize,
    ) -> Vec<Ref<T>> {
        let all = client.inventory().find_all::<T>("*").await.unwrap();
        assert!(all.len() >= least, "{}: {all:?}", T::NAME);
        for found in &all {
            // Looking up the path returns the same object.
            let same: Ref<T> = client.inventory().find_as(&found.path).await.unwrap();
            assert_eq!(same, found.object, "{}", found.path);
        }
        all.into_iter().map(|found| found.object).collect()
    }
    has::<mo::Datacenter>(&client, 1).await;
    has::<mo::Folder>(&client, 4).await;
    has::<mo::ComputeResource>(&client, 1).await;
    has::<mo::HostSystem>(&client, 1).await;
    has::<mo::ResourcePool>(&client, 1).await;
    has::<mo::Datastore>(&client, 1).await;
    has::<mo::Network>(&client, 1).await;
    has::<mo::DistributedVirtualSwitch>(&client, 0).await;
    has::<mo::VirtualApp>(&client, 0).await;

    let error = inventory.find_one::<mo::Folder>("*").await.unwrap_err();
    let Error::Ambiguous { kind, place } = &error else {
        panic!("{error}");
    };
    assert_eq!(*kind, EntityKind::Folder);
    assert!(place.there().contains(&format!("{top}/vm")), "{error}");
    let error = inventory
        .find_one::<mo::Datastore>("nowhere*")
        .await
        .unwrap_err();
    let Error::NotFound { kind, place, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*kind, EntityKind::Datastore);
    assert!(!place.there().is_empty(), "{error}");
    client.close().await.unwrap();
}
