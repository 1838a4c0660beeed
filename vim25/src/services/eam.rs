//! The ESX agent manager: agent VMs on every host of a cluster (`urn:eam`, at `/eam/sdk`).
//!
//! It identifies the session by the HTTP cookie, as the main service does.

use crate::{Ref, Service};

pub use crate::generated::eam::{mo, props};

/// The data object and enum types of `urn:eam`, by wire name.
pub mod types {
    pub use crate::generated::eam::enums::*;
    pub use crate::generated::eam::types::*;
}

/// The service that implements `urn:eam`.
pub const SERVICE: Service = Service::new("urn:eam", "/eam/sdk", None);

/// The entry point of the service, from which all other objects are found.
#[must_use]
pub fn esx_agent_manager() -> Ref<mo::EsxAgentManager> {
    Ref::new("EsxAgentManager")
}
