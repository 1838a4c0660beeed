//! Tables and JSON on standard output, messages on standard error.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use tabwriter::TabWriter;
use vmx::{Encoding, Value};

const CANNOT_WRITE: &str = "cannot write to standard output";

/// The destination and format of results.
pub(crate) struct Output<W: Write> {
    writer: W,
    pub(crate) json: bool,
    pub(crate) encoding: Encoding,
}

/// A value as it is shown: its text, or if it is not valid text, its bytes and the
/// reason.
#[derive(Serialize)]
pub(crate) struct Shown {
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The value in hexadecimal digits, if it is not valid text.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(writer: W, json: bool, encoding: Encoding) -> Self {
        Self {
            writer,
            json,
            encoding,
        }
    }

    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(&mut self.writer, value)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(self.writer))
            .context(CANNOT_WRITE)
    }

    /// Prints a table; the columns of each row are separated by tabs.
    pub(crate) fn table(
        &mut self,
        head: &str,
        rows: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let mut table = TabWriter::new(&mut self.writer).padding(2);
        let print = || {
            writeln!(table, "{head}")?;
            for row in rows {
                writeln!(table, "{row}")?;
            }
            table.flush()
        };
        print().context(CANNOT_WRITE)
    }

    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<()> {
        writeln!(self.writer, "{line}").context(CANNOT_WRITE)
    }

    /// Writes bytes unchanged.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).context(CANNOT_WRITE)
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        self.writer.flush().context(CANNOT_WRITE)
    }
}

impl Shown {
    pub(crate) fn of(value: Value<'_>) -> Self {
        match value.text() {
            Ok(text) => Self {
                value: Some(text.into_owned()),
                error: None,
                bytes: None,
            },
            Err(error) => {
                let mut bytes = String::new();
                for byte in value.bytes().iter() {
                    let _ = write!(bytes, "{byte:02x}");
                }
                Self {
                    value: None,
                    error: Some(error.to_string()),
                    bytes: Some(bytes),
                }
            }
        }
    }

    /// Returns the value as one cell of a table.
    pub(crate) fn cell(&self) -> String {
        match (&self.value, &self.bytes) {
            (Some(text), _) => cell(text),
            (None, bytes) => format!("<not text: {}>", bytes.as_deref().unwrap_or_default()),
        }
    }
}

/// Escapes control characters for one cell of a table, where they could break the table
/// or control the terminal.
pub(crate) fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            cell.extend(char.escape_default());
        } else {
            cell.push(char);
        }
    }
    cell
}

/// Prints a message on standard error.
pub(crate) fn complain(message: impl fmt::Display) {
    // If standard error fails, there is nowhere left to report it.
    let _ = writeln!(io::stderr(), "{message}");
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
