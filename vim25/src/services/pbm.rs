//! Storage policies (`urn:pbm`, at `/pbm` of a vCenter).
//!
//! It needs the session cookie in the SOAP header; a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::pbm::{calls, mo, props};

/// The data object and enum types of `urn:pbm`, by wire name.
pub mod types {
    pub use crate::generated::pbm::enums::*;
    pub use crate::generated::pbm::types::*;
}

/// The service that implements `urn:pbm`.
pub const SERVICE: Service = Service::new("urn:pbm", "/pbm", None);

/// The entry point of the service: `pbm_retrieve_service_content` returns its other objects.
#[must_use]
pub fn service_instance() -> Ref<mo::PbmServiceInstance> {
    Ref::new("ServiceInstance")
}
