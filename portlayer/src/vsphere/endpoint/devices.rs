//! Reads the devices of a machine whose other properties are known.

use vim25::Poly;
use vim25::types::VirtualDevice;

use super::Endpoint;
use super::machine::{DEVICES, Machine, PATH};
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

/// What shows whether a known state of a machine is current: everything but the configuration, and
/// the version of the configuration.
const STATE: [&str; 5] = [
    "config.changeVersion",
    "runtime.powerState",
    "runtime.connectionState",
    "recentTask",
    PATH.path(),
];

impl Endpoint {
    /// Reads the devices of a machine, unless it has changed since it was read as `known`.
    pub(in crate::vsphere) async fn devices_if_unchanged(
        &self,
        known: &Machine,
        resource: &Resource,
    ) -> Result<Option<Vec<Poly<VirtualDevice>>>> {
        let query = self.client.retrieve().objects([known.vm.clone()]);
        let query = STATE
            .into_iter()
            .fold(query, |query, path| query.path(path));
        let found = query
            .property(DEVICES)
            .collect()
            .await
            .map_err(|error| fault::error(resource, error))?;
        let Some(found) = found.into_iter().next() else {
            return Err(Error::not_found(resource.clone()));
        };
        let now = Machine::read(&found);
        let is_current = now.change_version.is_some()
            && now.change_version == known.change_version
            && (now.power, &now.unusable) == (known.power, &known.unusable)
            && (&now.tasks, &now.path) == (&known.tasks, &known.path);
        Ok(is_current.then(|| found.value(DEVICES).unwrap_or_default()))
    }
}
