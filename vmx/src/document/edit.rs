//! Edits, by VMware's own writing rules.
//!
//! Facts: DictionaryWriteToBuffer in VMware's published dictionary class. Our
//! departures keep more of the file: `.encoding` is written only when a value needs
//! it, and lines whose bytes are the same in a new charset stay.

use crate::encoding::Encoding;
use crate::error::EditError;
use crate::escape::unescape;
use crate::line::{Parts, Physical};
use crate::name::{Name, NameError};
use crate::value::Value;

use super::Document;
use super::change::{Change, Edit};
use super::index::name_at;

/// The treatment of a value that the charset of the file cannot represent, in [`Document::set`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unencodable {
    /// Refuse the value.
    #[default]
    Refuse,
    /// Make the whole file UTF-8, as VMware does.
    Upgrade,
}

impl Document {
    /// Chooses what happens to values that the charset of the file cannot hold.
    pub fn on_unencodable(&mut self, choice: Unencodable) -> &mut Self {
        self.unencodable = choice;
        self
    }

    /// Sets a value: of the entry that counts, in place, or in a new entry at the
    /// end.
    ///
    /// The line is rewritten as `name = "value"`, in the spelling of the name
    /// that the file has; a comment behind the old value is lost. An entry that has
    /// the value already stays as it is. The first new entry is set apart by a blank
    /// line, and new `config.version` and `virtualHW.version` go to the head of the
    /// file, as VMware does. Line ends are those of the neighbour.
    ///
    /// A value that is not ASCII makes a file that declares no charset declare one.
    /// Setting `.encoding` transcodes, see [`transcode`](Self::transcode).
    ///
    /// # Errors
    ///
    /// Names that [`Name::new`] refuses, values with NUL, and values that the charset
    /// cannot hold, see [`on_unencodable`](Self::on_unencodable). The document is
    /// then as it was.
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
    /// As [`set`](Self::set); no entry `anchor`; an entry of that name exists.
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
        // Preparing may have added a line.
        if let Some(at) = edit.document.find(anchor) {
            edit.insert_entry(at + 1, name, &bytes)?;
        }
        Ok(edit.commit())
    }

    /// Removes every entry of that name, with its line. Without one, nothing changes.
    ///
    /// Without its `.encoding`, a file is read in [`ParseOptions::default_encoding`], and
    /// values that are not ASCII become others; [`transcode`](Self::transcode) changes
    /// the charset and keeps the values.
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

    /// Removes every entry whose name fulfils a condition, in one pass.
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

    /// Removes every entry whose name was defined before, which makes a file with
    /// duplicates one that VMware opens.
    pub fn remove_duplicates(&mut self) -> Change {
        let mut edit = Edit::begin(self);
        let later = edit.document.index().duplicates().to_vec();
        edit.remove_where(|name, at| {
            !name.is_metavariable() && later.binary_search(&(at as u32)).is_ok()
        });
        edit.commit()
    }

    /// Renames the entry that counts, in its place.
    ///
    /// # Errors
    ///
    /// Names that [`Name::new`] refuses or that speak to the dictionary; no entry
    /// `from`; an entry `to` exists, unless only the case of letters changes.
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
                // The text after an escaped NUL is kept, although VMware does not read it.
                let value = unescape(parts.value(line.text(&document.source))).into_owned();
                edit.rewrite(at, Some(to), &value)?;
            }
        }
        Ok(edit.commit())
    }

    /// Converts all values to another charset and declares it.
    ///
    /// Lines whose values are ASCII stay. Comments and names stay too: the charset
    /// applies to values only. A missing declaration is added below the comment lines
    /// at the start, where VMware writes it.
    ///
    /// # Errors
    ///
    /// A value that is not valid in the old charset, or that the new one cannot
    /// hold. The document is then as it was.
    pub fn transcode(&mut self, encoding: Encoding) -> Result<Change, EditError> {
        let mut edit = Edit::begin(self);
        edit.transcode(encoding)?;
        Ok(edit.commit())
    }

    /// Undoes the last change, to the byte.
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
    /// The change is not the last one of this document. Changes are undone one by
    /// one, the last first.
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
