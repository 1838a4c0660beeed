//! Writes values into a document.

use std::collections::HashMap;

use crate::document::{Cell, Document, Kind, LongRef, ObjectType, UNKNOWN_FIELD, tag};
use crate::error::{EncodeError, EncodeProblem};
use crate::node::{Node, child_name};
use crate::slot::Slot;
use crate::table::{self, FieldKind};

/// Builds a [`Document`] from typed values, subtree by subtree.
///
/// Used through [`Slot`]. A value that cannot be sent is recorded with its path and
/// makes encoding of the document fail.
#[derive(Debug, Default)]
pub struct Builder {
    doc: Document,
    open: Vec<u32>,
    /// Maps the unknown names of other documents to those of this one.
    names: HashMap<Box<str>, u16>,
}

impl Builder {
    pub(crate) fn with_capacity(cells: usize, text: usize) -> Self {
        let doc = Document {
            cells: Vec::with_capacity(cells),
            text: String::with_capacity(text),
            ..Document::default()
        };
        Self {
            doc,
            ..Self::default()
        }
    }

    pub(crate) fn finish(mut self) -> Document {
        while !self.open.is_empty() {
            self.close();
        }
        if self.doc.cells.is_empty() {
            self.push(0, Kind::Nil, tag::UNTYPED, 0, 0);
        }
        self.doc
    }

    #[inline]
    fn push(&mut self, field: u16, kind: Kind, tag: u8, a: u32, b: u32) {
        self.doc.cells.push(Cell {
            field,
            kind,
            tag,
            a,
            b,
        });
    }

    pub(crate) fn open_object(&mut self, field: u16, ty: ObjectType) {
        self.open.push(self.doc.cells.len() as u32);
        self.push(field, Kind::Object, tag::UNTYPED, ty.pack(), 1);
    }

    pub(crate) fn open_array(&mut self, field: u16, kind: FieldKind, item_type: u16) {
        self.open.push(self.doc.cells.len() as u32);
        self.push(field, Kind::Array, kind as u8, u32::from(item_type), 1);
    }

    pub(crate) fn open_typed(&mut self, field: u16, ty: ObjectType) {
        self.open.push(self.doc.cells.len() as u32);
        self.push(field, Kind::Typed, tag::UNTYPED, ty.pack(), 1);
    }

    pub(crate) fn close(&mut self) {
        if let Some(at) = self.open.pop() {
            let span = self.doc.cells.len() as u32 - at;
            if let Some(cell) = self.doc.cells.get_mut(at as usize) {
                cell.b = span;
            }
        }
    }

    /// Writes a field of the object that is open.
    #[inline]
    pub fn slot<T: Slot>(&mut self, field: u16, value: &T) {
        value.store(field, self);
    }

    pub(crate) fn text(&mut self, field: u16, tag: u8, value: &str) {
        let offset = self.doc.text.len();
        if u32::try_from(offset + value.len()).is_err() {
            self.fail(field, EncodeProblem::TooLarge);
            return;
        }
        if let Some(c) = crate::encode::forbidden_character(value) {
            self.fail(field, EncodeProblem::ForbiddenCharacter(c));
            return;
        }
        self.doc.text.push_str(value);
        self.push(field, Kind::Text, tag, offset as u32, value.len() as u32);
    }

    pub(crate) fn bool(&mut self, field: u16, value: bool) {
        self.push(field, Kind::Bool, tag::BOOL, u32::from(value), 0);
    }

    pub(crate) fn int(&mut self, field: u16, tag: u8, value: i32) {
        self.push(field, Kind::Int, tag, value as u32, 0);
    }

    pub(crate) fn long(&mut self, field: u16, value: i64) {
        let (a, b) = Cell::split(value as u64);
        self.push(field, Kind::Long, tag::LONG, a, b);
    }

    pub(crate) fn float(&mut self, field: u16, value: f32) {
        self.push(field, Kind::Float, tag::FLOAT, value.to_bits(), 0);
    }

    pub(crate) fn double(&mut self, field: u16, value: f64) {
        let (a, b) = Cell::split(value.to_bits());
        self.push(field, Kind::Double, tag::DOUBLE, a, b);
    }

    /// Opens a list that the schema does not know.
    #[cfg(feature = "json")]
    pub(crate) fn open_untyped_list(&mut self, field: u16) {
        self.open.push(self.doc.cells.len() as u32);
        let none = u32::from(table::NONE);
        self.push(field, Kind::Array, tag::UNTYPED_LIST, none, 1);
    }

    /// Writes a boolean whose type nothing names.
    #[cfg(feature = "json")]
    pub(crate) fn untyped_bool(&mut self, field: u16, value: bool) {
        self.push(field, Kind::Bool, tag::UNTYPED, u32::from(value), 0);
    }

    /// Writes a whole number whose type nothing names.
    #[cfg(feature = "json")]
    pub(crate) fn untyped_long(&mut self, field: u16, value: i64) {
        let (a, b) = Cell::split(value as u64);
        self.push(field, Kind::Long, tag::UNTYPED, a, b);
    }

    /// Writes a real number whose type nothing names.
    #[cfg(feature = "json")]
    pub(crate) fn untyped_double(&mut self, field: u16, value: f64) {
        let (a, b) = Cell::split(value.to_bits());
        self.push(field, Kind::Double, tag::UNTYPED, a, b);
    }

    #[cfg(feature = "json")]
    pub(crate) fn nil(&mut self, field: u16) {
        self.push(field, Kind::Nil, tag::UNTYPED, 0, 0);
    }

    pub(crate) fn reference(
        &mut self,
        field: u16,
        type_name: &str,
        value: &str,
        server_guid: Option<&str>,
    ) {
        if value.is_empty() || type_name.is_empty() {
            self.fail(field, EncodeProblem::EmptyReference);
            return;
        }
        if let Some(c) = crate::encode::forbidden_character(value) {
            self.fail(field, EncodeProblem::ForbiddenCharacter(c));
            return;
        }
        push_reference(&mut self.doc, field, type_name, value, server_guid);
    }

    /// Copies a value, with everything below it, as field `field` of the open object.
    pub(crate) fn copy(&mut self, field: u16, node: Node<'_>) {
        let source = node.document();
        if let Some(problem) = &source.problem {
            let place = self.place(field);
            self.doc
                .problem
                .get_or_insert_with(|| Box::new(problem.prefix(&place)));
            return;
        }
        if node.is_nil() {
            self.fail(field, EncodeProblem::Unset);
            return;
        }
        let first = self.doc.cells.len();
        for at in node.index()..node.index() + node.cell().span() {
            let cell = source.cell(at);
            self.copy_cell(source, cell);
        }
        if let Some(cell) = self.doc.cells.get_mut(first) {
            cell.field = field;
        }
    }

    /// Copies a child that the schema does not know, keeping its name.
    pub(crate) fn copy_unknown(&mut self, parent: Node<'_>, child: Node<'_>) {
        let name = child_name(child.document(), parent.cell(), child.cell()).to_owned();
        let field = UNKNOWN_FIELD | self.name(&name);
        self.copy(field, child);
    }

    fn copy_cell(&mut self, source: &Document, mut cell: Cell) {
        match cell.kind {
            Kind::Text => {
                let text = source.text(cell.a, cell.b);
                cell.a = self.doc.text.len() as u32;
                self.doc.text.push_str(text);
            }
            Kind::Ref => {
                let text = source.text(cell.a, cell.b >> 16);
                cell.a = self.doc.text.len() as u32;
                self.doc.text.push_str(text);
            }
            Kind::LongRef => {
                if let Some(reference) = source.references.get(cell.a as usize) {
                    cell.a = self.doc.references.len() as u32;
                    self.doc.references.push(reference.clone());
                }
            }
            Kind::Object | Kind::Typed => {
                if let ObjectType::Unknown { name, declared } = ObjectType::unpack(cell.a) {
                    let name = self.name(source.name(name));
                    cell.a = ObjectType::Unknown { name, declared }.pack();
                }
            }
            Kind::Bool
            | Kind::Int
            | Kind::Long
            | Kind::Float
            | Kind::Double
            | Kind::Array
            | Kind::Nil => {}
        }
        if cell.field & UNKNOWN_FIELD != 0 {
            cell.field = UNKNOWN_FIELD | self.name(source.name(cell.field & !UNKNOWN_FIELD));
        }
        self.doc.cells.push(cell);
    }

    /// Returns the index of an unknown name in this document, adding it if it is new.
    pub(crate) fn name(&mut self, name: &str) -> u16 {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.doc.names.len() as u16 & !UNKNOWN_FIELD;
        self.doc.names.push(name.into());
        self.names.insert(name.into(), index);
        index
    }

    /// Records why the value cannot be sent. The first reason is kept.
    #[cold]
    pub(crate) fn fail(&mut self, field: u16, problem: EncodeProblem) {
        let place = self.place(field);
        self.doc
            .problem
            .get_or_insert_with(|| Box::new(EncodeError::new(place, problem)));
        self.push(field, Kind::Nil, tag::UNTYPED, 0, 0);
    }

    /// Returns the path of a field of the open object.
    #[cold]
    fn place(&self, field: u16) -> String {
        let mut path = String::new();
        let opened = self.open.iter().skip(1).map(|at| self.doc.cell(*at).field);
        let fields = opened.chain(std::iter::once(field));
        for (parent, field) in self.open.iter().zip(fields) {
            let parent_cell = self.doc.cell(*parent);
            let position = self.position(*parent, field);
            if parent_cell.kind == Kind::Array {
                path.push_str(&format!("[{position}]"));
                continue;
            }
            let probe = Cell {
                field,
                kind: Kind::Nil,
                tag: 0,
                a: 0,
                b: 0,
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(child_name(&self.doc, parent_cell, probe));
            let table = ObjectType::unpack(parent_cell.a).table();
            if table::field(table, field).is_some_and(|(row, _)| row.is_array()) {
                path.push_str(&format!("[{position}]"));
            }
        }
        path
    }

    /// Returns how many finished children of `parent` have this field, not counting the open one.
    fn position(&self, parent: u32, field: u16) -> usize {
        let open_child = self.open.iter().find(|at| **at > parent).copied();
        let end = open_child.unwrap_or(self.doc.cells.len() as u32);
        let mut at = parent + 1;
        let mut count = 0;
        while at < end {
            let cell = self.doc.cell(at);
            count += usize::from(cell.field == field);
            at += cell.span().max(1);
        }
        count
    }
}

/// Appends a reference cell to a document.
pub(crate) fn push_reference(
    doc: &mut Document,
    field: u16,
    type_name: &str,
    value: &str,
    server_guid: Option<&str>,
) {
    let offset = doc.text.len();
    let cell = match (
        table::managed_type(type_name),
        u16::try_from(value.len()),
        server_guid,
    ) {
        (Some(id), Ok(len), None) if u32::try_from(offset).is_ok() => {
            doc.text.push_str(value);
            let b = u32::from(len) << 16 | u32::from(id);
            Cell {
                field,
                kind: Kind::Ref,
                tag: tag::REF,
                a: offset as u32,
                b,
            }
        }
        _ => {
            let a = doc.references.len() as u32;
            doc.references.push(LongRef {
                type_name: type_name.into(),
                value: value.into(),
                server_guid: server_guid.map(Into::into),
            });
            Cell {
                field,
                kind: Kind::LongRef,
                tag: tag::REF,
                a,
                b: 0,
            }
        }
    };
    doc.cells.push(cell);
}
