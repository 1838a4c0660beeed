//! Declared types: the kind, and the named type.

/// The declared kind of a field, parameter or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Bool,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    DateTime,
    Binary,
    Uri,
    Ref,
    Enum,
    Object,
    Any,
}

/// A declared type, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) kind: Kind,
    /// The type id and the Rust path of a reference, enum or object type.
    pub(crate) named: Option<(u16, String)>,
    /// Whether it is an object whose declared type has subtypes.
    pub(crate) poly: bool,
    pub(crate) array: bool,
    pub(crate) optional: bool,
}

/// Returns the kind of a built-in type.
pub(crate) fn builtin(name: &str) -> Option<Kind> {
    Some(match name {
        "string" | "propertyPath" | "typeName" | "methodName" => Kind::String,
        "boolean" => Kind::Bool,
        "byte" => Kind::Byte,
        "short" => Kind::Short,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "dateTime" => Kind::DateTime,
        "binary" => Kind::Binary,
        "anyURI" => Kind::Uri,
        "anyType" => Kind::Any,
        _ => return None,
    })
}
