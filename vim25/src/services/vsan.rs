//! vSAN management (`urn:vsan`, at `/vsanHealth` of a vCenter and `/vsan` of an
//! ESXi host).
//!
//! Part of vSAN is in `urn:vim25` but spoken here all the same: objects such as
//! [`cluster_config_system`]. Such a call is sent with
//! [`at`](crate::Call::at)`(vsan::SERVICE)`.

use crate::{Ref, Service};

pub use crate::generated::vsan::{calls, mo, props};

/// The data object and enum types of `urn:vsan`, by wire name.
pub mod types {
    pub use crate::generated::vsan::enums::*;
    pub use crate::generated::vsan::types::*;
}

/// Where `urn:vsan` is spoken.
pub const SERVICE: Service = Service::new("urn:vsan", "/vsanHealth", Some("/vsan"));

/// The configuration of vSAN clusters, on a vCenter.
#[must_use]
pub fn cluster_config_system() -> Ref<crate::mo::VsanVcClusterConfigSystem> {
    Ref::new("vsan-cluster-config-system")
}

/// The objects that vSAN stores, on a vCenter.
#[must_use]
pub fn cluster_object_system() -> Ref<crate::mo::VsanObjectSystem> {
    Ref::new("vsan-cluster-object-system")
}

/// Performance figures.
#[must_use]
pub fn performance_manager() -> Ref<crate::mo::VsanPerformanceManager> {
    Ref::new("vsan-performance-manager")
}

/// Stretched clusters, on a vCenter.
#[must_use]
pub fn stretched_cluster_system() -> Ref<crate::mo::VimClusterVsanVcStretchedClusterSystem> {
    Ref::new("vsan-stretched-cluster-system")
}

/// The property collector of this service, on a vCenter.
#[must_use]
pub fn property_collector() -> Ref<crate::mo::PropertyCollector> {
    Ref::new("vsan-property-collector")
}
