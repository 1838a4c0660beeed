//! What the engine reports to.

use std::fmt;

use vim25::AnyRef;

use super::slot::Content;
use crate::error::Error;

/// Receives the reports of one subscription. The engine calls it from its own task, so every
/// method returns quickly and waits for nothing.
pub(crate) trait Receiver: fmt::Debug + Send + Sync {
    /// Returns whether the receiver keeps what it needs of each object. The engine then keeps
    /// no properties of the objects that a selection finds, and reports of changes contain
    /// only the changed properties.
    fn keeps_objects(&self) -> bool {
        false
    }

    /// Returns whether values of objects that enter may share the memory of the response that
    /// contained them, because the receiver converts them soon.
    fn shares_responses(&self) -> bool {
        false
    }

    /// Returns whether the receiver knows the object.
    fn holds(&self, _object: &AnyRef) -> bool {
        false
    }

    /// The object is in the set, with these properties. Also reported again after a resync.
    fn enter(&self, content: &Content);

    /// These paths of the object changed.
    fn change(&self, content: &Content, paths: Vec<String>);

    /// The object left the set.
    fn leave(&self, object: &AnyRef);

    /// Every object of the set has been reported.
    fn complete(&self);

    /// The session was lost: everything is reported again.
    fn resync(&self);

    /// The subscription ends.
    fn end(&self, error: Error);
}
