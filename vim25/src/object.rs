//! Data objects and enums: the traits behind the generated types, and the
//! macros that the generated code is written with.

use std::fmt;
use std::sync::Arc;

use crate::builder::Builder;
use crate::document::{Document, ObjectType};
use crate::node::Node;
use crate::slot::{Loading, Slot};

/// A data object type of the schema.
///
/// Implemented by every generated struct; [`Slot`] supplies reading and writing on top
/// of its `set` and `put`.
pub trait DataObject: Slot + Clone + IsA<Self> {
    /// The wire name of the type.
    #[must_use]
    fn type_name() -> &'static str {
        crate::table::type_name(Self::TYPE)
    }
}

impl<T: Slot + Clone + IsA<T>> DataObject for T {}

/// Holds when a type is `Base` or derived from it, at compile time: `T: IsA<Base>`.
///
/// Implemented between data object types and between the marker types of
/// managed objects in [`mo`](crate::mo).
pub trait IsA<Base> {}

/// Creates a document that holds one typed value.
pub(crate) fn document<T: Slot>(value: &T) -> Arc<Document> {
    let mut out = Builder::default();
    value.store_any(0, &mut out);
    Arc::new(out.finish())
}

/// Prints a struct for `Debug` through its document: wire names, secrets redacted.
pub(crate) fn debug<T: DataObject>(value: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    crate::print::debug(&document(value), 0, f)
}

/// Compares two structs through their documents.
pub(crate) fn same<T: DataObject>(a: &T, b: &T) -> bool {
    crate::compare::same(document(a).root(), document(b).root())
}

/// Implements the traits of a generated data object type.
///
/// Thousands of types are expanded from this, so it is kept small for the compiler:
/// names come from [`scope`] instead of full paths, and whatever a trait can
/// provide is left to the trait.
macro_rules! data_object {
    ($name:ident, $id:literal, {}) => {
        impl Slot for $name {
            const TYPE: u16 = $id;
        }
        data_object!($name);
    };
    ($name:ident, $id:literal, { $($index:literal => $field:ident),+ $(,)? }) => {
        impl Slot for $name {
            const TYPE: u16 = $id;
            #[inline]
            fn set(&mut self, field: Node<'_>, cx: &mut Loading) {
                match field.field() {
                    $($index => cx.field(&mut self.$field, field),)*
                    _ => {}
                }
            }
            #[inline]
            fn put(&self, out: &mut Builder) {
                $( out.slot($index, &self.$field); )*
            }
        }
        data_object!($name);
    };
    ($name:ident : $base:ident, $id:literal, { $($index:literal => $field:ident),* $(,)? }) => {
        impl Deref for $name {
            type Target = $base;
            #[inline]
            fn deref(&self) -> &$base { &self.base }
        }
        impl DerefMut for $name {
            #[inline]
            fn deref_mut(&mut self) -> &mut $base { &mut self.base }
        }
        impl Slot for $name {
            const TYPE: u16 = $id;
            #[inline]
            fn set(&mut self, field: Node<'_>, cx: &mut Loading) {
                match field.field() {
                    $($index => cx.field(&mut self.$field, field),)*
                    _ => self.base.set(field, cx),
                }
            }
            #[inline]
            fn put(&self, out: &mut Builder) {
                self.base.put(out);
                $( out.slot($index, &self.$field); )*
            }
        }
        data_object!($name);
    };
    ($name:ident) => {
        impl Debug for $name {
            #[inline]
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result { debug(self, f) }
        }
        impl PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool { same(self, other) }
        }
        impl IsA<$name> for $name {}
    };
}
pub(crate) use data_object;

/// The names that [`data_object!`] has in scope.
pub(crate) mod scope {
    pub(crate) use std::fmt::{self, Debug, Formatter};
    pub(crate) use std::ops::{Deref, DerefMut};

    pub(crate) use super::{IsA, data_object, debug, is_a, same};
    pub(crate) use crate::Node;
    pub(crate) use crate::builder::Builder;
    pub(crate) use crate::slot::{Loading, Slot};
}

/// States that a type is derived from others.
macro_rules! is_a {
    ($name:ident : $($base:ident),+ $(,)?) => {
        $( impl $crate::object::IsA<$base> for $name {} )+
    };
}
pub(crate) use is_a;

/// Defines an enum of the schema.
macro_rules! enumeration {
    ($(#[$meta:meta])* $name:ident, $id:literal, { $($(#[$vmeta:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$vmeta])*
                $variant,
            )*
            /// A value that this version does not know, kept as text.
            Other(Box<str>),
            /// Not set; sending it is an error.
            #[default]
            Unset,
        }
        impl $name {
            /// Returns the text on the wire; empty for `Unset`.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )*
                    Self::Other(text) => text,
                    Self::Unset => "",
                }
            }
        }
        impl From<&str> for $name {
            #[inline]
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$variant, )*
                    "" => Self::Unset,
                    other => Self::Other(other.into()),
                }
            }
        }
        impl std::fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl $crate::slot::Slot for $name {
            const KIND: $crate::table::FieldKind = $crate::table::FieldKind::Enum;
            const TYPE: u16 = $id;
            #[inline]
            fn load(&mut self, node: $crate::Node<'_>, cx: &mut $crate::slot::Loading) {
                *self = Self::from($crate::object::enum_text(node, $id, cx));
            }
            #[inline]
            fn store(&self, field: u16, out: &mut $crate::builder::Builder) {
                $crate::object::store_enum(self.as_str(), field, out);
            }
            #[inline]
            fn store_any(&self, field: u16, out: &mut $crate::builder::Builder) {
                $crate::object::store_any_enum(self.as_str(), $id, field, out);
            }
        }
    };
}
pub(crate) use enumeration;

/// Defines the marker type of a managed object type.
macro_rules! managed_object {
    ($(#[$meta:meta])* $name:ident, $text:literal, $id:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub enum $name {}
        impl $crate::reference::ManagedObject for $name {
            const NAME: &'static str = $text;
            const TYPE: u16 = $id;
        }
        impl $crate::object::IsA<$name> for $name {}
    };
}
pub(crate) use managed_object;

/// Returns the text of an enum value.
pub(crate) fn enum_text<'a>(node: Node<'a>, type_id: u16, cx: &mut Loading) -> &'a str {
    match node.scalar().kind() {
        crate::document::Kind::Text => node.as_str().unwrap_or_default().trim_ascii(),
        _ => {
            cx.fail(node.wrong_type(crate::table::type_name(type_id)));
            ""
        }
    }
}

/// Writes an enum value where the schema declares that enum.
pub(crate) fn store_enum(text: &str, field: u16, out: &mut Builder) {
    if text.is_empty() {
        out.fail(field, crate::error::EncodeProblem::Unset);
    } else {
        out.text(field, crate::document::tag::UNTYPED, text);
    }
}

/// Writes an enum value, with its type name, where the schema accepts any type.
pub(crate) fn store_any_enum(text: &str, type_id: u16, field: u16, out: &mut Builder) {
    out.open_typed(field, ObjectType::Known(type_id));
    store_enum(text, 0, out);
    out.close();
}
