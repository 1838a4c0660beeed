//! Names of lists in places that accept any type: `ArrayOf…` and their items.

use crate::document::Cell;
use crate::table::{self, FieldKind};

/// Names of scalar items, by [`FieldKind`]: in `ArrayOf…`, and as element.
const ITEMS: [(&str, &str); 15] = [
    ("String", "string"),
    ("Boolean", "boolean"),
    ("Byte", "byte"),
    ("Short", "short"),
    ("Int", "int"),
    ("Long", "long"),
    ("Float", "float"),
    ("Double", "double"),
    ("DateTime", "dateTime"),
    ("Base64Binary", "base64Binary"),
    ("AnyURI", "anyURI"),
    ("ManagedObjectReference", "ManagedObjectReference"),
    ("", ""),
    ("", ""),
    ("AnyType", "anyType"),
];

/// Returns the field kind of a list cell's items, from its tag.
pub(crate) fn item_kind(cell: Cell) -> FieldKind {
    const KINDS: [FieldKind; 15] = [
        FieldKind::String,
        FieldKind::Bool,
        FieldKind::Byte,
        FieldKind::Short,
        FieldKind::Int,
        FieldKind::Long,
        FieldKind::Float,
        FieldKind::Double,
        FieldKind::DateTime,
        FieldKind::Binary,
        FieldKind::Uri,
        FieldKind::Ref,
        FieldKind::Enum,
        FieldKind::Object,
        FieldKind::Any,
    ];
    KINDS
        .get(usize::from(cell.tag))
        .copied()
        .unwrap_or(FieldKind::Any)
}

/// Returns `X` of the type name `ArrayOfX`.
pub(crate) fn array_type_suffix(cell: Cell) -> &'static str {
    match item_kind(cell) {
        FieldKind::Object | FieldKind::Enum => table::type_name(cell.a as u16),
        kind => ITEMS[kind as usize].0,
    }
}

/// Returns the element name of a list's items.
pub(crate) fn array_item_name(cell: Cell) -> &'static str {
    match item_kind(cell) {
        FieldKind::Object | FieldKind::Enum => table::type_name(cell.a as u16),
        kind => ITEMS[kind as usize].1,
    }
}

/// Returns the item kind and type of `ArrayOf<suffix>`.
pub(crate) fn array_items(suffix: &str) -> Option<(FieldKind, u16)> {
    const KINDS: [FieldKind; 13] = [
        FieldKind::String,
        FieldKind::Bool,
        FieldKind::Byte,
        FieldKind::Short,
        FieldKind::Int,
        FieldKind::Long,
        FieldKind::Float,
        FieldKind::Double,
        FieldKind::DateTime,
        FieldKind::Binary,
        FieldKind::Uri,
        FieldKind::Ref,
        FieldKind::Any,
    ];
    if let Some(kind) = KINDS.iter().find(|kind| ITEMS[**kind as usize].0 == suffix) {
        return Some((*kind, table::NONE));
    }
    let id = table::value_type(suffix)?;
    let enumeration = table::type_row(id).is_some_and(|row| row.kind == table::TypeKind::Enum);
    Some((
        if enumeration {
            FieldKind::Enum
        } else {
            FieldKind::Object
        },
        id,
    ))
}
