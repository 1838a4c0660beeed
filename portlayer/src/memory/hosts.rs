//! Virtual container hosts in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{MemoryExec, Program};
use crate::host::{
    Containers, HostInfo, HostSpec, HostState, Hosts, InstallError, Observe, Progress, Step,
    StepStatus,
};
use crate::{Error, Exec, ExecExt, PortLayer, Resource, ResourceKind, Result};

const DATASTORE: &str = "memory";
const NETWORK: &str = "bridge";

/// An endpoint with one datastore (`memory`), one network (`bridge`) and nothing behind them.
///
/// Clones share the hosts.
#[derive(Clone, Debug)]
pub struct MemoryHosts {
    program: Arc<dyn Program>,
    hosts: Arc<Mutex<BTreeMap<String, (HostInfo, MemoryExec)>>>,
}

impl MemoryHosts {
    /// An endpoint without hosts; the processes of their containers behave as the program says.
    pub fn new(program: impl Program) -> Self {
        Self {
            program: Arc::new(program),
            hosts: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (HostInfo, MemoryExec)>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require(&self, name: &str) -> Result<(HostInfo, MemoryExec)> {
        let found = self.lock().get(name).cloned();
        found.ok_or_else(|| Error::not_found(Resource::host(name)))
    }
}

/// The name asked for must be the only one there is.
fn only(kind: ResourceKind, asked: Option<&String>, there: &str) -> Result<()> {
    match asked {
        Some(name) if name != there => Err(Error::not_found(Resource::new(kind, name))),
        _ => Ok(()),
    }
}

fn look_up(spec: &HostSpec) -> Result<()> {
    spec.validate()?;
    only(
        ResourceKind::Datacenter,
        spec.datacenter.as_ref(),
        DATASTORE,
    )?;
    only(
        ResourceKind::ComputeResource,
        spec.compute.as_ref(),
        DATASTORE,
    )?;
    only(ResourceKind::Datastore, spec.datastore.as_ref(), DATASTORE)?;
    only(ResourceKind::Network, spec.bridge_network.as_ref(), NETWORK)?;
    only(ResourceKind::Network, spec.public_network.as_ref(), NETWORK)
}

#[async_trait]
impl Hosts for MemoryHosts {
    async fn install(
        &self,
        spec: HostSpec,
        observer: &dyn Observe,
    ) -> Result<HostInfo, InstallError> {
        let tell = |step, status| observer.observe(Progress { step, status });
        let refused = |error| {
            tell(Step::Validate, StepStatus::Failed);
            InstallError::new(&spec.name, Step::Validate, error, Vec::new())
        };
        tell(Step::Validate, StepStatus::Started);
        look_up(&spec).map_err(refused)?;
        let info = HostInfo {
            name: spec.name.clone(),
            state: HostState::Running,
            datastore: DATASTORE.into(),
            directory: spec.name.clone(),
            bridge_network: NETWORK.into(),
            address: spec.address.clone().unwrap_or_else(|| spec.name.clone()),
        };
        let taken = {
            let mut hosts = self.lock();
            let taken = hosts.contains_key(&spec.name);
            if !taken {
                let exec = MemoryExec::with_shared(Arc::clone(&self.program));
                hosts.insert(spec.name.clone(), (info.clone(), exec));
            }
            taken
        };
        if taken {
            return Err(refused(Error::already_exists(Resource::host(&spec.name))));
        }
        tell(Step::Validate, StepStatus::Finished);
        for step in Step::ALL.into_iter().skip(1) {
            tell(step, StepStatus::Started);
            tell(step, StepStatus::Finished);
        }
        Ok(info)
    }

    async fn find(&self, name: &str) -> Result<HostInfo> {
        self.require(name).map(|(info, _)| info)
    }

    async fn list(&self) -> Result<Vec<HostInfo>> {
        Ok(self.lock().values().map(|(info, _)| info.clone()).collect())
    }

    async fn open(&self, name: &str) -> Result<PortLayer> {
        self.require(name).map(|(_, exec)| PortLayer::new(exec))
    }

    async fn delete(&self, name: &str, containers: Containers) -> Result<()> {
        let (_, exec) = self.require(name)?;
        let found = exec.list().await?.containers;
        if containers == Containers::Refuse && !found.is_empty() {
            let names: Vec<_> = found.iter().map(|container| &*container.name).collect();
            return Err(Error::InUse {
                resource: Resource::host(name),
                by: names.join(", ").into(),
                source: None,
            });
        }
        for container in found {
            exec.remove_forced(&container.id).await?;
        }
        self.lock().remove(name);
        Ok(())
    }
}
