//! First class disks across all datastores of a vCenter (`urn:vslm`, at `/vslm/sdk` of a vCenter).
//!
//! It wants the session in the header: a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::vslm::{calls, mo, props};

/// The data object and enum types of `urn:vslm`, by wire name.
pub mod types {
    pub use crate::generated::vslm::enums::*;
    pub use crate::generated::vslm::types::*;
}

/// Where `urn:vslm` is spoken.
pub const SERVICE: Service = Service::new("urn:vslm", "/vslm/sdk", None);

/// The object that everything else is found from, with `retrieve_content`.
#[must_use]
pub fn service_instance() -> Ref<mo::VslmServiceInstance> {
    Ref::new("ServiceInstance")
}
