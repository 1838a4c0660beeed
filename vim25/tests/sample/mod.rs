//! Values with every field set, generated from the schema, as JSON.

use serde_json::{Map, Value, json};
use vim25::schema::{Field, FieldKind, Type};

/// Returns a JSON value for a field; objects are filled down to `depth`.
fn sample(field: Field, depth: usize) -> Value {
    let one = match field.kind() {
        FieldKind::String => json!(format!("{} <&> \u{e9}", field.name())),
        FieldKind::Bool => json!(true),
        FieldKind::Byte => json!(-128),
        FieldKind::Short => json!(-32_768),
        FieldKind::Int => json!(i32::MIN),
        FieldKind::Long => json!(i64::MAX),
        FieldKind::Float => json!(0.5),
        FieldKind::Double => json!(-1.25e-300),
        FieldKind::DateTime => json!("2026-11-23T10:11:12.123456Z"),
        FieldKind::Binary => json!("AAEC/w=="),
        FieldKind::Uri => json!("ds:///vmfs/volumes/1/"),
        FieldKind::Ref => {
            let ty = field.declared().map_or("ManagedEntity", Type::name);
            json!({"_typeName": "ManagedObjectReference", "type": ty, "value": "mo-1"})
        }
        FieldKind::Enum => json!("aValue"),
        FieldKind::Any => json!({"_typeName": "ArrayOfInt", "_value": [1, -1]}),
        FieldKind::Object => object(field.declared().unwrap(), depth),
    };
    if field.is_list() {
        json!([one.clone(), one])
    } else {
        one
    }
}

/// Returns an object of the type as JSON.
pub(crate) fn object(ty: Type, depth: usize) -> Value {
    let mut members = Map::new();
    members.insert("_typeName".into(), json!(ty.name()));
    for field in ty.fields() {
        // Below that, and where a type contains itself, only required fields.
        if depth > 0 || field.is_required() {
            members.insert(field.name().into(), sample(field, depth.saturating_sub(1)));
        }
    }
    Value::Object(members)
}
