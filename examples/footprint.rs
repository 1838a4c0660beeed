//! Reads the objects of a virtual container host on an endpoint with a plain vSphere client,
//! independently of the port layer.

use std::fmt;

use anyhow::{Context, Result};
use portlayer::ContainerId;
use vim25::{Ref, mo, props};
use vmx::Document;
use vsphere_client::{Client, Datastore, DatastorePath};

/// The maximum size of a configuration file to read, in bytes.
const VMX_LIMIT: u64 = 1 << 20;

/// The pool and the machines of one virtual container host.
#[derive(Clone, Debug)]
pub struct Footprint {
    pools: Vec<Ref<mo::ResourcePool>>,
    machines: Vec<Machine>,
}

/// A machine of the virtual container host.
#[derive(Clone, Debug)]
struct Machine {
    vm: Ref<mo::VirtualMachine>,
    name: String,
    vmx: DatastorePath,
}

impl Footprint {
    /// Reads the current objects of the host with this name: the pools with this name, and the
    /// machines in them.
    ///
    /// # Errors
    /// Fails when the endpoint cannot be read.
    pub async fn read(client: &Client, host: &str) -> Result<Self> {
        let root = &client.service_content().root_folder;
        let pools = client
            .retrieve::<mo::ResourcePool>()
            .property(props::resource_pool::NAME)
            .within(root)
            .collect()
            .await
            .context("list the resource pools")?;
        let pools: Vec<_> = pools
            .iter()
            .filter(|pool| pool.value(props::resource_pool::NAME).as_deref() == Some(host))
            .map(|pool| pool.object().clone())
            .collect();
        let mut machines = Vec::new();
        for pool in &pools {
            let found = client
                .retrieve::<mo::VirtualMachine>()
                .property(props::virtual_machine::NAME)
                .path("config.files.vmPathName")
                .along(pool, props::resource_pool::VM)
                .collect()
                .await
                .with_context(|| format!("list the machines of resource pool {host:?}"))?;
            for machine in found {
                let name = machine
                    .value(props::virtual_machine::NAME)
                    .unwrap_or_default();
                let vmx: Option<String> = machine.at("config.files.vmPathName").value();
                let vmx = vmx
                    .with_context(|| format!("find the files of machine {name:?}"))?
                    .parse()?;
                machines.push(Machine {
                    vm: machine.object().clone(),
                    name,
                    vmx,
                });
            }
        }
        machines.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { pools, machines })
    }

    /// Returns the path of the configuration file of a container's machine, and the lines in
    /// it that hold the container's state. The file is read from the datastore.
    ///
    /// # Errors
    /// Fails when the container has no machine, or its file cannot be read.
    pub async fn state_lines(
        &self,
        client: &Client,
        datacenter: Option<&str>,
        container: &ContainerId,
    ) -> Result<(DatastorePath, Vec<String>)> {
        let machine = self
            .machines
            .iter()
            .find(|machine| machine.name.contains(&container.short()))
            .with_context(|| format!("find the machine of container {}", container.short()))?;
        let datastore = datastore(client, datacenter, &machine.vmx).await?;
        let file = client
            .files(&datastore)
            .download(machine.vmx.path())
            .await?;
        let document = Document::parse(file.read_to_end(VMX_LIMIT).await?)
            .with_context(|| format!("read {}", machine.vmx))?;
        let state = document
            .entries()
            .filter(|entry| entry.name().starts_with("guestinfo."));
        let lines =
            state.map(|entry| Ok(format!("{} = {:?}", entry.name(), entry.value().text()?)));
        Ok((machine.vmx.clone(), lines.collect::<Result<_>>()?))
    }

    /// Returns the names of the objects that still exist: pools, machines, and directories of
    /// machines.
    ///
    /// # Errors
    /// Fails when the endpoint cannot be read.
    pub async fn left(&self, client: &Client, datacenter: Option<&str>) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let pools = client
            .retrieve::<mo::ResourcePool>()
            .property(props::resource_pool::NAME);
        for pool in pools.objects(self.pools.clone()).collect().await? {
            left.push(format!("{:?}", pool.object()));
        }
        let machines = self.machines.iter().map(|machine| machine.vm.clone());
        let found = client
            .retrieve::<mo::VirtualMachine>()
            .property(props::virtual_machine::NAME);
        for machine in found.objects(machines).collect().await? {
            left.push(format!("{:?}", machine.object()));
        }
        for machine in &self.machines {
            let directory = machine.vmx.parent();
            let datastore = datastore(client, datacenter, &directory).await?;
            if client.files(&datastore).exists(directory.path()).await? {
                left.push(directory.to_string());
            }
        }
        Ok(left)
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n| if n == 1 { "" } else { "s" };
        let (pools, machines) = (self.pools.len(), self.machines.len());
        write!(
            f,
            "{pools} resource pool{}, {machines} machine{}",
            plural(pools),
            plural(machines)
        )
    }
}

/// Finds the datastore of a path.
async fn datastore(
    client: &Client,
    datacenter: Option<&str>,
    path: &DatastorePath,
) -> Result<Datastore> {
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(datacenter).await?;
    Ok(inventory
        .datastore(&datacenter, Some(path.datastore()))
        .await?)
}
