//! Scopes and addresses on vSphere.
//!
//! Each address is stored in the machine of its container, in keys that the guest cannot see. A
//! table of the addresses is built from the host's index when it is first needed, and updated by
//! every create. So no address is lost when the program ends, and machines that others created,
//! copied or destroyed are noticed. Scopes that users created are stored in the keys of the host's
//! appliance. They are changed with a check of the change version, so concurrent changes are not
//! overwritten. Because some endpoints forget what is written while a machine is on, there is a copy of
//! the scopes in a file of the appliance's directory.

mod cards;
mod guest_keys;
mod host;
mod known;
mod own_network;
mod pending;
mod scope_copies;
mod scopes;
mod strays;
mod sync;

use std::net::IpAddr;

use async_trait::async_trait;

pub(super) use self::cards::{Card, card_changes, slots};
pub(super) use self::guest_keys::{filed_as, guest_networks};
pub(super) use self::host::HostNetworks;
pub(super) use self::pending::Pending;
pub(super) use self::scope_copies::{CopyProblem, delete_copies};
pub(super) use self::scopes::created_networks;
pub(super) use self::strays::Unmatched;
use super::exec::VsphereExec;
use crate::network::{
    EndpointInfo, EndpointSpec, Networks, ScopeInfo, ScopeSpec, edit_connections,
};
use crate::{ContainerId, Exec, Result};

/// Maximum number of machines that are searched for a name, if DHCP assigned their addresses.
const LOOKED_UP: usize = 32;

/// The scopes of one virtual container host on ESXi or vCenter.
///
/// All bridge scopes share the host's bridge network, on which a container has one card, unless the
/// host has [existing networks](super::HostSpec::scope_networks) or
/// [VLANs](super::HostSpec::scope_vlans) for them. Each further network adds one card. The default route leads through the first external scope of the container, or
/// otherwise through its first scope that is not internal.
#[derive(Clone, Debug)]
pub struct VsphereNetworks {
    exec: VsphereExec,
}

impl VsphereNetworks {
    pub(super) fn new(exec: VsphereExec) -> Self {
        Self { exec }
    }

    fn host(&self) -> &HostNetworks {
        self.exec.host_networks()
    }

    /// Returns the address that a container's guest reports in a scope; `None` also if the
    /// container is unreadable.
    async fn reported(&self, id: &ContainerId, scope: &str) -> Option<IpAddr> {
        let info = self.exec.inspect(id).await.ok()?;
        let mut endpoints = info.endpoints.into_iter();
        let endpoint = endpoints.find(|endpoint| endpoint.spec.scope == scope)?;
        Some(endpoint.address?.addr())
    }
}

#[async_trait]
impl Networks for VsphereNetworks {
    async fn create(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        self.host().create_scope(spec).await
    }

    async fn inspect(&self, name: &str) -> Result<ScopeInfo> {
        self.host().refresh().await?;
        self.host().table().inspect(name)
    }

    async fn list(&self) -> Result<Vec<ScopeInfo>> {
        self.host().refresh().await?;
        Ok(self.host().table().list())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.host().remove_scope(name).await
    }

    async fn resolve(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<IpAddr>> {
        self.host().load().await?;
        self.host().sync().await?;
        let (mut found, by_dhcp) = {
            let table = self.host().table();
            let called = table.called(scope, from, name)?;
            let unaddressed = table.unaddressed(scope)?;
            let is_called = |id: &ContainerId| called.contains(id);
            let by_dhcp: Vec<_> = unaddressed.into_iter().filter(is_called).collect();
            (table.resolve(scope, from, name)?, by_dhcp)
        };
        for id in by_dhcp.into_iter().take(LOOKED_UP) {
            found.extend(self.reported(&id, scope).await);
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn reverse(&self, scope: &str, address: IpAddr) -> Result<Vec<String>> {
        self.host().load().await?;
        self.host().sync().await?;
        let (names, by_dhcp) = {
            let table = self.host().table();
            (table.reverse(scope, address)?, table.unaddressed(scope)?)
        };
        if !names.is_empty() {
            return Ok(names);
        }
        for id in by_dhcp.into_iter().take(LOOKED_UP) {
            if self.reported(&id, scope).await == Some(address) {
                return Ok(self.host().table().names_of(scope, &id));
            }
        }
        Ok(names)
    }

    async fn connect(
        &self,
        container: &ContainerId,
        endpoint: EndpointSpec,
    ) -> Result<EndpointInfo> {
        edit_connections::connect(&self.exec, container, endpoint).await
    }

    async fn disconnect(&self, container: &ContainerId, scope: &str) -> Result<()> {
        self.inspect(scope).await?;
        edit_connections::disconnect(&self.exec, container, scope).await
    }
}
