//! Compute resources: a standalone host or a cluster of hosts, with pools, datastores and
//! networks.

use std::sync::Arc;

use vim25::types::{
    ClusterComputeResourceSummary, ClusterConfigInfo, ClusterConfigInfoEx, ClusterDrsConfigInfo,
    ComputeResourceConfigInfo, ComputeResourceSummary, DrsBehavior, ManagedEntityStatus,
};
use vim25::{AnyRef, Poly, Ref, mo};

use super::{entity, host_system};
use crate::layout::HostLayout;
use crate::object::{Object, Retype};
use crate::shared::Shared;
use crate::world::Transaction;

/// Parameters of a new compute resource.
pub(super) struct Compute<'c> {
    pub(super) folder: &'c Ref<mo::Folder>,
    pub(super) value: &'c str,
    pub(super) name: &'c str,
    /// The value of the root pool.
    pub(super) pool: &'c str,
    pub(super) browser: &'c str,
    pub(super) hosts: &'c [HostLayout],
    /// `None` for a standalone host; for a cluster, whether DRS is on.
    pub(super) cluster: Option<bool>,
}

pub(super) fn build(tx: &mut Transaction<'_>, compute: &Compute<'_>) {
    let folder = compute.folder;
    let parent = Some(entity::any(folder));
    let mut object = match compute.cluster {
        Some(_) => entity::new::<mo::ClusterComputeResource>(compute.value, compute.name, parent),
        None => entity::new::<mo::ComputeResource>(compute.value, compute.name, parent),
    };
    let hosts: Vec<Ref<mo::HostSystem>> = compute.hosts.iter().map(HostLayout::host).collect();
    object.put("host", &hosts);
    object.put("resourcePool", &Ref::<mo::ResourcePool>::new(compute.pool));
    object.put("datastore", &Vec::<AnyRef>::new());
    object.put("network", &Vec::<AnyRef>::new());
    let browser: Ref<mo::EnvironmentBrowser> = Ref::new(compute.browser);
    object.put("environmentBrowser", &browser);
    let summary = summary(compute.hosts.len());
    let config = ComputeResourceConfigInfo {
        vm_swap_placement: "vmDirectory".into(),
        ..Default::default()
    };
    match compute.cluster {
        None => {
            object.put("summary", &Poly::<ComputeResourceSummary>::new(summary));
            object.put(
                "configurationEx",
                &Poly::<ComputeResourceConfigInfo>::new(config),
            );
        }
        Some(drs) => {
            let drs = ClusterDrsConfigInfo {
                enabled: Some(drs),
                default_vm_behavior: Some(DrsBehavior::FullyAutomated),
                vmotion_rate: Some(3),
                ..Default::default()
            };
            let mut whole = ClusterComputeResourceSummary::default();
            whole.base = summary;
            whole.current_failover_level = 0;
            let mut plain = ClusterConfigInfo::default();
            plain.drs_config = drs.clone();
            plain.das_config.enabled = Some(false);
            let mut config_ex = ClusterConfigInfoEx::default();
            config_ex.base = config;
            config_ex.drs_config = drs;
            config_ex.das_config.enabled = Some(false);
            object.put("summaryEx", &whole);
            object.put("summary", &Poly::<ComputeResourceSummary>::new(whole));
            object.put("configuration", &plain);
            object.put(
                "configurationEx",
                &Poly::<ComputeResourceConfigInfo>::new(config_ex),
            );
        }
    }
    tx.insert(object);
    let mut environment = Object::new::<mo::EnvironmentBrowser>(browser.value());
    if let Some(host) = compute.hosts.first() {
        environment.put("datastoreBrowser", &host.browser());
    }
    tx.insert(environment);
    let own: AnyRef = AnyRef::from_wire(
        if compute.cluster.is_some() {
            "ClusterComputeResource"
        } else {
            "ComputeResource"
        },
        compute.value,
    );
    if let Ok(folder) = tx.edit(folder) {
        let _ = folder.edit_list("childEntity", |children| children.push(own));
    }
}

/// No cluster has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cluster is named `{name}`")]
#[non_exhaustive]
pub struct UnknownClusterError {
    /// The name that was looked for.
    pub name: String,
}

/// Returns whether a compute resource is a cluster whose DRS is off.
pub(crate) fn is_without_drs(compute: &Object) -> bool {
    let drs = compute.read("configuration");
    drs.is_ok_and(|config: ClusterConfigInfo| config.drs_config.enabled != Some(true))
}

/// Turns DRS of a cluster on or off.
pub(crate) fn set_drs(
    shared: &Arc<Shared>,
    name: &str,
    on: bool,
) -> Result<(), UnknownClusterError> {
    let unknown = || UnknownClusterError {
        name: name.to_owned(),
    };
    let mut tx = Transaction::begin(shared).map_err(|_closed| unknown())?;
    let mut clusters = tx.all("ClusterComputeResource");
    let found = clusters.find(|cluster| cluster.name() == name);
    let cluster: Ref<mo::ClusterComputeResource> = found.ok_or_else(unknown)?.reference().retype();
    drop(clusters);
    let object = tx.edit(&cluster).map_err(|_| unknown())?;
    let changed = object.modify("configuration", |config: &mut ClusterConfigInfo| {
        config.drs_config.enabled = Some(on);
    });
    let changed = changed.and_then(|()| {
        type Config = Poly<ComputeResourceConfigInfo>;
        object.modify("configurationEx", |config: &mut Config| {
            let set = |config: &mut ClusterConfigInfoEx| config.drs_config.enabled = Some(on);
            if let Err(error) = config.modify(set) {
                tracing::error!(%error, "DRS of a cluster was not changed");
            }
        })
    });
    changed.map_err(|_| unknown())?;
    tx.commit();
    Ok(())
}

fn summary(hosts: usize) -> ComputeResourceSummary {
    let number = i32::try_from(hosts).unwrap_or(i32::MAX);
    let cores = host_system::CORES.saturating_mul(i16::try_from(hosts).unwrap_or(i16::MAX));
    let memory = host_system::MEMORY.saturating_mul(i64::from(number));
    ComputeResourceSummary {
        total_cpu: host_system::CPU_MHZ.saturating_mul(i32::from(cores)),
        total_memory: memory,
        num_cpu_cores: cores,
        num_cpu_threads: cores,
        effective_cpu: host_system::CPU_MHZ.saturating_mul(i32::from(cores)),
        effective_memory: memory >> 20,
        num_hosts: number,
        num_effective_hosts: number,
        overall_status: ManagedEntityStatus::Green,
    }
}
