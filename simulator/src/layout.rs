//! References of the objects that exist once per server or host, with the ids of real servers.

use std::borrow::Cow;

use vim25::{AnyRef, Ref, mo};

use crate::datastore::site::Site;
use crate::load::{Loaded, LoadedObject};

/// References of the objects that exist once per server, and of the datacenters that it starts with.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Returns whether the server is a vCenter rather than a host.
    pub(crate) is_vcenter: bool,
    root: Cow<'static, str>,
    /// There is at least one. A [`Site`] is a position in this list.
    datacenters: Vec<DatacenterLayout>,
    pub(crate) task_manager: &'static str,
    pub(crate) collector: &'static str,
    pub(crate) settings: &'static str,
    pub(crate) session_manager: &'static str,
    pub(crate) event_manager: &'static str,
    pub(crate) search_index: &'static str,
    pub(crate) file_manager: &'static str,
    pub(crate) disk_manager: &'static str,
    pub(crate) guest_operations: &'static str,
}

/// References of a datacenter and its folders.
#[derive(Clone, Debug)]
pub(crate) struct DatacenterLayout {
    pub(crate) datacenter: Ref<mo::Datacenter>,
    pub(crate) vm_folder: Ref<mo::Folder>,
    pub(crate) host_folder: Ref<mo::Folder>,
    pub(crate) datastore_folder: Ref<mo::Folder>,
    pub(crate) network_folder: Ref<mo::Folder>,
}

impl DatacenterLayout {
    /// How many numbers the ids of a datacenter and its folders take.
    pub(crate) const NUMBERS: u64 = 5;

    /// Returns the layout of a datacenter of a vCenter, whose ids are numbers from `first`.
    pub(crate) fn numbered(first: u64) -> Self {
        let folder = |letter, at| Ref::new(&format!("group-{letter}{}", first + at));
        Self {
            datacenter: Ref::new(&format!("datacenter-{first}")),
            vm_folder: folder("v", 1),
            host_folder: folder("h", 2),
            datastore_folder: folder("s", 3),
            network_folder: folder("n", 4),
        }
    }

    /// Returns the layout of a loaded datacenter. Folders that were not saved have the ids of a
    /// first datacenter.
    fn of_loaded(saved: &LoadedObject, default: Self) -> Self {
        let folder = |name, default| {
            let saved = saved.get(name).and_then(|value| value.get().ok());
            saved.map_or(default, |saved: AnyRef| Ref::new(saved.value()))
        };
        Self {
            datacenter: Ref::new(saved.reference.value()),
            vm_folder: folder("vmFolder", default.vm_folder),
            host_folder: folder("hostFolder", default.host_folder),
            datastore_folder: folder("datastoreFolder", default.datastore_folder),
            network_folder: folder("networkFolder", default.network_folder),
        }
    }
}

impl Layout {
    /// Returns the layout of an ESXi host.
    pub(crate) fn esx() -> Self {
        Self {
            is_vcenter: false,
            root: "ha-folder-root".into(),
            datacenters: vec![DatacenterLayout {
                datacenter: Ref::new("ha-datacenter"),
                vm_folder: Ref::new("ha-folder-vm"),
                host_folder: Ref::new("ha-folder-host"),
                datastore_folder: Ref::new("ha-folder-datastore"),
                network_folder: Ref::new("ha-folder-network"),
            }],
            task_manager: "ha-taskmgr",
            collector: "ha-property-collector",
            settings: "HostAgentSettings",
            session_manager: "ha-sessionmgr",
            event_manager: "ha-eventmgr",
            search_index: "ha-searchindex",
            file_manager: "ha-nfc-file-manager",
            disk_manager: "ha-vdiskmanager",
            guest_operations: "ha-guest-operations-manager",
        }
    }

    /// Returns the layout of a vCenter with a number of datacenters, at least one.
    pub(crate) fn vcenter(datacenters: usize) -> Self {
        let firsts =
            (0..datacenters.max(1) as u64).map(|number| 2 + DatacenterLayout::NUMBERS * number);
        Self {
            is_vcenter: true,
            root: "group-d1".into(),
            datacenters: firsts.map(DatacenterLayout::numbered).collect(),
            task_manager: "TaskManager",
            collector: "propertyCollector",
            settings: "VpxSettings",
            session_manager: "SessionManager",
            event_manager: "EventManager",
            search_index: "SearchIndex",
            file_manager: "FileManager",
            disk_manager: "virtualDiskManager",
            guest_operations: "guestOperationsManager",
        }
    }

    /// Returns the layout of a saved inventory: its root folder and its datacenters.
    pub(crate) fn of_loaded(loaded: &Loaded) -> Self {
        let mut layout = match loaded.is_vcenter {
            true => Self::vcenter(1),
            false => Self::esx(),
        };
        if let Some(root) = &loaded.root {
            layout.root = root.value().to_owned().into();
        }
        let default = layout.first().clone();
        let saved = loaded.all("Datacenter");
        let saved = saved.map(|saved| DatacenterLayout::of_loaded(saved, default.clone()));
        let saved: Vec<_> = saved.collect();
        if !saved.is_empty() {
            layout.datacenters = saved;
        }
        layout
    }

    pub(crate) fn root(&self) -> Ref<mo::Folder> {
        Ref::new(&self.root)
    }

    /// Returns the datacenters that the server started with.
    pub(crate) fn datacenters(&self) -> &[DatacenterLayout] {
        &self.datacenters
    }

    /// Returns the first datacenter, which is the only one of an ESXi host.
    pub(crate) fn first(&self) -> &DatacenterLayout {
        self.at(Site::FIRST)
    }

    /// Returns a datacenter.
    pub(crate) fn at(&self, site: Site) -> &DatacenterLayout {
        // Sites are made from positions in this list.
        &self.datacenters[site.position().min(self.datacenters.len() - 1)]
    }

    /// Returns how datastores refer to a datacenter; `None` if it was created later, so that it has no
    /// datastores.
    pub(crate) fn site<T>(&self, datacenter: &Ref<T>) -> Option<Site> {
        let mut all = self.datacenters.iter();
        let position = all.position(|own| own.datacenter.value() == datacenter.value());
        position.map(Site::new)
    }

    pub(crate) fn task_manager(&self) -> Ref<mo::TaskManager> {
        Ref::new(self.task_manager)
    }
}

/// A host and the objects that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct HostLayout {
    /// Suffix of the ids of the host's managers: empty on ESXi, `-20` for example in a
    /// vCenter.
    suffix: String,
}

impl HostLayout {
    /// Returns the layout of an ESXi host, which is the server itself.
    pub(crate) const fn own() -> Self {
        Self {
            suffix: String::new(),
        }
    }

    /// Returns the layout of a host in a vCenter.
    pub(crate) fn numbered(number: u64) -> Self {
        Self {
            suffix: format!("-{number}"),
        }
    }

    /// Returns the layout of a host, if its id has the form of hosts' ids.
    pub(crate) fn of_host(value: &str) -> Option<Self> {
        if value == "ha-host" {
            return Some(Self::own());
        }
        let suffix = value.strip_prefix("host")?.to_owned();
        suffix.starts_with('-').then_some(Self { suffix })
    }

    /// Returns the layout of the host that a manager belongs to, given the manager's id and
    /// the prefix of such ids.
    pub(crate) fn of_system(value: &str, base: &str) -> Option<Self> {
        let suffix = value.strip_prefix(base)?.to_owned();
        Some(Self { suffix })
    }

    /// Returns whether the host is the server itself.
    pub(crate) const fn is_own(&self) -> bool {
        self.suffix.is_empty()
    }

    pub(crate) fn host(&self) -> Ref<mo::HostSystem> {
        if self.is_own() {
            Ref::new("ha-host")
        } else {
            Ref::new(&format!("host{}", self.suffix))
        }
    }

    pub(crate) fn browser(&self) -> Ref<mo::HostDatastoreBrowser> {
        if self.is_own() {
            Ref::new("ha-host-datastorebrowser")
        } else {
            Ref::new(&self.id("datastoreBrowser"))
        }
    }

    pub(crate) fn network_system(&self) -> Ref<mo::HostNetworkSystem> {
        Ref::new(&self.id("networkSystem"))
    }

    pub(crate) fn datastore_system(&self) -> Ref<mo::HostDatastoreSystem> {
        Ref::new(&self.id(if self.is_own() {
            "ha-datastoresystem"
        } else {
            "datastoreSystem"
        }))
    }

    /// Returns the id of one of the host's managers, given the prefix of the id.
    pub(crate) fn id(&self, base: &str) -> String {
        format!("{base}{}", self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::{HostLayout, Layout};
    use crate::datastore::site::Site;

    #[test]
    fn datacenters_have_ids_of_their_own_and_are_found_by_them() {
        let layout = Layout::vcenter(3);
        let mut values = std::collections::BTreeSet::new();
        for (position, own) in layout.datacenters().iter().enumerate() {
            let site = Site::new(position);
            assert_eq!(layout.site(&own.datacenter), Some(site));
            assert_eq!(layout.at(site).datacenter, own.datacenter);
            values.insert(own.datacenter.value().to_owned());
            for folder in [&own.vm_folder, &own.host_folder, &own.datastore_folder] {
                values.insert(folder.value().to_owned());
            }
        }
        assert_eq!(values.len(), 12);
        assert_eq!(layout.first().datacenter.value(), "datacenter-2");
        assert_eq!(Layout::esx().site(&layout.first().datacenter), None);
    }

    #[test]
    fn a_host_and_its_systems_find_each_other() {
        for layout in [HostLayout::own(), HostLayout::numbered(20)] {
            let host = layout.host();
            let system = layout.network_system();
            let back = HostLayout::of_system(system.value(), "networkSystem");
            assert_eq!(back.map(|layout| layout.host()), Some(host));
        }
    }
}
