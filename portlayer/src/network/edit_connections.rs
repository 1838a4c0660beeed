//! Connects existing containers to scopes and disconnects them, by means of edits.

use super::{EndpointInfo, EndpointSpec};
use crate::exec::Edit;
use crate::{ContainerId, Error, Exec, Resource, Result};

pub(crate) async fn connect(
    exec: &dyn Exec,
    id: &ContainerId,
    endpoint: EndpointSpec,
) -> Result<EndpointInfo> {
    let scope = endpoint.scope.clone();
    if find(exec, id, &scope).await?.is_some() {
        let reason = format!("the container is connected to the scope {scope:?}");
        return Err(Error::already_exists(Resource::container(id)).with_source(reason));
    }
    exec.update(id, Edit::new().connect(endpoint)).await?;
    let connected = find(exec, id, &scope).await?;
    connected.ok_or_else(|| Error::conflict(Resource::container(id), ["endpoints".to_owned()]))
}

pub(crate) async fn disconnect(exec: &dyn Exec, id: &ContainerId, scope: &str) -> Result<()> {
    if find(exec, id, scope).await?.is_none() {
        let reason = format!("the container {} is not connected to it", id.short());
        return Err(Error::not_found(Resource::network(scope)).with_source(reason));
    }
    exec.update(id, Edit::new().disconnect(scope)).await
}

async fn find(exec: &dyn Exec, id: &ContainerId, scope: &str) -> Result<Option<EndpointInfo>> {
    let mut endpoints = exec.inspect(id).await?.endpoints.into_iter();
    Ok(endpoints.find(|endpoint| endpoint.spec.scope == scope))
}
