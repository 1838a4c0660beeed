//! Creates the datastores, and their mounts on hosts.

use jiff::Timestamp;
use vim25::types::{
    DatastoreCapability, DatastoreHostMount, DatastoreInfo, DatastoreSummary, HostConfigInfo,
    HostFileSystemMountInfo, HostFileSystemVolume, HostFileSystemVolumeInfo, HostMountInfo,
    HostNasVolume, HostScsiDiskPartition, HostVmfsVolume, NasDatastoreInfo, VmfsDatastoreInfo,
    VsanDatastoreInfo,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::signed;
use crate::datastore::Volume;
use crate::datastore::site::Site;
use crate::datastore::spec::DatastoreKind;
use crate::layout::HostLayout;
use crate::model::entity;
use crate::object::Object;
use crate::saved::Saved;
use crate::world::Transaction;

/// Reported capacity in bytes of a datastore without a limit.
const CAPACITY: i64 = 1 << 40;

/// Creates the datastores of a datacenter in a folder. Each is mounted on all of its hosts.
pub(in crate::model) fn build(
    tx: &mut Transaction<'_>,
    saved: Option<&Saved>,
    (site, folder): (Site, &Ref<mo::Folder>),
    hosts: &[HostLayout],
) -> Result<(), Fault> {
    let shared = std::sync::Arc::clone(tx.shared());
    let own = || {
        let volumes = shared.store.volumes();
        volumes.filter(|volume| volume.site == site)
    };
    let mut references = Vec::new();
    for volume in own() {
        identify(tx, volume, saved);
        insert(tx, volume, folder, hosts);
        references.push(volume.reference());
    }
    let mounts: Vec<_> = own().map(mounted).collect();
    for host in hosts {
        let mut browser = Object::new::<mo::HostDatastoreBrowser>(host.browser().value());
        browser.put("datastore", &references);
        tx.insert(browser);
        let volumes = HostFileSystemVolumeInfo {
            volume_type_list: ["VMFS", "NFS", "NFS41", "VVOL", "vsan"]
                .map(Into::into)
                .into(),
            mount_info: mounts.clone(),
        };
        let storage: Ref<mo::HostStorageSystem> = Ref::new(&host.id("storageSystem"));
        tx.edit(&storage)?.put("fileSystemVolumeInfo", &volumes);
        if own().any(|volume| volume.namespaces.is_some()) {
            let vsan: Ref<mo::HostVsanSystem> = Ref::new(&host.id("vsanSystem"));
            tx.edit(&vsan)?.set("config.enabled", &true)?;
        }
        let object = tx.edit(&host.host())?;
        object.modify("config", |config: &mut HostConfigInfo| {
            config.file_system_volume = Some(Box::new(volumes));
        })?;
    }
    list(tx, (site, folder), &references, hosts);
    Ok(())
}

/// Sets the reference and the UUID of a datastore: those of the host before its restart, if it had
/// a datastore of this name.
fn identify(tx: &mut Transaction<'_>, volume: &Volume, saved: Option<&Saved>) {
    let first = tx.shared().store.first();
    let is_first = volume.name == first.name && volume.site == first.site;
    let uuid = saved.and_then(|saved| match is_first {
        true => Some(saved.datastore.clone()),
        false => saved.other_datastores.get(&volume.name).cloned(),
    });
    let uuid = uuid.unwrap_or_else(|| {
        let id = tx.ids().uuid().simple().to_string();
        let (a, b, c, d) = (&id[..8], &id[8..16], &id[16..20], &id[20..]);
        match volume.kind {
            DatastoreKind::Vmfs => format!("{a}-{b}-{c}-{d}"),
            DatastoreKind::Nfs { .. } => format!("{a}-{b}"),
            DatastoreKind::Vsan => format!("vsan:{a}{b}-{c}{d}"),
        }
    });
    if tx.layout().is_vcenter {
        let id = format!("datastore-{}", tx.ids().number());
        volume.identify(&id, &uuid);
    } else {
        volume.identify(&uuid, &uuid);
    }
}

fn capacity(volume: &Volume) -> i64 {
    volume.capacity.map_or(CAPACITY, signed)
}

const fn type_name(volume: &Volume) -> &'static str {
    match volume.kind {
        DatastoreKind::Vmfs => "VMFS",
        DatastoreKind::Nfs { .. } => "NFS",
        DatastoreKind::Vsan => "vsan",
    }
}

/// Adds a datastore and its browser to the inventory.
fn insert(
    tx: &mut Transaction<'_>,
    volume: &Volume,
    folder: &Ref<mo::Folder>,
    hosts: &[HostLayout],
) {
    let reference = volume.reference();
    let id = reference.value();
    let free = volume.free().map_or(CAPACITY / 2, signed);
    let parent = Some(entity::any(folder));
    let mut datastore = entity::new::<mo::Datastore>(id, &volume.name, parent);
    let summary = DatastoreSummary {
        datastore: Some(reference.clone()),
        name: volume.name.clone(),
        url: volume.url(),
        capacity: capacity(volume),
        free_space: free,
        accessible: true,
        multiple_host_access: Some(hosts.len() > 1),
        type_: type_name(volume).into(),
        maintenance_mode: Some("normal".into()),
        ..Default::default()
    };
    datastore.put("summary", &summary);
    datastore.put("info", &info(volume, free));
    let mounts = hosts.iter().map(|host| DatastoreHostMount {
        key: host.host(),
        mount_info: mount(volume),
    });
    datastore.put("host", &mounts.collect::<Vec<_>>());
    datastore.put("vm", &Vec::<AnyRef>::new());
    let browser: Ref<mo::HostDatastoreBrowser> = Ref::new(&format!("{id}-datastorebrowser"));
    datastore.put("browser", &browser);
    datastore.put(
        "capability",
        &DatastoreCapability {
            directory_hierarchy_supported: true,
            raw_disk_mappings_supported: volume.kind == DatastoreKind::Vmfs,
            per_file_thin_provisioning_supported: true,
            top_level_directory_create_supported: Some(volume.namespaces.is_none()),
            ..Default::default()
        },
    );
    tx.insert(datastore);
    let mut own = Object::new::<mo::HostDatastoreBrowser>(browser.value());
    own.put("datastore", &vec![reference]);
    tx.insert(own);
}

fn info(volume: &Volume, free: i64) -> Poly<DatastoreInfo> {
    let base = DatastoreInfo {
        name: volume.name.clone(),
        url: volume.url(),
        free_space: free,
        max_file_size: CAPACITY,
        timestamp: Some(Timestamp::now()),
        ..Default::default()
    };
    match &volume.kind {
        DatastoreKind::Vmfs => Poly::new(VmfsDatastoreInfo {
            base,
            vmfs: Some(Box::new(vmfs(volume))),
            ..Default::default()
        }),
        DatastoreKind::Nfs { host, path } => Poly::new(NasDatastoreInfo {
            base,
            nas: Some(Box::new(nas(volume, host, path))),
        }),
        DatastoreKind::Vsan => Poly::new(VsanDatastoreInfo {
            base,
            membership_uuid: Some(volume.mount().trim_start_matches("vsan:").to_owned()),
            ..Default::default()
        }),
    }
}

fn file_system(volume: &Volume) -> HostFileSystemVolume {
    HostFileSystemVolume {
        type_: type_name(volume).into(),
        name: volume.name.clone(),
        capacity: capacity(volume),
    }
}

fn vmfs(volume: &Volume) -> HostVmfsVolume {
    let disk = volume.mount().replace('-', "");
    HostVmfsVolume {
        base: file_system(volume),
        block_size_mb: 1,
        block_size: Some(1_024),
        max_blocks: 63_963_136,
        major_version: 6,
        version: "6.82".into(),
        uuid: volume.mount().to_owned(),
        extent: vec![HostScsiDiskPartition::new(format!("naa.{disk}"), 1)],
        ssd: Some(true),
        local: Some(true),
        ..Default::default()
    }
}

fn nas(volume: &Volume, host: &str, path: &str) -> HostNasVolume {
    HostNasVolume {
        base: file_system(volume),
        remote_host: host.to_owned(),
        remote_path: path.to_owned(),
        remote_host_names: vec![host.to_owned()],
        ..Default::default()
    }
}

fn mount(volume: &Volume) -> HostMountInfo {
    HostMountInfo {
        path: Some(volume.url()),
        access_mode: "readWrite".into(),
        mounted: Some(true),
        accessible: Some(true),
        ..Default::default()
    }
}

fn mounted(volume: &Volume) -> HostFileSystemMountInfo {
    HostFileSystemMountInfo {
        mount_info: mount(volume),
        volume: match &volume.kind {
            DatastoreKind::Vmfs => Poly::new(vmfs(volume)),
            DatastoreKind::Nfs { host, path } => Poly::new(nas(volume, host, path)),
            DatastoreKind::Vsan => Poly::new(file_system(volume)),
        },
        vstorage_support: Some("vStorageUnsupported".into()),
    }
}

/// Adds the datastores to the lists of the objects that have access to them.
fn list(
    tx: &mut Transaction<'_>,
    (site, folder): (Site, &Ref<mo::Folder>),
    references: &[Ref<mo::Datastore>],
    hosts: &[HostLayout],
) {
    let add = |list: &mut Vec<AnyRef>| list.extend(references.iter().map(entity::any));
    let mut holders: Vec<(AnyRef, &'static str)> = vec![
        (entity::any(folder), "childEntity"),
        (entity::any(&tx.layout().at(site).datacenter), "datastore"),
    ];
    for host in hosts {
        holders.push((entity::any(&host.datastore_system()), "datastore"));
        holders.push((entity::any(&host.host()), "datastore"));
        let compute = tx.object(&host.host()).ok().and_then(|host| host.parent());
        let compute = compute.map(|compute| (compute, "datastore"));
        holders.extend(compute.filter(|compute| !holders.contains(compute)));
    }
    for (holder, property) in holders {
        if let Ok(holder) = tx.edit(&holder) {
            let _ = holder.edit_list(property, add);
        }
    }
}
