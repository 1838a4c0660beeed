//! Creates the inventory of a topology: hosts, clusters, pools, networks, folders and
//! machines.

use vim25::types::{
    HostVirtualSwitchSpec, ParaVirtualSCSIController, VAppConfigSpec, VirtualDevice,
    VirtualDeviceBackingInfo, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualEthernetCardNetworkBackingInfo, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualSCSISharing, VirtualVmxnet3,
};
use vim25::{AnyRef, DataObject, Fault, IsA, Poly, Ref, mo};

use super::compute_resource::{self, Compute};
use super::virtual_machine::{self, Placement};
use super::{
    datacenter, datastore, distributed_switch, entity, folder, host_network, host_system, network,
    resource_pool, restore, virtual_app,
};
use crate::datastore::site::Site;
use crate::fault;
use crate::layout::{DatacenterLayout, HostLayout};
use crate::saved::Saved;
use crate::topology::Topology;
use crate::world::Transaction;

/// The name of the network that every host has.
const NETWORK: &str = "VM Network";
/// The ids of folders around datacenters are greater than those of everything else that a topology
/// describes.
const FOLDERS: u64 = 1_000_000;

pub(super) fn build(
    tx: &mut Transaction<'_>,
    thumbprint: &str,
    saved: Option<&Saved>,
) -> Result<Vec<Machine>, Fault> {
    let topology = tx.shared().settings.topology.clone();
    // The numbers of the datacenters and their folders come first.
    let datacenters = tx.layout().datacenters().len() as u64;
    let mut numbers = (1 + DatacenterLayout::NUMBERS * datacenters).max(20);
    let mut machines = Vec::new();
    if !topology.vcenter {
        let home = home(tx, Site::FIRST, false, 0)?;
        let made = vec![esx(tx, &home, thumbprint, saved)?];
        return furnish(tx, &home, &made, saved);
    }
    let mut made = Vec::new();
    for position in 0..tx.layout().datacenters().len() {
        let site = Site::new(position);
        let last = tx.layout().datacenters().len() - position;
        let is_in_folder = last <= topology.datacenter_folders;
        let home = home(tx, site, is_in_folder, folders_before(&topology, position))?;
        let computes = vcenter(tx, &home, thumbprint, &mut numbers)?;
        made.push((home, computes));
    }
    // Ids of objects that are created later are from another range.
    let (own, drawn) = tx.ids().position();
    tx.ids().resume(own.max(numbers + 1_000), drawn);
    for (home, computes) in &made {
        machines.extend(furnish(tx, home, computes, None)?);
    }
    Ok(machines)
}

/// Where the objects of a datacenter are created.
struct Home {
    site: Site,
    name: String,
    vm_folder: Ref<mo::Folder>,
    host_folder: Ref<mo::Folder>,
    datastore_folder: Ref<mo::Folder>,
    network_folder: Ref<mo::Folder>,
}

/// Returns how many of the datacenters before one are in a folder.
fn folders_before(topology: &Topology, position: usize) -> usize {
    let outside = topology
        .datacenters
        .saturating_sub(topology.datacenter_folders);
    position.saturating_sub(outside)
}

/// Creates a datacenter, in a folder or not. `number` is that of the folder.
fn home(
    tx: &mut Transaction<'_>,
    site: Site,
    is_in_folder: bool,
    number: usize,
) -> Result<Home, Fault> {
    let own = tx.layout().at(site).clone();
    let name = datacenter::name(tx, site);
    let root = tx.layout().root();
    let mut home = Home {
        site,
        name,
        vm_folder: own.vm_folder.clone(),
        host_folder: own.host_folder.clone(),
        datastore_folder: own.datastore_folder.clone(),
        network_folder: own.network_folder.clone(),
    };
    if !is_in_folder {
        datacenter::build(tx, &own, &home.name, &root)?;
        return Ok(home);
    }
    let folder = format!("F{number}");
    // These ids are in the range of objects that are created later.
    let make = |tx: &mut Transaction<'_>, parent: &Ref<mo::Folder>| {
        let (position, drawn) = tx.ids().position();
        if position < FOLDERS {
            tx.ids().resume(FOLDERS, drawn);
        }
        let id = tx.ids().number();
        folder::make(tx, parent, &folder, id)
    };
    let parent = make(tx, &root)?;
    datacenter::build(tx, &own, &home.name, &parent)?;
    for own in [
        &mut home.vm_folder,
        &mut home.host_folder,
        &mut home.datastore_folder,
        &mut home.network_folder,
    ] {
        *own = make(tx, own)?;
    }
    Ok(home)
}

/// Creates the datastores and networks of a datacenter. Returns the machines to create in it.
fn furnish(
    tx: &mut Transaction<'_>,
    home: &Home,
    made: &[Made],
    saved: Option<&Saved>,
) -> Result<Vec<Machine>, Fault> {
    let topology = tx.shared().settings.topology.clone();
    let hosts: Vec<HostLayout> = made.iter().flat_map(|made| made.hosts.clone()).collect();
    datastore::build(tx, saved, (home.site, &home.datastore_folder), &hosts)?;
    if let Some(saved) = saved {
        restore::restore(tx, saved)?;
        return Ok(Vec::new());
    }
    for host in &hosts {
        host_network::make_switch(tx, host, "vSwitch0", &HostVirtualSwitchSpec::default())?;
        network::build(tx, host, NETWORK, 0, "vSwitch0")?;
    }
    let mut card = NETWORK.to_owned();
    if topology.vcenter {
        let place = (home.name.as_str(), &home.network_folder);
        distributed_switch::build(tx, place, topology.port_groups, &hosts)?;
        if topology.port_groups > 0 {
            card = distributed_switch::group_name(&home.name, 0);
        }
        for number in 0..topology.folders {
            let id = tx.ids().number();
            folder::make(tx, &home.vm_folder, &format!("F{number}"), id)?;
        }
    }
    Ok(made
        .iter()
        .flat_map(|made| made.machines(home, &topology, &card))
        .collect())
}

/// A compute resource that was created, with its hosts and root pool.
struct Made {
    /// Prefix of the names of the machines, without the name of the pool.
    name: String,
    hosts: Vec<HostLayout>,
    /// The pools and vApps that have machines, with the part of the machines' names that says which.
    pools: Vec<(String, Ref<mo::ResourcePool>)>,
}

fn esx(
    tx: &mut Transaction<'_>,
    home: &Home,
    thumbprint: &str,
    saved: Option<&Saved>,
) -> Result<Made, Fault> {
    let hosts = vec![HostLayout::own()];
    let compute = Compute {
        folder: &home.host_folder,
        value: "ha-compute-res",
        name: host_system::NAME,
        pool: super::ROOT_POOL,
        browser: "ha-env-browser",
        hosts: &hosts,
        cluster: None,
    };
    let uuid = saved.map(|saved| &*saved.host);
    let pool = make(
        tx,
        &compute,
        &[host_system::NAME.to_owned()],
        thumbprint,
        uuid,
    )?;
    Ok(Made {
        name: "ha-host".into(),
        hosts,
        pools: vec![(String::new(), pool)],
    })
}

/// Creates the standalone hosts and clusters of a datacenter.
fn vcenter(
    tx: &mut Transaction<'_>,
    home: &Home,
    thumbprint: &str,
    numbers: &mut u64,
) -> Result<Vec<Made>, Fault> {
    let topology = tx.shared().settings.topology.clone();
    let mut next = || {
        *numbers += 1;
        *numbers
    };
    let mut made = Vec::new();
    let datacenter = &home.name;
    for number in 0..topology.standalone_hosts {
        let name = format!("{datacenter}_H{number}");
        let hosts = vec![HostLayout::numbered(next())];
        let (domain, pool, browser) = (next(), next(), next());
        let compute = Compute {
            folder: &home.host_folder,
            value: &format!("domain-s{domain}"),
            name: &name,
            pool: &format!("resgroup-{pool}"),
            browser: &format!("envbrowser-{browser}"),
            hosts: &hosts,
            cluster: None,
        };
        let pool = make(tx, &compute, std::slice::from_ref(&name), thumbprint, None)?;
        made.push(Made {
            name: name.clone(),
            hosts,
            pools: vec![(String::new(), pool)],
        });
    }
    for number in 0..topology.clusters {
        let name = format!("{datacenter}_C{number}");
        let hosts: Vec<_> = (0..topology.cluster_hosts)
            .map(|_| HostLayout::numbered(next()))
            .collect();
        let names: Vec<_> = (0..hosts.len())
            .map(|host| format!("{name}_H{host}"))
            .collect();
        let (domain, pool, browser) = (next(), next(), next());
        let compute = Compute {
            folder: &home.host_folder,
            value: &format!("domain-c{domain}"),
            name: &name,
            pool: &format!("resgroup-{pool}"),
            browser: &format!("envbrowser-{browser}"),
            hosts: &hosts,
            cluster: Some(topology.drs),
        };
        let root = make(tx, &compute, &names, thumbprint, None)?;
        let mut pools = vec![("_RP0".to_owned(), root.clone())];
        for number in 1..=topology.pools {
            let id = format!("resgroup-{}", next());
            let own = format!("_RP{number}");
            let named = format!("{name}{own}");
            resource_pool::put(tx, &id, &named, &root, resource_pool::usual())?;
            pools.push((own, Ref::new(&id)));
        }
        for number in 0..topology.apps {
            let id = format!("resgroup-v{}", next());
            let own = format!("_APP{number}");
            let named = format!("{name}{own}");
            let (config, folder) = (resource_pool::usual(), Some(&home.vm_folder));
            let spec = VAppConfigSpec::default();
            let app = virtual_app::make(tx, (&id, &named), &root, folder, (config, &spec))?;
            pools.push((own, app.upcast()));
        }
        made.push(Made { name, hosts, pools });
    }
    Ok(made)
}

/// Creates a compute resource with its hosts and its root pool.
fn make(
    tx: &mut Transaction<'_>,
    compute: &Compute<'_>,
    names: &[String],
    thumbprint: &str,
    uuid: Option<&str>,
) -> Result<Ref<mo::ResourcePool>, Fault> {
    compute_resource::build(tx, compute);
    let ty = match compute.cluster {
        Some(_) => "ClusterComputeResource",
        None => "ComputeResource",
    };
    let own = AnyRef::from_wire(ty, compute.value);
    for (host, name) in compute.hosts.iter().zip(names) {
        host_system::build(tx, host, (name, &own), thumbprint, uuid);
        host_network::build(tx, host);
    }
    resource_pool::build(tx, compute.pool, &own, compute.hosts.len());
    Ok(Ref::new(compute.pool))
}

impl Made {
    /// Lists the machines of a topology in this compute resource.
    fn machines(&self, home: &Home, topology: &Topology, network: &str) -> Vec<Machine> {
        let mut machines = Vec::new();
        for (own, pool) in &self.pools {
            for number in 0..topology.machines {
                let name = format!("{}{own}_VM{number}", self.name);
                // Without DRS, machines are distributed evenly.
                let host = self.hosts.get(number % self.hosts.len().max(1));
                machines.push(Machine {
                    site: home.site,
                    folder: home.vm_folder.clone(),
                    name,
                    pool: pool.clone(),
                    host: host.map(HostLayout::host),
                    network: network.to_owned(),
                    on: topology.autostart,
                });
            }
        }
        machines
    }
}

/// A machine that is created when the simulator starts.
pub(super) struct Machine {
    site: Site,
    folder: Ref<mo::Folder>,
    name: String,
    pool: Ref<mo::ResourcePool>,
    host: Option<Ref<mo::HostSystem>>,
    network: String,
    on: bool,
}

impl Machine {
    /// Creates the machine, and powers it on if the topology says so.
    pub(super) fn make(&self, tx: &mut Transaction<'_>) -> Result<(), Fault> {
        let place = Placement::new(tx, &self.folder, &self.pool, self.host.as_ref())?;
        let datastore = tx.shared().store.first_in(self.site);
        let datastore = &datastore.ok_or_else(fault::no_datastore)?.name;
        let card = backing(tx, self.site, &self.network);
        let spec = machine(datastore, &self.name, card);
        match self.on {
            true => virtual_machine::create_on(tx, &spec, &place)?,
            false => virtual_machine::create(tx, &spec, &place)?,
        };
        Ok(())
    }
}

/// Returns the specification of a machine with a disk of 10 GiB and a network card.
fn machine(
    datastore: &str,
    name: &str,
    network: Poly<VirtualDeviceBackingInfo>,
) -> VirtualMachineConfigSpec {
    let mut scsi = ParaVirtualSCSIController::default();
    scsi.key = -1;
    scsi.shared_bus = VirtualSCSISharing::NoSharing;
    let mut disk = VirtualDisk {
        capacity_in_kb: 10 << 20,
        ..Default::default()
    };
    disk.key = -2;
    disk.controller_key = Some(-1);
    disk.backing = Some(Poly::new(VirtualDiskFlatVer2BackingInfo {
        disk_mode: "persistent".into(),
        thin_provisioned: Some(true),
        ..Default::default()
    }));
    let mut card = VirtualVmxnet3::default();
    card.key = -3;
    card.backing = Some(network);
    VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some("otherGuest".into()),
        num_cpus: Some(1),
        memory_mb: Some(32),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..Default::default()
        })),
        device_change: vec![
            add(scsi, None),
            add(disk, Some(VirtualDeviceConfigSpecFileOperation::Create)),
            add(card, None),
        ],
        ..Default::default()
    }
}

fn backing(tx: &Transaction<'_>, site: Site, network: &str) -> Poly<VirtualDeviceBackingInfo> {
    let found = network::named(tx, site, network).map(|found| entity::any(&found));
    if let Some(group) = found.and_then(|group| distributed_switch::backing(tx, &group)) {
        return Poly::new(group);
    }
    let mut named = VirtualEthernetCardNetworkBackingInfo::default();
    named.device_name = network.to_owned();
    Poly::new(named)
}

fn add<T: DataObject + IsA<VirtualDevice>>(
    device: T,
    file_operation: Option<VirtualDeviceConfigSpecFileOperation>,
) -> Poly<VirtualDeviceConfigSpec> {
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        file_operation,
        device: Poly::new(device),
        ..Default::default()
    })
}
