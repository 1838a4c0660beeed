//! Compact storage of many similar values.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::any::Any;
use crate::document::{Cell, Document, Kind, ObjectType, UNKNOWN_FIELD};

/// The number of strings and of shapes that a packer remembers.
const MAX_STRINGS: usize = 1 << 14;
const MAX_SHAPES: usize = 1 << 16;

/// The lengths of strings that are worth remembering.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=128;

/// The number of recent strings that are recognized when they occur again.
const RECENT: usize = 1 << 13;

/// Stores values in a fraction of their usual memory, for programs that keep many similar ones,
/// such as the properties of all virtual machines. Packed values cannot be read; they have to be
/// unpacked first.
///
/// A packer remembers the structure of values, and strings that occur repeatedly: keys of
/// `extraConfig`, labels of devices, names of enum values. Its own memory is bounded by about
/// 4 MiB. Values with fields or types that the schema does not know are kept as they are.
///
/// ```
/// use vim25::{Any, Packer, types::OptionValue};
///
/// let value = |n: u32| Any::new(&vec![OptionValue::new("guestinfo.id", &*n.to_string())]);
/// let mut packer = Packer::default();
/// let packed: Vec<_> = (0..100).map(|n| packer.pack(&[value(n)])).collect();
/// assert_eq!(packer.unpack(&packed[7]), [value(7)]);
/// assert!(packed[7].size() < 16);
/// ```
#[derive(Default)]
pub struct Packer {
    shapes: HashMap<(u16, u8, u8, u32), u32>,
    /// The cells of the shapes, without their contents.
    cells: Vec<Cell>,
    strings: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// Hashes of recent strings, each at the place that the hash determines.
    recent: Vec<u32>,
    hasher: RandomState,
}

/// Values that were packed by a [`Packer`].
pub struct Packed(Form);

enum Form {
    Bytes(Box<[u8]>),
    Whole(Box<[Any]>),
}

impl Packed {
    /// Returns the memory that the values occupy, in bytes, for accounting.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0 {
            Form::Bytes(bytes) => bytes.len(),
            Form::Whole(values) => values.iter().map(|value| value.size()).sum(),
        }
    }
}

impl Packer {
    /// Packs values, which must be unpacked by the same packer.
    pub fn pack(&mut self, values: &[Any]) -> Packed {
        let mut out = Vec::with_capacity(256);
        if values
            .iter()
            .all(|value| self.write(&mut out, value).is_some())
        {
            Packed(Form::Bytes(out.into()))
        } else {
            Packed(Form::Whole(values.iter().map(Any::detach).collect()))
        }
    }

    /// Returns the values that were packed. The result for values of another packer is
    /// unspecified.
    #[must_use]
    pub fn unpack(&self, packed: &Packed) -> Vec<Any> {
        let bytes = match &packed.0 {
            Form::Bytes(bytes) => bytes,
            Form::Whole(values) => return values.to_vec(),
        };
        let mut doc = Document::default();
        let mut input = Input(bytes);
        while !input.0.is_empty() && self.read(&mut input, &mut doc).is_some() {}
        doc.cells.shrink_to_fit();
        doc.text.shrink_to_fit();
        let doc = Arc::new(doc);
        let mut values = Vec::new();
        let mut at = 0;
        while (at as usize) < doc.cells.len() {
            let node = crate::node::Node::new(&doc, at);
            values.push(Any::of(node));
            at = node.end();
        }
        values
    }

    /// Writes a value; `None` if it cannot be packed.
    fn write(&mut self, out: &mut Vec<u8>, value: &Any) -> Option<()> {
        let node = value.node();
        let doc = node.document();
        if doc.problem.is_some() {
            return None;
        }
        for at in node.index()..node.end() {
            let mut cell = doc.cell(at);
            if at == node.index() {
                // The field of the value in the message that it came from.
                cell.field = 0;
            }
            let shape = self.shape(cell)?;
            write_varint(out, u64::from(shape));
            match cell.kind {
                Kind::Text => self.write_text(out, doc.text(cell.a, cell.b)),
                Kind::Ref => {
                    write_varint(out, u64::from(cell.b & 0xffff));
                    self.write_text(out, doc.text(cell.a, cell.b >> 16));
                }
                Kind::Int => write_signed(out, i64::from(cell.a as i32)),
                Kind::Long => write_signed(out, cell.long()),
                Kind::Float => out.extend(cell.a.to_le_bytes()),
                Kind::Double => out.extend(cell.long().to_le_bytes()),
                Kind::Object | Kind::Array | Kind::Typed => write_varint(out, u64::from(cell.b)),
                Kind::Bool | Kind::Nil => {}
                Kind::LongRef => return None,
            }
        }
        Some(())
    }

    /// Returns the number of a cell's shape: all of it but its content.
    fn shape(&mut self, cell: Cell) -> Option<u32> {
        let a = match cell.kind {
            Kind::Object | Kind::Typed => match ObjectType::unpack(cell.a) {
                ObjectType::Unknown { .. } => return None,
                ObjectType::Known(_) | ObjectType::Untyped => cell.a,
            },
            Kind::Array | Kind::Bool => cell.a,
            _ => 0,
        };
        if cell.field & UNKNOWN_FIELD != 0 {
            return None;
        }
        let key = (cell.field, cell.kind as u8, cell.tag, a);
        if let Some(shape) = self.shapes.get(&key) {
            return Some(*shape);
        }
        if self.cells.len() >= MAX_SHAPES {
            return None;
        }
        let shape = self.cells.len() as u32;
        self.shapes.insert(key, shape);
        self.cells.push(Cell { a, b: 0, ..cell });
        Some(shape)
    }

    fn write_text(&mut self, out: &mut Vec<u8>, text: &str) {
        if let Some(number) = self.known(text) {
            write_varint(out, u64::from(number) << 1 | 1);
        } else {
            write_varint(out, (text.len() as u64) << 1);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// Returns the number of a string that occurred before.
    fn known(&mut self, text: &str) -> Option<u32> {
        if !LENGTHS.contains(&text.len()) {
            return None;
        }
        if let Some(number) = self.strings.get(text) {
            return Some(*number);
        }
        if self.texts.len() >= MAX_STRINGS {
            return None;
        }
        let hash = self.hasher.hash_one(text);
        self.recent.resize(RECENT, 0);
        let place = self.recent.get_mut(hash as usize % RECENT)?;
        // Zero is an empty place.
        let mark = (hash >> 32) as u32 | 1;
        if *place != mark {
            *place = mark;
            return None;
        }
        let number = self.texts.len() as u32;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.strings.insert(text, number);
        Some(number)
    }

    fn read(&self, input: &mut Input<'_>, doc: &mut Document) -> Option<()> {
        let shape = usize::try_from(input.varint()?).ok()?;
        let mut cell = *self.cells.get(shape)?;
        match cell.kind {
            Kind::Text => (cell.a, cell.b) = self.read_text(input, doc)?,
            Kind::Ref => {
                let type_id = input.varint()? as u32 & 0xffff;
                let (offset, len) = self.read_text(input, doc)?;
                (cell.a, cell.b) = (offset, len << 16 | type_id);
            }
            Kind::Int => cell.a = input.signed()? as u32,
            Kind::Long => (cell.a, cell.b) = Cell::split(input.signed()? as u64),
            Kind::Float => cell.a = u32::from_le_bytes(input.array()?),
            Kind::Double => (cell.a, cell.b) = Cell::split(u64::from_le_bytes(input.array()?)),
            Kind::Object | Kind::Array | Kind::Typed => {
                // Each cell takes a byte at least.
                let rest = input.0.len() as u64;
                cell.b = input.varint()?.min(rest) as u32;
            }
            Kind::Bool | Kind::Nil | Kind::LongRef => {}
        }
        doc.cells.push(cell);
        Some(())
    }

    /// Appends a string to a document, and returns its place and length.
    fn read_text(&self, input: &mut Input<'_>, doc: &mut Document) -> Option<(u32, u32)> {
        let code = input.varint()?;
        let number = usize::try_from(code >> 1).ok()?;
        let text = if code & 1 == 1 {
            self.texts.get(number)?
        } else {
            std::str::from_utf8(input.take(number)?).ok()?
        };
        let offset = doc.text.len() as u32;
        doc.text.push_str(text);
        Some((offset, text.len() as u32))
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer")
            .field("shapes", &self.cells.len())
            .field("strings", &self.texts.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} bytes)", self.size())
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign are short.
fn write_signed(out: &mut Vec<u8>, value: i64) {
    write_varint(out, (value << 1 ^ value >> 63) as u64);
}

struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::OptionValue;

    fn options(count: u32, id: u32) -> Any {
        let option = |n: u32| {
            OptionValue::new(
                &*format!("guestinfo.vice./common/key-{n}"),
                &*format!("{id}:{n}"),
            )
        };
        Any::new(&(0..count).map(option).collect::<Vec<_>>())
    }

    #[test]
    fn repeated_structure_and_strings_cost_little() {
        let mut packer = Packer::default();
        let packed: Vec<_> = (0..50).map(|id| packer.pack(&[options(30, id)])).collect();
        let usual = options(30, 49).size();
        assert!(
            packed[49].size() * 4 < usual,
            "{} of {usual}",
            packed[49].size()
        );
        for (id, packed) in packed.iter().enumerate() {
            assert_eq!(packer.unpack(packed), [options(30, id as u32)]);
        }
    }

    #[test]
    fn numbers_of_any_size_are_kept() {
        let mut packer = Packer::default();
        let values = [
            Any::new(&i64::MIN),
            Any::new(&i64::MAX),
            Any::new(&i32::MIN),
            Any::new(&-1_i32),
            Any::new(&i16::MIN),
            Any::new(&f64::MIN_POSITIVE),
            Any::new(&f32::MAX),
            Any::new(&true),
            Any::new(&String::new()),
            Any::default(),
        ];
        let packed = packer.pack(&values);
        assert_eq!(packer.unpack(&packed), values);
        let nothing = packer.pack(&[]);
        assert!(packer.unpack(&nothing).is_empty());
    }

    #[test]
    fn values_of_another_packer_do_no_harm() {
        let mut packer = Packer::default();
        let packed = packer.pack(&[options(5, 1), options(5, 2)]);
        let _ = Packer::default().unpack(&packed);
        let mut other = Packer::default();
        other.pack(&[Any::new(&7_i32), Any::new(&String::from("text"))]);
        let _ = other.unpack(&packed);
    }

    #[test]
    fn the_memory_of_a_packer_is_bounded() {
        let mut packer = Packer::default();
        for number in 0..MAX_STRINGS * 2 {
            let text = Any::new(&format!("string {number}"));
            let packed = packer.pack(&[text.clone(), text.clone()]);
            assert_eq!(packer.unpack(&packed), [text.clone(), text]);
        }
        assert_eq!(packer.texts.len(), MAX_STRINGS);
    }
}
