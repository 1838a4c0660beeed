//! References of the objects that exist once per server or host, with the ids of real servers.

use std::borrow::Cow;

use vim25::{AnyRef, Ref, mo};

use crate::load::Loaded;

/// References of the objects that exist once per server.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Returns whether the server is a vCenter rather than a host.
    pub(crate) is_vcenter: bool,
    root: Cow<'static, str>,
    datacenter: Cow<'static, str>,
    vm_folder: Cow<'static, str>,
    host_folder: Cow<'static, str>,
    datastore_folder: Cow<'static, str>,
    network_folder: Cow<'static, str>,
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

/// An ESXi host.
pub(crate) const ESX: Layout = Layout {
    is_vcenter: false,
    root: Cow::Borrowed("ha-folder-root"),
    datacenter: Cow::Borrowed("ha-datacenter"),
    vm_folder: Cow::Borrowed("ha-folder-vm"),
    host_folder: Cow::Borrowed("ha-folder-host"),
    datastore_folder: Cow::Borrowed("ha-folder-datastore"),
    network_folder: Cow::Borrowed("ha-folder-network"),
    task_manager: "ha-taskmgr",
    collector: "ha-property-collector",
    settings: "HostAgentSettings",
    session_manager: "ha-sessionmgr",
    event_manager: "ha-eventmgr",
    search_index: "ha-searchindex",
    file_manager: "ha-nfc-file-manager",
    disk_manager: "ha-vdiskmanager",
    guest_operations: "ha-guest-operations-manager",
};

/// A vCenter. Its datacenter is the first one.
pub(crate) const VCENTER: Layout = Layout {
    is_vcenter: true,
    root: Cow::Borrowed("group-d1"),
    datacenter: Cow::Borrowed("datacenter-2"),
    vm_folder: Cow::Borrowed("group-v3"),
    host_folder: Cow::Borrowed("group-h4"),
    datastore_folder: Cow::Borrowed("group-s5"),
    network_folder: Cow::Borrowed("group-n6"),
    task_manager: "TaskManager",
    collector: "propertyCollector",
    settings: "VpxSettings",
    session_manager: "SessionManager",
    event_manager: "EventManager",
    search_index: "SearchIndex",
    file_manager: "FileManager",
    disk_manager: "virtualDiskManager",
    guest_operations: "guestOperationsManager",
};

impl Layout {
    /// Returns the layout of a saved inventory: its root folder, and its first datacenter with its
    /// folders.
    pub(crate) fn of_loaded(loaded: &Loaded) -> Self {
        let mut layout = if loaded.is_vcenter { VCENTER } else { ESX };
        if let Some(root) = &loaded.root {
            layout.root = root.value().to_owned().into();
        }
        if let Some(datacenter) = loaded.all("Datacenter").next() {
            layout.datacenter = datacenter.reference.value().to_owned().into();
            for (name, folder) in [
                ("vmFolder", &mut layout.vm_folder),
                ("hostFolder", &mut layout.host_folder),
                ("datastoreFolder", &mut layout.datastore_folder),
                ("networkFolder", &mut layout.network_folder),
            ] {
                let saved = datacenter.get(name).and_then(|value| value.get().ok());
                if let Some(saved) = saved.map(|saved: AnyRef| saved.value().to_owned()) {
                    *folder = saved.into();
                }
            }
        }
        layout
    }

    pub(crate) fn root(&self) -> Ref<mo::Folder> {
        Ref::new(&self.root)
    }
    pub(crate) fn datacenter(&self) -> Ref<mo::Datacenter> {
        Ref::new(&self.datacenter)
    }
    pub(crate) fn vm_folder(&self) -> Ref<mo::Folder> {
        Ref::new(&self.vm_folder)
    }
    pub(crate) fn host_folder(&self) -> Ref<mo::Folder> {
        Ref::new(&self.host_folder)
    }
    pub(crate) fn datastore_folder(&self) -> Ref<mo::Folder> {
        Ref::new(&self.datastore_folder)
    }
    pub(crate) fn network_folder(&self) -> Ref<mo::Folder> {
        Ref::new(&self.network_folder)
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
    use super::HostLayout;

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
