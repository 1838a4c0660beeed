//! Reads the objects that the checks before an installation examine. Changes nothing.

use vim25::types::{
    ClusterConfigInfoEx, DatastoreHostMount, HostFirewallInfo, InvalidName, KeyAnyValue,
    LicenseManagerLicenseInfo, OptionValue,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::{Datastore, ObjectProperties};

use super::Endpoint;
use crate::vsphere::fault;
use crate::vsphere::kind;
use crate::{Resource, Result};

const FIREWALL: Property<mo::HostSystem, Ref<mo::HostFirewallSystem>> =
    Property::new("configManager.firewallSystem");
const MANAGED_BY: Property<mo::HostSystem, String> = Property::new("summary.managementServerIp");
const ACCESSIBLE: Property<mo::Datastore, bool> = Property::new("summary.accessible");
pub(super) const FREE: Property<mo::Datastore, i64> = Property::new("summary.freeSpace");
const MAINTENANCE: Property<mo::Datastore, String> = Property::new("summary.maintenanceMode");

/// The properties of the endpoint as a whole.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct TargetFacts {
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) full_name: String,
    pub(in crate::vsphere) api_version: String,
    pub(in crate::vsphere) is_vcenter: bool,
}

/// The host or cluster that machines will run on.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct ComputeFacts {
    pub(in crate::vsphere) name: String,
    /// Whether DRS is enabled; `None` if this is not a cluster.
    pub(in crate::vsphere) drs: Option<bool>,
    pub(in crate::vsphere) hosts: Vec<HostFacts>,
}

/// One ESXi host.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct HostFacts {
    /// The host's managed object id.
    pub(in crate::vsphere) id: String,
    pub(in crate::vsphere) name: String,
    /// The address of the vCenter that manages the host.
    pub(in crate::vsphere) managed_by: Option<String>,
    pub(in crate::vsphere) firewall: Option<HostFirewallInfo>,
    pub(in crate::vsphere) licences: Vec<Licence>,
}

/// A licence and its features.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vsphere) struct Licence {
    pub(in crate::vsphere) is_evaluation: bool,
    /// The features by key, such as `serialuri`; empty if the licence lists none.
    pub(in crate::vsphere) features: Vec<String>,
}

/// A datastore.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct DatastoreFacts {
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) accessible: Option<bool>,
    pub(in crate::vsphere) free: Option<u64>,
    pub(in crate::vsphere) in_maintenance: bool,
    /// The ids of the hosts that mount the datastore; empty if the endpoint does not report them.
    pub(in crate::vsphere) hosts: Vec<String>,
}

impl Endpoint {
    pub(in crate::vsphere) fn target_facts(&self) -> TargetFacts {
        let about = &self.client.service_content().about;
        TargetFacts {
            name: self.client.server().to_owned(),
            full_name: about.full_name.clone(),
            api_version: about.api_version.clone(),
            is_vcenter: self.client.is_vcenter(),
        }
    }

    /// Returns whether an advanced setting of a vCenter is true; `None` on ESXi, or if it cannot be
    /// read. A setting that does not exist is not true.
    pub(in crate::vsphere) async fn is_setting_on(&self, key: &str) -> Option<bool> {
        let manager = self.client.service_content().setting.as_ref();
        let manager = manager.filter(|_| self.client.is_vcenter())?;
        let found = match self.client.call(manager.query_options(Some(key))).await {
            Ok(found) => found,
            Err(error) if error.is_fault::<InvalidName>() => return Some(false),
            Err(error) => {
                tracing::debug!(key, %error, "a setting of the vCenter cannot be read");
                return None;
            }
        };
        let is_true = |option: &Poly<OptionValue>| {
            let value = option
                .view::<OptionValue>()
                .and_then(|option| option.text());
            value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        Some(found.iter().any(is_true))
    }

    /// Reads the host or cluster that owns a pool, with its hosts.
    pub(in crate::vsphere) async fn compute_facts(
        &self,
        pool: &Ref<mo::ResourcePool>,
    ) -> Result<ComputeFacts> {
        let resource = Resource::new(kind::COMPUTE_RESOURCE, pool.value());
        let wrap = |error| fault::error(&resource, error);
        let owner = self
            .client
            .get(pool, props::resource_pool::OWNER)
            .await
            .map_err(wrap)?;
        let parts = (
            props::compute_resource::NAME,
            props::compute_resource::HOST,
            props::compute_resource::CONFIGURATION_EX,
        );
        let (name, hosts, config) = self.client.try_get(&owner, parts).await.map_err(wrap)?;
        let is_cluster = owner.is::<mo::ClusterComputeResource>();
        let drs = is_cluster.then(|| {
            config
                .and_then(|config| config.view::<ClusterConfigInfoEx>()?.drs_config.enabled)
                .unwrap_or(false)
        });
        Ok(ComputeFacts {
            name: name.unwrap_or_default(),
            drs,
            hosts: self.host_facts(hosts.unwrap_or_default()).await?,
        })
    }

    async fn host_facts(&self, hosts: Vec<Ref<mo::HostSystem>>) -> Result<Vec<HostFacts>> {
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let resource = self.resource();
        let wrap = |error| fault::error(&resource, error);
        let found = self
            .client
            .retrieve::<mo::HostSystem>()
            .objects(hosts)
            .property(props::host_system::NAME)
            .property(FIREWALL)
            .property(MANAGED_BY)
            .collect()
            .await
            .map_err(wrap)?;
        let systems: Vec<_> = found
            .iter()
            .filter_map(|host| host.value(FIREWALL))
            .collect();
        let firewalls = if systems.is_empty() {
            Vec::new()
        } else {
            self.client
                .retrieve::<mo::HostFirewallSystem>()
                .objects(systems)
                .property(props::host_firewall_system::FIREWALL_INFO)
                .collect()
                .await
                .map_err(wrap)?
        };
        let firewall = |host: &ObjectProperties<mo::HostSystem>| {
            let system = host.value(FIREWALL)?;
            let found = firewalls.iter().find(|found| *found.object() == system)?;
            found.value(props::host_firewall_system::FIREWALL_INFO)
        };
        let mut facts = Vec::with_capacity(found.len());
        for host in &found {
            facts.push(HostFacts {
                id: host.object().value().to_owned(),
                name: host.value(props::host_system::NAME).unwrap_or_default(),
                managed_by: host.value(MANAGED_BY).filter(|address| !address.is_empty()),
                firewall: firewall(host),
                licences: self.licences(host.object()).await,
            });
        }
        Ok(facts)
    }

    /// Reads the licences of a host. Best effort: few users have the privilege to read them.
    async fn licences(&self, host: &Ref<mo::HostSystem>) -> Vec<Licence> {
        let Some(manager) = &self.client.service_content().license_manager else {
            return Vec::new();
        };
        let parts = (
            props::license_manager::LICENSES,
            props::license_manager::LICENSE_ASSIGNMENT_MANAGER,
        );
        let read = self.client.try_get(manager, parts).await;
        let Ok((all, assignments)) = read else {
            return Vec::new();
        };
        if let Some(assignments) = assignments.filter(|_| self.client.is_vcenter()) {
            let call = assignments.query_assigned_licenses(Some(host.value()));
            let assigned = self.client.call(call).await.unwrap_or_default();
            return assigned
                .iter()
                .map(|assignment| licence(&assignment.assigned_license))
                .collect();
        }
        all.unwrap_or_default().iter().map(licence).collect()
    }

    pub(in crate::vsphere) async fn datastore_facts(
        &self,
        datastore: &Datastore,
    ) -> Result<DatastoreFacts> {
        let resource = Resource::new(kind::DATASTORE, datastore.name());
        let parts = (ACCESSIBLE, FREE, MAINTENANCE, props::datastore::HOST);
        let (accessible, free, maintenance, hosts) = self
            .client
            .try_get(datastore.reference(), parts)
            .await
            .map_err(|error| fault::error(&resource, error))?;
        let mounted = |mount: &DatastoreHostMount| {
            mount.mount_info.accessible.unwrap_or(true) && mount.mount_info.mounted.unwrap_or(true)
        };
        Ok(DatastoreFacts {
            name: datastore.name().to_owned(),
            accessible,
            free: free.and_then(|bytes| u64::try_from(bytes).ok()),
            in_maintenance: maintenance.is_some_and(|mode| mode != "normal"),
            hosts: hosts
                .unwrap_or_default()
                .iter()
                .filter(|mount| mounted(mount))
                .map(|mount| mount.key.value().to_owned())
                .collect(),
        })
    }
}

fn licence(info: &LicenseManagerLicenseInfo) -> Licence {
    // `serialuri:2` is a feature and its quantity.
    let feature = |property: &KeyAnyValue| {
        let node = property.value.node();
        let text = node.get("key").unwrap_or(node).as_str()?;
        let key = text.split(':').next().filter(|key| !key.is_empty())?;
        (property.key == "feature").then(|| key.to_owned())
    };
    Licence {
        is_evaluation: info.edition_key == "eval",
        features: info.properties.iter().filter_map(feature).collect(),
    }
}
