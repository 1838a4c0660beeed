//! Changes: the steps of an edit, applied together or not at all.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::encoding::Encoding;
use crate::error::EditError;
use crate::line::{Parts, Physical, Text};
use crate::name::Name;
use crate::value::Value;

use super::index::name_at;
use super::{Document, Unencodable, declares_encoding};

/// A completed edit. Pass it to [`Document::undo`] to revert it, or drop it to keep the
/// edit.
///
/// The `Debug` output contains no values.
pub struct Change {
    pub(super) steps: Vec<Step>,
    /// Revisions of the document after and before this change.
    pub(super) revision: u64,
    pub(super) before: u64,
    pub(super) appended_before: bool,
}

pub(super) enum Step {
    Replaced { at: usize, was: Physical },
    Inserted { at: usize },
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({} lines)", self.steps.len())
    }
}

impl Change {
    /// Whether nothing was changed because the document already had the requested
    /// content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Document {
    pub(super) fn take_back(&mut self, steps: Vec<Step>) {
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
}

/// A change in progress. If it is dropped without [`commit`](Edit::commit), the document
/// is restored.
pub(super) struct Edit<'d> {
    pub(super) document: &'d mut Document,
    steps: Vec<Step>,
    appended_before: bool,
}

impl<'d> Edit<'d> {
    pub(super) fn begin(document: &'d mut Document) -> Self {
        let appended_before = document.appended;
        Self {
            document,
            steps: Vec::new(),
            appended_before,
        }
    }

    pub(super) fn commit(mut self) -> Change {
        // Revisions are never reused, so a change made to a clone is not mistaken for one
        // made to the original.
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

    /// Encodes a value in the charset of the file, changing the charset if needed and
    /// allowed.
    pub(super) fn prepare(&mut self, name: Name<'_>, value: &str) -> Result<Vec<u8>, EditError> {
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
                    if let Some(other) = self.document.first_undecodable() {
                        return Err(EditError::Undeclared {
                            name: name.to_string(),
                            encoding,
                            other,
                        });
                    }
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

    pub(super) fn transcode(&mut self, new: Encoding) -> Result<(), EditError> {
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

    /// Sets every charset declaration to `encoding`, and adds a declaration if there is
    /// none.
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

    /// Returns the index of the line below the initial run of lines that begin with `#`.
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

    /// Rewrites an entry, keeping its name unless `name` is given.
    pub(super) fn rewrite(
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

    /// Adds an entry where VMware would: version entries at the head of the file, all
    /// others at its end.
    pub(super) fn add(&mut self, name: Name<'_>, value: &[u8]) -> Result<(), EditError> {
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

    pub(super) fn insert_entry(
        &mut self,
        at: usize,
        name: Name<'_>,
        value: &[u8],
    ) -> Result<(), EditError> {
        let terminator = self.end_of_line_before(at);
        let line =
            Physical::entry(name.as_bytes(), value, terminator).ok_or(EditError::TooLarge)?;
        self.insert(at, line);
        Ok(())
    }

    /// Returns the line terminator for a new line at `at`: the one of the line before it.
    /// If that line has none, it gets one first.
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

    pub(super) fn replace(&mut self, at: usize, line: Physical) {
        let document = &mut *self.document;
        if declares_encoding(&document.lines[at], &document.source) {
            document.declared.take();
        }
        let was = std::mem::replace(&mut document.lines[at], line);
        self.steps.push(Step::Replaced { at, was });
    }

    pub(super) fn remove_where(&mut self, condition: impl Fn(Name<'_>, usize) -> bool) {
        for at in 0..self.document.lines.len() {
            let document = &*self.document;
            if name_at(&document.source, &document.lines, at)
                .is_some_and(|name| condition(name, at))
            {
                self.replace(at, Physical::removed());
            }
        }
        if !self.steps.is_empty() {
            self.document.index.take();
        }
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
