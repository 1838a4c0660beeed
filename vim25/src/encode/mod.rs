//! Encodes a document as XML.

mod array;
mod text;

use std::sync::Arc;

use crate::document::{Cell, Document, Kind, ObjectType, tag};
use crate::error::{EncodeError, EncodeProblem};
use crate::node::{Node, child_name};
use crate::table::{self, FieldKind};

pub(crate) use self::array::{array_item_name, array_items, array_type_suffix, item_kind};
pub(crate) use self::text::{escape, escape_attribute, forbidden_character, is_element_name};
use self::text::{float, integer, is_special};

/// Appends the text of a cell, or fails if XML cannot carry it: decoded text may
/// contain raw control characters.
fn text_of(doc: &Arc<Document>, at: u32, out: &mut String) -> Result<(), EncodeError> {
    let cell = doc.cell(at);
    let text = doc.text(cell.a, cell.b);
    if text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
    {
        if let Some(c) = forbidden_character(text) {
            let path = crate::path::path_to(Node::new(doc, at));
            return Err(EncodeError::new(path, EncodeProblem::ForbiddenCharacter(c)));
        }
        escape(out, text);
    } else {
        out.push_str(text);
    }
    Ok(())
}

/// Returns the type that a scalar cell must state, if it differs from `kind`.
fn scalar_type(cell: Cell, kind: FieldKind) -> Option<&'static str> {
    (kind == FieldKind::Any && cell.tag != tag::UNTYPED)
        .then(|| tag::NAMES.get(usize::from(cell.tag)).copied())
        .flatten()
}

/// Writes `<name`, and the namespace where it changes. Writes nothing
/// without a name: the scalar inside a wrapper has none.
fn open_tag(out: &mut String, name: &str, place: Place) {
    if name.is_empty() {
        return;
    }
    out.push('<');
    out.push_str(name);
    if table::MANY && place.namespace != place.around {
        out.push_str(" xmlns=\"");
        out.push_str(place.namespace);
        out.push('"');
    }
}

/// Writes ` xsi:type="…"` for an object's type, qualified where it is not in the
/// namespace of its element.
fn type_attribute(out: &mut String, name: &str, ty: ObjectType, place: Place) {
    let (uri, local) = match ty {
        ObjectType::Known(id) if table::MANY => (table::namespace_uri(id), name),
        ObjectType::Known(_) => (place.namespace, name),
        // The name of a foreign type contains its namespace.
        _ => match name.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((uri, local)) => (uri, local),
            None => (place.namespace, name),
        },
    };
    if uri == place.namespace {
        out.push_str(" xsi:type=\"");
    } else {
        out.push_str(" xmlns:t=\"");
        escape_attribute(out, uri);
        out.push_str("\" xsi:type=\"t:");
    }
    escape_attribute(out, local);
    out.push('"');
}

fn close_tag(out: &mut String, name: &str) {
    if name.is_empty() {
        return;
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// An element that is open on the output.
struct Open<'d> {
    end: u32,
    name: &'d str,
    /// The name of the elements in a list that the schema does not know, which is
    /// its own.
    items: Option<&'d str>,
    cell: Cell,
    /// The namespace of the element and of unqualified names in it.
    namespace: &'static str,
}

/// The element in which a value is written: its declared type and its namespaces.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The kind that the schema declares there.
    pub(crate) kind: FieldKind,
    pub(crate) ty: u16,
    /// The namespace of the element, and the one of the element around it.
    pub(crate) namespace: &'static str,
    pub(crate) around: &'static str,
}

impl Place {
    /// Creates a place in the same namespace as the element around it.
    pub(crate) const fn new(kind: FieldKind, ty: u16, namespace: &'static str) -> Self {
        Self {
            kind,
            ty,
            namespace,
            around: namespace,
        }
    }

    /// A place for any value in the main namespace.
    pub(crate) const ANY: Self = Self::new(FieldKind::Any, table::NONE, table::VIM25);
}

/// Writes the children of an object or list, in document order, into an element
/// of the given namespace.
///
/// # Errors
/// The recorded reason why the value in the document cannot be sent.
pub(crate) fn children(
    node: Node<'_>,
    namespace: &'static str,
    out: &mut String,
) -> Result<(), EncodeError> {
    let doc = node.document();
    if let Some(problem) = &doc.problem {
        return Err((**problem).clone());
    }
    let root = node.cell();
    let last = node.index() + root.span();
    let mut open = vec![Open {
        end: last,
        name: "",
        items: None,
        cell: root,
        namespace,
    }];
    let mut at = node.index() + 1;
    loop {
        while let Some(top) = open.last() {
            if at < top.end {
                break;
            }
            if open.len() == 1 {
                return Ok(());
            }
            close_tag(out, top.name);
            open.pop();
        }
        let Some(parent) = open.last() else {
            return Ok(());
        };
        let cell = doc.cell(at);
        let name = match parent.items {
            Some(name) => name,
            None => child_name(doc, parent.cell, cell),
        };
        if cell.field & crate::document::UNKNOWN_FIELD != 0 && !is_element_name(name) {
            let path = crate::path::path_to(Node::new(doc, at));
            let name = name.chars().take(64).collect();
            return Err(EncodeError::new(path, EncodeProblem::NotAName(name)));
        }
        let place = place(parent, cell);
        if let Some(opened) = element_at(doc, at, name, place, out)? {
            open.push(opened);
        }
        at += 1;
    }
}

/// Returns the place of a child.
fn place(parent: &Open<'_>, child: Cell) -> Place {
    let around = parent.namespace;
    let mut place = Place::new(FieldKind::Any, table::NONE, around);
    match parent.cell.kind {
        Kind::Array => {
            place.kind = item_kind(parent.cell);
            place.ty = parent.cell.a as u16;
            if table::MANY && matches!(place.kind, FieldKind::Object | FieldKind::Enum) {
                place.namespace = table::namespace_uri(place.ty);
            }
        }
        Kind::Object if child.field & crate::document::UNKNOWN_FIELD == 0 => {
            let table = ObjectType::unpack(parent.cell.a).table();
            if let Some((row, _)) = table::field(table, child.field) {
                (place.kind, place.ty) = (row.kind, row.ty);
            }
            if table::MANY {
                let own = table::field_namespace(table, child.field);
                place.namespace = own.unwrap_or(around);
            }
        }
        _ => {}
    }
    place
}

/// Writes one element, or the start of one that has children.
fn element_at<'d>(
    doc: &'d Arc<Document>,
    at: u32,
    name: &'d str,
    place: Place,
    out: &mut String,
) -> Result<Option<Open<'d>>, EncodeError> {
    let cell = doc.cell(at);
    let (kind, ty) = (place.kind, place.ty);
    let open = || Open {
        end: at + cell.b,
        name,
        items: None,
        cell,
        namespace: place.namespace,
    };
    match cell.kind {
        Kind::Object | Kind::Typed => {
            let of = if cell.kind == Kind::Object {
                FieldKind::Object
            } else {
                FieldKind::Enum
            };
            let actual = ObjectType::unpack(cell.a);
            open_tag(out, name, place);
            match actual {
                ObjectType::Known(id) if id == ty && kind == of => {}
                ObjectType::Untyped => {}
                other => type_attribute(out, doc.object_type_name(other), other, place),
            }
            out.push('>');
            return Ok(Some(open()));
        }
        Kind::Array if cell.tag == tag::UNTYPED_LIST => {
            return Ok(Some(Open {
                name: "",
                items: Some(name),
                ..open()
            }));
        }
        Kind::Array => {
            open_tag(out, name, place);
            let mut namespace = place.namespace;
            if table::MANY && matches!(item_kind(cell), FieldKind::Object | FieldKind::Enum) {
                namespace = table::namespace_uri(cell.a as u16);
            }
            if namespace == place.namespace {
                out.push_str(" xsi:type=\"ArrayOf");
            } else {
                out.push_str(" xmlns:t=\"");
                out.push_str(namespace);
                out.push_str("\" xsi:type=\"t:ArrayOf");
            }
            out.push_str(array_type_suffix(cell));
            out.push_str("\">");
            return Ok(Some(open()));
        }
        Kind::Text => {
            open_scalar(out, name, cell, place);
            text_of(doc, at, out)?;
        }
        Kind::Bool => {
            open_scalar(out, name, cell, place);
            out.push_str(if cell.a != 0 { "true" } else { "false" });
        }
        Kind::Int => {
            open_scalar(out, name, cell, place);
            integer(out, i64::from(cell.a as i32));
        }
        Kind::Long => {
            open_scalar(out, name, cell, place);
            integer(out, cell.long());
        }
        Kind::Float => {
            open_scalar(out, name, cell, place);
            let value = f32::from_bits(cell.a);
            float(out, f64::from(value), format_args!("{value:?}"));
        }
        Kind::Double => {
            open_scalar(out, name, cell, place);
            let value = f64::from_bits(cell.long() as u64);
            float(out, value, format_args!("{value:?}"));
        }
        Kind::Ref => {
            let value = doc.text(cell.a, cell.b >> 16);
            let ty = table::type_name(cell.b as u16);
            reference(out, (ty, value, None), cell, place, name);
        }
        Kind::LongRef => {
            let Some(r) = doc.references.get(cell.a as usize) else {
                return Err(EncodeError::new(
                    name.to_owned(),
                    EncodeProblem::EmptyReference,
                ));
            };
            let guid = r.server_guid.as_deref();
            reference(out, (&r.type_name, &r.value, guid), cell, place, name);
        }
        Kind::Nil => {
            open_tag(out, name, place);
            out.push_str(" xsi:nil=\"true\">");
        }
    }
    close_tag(out, name);
    Ok(None)
}

/// Opens a scalar element, with its type name if the schema accepts any type.
fn open_scalar(out: &mut String, name: &str, cell: Cell, place: Place) {
    if name.is_empty() {
        return;
    }
    open_tag(out, name, place);
    if let Some(ty) = scalar_type(cell, place.kind) {
        out.push_str(" xsi:type=\"xsd:");
        out.push_str(ty);
        out.push('"');
    }
    out.push('>');
}

fn reference(
    out: &mut String,
    (ty, value, server_guid): (&str, &str, Option<&str>),
    cell: Cell,
    place: Place,
    name: &str,
) {
    open_tag(out, name, place);
    out.push_str(" type=\"");
    escape_attribute(out, ty);
    out.push('"');
    if let Some(guid) = server_guid {
        out.push_str(" serverGuid=\"");
        escape_attribute(out, guid);
        out.push('"');
    }
    if scalar_type(cell, place.kind).is_some() {
        out.push_str(if place.namespace == Place::ANY.namespace {
            " xsi:type=\"ManagedObjectReference\""
        } else {
            " xmlns:t=\"urn:vim25\" xsi:type=\"t:ManagedObjectReference\""
        });
    }
    out.push('>');
    escape(out, value);
}

/// Encodes one value as an element `<value>` that declares its type and its prefixes.
///
/// # Errors
/// [`EncodeError`] when the value cannot be sent.
pub(crate) fn element(node: Node<'_>) -> Result<String, EncodeError> {
    let mut out = String::new();
    let doc = node.document();
    if let Some(problem) = &doc.problem {
        return Err((**problem).clone());
    }
    named(node, "value", Place::ANY, &mut out)?;
    // The namespaces are declared on the element that was written.
    let declarations = format!(
        " xmlns:xsd=\"{}\" xmlns:xsi=\"{}\"",
        crate::soap::XSD_NAMESPACE,
        crate::soap::XSI_NAMESPACE
    );
    out.insert_str("<value".len(), &declarations);
    Ok(out)
}

/// Encodes one value under a name.
pub(crate) fn named(
    node: Node<'_>,
    name: &str,
    place: Place,
    out: &mut String,
) -> Result<(), EncodeError> {
    let doc = node.document();
    if let Some(opened) = element_at(doc, node.index(), name, place, out)? {
        if node.kind() == Kind::Typed {
            element_at(doc, node.index() + 1, "", place, out)?;
        } else {
            children(node, place.namespace, out)?;
        }
        close_tag(out, opened.name);
    }
    Ok(())
}
