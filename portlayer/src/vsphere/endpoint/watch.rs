//! Watches machines.

use std::ops::ControlFlow;

use futures_util::StreamExt;
use vim25::{Ref, mo};
use vsphere_client::{Change, Changes};

use super::machine::PATHS;
use super::{Endpoint, Machine, Members};
use crate::vsphere::fault;
use crate::{Error, Resource, Result};

impl Endpoint {
    /// Watches the machines of a host: first reports each machine, and then the properties that
    /// change.
    pub(in crate::vsphere) fn watch_members(
        &self,
        members: &Members,
    ) -> Changes<mo::VirtualMachine> {
        let retrieval = PATHS
            .into_iter()
            .fold(self.select(members), |retrieval, path| retrieval.path(path));
        retrieval.watch_changed()
    }

    /// Passes each state of the machine to `judge`, beginning with the current one, until `judge`
    /// breaks. States in quick succession may be merged into one.
    ///
    /// There is no timeout. Dropping the future also ends the watch on the endpoint.
    pub(in crate::vsphere) async fn watch<T>(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        resource: &Resource,
        mut judge: impl FnMut(Machine) -> ControlFlow<T> + Send,
    ) -> Result<T> {
        let retrieval = self.client.retrieve().objects([vm.clone()]);
        let retrieval = PATHS
            .into_iter()
            .fold(retrieval, |retrieval, path| retrieval.path(path));
        let mut changes = retrieval.watch();
        let mut is_there = false;
        while let Some(change) = changes.next().await {
            match change.map_err(|error| fault::error(resource, error))? {
                Change::Entered(properties)
                | Change::Changed {
                    object: properties, ..
                } => {
                    is_there = true;
                    if let ControlFlow::Break(found) = judge(Machine::read(&properties)) {
                        return Ok(found);
                    }
                }
                Change::Left(_) => return Err(Error::not_found(resource.clone())),
                Change::Complete if !is_there => return Err(Error::not_found(resource.clone())),
                _ => {}
            }
        }
        Err(Error::internal(
            resource.clone(),
            "the endpoint stopped reporting changes",
        ))
    }
}
