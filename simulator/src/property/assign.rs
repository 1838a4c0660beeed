//! Sets a property of an object, for [`Simulator::set_property`](crate::Simulator::set_property).

use std::sync::Arc;

use vim25::{Property, Ref, Slot};

use crate::shared::Shared;
use crate::world::Transaction;

/// A property was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property `{path}` of {object} was not set: {reason}")]
#[non_exhaustive]
pub struct SetPropertyError {
    /// The object, as `Type:value`.
    pub object: String,
    /// The path of the property.
    pub path: String,
    /// Why it was not set.
    pub reason: String,
}

/// Sets a property, or a value inside it.
pub(crate) fn assign<T, V: Slot>(
    shared: &Arc<Shared>,
    object: &Ref<T>,
    property: Property<T, V>,
    value: &V,
) -> Result<(), SetPropertyError> {
    let path = property.path();
    let failed = |reason: &dyn std::fmt::Display| SetPropertyError {
        object: format!("{}:{}", object.type_name(), object.value()),
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let mut tx = Transaction::begin(shared).map_err(|fault| failed(&fault))?;
    let target = tx.edit(object).map_err(|fault| failed(&fault))?;
    if !super::path::is_valid(target.schema(), path) {
        return Err(failed(&"its type has no such property"));
    }
    let set = if path.contains(['.', '[']) {
        target.set(path, value)
    } else {
        target.put(path, value);
        Ok(())
    };
    set.map_err(|fault| failed(&fault))?;
    tx.commit();
    Ok(())
}
