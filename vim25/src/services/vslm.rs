//! First class disks across all datastores of a vCenter (`urn:vslm`, at `/vslm/sdk` of a vCenter).
//!
//! It needs the session cookie in the SOAP header; a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::vslm::{calls, mo, props};

/// The data object and enum types of `urn:vslm`, by wire name.
pub mod types {
    pub use crate::generated::vslm::enums::*;
    pub use crate::generated::vslm::types::*;
}

/// The service that implements `urn:vslm`.
pub const SERVICE: Service = Service::new("urn:vslm", "/vslm/sdk", None);

/// The entry point of the service: `retrieve_content` returns its other objects.
#[must_use]
pub fn service_instance() -> Ref<mo::VslmServiceInstance> {
    Ref::new("ServiceInstance")
}
