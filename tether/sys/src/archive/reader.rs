//! Reads the headers of a tar archive in bounded memory.
//!
//! The crate `tar` decodes the fields of a header, but not the stream: it would read the extended
//! headers of a hostile archive into memory, however long they are.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::entry::{Entry, Kind, parse_time};
use super::quoted;
use crate::error::reason;

const BLOCK: usize = 512;
/// The maximum size of an extended header, and of a long name, in bytes.
const MAX_HEADER: u64 = 1 << 20;

/// Reads entries. After an entry, its data must be read by [`copy_to`](Self::copy_to), or it is
/// skipped.
pub(super) struct TarReader<R> {
    input: R,
    /// The rest of the current entry's data, and the padding after it.
    data: u64,
    padding: u64,
}

/// What the extended headers before an entry say about it.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            data: 0,
            padding: 0,
        }
    }

    /// Reads the headers of the next entry; `None` at the end of the archive, after which the
    /// input has been read to its end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let mut block = [0; BLOCK];
            self.read(&mut block)?;
            if block == [0; BLOCK] {
                // The rest is padding, which the sender may still be writing.
                io::copy(&mut self.input, &mut io::sink()).map_err(|error| lost(&error))?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            verify(header)?;
            let size = number(&header.as_old().size, || header.entry_size());
            let size = size.ok_or_else(|| malformed("a size"))?;
            match header.entry_type() {
                EntryType::GNULongName => extended.name = Some(self.long_name(size)?),
                EntryType::GNULongLink => extended.link = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let records = self.extended_header(size)?;
                    extended.add_records(&records)?;
                }
                EntryType::XGlobalHeader => self.set_data(size)?,
                _ => return self.entry(header, extended, size).map(Some),
            }
        }
    }

    /// Passes the data of the current entry to `write`, in chunks.
    pub(super) fn copy_to(
        &mut self,
        mut write: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut buffer = vec![0; 64 << 10];
        while self.data > 0 {
            let length = usize::try_from(self.data).unwrap_or(usize::MAX);
            let length = length.min(buffer.len());
            let part = &mut buffer[..length];
            self.read(part)?;
            self.data -= length as u64;
            write(part)?;
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, extended: Extended, size: u64) -> Result<Entry, String> {
        let name = extended
            .name
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || {
            let link = extended.link.clone();
            link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                .unwrap_or_default()
        };
        let bad = |what: &str| format!("{}: the archive has a malformed {what}", quoted(&name));
        // Only files have data, although some writers state the sizes of others.
        let mut data = 0;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                data = extended.size.unwrap_or(size);
                Kind::File(data)
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link()),
            EntryType::Link => Kind::HardLink(link()),
            EntryType::Fifo => Kind::Fifo,
            kind @ (EntryType::Char | EntryType::Block) => {
                let number = |field: io::Result<Option<u32>>| {
                    field.ok().flatten().ok_or_else(|| bad("device number"))
                };
                let (major, minor) = (header.device_major(), header.device_minor());
                Kind::Device(kind == EntryType::Block, number(major)?, number(minor)?)
            }
            other => {
                let kind = char::from(other.as_byte());
                let text = "entries of this kind are not supported";
                return Err(format!("{}: {text}: {kind:?}", quoted(&name)));
            }
        };
        let fields = header.as_old();
        let id = |extended: Option<u32>, field: Option<u64>, what: &str| match extended {
            Some(id) => Ok(id),
            None => field
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| bad(what)),
        };
        let entry = Entry {
            mode: number(&fields.mode, || header.mode()).ok_or_else(|| bad("mode"))? & 0o7777,
            uid: id(
                extended.uid,
                number(&fields.uid, || header.uid()),
                "user id",
            )?,
            gid: id(
                extended.gid,
                number(&fields.gid, || header.gid()),
                "group id",
            )?,
            mtime: match extended.mtime {
                Some(time) => time,
                None => {
                    let seconds = number(&fields.mtime, || header.mtime());
                    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
                    (seconds.ok_or_else(|| bad("time"))?, 0)
                }
            },
            xattrs: extended.xattrs,
            kind,
            name,
        };
        self.set_data(data)?;
        Ok(entry)
    }

    fn set_data(&mut self, size: u64) -> Result<(), String> {
        let block = BLOCK as u64;
        let padded = size.checked_next_multiple_of(block);
        self.data = size;
        self.padding = padded.ok_or_else(|| malformed("a size"))? - size;
        Ok(())
    }

    /// Skips the rest of the current entry.
    fn skip(&mut self) -> Result<(), String> {
        let rest = self.data.saturating_add(self.padding);
        let copied = io::copy(&mut (&mut self.input).take(rest), &mut io::sink());
        if copied.map_err(|error| lost(&error))? < rest {
            return Err(ends_early());
        }
        (self.data, self.padding) = (0, 0);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), String> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ends_early()),
            Err(error) => Err(lost(&error)),
        }
    }

    fn extended_header(&mut self, size: u64) -> Result<Vec<u8>, String> {
        if size > MAX_HEADER {
            return Err(format!(
                "the archive has an extended header of {size} bytes; at most {MAX_HEADER} are \
                 supported"
            ));
        }
        self.set_data(size)?;
        let mut bytes = Vec::new();
        self.copy_to(|part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, String> {
        let mut name = self.extended_header(size)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }
}

impl Extended {
    /// Adds the records of a PAX header: each is `LENGTH KEY=VALUE\n`.
    fn add_records(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let bad = || malformed("an extended header");
        while !bytes.is_empty() {
            let blank = bytes
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(bad)?;
            let length = std::str::from_utf8(&bytes[..blank]).ok();
            let length: usize = length.and_then(|text| text.parse().ok()).ok_or_else(bad)?;
            let record = bytes.get(blank + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            self.add(key, value).ok_or_else(bad)??;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Option<Result<(), String>> {
        fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
            std::str::from_utf8(value).ok()?.parse().ok()
        }
        match key {
            b"path" => self.name = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"mtime" => self.mtime = Some(parse_time(value)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                let text = "sparse files in the archive are not supported";
                return Some(Err(text.to_owned()));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(Ok(()))
    }
}

/// Returns the number in a field, which is 0 if the field is empty; `None` if it is malformed.
fn number<T: From<u8>>(field: &[u8], parse: impl FnOnce() -> io::Result<T>) -> Option<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Some(T::from(0));
    }
    parse().ok()
}

/// Verifies the checksum of a header.
fn verify(header: &Header) -> Result<(), String> {
    let bytes = header.as_bytes();
    let sum = |range: &[u8]| range.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    // The field itself counts as blanks.
    let actual = sum(&bytes[..148]) + sum(&bytes[156..]) + 8 * u32::from(b' ');
    match header.cksum() {
        Ok(stated) if stated == actual => Ok(()),
        _ => Err("the data is not a tar archive, or the archive is damaged".to_owned()),
    }
}

fn malformed(what: &str) -> String {
    format!("the archive has {what} that is malformed")
}

fn ends_early() -> String {
    "the archive ends early".to_owned()
}

fn lost(error: &io::Error) -> String {
    format!("the archive cannot be read: {}", reason(error))
}
