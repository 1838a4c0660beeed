//! Writes the configuration of an appliance, and decides whether it is up to date.

use guestinfo::vic::VirtualContainerHostConfig;
use guestinfo::{Dialect, decode, encode};
use jiff::Timestamp;
use vim25::types::{VirtualCdrom, VirtualMachineConfigSpec};
use vim25::{Ref, mo};
use vsphere_client::Thumbprint;

use super::install::Job;
use super::lookup::{APPLIANCE_ISO, BOOTSTRAP_ISO, Found, datastore_path};
use super::plan::{Bridge, Resolved};
use super::undo::Made;
use super::{Component, ComponentState, HostSpec, Location, Shared};
use crate::vsphere::appliance_cards::cards;
use crate::vsphere::hardware;
use crate::vsphere::host_record::{HostRecord, Particulars};
use crate::vsphere::host_settings::{self, HostSettings};
use crate::vsphere::kind;
use crate::vsphere::line_keys;
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::Keys;
use crate::{Error, Result};

/// Where the objects of a host are.
struct Place<'a> {
    vm: &'a Ref<mo::VirtualMachine>,
    pool: &'a Ref<mo::ResourcePool>,
    folder: Option<String>,
    /// The directory of its files: `[datastore] path`.
    directory: &'a str,
}

impl Shared {
    /// Writes the configuration, and inserts the appliance's boot image. Keys of an earlier
    /// configuration that are not in this one are removed.
    pub(super) async fn configure(
        &self,
        job: &Job<'_>,
        (pool, folder): (&Ref<mo::ResourcePool>, Option<String>),
        vm: &Ref<mo::VirtualMachine>,
        made: &Made,
    ) -> Result<()> {
        let (spec, resolved) = (job.spec, job.resolved);
        let directory = made.directory();
        let place = Place {
            vm,
            pool,
            folder,
            directory: &directory,
        };
        let mut keys = self
            .configuration(spec, resolved, &place, &job.installer)
            .await?;
        let machine = self.endpoint.machine(vm, &job.host).await?;
        job.must_own(&machine)?;
        for stale in written_keys(&machine.keys.unpack()) {
            keys.entry(stale).or_default();
        }
        let devices = self.endpoint.devices(vm, &job.host).await?;
        let mut device_change = Vec::new();
        if !devices.iter().any(|device| device.is::<VirtualCdrom>()) {
            let image = format!("{directory}/{APPLIANCE_ISO}");
            let datastore = resolved.datastore.reference();
            let drive = hardware::cdrom_for(&devices, &image, datastore).ok_or_else(|| {
                Error::internal(job.host.clone(), "its machine has no IDE controller")
            })?;
            device_change.push(drive);
        }
        let created_bridge = creates_bridge(resolved);
        let position = resolved.others.positions(created_bridge).bridge;
        let is_card = |device: &&vim25::Poly<vim25::types::VirtualDevice>| {
            device.view::<vim25::types::VirtualEthernetCard>().is_some()
        };
        if created_bridge && devices.iter().filter(is_card).count() <= position {
            // The machine was created before its bridge network existed.
            let bridge = self
                .endpoint
                .network(&resolved.datacenter, &resolved.bridge_name)
                .await?;
            let card = cards([bridge], position, self.options.dialect);
            device_change.extend(card.map(|card| hardware::nic(0, &card)));
        }
        let change = VirtualMachineConfigSpec {
            change_version: machine.change_version,
            num_cpus: changed(machine.resources.cpus, spec.cpus),
            memory_mb: changed(machine.resources.memory_mib, spec.memory_mib),
            device_change,
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        self.endpoint.reconfigure(vm, &change, &job.host).await
    }

    /// Returns whether a configured, unfinished host is as the specification asks.
    pub(super) async fn is_configured_for(
        &self,
        spec: &HostSpec,
        resolved: &Resolved,
        unfinished: &Found,
    ) -> Result<bool> {
        let (host, machine) = (kind::host(&spec.name), &unfinished.machine);
        let home = self.endpoint.home(&machine.vm, &host).await?;
        let directory = machine.directory();
        let place = Place {
            vm: &machine.vm,
            pool: &home.pool,
            folder: unfinished.record.folder.clone(),
            directory: &directory,
        };
        let keys = self.configuration(spec, resolved, &place, "").await?;
        let size = (machine.resources.cpus, machine.resources.memory_mib);
        Ok(size == (spec.cpus, spec.memory_mib)
            && HostRecord::read(&keys).map(comparable)
                == Some(comparable(unfinished.record.clone()))
            && self.has_images(spec, unfinished).await?)
    }

    /// Returns the keys of the host.
    async fn configuration(
        &self,
        spec: &HostSpec,
        resolved: &Resolved,
        place: &Place<'_>,
        installer: &str,
    ) -> Result<Keys> {
        let host = kind::host(&spec.name);
        let created_bridge = creates_bridge(resolved);
        let record = HostRecord {
            name: spec.name.clone(),
            appliance: Some(place.vm.value().to_owned()),
            unfinished: true,
            starting: false,
            created_bridge,
            bridge_network: resolved.bridge_name.clone(),
            scope_networks: spec.scope_networks.clone(),
            scope_vlans: spec.scope_vlans,
            bridge_range: spec.bridge_range,
            address: spec.address.clone().unwrap_or_else(|| spec.name.clone()),
            client_key: line_keys::client_key(&host)?,
            probed: None,
            folder: place.folder.clone(),
            removing: Vec::new(),
            networks: spec.appliance_networks(&resolved.bridge_name),
            installer: Some(installer.to_owned()),
            uploaded: Vec::new(),
            certificate: String::new(),
            authorities: String::new(),
            components: Vec::new(),
            settings: self.settings(spec).await,
        };
        let path = self.endpoint.path_of(place.pool, &host).await?;
        let target = self.endpoint.url();
        let location = Location {
            target: target.clone(),
            datacenter: resolved.datacenter.path().to_owned(),
            compute: path
                .split_once("/Resources")
                .map_or(&*path, |(compute, _)| compute)
                .to_owned(),
            datastore: resolved.datastore.name().to_owned(),
            pool: path,
        };
        let directory = place.directory;
        let particulars = Particulars {
            target,
            datastore: resolved.datastore.name().to_owned(),
            directory: datastore_path(directory).path().to_owned(),
            pool: place.pool.value().to_owned(),
            bootstrap_iso: format!("{directory}/{BOOTSTRAP_ISO}"),
            created: Timestamp::now(),
            positions: resolved.others.positions(created_bridge),
            certificates: spec.certificates.clone(),
            components: spec.components.clone(),
            location,
        };
        record
            .keys(&particulars, self.options.dialect)
            .map_err(|error| Error::internal(host, error))
    }

    /// Returns the settings that only the programs of the appliance use.
    async fn settings(&self, spec: &HostSpec) -> HostSettings {
        let user = match &spec.user {
            Some(user) => user.clone(),
            None => self.endpoint.user().await.unwrap_or_default(),
        };
        let thumbprint = self.endpoint.certificate();
        let thumbprint = thumbprint.map(|der| Thumbprint::sha1(&der).to_string());
        HostSettings {
            version: host_settings::version(),
            user,
            target_thumbprint: thumbprint.unwrap_or_default(),
            keepalive: spec.keepalive,
            registries: spec.registries.clone(),
            volume_stores: spec.volume_stores.clone(),
            create_options: spec.create_options.clone(),
        }
    }
}

/// Returns the value for the API if it changes. An appliance that another installation has powered on
/// in the meantime could not be given its size again.
fn changed<N: PartialEq, T: TryFrom<N>>(old: N, new: N) -> Option<T> {
    (old != new).then(|| new.try_into().ok()).flatten()
}

/// Returns whether this installation creates the bridge network, or an earlier run has created it.
fn creates_bridge(resolved: &Resolved) -> bool {
    let unfinished = resolved.unfinished.as_ref();
    matches!(resolved.bridge, Bridge::Missing(_))
        || unfinished.is_some_and(|host| host.record.created_bridge)
}

/// Returns the keys that an earlier configuration wrote.
fn written_keys(keys: &Keys) -> Vec<String> {
    let Some(dialect) = Dialect::detect(keys.keys()) else {
        return Vec::new();
    };
    let mut config = decode::<VirtualContainerHostConfig>(keys).value;
    // A sealed key cannot be written without its secret.
    let certificate = config.certificates.host.take();
    let written = encode(&config, dialect).unwrap_or_default();
    let of_certificate = keys
        .keys()
        .filter(|key| certificate.is_some() && key.contains("HostCertificate"));
    let is_known = |key: &String| keys.contains_key(key);
    let known = written.into_keys().filter(is_known);
    known.chain(of_certificate.cloned()).collect()
}

/// Returns a record without what differs between two runs of the same installation.
fn comparable(record: HostRecord) -> HostRecord {
    let same_state = |component: Component| Component {
        state: ComponentState::NotStarted,
        ..component
    };
    HostRecord {
        unfinished: true,
        starting: false,
        client_key: None,
        probed: None,
        installer: None,
        uploaded: Vec::new(),
        components: record.components.into_iter().map(same_state).collect(),
        settings: HostSettings {
            version: String::new(),
            create_options: Vec::new(),
            ..record.settings
        },
        ..record
    }
}

impl HostRecord {
    /// Returns the first role whose network is another one, with the network of the host.
    pub(super) fn other_network(
        &self,
        spec: &HostSpec,
        resolved: &Resolved,
    ) -> Option<(&'static str, String)> {
        if self.bridge_network != resolved.bridge_name {
            return Some(("bridge_network", self.bridge_network.clone()));
        }
        let asked = spec.appliance_networks(&resolved.bridge_name);
        self.networks.roles.iter().find_map(|known| {
            let asked = asked.roles.iter().find(|asked| asked.role == known.role)?;
            let field = known.role.network_field();
            (asked.network != known.network).then(|| (field, known.network.clone()))
        })
    }
}
