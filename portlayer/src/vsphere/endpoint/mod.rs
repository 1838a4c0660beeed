//! The requests to the endpoint that the port layer needs, one method each. The methods return the
//! errors of the port layer's traits.

mod capacity;
mod devices;
mod disabled_methods;
mod experience;
mod fence;
mod files;
mod guest;
mod host_folder;
mod image_folder;
mod inventory;
mod lease;
mod leftovers;
mod machine;
mod network;
mod network_users;
mod placement;
mod pool;
mod power;
mod protection;
mod survey;
mod switch;
mod vlan_network;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use vim25::{Call, Outcome, TaskOf, props};
use vsphere_client::Client;

pub(super) use capacity::Registered;
use experience::Experience;
pub(super) use experience::Written;
pub(super) use fence::Fence;
pub(super) use host_folder::MachineFolder;
pub(super) use inventory::Home;
pub(super) use leftovers::Identified;
pub(super) use machine::{Machine, Members, Parent};
pub(super) use network::NetworkFacts;
#[cfg(test)]
pub(super) use survey::Licence;
pub(super) use survey::{ComputeFacts, DatastoreFacts, HostFacts, TargetFacts};
pub(super) use switch::{BRIDGE_VLAN, PortGroup, Switches};
pub(super) use vlan_network::BridgeSwitch;

use super::fault;
use crate::{Error, ErrorKind, Resource, ResourceKind, Result};

/// A connection to ESXi or vCenter. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    client: Client,
    task_timeout: Duration,
    fence: Fence,
    experience: Arc<Experience>,
}

impl Endpoint {
    pub(super) fn new(client: Client, task_timeout: Duration) -> Self {
        Self {
            client,
            task_timeout,
            fence: Fence::default(),
            experience: Arc::default(),
        }
    }

    /// Returns a copy of the endpoint that refuses changes once this fence is closed.
    pub(super) fn fenced(&self, fence: Fence) -> Self {
        Self {
            fence,
            ..self.clone()
        }
    }

    /// Returns what is known about how the endpoint reports writes. All copies of the endpoint, and
    /// with them all hosts that are opened through it, share this knowledge.
    pub(super) fn experience(&self) -> &Experience {
        &self.experience
    }

    /// Returns the URL of the API, without user and password.
    pub(super) fn url(&self) -> String {
        format!("https://{}/sdk", self.client.server())
    }

    /// Returns whether the endpoint answers, whatever it answers.
    pub(super) async fn is_reachable(&self) -> bool {
        let answer = self.client.try_get(self.root(), props::folder::NAME).await;
        let error = answer.map_err(|error| fault::error(&self.resource(), error).kind);
        !matches!(
            error,
            Err(ErrorKind::Unavailable { .. }
                | ErrorKind::Timeout { .. }
                | ErrorKind::OutcomeUnknown { .. })
        )
    }

    /// Returns the certificate of the endpoint in DER form, if its connections are the client's.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.client.server_certificate()
    }

    /// Returns the user of the session. Best effort: some endpoints do not report it.
    pub(super) async fn user(&self) -> Option<String> {
        let manager = self.client.service_content().session_manager.as_ref()?;
        let session = props::session_manager::CURRENT_SESSION;
        match self.client.try_get(manager, session).await {
            Ok(session) => Some(session?.user_name),
            Err(error) => {
                tracing::debug!(%error, "the endpoint does not report the user of the session");
                None
            }
        }
    }

    /// Returns the version and build of the endpoint, without spaces.
    pub(super) fn build(&self) -> String {
        let about = &self.client.service_content().about;
        format!("{}-{}", about.version, about.build).replace(' ', "-")
    }

    /// Returns the resource for errors about the endpoint as a whole.
    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Endpoint, self.client.server())
    }

    async fn call<R: Outcome + 'static>(&self, call: Call<R>, resource: &Resource) -> Result<R> {
        self.client
            .call(call)
            .await
            .map_err(|error| fault::error(resource, error))
    }

    /// Waits for a task to end, up to the timeout of tasks.
    async fn run<R: Outcome + 'static>(
        &self,
        call: Call<TaskOf<R>>,
        resource: &Resource,
    ) -> Result<R> {
        self.attempt(call, resource)
            .await?
            .map_err(|error| fault::error(resource, error))
    }

    /// Waits for a task like [`run`](Self::run), but returns the client's error, for callers that
    /// interpret faults.
    async fn attempt<R: Outcome + 'static>(
        &self,
        call: Call<TaskOf<R>>,
        resource: &Resource,
    ) -> Result<vsphere_client::Result<R>> {
        self.fence.check(resource)?;
        let run = self.client.run(call);
        tokio::time::timeout(self.task_timeout, run)
            .await
            .map_err(|_elapsed| Error::timeout(resource.clone(), "a task of the endpoint"))
    }
}
