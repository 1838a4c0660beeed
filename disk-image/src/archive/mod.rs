//! A tar reader for layers: ustar, GNU and PAX, every sparse format expanded, names as
//! bytes, and only the current header in memory.
//!
//! The headers are decoded by the `tar` crate. The loop over them is our own because
//! that crate reads PAX sparse files as packed data, splits binary attributes at
//! newlines and limits neither names nor extensions.

mod header;
mod pax;
mod sparse;
pub(crate) mod writer;

use std::io::{self, BufRead, ErrorKind};

use crate::error::{LayerError, LayerProblem};
use crate::layer::problem_of;
use crate::limits::{LimitKind, Limits};
use crate::outline::Outline;
use crate::seek_reader::SeekReader;
use crate::time::Timestamp;
use crate::tree::Xattr;

pub(crate) use sparse::Segment;

pub(crate) const BLOCK: usize = 512;

/// One entry of a layer, after its header extensions were applied.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Apparent size of the file.
    pub(crate) size: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) device: (u32, u32),
    /// Extended attributes with full names (including the namespace), sorted by name.
    pub(crate) xattrs: Vec<Xattr>,
    /// Notes about tolerated problems: a time that is not a number, or an unreadable attribute.
    pub(crate) odd: Vec<&'static str>,
    /// The segments of a sparse file; `None` if the file is not sparse.
    pub(crate) segments: Option<Vec<Segment>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Directory,
    Fifo,
}

/// The unpacked bytes of a layer, which may be skipped without reading them.
pub(crate) trait LayerRead: BufRead {
    /// Skips at most `most` bytes, and returns how many; 0 at the end.
    fn skip(&mut self, most: u64) -> io::Result<u64> {
        let count = most.min(self.fill_buf()?.len() as u64);
        self.consume(count as usize);
        Ok(count)
    }
}

#[cfg(test)]
impl LayerRead for &[u8] {}

/// Reads the entries of an unpacked layer sequentially.
pub(crate) struct Archive<R> {
    reader: R,
    limits: Limits,
    /// Bytes read so far.
    offset: u64,
    /// Number of bytes that were returned by [`Archive::next_data`], and that the reader still has.
    lent: usize,
    /// Unread bytes of the current entry, including the padding after its data.
    left: u64,
    padding: u64,
    /// PAX records that apply to all following entries.
    global: pax::Records,
    /// Number of bytes that may still be read under the limits.
    budget: u64,
    /// Name of the current entry, for errors.
    name: Vec<u8>,
    /// The digest of all headers, if it is wanted.
    outline: Option<Outline>,
}

impl Archive<SeekReader> {
    /// Reads data of the current entry, `ahead` bytes after its next byte, without moving.
    pub(crate) fn peek_data(&mut self, ahead: u64, buf: &mut [u8]) -> Result<(), Box<LayerError>> {
        self.reader.consume(std::mem::take(&mut self.lent));
        match self.reader.peek(ahead, buf) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                // The position of a truncation is the end, however it was found.
                self.skip_data(u64::MAX)?;
                Err(self.error(LayerProblem::Truncated))
            }
            Err(error) => Err(self.error(problem_of(error, self.limits.ratio))),
            Ok(()) => Ok(()),
        }
    }
}

impl<R: LayerRead> Archive<R> {
    /// Creates a reader; `unpacked` is the number of bytes that earlier layers used of
    /// [`Limits::unpacked`](field@Limits::unpacked).
    pub(crate) fn new(reader: R, limits: &Limits, unpacked: u64) -> Self {
        Self {
            reader,
            limits: limits.clone(),
            offset: 0,
            lent: 0,
            left: 0,
            padding: 0,
            global: pax::Records::default(),
            budget: limits.unpacked.saturating_sub(unpacked),
            name: Vec::new(),
            outline: None,
        }
    }

    /// Computes the [`Outline`] while reading.
    pub(crate) fn outlined(mut self) -> Self {
        self.outline = Some(Outline::default());
        self
    }

    /// Returns the outline of what was read, if it is computed.
    pub(crate) fn outline(&mut self) -> Option<&mut Outline> {
        self.outline.as_mut()
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    /// Wraps a problem with the current entry.
    pub(crate) fn error(&self, problem: LayerProblem) -> Box<LayerError> {
        let entry = (!self.name.is_empty()).then(|| self.name.clone().into_boxed_slice());
        Box::new(LayerError {
            entry,
            offset: self.offset,
            problem,
        })
    }

    /// Returns the next entry; `None` at the end of the archive. Unread data of the previous entry
    /// is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Box<LayerError>> {
        let result = self.try_next();
        result.map_err(|problem| self.error(problem))
    }

    /// Returns the next stored data of the current entry, at most `most` bytes and at most as many
    /// as the reader has at hand. Returns no bytes at the end of the entry.
    pub(crate) fn next_data(&mut self, most: u64) -> Result<&[u8], Box<LayerError>> {
        let most = most.min(self.left);
        if most == 0 {
            return Ok(&[]);
        }
        let count = match self.available(most) {
            Ok(0) => return Err(self.error(LayerProblem::Truncated)),
            Ok(count) => count,
            Err(problem) => return Err(self.error(problem)),
        };
        self.count(count as u64)
            .map_err(|problem| self.error(problem))?;
        self.left -= count as u64;
        self.lent = count;
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(&bytes[..count.min(bytes.len())]),
            Err(error) => Err(Box::new(LayerError {
                entry: None,
                offset: self.offset,
                problem: problem_of(error, self.limits.ratio),
            })),
        }
    }

    /// Skips `count` bytes of the data of the current entry.
    pub(crate) fn skip_data(&mut self, mut count: u64) -> Result<(), Box<LayerError>> {
        count = count.min(self.left);
        while count > 0 {
            let skipped = match self.skip_some(count) {
                Ok(0) => Err(LayerProblem::Truncated),
                skipped => skipped,
            };
            let skipped = skipped.map_err(|problem| self.error(problem))?;
            self.left -= skipped;
            count -= skipped;
        }
        Ok(())
    }

    /// Reads the stream to its end, because the digests cover the bytes after the last entry too.
    pub(crate) fn drain(&mut self) -> Result<(), Box<LayerError>> {
        self.name.clear();
        loop {
            match self.skip_some(u64::MAX) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(problem) => return Err(self.error(problem)),
            }
        }
    }

    fn try_next(&mut self) -> Result<Option<Entry>, LayerProblem> {
        self.skip_rest()?;
        self.name.clear();
        let mut local = pax::Records::default();
        let (mut long_name, mut long_link) = (None, None);
        let mut extended = false;
        loop {
            let Some(block) = self.read_header()? else {
                if extended {
                    return Err(LayerProblem::Malformed("extension without an entry"));
                }
                return Ok(None);
            };
            let raw = header::Raw::parse(&block)?;
            plausible(raw.size)?;
            match raw.typeflag {
                b'x' => local.merge(&self.extension(raw.size)?, &self.limits)?,
                b'g' => {
                    let data = self.extension(raw.size)?;
                    self.global.merge(&data, &self.limits)?;
                    if self.global.is_sparse() {
                        let what = "GNU.sparse in a global header";
                        return Err(LayerProblem::Unsupported(what));
                    }
                }
                b'L' => long_name = Some(trim(self.extension(raw.size)?)),
                b'K' => long_link = Some(trim(self.extension(raw.size)?)),
                // `V` is a volume label, `D` the listing of a directory in an incremental archive.
                b'V' => {
                    self.begin_data(raw.size);
                    self.skip_rest()?;
                    continue;
                }
                _ => return self.assemble(raw, &local, long_name, long_link).map(Some),
            }
            extended = raw.typeflag != b'g';
        }
    }

    fn assemble(
        &mut self,
        raw: header::Raw<'_>,
        local: &pax::Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, LayerProblem> {
        let records = [local, &self.global];
        let mut entry = Entry {
            path: raw.path(),
            link: raw.link(),
            kind: raw.kind()?,
            mode: raw.mode,
            uid: raw.uid,
            gid: raw.gid,
            mtime: Timestamp {
                seconds: raw.mtime.unwrap_or(0),
                nanos: 0,
            },
            device: raw.device,
            ..Entry::default()
        };
        if let Some(name) = long_name {
            entry.path = name;
        }
        if let Some(link) = long_link {
            entry.link = link;
        }
        if raw.mtime.is_none() {
            entry.odd.push(pax::ODD_TIME);
        }
        let mut stored = raw.size;
        pax::apply(records, &mut entry, &mut stored, &self.limits)?;
        plausible(stored)?;
        self.name.clone_from(&entry.path);
        self.name.truncate(4096);
        for text in [&entry.path, &entry.link] {
            limit(text.len() as u64, self.limits.path, LimitKind::Path)?;
        }
        if entry.kind == Kind::File && entry.path.ends_with(b"/") {
            // Readers disagree whether a directory's data follows its header: one would read as
            // file content what another reads as headers.
            if stored > 0 {
                return Err(LayerProblem::Malformed("directory with data"));
            }
            entry.kind = Kind::Directory;
        }
        if entry.kind != Kind::File {
            // These types have no data, whatever their size field says. Go's reader does the same,
            // so both agree on where the next header is.
            if raw.typeflag == b'S' {
                return Err(LayerProblem::Malformed("sparse directory"));
            }
            self.begin_data(0);
            return Ok(entry);
        }
        entry.size = stored;
        let map = if raw.typeflag == b'S' {
            let mut map = raw.gnu_sparse()?;
            while map.more {
                let block = self.read_block()?.ok_or(LayerProblem::Truncated)?;
                map.extend(&block)?;
                limit(
                    map.segments.len() as u64,
                    self.limits.sparse,
                    LimitKind::Sparse,
                )?;
            }
            self.begin_data(stored);
            Some((map.segments, map.size))
        } else {
            self.begin_data(stored);
            self.pax_sparse(records_sparse([local, &self.global]), stored)?
        };
        if let Some((segments, size)) = map {
            sparse::check(&segments, size, self.left)?;
            limit(segments.len() as u64, self.limits.sparse, LimitKind::Sparse)?;
            entry.segments = Some(segments);
            entry.size = size;
        }
        Ok(entry)
    }

    /// Returns the map of a PAX sparse file. In version 1.0, the map is read from the start of the
    /// data.
    fn pax_sparse(
        &mut self,
        form: Option<pax::SparseForm>,
        stored: u64,
    ) -> Result<Option<(Vec<Segment>, u64)>, LayerProblem> {
        let Some(form) = form else { return Ok(None) };
        match form {
            pax::SparseForm::Listed { segments, size } => Ok(Some((segments, size))),
            pax::SparseForm::InData { size } => {
                let mut map = sparse::TextMap::default();
                while !map.is_complete() {
                    if self.left < BLOCK as u64 {
                        return Err(LayerProblem::Malformed("sparse map"));
                    }
                    let block = self.read_block()?.ok_or(LayerProblem::Truncated)?;
                    self.left -= BLOCK as u64;
                    map.extend(&block)?;
                    limit(map.len() as u64, self.limits.sparse, LimitKind::Sparse)?;
                    limit(
                        stored - self.left,
                        self.limits.extension.max(64 << 20),
                        LimitKind::Sparse,
                    )?;
                }
                Ok(Some((map.finish()?, size)))
            }
            pax::SparseForm::Unknown => {
                Err(LayerProblem::Unsupported("this version of GNU.sparse"))
            }
        }
    }

    fn begin_data(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// Skips the rest of the data and its padding. Padding may be missing after the last entry:
    /// umoci writes such layers, and Go's reader accepts them.
    fn skip_rest(&mut self) -> Result<(), LayerProblem> {
        while self.left > 0 {
            match self.skip_some(self.left)? {
                0 => return Err(LayerProblem::Truncated),
                count => self.left -= count,
            }
        }
        while self.padding > 0 {
            match self.skip_some(self.padding)? {
                0 => self.padding = 0,
                count => self.padding -= count,
            }
        }
        Ok(())
    }

    /// Reads a header that is not all zeros; returns `None` at the end of the archive.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK]>, LayerProblem> {
        let Some(block) = self.read_block()? else {
            return Ok(None);
        };
        if block.iter().any(|&byte| byte != 0) {
            return Ok(Some(block));
        }
        match self.read_block()? {
            Some(second) if second.iter().any(|&byte| byte != 0) => {
                Err(LayerProblem::Malformed("header after an empty block"))
            }
            _ => Ok(None),
        }
    }

    /// Reads a whole block; returns `None` if the stream ends before it.
    fn read_block(&mut self) -> Result<Option<[u8; BLOCK]>, LayerProblem> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.read_some(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(LayerProblem::Truncated),
                n => filled += n,
            }
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, LayerProblem> {
        limit(size, self.limits.extension, LimitKind::Extension)?;
        self.begin_data(size);
        let mut data = vec![0; size as usize];
        let mut filled = 0;
        while filled < data.len() {
            match self.read_some(&mut data[filled..])? {
                0 => return Err(LayerProblem::Truncated),
                n => filled += n,
            }
        }
        self.left = 0;
        self.skip_rest()?;
        Ok(data)
    }

    /// Reads into `buf`; returns 0 at the end of the stream.
    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, LayerProblem> {
        let count = self.available(buf.len() as u64)?;
        let bytes = self.reader.fill_buf();
        let bytes = bytes.map_err(|error| problem_of(error, self.limits.ratio))?;
        buf[..count].copy_from_slice(&bytes[..count]);
        self.reader.consume(count);
        if let Some(outline) = &mut self.outline {
            outline.header(&buf[..count]);
        }
        self.count(count as u64)?;
        Ok(count)
    }

    /// Skips at most `most` bytes, and returns how many; 0 at the end of the stream.
    fn skip_some(&mut self, most: u64) -> Result<u64, LayerProblem> {
        self.reader.consume(std::mem::take(&mut self.lent));
        let count = loop {
            match self.reader.skip(most) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(problem_of(error, self.limits.ratio)),
            }
        };
        self.count(count)?;
        Ok(count)
    }

    /// Waits for the next bytes, and returns how many are at hand, up to `most`; 0 at the end of
    /// the stream.
    fn available(&mut self, most: u64) -> Result<usize, LayerProblem> {
        self.reader.consume(std::mem::take(&mut self.lent));
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(most.min(bytes.len() as u64) as usize),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(problem_of(error, self.limits.ratio)),
            }
        }
    }

    /// Counts bytes that are read.
    fn count(&mut self, count: u64) -> Result<(), LayerProblem> {
        self.offset += count;
        let budget = self.budget.checked_sub(count);
        self.budget = budget.ok_or(LayerProblem::Limit {
            kind: LimitKind::Unpacked,
            limit: self.limits.unpacked,
        })?;
        Ok(())
    }
}

fn records_sparse(records: [&pax::Records; 2]) -> Option<pax::SparseForm> {
    pax::sparse_form(records)
}

pub(crate) fn limit(value: u64, limit: u64, kind: LimitKind) -> Result<(), LayerProblem> {
    if value > limit {
        Err(LayerProblem::Limit { kind, limit })
    } else {
        Ok(())
    }
}

/// Checks that a size fits into an `i64`. No real file is larger, and adding such sizes cannot
/// overflow.
fn plausible(size: u64) -> Result<(), LayerProblem> {
    if size > i64::MAX as u64 {
        Err(LayerProblem::Malformed("size"))
    } else {
        Ok(())
    }
}

/// Cuts a name at its first NUL.
fn trim(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|&byte| byte == 0) {
        name.truncate(end);
    }
    name
}
