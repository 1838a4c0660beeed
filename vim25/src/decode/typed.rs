//! Elements with an explicit type: resolving `xsi:type`.

use std::borrow::Cow;

use crate::document::{ObjectType, tag};
use crate::error::DecodeError;
use crate::table::{self, FieldKind, NONE};

use super::Decoder;
use super::attributes::Attributes;
use super::leaf::{self, Leaf};

impl<'x> Decoder<'x> {
    /// Starts an element with an explicit type.
    pub(super) fn start_typed(
        &mut self,
        field: u16,
        declared: (FieldKind, u16),
        name: &str,
        attributes: &Attributes<'_>,
        leaf: &mut Leaf<'x>,
    ) -> Result<(), DecodeError> {
        let local = name.rsplit(':').next().unwrap_or(name).trim_ascii();
        if let Some(uri) = self.scope.foreign(name) {
            let name = format!("{{{}}}{}", without_braces(uri), without_braces(local));
            return self.open_unknown(field, declared, &name);
        }
        // In an object field, the name of a scalar type counts as an unknown type.
        let scalar = leaf::scalar(local).filter(|_| declared.0 != FieldKind::Object);
        if let Some(kind) = scalar {
            // A scalar field keeps its declared kind: `xsd:int` in a long is a long.
            let kind = match declared.0 {
                FieldKind::Any => kind,
                declared => declared,
            };
            leaf.begin(field, kind, leaf::tag_of(kind));
            if kind == FieldKind::Ref {
                leaf.refer(attributes);
            }
            return Ok(());
        }
        if let Some(id) = self.type_id(local) {
            let id = self.in_namespace(id, name, local);
            if table::type_row(id).is_some_and(|row| row.kind == table::TypeKind::Enum) {
                leaf.begin(field, FieldKind::Enum, tag::UNTYPED);
                leaf.typed = (declared.0 != FieldKind::Enum).then_some(ObjectType::Known(id));
                return Ok(());
            }
            return self.open(field, ObjectType::Known(id), None);
        }
        if let Some(items) = local
            .strip_prefix("ArrayOf")
            .and_then(crate::encode::array_items)
            .map(|(kind, id)| match local.strip_prefix("ArrayOf") {
                Some(item) if id != NONE => (kind, self.in_namespace(id, name, item)),
                _ => (kind, id),
            })
        {
            return self.open(field, ObjectType::Untyped, Some(items));
        }
        self.open_unknown(field, declared, &without_braces(local))
    }

    /// Opens an object of a type that the schema does not know. If its namespace is not
    /// ours, the recorded name starts with the namespace in braces.
    fn open_unknown(
        &mut self,
        field: u16,
        (kind, ty): (FieldKind, u16),
        name: &str,
    ) -> Result<(), DecodeError> {
        let name = self.name(name)?;
        let declared = if kind == FieldKind::Object { ty } else { NONE };
        self.open(field, ObjectType::Unknown { name, declared }, None)
    }

    /// Returns the type of the same name in the namespace of the full name, if it
    /// exists there.
    pub(crate) fn in_namespace(&self, id: u16, name: &str, local: &str) -> u16 {
        match self.scope.ours(name) {
            Some(uri) if uri != table::namespace_uri(id) => {
                table::value_type_in(uri, local).unwrap_or(id)
            }
            _ => id,
        }
    }

    /// Finds a type by name; recently used ones need no search.
    fn type_id(&mut self, name: &str) -> Option<u16> {
        let bytes = name.as_bytes();
        let (first, last) = (*bytes.first()?, *bytes.last()?);
        let middle = bytes.get(bytes.len() / 2).copied().unwrap_or(0);
        let slot = bytes.len().wrapping_mul(31)
            ^ usize::from(first)
            ^ usize::from(last) << 1
            ^ usize::from(middle) << 2;
        let slot = &mut self.recent[slot & 63];
        if *slot != NONE && table::type_name(*slot) == name {
            return Some(*slot);
        }
        *slot = table::value_type(name)?;
        Some(*slot)
    }
}

/// Escapes braces, which mark the namespace in a type's name, as a URL would: neither a
/// name nor a namespace can contain them.
fn without_braces(text: &str) -> Cow<'_, str> {
    if text.contains(['{', '}']) {
        Cow::Owned(text.replace('{', "%7B").replace('}', "%7D"))
    } else {
        Cow::Borrowed(text)
    }
}
