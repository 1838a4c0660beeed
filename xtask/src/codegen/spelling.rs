//! The Rust spelling of declared types, depending on where they are used.

use super::declared::{Kind, Type};

/// Returns the type of one value: an item of a list, or the content of an option.
fn value(ty: &Type) -> String {
    let name = ty.named.as_ref().map_or("", |(_, name)| name.as_str());
    match ty.kind {
        Kind::String | Kind::Uri => "String".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::Byte => "i8".to_owned(),
        Kind::Short => "i16".to_owned(),
        Kind::Int => "i32".to_owned(),
        Kind::Long => "i64".to_owned(),
        Kind::Float => "f32".to_owned(),
        Kind::Double => "f64".to_owned(),
        Kind::DateTime => "Timestamp".to_owned(),
        Kind::Binary => "Binary".to_owned(),
        Kind::Any => "Any".to_owned(),
        Kind::Ref => format!("Ref<{name}>"),
        Kind::Enum => name.to_owned(),
        Kind::Object if ty.poly => format!("Poly<{name}>"),
        Kind::Object => name.to_owned(),
    }
}

/// Returns the type of a struct's field.
pub(crate) fn field(ty: &Type, boxed: bool) -> String {
    let inner = value(ty);
    let plain_object = ty.kind == Kind::Object && !ty.poly;
    match (ty.array, ty.optional) {
        (true, _) => format!("Vec<{inner}>"),
        (false, true) if plain_object => format!("Option<Box<{inner}>>"),
        (false, true) => format!("Option<{inner}>"),
        (false, false) if boxed => format!("Box<{inner}>"),
        (false, false) => inner,
    }
}

/// Returns the type of a property's value. It is never optional, because clients handle
/// absence.
pub(crate) fn property(ty: &Type) -> String {
    let inner = value(ty);
    if ty.array {
        format!("Vec<{inner}>")
    } else {
        inner
    }
}

/// Returns the type of a method's result.
pub(crate) fn result(ty: &Type) -> String {
    let inner = value(ty);
    match (ty.array, ty.optional) {
        (true, _) => format!("Vec<{inner}>"),
        (false, true) => format!("Option<{inner}>"),
        (false, false) => inner,
    }
}

/// Returns the type of a parameter, and the statement that writes it as field `index`.
pub(crate) fn parameter(ty: &Type, name: &str, index: usize) -> (String, String) {
    let inner = value(ty);
    let copied = matches!(
        ty.kind,
        Kind::Bool
            | Kind::Byte
            | Kind::Short
            | Kind::Int
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::DateTime
    );
    if ty.array {
        return (format!("&[{inner}]"), format!("a.list({index}, {name});"));
    }
    if copied {
        let declared = if ty.optional {
            format!("Option<{inner}>")
        } else {
            inner
        };
        return (declared, format!("a.arg({index}, &{name});"));
    }
    let text = matches!(ty.kind, Kind::String | Kind::Uri);
    let borrowed = if text { "str".to_owned() } else { inner };
    let write = match (text, ty.optional) {
        (true, _) => format!("a.text({index}, {name});"),
        (false, true) => format!("a.opt({index}, {name});"),
        (false, false) => format!("a.arg({index}, {name});"),
    };
    if ty.optional {
        return (format!("Option<&{borrowed}>"), write);
    }
    match (ty.kind, &ty.named) {
        (Kind::Ref, Some((_, target))) => (
            format!("&Ref<impl IsA<{target}>>"),
            format!("a.reference({index}, {name});"),
        ),
        _ => (format!("&{borrowed}"), write),
    }
}
