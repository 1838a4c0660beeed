//! Virtual container hosts on vSphere.

mod delete;
mod find;
mod install;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use vsphere_client::Client;

use super::endpoint::Endpoint;
use super::exec::VsphereExec;
use super::options::Options;
use super::probe;
use crate::host::{Containers, HostInfo, HostSpec, Hosts, InstallError, Observe};
use crate::queue::Queues;
use crate::{Capabilities, PortLayer, Result};

/// The virtual container hosts of an ESXi host or a vCenter.
///
/// A host is: a resource pool of its name; in it the appliance, a machine of its name; on the
/// datastore a directory of its name with the appliance's files and the two boot images. The
/// appliance's keys say what it is, so hosts are found by them and nothing else is kept.
///
/// ```no_run
/// use portlayer::host::{HostSpec, Hosts, Iso};
/// use portlayer::vsphere::{Options, VsphereHosts};
///
/// # async fn install(client: vsphere_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let hosts = VsphereHosts::new(client, Options::default());
/// let spec = HostSpec::new("vch-1", Iso::file("appliance.iso"), Iso::file("bootstrap.iso"));
/// let host = hosts.install(spec, &|progress| println!("{progress:?}")).await?;
/// let layer = hosts.open(&host.name).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct VsphereHosts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    options: Options,
    capabilities: OnceCell<Capabilities>,
    /// Installations and deletions of one name take turns.
    names: Queues<String>,
}

impl VsphereHosts {
    /// The hosts on the endpoint that the client is connected to.
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
            }),
        }
    }

    /// The containers of the host of this name, with what only this implementation offers.
    ///
    /// # Errors
    /// Those of [`Hosts::open`].
    pub async fn exec(&self, name: &str) -> Result<VsphereExec> {
        self.shared.exec(name).await
    }
}

impl Shared {
    async fn exec(&self, name: &str) -> Result<VsphereExec> {
        let place = self.place(name).await?;
        let capabilities = *self
            .capabilities
            .get_or_try_init(|| probe::capabilities(&self.endpoint, &place))
            .await?;
        let (endpoint, options) = (self.endpoint.clone(), self.options.clone());
        Ok(VsphereExec::new(endpoint, place, options, capabilities))
    }
}

#[async_trait]
impl Hosts for VsphereHosts {
    async fn install(
        &self,
        spec: HostSpec,
        observer: &dyn Observe,
    ) -> Result<HostInfo, InstallError> {
        self.shared.install(&spec, observer).await
    }

    async fn find(&self, name: &str) -> Result<HostInfo> {
        Ok(self.shared.find(name).await?.info())
    }

    async fn list(&self) -> Result<Vec<HostInfo>> {
        self.shared.list().await
    }

    async fn open(&self, name: &str) -> Result<PortLayer> {
        Ok(PortLayer::new(self.exec(name).await?))
    }

    async fn delete(&self, name: &str, containers: Containers) -> Result<()> {
        self.shared.delete(name, containers).await
    }
}
