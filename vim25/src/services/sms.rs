//! Storage monitoring: VASA providers and what they tell (`urn:sms`, at `/sms/sdk` of a vCenter).
//!
//! It wants the session in the header: a client takes care of that.

use crate::{Ref, Service};

pub use crate::generated::sms::{mo, props};

/// The data object and enum types of `urn:sms`, by wire name.
pub mod types {
    pub use crate::generated::sms::enums::*;
    pub use crate::generated::sms::types::*;
}

/// Where `urn:sms` is spoken.
pub const SERVICE: Service = Service::new("urn:sms", "/sms/sdk", None);

/// The object that everything else is found from, with `query_storage_manager`
/// and `query_session_manager`.
#[must_use]
pub fn service_instance() -> Ref<mo::SmsServiceInstance> {
    Ref::new("ServiceInstance")
}
