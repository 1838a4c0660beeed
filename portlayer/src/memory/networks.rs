//! In-memory scopes.

use std::net::IpAddr;

use async_trait::async_trait;

use super::MemoryExec;
use crate::network::{
    EndpointInfo, EndpointSpec, Networks, ScopeInfo, ScopeSpec, edit_connections,
};
use crate::{ContainerId, Result};

/// The scopes of a [`MemoryExec`]. Clones share them.
///
/// Every network that an external scope refers to exists. Addresses from DHCP are unknown.
#[derive(Clone, Debug)]
pub struct MemoryNetworks {
    containers: MemoryExec,
}

impl MemoryNetworks {
    pub(super) fn of(containers: MemoryExec) -> Self {
        Self { containers }
    }
}

#[async_trait]
impl Networks for MemoryNetworks {
    async fn create(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        let mut table = self.containers.table();
        let info = table.make_scope(spec)?;
        table.open_scope(&info.spec.name);
        Ok(info)
    }

    async fn inspect(&self, name: &str) -> Result<ScopeInfo> {
        self.containers.table().inspect(name)
    }

    async fn list(&self) -> Result<Vec<ScopeInfo>> {
        Ok(self.containers.table().list())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let mut table = self.containers.table();
        table.close_scope(name)?;
        table.drop_scope(name);
        Ok(())
    }

    async fn resolve(
        &self,
        scope: &str,
        from: Option<&ContainerId>,
        name: &str,
    ) -> Result<Vec<IpAddr>> {
        self.containers.table().resolve(scope, from, name)
    }

    async fn reverse(&self, scope: &str, address: IpAddr) -> Result<Vec<String>> {
        self.containers.table().reverse(scope, address)
    }

    async fn connect(
        &self,
        container: &ContainerId,
        endpoint: EndpointSpec,
    ) -> Result<EndpointInfo> {
        edit_connections::connect(&self.containers, container, endpoint).await
    }

    async fn disconnect(&self, container: &ContainerId, scope: &str) -> Result<()> {
        self.inspect(scope).await?;
        edit_connections::disconnect(&self.containers, container, scope).await
    }
}
