//! Edits, by VMware's own writing rules.
//!
//! Facts: DictionaryWriteToBuffer in VMware's published dictionary class. Our
//! departures keep more of the file: `.encoding` is written only when a value needs
//! it, and lines whose bytes are the same in a new charset stay.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::encoding::Encoding;
use crate::error::EditError;
use crate::line::{Parts, Physical, Text};
use crate::name::{Name, NameError};
use crate::value::Value;

use super::index::name_at;
use super::{Document, declares_encoding};

/// What [`Document::set`] does with a value that the charset of the file cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unencodable {
    /// Refuse the value.
    #[default]
    Refuse,
    /// Make the whole file UTF-8, as VMware does.
    Upgrade,
}

/// An edit that was made, which [`Document::undo`] can take back; else drop it.
#[derive(Debug)]
pub struct Change {
    steps: Vec<Step>,
    /// Revision of the document after this change and before it.
    revision: u64,
    before: u64,
    appended_before: bool,
}

#[derive(Debug)]
enum Step {
    Replaced { at: usize, was: Physical },
    Inserted { at: usize },
}

impl Change {
    /// Whether nothing was changed: the document said so already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
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
    /// The line is written anew as `name = "value"`, in the spelling of the name
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

    /// Removes every entry whose name was defined before, which makes a file with
    /// duplicates one that VMware opens.
    pub fn remove_duplicates(&mut self) -> Change {
        let mut edit = Edit::begin(self);
        let later = edit.document.index().duplicates().to_vec();
        edit.remove_where(|name, at| {
            !name.is_metavariable() && later.iter().any(|&line| line as usize == at)
        });
        edit.commit()
    }

    /// Gives the entry that counts another name, in its place.
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
                let value = Value::new(parts.value(line.text(&document.source)), None);
                let value = value.bytes().into_owned();
                edit.rewrite(at, Some(to), &value)?;
            }
        }
        Ok(edit.commit())
    }

    /// Brings all values into another charset and declares it.
    ///
    /// Lines whose values are ASCII stay. Comments and names stay too: the charset
    /// speaks of values only. A missing declaration is added below the comment lines
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

    /// Takes back the last change, to the byte.
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

    fn take_back(&mut self, steps: Vec<Step>) {
        for step in steps.into_iter().rev() {
            match step {
                Step::Replaced { at, was } => self.lines[at] = was,
                Step::Inserted { at } => {
                    self.lines.remove(at);
                }
            }
        }
        self.index.take();
        self.declared.take();
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

/// A change in the making; dropped without [`commit`](Edit::commit), it leaves
/// the document as it was.
struct Edit<'d> {
    document: &'d mut Document,
    steps: Vec<Step>,
    appended_before: bool,
}

impl<'d> Edit<'d> {
    fn begin(document: &'d mut Document) -> Self {
        let appended_before = document.appended;
        Self {
            document,
            steps: Vec::new(),
            appended_before,
        }
    }

    fn commit(mut self) -> Change {
        // Revisions are never used twice, so that a change of a clone is not taken
        // for one of the original.
        static REVISION: AtomicU64 = AtomicU64::new(1);
        let before = self.document.revision;
        let steps = std::mem::take(&mut self.steps);
        if !steps.is_empty() {
            self.document.revision = REVISION.fetch_add(1, Ordering::Relaxed);
        }
        Change {
            steps,
            revision: self.document.revision,
            before,
            appended_before: self.appended_before,
        }
    }

    /// The bytes of a value in the charset of the file, which may change for it.
    fn prepare(&mut self, name: Name<'_>, value: &str) -> Result<Vec<u8>, EditError> {
        if let Some(at) = value.bytes().position(|byte| byte == 0) {
            return Err(EditError::Nul {
                name: name.to_string(),
                at,
            });
        }
        if value.is_ascii() {
            return Ok(value.into());
        }
        let upgrade = self.document.unencodable == Unencodable::Upgrade;
        let encoding = match self.document.declared().clone() {
            Ok(encoding) => encoding,
            Err(_) if upgrade => {
                self.transcode(Encoding::UTF_8)?;
                return Ok(value.into());
            }
            Err(source) => {
                return Err(EditError::Encoding {
                    name: name.to_string(),
                    source,
                });
            }
        };
        match encoding.encode(value) {
            Ok(bytes) => {
                if !self.document.byte_order_mark && !self.document.declares_encoding() {
                    self.declare(encoding)?;
                }
                Ok(bytes.into_owned())
            }
            Err(_) if upgrade => {
                self.transcode(Encoding::UTF_8)?;
                Ok(value.into())
            }
            Err(char) => Err(EditError::Unencodable {
                name: name.to_string(),
                encoding,
                char,
            }),
        }
    }

    fn transcode(&mut self, new: Encoding) -> Result<(), EditError> {
        let old = self.document.charset();
        if old != Some(new) {
            for at in 0..self.document.lines.len() {
                self.transcode_line(at, old, new)?;
            }
        }
        self.declare(new)
    }

    fn transcode_line(
        &mut self,
        at: usize,
        old: Option<Encoding>,
        new: Encoding,
    ) -> Result<(), EditError> {
        let document = &*self.document;
        let line = &document.lines[at];
        let Parts::Entry(parts) = line.parts else {
            return Ok(());
        };
        if declares_encoding(line, &document.source) {
            return Ok(());
        }
        let value = Value::new(parts.value(line.text(&document.source)), old);
        if value.bytes().is_ascii() {
            return Ok(());
        }
        let name = || Name::found(parts.name(line.text(&document.source))).to_string();
        let text = value.text().map_err(|source| EditError::Undecodable {
            name: name(),
            source,
        })?;
        let bytes = new
            .encode(&text)
            .map_err(|char| EditError::Unencodable {
                name: name(),
                encoding: new,
                char,
            })?
            .into_owned();
        self.rewrite(at, None, &bytes)
    }

    /// Makes every declaration of the charset say `encoding`, and adds one if there
    /// is none.
    fn declare(&mut self, encoding: Encoding) -> Result<(), EditError> {
        let mut declared = false;
        for at in 0..self.document.lines.len() {
            let document = &*self.document;
            let line = &document.lines[at];
            if !declares_encoding(line, &document.source) {
                continue;
            }
            declared = true;
            let label = super::declared_label(line, &document.source);
            if Encoding::for_label(&label).as_ref() != Ok(&encoding) {
                self.rewrite(at, None, encoding.name().as_bytes())?;
            }
        }
        if !declared {
            let at = self.below_first_comments();
            self.insert_entry(at, Name::found(b".encoding"), encoding.name().as_bytes())?;
        }
        self.document.declared.take();
        Ok(())
    }

    /// Below the leading run of lines that begin with `#`.
    fn below_first_comments(&self) -> usize {
        let document = &*self.document;
        document
            .lines
            .iter()
            .position(|line| {
                line.parts != Parts::Removed && line.text(&document.source).first() != Some(&b'#')
            })
            .unwrap_or(document.lines.len())
    }

    /// Writes an entry anew, with the same name or another.
    fn rewrite(
        &mut self,
        at: usize,
        name: Option<Name<'_>>,
        value: &[u8],
    ) -> Result<(), EditError> {
        let document = &*self.document;
        let line = &document.lines[at];
        let Parts::Entry(parts) = line.parts else {
            return Ok(());
        };
        let old_name = Name::found(parts.name(line.text(&document.source)));
        let name = name.unwrap_or(old_name);
        let terminator = line.terminator(&document.source);
        let new = Physical::entry(name.as_bytes(), value, terminator).ok_or(EditError::TooLarge)?;
        if name != old_name {
            self.document.index.take();
        }
        self.replace(at, new);
        Ok(())
    }

    /// Adds an entry where VMware does: versions of the file at its head, all others
    /// at its end.
    fn add(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EditError> {
        if name != "config.version" && name != "virtualHW.version" {
            return self.append(name, value);
        }
        let document = &*self.document;
        let mut at = self.below_first_comments();
        let is_at = |at: usize, name: &str| {
            name_at(&document.source, &document.lines, at).is_some_and(|found| found == name)
        };
        for above in [".encoding", "config.version"] {
            if is_at(at, above) {
                at += 1;
            }
        }
        self.insert_entry(at, name, value)
    }

    fn append(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EditError> {
        let document = &*self.document;
        let last = document
            .lines
            .iter()
            .rposition(|line| line.parts != Parts::Removed);
        let blank = last.is_none_or(|last| document.lines[last].parts == Parts::Blank);
        if !blank && !self.document.appended {
            let at = self.document.lines.len();
            let terminator = self.end_of_line_before(at);
            self.insert(at, Physical::blank(terminator));
        }
        self.insert_entry(self.document.lines.len(), name, value)?;
        self.document.appended = true;
        Ok(())
    }

    fn insert_entry(&mut self, at: usize, name: Name<'_>, value: &[u8]) -> Result<(), EditError> {
        let terminator = self.end_of_line_before(at);
        let line =
            Physical::entry(name.as_bytes(), value, terminator).ok_or(EditError::TooLarge)?;
        self.insert(at, line);
        Ok(())
    }

    /// The line terminator for a new line at `at`: that of the line before, which
    /// gets one if it lacks it.
    fn end_of_line_before(&mut self, at: usize) -> &'static [u8] {
        let document = &*self.document;
        let ends = |range: &[Physical]| {
            let line = range.iter().rev().find(|line| line.terminator > 0)?;
            Some(match line.terminator(&document.source) {
                b"\r\n" => &b"\r\n"[..],
                b"\r" => b"\r",
                _ => b"\n",
            })
        };
        let (before, behind) = document.lines.split_at(at);
        let terminator = ends(before)
            .or_else(|| {
                behind
                    .iter()
                    .find_map(|line| ends(std::slice::from_ref(line)))
            })
            .unwrap_or(b"\n");
        let last = before.iter().rposition(|line| line.parts != Parts::Removed);
        if let Some(last) = last
            && before[last].terminator == 0
        {
            let mut line = before[last].clone();
            let mut text = line.text(&document.source).to_vec();
            text.extend_from_slice(terminator);
            line.text = Text::Owned(text.into());
            line.terminator = terminator.len() as u8;
            self.replace(last, line);
        }
        terminator
    }

    fn insert(&mut self, at: usize, line: Physical) {
        let document = &mut *self.document;
        if at < document.lines.len() {
            document.index.take();
            document.lines.insert(at, line);
        } else {
            document.lines.push(line);
            let full = match (
                document.index.get_mut(),
                name_at(&document.source, &document.lines, at),
            ) {
                (Some(index), Some(name)) => {
                    !index.insert(&document.source, &document.lines, name, at)
                }
                _ => false,
            };
            if full {
                document.index.take();
            }
        }
        self.steps.push(Step::Inserted { at });
    }

    fn replace(&mut self, at: usize, line: Physical) {
        let document = &mut *self.document;
        if declares_encoding(&document.lines[at], &document.source) {
            document.declared.take();
        }
        let was = std::mem::replace(&mut document.lines[at], line);
        self.steps.push(Step::Replaced { at, was });
    }

    fn remove_where(&mut self, condition: impl Fn(Name<'_>, usize) -> bool) {
        for at in 0..self.document.lines.len() {
            let document = &*self.document;
            if name_at(&document.source, &document.lines, at)
                .is_some_and(|name| condition(name, at))
            {
                self.replace(at, Physical::removed());
            }
        }
        self.document.index.take();
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        if !self.steps.is_empty() {
            let steps = std::mem::take(&mut self.steps);
            self.document.take_back(steps);
            self.document.appended = self.appended_before;
        }
    }
}
