//! A read-only view of one value inside a document.

use std::sync::Arc;

use crate::document::{Cell, Document, Kind, ObjectType, UNKNOWN_FIELD, tag};
use crate::error::{ConvertError, ConvertProblem};
use crate::slot::{Lenient, Loading, Slot};
use crate::table;

/// A view of one value in a [`Document`]: an object, a list or a scalar.
///
/// Views are small and `Copy`. They read by wire name without converting, and also
/// see fields and types that the schema does not know.
///
/// ```
/// use vim25::{Any, types::{Description, VirtualDisk}};
///
/// let mut disk = VirtualDisk::default();
/// disk.key = 2000;
/// disk.capacity_in_kb = 1024;
/// let value = Any::new(&disk);
/// assert_eq!(value.node().type_name(), "VirtualDisk");
/// assert_eq!(value.node().path("capacityInKB").and_then(|n| n.as_i64()), Some(1024));
/// assert!(value.node().get("backing").is_none());
/// ```
#[derive(Clone, Copy)]
pub struct Node<'a> {
    doc: &'a Arc<Document>,
    at: u32,
}

impl<'a> Node<'a> {
    #[inline]
    pub(crate) const fn new(doc: &'a Arc<Document>, at: u32) -> Self {
        Self { doc, at }
    }

    #[inline]
    pub(crate) const fn document(self) -> &'a Arc<Document> {
        self.doc
    }

    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.at
    }

    #[inline]
    pub(crate) fn cell(self) -> Cell {
        self.doc.cell(self.at)
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        self.cell().kind
    }

    /// Returns the flattened index of the field in the parent's type.
    #[inline]
    pub(crate) fn field(self) -> u16 {
        self.cell().field
    }

    /// Returns the type of an object; `None` for any other value.
    #[inline]
    pub(crate) fn object_type(self) -> Option<ObjectType> {
        let cell = self.cell();
        (cell.kind == Kind::Object).then(|| ObjectType::unpack(cell.a))
    }

    /// Unwraps a scalar that carries its type name.
    #[inline]
    pub(crate) fn scalar(self) -> Self {
        if self.kind() == Kind::Typed {
            Self {
                doc: self.doc,
                at: self.at + 1,
            }
        } else {
            self
        }
    }

    /// Returns whether there is no value: `xsi:nil`, or an unset field.
    #[must_use]
    pub fn is_nil(self) -> bool {
        self.kind() == Kind::Nil
    }

    /// Returns the wire name of the value's type: `VirtualDisk`, `string`, `ArrayOfOptionValue`, …
    ///
    /// For a type of a namespace that was not compiled in, the namespace precedes the name
    /// in braces: `{urn:other}Disk`.
    #[must_use]
    pub fn type_name(self) -> String {
        let cell = self.cell();
        match cell.kind {
            Kind::Object => match ObjectType::unpack(cell.a) {
                ObjectType::Untyped => "anyType".to_owned(),
                ty => self.doc.object_type_name(ty).to_owned(),
            },
            Kind::Typed => self
                .doc
                .object_type_name(ObjectType::unpack(cell.a))
                .to_owned(),
            Kind::Array => format!("ArrayOf{}", crate::encode::array_type_suffix(cell)),
            Kind::Ref | Kind::LongRef => tag::NAMES[usize::from(tag::REF)].to_owned(),
            Kind::Nil => "nil".to_owned(),
            Kind::Text | Kind::Bool | Kind::Int | Kind::Long | Kind::Float | Kind::Double => {
                match cell.tag {
                    tag::UNTYPED => "anyType".to_owned(),
                    tag => tag::NAMES
                        .get(usize::from(tag))
                        .copied()
                        .unwrap_or("")
                        .to_owned(),
                }
            }
        }
    }

    /// Returns whether the value is an object of the named type or of a type derived from it.
    #[must_use]
    pub fn is_a(self, type_name: &str) -> bool {
        match (self.object_type(), table::value_type(type_name)) {
            (Some(ty), Some(base)) => {
                table::is_a(ty.table(), base) || self.doc.object_type_name(ty) == type_name
            }
            (Some(ty), None) => self.doc.object_type_name(ty) == type_name,
            (None, _) => false,
        }
    }

    /// Iterates over the fields of an object or the items of a list, in document order.
    #[inline]
    pub fn children(self) -> Children<'a> {
        let cell = self.cell();
        let end = match cell.kind {
            Kind::Object | Kind::Array => self.at + cell.b,
            _ => self.at + 1,
        };
        Children {
            doc: self.doc,
            at: self.at + 1,
            end,
        }
    }

    /// Returns the index after the last cell of this value and its descendants.
    #[inline]
    pub(crate) fn end(self) -> u32 {
        self.at + self.cell().span().max(1)
    }

    /// Returns how many consecutive elements from here on, this one included, are of the same
    /// field, in an object that ends at `end`.
    #[inline]
    pub(crate) fn run(self, end: u32) -> usize {
        let (mut at, mut count) = (self.end(), 1);
        while at < end {
            let cell = self.doc.cell(at);
            if cell.field != self.field() {
                break;
            }
            at += cell.span().max(1);
            count += 1;
        }
        count
    }

    /// Returns the wire name of a child of this value; for a list item, the name
    /// of its element.
    #[must_use]
    pub fn name_of(self, child: Self) -> &'a str {
        child_name(self.doc, self.cell(), child.cell())
    }

    /// Returns the first field with a wire name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.all(name).next()
    }

    /// Iterates over all values of a list field with a wire name.
    pub fn all(self, name: &str) -> impl Iterator<Item = Self> + use<'a> {
        let table = self.object_type().map_or(table::NONE, ObjectType::table);
        let known = table::find_field(table, name, &mut 0).map(|(index, _)| index);
        let unknown = self
            .doc
            .names
            .iter()
            .position(|n| n.as_ref() == name)
            .map(|index| UNKNOWN_FIELD | index as u16);
        self.children().filter(move |child| {
            let field = Some(child.field());
            field == known || field == unknown
        })
    }

    /// Resolves a property path such as
    /// `hardware.device[2000].backing.fileName` or `extraConfig["guestinfo.a"].value`.
    ///
    /// A number in brackets selects the item whose `key` is that number or, in
    /// lists whose items have no key, the item at that zero-based position. A
    /// quoted string selects the item whose `key` is that string.
    #[must_use]
    pub fn path(self, path: &str) -> Option<Self> {
        crate::path::follow(self, path)
    }

    /// Returns the wire text of a string, enum, date, URI, binary value or reference.
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        let this = self.scalar();
        let cell = this.cell();
        match cell.kind {
            Kind::Text => Some(this.doc.text(cell.a, cell.b)),
            Kind::Ref => Some(this.doc.text(cell.a, cell.b >> 16)),
            Kind::LongRef => this
                .doc
                .references
                .get(cell.a as usize)
                .map(|reference| reference.value.as_ref()),
            _ => None,
        }
    }

    /// Returns the value of a byte, short, int or long.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        let cell = self.cell();
        match cell.kind {
            Kind::Int => Some(i64::from(cell.a as i32)),
            Kind::Long => Some(cell.long()),
            _ => None,
        }
    }

    /// Returns the value of a float or double.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        let cell = self.cell();
        match cell.kind {
            Kind::Float => Some(f64::from(f32::from_bits(cell.a))),
            Kind::Double => Some(f64::from_bits(cell.long() as u64)),
            _ => None,
        }
    }

    /// Returns the value of a boolean.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        let cell = self.cell();
        (cell.kind == Kind::Bool).then_some(cell.a != 0)
    }

    /// Returns type name and value of a managed object reference.
    #[must_use]
    pub fn as_reference(self) -> Option<(&'a str, &'a str)> {
        let cell = self.cell();
        match cell.kind {
            Kind::Ref => {
                let ty = table::type_name(cell.b as u16);
                Some((ty, self.doc.text(cell.a, cell.b >> 16)))
            }
            Kind::LongRef => {
                let reference = self.doc.references.get(cell.a as usize)?;
                Some((reference.type_name.as_ref(), reference.value.as_ref()))
            }
            _ => None,
        }
    }

    /// Returns the GUID of the server that a reference names.
    pub(crate) fn server_guid(self) -> Option<&'a str> {
        let cell = self.cell();
        match cell.kind {
            Kind::LongRef => self
                .doc
                .references
                .get(cell.a as usize)?
                .server_guid
                .as_deref(),
            _ => None,
        }
    }

    /// Converts to a typed value, all of which must be complete; see
    /// [`to_lenient`](Self::to_lenient).
    ///
    /// # Errors
    /// [`ConvertError`] when the value is of another type, a required field is
    /// absent, or a number does not parse or fit.
    pub fn to<T: Slot>(self) -> Result<T, ConvertError> {
        let mut loading = Loading::default();
        let mut value = T::default();
        value.load_any(self, &mut loading);
        loading.finish(value)
    }

    /// Converts to a typed value, leaving out incomplete values inside it: list items
    /// and optional fields that lack a required field. No value is invented.
    ///
    /// # Errors
    /// [`ConvertError`] when the value itself, or what it cannot be without, lacks a
    /// required field, or when anything is of another type or does not parse.
    pub fn to_lenient<T: Slot>(self) -> Result<Lenient<T>, ConvertError> {
        let mut loading = Loading::lenient();
        let mut value = T::default();
        value.load_any(self, &mut loading);
        loading.finish_lenient(value)
    }

    /// Creates an error about this value.
    #[cold]
    pub(crate) fn error(self, problem: ConvertProblem) -> ConvertError {
        ConvertError::new(crate::path::path_to(self), problem)
    }

    /// Creates an error: this value is not of the requested type.
    #[cold]
    pub(crate) fn wrong_type(
        self,
        expected: impl Into<std::borrow::Cow<'static, str>>,
    ) -> ConvertError {
        self.error(ConvertProblem::WrongType {
            expected: expected.into(),
            found: self.type_name(),
        })
    }
}

/// Returns the wire name of a child.
pub(crate) fn child_name(doc: &Document, parent: Cell, child: Cell) -> &str {
    if child.field & UNKNOWN_FIELD != 0 {
        return doc.name(child.field & !UNKNOWN_FIELD);
    }
    match parent.kind {
        Kind::Object => {
            let table = ObjectType::unpack(parent.a).table();
            table::field(table, child.field).map_or("", |(_, name)| name)
        }
        Kind::Array => crate::encode::array_item_name(parent),
        _ => "",
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::print::debug(self.doc, self.at, f)
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        crate::compare::same(*self, *other)
    }
}

/// An iterator over the children of a value; see [`Node::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    doc: &'a Arc<Document>,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node {
            doc: self.doc,
            at: self.at,
        };
        self.at += node.cell().span().max(1);
        Some(node)
    }
}
