//! Scalars without a type in Rust's standard library: points in time and binary data.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::builder::Builder;
use crate::document::tag;
use crate::error::ConvertProblem;
use crate::node::Node;
use crate::slot::{Loading, Slot};
use crate::table::FieldKind;
use crate::time;

/// A point in time: `xsd:dateTime`.
///
/// Re-exported from `jiff`. Offsets are converted to UTC; fractions are kept to
/// the nanosecond; a time without an offset is UTC, which is what servers mean.
pub use jiff::Timestamp;

impl Slot for Timestamp {
    const KIND: FieldKind = FieldKind::DateTime;

    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        match node.as_str().and_then(time::parse) {
            Some(time) => *self = time,
            None => cx.fail(match node.as_str() {
                Some(text) => node.error(ConvertProblem::Malformed {
                    expected: "dateTime",
                    text: text.chars().take(64).collect(),
                }),
                None => node.wrong_type("dateTime"),
            }),
        }
    }

    fn store(&self, field: u16, out: &mut Builder) {
        let mut text = String::new();
        time::print(*self, &mut text);
        out.text(field, tag::DATE_TIME, &text);
    }
}

/// Binary data: `xsd:base64Binary`. A list of `xsd:byte` is a `Vec<i8>` instead.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Binary(pub Vec<u8>);

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Slot for Binary {
    const KIND: FieldKind = FieldKind::Binary;

    fn load(&mut self, node: Node<'_>, cx: &mut Loading) {
        let Some(text) = node.as_str() else {
            cx.fail(node.wrong_type("base64Binary"));
            return;
        };
        // Servers may break the text into lines.
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        match STANDARD.decode(compact) {
            Ok(bytes) => self.0 = bytes,
            Err(_) => cx.fail(node.error(ConvertProblem::Malformed {
                expected: "base64Binary",
                text: text.chars().take(64).collect(),
            })),
        }
    }

    fn store(&self, field: u16, out: &mut Builder) {
        out.text(field, tag::BINARY, &STANDARD.encode(&self.0));
    }
}
