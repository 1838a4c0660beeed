//! A second look at an endpoint, which shares no code with the port layer: it goes from the root folder
//! through folders, datacenters, hosts, pools and machines, one object at a time, and searches the
//! datastores from the top.

use std::collections::BTreeSet;

use vim25::types::{FileInfo, HostDatastoreBrowserSearchSpec, HostNetworkInfo, OptionValue};
use vim25::{AnyRef, IsA, Poly, Property, Ref, mo, props};
use vsphere_client::Client;

const NETWORK_SYSTEM: Property<mo::HostSystem, Ref<mo::HostNetworkSystem>> =
    Property::new("configManager.networkSystem");
const NETWORK_INFO: Property<mo::HostNetworkSystem, HostNetworkInfo> = Property::new("networkInfo");
const EXTRA_CONFIG: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");

/// The objects that were found, a line each.
struct Walk<'c> {
    client: &'c Client,
    found: BTreeSet<String>,
    /// The objects whose children are still to be visited.
    next: Vec<AnyRef>,
}

/// Lists every object and every file on the endpoint.
pub(crate) async fn walk(client: &Client) -> BTreeSet<String> {
    let root = client.service_content().root_folder.clone();
    let mut walk = Walk {
        client,
        found: BTreeSet::new(),
        next: vec![root.upcast()],
    };
    while let Some(object) = walk.next.pop() {
        // An operation of a killed program may still be in progress.
        if let Err(error) = walk.visit(&object).await {
            walk.found
                .insert(format!("{object:?} cannot be read: {error}"));
        }
    }
    walk.found
}

impl Walk<'_> {
    async fn visit(&mut self, object: &AnyRef) -> vsphere_client::Result<()> {
        if let Some(folder) = object.downcast::<mo::Folder>() {
            let name = self.client.get(&folder, props::folder::NAME).await?;
            self.note(object, &name);
            let children = self
                .client
                .try_get(&folder, props::folder::CHILD_ENTITY)
                .await?;
            self.push(children.unwrap_or_default());
        } else if let Some(datacenter) = object.downcast::<mo::Datacenter>() {
            let folders = (
                props::datacenter::VM_FOLDER,
                props::datacenter::HOST_FOLDER,
                props::datacenter::DATASTORE_FOLDER,
                props::datacenter::NETWORK_FOLDER,
            );
            let (machines, hosts, datastores, networks) =
                self.client.try_get(&datacenter, folders).await?;
            self.push(
                [machines, hosts, datastores, networks]
                    .into_iter()
                    .flatten(),
            );
        } else if object.type_name().ends_with("ComputeResource") {
            let compute = Ref::<mo::ComputeResource>::new(object.value());
            let parts = (
                props::compute_resource::RESOURCE_POOL,
                props::compute_resource::HOST,
            );
            let (pool, hosts) = self.client.try_get(&compute, parts).await?;
            self.push(pool);
            self.push(hosts.unwrap_or_default());
        } else if let Some(pool) = object.downcast::<mo::ResourcePool>() {
            let parts = (
                props::resource_pool::NAME,
                props::resource_pool::RESOURCE_POOL,
                props::resource_pool::VM,
            );
            let (name, pools, machines) = self.client.try_get(&pool, parts).await?;
            self.note(object, &name.unwrap_or_default());
            self.push(pools.unwrap_or_default());
            self.push(machines.unwrap_or_default());
        } else if let Some(host) = object.downcast::<mo::HostSystem>() {
            self.host(&host).await?;
        } else if let Some(machine) = object.downcast::<mo::VirtualMachine>() {
            let parts = (props::virtual_machine::NAME, EXTRA_CONFIG);
            let (name, keys) = self.client.try_get(&machine, parts).await?;
            let of_hosts = keys.unwrap_or_default();
            let of_hosts = of_hosts.iter().filter(|option| {
                let option = option.view::<OptionValue>();
                option.is_some_and(|option| option.key.contains("portlayer"))
            });
            let name = name.unwrap_or_default();
            let keys = of_hosts.count();
            self.note(object, &format!("{name}, {keys} keys of the port layer"));
        } else if let Some(datastore) = object.downcast::<mo::Datastore>() {
            self.files(&datastore).await?;
        } else {
            // Networks, port groups and switches.
            self.found.insert(format!("{object:?}"));
        }
        Ok(())
    }

    fn note(&mut self, object: &AnyRef, text: &str) {
        self.found.insert(format!("{object:?} {text}"));
    }

    fn push<T: IsA<mo::ManagedObject>>(&mut self, objects: impl IntoIterator<Item = Ref<T>>) {
        let objects = objects.into_iter();
        self.next.extend(objects.map(|object| object.upcast()));
    }

    async fn host(&mut self, host: &Ref<mo::HostSystem>) -> vsphere_client::Result<()> {
        let Some(system) = self.client.try_get(host, NETWORK_SYSTEM).await? else {
            return Ok(());
        };
        let network = self.client.try_get(&system, NETWORK_INFO).await?;
        let network = network.unwrap_or_default();
        for switch in &network.vswitch {
            self.found
                .insert(format!("{host:?} switch {}", switch.name));
        }
        for group in &network.portgroup {
            let name = &group.spec.name;
            self.found.insert(format!("{host:?} port group {name}"));
        }
        Ok(())
    }

    async fn files(&mut self, datastore: &Ref<mo::Datastore>) -> vsphere_client::Result<()> {
        let parts = (props::datastore::NAME, props::datastore::BROWSER);
        let (name, browser) = self.client.try_get(datastore, parts).await?;
        let (Some(name), Some(browser)) = (name, browser) else {
            return Ok(());
        };
        let spec = HostDatastoreBrowserSearchSpec::default();
        let top = format!("[{name}]");
        let search = browser.search_datastore_sub_folders(&top, Some(&spec));
        for directory in self.client.run(search).await? {
            let path = directory.folder_path.clone().unwrap_or_default();
            self.found.insert(path.clone());
            for file in &directory.file {
                if let Some(file) = file.view::<FileInfo>() {
                    self.found.insert(format!("{path} {}", file.path));
                }
            }
        }
        Ok(())
    }
}
