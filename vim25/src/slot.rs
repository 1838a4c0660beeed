//! What every type that can stand in a field does: come out of a document and go into one.

use crate::builder::Builder;
use crate::document::{Kind, ObjectType, tag};
use crate::error::{ConvertError, ConvertProblem, EncodeProblem};
use crate::node::Node;
use crate::table::{self, FieldKind};

/// A type that can be the value of a field, parameter, result or list item.
///
/// Implemented for scalars, [`Ref`](crate::Ref), [`Poly`](crate::Poly),
/// [`Any`](crate::Any), `Option`, `Box`, `Vec` and every generated type. Users
/// name it only as a bound. `Default` is the value of a field that is not there.
///
/// What is provided here is right for data objects, which implement
/// [`set`](Self::set) and [`put`](Self::put); all other types implement
/// [`load`](Self::load) and [`store`](Self::store) instead. The thousands of
/// generated types so have two functions where they would have six.
pub trait Slot: Default {
    /// What the schema calls values of this type.
    const KIND: FieldKind = FieldKind::Object;
    /// The type id of data object and enum types; otherwise "none".
    const TYPE: u16 = table::NONE;

    /// Takes over one field of a data object, by its number.
    #[inline]
    fn set(&mut self, field: Node<'_>, cx: &mut Loading) {
        let _ = (field, cx);
    }

    /// Writes all fields of a data object into the open object.
    #[inline]
    fn put(&self, out: &mut Builder) {
        let _ = out;
    }

    /// Takes over the value of a node. Problems go to `cx`; the first one counts.
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

    /// Takes over a value that stands where the schema allows anything: a list is one value there.
    #[inline]
    fn load_any(&mut self, node: Node<'_>, cx: &mut Loading) {
        self.load(node, cx);
    }

    /// Writes the value as field `field` of the open object.
    #[inline]
    fn store(&self, field: u16, out: &mut Builder) {
        out.open_object(field, ObjectType::Known(Self::TYPE));
        self.put(out);
        out.close();
    }

    /// Writes the value where the schema allows anything, so that it names its type.
    #[inline]
    fn store_any(&self, field: u16, out: &mut Builder) {
        self.store(field, out);
    }

    /// The result of a method that gave nothing back.
    ///
    /// # Errors
    /// [`ConvertError`] unless the result may be absent.
    fn absent() -> Result<Self, ConvertError> {
        let problem = ConvertProblem::Missing { field: "returnval" };
        Err(ConvertError::new(String::new(), problem))
    }
}

/// The state of a conversion from a document: its first problem, and where the
/// object ends that is being read.
#[derive(Debug, Default)]
pub struct Loading {
    error: Option<ConvertError>,
    end: u32,
}

impl Loading {
    /// Takes over the value of a field: how generated code calls [`Slot::load`].
    #[inline]
    pub(crate) fn field<T: Slot>(&mut self, slot: &mut T, node: Node<'_>) {
        slot.load(node, self);
    }

    /// Remembers the first problem.
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

    pub(crate) fn finish<T>(self, value: T) -> Result<T, ConvertError> {
        match self.error {
            None => Ok(value),
            Some(error) => Err(error),
        }
    }

    /// Whether `node` is an object of the type or one derived from it, and complete.
    pub(crate) fn enter(&mut self, node: Node<'_>, type_id: u16) -> bool {
        // What follows the first problem is thrown away with it.
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

/// How many items a list makes room for at once. An element of a few bytes may
/// stand for an item of some thousand: what a peer repeats is not believed at once.
const fn room_for<T>() -> usize {
    // One more byte, so that items of no size are no special case.
    let items = (64 << 10) / (size_of::<T>() + 1);
    if items < 4 { 4 } else { items }
}

/// The place of a value that is read: it is empty, unless an element that may stand
/// once stands twice, where the last one counts.
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
            // An element that is declared as anything and named no type.
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
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        if !node.is_nil() {
            emptied(self).get_or_insert_default().load(node, cx);
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
    /// One element of a repeated field adds one item.
    #[inline]
    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        if !node.is_nil() {
            if self.capacity() == 0 {
                self.reserve_exact(node.run(cx.end).min(room_for::<T>()));
            }
            // In place: a value that is moved here would need code to drop it
            // at every step before.
            self.push(T::default());
            if let Some(item) = self.last_mut() {
                item.load(node, cx);
            }
        }
    }

    /// A list value adds all of its items.
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
