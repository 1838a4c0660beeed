//! vSAN management (`urn:vsan`, at `/vsanHealth` of a vCenter and `/vsan` of an
//! ESXi host).
//!
//! Some vSAN objects are declared in `urn:vim25` but served here, such as
//! [`cluster_config_system`]. Send such a call with
//! [`at`](crate::Call::at)`(vsan::SERVICE)`.

use crate::{Ref, Service};

pub use crate::generated::vsan::{calls, mo, props};

/// The data object and enum types of `urn:vsan`, by wire name.
pub mod types {
    pub use crate::generated::vsan::enums::*;
    pub use crate::generated::vsan::types::*;
}

/// The service that implements `urn:vsan`.
pub const SERVICE: Service = Service::new("urn:vsan", "/vsanHealth", Some("/vsan"));

/// The manager of the vSAN configuration of clusters, on a vCenter.
#[must_use]
pub fn cluster_config_system() -> Ref<crate::mo::VsanVcClusterConfigSystem> {
    Ref::new("vsan-cluster-config-system")
}

/// The manager of the objects that vSAN stores, on a vCenter.
#[must_use]
pub fn cluster_object_system() -> Ref<crate::mo::VsanObjectSystem> {
    Ref::new("vsan-cluster-object-system")
}

/// The manager of performance statistics.
#[must_use]
pub fn performance_manager() -> Ref<crate::mo::VsanPerformanceManager> {
    Ref::new("vsan-performance-manager")
}

/// The manager of stretched clusters, on a vCenter.
#[must_use]
pub fn stretched_cluster_system() -> Ref<crate::mo::VimClusterVsanVcStretchedClusterSystem> {
    Ref::new("vsan-stretched-cluster-system")
}

/// The property collector of this service, on a vCenter.
#[must_use]
pub fn property_collector() -> Ref<crate::mo::PropertyCollector> {
    Ref::new("vsan-property-collector")
}
