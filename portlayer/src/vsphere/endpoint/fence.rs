//! Blocks further changes by a writer that another writer has replaced.

use std::sync::{Arc, OnceLock};

use crate::{Error, ErrorKind, Resource, Result};

/// Decides whether this process may change the objects of a host. Open at first; once closed, it
/// stays closed.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct Fence {
    closed: Arc<OnceLock<Box<str>>>,
}

impl Fence {
    /// Refuses all later changes, because the writer `by` now owns the host.
    pub(in crate::vsphere) fn close(&self, by: impl Into<Box<str>>) {
        // If the fence is closed more than once, the first name is kept.
        let _ = self.closed.set(by.into());
    }

    pub(super) fn check(&self, resource: &Resource) -> Result<()> {
        let Some(by) = self.closed.get() else {
            return Ok(());
        };
        let error = Error::new(ErrorKind::InUse { by: by.clone() }, resource.clone());
        Err(error
            .with_source("another program took over the host: open the host again to change it"))
    }
}
