//! The ESX agent manager: agent machines on every host of a cluster (`urn:eam`, at `/eam/sdk` of a vCenter).
//!
//! It knows the session by its cookie, as the main service does.

use crate::{Ref, Service};

pub use crate::generated::eam::{mo, props};

/// The data object and enum types of `urn:eam`, by wire name.
pub mod types {
    pub use crate::generated::eam::enums::*;
    pub use crate::generated::eam::types::*;
}

/// Where `urn:eam` is spoken.
pub const SERVICE: Service = Service::new("urn:eam", "/eam/sdk", None);

/// The object that everything else is found from.
#[must_use]
pub fn esx_agent_manager() -> Ref<mo::EsxAgentManager> {
    Ref::new("EsxAgentManager")
}
