//! Edits, following VMware's own rules for writing.
//!
//! Source: DictionaryWriteToBuffer in VMware's published dictionary class. We deviate
//! from it to keep more of the file: `.encoding` is written only when a value needs it,
//! and lines whose bytes are the same in a new charset are not rewritten.

use crate::encoding::Encoding;
use crate::error::EditError;
use crate::escape::unescape;
use crate::line::{Parts, Physical};
use crate::name::{Name, NameError};
use crate::value::Value;

use super::Document;
use super::change::{Change, Edit};
use super::index::name_at;

/// How [`Document::set`] treats a value that the charset of the file cannot represent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unencodable {
    /// Refuse the value.
    #[default]
    Refuse,
    /// Convert the whole file to UTF-8, as VMware does.
    Upgrade,
}

impl Document {
    /// Chooses what happens to values that the charset of the file cannot represent.
    pub fn on_unencodable(&mut self, choice: Unencodable) -> &mut Self {
        self.unencodable = choice;
        self
    }

    /// Sets a value: in place if the name exists (in its first entry), otherwise in a new
    /// entry at the end.
    ///
    /// The line is rewritten as `name = "value"`, keeping the file's spelling of the
    /// name; a comment after the old value is lost. An entry that already has the value
    /// is not rewritten. As in VMware, the first new entry is preceded by a blank line,
    /// and new `config.version` and `virtualHW.version` entries go to the head of the
    /// file. New lines use the line terminator of the neighbouring line.
    ///
    /// Setting a non-ASCII value in a file that declares no charset adds a declaration.
    /// Setting `.encoding` transcodes the file, see [`transcode`](Self::transcode).
    ///
    /// # Errors
    ///
    /// Refuses names that [`Name::new`] refuses, values that contain NUL, and values that
    /// the charset cannot represent, see [`on_unencodable`](Self::on_unencodable). The
    /// document is then unchanged.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: &str) -> Result<Change, EditError> {
        let name = Name::from_bytes(name.as_ref())?;
        if name == ".encoding" {
            let encoding = Encoding::for_label(value).map_err(EditError::UnknownEncoding)?;
            return self.transcode(encoding);
        }
        let mut edit = Edit::begin(self);
        let bytes = edit.prepare(name, value)?;
        let document = &edit.document;
        match document.find(name) {
            Some(at) => {
                let line = &document.lines[at];
                if let Parts::Entry(parts) = line.parts {
                    let old = Value::new(parts.value(line.text(&document.source)), None);
                    if *old.bytes() != *bytes {
                        edit.rewrite(at, None, &bytes)?;
                    }
                }
            }
            None => edit.add(name, &bytes)?,
        }
        Ok(edit.commit())
    }

    /// Adds an entry below another one.
    ///
    /// # Errors
    ///
    /// Fails like [`set`](Self::set), and if there is no entry `anchor` or if the name
    /// already exists.
    pub fn insert_after(
        &mut self,
        anchor: impl AsRef<[u8]>,
        name: impl AsRef<[u8]>,
        value: &str,
    ) -> Result<Change, EditError> {
        let (anchor, name) = (
            Name::found(anchor.as_ref()),
            Name::from_bytes(name.as_ref())?,
        );
        refuse_metavariable(name)?;
        if self.find(anchor).is_none() {
            return Err(EditError::NotFound {
                name: anchor.to_string(),
            });
        }
        self.refuse_existing(name)?;
        let mut edit = Edit::begin(self);
        let bytes = edit.prepare(name, value)?;
        // `prepare` may have added a line for the charset declaration.
        if let Some(at) = edit.document.find(anchor) {
            edit.insert_entry(at + 1, name, &bytes)?;
        }
        Ok(edit.commit())
    }

    /// Removes every entry with that name, including its line. Does nothing if there is
    /// none.
    ///
    /// Removing `.encoding` means that the file is read with
    /// [`ParseOptions::default_encoding`], which changes the meaning of non-ASCII values;
    /// [`transcode`](Self::transcode) changes the charset and keeps the values.
    ///
    /// [`ParseOptions::default_encoding`]: crate::ParseOptions::default_encoding
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Change {
        let name = Name::found(name.as_ref());
        let mut edit = Edit::begin(self);
        if let Some(first) = edit.document.find(name) {
            if edit.document.index().duplicates().is_empty() {
                edit.replace(first, Physical::removed());
            } else {
                edit.remove_where(|found, _| found == name);
            }
        }
        edit.commit()
    }

    /// Removes every entry whose name satisfies a condition, in one pass.
    ///
    /// ```
    /// # use vmx::Document;
    /// let mut document = Document::parse(&b"a = \"1\"\nusb:0.x = \"1\"\nusb:1.x = \"2\"\n"[..])?;
    /// document.remove_where(|name| name.starts_with("usb:"));
    /// assert_eq!(document.to_bytes(), b"a = \"1\"\n");
    /// # Ok::<(), vmx::ParseError>(())
    /// ```
    pub fn remove_where(&mut self, condition: impl Fn(Name<'_>) -> bool) -> Change {
        let mut edit = Edit::begin(self);
        edit.remove_where(|name, _| condition(name));
        edit.commit()
    }

    /// Removes every entry whose name was already defined, so that VMware opens a file
    /// that had duplicates.
    pub fn remove_duplicates(&mut self) -> Change {
        let mut edit = Edit::begin(self);
        let later = edit.document.index().duplicates().to_vec();
        edit.remove_where(|name, at| {
            !name.is_metavariable() && later.binary_search(&(at as u32)).is_ok()
        });
        edit.commit()
    }

    /// Renames the first entry with the name `from`, keeping its position.
    ///
    /// # Errors
    ///
    /// Refuses names that [`Name::new`] refuses or that are reserved for the dictionary
    /// itself. Fails if there is no entry `from`, or if an entry `to` exists, unless the
    /// names differ only in case.
    pub fn rename(
        &mut self,
        from: impl AsRef<[u8]>,
        to: impl AsRef<[u8]>,
    ) -> Result<Change, EditError> {
        let (from, to) = (Name::found(from.as_ref()), Name::from_bytes(to.as_ref())?);
        refuse_metavariable(from)?;
        refuse_metavariable(to)?;
        let Some(at) = self.find(from) else {
            return Err(EditError::NotFound {
                name: from.to_string(),
            });
        };
        if from != to {
            self.refuse_existing(to)?;
        }
        let mut edit = Edit::begin(self);
        let document = &edit.document;
        if name_at(&document.source, &document.lines, at).map(Name::as_bytes) != Some(to.as_bytes())
        {
            let line = &document.lines[at];
            if let Parts::Entry(parts) = line.parts {
                // The text after an escaped NUL is kept, although VMware ignores it.
                let value = unescape(parts.value(line.text(&document.source))).into_owned();
                edit.rewrite(at, Some(to), &value)?;
            }
        }
        Ok(edit.commit())
    }

    /// Converts all values to another charset and declares it.
    ///
    /// Lines whose values are ASCII are not rewritten. Neither are comments and names:
    /// the charset applies to values only. A missing declaration is added below the
    /// initial comment lines, where VMware writes it.
    ///
    /// # Errors
    ///
    /// Fails if a value is not valid in the old charset or cannot be represented in the
    /// new one. The document is then unchanged.
    pub fn transcode(&mut self, encoding: Encoding) -> Result<Change, EditError> {
        let mut edit = Edit::begin(self);
        edit.transcode(encoding)?;
        Ok(edit.commit())
    }

    /// Undoes the last change, restoring the previous bytes exactly.
    ///
    /// ```
    /// use vmx::Document;
    ///
    /// let bytes = b"a=1 # one\n";
    /// let mut document = Document::parse(&bytes[..])?;
    /// let change = document.set("a", "2")?;
    /// assert_eq!(document.to_bytes(), b"a = \"2\"\n");
    /// document.undo(change)?;
    /// assert_eq!(document.to_bytes(), bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the change is not the latest one of this document. Changes are undone one
    /// at a time, latest first.
    pub fn undo(&mut self, change: Change) -> Result<(), EditError> {
        if change.is_empty() {
            return Ok(());
        }
        if change.revision != self.revision {
            return Err(EditError::NotTheLast);
        }
        self.take_back(change.steps);
        self.revision = change.before;
        self.appended = change.appended_before;
        Ok(())
    }

    fn refuse_existing(&self, name: Name<'_>) -> Result<(), EditError> {
        match self.entry(name.as_bytes()) {
            Some(entry) => Err(EditError::Exists {
                name: entry.name().to_string(),
            }),
            None => Ok(()),
        }
    }
}

fn refuse_metavariable(name: Name<'_>) -> Result<(), EditError> {
    if name.is_metavariable() {
        Err(NameError::metavariable(name).into())
    } else {
        Ok(())
    }
}
