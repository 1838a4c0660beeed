//! Virtual container hosts, on which containers run.

mod appliance_component;
mod appliance_networks;
mod certificates;
mod checks;
mod claim;
mod components;
mod configure;
mod delete;
mod existing;
mod finding;
mod info;
mod install;
mod leftovers;
mod lookup;
mod plan;
mod planned_steps;
mod pool;
mod problems;
mod progress;
mod registries;
mod remove_containers;
mod spec;
mod undo;
mod uploads;
mod volume_store;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guestinfo::Dialect;
use tokio::sync::OnceCell;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};
use vsphere_client::Client;

pub use appliance_component::ApplianceComponent;
pub(in crate::vsphere) use appliance_component::Location;
pub use appliance_networks::{ApplianceNetworks, NetworkRole, RoleNetwork, StaticAddress};
pub use certificates::ApplianceCertificates;
pub use components::{Component, ComponentState};
pub use finding::{Finding, Severity};
pub use info::{ContainerPolicy, Deletion, HostInfo, HostState};
pub use plan::{Plan, PlannedStep};
pub use pool::PoolAllocation;
pub use progress::{InstallError, InstallProgress, InstallStatus, InstallStep, ObserveInstall};
pub use registries::Registries;
pub use spec::{HostSpec, Iso};
pub use volume_store::{VolumeStore, VolumeStoreError};

use self::lookup::Found;
use super::endpoint::Endpoint;
use super::exec::{VsphereExec, WeakExec};
use super::host_objects::HostObjects;
use super::host_record::HostRecord;
use super::kind;
use super::machine_spec::options;
use super::options::Options;
use super::probe;
use super::sole_writer::claim;
use super::streams::VsphereStreams;
use crate::queue::Queues;
use crate::{Capabilities, PortLayer, Result};

/// The virtual container hosts of an ESXi host or a vCenter.
///
/// A host consists of a resource pool, on a vCenter an inventory folder, the appliance (a machine in
/// both), and a directory on the datastore with the appliance's files and the two boot images. All
/// of them are named after the host. Hosts are found by the keys of their appliances, which describe
/// the host; no other record is kept.
///
/// The machines of a host are those in its pool. A cluster without DRS has no resource pools: there,
/// the machines are in the root pool of the cluster, and the host's machines are those in its
/// folder. On a vCenter, hosts of earlier versions have only a pool.
///
/// The keys of the appliance are those of VIC, so that programs that read them find the host's
/// configuration. Some of VIC's keys are deliberately not written:
///
/// - the password or session ticket of the endpoint (`connect/token`): the installer's account may do
///   anything, and who reads the appliance's files reads a sealed key, too. The programs of an
///   appliance need an account of their own, whose password somebody must give them.
/// - the extension's key of 0.4 (`extension_cert`, `extension_key`, `extension_name`): no extension is
///   registered.
/// - the private keys of users (`key_pem`, `cert_pem` of 0.4): they stay with the users.
/// - `grant_permissions`: the installation grants no permissions.
///
/// `insecure` of 0.4 is always `false`.
///
/// ```no_run
/// use portlayer::vsphere::{HostSpec, Hosts, Iso, Options};
///
/// # async fn install(client: vsphere_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let hosts = Hosts::new(client, Options::default());
/// let spec = HostSpec::new("vch-1", Iso::file("appliance.iso"), Iso::file("bootstrap.iso"));
/// let host = hosts.install(spec, &|progress| println!("{progress:?}")).await?;
/// let layer = hosts.open(&host.name).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Hosts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    options: Options,
    capabilities: OnceCell<Capabilities>,
    /// Serializes the installation, opening and deletion of hosts with the same name.
    names: Queues<String>,
    /// The open hosts, by their appliances.
    opened: Mutex<HashMap<Ref<mo::VirtualMachine>, WeakExec>>,
}

impl Hosts {
    /// Creates access to the hosts on the client's endpoint.
    #[must_use]
    pub fn new(client: Client, options: Options) -> Self {
        let endpoint = Endpoint::new(client, options.task_timeout);
        let capabilities = OnceCell::new_with(options.capabilities);
        Self {
            shared: Arc::new(Shared {
                endpoint,
                options,
                capabilities,
                names: Queues::default(),
                opened: Mutex::default(),
            }),
        }
    }

    /// Installs a host. First looks up everything that the specification names, then creates the
    /// pool, the folder, the appliance, the boot images and the configuration, and powers on the
    /// appliance.
    /// Each step is reported to `observer`.
    ///
    /// Dropping the future is safe; operations that have begun continue on the endpoint. An
    /// interrupted installation leaves an unfinished host. [`find`](Self::find) finds it,
    /// [`delete`](Self::delete) removes it, and another call with the same specification finishes
    /// it.
    ///
    /// # Errors
    /// Everything that was created so far is removed again; objects that could not be removed are
    /// [listed](InstallError::left_behind). Among the causes are
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a host with this name exists, and
    /// [`NotFound`](crate::ErrorKind::NotFound) for an unknown datastore or network. In both cases
    /// nothing was created.
    pub async fn install(
        &self,
        spec: HostSpec,
        observer: &dyn ObserveInstall,
    ) -> Result<HostInfo, InstallError> {
        // Boxed, because the future is too large to be moved through callers' futures.
        Box::pin(self.shared.install(spec, observer)).await
    }

    /// Plans an installation without changing anything: looks up everything that the specification
    /// names, runs all checks, and lists every step with what it creates.
    ///
    /// Each problem of the specification becomes a [`Finding`] of the plan. If an interrupted
    /// installation with the same name exists, the plan continues it.
    ///
    /// # Errors
    /// Only errors that affect the whole endpoint.
    pub async fn plan(&self, spec: HostSpec) -> Result<Plan> {
        Box::pin(self.shared.plan(spec)).await
    }

    /// Carries out a plan; each step is reported to `observer`. Objects that appeared on the
    /// endpoint after planning are not overwritten.
    ///
    /// Dropping the future is as safe as dropping that of [`Hosts::install`].
    ///
    /// # Errors
    /// Those of [`Hosts::install`]. Objects of an earlier installation are not removed but
    /// [listed](InstallError::left_behind), so that the host can be resumed or deleted. A host
    /// whose appliance did not report an address in time is treated in the same way.
    pub async fn apply(
        &self,
        plan: Plan,
        observer: &dyn ObserveInstall,
    ) -> Result<HostInfo, InstallError> {
        Box::pin(self.shared.apply(plan, observer)).await
    }

    /// Finds the host with this name.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no host has this name.
    pub async fn find(&self, name: &str) -> Result<HostInfo> {
        Ok(self.shared.find(name).await?.info())
    }

    /// Returns the addresses that the guest of the host's appliance currently reports.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no host has this name.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>> {
        let found = self.shared.find(name).await?;
        let host = kind::host(name);
        self.shared
            .endpoint
            .addresses(&found.machine.vm, &host)
            .await
    }

    /// Returns the limits, reservations and shares that the host's resource pool currently has;
    /// `None` if the host has no pool of its own.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no host has this name.
    pub async fn pool(&self, name: &str) -> Result<Option<PoolAllocation>> {
        let found = self.shared.find(name).await?;
        let (endpoint, host) = (&self.shared.endpoint, kind::host(name));
        let home = endpoint.home(&found.machine.vm, &host).await?;
        match home.own_pool(name) {
            Some(pool) => Ok(Some(endpoint.allocation(pool, &host).await?)),
            None => Ok(None),
        }
    }

    /// Returns all hosts on the endpoint, sorted by name. Reads all machines on the endpoint in one
    /// retrieval, which a large inventory returns in pages.
    ///
    /// # Errors
    /// Only errors that affect the whole endpoint.
    pub async fn list(&self) -> Result<Vec<HostInfo>> {
        self.shared.list().await
    }

    /// Opens the port layer of the host with this name.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if no host has this name;
    /// [`InvalidState`](crate::ErrorKind::InvalidState) if its installation was not finished, or if
    /// it has no pool and somebody removed its folder;
    /// [`InUse`](crate::ErrorKind::InUse) if it should be opened as its [only
    /// writer](Options::sole_writer) and another writer is alive.
    pub async fn open(&self, name: &str) -> Result<PortLayer> {
        let exec = self.exec(name).await?;
        let streams = VsphereStreams::new(exec.clone());
        Ok(layer(exec).with_streams(Arc::new(streams)))
    }

    /// Opens the port layer with attachable streams. The containers' serial lines connect to the
    /// host's [address](HostSpec::address), which must lead to `lines`.
    ///
    /// The lines are closed when the last clone of the port layer is dropped. The output of clients
    /// that are still attached then ends with [`Unavailable`](crate::ErrorKind::Unavailable).
    ///
    /// # Errors
    /// Those of [`Hosts::open`]; [`Internal`](crate::ErrorKind::Internal) if the host was
    /// installed without a key for its lines.
    #[cfg(feature = "attach")]
    pub async fn open_with_lines(
        &self,
        name: &str,
        lines: crate::vsphere::LineServer,
    ) -> Result<PortLayer> {
        let exec = self.exec(name).await?;
        let streams = VsphereStreams::with_lines(exec.clone(), lines)?;
        Ok(layer(exec).with_attachable_streams(Arc::new(streams)))
    }

    /// Deletes a host with its images, its appliance, its pool, its folder, the networks that were
    /// created for its scopes, and the bridge network if the installation created it. After a
    /// failure, another call continues where this one stopped. Finally looks for
    /// [leftovers](Deletion::left). A folder with machines or folders of others is
    /// [kept](Deletion::foreign).
    ///
    /// If no host has this name, empty resource pools and folders with this name are deleted, because
    /// an installation that was interrupted at its beginning leaves them.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if there is nothing to delete.
    /// - [`InUse`](crate::ErrorKind::InUse) naming the containers, with
    ///   [`ContainerPolicy::Refuse`], or naming machines of others among those of the host.
    pub async fn delete(&self, name: &str, containers: ContainerPolicy) -> Result<Deletion> {
        Box::pin(self.shared.delete(name, containers)).await
    }

    /// Opens the containers of a host as [`VsphereExec`], which offers more methods than the
    /// traits.
    ///
    /// # Errors
    /// Those of [`Hosts::open`].
    pub async fn exec(&self, name: &str) -> Result<VsphereExec> {
        // The future has many kilobytes, which callers would have on their stack.
        Box::pin(self.shared.exec(name)).await
    }
}

/// Combines the available parts of a host into a port layer, without streams.
fn layer(exec: VsphereExec) -> PortLayer {
    let images = Arc::new(exec.images().clone());
    let networks = Arc::new(exec.networks());
    PortLayer::new(exec)
        .with_images(images)
        .with_networks(networks)
}

impl Shared {
    async fn exec(&self, name: &str) -> Result<VsphereExec> {
        let _turn = self.names.turn(name.to_owned()).await;
        let (found, objects) = self.objects(name).await?;
        let appliance = objects.appliance.clone();
        // All handles of one host share its queues, so an open host is reused.
        if let Some(exec) = self.opened().get(&appliance).and_then(WeakExec::upgrade) {
            return Ok(exec);
        }
        let capabilities = *self
            .capabilities
            .get_or_try_init(|| self.probe(&found, &objects))
            .await?;
        let (endpoint, options) = (self.endpoint.clone(), self.options.clone());
        let writer = match options.sole_writer {
            true => Some(claim(&endpoint, &objects, options.takeover_timeout).await?),
            false => None,
        };
        let exec = VsphereExec::new(endpoint, objects, options, capabilities, writer);
        let mut opened = self.opened();
        opened.retain(|_, exec| exec.upgrade().is_some());
        opened.insert(appliance, exec.downgrade());
        exec.recover();
        Ok(exec)
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<Ref<mo::VirtualMachine>, WeakExec>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the stored result of probing the endpoint, or probes it now.
    async fn probe(&self, found: &Found, objects: &HostObjects) -> Result<Capabilities> {
        let build = self.endpoint.build();
        let stored = found.record.probed.as_deref();
        if let Some(known) = stored.and_then(|text| probe::from_text(text, &build)) {
            return Ok(known);
        }
        let capabilities = probe::capabilities(&self.endpoint, objects).await?;
        self.keep_probed(found, objects, probe::to_text(capabilities, &build))
            .await;
        Ok(capabilities)
    }

    /// Persists the result of a probe. Best effort: otherwise, the next program probes again.
    async fn keep_probed(&self, found: &Found, objects: &HostObjects, probed: String) {
        let dialect =
            Dialect::detect(found.machine.keys.unpack().keys()).unwrap_or(self.options.dialect);
        let kept = async {
            let host = objects.host();
            let keys = HostRecord::probed_key(probed, dialect)
                .map_err(|error| crate::Error::internal(host.clone(), error))?;
            let change = VirtualMachineConfigSpec {
                extra_config: options(keys),
                ..VirtualMachineConfigSpec::default()
            };
            self.endpoint
                .reconfigure(&objects.appliance, &change, &host)
                .await
        };
        if let Err(error) = kept.await {
            tracing::debug!(host = objects.name, %error, "cannot persist the result of the probe");
        }
    }
}
