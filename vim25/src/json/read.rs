//! Reading a value from JSON.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::any::Any;
use crate::builder::Builder;
use crate::decode::leaf::{self, scalar};
use crate::document::{ObjectType, UNKNOWN_FIELD, tag};
use crate::table::{self, FieldKind, NONE, TypeKind};

use super::{TYPE_NAME, VALUE};

/// An error for JSON text that is not a value of this API.
#[derive(Debug)]
pub struct JsonError {
    path: String,
    problem: String,
    source: Option<serde_json::Error>,
}

impl JsonError {
    /// Returns the path of the value at fault, from the root, by member names.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "`{}`: {}", self.path, self.problem)
        }
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|error| error as &(dyn Error + 'static))
    }
}

impl Any {
    /// Parses a value from JSON text in the format that [`to_json`](Self::to_json) writes.
    ///
    /// # Errors
    /// [`JsonError`] with the path of a value that is malformed or not of its declared type.
    ///
    /// ```
    /// use vim25::{Any, types::OptionValue};
    ///
    /// let option = Any::new(&OptionValue::new("a", "1"));
    /// assert_eq!(Any::from_json(&option.to_json())?, option);
    /// # Ok::<(), vim25::json::JsonError>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let value: Value = serde_json::from_str(text).map_err(|error| JsonError {
            path: String::new(),
            problem: "the text is not JSON".into(),
            source: Some(error),
        })?;
        let mut reader = Reader {
            out: Builder::default(),
            path: Vec::new(),
        };
        reader.value(0, Some((FieldKind::Any, NONE)), &value)?;
        Ok(Self::of(Arc::new(reader.out.finish()).root()))
    }
}

/// The declaration of a value in the schema; `None` if it is unknown.
type Declared = Option<(FieldKind, u16)>;

struct Reader {
    out: Builder,
    path: Vec<String>,
}

impl Reader {
    fn error(&self, problem: impl Into<String>) -> JsonError {
        JsonError {
            path: self.path.join("."),
            problem: problem.into(),
            source: None,
        }
    }

    /// Writes a JSON value as a field with this declaration.
    fn value(&mut self, field: u16, declared: Declared, value: &Value) -> Result<(), JsonError> {
        match (value, declared) {
            (Value::Null, _) => self.out.nil(field),
            (Value::Object(members), _) => return self.object(field, declared, members),
            (Value::Array(items), Some(_)) => {
                for item in items {
                    self.value(field, declared, item)?;
                }
            }
            (Value::Array(items), None) => return self.unknown_list(field, items),
            (plain, Some((FieldKind::Any, _))) => {
                // Text of an element without a type name.
                self.scalar(field, FieldKind::Enum, plain)?;
            }
            (plain, Some((kind, _))) => self.scalar(field, kind, plain)?,
            (plain, None) => self.unknown_scalar(field, plain)?,
        }
        Ok(())
    }

    /// Writes a list that the schema does not know. Several items become repeated
    /// elements, as in XML; a shorter list is kept as a list, because a single element
    /// does not show that it is one.
    fn unknown_list(&mut self, field: u16, items: &[Value]) -> Result<(), JsonError> {
        let repeated = items.len() > 1 && !items.iter().any(Value::is_array);
        if repeated && field & UNKNOWN_FIELD != 0 {
            return items
                .iter()
                .try_for_each(|item| self.value(field, None, item));
        }
        self.out.open_untyped_list(field);
        let result = items.iter().try_for_each(|item| self.value(0, None, item));
        self.out.close();
        result
    }

    /// Writes a scalar that the schema does not know, with its JSON type.
    fn unknown_scalar(&mut self, field: u16, value: &Value) -> Result<(), JsonError> {
        match value {
            Value::Bool(flag) => self.out.untyped_bool(field, *flag),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => self.out.untyped_long(field, number),
                (None, Some(real)) if number.is_f64() => self.out.untyped_double(field, real),
                // Larger than the API's numbers: the digits.
                _ => self.out.text(field, tag::UNTYPED, &number.to_string()),
            },
            other => self.scalar(field, FieldKind::Enum, other)?,
        }
        Ok(())
    }

    fn object(
        &mut self,
        field: u16,
        declared: Declared,
        members: &Map<String, Value>,
    ) -> Result<(), JsonError> {
        let (kind, ty) = declared.unwrap_or((FieldKind::Any, NONE));
        let name = match members.get(TYPE_NAME) {
            Some(Value::String(name)) => Some(name.as_str()),
            Some(_) => return Err(self.error("`_typeName` is not a string")),
            None => None,
        };
        let inner = members.get(VALUE);
        match name {
            Some("ManagedObjectReference") => self.reference(field, members),
            None if kind == FieldKind::Ref => self.reference(field, members),
            None if kind == FieldKind::Object => {
                self.members(field, ObjectType::Known(ty), members)
            }
            None => self.members(field, ObjectType::Untyped, members),
            Some(name) => {
                if let (Some(kind), Some(inner)) = (scalar(name), inner) {
                    return self.scalar(field, kind, inner);
                }
                if let Some(id) = table::value_type(name) {
                    let is_enum = table::type_row(id).is_some_and(|row| row.kind == TypeKind::Enum);
                    return match inner {
                        Some(inner) if is_enum => self.typed(field, ObjectType::Known(id), inner),
                        _ => self.members(field, ObjectType::Known(id), members),
                    };
                }
                let items = name
                    .strip_prefix("ArrayOf")
                    .and_then(crate::encode::array_items);
                if let (Some((kind, ty)), Some(Value::Array(values))) = (items, inner) {
                    self.out.open_array(field, kind, ty);
                    let result = values
                        .iter()
                        .try_for_each(|item| self.value(0, Some((kind, ty)), item));
                    self.out.close();
                    return result;
                }
                let name = self.out.name(name);
                let declared = if kind == FieldKind::Object { ty } else { NONE };
                let unknown = ObjectType::Unknown { name, declared };
                match inner {
                    Some(inner) if !inner.is_array() && !inner.is_object() => {
                        self.typed(field, unknown, inner)
                    }
                    _ => self.members(field, unknown, members),
                }
            }
        }
    }

    /// Writes a scalar whose type name is next to it in the JSON.
    fn typed(&mut self, field: u16, ty: ObjectType, value: &Value) -> Result<(), JsonError> {
        self.out.open_typed(field, ty);
        let result = match ty {
            ObjectType::Known(_) => self.scalar(0, FieldKind::Enum, value),
            _ => self.unknown_scalar(0, value),
        };
        self.out.close();
        result
    }

    fn members(
        &mut self,
        field: u16,
        ty: ObjectType,
        members: &Map<String, Value>,
    ) -> Result<(), JsonError> {
        self.out.open_object(field, ty);
        let mut fields: Vec<_> = members
            .iter()
            .filter(|(name, _)| *name != TYPE_NAME)
            .map(
                |(name, value)| match table::find_field(ty.table(), name, &mut 0) {
                    Some((index, row)) => (index, Some((row.kind, row.ty)), name, value),
                    None => (UNKNOWN_FIELD | self.out.name(name), None, name, value),
                },
            )
            .collect();
        // JSON members come in any order; elements are written in schema order.
        fields.sort_by_key(|(index, ..)| (*index).min(UNKNOWN_FIELD));
        for (index, declared, name, value) in fields {
            self.path.push(name.clone());
            self.value(index, declared, value)?;
            self.path.pop();
        }
        self.out.close();
        Ok(())
    }

    fn reference(&mut self, field: u16, members: &Map<String, Value>) -> Result<(), JsonError> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let (Some(ty), Some(value)) = (text("type"), text("value")) else {
            return Err(self.error("a reference needs `type` and `value`"));
        };
        self.out.reference(field, ty, value, text("serverGuid"));
        Ok(())
    }

    fn scalar(&mut self, field: u16, kind: FieldKind, value: &Value) -> Result<(), JsonError> {
        let wrong = |this: &Self| this.error(format!("{value} is not a value of kind {kind:?}"));
        match (kind, value) {
            (FieldKind::Bool, Value::Bool(flag)) => self.out.bool(field, *flag),
            (FieldKind::Byte | FieldKind::Short | FieldKind::Int, Value::Number(number)) => {
                let range = match kind {
                    FieldKind::Byte => i64::from(i8::MIN)..=i64::from(i8::MAX),
                    FieldKind::Short => i64::from(i16::MIN)..=i64::from(i16::MAX),
                    _ => i64::from(i32::MIN)..=i64::from(i32::MAX),
                };
                let number = number.as_i64().filter(|number| range.contains(number));
                let number = number.and_then(|number| i32::try_from(number).ok());
                let number = number.ok_or_else(|| wrong(self))?;
                self.out.int(field, leaf::tag_of(kind), number);
            }
            (FieldKind::Long, Value::Number(number)) => {
                let number = number.as_i64().ok_or_else(|| wrong(self))?;
                self.out.long(field, number);
            }
            (FieldKind::Float, value) => {
                let number = real(value).ok_or_else(|| wrong(self))?;
                self.out.float(field, number as f32);
            }
            (FieldKind::Double, value) => {
                let number = real(value).ok_or_else(|| wrong(self))?;
                self.out.double(field, number);
            }
            (
                FieldKind::String | FieldKind::DateTime | FieldKind::Binary | FieldKind::Uri,
                Value::String(text),
            ) => {
                self.out.text(field, leaf::tag_of(kind), text);
            }
            (FieldKind::Enum, Value::String(text)) => self.out.text(field, tag::UNTYPED, text),
            _ => return Err(wrong(self)),
        }
        Ok(())
    }
}

/// Parses a number, or one of the words for values that JSON cannot write as numbers.
fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => leaf::real(text),
        _ => None,
    }
}
