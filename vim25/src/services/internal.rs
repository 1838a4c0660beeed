//! Undocumented methods that VMware's own products and govmomi rely on (`urn:internalvim25`,
//! served where the main service is).
//!
//! They are methods of documented managed objects, so they appear on the same references as
//! all others: `QueryVirtualDiskInfo_Task` and `CreateChildDisk_Task` of a
//! [`VirtualDiskManager`](crate::mo::VirtualDiskManager), `DisableMethods` and
//! `EnableMethods` of an [`AuthorizationManager`](crate::mo::AuthorizationManager) (vCenter
//! only), and `RetrieveManagedMethodExecuter` of a [`HostSystem`](crate::mo::HostSystem),
//! whose result runs the commands of `esxcli`. VMware may change them in any release.

pub use crate::generated::internal::{mo, props};

/// The data object types of the undocumented methods, by wire name.
pub mod types {
    pub use crate::generated::internal::types::*;
}

/// Returns the namespace in which a method is called: govmomi calls the reflective ones in
/// the main namespace, and servers accept them there.
pub(crate) fn namespace_of(method: &str) -> &'static str {
    match method {
        "ExecuteSoap" | "RetrieveManagedMethodExecuter" => crate::table::VIM25,
        _ => crate::table::INTERNAL,
    }
}
