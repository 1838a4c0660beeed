//! Reads, creates and destroys machines.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;
use vim25::types::{
    OptionValue, ResourceAllocationInfo, VirtualDevice, VirtualMachineConfigSpec,
    VirtualMachineConnectionState, VirtualMachinePowerState,
};
use vim25::{Node, Poly, Property, Ref, Slot, mo, props};
use vsphere_client::{DatastorePath, ObjectProperties, Query};

use super::Endpoint;
use crate::exec::Resources;
use crate::vsphere::allocation::from_info;
use crate::vsphere::derive_state::Power;
use crate::vsphere::fault;
use crate::vsphere::packed_keys::PackedKeys;
use crate::{Error, Resource, Result};

type Vm<V> = Property<mo::VirtualMachine, V>;

// These are parts of `config` and `runtime`, which are several times larger as a whole.
const NAME: Vm<String> = props::virtual_machine::NAME;
const POWER: Vm<VirtualMachinePowerState> = Property::new("runtime.powerState");
const CONNECTION: Vm<VirtualMachineConnectionState> = Property::new("runtime.connectionState");
const EXTRA_CONFIG: Vm<Vec<Poly<OptionValue>>> = Property::new("config.extraConfig");
const CHANGE_VERSION: Vm<String> = Property::new("config.changeVersion");
pub(super) const UUID: Vm<String> = Property::new("config.uuid");
const TEMPLATE: Vm<bool> = Property::new("config.template");
pub(super) const PATH: Vm<String> = Property::new("config.files.vmPathName");
const CPUS: Vm<i32> = Property::new("config.hardware.numCPU");
const MEMORY: Vm<i32> = Property::new("config.hardware.memoryMB");
const CPU_ALLOCATION: Vm<ResourceAllocationInfo> = Property::new("config.cpuAllocation");
const MEMORY_ALLOCATION: Vm<ResourceAllocationInfo> = Property::new("config.memoryAllocation");
const TASKS: Vm<Vec<Ref<mo::Task>>> = Property::new("recentTask");
const BOOT_TIME: Vm<Timestamp> = Property::new("runtime.bootTime");
pub(super) const DEVICES: Vm<Vec<Poly<VirtualDevice>>> = Property::new("config.hardware.device");

/// The properties to read of each machine.
pub(super) const PATHS: [&str; 13] = [
    NAME.path(),
    POWER.path(),
    CONNECTION.path(),
    EXTRA_CONFIG.path(),
    CHANGE_VERSION.path(),
    UUID.path(),
    TEMPLATE.path(),
    PATH.path(),
    CPUS.path(),
    MEMORY.path(),
    CPU_ALLOCATION.path(),
    MEMORY_ALLOCATION.path(),
    TASKS.path(),
];

/// A snapshot of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) struct Machine {
    pub(in crate::vsphere) vm: Ref<mo::VirtualMachine>,
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) power: Power,
    /// The power state as reported, even while the machine's host does not respond.
    pub(in crate::vsphere) last_power: Power,
    /// Whether the machine's host does not respond.
    pub(in crate::vsphere) is_disconnected: bool,
    /// Why the endpoint cannot use the machine, if it cannot.
    pub(in crate::vsphere) unusable: Option<String>,
    pub(in crate::vsphere) keys: PackedKeys,
    pub(in crate::vsphere) change_version: Option<String>,
    pub(in crate::vsphere) uuid: Option<Uuid>,
    /// Whether the machine is a template, which is in no pool and cannot be powered on.
    pub(in crate::vsphere) is_template: bool,
    /// The machine's configuration file: `[datastore] path`.
    pub(in crate::vsphere) path: String,
    pub(in crate::vsphere) resources: Resources,
    /// The machine's recent tasks, running or ended.
    pub(in crate::vsphere) tasks: Vec<Ref<mo::Task>>,
}

impl Machine {
    /// Returns a machine of which nothing is known.
    pub(in crate::vsphere) fn unknown(vm: Ref<mo::VirtualMachine>) -> Self {
        Self {
            vm,
            name: String::new(),
            power: Power::Unknown,
            last_power: Power::Unknown,
            is_disconnected: false,
            unusable: None,
            keys: PackedKeys::default(),
            change_version: None,
            uuid: None,
            is_template: false,
            path: String::new(),
            resources: Resources::new(),
            tasks: Vec::new(),
        }
    }

    /// Converts the properties at [`PATHS`]. Unreadable properties become empty values, and callers
    /// that need them fail.
    pub(in crate::vsphere) fn read(properties: &ObjectProperties<mo::VirtualMachine>) -> Self {
        let mut machine = Self::unknown(properties.object().clone());
        machine.update(properties, |_| true);
        machine
    }

    /// Returns the machine after a report of the properties at `changed`. The report may contain
    /// only these.
    pub(in crate::vsphere) fn changed(
        &self,
        properties: &ObjectProperties<mo::VirtualMachine>,
        changed: &[String],
    ) -> Self {
        let mut machine = self.clone();
        let is_changed = |path: &str| changed.iter().any(|changed| changed.starts_with(path));
        machine.update(properties, is_changed);
        machine
    }

    fn update(
        &mut self,
        properties: &ObjectProperties<mo::VirtualMachine>,
        is_changed: impl Fn(&str) -> bool,
    ) {
        /// Returns the value of a property that changed.
        fn value<V: Slot>(
            properties: &ObjectProperties<mo::VirtualMachine>,
            property: Vm<V>,
            is_changed: impl Fn(&str) -> bool,
        ) -> Option<Option<V>> {
            is_changed(property.path()).then(|| properties.value(property))
        }
        if let Some(name) = value(properties, NAME, &is_changed) {
            self.name = name.unwrap_or_default();
        }
        if let Some(power) = value(properties, POWER, &is_changed) {
            self.last_power = match power {
                Some(VirtualMachinePowerState::PoweredOn) => Power::On,
                Some(VirtualMachinePowerState::Suspended) => Power::Suspended,
                Some(VirtualMachinePowerState::PoweredOff) => Power::Off,
                _ => Power::Unknown,
            };
        }
        if let Some(connection) = value(properties, CONNECTION, &is_changed) {
            self.is_disconnected = connection == Some(VirtualMachineConnectionState::Disconnected);
            self.unusable = match connection {
                None
                | Some(
                    VirtualMachineConnectionState::Connected
                    | VirtualMachineConnectionState::Disconnected,
                ) => None,
                Some(state) => Some(format!("the connection state of its machine is {state}")),
            };
        }
        // Without a connection to the machine's host, its power state may be outdated.
        self.power = if self.is_disconnected {
            Power::Unknown
        } else {
            self.last_power
        };
        if is_changed(EXTRA_CONFIG.path()) {
            self.keys = keys(properties);
        }
        if let Some(version) = value(properties, CHANGE_VERSION, &is_changed) {
            self.change_version = version.filter(|version| !version.is_empty());
        }
        if let Some(uuid) = value(properties, UUID, &is_changed) {
            self.uuid = uuid.and_then(|uuid| uuid.parse().ok());
        }
        if let Some(is_template) = value(properties, TEMPLATE, &is_changed) {
            self.is_template = is_template.unwrap_or_default();
        }
        if let Some(path) = value(properties, PATH, &is_changed) {
            self.path = path.unwrap_or_default();
        }
        if let Some(cpus) = value(properties, CPUS, &is_changed) {
            let cpus = cpus.and_then(|cpus| cpus.try_into().ok());
            self.resources.cpus = cpus.unwrap_or(0);
        }
        if let Some(mib) = value(properties, MEMORY, &is_changed) {
            let mib = mib.and_then(|mib| mib.try_into().ok());
            self.resources.memory_mib = mib.unwrap_or(0);
        }
        if let Some(cpu) = value(properties, CPU_ALLOCATION, &is_changed) {
            self.resources.cpu = from_info(cpu.as_ref());
        }
        if let Some(memory) = value(properties, MEMORY_ALLOCATION, &is_changed) {
            self.resources.memory = from_info(memory.as_ref());
        }
        if let Some(tasks) = value(properties, TASKS, &is_changed) {
            self.tasks = tasks.unwrap_or_default();
        }
    }

    /// Returns the directory of the machine's files: `[datastore] path`.
    pub(in crate::vsphere) fn directory(&self) -> String {
        let file = self.path.parse::<DatastorePath>();
        file.map_or_else(|_| String::new(), |file| file.parent().to_string())
    }
}

/// Packs the keys of a machine, without converting each of its thousands of options.
fn keys(properties: &ObjectProperties<mo::VirtualMachine>) -> PackedKeys {
    let mut values = properties.values();
    let Some((_, options)) = values.find(|(path, _)| *path == EXTRA_CONFIG.path()) else {
        return PackedKeys::default();
    };
    let keys = options.node().children().filter_map(|option| {
        let key = option.get("key")?.as_str().filter(|key| !key.is_empty())?;
        Some((key, text(option.get("value")?)?))
    });
    PackedKeys::pack(keys.collect())
}

fn text(value: Node<'_>) -> Option<Cow<'_, str>> {
    let number = || value.as_i64().map(|number| number.to_string());
    let flag = || value.as_bool().map(|flag| flag.to_string());
    let fraction = || value.as_f64().map(|number| number.to_string());
    match value.as_str() {
        Some(text) => Some(Cow::Borrowed(text)),
        None => Some(Cow::Owned(number().or_else(flag).or_else(fraction)?)),
    }
}

/// The object whose direct children are the machines of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum Parent {
    /// The host's own resource pool.
    Pool(Ref<mo::ResourcePool>),
    /// The host's own inventory folder. In a cluster without DRS, the hosts share the root pool.
    Folder(Ref<mo::Folder>),
}

/// The objects that the machines of a host are in.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Members {
    pub(in crate::vsphere) parent: Parent,
    /// The folder of images, whose machines may be templates and thus not in a pool.
    pub(in crate::vsphere) image_folder: Option<Ref<mo::Folder>>,
}

/// The identifying properties of a machine.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Member {
    pub(in crate::vsphere) vm: Ref<mo::VirtualMachine>,
    pub(in crate::vsphere) name: String,
}

impl Member {
    fn read(properties: &ObjectProperties<mo::VirtualMachine>) -> Self {
        Self {
            vm: properties.object().clone(),
            name: properties.value(NAME).unwrap_or_default(),
        }
    }
}

impl Endpoint {
    pub(in crate::vsphere) async fn machine(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Machine> {
        let retrieval = self.client.retrieve().objects([vm.clone()]);
        let found = PATHS
            .into_iter()
            .fold(retrieval, |retrieval, path| retrieval.path(path));
        let found = found
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        found
            .first()
            .map(Machine::read)
            .ok_or_else(|| Error::not_found(resource.clone()))
    }

    /// Reads a machine, and when it was powered on; `None` if it is off or suspended.
    pub(in crate::vsphere) async fn machine_with_boot_time(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<(Machine, Option<Timestamp>)> {
        let found = self.machine_with(vm, resource, BOOT_TIME.path()).await?;
        Ok((Machine::read(&found), found.value(BOOT_TIME)))
    }

    /// Reads a machine with its devices.
    pub(in crate::vsphere) async fn machine_with_devices(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<(Machine, Vec<Poly<VirtualDevice>>)> {
        let found = self.machine_with(vm, resource, DEVICES.path()).await?;
        let devices = found.value(DEVICES).unwrap_or_default();
        Ok((Machine::read(&found), devices))
    }

    /// Reads the properties of a machine, and one more.
    async fn machine_with(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        path: &str,
    ) -> Result<ObjectProperties<mo::VirtualMachine>> {
        let retrieval = self.client.retrieve().objects([vm.clone()]);
        let paths = PATHS.into_iter().chain([path]);
        let found = paths.fold(retrieval, |retrieval, path| retrieval.path(path));
        let found = found
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        let found = found.into_iter().next();
        found.ok_or_else(|| Error::not_found(resource.clone()))
    }

    /// Selects the machines of a host.
    pub(super) fn select(&self, home: &Members) -> Query<mo::VirtualMachine> {
        let query = self.client.retrieve();
        let query = match &home.parent {
            Parent::Pool(pool) => query.along(pool, props::resource_pool::VM),
            Parent::Folder(folder) => query.along(folder, props::folder::CHILD_ENTITY),
        };
        match &home.image_folder {
            Some(folder) => query.and_along(folder, props::folder::CHILD_ENTITY),
            None => query,
        }
    }

    /// Reads the machines of a host.
    pub(in crate::vsphere) async fn machines(
        &self,
        home: &Members,
        resource: &Resource,
    ) -> Result<Vec<Machine>> {
        let found = PATHS
            .into_iter()
            .fold(self.select(home), |retrieval, path| retrieval.path(path));
        let found = found
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        Ok(found.iter().map(Machine::read).collect())
    }

    /// Reads these machines; machines that were removed are left out.
    pub(in crate::vsphere) async fn machines_of(
        &self,
        vms: &[Ref<mo::VirtualMachine>],
        resource: &Resource,
    ) -> Result<Vec<Machine>> {
        let retrieval = self.client.retrieve().objects(vms.iter().cloned());
        let found = PATHS
            .into_iter()
            .fold(retrieval, |retrieval, path| retrieval.path(path));
        let found = found
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        Ok(found.iter().map(Machine::read).collect())
    }

    /// Lists the machines of a host without reading any of them.
    pub(in crate::vsphere) async fn references(
        &self,
        home: &Members,
        resource: &Resource,
    ) -> Result<Vec<Ref<mo::VirtualMachine>>> {
        let wrap = |error| fault::error(resource, error);
        let in_folder = async |folder: &Ref<mo::Folder>| {
            let children = self.client.try_get(folder, props::folder::CHILD_ENTITY);
            let children = children.await.map_err(wrap)?.unwrap_or_default();
            let machines = children.iter().filter_map(|child| child.downcast());
            Result::Ok(machines.collect::<Vec<Ref<mo::VirtualMachine>>>())
        };
        let mut machines = match &home.parent {
            Parent::Pool(pool) => {
                let machines = self.client.try_get(pool, props::resource_pool::VM);
                machines.await.map_err(wrap)?.unwrap_or_default()
            }
            Parent::Folder(folder) => in_folder(folder).await?,
        };
        if let Some(folder) = &home.image_folder {
            machines.extend(in_folder(folder).await?);
            // A machine in the folder is also in the pool unless it is a template.
            machines.sort_unstable();
            machines.dedup();
        }
        Ok(machines)
    }

    /// Reads the identifying properties of the machines of a host.
    pub(in crate::vsphere) async fn members(
        &self,
        home: &Members,
        resource: &Resource,
    ) -> Result<Vec<Member>> {
        let found = self.select(home).property(NAME).collect().await;
        let found = found.map_err(|error| fault::error(resource, error))?;
        Ok(found.iter().map(Member::read).collect())
    }

    pub(in crate::vsphere) async fn devices(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<Vec<Poly<VirtualDevice>>> {
        let devices = self.client.try_get(vm, DEVICES).await;
        devices
            .map(Option::unwrap_or_default)
            .map_err(|error| fault::error(resource, error))
    }

    /// Creates a machine. In a cluster without DRS, chooses its host.
    pub(in crate::vsphere) async fn create(
        &self,
        folder: &Ref<mo::Folder>,
        pool: &Ref<mo::ResourcePool>,
        spec: &VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<Ref<mo::VirtualMachine>> {
        let host = self.usual_host(pool, spec, resource).await?;
        let create = |host| self.run(folder.create_vm(spec, pool, host), resource);
        match create(host.as_ref()).await {
            Err(error) if host.is_none() => {
                match self.host_after(&error, pool, spec, resource).await? {
                    Some(host) => create(Some(&host)).await,
                    None => Err(error),
                }
            }
            created => created,
        }
    }

    pub(in crate::vsphere) async fn reconfigure(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        spec: &VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<()> {
        self.run(vm.reconfig_vm(spec), resource).await
    }

    /// Destroys a machine that is powered off, and deletes its files. If its destruction is disabled
    /// for other programs, it is enabled first.
    pub(in crate::vsphere) async fn destroy(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
    ) -> Result<()> {
        self.enable_destroy(vm, resource).await;
        self.run(vm.destroy(), resource).await
    }
}
