//! Objects that a traversal or a container view finds, watched through a
//! filter of their own.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use vim25::{AnyRef, Ref, mo};

use super::Target;
use crate::update::slot::Content;

/// One subscriber's watch of the objects that a traversal finds.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) target: Target,
    pub(super) view: Option<Ref<mo::ContainerView>>,
    pub(super) filter: Option<Ref<mo::PropertyFilter>>,
    /// When the filter was requested.
    pub(super) asked: u64,
    pub(super) opened: Option<Instant>,
    pub(super) content: HashMap<AnyRef, Content>,
    /// After a resync: known objects that have not been reported again.
    pub(super) unconfirmed: HashSet<AnyRef>,
    /// Whether all initial objects have been reported.
    pub(super) is_complete: bool,
}

impl Selection {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            view: None,
            filter: None,
            asked: 0,
            opened: None,
            content: HashMap::new(),
            unconfirmed: HashSet::new(),
            is_complete: false,
        }
    }

    /// Forgets the state on the server; everything is reported again.
    pub(super) fn reset(&mut self) {
        self.view = None;
        self.filter = None;
        self.opened = None;
        self.is_complete = false;
        self.unconfirmed.extend(self.content.keys().cloned());
    }
}
