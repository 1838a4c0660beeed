//! Results that are returned in pages.

use std::sync::Arc;

use vim25::AnyRef;

use crate::property::spec::Spec;

/// The part of a result that has not been requested yet.
#[derive(Debug)]
pub(crate) struct Page {
    pub(super) token: String,
    /// The collector that received the request.
    pub(super) collector: Box<str>,
    pub(super) spec: Arc<Vec<Spec>>,
    /// The remaining objects, each with the specification that selected it.
    pub(super) rest: Vec<(AnyRef, usize)>,
    pub(super) size: usize,
}
