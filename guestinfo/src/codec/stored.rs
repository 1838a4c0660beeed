//! The functions of a field's type, as called by the derive macro.
//!
//! The generated code mentions a type's bounds only where it creates a [`Codec`]. A type
//! without a stored form therefore causes one compiler error instead of one per generated
//! method.
#![allow(missing_docs, reason = "for the derive macro alone, and hidden")]

use std::marker::PhantomData;

use super::{Decoder, Describer, Encoder, Field, GuestInfo, Shape};
use crate::dialect::Dialect;

/// The functions of [`GuestInfo`] for one type.
#[derive(Debug)]
pub struct Codec<T> {
    pub shape: Shape,
    pub encode: fn(&T, &mut Encoder),
    pub encode_some: fn(&T, &mut Encoder),
    pub decode: for<'a, 'b> fn(&'a mut Decoder<'b>) -> Option<T>,
    pub describe: fn(&mut Describer),
    pub absent: fn(Dialect) -> Option<T>,
    pub push_text: fn(&T, &mut String) -> Result<(), &'static str>,
    pub parse_text: fn(&str) -> Option<T>,
    pub to_byte: fn(&T) -> u8,
    pub from_byte: fn(u8) -> Option<T>,
}

impl<T> Codec<T> {
    // The bound is on the function, because a bound on the whole block gives worse error
    // messages.
    #[must_use]
    pub const fn of() -> Self
    where
        T: GuestInfo,
    {
        Self {
            shape: T::SHAPE,
            encode: T::encode,
            encode_some: T::encode_some,
            decode: T::decode,
            describe: T::describe,
            absent: T::absent,
            push_text: T::push_text,
            parse_text: T::parse_text,
            to_byte: T::to_byte,
            from_byte: T::from_byte,
        }
    }
}

/// A field of a struct: its keys, its type and its default.
#[derive(Debug)]
pub struct StoredField<T> {
    codec: Codec<T>,
    /// `None` for a flattened field.
    field: Option<Field>,
    /// Whether the field is reported when it is missing.
    required: bool,
    default: fn() -> T,
}

impl<T> StoredField<T> {
    #[must_use]
    pub const fn new(field: Option<Field>, required: bool, default: fn() -> T) -> Self
    where
        T: GuestInfo,
    {
        Self {
            codec: Codec::of(),
            field,
            required,
            default,
        }
    }

    pub fn encode(&self, value: &T, encoder: &mut Encoder) {
        match &self.field {
            Some(field) => encoder.field_with(field, |encoder| (self.codec.encode)(value, encoder)),
            None => (self.codec.encode)(value, encoder),
        }
    }

    /// Writes a field so that it has at least one key, for a struct that would otherwise
    /// have none.
    pub fn encode_some(&self, value: &T, encoder: &mut Encoder) {
        let write = self.codec.encode_some;
        match &self.field {
            Some(field) => encoder.field_with(field, |encoder| write(value, encoder)),
            None => write(value, encoder),
        }
    }

    pub fn decode(&self, decoder: &mut Decoder<'_>) -> T {
        let absent = if self.required {
            (self.codec.absent)(decoder.dialect())
        } else {
            None
        };
        let Some(field) = &self.field else {
            return decoder
                .value_or(absent, self.codec.decode)
                .unwrap_or_else(self.default);
        };
        let required = self.required && absent.is_none();
        decoder.field_with(field, required, self.codec.decode, || {
            absent.unwrap_or_else(self.default)
        })
    }

    pub fn describe(&self, describer: &mut Describer) {
        match &self.field {
            Some(field) => describer.field_with(field, self.codec.describe),
            None => (self.codec.describe)(describer),
        }
    }

    /// Returns the field's part of the value that has no key at all.
    #[must_use]
    pub fn absent(&self, dialect: Dialect) -> Option<T> {
        let exists = self.field.is_none_or(|field| field.exists(dialect));
        if exists && self.required {
            (self.codec.absent)(dialect)
        } else {
            Some((self.default)())
        }
    }
}

/// Writes a struct inside an `Option`.
pub fn encode_some<T: GuestInfo>(
    value: &T,
    encoder: &mut Encoder,
    fields: &[&dyn Fn(&mut Encoder)],
) {
    encoder.some(|encoder| value.encode(encoder), fields);
}

/// Finds the default of a field. `(&&&DefaultOf::of()).make()` selects the first of the
/// implementations below that applies, so that a type without a stored form does not also
/// cause an error about a missing default.
#[derive(Debug)]
pub struct DefaultOf<T>(PhantomData<T>);

impl<T> DefaultOf<T> {
    #[must_use]
    pub const fn of() -> Self {
        Self(PhantomData)
    }
}

pub trait WithDefault<T> {
    fn make(&self) -> T;
}

impl<T: Default> WithDefault<T> for &&DefaultOf<T> {
    fn make(&self) -> T {
        T::default()
    }
}

pub trait WithoutDefault<T> {
    fn make(&self) -> T
    where
        T: FieldDefault;
}

impl<T: GuestInfo> WithoutDefault<T> for &DefaultOf<T> {
    fn make(&self) -> T
    where
        T: FieldDefault,
    {
        T::make()
    }
}

/// Implemented by no type: used in the error message if there is no `Default`.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` has no default for when its keys are missing",
    label = "not `Default`",
    note = "make it an `Option`, give the field `default = ...`, or implement `Default` for the type"
)]
pub trait FieldDefault {
    fn make() -> Self;
}

pub trait WithoutForm<T> {
    fn make(&self) -> T;
}

impl<T> WithoutForm<T> for DefaultOf<T> {
    fn make(&self) -> T {
        unreachable!("a field whose type has no stored form does not compile")
    }
}
