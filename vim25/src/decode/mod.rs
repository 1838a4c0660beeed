//! Decodes XML into a document: one decoder for every type, driven by the tables.

mod attributes;
pub(crate) mod leaf;
mod scope;
mod typed;

use std::borrow::Cow;
use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::builder::push_reference;
use crate::document::{Cell, Document, Kind, ObjectType, UNKNOWN_FIELD, tag};
use crate::error::{DecodeError, DecodeProblem};
use crate::limits::Limits;
use crate::table::{self, FieldKind, NONE};

use attributes::Attributes;
use leaf::{Leaf, Target};
use scope::Scope;

/// An element with children that is being read.
struct Frame {
    /// Its cell.
    at: u32,
    /// Declared kind and type of the items of a list; otherwise `None`.
    items: Option<(FieldKind, u16)>,
    /// The type whose table lists the fields of an object.
    table: u16,
    /// The index in that table where the next field is expected.
    hint: u16,
}

/// Decodes one message.
pub(crate) struct Decoder<'x> {
    reader: Reader<&'x [u8]>,
    limits: Limits,
    doc: Document,
    frames: Vec<Frame>,
    scope: Scope,
    /// Indices of the names that the schema does not know.
    names: HashMap<Box<str>, u16>,
    /// White space in an element that may still turn out to hold text.
    blank: String,
    /// Recently used type names, which need no search.
    recent: [u16; 64],
}

impl<'x> Decoder<'x> {
    pub(crate) fn new(xml: &'x str, limits: &Limits) -> Result<Self, DecodeError> {
        let most = limits.bytes.min(u32::MAX as usize);
        if xml.len() > most {
            let problem = DecodeProblem::Limit {
                what: "bytes",
                limit: most,
            };
            return Err(DecodeError::new(most as u64, String::new(), problem));
        }
        let xml = xml.strip_prefix('\u{feff}').unwrap_or(xml);
        Ok(Self {
            reader: Reader::from_str(xml),
            limits: Limits {
                unknown_names: limits.unknown_names.min(0x7fff),
                ..*limits
            },
            doc: Document {
                cells: Vec::with_capacity(xml.len() / 34 + 1),
                text: String::with_capacity(xml.len() / 4),
                ..Document::default()
            },
            frames: Vec::new(),
            scope: Scope::default(),
            names: HashMap::new(),
            blank: String::new(),
            recent: [NONE; 64],
        })
    }

    /// Returns the next relevant event, skipping comments and processing instructions.
    #[inline]
    pub(crate) fn event(&mut self) -> Result<Event<'x>, DecodeError> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Comment(_) | Event::PI(_) | Event::Decl(_)) => {}
                Ok(Event::DocType(_)) => return Err(self.error(DecodeProblem::DocumentType)),
                Ok(event) => return Ok(event),
                Err(error) => return Err(self.error(DecodeProblem::Syntax(Box::new(error)))),
            }
        }
    }

    /// Returns the namespace of an element's qualified name, when it is not one of ours.
    pub(crate) fn foreign_namespace(&self, name: &str) -> Option<String> {
        self.scope.foreign(name).map(str::to_owned)
    }

    /// Records the start of an element outside of the document, such as the envelope.
    pub(crate) fn enter(&mut self, start: &BytesStart<'_>) -> Result<(), DecodeError> {
        self.scope.depth += 1;
        self.attributes(start).map(|_| ())
    }

    /// Records the end of such an element.
    pub(crate) fn leave(&mut self) {
        self.scope.leave();
    }

    #[cold]
    pub(crate) fn error(&self, problem: DecodeProblem) -> DecodeError {
        DecodeError::new(self.reader.buffer_position(), self.path(), problem)
    }

    #[cold]
    fn limit(&self, what: &'static str, limit: usize) -> DecodeError {
        self.error(DecodeProblem::Limit { what, limit })
    }

    /// Returns the open elements as a property path.
    #[cold]
    fn path(&self) -> String {
        let mut path = String::new();
        for pair in self.frames.windows(2) {
            let [parent, child] = pair else { continue };
            let name = crate::node::child_name(
                &self.doc,
                self.doc.cell(parent.at),
                self.doc.cell(child.at),
            );
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            if path.len() > 1_024 {
                path.push('…');
                break;
            }
        }
        path
    }

    /// Reads the content of the element whose start was just read, up to and including
    /// its end, as an object of the type. That object is the document's root.
    pub(crate) fn object(mut self, ty: ObjectType) -> Result<(Document, Self), DecodeError> {
        self.open(0, ty, None)?;
        self.run()?;
        let doc = std::mem::take(&mut self.doc);
        Ok((doc, self))
    }

    /// Reads the element with this start as a value with an explicit type.
    pub(crate) fn value(
        mut self,
        start: &BytesStart<'x>,
        declared: (FieldKind, u16),
        empty: bool,
    ) -> Result<(Document, Self), DecodeError> {
        let mut leaf = Leaf::default();
        self.start(start, Some((0, declared)), &mut leaf)?;
        if empty {
            self.end(&mut leaf)?;
        }
        self.continue_with(leaf)?;
        let doc = std::mem::take(&mut self.doc);
        Ok((doc, self))
    }

    /// Creates an object without content.
    pub(crate) fn empty(mut self, ty: ObjectType) -> Result<Document, DecodeError> {
        self.open(0, ty, None)?;
        Ok(self.doc)
    }

    /// Returns the index of a name that the schema does not know, adding it if it is new.
    pub(crate) fn name(&mut self, name: &str) -> Result<u16, DecodeError> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        if self.names.len() >= self.limits.unknown_names {
            return Err(self.limit("unknown_names", self.limits.unknown_names));
        }
        let index = self.names.len() as u16;
        self.doc.names.push(name.into());
        self.names.insert(name.into(), index);
        Ok(index)
    }

    fn run(&mut self) -> Result<(), DecodeError> {
        self.continue_with(Leaf::default())
    }

    /// Reads until the outermost open element ends.
    fn continue_with(&mut self, mut leaf: Leaf<'x>) -> Result<(), DecodeError> {
        while leaf.active || !self.frames.is_empty() {
            // Does not call `event`, which would move every event again.
            match self.reader.read_event() {
                Ok(Event::Start(start)) => self.start(&start, None, &mut leaf)?,
                Ok(Event::Empty(start)) => {
                    self.start(&start, None, &mut leaf)?;
                    self.end(&mut leaf)?;
                }
                Ok(Event::End(_)) => self.end(&mut leaf)?,
                Ok(Event::Text(text)) => self.text(text.xml10_content(), &mut leaf)?,
                Ok(Event::CData(text)) => self.text(text.xml10_content(), &mut leaf)?,
                Ok(Event::GeneralRef(entity)) => {
                    let c = self.entity(&entity)?;
                    let mut buffer = [0; 4];
                    let piece: &str = c.encode_utf8(&mut buffer);
                    if leaf.active && leaf.len() < self.limits.text {
                        leaf.push_str(piece);
                    } else {
                        self.text(Cow::Owned(piece.to_owned()), &mut leaf)?;
                    }
                }
                Ok(Event::Eof) => {
                    return Err(self.error(DecodeProblem::NotSoap("the end of an element")));
                }
                Ok(Event::DocType(_)) => return Err(self.error(DecodeProblem::DocumentType)),
                Ok(Event::Comment(_) | Event::PI(_) | Event::Decl(_)) => {}
                Err(error) => return Err(self.error(DecodeProblem::Syntax(Box::new(error)))),
            }
        }
        Ok(())
    }

    pub(crate) fn entity(&self, entity: &BytesRef<'_>) -> Result<char, DecodeError> {
        let undefined = || self.error(DecodeProblem::Entity(entity.chars().take(32).collect()));
        let c = match &**entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => entity
                .resolve_char_ref()
                .ok()
                .flatten()
                .ok_or_else(undefined)?,
        };
        match crate::encode::forbidden_character(c.encode_utf8(&mut [0; 4])) {
            None => Ok(c),
            Some(_) => Err(undefined()),
        }
    }

    #[inline]
    fn push(&mut self, cell: Cell) -> Result<u32, DecodeError> {
        let at = self.doc.cells.len();
        if at >= self.limits.values {
            return Err(self.limit("values", self.limits.values));
        }
        self.doc.cells.push(cell);
        Ok(at as u32)
    }

    /// Opens an object.
    fn open(
        &mut self,
        field: u16,
        ty: ObjectType,
        items: Option<(FieldKind, u16)>,
    ) -> Result<(), DecodeError> {
        let (kind, tag, a) = match items {
            None => (Kind::Object, tag::UNTYPED, ty.pack()),
            Some((kind, id)) => (Kind::Array, kind as u8, u32::from(id)),
        };
        let at = self.push(Cell {
            field,
            kind,
            tag,
            a,
            b: 1,
        })?;
        self.blank.clear();
        self.frames.push(Frame {
            at,
            items,
            table: ty.table(),
            hint: 0,
        });
        Ok(())
    }

    /// Returns which field an element is, and what the schema declares there.
    #[inline]
    fn place(&mut self, name: &str) -> Result<(u16, (FieldKind, u16)), DecodeError> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok((0, (FieldKind::Any, NONE)));
        };
        if let Some(items) = frame.items {
            return Ok((0, items));
        }
        if let Some((index, row)) = table::find_field(frame.table, name, &mut frame.hint) {
            return Ok((index, (row.kind, row.ty)));
        }
        // Prefixes are rare, so they are looked for only now.
        match name.rsplit_once(':') {
            Some((_, local)) => self.place(local),
            None if crate::encode::is_element_name(name) => {
                Ok((UNKNOWN_FIELD | self.name(name)?, (FieldKind::Any, NONE)))
            }
            None => Err(self.error(DecodeProblem::NotAName(name.chars().take(64).collect()))),
        }
    }

    fn start(
        &mut self,
        start: &BytesStart<'x>,
        place: Option<(u16, (FieldKind, u16))>,
        leaf: &mut Leaf<'x>,
    ) -> Result<(), DecodeError> {
        if leaf.active {
            self.element_in_leaf(leaf)?;
        }
        self.scope.depth += 1;
        if self.scope.depth > self.limits.depth {
            return Err(self.limit("depth", self.limits.depth));
        }
        let attributes = if start.attributes_raw().is_empty() {
            Attributes::default()
        } else {
            self.attributes(start)?
        };
        let (field, declared) = match place {
            Some(place) => place,
            None => self.place(start.name().into_inner())?,
        };
        if attributes.nil {
            leaf.begin(field, FieldKind::Any, tag::UNTYPED);
            leaf.nil = true;
            return Ok(());
        }
        match &attributes.xsi_type {
            None => self.start_declared(field, declared, &attributes, leaf),
            Some(name) => self.start_typed(field, declared, name, &attributes, leaf),
        }
    }

    /// Starts an element of the type that the schema declares for it.
    #[inline]
    fn start_declared(
        &mut self,
        field: u16,
        (kind, ty): (FieldKind, u16),
        attributes: &Attributes<'_>,
        leaf: &mut Leaf<'x>,
    ) -> Result<(), DecodeError> {
        match kind {
            FieldKind::Object => self.open(field, ObjectType::Known(ty), None),
            // Declared in a namespace that may not be compiled in.
            FieldKind::Any if table::type_row(ty).is_some() => {
                self.open(field, ObjectType::Known(ty), None)
            }
            FieldKind::Any if attributes.reference_type.is_some() => {
                leaf.begin(field, FieldKind::Ref, tag::UNTYPED);
                leaf.refer(attributes);
                Ok(())
            }
            FieldKind::Any => self.open(field, ObjectType::Untyped, None),
            kind => {
                leaf.begin(field, kind, leaf::tag_of(kind));
                if kind == FieldKind::Ref {
                    leaf.refer(attributes);
                }
                Ok(())
            }
        }
    }

    /// Handles an element inside a scalar: the scalar is kept as an untyped object.
    #[cold]
    fn element_in_leaf(&mut self, leaf: &mut Leaf<'x>) -> Result<(), DecodeError> {
        if leaf.nil || leaf.typed.is_some() || !leaf.is_blank() {
            return Err(self.error(DecodeProblem::MixedContent));
        }
        let field = leaf.field;
        leaf.finish();
        self.open(field, ObjectType::Untyped, None)
    }

    #[inline]
    fn text(&mut self, piece: Cow<'x, str>, leaf: &mut Leaf<'x>) -> Result<(), DecodeError> {
        if leaf.active {
            leaf.push(piece);
            if leaf.len() > self.limits.text {
                return Err(self.limit("text", self.limits.text));
            }
            return Ok(());
        }
        let childless = self
            .frames
            .last()
            .is_some_and(|frame| frame.at as usize + 1 == self.doc.cells.len());
        if piece.bytes().all(|b| b.is_ascii_whitespace()) {
            if childless && self.blank.len() + piece.len() <= self.limits.text {
                self.blank.push_str(&piece);
            }
            return Ok(());
        }
        if !childless || self.frames.len() == 1 {
            return Err(self.error(DecodeProblem::MixedContent));
        }
        self.text_in_object(piece, leaf);
        Ok(())
    }

    /// Handles text inside an object: the object becomes a scalar of the same type name.
    #[cold]
    fn text_in_object(&mut self, piece: Cow<'x, str>, leaf: &mut Leaf<'x>) {
        let Some(cell) = self.frames.pop().and_then(|_| self.doc.cells.pop()) else {
            return;
        };
        leaf.begin(cell.field, FieldKind::Any, tag::UNTYPED);
        let ty = ObjectType::unpack(cell.a);
        leaf.typed = (cell.kind == Kind::Object && ty != ObjectType::Untyped).then_some(ty);
        let blank = std::mem::take(&mut self.blank);
        if !blank.is_empty() {
            leaf.push(Cow::Owned(blank));
        }
        leaf.push(piece);
    }

    fn end(&mut self, leaf: &mut Leaf<'x>) -> Result<(), DecodeError> {
        self.scope.leave();
        if leaf.active {
            return self.finish_leaf(leaf);
        }
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let span = self.doc.cells.len() as u32 - frame.at;
        let untyped_text = span == 1
            && frame.items.is_none()
            && !self.frames.is_empty()
            && self.doc.cell(frame.at).a == ObjectType::Untyped.pack();
        if untyped_text {
            // An unknown element without children: its text is empty or blank.
            let blank = std::mem::take(&mut self.blank);
            let a = self.doc.text.len() as u32;
            self.doc.text.push_str(&blank);
            if let Some(cell) = self.doc.cells.get_mut(frame.at as usize) {
                let (kind, b) = (Kind::Text, blank.len() as u32);
                *cell = Cell {
                    kind,
                    tag: tag::UNTYPED,
                    a,
                    b,
                    ..*cell
                };
            }
        } else if let Some(cell) = self.doc.cells.get_mut(frame.at as usize) {
            cell.b = span;
        }
        Ok(())
    }

    /// Converts the text of a scalar into a cell.
    #[inline]
    fn finish_leaf(&mut self, leaf: &mut Leaf<'x>) -> Result<(), DecodeError> {
        if self.doc.cells.len() + 1 >= self.limits.values {
            return Err(self.limit("values", self.limits.values));
        }
        let field = if let Some(ty) = leaf.typed {
            let cell = Cell {
                field: leaf.field,
                kind: Kind::Typed,
                tag: tag::UNTYPED,
                a: ty.pack(),
                b: 2,
            };
            self.doc.cells.push(cell);
            0
        } else {
            leaf.field
        };
        if leaf.nil {
            self.doc.cells.push(Cell {
                field,
                kind: Kind::Nil,
                tag: tag::UNTYPED,
                a: 0,
                b: 0,
            });
        } else if leaf.kind == FieldKind::Ref {
            self.reference(field, leaf);
        } else {
            let cell = match leaf.number() {
                Some(cell) => cell,
                None => {
                    let a = self.doc.text.len() as u32;
                    self.doc.text.push_str(leaf.as_str());
                    let b = self.doc.text.len() as u32 - a;
                    Cell {
                        field,
                        kind: Kind::Text,
                        tag: leaf.tag,
                        a,
                        b,
                    }
                }
            };
            self.doc.cells.push(Cell { field, ..cell });
        }
        leaf.finish();
        Ok(())
    }
}

impl Decoder<'_> {
    /// Writes the cell of a reference.
    fn reference(&mut self, field: u16, leaf: &Leaf<'_>) {
        let value = leaf.as_str().trim_ascii();
        match (&leaf.target, u16::try_from(value.len())) {
            (Target::Known(id), Ok(len)) if *id != NONE => {
                let a = self.doc.text.len() as u32;
                self.doc.text.push_str(value);
                let b = u32::from(len) << 16 | u32::from(*id);
                self.doc.cells.push(Cell {
                    field,
                    kind: Kind::Ref,
                    tag: leaf.tag,
                    a,
                    b,
                });
            }
            (target, _) => {
                let (ty, guid) = match target {
                    Target::Known(id) => (table::type_name(*id), None),
                    Target::Named(named) => (named.0.as_str(), named.1.as_deref()),
                };
                push_reference(&mut self.doc, field, ty, value, guid);
                if let Some(cell) = self.doc.cells.last_mut() {
                    cell.tag = leaf.tag;
                }
            }
        }
    }
}

/// Decodes an element written by [`crate::encode::element`]: a data object of an unknown type,
/// where the schema declares `declared`.
pub(crate) fn element(xml: &str, declared: u16) -> Result<Document, DecodeError> {
    let mut decoder = Decoder::new(xml, &Limits::default())?;
    loop {
        match decoder.event()? {
            Event::Start(start) => {
                let (doc, _) = decoder.value(&start, (FieldKind::Object, declared), false)?;
                return Ok(doc);
            }
            Event::Text(_) => {}
            _ => return Err(decoder.error(DecodeProblem::NotSoap("an element"))),
        }
    }
}
