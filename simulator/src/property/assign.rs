//! Sets a property of an object, for [`Simulator::set_property`](crate::Simulator::set_property).

use std::sync::Arc;

use serde_json::{Value, json};
use vim25::schema::FieldKind;
use vim25::{Any, AnyRef, Property, Ref, Slot};

use super::path::{self, Declared};
use crate::object::Object;
use crate::shared::Shared;
use crate::world::Transaction;

const UNKNOWN: &str = "its type has no such property";

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
    if !path::is_valid(target.schema(), path) {
        return Err(failed(&UNKNOWN));
    }
    target.set(path, value).map_err(|fault| failed(&fault))?;
    tx.commit();
    Ok(())
}

/// Sets a property, or a value inside it, to a value in the JSON format of vSphere. Names of types
/// can be left out where the schema declares the type.
pub(crate) fn assign_json(
    shared: &Arc<Shared>,
    (ty, id): (&str, &str),
    path: &str,
    value: &Value,
) -> Result<(), SetPropertyError> {
    let failed = |reason: &dyn std::fmt::Display| SetPropertyError {
        object: format!("{ty}:{id}"),
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let mut tx = Transaction::begin(shared).map_err(|fault| failed(&fault))?;
    let object = AnyRef::from_wire(ty, id);
    let target = tx.edit(&object).map_err(|fault| failed(&fault))?;
    let declared = path::declared(target.schema(), path).ok_or_else(|| failed(&UNKNOWN))?;
    let value = Any::from_json(&named(declared, value).to_string());
    let value = value.map_err(|error| failed(&error))?;
    if !fits(declared, &value) {
        let words = format!("a {} does not fit there", value.type_name());
        return Err(failed(&words));
    }
    set(target, path, &value).map_err(|fault| failed(&fault))?;
    tx.commit();
    Ok(())
}

fn set(target: &mut Object, path: &str, value: &Any) -> Result<(), vim25::Fault> {
    if let Err(error) = value.check() {
        return Err(crate::fault::internal(error.to_string()));
    }
    target.set_any(path, value)
}

/// Returns the wire name of a declared type; `None` if a value has to name its own.
fn type_name(declared: Declared) -> Option<String> {
    let name = match (declared.kind, declared.ty) {
        (FieldKind::Any, _) => return None,
        (FieldKind::Object | FieldKind::Enum, ty) => ty?.name(),
        (FieldKind::Ref, _) => "ManagedObjectReference",
        (FieldKind::String, _) => "string",
        (FieldKind::Bool, _) => "boolean",
        (FieldKind::Byte, _) => "byte",
        (FieldKind::Short, _) => "short",
        (FieldKind::Int, _) => "int",
        (FieldKind::Long, _) => "long",
        (FieldKind::Float, _) => "float",
        (FieldKind::Double, _) => "double",
        (FieldKind::DateTime, _) => "dateTime",
        (FieldKind::Binary, _) => "base64Binary",
        (FieldKind::Uri, _) => "anyURI",
    };
    if !declared.is_list {
        return Some(name.to_owned());
    }
    let (first, rest) = name.split_at_checked(1)?;
    Some(format!("ArrayOf{}{rest}", first.to_ascii_uppercase()))
}

/// Adds the declared type's name to a value without a name.
fn named(declared: Declared, value: &Value) -> Value {
    let Some(name) = type_name(declared) else {
        return value.clone();
    };
    match value {
        Value::Object(fields) if fields.contains_key("_typeName") => value.clone(),
        Value::Object(fields) if declared.kind == FieldKind::Object && !declared.is_list => {
            let mut fields = fields.clone();
            fields.insert("_typeName".to_owned(), name.into());
            Value::Object(fields)
        }
        // It does not fit.
        _ if declared.kind == FieldKind::Object && !declared.is_list => value.clone(),
        _ => json!({ "_typeName": name, "_value": value }),
    }
}

/// Returns whether a value has the declared type, or one derived from it.
fn fits(declared: Declared, value: &Any) -> bool {
    let Some(name) = type_name(declared) else {
        return true;
    };
    match (declared.kind, declared.is_list) {
        (FieldKind::Object, false) => value.node().is_a(&name),
        (FieldKind::Ref, false) => value.node().as_reference().is_some(),
        _ => value.type_name() == name,
    }
}
