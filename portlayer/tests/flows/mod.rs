//! What the vSphere implementation leaves on an endpoint, observed directly with the client. These
//! tests run on the simulator and on vcsim.

pub(crate) mod hosts;

use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, InstallStatus, InstallStep, Iso};
use portlayer::{Capability, ContainerId, Error, ErrorKind};
use vim25::types::{
    OptionValue, ParaVirtualSCSIController, VirtualCdrom, VirtualController, VirtualDevice,
    VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDeviceFileBackingInfo, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo, VirtualIDEController, VirtualMachineConfigSpec,
    VirtualSerialPort, VirtualVmxnet3,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::{Client, Datastore};

/// An endpoint with a host called `vch`.
pub(crate) struct Flow<'a> {
    pub(crate) client: &'a Client,
    pub(crate) hosts: &'a Hosts,
    /// Returns a specification with this name that can be installed on the endpoint.
    pub(crate) spec: &'a (dyn Fn(&str) -> HostSpec + Sync),
    /// The steps that installations on this endpoint do not have.
    pub(crate) skipped: &'a [InstallStep],
}

const DEVICES: Property<mo::VirtualMachine, Vec<Poly<VirtualDevice>>> =
    Property::new("config.hardware.device");
pub(crate) const EXTRA_CONFIG: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");

impl Flow<'_> {
    async fn datastore(&self) -> Datastore {
        let inventory = self.client.inventory();
        let datacenter = inventory.datacenter(None).await.unwrap();
        let name = (self.spec)("any").datastore;
        inventory
            .datastore(&datacenter, name.as_deref())
            .await
            .unwrap()
    }

    /// Returns the machines on the endpoint whose names satisfy the condition.
    async fn machines(&self, condition: impl Fn(&str) -> bool) -> Vec<Ref<mo::VirtualMachine>> {
        let root = &self.client.service_content().root_folder;
        let name = props::virtual_machine::NAME;
        let all = self
            .client
            .retrieve()
            .property(name)
            .within(root)
            .collect()
            .await
            .unwrap();
        let fits = |name: Option<String>| name.is_some_and(|name| condition(&name));
        all.iter()
            .filter(|vm| fits(vm.value(name)))
            .map(|vm| vm.object().clone())
            .collect()
    }

    pub(crate) async fn machine_of(&self, id: &ContainerId) -> Ref<mo::VirtualMachine> {
        // VIC 0.4 named a machine after the container's id, VIC 1.x after its name and short id.
        let (full, short) = (id.to_string(), id.short());
        let found = self
            .machines(|name| name == full || name.ends_with(&short))
            .await;
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    async fn pools(&self, wanted: &str) -> usize {
        let root = &self.client.service_content().root_folder;
        let name = props::resource_pool::NAME;
        let all = self
            .client
            .retrieve::<mo::ResourcePool>()
            .property(name)
            .within(root);
        let all = all.collect().await.unwrap();
        all.iter()
            .filter(|pool| pool.value(name).as_deref() == Some(wanted))
            .count()
    }

    async fn folders(&self, wanted: &str) -> usize {
        let root = &self.client.service_content().root_folder;
        let name = props::folder::NAME;
        let all = self.client.retrieve::<mo::Folder>().property(name);
        let all = all.within(root).collect().await.unwrap();
        all.iter()
            .filter(|folder| folder.value(name).as_deref() == Some(wanted))
            .count()
    }
}

/// A container's machine has the devices and keys that VIC 0.4 created.
pub(crate) async fn a_container_has_what_vic_gave_it(flow: &Flow<'_>) {
    let exec = flow.hosts.exec("vch").await.unwrap();
    let host = flow.hosts.find("vch").await.unwrap();
    let spec = ContainerSpec::new("devices", Command::new("/hello"));
    let id = exec.create(spec).await.unwrap();
    let vm = flow.machine_of(&id).await;

    let devices = flow.client.get(&vm, DEVICES).await.unwrap();
    let one = |found: Vec<&Poly<VirtualDevice>>| {
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    let controller_of = |device: &Poly<VirtualDevice>| {
        let key = device
            .base::<VirtualDevice>()
            .unwrap()
            .unwrap()
            .controller_key
            .unwrap();
        let is = |device: &&Poly<VirtualDevice>| {
            device.base::<VirtualDevice>().unwrap().unwrap().key == key
        };
        devices.iter().find(is).unwrap().clone()
    };
    let cdrom = one(devices
        .iter()
        .filter(|device| device.is::<VirtualCdrom>())
        .collect());
    let text = |device: &Poly<VirtualDevice>, path: &str| {
        device
            .node()
            .path(path)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        text(&cdrom, "backing.fileName"),
        format!("[{}] {}/bootstrap.iso", host.datastore, host.directory)
    );
    assert_eq!(
        cdrom.base::<VirtualDevice>().unwrap().unwrap().unit_number,
        Some(0)
    );
    let ide = controller_of(&cdrom);
    assert!(ide.is::<VirtualIDEController>());
    assert_eq!(
        ide.base::<VirtualController>().unwrap().unwrap().bus_number,
        0
    );
    let mut serial = devices
        .iter()
        .filter(|device| device.is::<VirtualSerialPort>());
    let (line, log) = (serial.next().unwrap(), serial.next().unwrap());
    assert!(serial.next().is_none());
    assert_eq!(text(line, "backing.serviceURI"), "tcp://vch:8080");
    assert_eq!(text(line, "backing.direction"), "client");
    assert!(text(log, "backing.fileName").ends_with(".log"));
    one(devices
        .iter()
        .filter(|device| device.is::<VirtualVmxnet3>())
        .collect());
    let disk = one(devices
        .iter()
        .filter(|device| device.is::<VirtualDisk>())
        .collect());
    assert!(controller_of(&disk).is::<ParaVirtualSCSIController>());

    let options = flow.client.get(&vm, EXTRA_CONFIG).await.unwrap();
    let value = |key: &str| {
        options
            .iter()
            .map(|option| option.base::<OptionValue>().unwrap().unwrap())
            .find(|option| option.key == key)
            .and_then(|option| option.text())
    };
    assert_eq!(
        value("serial0.hardwareFlowControl").as_deref(),
        Some("TRUE")
    );
    let base = if value("guestinfo./repo").is_some() {
        "guestinfo."
    } else {
        "guestinfo.vice."
    };
    // It was created without an image.
    assert_eq!(value(&format!("{base}/repo")).as_deref(), Some("<nil>"));
    assert_eq!(
        value(&format!("{base}/sessions|{id}/common/name")).as_deref(),
        Some("devices")
    );
    assert_eq!(
        value(&format!("{base}/sessions|{id}/cmd/Path")).as_deref(),
        Some("/hello")
    );
    exec.remove(&id).await.unwrap();
}

/// Removing a container deletes its directory, but not the parents of its disk.
pub(crate) async fn removing_keeps_what_is_shared(flow: &Flow<'_>) {
    let exec = flow.hosts.exec("vch").await.unwrap();
    let datastore = flow.datastore().await;
    let files = flow.client.files(&datastore);
    files.make_directory("images", true).await.unwrap();
    let parent = datastore.path("images/parent.vmdk").to_string();
    let keeper = exec
        .create(ContainerSpec::new("shared", Command::new("/hello")))
        .await
        .unwrap();
    let vm = flow.machine_of(&keeper).await;
    let devices = flow.client.get(&vm, DEVICES).await.unwrap();
    let scsi = devices
        .iter()
        .find(|device| device.is::<ParaVirtualSCSIController>())
        .unwrap();
    let scsi = scsi.base::<VirtualDevice>().unwrap().unwrap().key;
    let add = |name: &str, unit: i32, parent: Option<&str>| {
        let file = |name: &str| VirtualDeviceFileBackingInfo {
            file_name: name.into(),
            datastore: Some(datastore.reference().clone()),
            ..Default::default()
        };
        let backing = |name: &str| VirtualDiskFlatVer2BackingInfo {
            base: file(name),
            disk_mode: "persistent".into(),
            thin_provisioned: Some(true),
            ..Default::default()
        };
        let parent = parent.map(|parent| Box::new(backing(parent)));
        let backing = VirtualDiskFlatVer2BackingInfo {
            parent,
            ..backing(name)
        };
        let mut disk = VirtualDisk {
            capacity_in_kb: 1024,
            ..Default::default()
        };
        disk.base = VirtualDevice {
            key: -1,
            backing: Some(Poly::new(backing)),
            controller_key: Some(scsi),
            unit_number: Some(unit),
            ..Default::default()
        };
        VirtualMachineConfigSpec {
            device_change: vec![Poly::new(VirtualDeviceConfigSpec {
                operation: Some(VirtualDeviceConfigSpecOperation::Add),
                file_operation: Some(VirtualDeviceConfigSpecFileOperation::Create),
                device: Poly::new(disk),
                ..Default::default()
            })],
            ..Default::default()
        }
    };
    // A volume outside of the container's directory becomes the parent of another disk of the
    // machine.
    flow.client
        .run(vm.reconfig_vm(&add(&parent, 1, None)))
        .await
        .unwrap();
    assert!(files.exists("images/parent.vmdk").await.unwrap());
    let child = datastore.path(&format!("{keeper}/child.vmdk")).to_string();
    flow.client
        .run(vm.reconfig_vm(&add(&child, 2, Some(&parent))))
        .await
        .unwrap();

    exec.remove(&keeper).await.unwrap();
    assert!(
        files.exists("images/parent.vmdk").await.unwrap(),
        "the parent is gone"
    );
    assert!(
        !files.exists(&keeper.to_string()).await.unwrap(),
        "the container's files are left"
    );
    assert!(
        flow.machines(|name| name.ends_with(&keeper.short()))
            .await
            .is_empty()
    );
    files.delete("images").await.unwrap();
}

/// An installation that fails half way leaves nothing behind, and can be repeated.
pub(crate) async fn a_failed_installation_leaves_nothing(flow: &Flow<'_>) {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("bootstrap.iso");
    std::fs::write(&image, "bootstrap").unwrap();
    let spec = {
        let mut spec = (flow.spec)("doomed");
        spec.bootstrap_iso = Iso::file(&image);
        spec
    };
    let told = std::sync::Mutex::new(Vec::new());
    let failed = flow
        .hosts
        .install(spec.clone(), &|progress: InstallProgress| {
            if (progress.step, progress.status) == (InstallStep::Appliance, InstallStatus::Finished)
            {
                std::fs::remove_file(&image).unwrap();
            }
            told.lock().unwrap().push((progress.step, progress.status));
        })
        .await
        .unwrap_err();
    assert_eq!(failed.step(), InstallStep::BootstrapIso, "{failed:?}");
    assert!(
        matches!(
            failed.error(),
            Error {
                kind: ErrorKind::InvalidArgument { .. },
                ..
            }
        ),
        "{failed:?}"
    );
    assert!(failed.left_behind().is_empty(), "{failed:?}");
    let told = told.into_inner().unwrap();
    for step in [
        InstallStep::ApplianceIso,
        InstallStep::Appliance,
        InstallStep::Folder,
        InstallStep::ResourcePool,
    ] {
        let is_undone = told.contains(&(step, InstallStatus::Undone));
        assert_eq!(is_undone, !flow.skipped.contains(&step), "{step}: {told:?}");
    }
    assert!(matches!(
        flow.hosts.find("doomed").await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    ));
    assert!(flow.machines(|name| name == "doomed").await.is_empty());
    assert_eq!(flow.pools("doomed").await, 0);
    assert_eq!(flow.folders("doomed").await, 0);
    let datastore = flow.datastore().await;
    assert!(
        !flow
            .client
            .files(&datastore)
            .exists("doomed")
            .await
            .unwrap()
    );

    std::fs::write(&image, "bootstrap").unwrap();
    flow.hosts
        .install(spec, &|_: InstallProgress| {})
        .await
        .unwrap();
    assert!(
        flow.client
            .files(&datastore)
            .exists("doomed/bootstrap.iso")
            .await
            .unwrap()
    );
    flow.hosts
        .delete("doomed", portlayer::vsphere::ContainerPolicy::Refuse)
        .await
        .unwrap();
    assert!(flow.machines(|name| name == "doomed").await.is_empty());
    assert_eq!(flow.pools("doomed").await, 0);
    assert_eq!(flow.folders("doomed").await, 0);
    assert!(
        !flow
            .client
            .files(&datastore)
            .exists("doomed")
            .await
            .unwrap()
    );
}

/// An unreadable machine is listed as quarantined, other containers are unaffected, and it can be
/// removed.
pub(crate) async fn a_broken_container_is_quarantined(flow: &Flow<'_>) {
    let exec = flow.hosts.exec("vch").await.unwrap();
    let good = ContainerSpec::new("good", Command::new("/hello"));
    let good = exec.create(good).await.unwrap();
    let bad = ContainerSpec::new("bad", Command::new("/hello"));
    let bad = exec.create(bad).await.unwrap();
    let vm = flow.machine_of(&bad).await;
    let options = flow.client.get(&vm, EXTRA_CONFIG).await.unwrap();
    let paths: Vec<_> = options
        .iter()
        .map(|option| option.base::<OptionValue>().unwrap().unwrap().key.clone())
        .filter(|key| key.ends_with("/cmd/Path"))
        .map(|key| Poly::new(OptionValue::new(key, "")))
        .collect();
    assert_eq!(paths.len(), 1);
    let change = VirtualMachineConfigSpec {
        extra_config: paths,
        ..Default::default()
    };
    flow.client.run(vm.reconfig_vm(&change)).await.unwrap();

    let listing = exec.list().await.unwrap();
    assert_eq!(
        listing.containers.iter().map(|c| c.id).collect::<Vec<_>>(),
        [good]
    );
    assert_eq!(listing.quarantined.len(), 1);
    assert_eq!(listing.quarantined[0].id, Some(bad));
    assert!(matches!(
        exec.inspect(&bad).await,
        Err(Error {
            kind: ErrorKind::InvalidState { .. },
            ..
        })
    ));
    exec.remove(&bad).await.unwrap();
    exec.remove(&good).await.unwrap();
    assert_eq!(
        exec.list().await.unwrap(),
        portlayer::exec::Listing::default()
    );
}

/// The configuration file on the datastore has the keys that were set through the API, if the
/// endpoint provides the file.
pub(crate) async fn the_configuration_file_is_readable(flow: &Flow<'_>) {
    let exec = flow.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("file", Command::new("/hello"));
    let id = exec.create(spec).await.unwrap();
    let file = exec.vmx(&id).await;
    if exec.capabilities().contains(Capability::VmxContents) {
        let file = vmx::Document::parse(file.unwrap().to_vec()).unwrap();
        let dialects = portlayer::vsphere::Dialect::ALL.map(|dialect| dialect.base());
        assert!(
            dialects
                .iter()
                .any(|base| file.contains(format!("{base}/repo"))),
            "{file:?}"
        );
    } else {
        assert!(matches!(
            file,
            Err(Error {
                kind: ErrorKind::Unsupported {
                    capability: Capability::VmxContents
                },
                ..
            })
        ));
    }
    exec.remove(&id).await.unwrap();
}
