//! Stops the changes of a writer that was replaced.

use std::sync::{Arc, OnceLock};

use crate::{Error, ErrorKind, Resource, Result};

/// Whether this process may change the objects of a host. Open until it is closed, for good.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct Fence {
    closed: Arc<OnceLock<Box<str>>>,
}

impl Fence {
    /// Refuses all later changes: this other writer owns the host.
    pub(in crate::vsphere) fn close(&self, by: impl Into<Box<str>>) {
        // Only the first name is kept.
        let _ = self.closed.set(by.into());
    }

    pub(super) fn check(&self, resource: &Resource) -> Result<()> {
        let Some(by) = self.closed.get() else {
            return Ok(());
        };
        let error = Error::new(ErrorKind::InUse { by: by.clone() }, resource.clone());
        Err(error.with_source("another program took the host over: open it again to write"))
    }
}
