//! The trait of every type that can be a field: it is read from a document and written to one.

use crate::builder::Builder;
use crate::document::{Kind, ObjectType, tag};
use crate::error::{ConvertError, ConvertProblem, EncodeProblem};
use crate::node::Node;
use crate::table::{self, FieldKind};

/// A type that can be the value of a field, parameter, result or list item.
///
/// Implemented for scalars, [`Ref`](crate::Ref), [`Poly`](crate::Poly),
/// [`Any`](crate::Any), `Option`, `Box`, `Vec` and every generated type. Users
/// need it only as a bound. `Default` is the value of an absent field.
///
/// The provided methods are those of data objects, which implement [`set`](Self::set)
/// and [`put`](Self::put) only; all other types implement [`load`](Self::load) and
/// [`store`](Self::store) instead. This way each of the thousands of generated types
/// has two functions instead of six.
pub trait Slot: Default {
    /// The schema's kind for values of this type.
    const KIND: FieldKind = FieldKind::Object;
    /// The type id of a data object or enum type; [`u16::MAX`] for any other.
    const TYPE: u16 = table::NONE;
    /// Whether the type is a list.
    #[doc(hidden)]
    const LIST: bool = false;

    /// Reads one field of a data object; the node knows the field's number.
    #[inline]
    fn set(&mut self, field: Node<'_>, cx: &mut Loading) {
        let _ = (field, cx);
    }

    /// Writes all fields of a data object into the object that is open.
    #[inline]
    fn put(&self, out: &mut Builder) {
        let _ = out;
    }

    /// Reads the value of a node. Problems are recorded in `cx`; the first one is kept.
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        if cx.enter(node, Self::TYPE) {
            let outside = std::mem::replace(&mut cx.end, node.end());
            for field in node.children() {
                self.set(field, cx);
            }
            cx.end = outside;
        }
    }

    /// Reads a value where the schema allows any type: a list is a single value there.
    #[inline]
    fn load_any(&mut self, node: Node<'_>, cx: &mut Loading) {
        self.load(node, cx);
    }

    /// Writes the value as field `field` of the object that is open.
    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.open_object(field, ObjectType::Known(Self::TYPE));
        self.put(out);
        out.close();
    }

    /// Writes the value, with its type name, where the schema allows any type.
    #[inline]
    fn store_any(&self, field: u16, out: &mut Builder) {
        self.store(field, out);
    }

    /// Returns the result of a method that returned no value.
    ///
    /// # Errors
    /// [`ConvertError`] unless the result may be absent.
    fn absent() -> Result<Self, ConvertError> {
        let problem = ConvertProblem::Missing { field: "returnval" };
        Err(ConvertError::new(String::new(), problem))
    }
}

/// The state of a conversion from a document: the first problem, and the end of the
/// object that is being read.
#[derive(Debug, Default)]
pub struct Loading {
    error: Option<ConvertError>,
    /// The end of the current object or list; zero outside.
    end: u32,
    /// The incomplete values that were left out; `None` in a strict conversion.
    left_out: Option<Vec<ConvertError>>,
}

/// The maximum number of left out values to report.
const REMEMBERED: usize = 64;

impl Loading {
    /// Reads the value of a field; generated code calls [`Slot::load`] through this.
    #[inline]
    pub(crate) fn field<T: Slot>(&mut self, slot: &mut T, node: Node<'_>) {
        slot.load(node, self);
    }

    /// Records a problem; the first one is kept.
    #[cold]
    pub(crate) fn fail(&mut self, error: ConvertError) {
        self.error.get_or_insert(error);
    }

    #[cold]
    fn wrong_type(&mut self, node: Node<'_>, expected: &'static str) {
        let error = match node.as_str() {
            Some(text) if node.kind() == Kind::Text => node.error(ConvertProblem::Malformed {
                expected,
                text: text.chars().take(64).collect(),
            }),
            _ => node.wrong_type(expected),
        };
        self.fail(error);
    }

    /// Returns a conversion that leaves out incomplete values where possible.
    pub(crate) fn lenient() -> Self {
        Self {
            left_out: Some(Vec::new()),
            ..Self::default()
        }
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, ConvertError> {
        match self.error {
            None => Ok(value),
            Some(error) => Err(error),
        }
    }

    pub(crate) fn finish_lenient<T>(self, value: T) -> Result<Lenient<T>, ConvertError> {
        match self.error {
            None => Ok(Lenient {
                value,
                left_out: self.left_out.unwrap_or_default(),
            }),
            Some(error) => Err(error),
        }
    }

    /// Returns whether the value just read is incomplete and must be left out.
    #[inline]
    fn leaves_out(&mut self) -> bool {
        self.error.is_some() && self.forgive()
    }

    #[cold]
    fn forgive(&mut self) -> bool {
        let is_inside = self.end != 0;
        let Some(left_out) = self.left_out.as_mut().filter(|_| is_inside) else {
            return false;
        };
        let missing =
            |error: &ConvertError| matches!(error.problem(), ConvertProblem::Missing { .. });
        if !self.error.as_ref().is_some_and(missing) {
            return false;
        }
        let error = self.error.take();
        if left_out.len() < REMEMBERED {
            left_out.extend(error);
        }
        true
    }

    /// Returns whether `node` is a complete object of the type or one derived from it.
    pub(crate) fn enter(&mut self, node: Node<'_>, type_id: u16) -> bool {
        // Once there is a problem, everything read after it is discarded.
        if self.error.is_some() {
            return false;
        }
        let Some(ty) = node.object_type() else {
            self.fail(node.wrong_type(table::type_name(type_id)));
            return false;
        };
        if !table::is_a(ty.table(), type_id) {
            self.fail(node.wrong_type(table::type_name(type_id)));
            return false;
        }
        self.check_presence(node, type_id)
    }

    /// Fails when a required field of the type is absent.
    fn check_presence(&mut self, node: Node<'_>, type_id: u16) -> bool {
        let count = usize::from(table::field_count(type_id));
        let mut present = [0u64; 8];
        for child in node.children() {
            let field = usize::from(child.field());
            if let Some(word) = present.get_mut(field / 64).filter(|_| !child.is_nil()) {
                *word |= 1 << (field % 64);
            }
        }
        let mut at = type_id;
        let mut end = count;
        while let Some(row) = table::type_row(at) {
            for index in usize::from(row.first())..end {
                if present
                    .get(index / 64)
                    .is_none_or(|word| word & 1 << (index % 64) != 0)
                {
                    continue;
                }
                let field = table::field(at, index as u16);
                if let Some((_, name)) = field.filter(|(field, _)| field.is_required()) {
                    self.fail(node.error(ConvertProblem::Missing { field: name }));
                    return false;
                }
            }
            end = usize::from(row.first());
            at = row.base;
        }
        true
    }
}

/// The result of a lenient conversion.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Lenient<T> {
    /// The value. Incomplete list items and optional fields are absent from it.
    pub value: T,
    /// The first 64 values that were left out, each with the required field it lacks.
    pub left_out: Vec<ConvertError>,
}

impl<T> Lenient<T> {
    pub(crate) const fn complete(value: T) -> Self {
        Self {
            value,
            left_out: Vec::new(),
        }
    }
}

/// Returns how many items a list reserves memory for at once. A few bytes of input can
/// announce an item of some thousand bytes, so the count of a peer is not trusted.
const fn room_for<T>() -> usize {
    // One more byte, so that zero-sized items need no special case.
    let items = (64 << 10) / (size_of::<T>() + 1);
    if items < 4 { 4 } else { items }
}

/// Empties the target of a read. It is empty already, unless an element that may occur
/// once occurs twice; the last one wins.
#[inline]
fn emptied<T>(place: &mut Option<T>) -> &mut Option<T> {
    if place.is_some() {
        empty(place);
    }
    place
}

#[cold]
#[inline(never)]
fn empty<T>(place: &mut Option<T>) {
    *place = None;
}

#[cold]
#[inline(never)]
fn drop_last<T>(list: &mut Vec<T>) {
    list.pop();
}

macro_rules! integer {
    ($($ty:ident $kind:ident $tag:ident;)*) => { $(
        impl Slot for $ty {
            const KIND: FieldKind = FieldKind::$kind;
            #[inline]
            fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
                match node.as_i64().map(Self::try_from) {
                    Some(Ok(value)) => *self = value,
                    _ => cx.wrong_type(node, tag::NAMES[tag::$tag as usize]),
                }
            }

            #[inline]
            fn store(&self, field: u16, out: &mut Builder) {
                out.int(field, tag::$tag, i32::from(*self));
            }
        }
    )* };
}
integer! { i8 Byte BYTE; i16 Short SHORT; i32 Int INT; }

impl Slot for i64 {
    const KIND: FieldKind = FieldKind::Long;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_i64() {
            Some(value) => *self = value,
            None => cx.wrong_type(node, "long"),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.long(field, *self);
    }
}

impl Slot for bool {
    const KIND: FieldKind = FieldKind::Bool;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_bool() {
            Some(value) => *self = value,
            None => cx.wrong_type(node, "boolean"),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.bool(field, *self);
    }
}

impl Slot for f32 {
    const KIND: FieldKind = FieldKind::Float;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_f64() {
            Some(value) => *self = value as Self,
            None => cx.wrong_type(node, "float"),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.float(field, *self);
    }
}

impl Slot for f64 {
    const KIND: FieldKind = FieldKind::Double;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_f64() {
            Some(value) => *self = value,
            None => cx.wrong_type(node, "double"),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.double(field, *self);
    }
}

impl Slot for String {
    const KIND: FieldKind = FieldKind::String;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.scalar().kind() {
            Kind::Text => self.push_str(node.as_str().unwrap_or_default()),
            // An element declared as any type that named none.
            _ => cx.wrong_type(node, "string"),
        }
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.text(field, tag::STRING, self);
    }
}

impl<T: Slot> Slot for Option<T> {
    const KIND: FieldKind = T::KIND;
    const TYPE: u16 = T::TYPE;
    const LIST: bool = T::LIST;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        if !node.is_nil() {
            emptied(self).get_or_insert_default().load(node, cx);
            // Only objects can be incomplete.
            if matches!(T::KIND, FieldKind::Object) && cx.leaves_out() {
                empty(self);
            }
        }
    }
    #[inline]
    fn load_any(&mut self, node: Node<'_>, cx: &mut Loading) {
        if !node.is_nil() {
            emptied(self).get_or_insert_default().load_any(node, cx);
        }
    }

    fn absent() -> Result<Self, ConvertError> {
        Ok(None)
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        if let Some(value) = self {
            value.store(field, out);
        }
    }
    #[inline]
    fn store_any(&self, field: u16, out: &mut Builder) {
        match self {
            Some(value) => value.store_any(field, out),
            None => out.fail(field, EncodeProblem::Unset),
        }
    }
}

impl<T: Slot> Slot for Box<T> {
    const KIND: FieldKind = T::KIND;
    const TYPE: u16 = T::TYPE;
    const LIST: bool = T::LIST;
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        (**self).load(node, cx);
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        (**self).store(field, out);
    }
    #[inline]
    fn store_any(&self, field: u16, out: &mut Builder) {
        (**self).store_any(field, out);
    }
}

impl<T: Slot> Slot for Vec<T> {
    const KIND: FieldKind = T::KIND;
    const TYPE: u16 = T::TYPE;
    const LIST: bool = true;
    /// Appends one item: each element of a repeated field is one.
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        if !node.is_nil() {
            if self.capacity() == 0 {
                self.reserve_exact(node.run(cx.end).min(room_for::<T>()));
            }
            // Loads the item in place, because moving it here would require code to drop it
            // at every earlier exit.
            self.push(T::default());
            if let Some(item) = self.last_mut() {
                item.load(node, cx);
            }
            if matches!(T::KIND, FieldKind::Object) && cx.leaves_out() {
                drop_last(self);
            }
        }
    }

    /// Appends all items of a list value.
    #[inline]
    fn load_any(&mut self, node: Node<'_>, cx: &mut Loading) {
        if node.kind() == Kind::Array {
            let outside = std::mem::replace(&mut cx.end, node.end());
            node.children().for_each(|item| self.load(item, cx));
            cx.end = outside;
        } else {
            self.load(node, cx);
        }
    }

    fn absent() -> Result<Self, ConvertError> {
        Ok(Self::new())
    }

    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        for item in self {
            item.store(field, out);
        }
    }
    fn store_any(&self, field: u16, out: &mut Builder) {
        out.open_array(field, T::KIND, T::TYPE);
        for item in self {
            if T::KIND == FieldKind::Any {
                item.store_any(0, out);
            } else {
                item.store(0, out);
            }
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_for_a_few_large_items_or_many_small_ones() {
        assert_eq!(room_for::<[u8; 1 << 20]>(), 4);
        assert_eq!(room_for::<[u8; 1 << 10]>(), 63);
        assert_eq!(room_for::<u8>(), 32 << 10);
    }
}
