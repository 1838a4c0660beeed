//! Chooses the ESXi host of a new machine where the endpoint does not: in a cluster without DRS.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use vim25::types::{
    ClusterConfigInfoEx, HostSystemConnectionState, VirtualDeviceConfigSpec,
    VirtualMachineConfigSpec,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::ObjectProperties;

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, ErrorKind, Resource, Result};

type Host<V> = Property<mo::HostSystem, V>;

const CONNECTION: Host<HostSystemConnectionState> = Property::new("runtime.connectionState");
const MAINTENANCE: Host<bool> = Property::new("runtime.inMaintenanceMode");
const MEMORY: Host<i64> = Property::new("summary.hardware.memorySize");
const USED_MIB: Host<i32> = Property::new("summary.quickStats.overallMemoryUsage");

/// The ids of the datastores and networks that a machine uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needs {
    datastores: BTreeSet<String>,
    networks: BTreeSet<String>,
}

impl Needs {
    fn of(spec: &VirtualMachineConfigSpec) -> Self {
        let mut needs = Self::default();
        let text = |device: &Poly<VirtualDeviceConfigSpec>, path: &str| {
            let node = device.node().path("device.backing")?.path(path)?;
            node.as_str().map(str::to_owned)
        };
        for device in &spec.device_change {
            needs.datastores.extend(text(device, "datastore"));
            needs.networks.extend(text(device, "network"));
            // The key of a distributed port group is its id.
            needs.networks.extend(text(device, "port.portgroupKey"));
        }
        needs
    }
}

/// An ESXi host of a cluster.
#[derive(Clone, Debug)]
struct Candidate {
    host: Ref<mo::HostSystem>,
    /// Whether the host is connected and not in maintenance mode.
    is_usable: bool,
    datastores: BTreeSet<String>,
    networks: BTreeSet<String>,
    /// Free memory in bytes.
    free_memory: i64,
    machines: usize,
}

impl Candidate {
    fn read(host: &ObjectProperties<mo::HostSystem>) -> Self {
        let datastores = host.value(props::host_system::DATASTORE);
        let networks = host.value(props::host_system::NETWORK);
        let used = i64::from(host.value(USED_MIB).unwrap_or(0)) << 20;
        let machines = host.value(props::host_system::VM);
        Self {
            host: host.object().clone(),
            is_usable: host.value(CONNECTION) == Some(HostSystemConnectionState::Connected)
                && host.value(MAINTENANCE) != Some(true),
            datastores: ids(datastores),
            networks: ids(networks),
            free_memory: host.value(MEMORY).unwrap_or(0) - used,
            machines: machines.map_or(0, |machines| machines.len()),
        }
    }
}

fn ids<T>(references: Option<Vec<Ref<T>>>) -> BTreeSet<String> {
    let references = references.unwrap_or_default();
    let id = |reference: &Ref<T>| reference.value().to_owned();
    references.iter().map(id).collect()
}

/// Returns the host with the most free memory among those that reach what a machine needs. Several
/// may report the same memory, because they update it only now and then; then the host with the
/// fewest machines is chosen.
fn choose(candidates: Vec<Candidate>, needs: &Needs) -> Option<Ref<mo::HostSystem>> {
    let fits = |candidate: &Candidate| {
        candidate.is_usable
            && needs.datastores.is_subset(&candidate.datastores)
            && needs.networks.is_subset(&candidate.networks)
    };
    candidates
        .into_iter()
        .filter(fits)
        .max_by_key(|candidate| (candidate.free_memory, Reverse(candidate.machines)))
        .map(|candidate| candidate.host)
}

impl Endpoint {
    /// Returns the host on which to create a machine, or `None` if the endpoint chooses it. Asks
    /// only endpoints that refused to choose before.
    pub(super) async fn usual_host(
        &self,
        pool: &Ref<mo::ResourcePool>,
        spec: &VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::HostSystem>>> {
        if self.experience.chooses_hosts() {
            return Ok(None);
        }
        self.host_without_drs(pool, spec, resource).await
    }

    /// Returns the host to name after the endpoint refused to create a machine on a host of its own
    /// choice. Returns `None` if that is not the reason.
    pub(super) async fn host_after(
        &self,
        error: &Error,
        pool: &Ref<mo::ResourcePool>,
        spec: &VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::HostSystem>>> {
        let is_possible = matches!(
            error.kind,
            ErrorKind::InvalidArgument { .. } | ErrorKind::Internal
        );
        if !is_possible || !self.client.is_vcenter() {
            return Ok(None);
        }
        let host = self.host_without_drs(pool, spec, resource).await?;
        if host.is_some() {
            self.experience.host_was_missing();
        }
        Ok(host)
    }

    /// Chooses a host of the cluster that owns the pool. Returns `None` if the owner is not a
    /// cluster, or has DRS.
    ///
    /// # Errors
    /// [`Exhausted`](crate::ErrorKind::Exhausted) if no host fits.
    async fn host_without_drs(
        &self,
        pool: &Ref<mo::ResourcePool>,
        spec: &VirtualMachineConfigSpec,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::HostSystem>>> {
        let wrap = |error| fault::error(resource, error);
        let owner = self.client.get(pool, props::resource_pool::OWNER).await;
        let owner = owner.map_err(wrap)?;
        if !owner.is::<mo::ClusterComputeResource>() {
            return Ok(None);
        }
        let parts = (
            props::compute_resource::NAME,
            props::compute_resource::HOST,
            props::compute_resource::CONFIGURATION_EX,
        );
        let (name, hosts, config) = self.client.try_get(&owner, parts).await.map_err(wrap)?;
        let drs =
            config.and_then(|config| config.view::<ClusterConfigInfoEx>()?.drs_config.enabled);
        if drs == Some(true) {
            return Ok(None);
        }
        let found = self
            .client
            .retrieve::<mo::HostSystem>()
            .objects(hosts.unwrap_or_default())
            .property(CONNECTION)
            .property(MAINTENANCE)
            .property(props::host_system::DATASTORE)
            .property(props::host_system::NETWORK)
            .property(MEMORY)
            .property(USED_MIB)
            .property(props::host_system::VM)
            .collect()
            .await
            .map_err(wrap)?;
        let candidates = found.iter().map(Candidate::read).collect();
        match choose(candidates, &Needs::of(spec)) {
            Some(host) => Ok(Some(host)),
            None => {
                let what = format!(
                    "host in cluster {:?} that is connected and reaches its datastore and networks",
                    name.unwrap_or_default()
                );
                Err(Error::exhausted(resource.clone(), what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, free_memory: i64) -> Candidate {
        let one = |id: &str| [id.to_owned()].into();
        Candidate {
            host: Ref::new(id),
            is_usable: true,
            datastores: one("ds"),
            networks: one("net"),
            free_memory,
            machines: 0,
        }
    }

    fn needs() -> Needs {
        Needs {
            datastores: ["ds".to_owned()].into(),
            networks: ["net".to_owned()].into(),
        }
    }

    #[test]
    fn the_host_with_the_most_memory_that_reaches_everything_is_chosen() {
        let mut down = candidate("down", 9);
        down.is_usable = false;
        let mut without_datastore = candidate("without-datastore", 8);
        without_datastore.datastores.clear();
        let mut without_network = candidate("without-network", 7);
        without_network.networks.clear();
        let mut crowded = candidate("crowded", 5);
        crowded.machines = 3;
        let all = [
            down,
            without_datastore,
            without_network,
            candidate("small", 1),
            crowded,
            candidate("free", 5),
        ];
        let chosen = choose(all.to_vec(), &needs());
        assert_eq!(chosen, Some(Ref::new("free")));
        let chosen = choose(all.to_vec(), &Needs::default());
        assert_eq!(chosen, Some(Ref::new("without-datastore")));
        assert_eq!(choose(all[..3].to_vec(), &needs()), None);
    }
}
