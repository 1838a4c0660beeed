//! Storage monitoring: VASA providers and what they report (`urn:sms`, at `/sms/sdk` of a vCenter).
//!
//! It needs the session cookie in the SOAP header; a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::sms::{mo, props};

/// The data object and enum types of `urn:sms`, by wire name.
pub mod types {
    pub use crate::generated::sms::enums::*;
    pub use crate::generated::sms::types::*;
}

/// The service that implements `urn:sms`.
pub const SERVICE: Service = Service::new("urn:sms", "/sms/sdk", None);

/// The entry point of the service: `query_storage_manager` and `query_session_manager`
/// return its other objects.
#[must_use]
pub fn service_instance() -> Ref<mo::SmsServiceInstance> {
    Ref::new("ServiceInstance")
}
