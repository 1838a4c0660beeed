//! Storage policies (`urn:pbm`, at `/pbm` of a vCenter).
//!
//! It wants the session in the header: a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::pbm::{calls, mo, props};

/// The data object and enum types of `urn:pbm`, by wire name.
pub mod types {
    pub use crate::generated::pbm::enums::*;
    pub use crate::generated::pbm::types::*;
}

/// Where `urn:pbm` is spoken.
pub const SERVICE: Service = Service::new("urn:pbm", "/pbm", None);

/// The object that everything else is found from, with `pbm_retrieve_service_content`.
#[must_use]
pub fn service_instance() -> Ref<mo::PbmServiceInstance> {
    Ref::new("ServiceInstance")
}
