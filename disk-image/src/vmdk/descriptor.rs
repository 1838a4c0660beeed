//! The text descriptor of a disk, parsed and printed without loss.

use std::fmt;

use super::{Error, NO_PARENT, SECTOR};

/// The maximum size of a descriptor in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The text descriptor of a disk.
///
/// Every line is kept unchanged until it is edited, including comments, order and line endings.
/// Trailing NULs, which QEMU writes, are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// The line, including its line ending.
    raw: Vec<u8>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A blank line or a comment.
    Nothing,
    Value {
        key: String,
        value: String,
    },
    Extent(Extent),
}

/// The type of a disk's files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CreateType {
    /// One file: a sparse extent with an embedded descriptor.
    MonolithicSparse,
    /// A descriptor and one flat extent.
    MonolithicFlat,
    /// One file of compressed grains, for transport.
    StreamOptimized,
    /// A descriptor and one flat extent, as on a datastore of ESXi.
    Vmfs,
    /// A child on a datastore of ESXi.
    VmfsSparse,
    /// Any other type, verbatim.
    Other(String),
}

impl CreateType {
    /// Returns the text in the descriptor.
    pub fn as_str(&self) -> &str {
        match self {
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::StreamOptimized => "streamOptimized",
            Self::Vmfs => "vmfs",
            Self::VmfsSparse => "vmfsSparse",
            Self::Other(text) => text,
        }
    }

    fn parse(text: &str) -> Self {
        [
            Self::MonolithicSparse,
            Self::MonolithicFlat,
            Self::StreamOptimized,
            Self::Vmfs,
            Self::VmfsSparse,
        ]
        .into_iter()
        .find(|known| known.as_str().eq_ignore_ascii_case(text))
        .unwrap_or_else(|| Self::Other(text.to_owned()))
    }
}

/// The access mode of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// `RW`
    ReadWrite,
    /// `RDONLY`
    ReadOnly,
    /// `NOACCESS`
    NoAccess,
}

/// The storage format of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtentKind {
    /// `FLAT`: uncompressed sectors in order.
    Flat,
    /// `VMFS`: uncompressed sectors in order, on a datastore of ESXi.
    Vmfs,
    /// `SPARSE`: grains.
    Sparse,
    /// `ZERO`: nothing is stored.
    Zero,
    /// Any other format, verbatim.
    Other(String),
}

impl ExtentKind {
    /// Returns the text in the descriptor.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Flat => "FLAT",
            Self::Vmfs => "VMFS",
            Self::Sparse => "SPARSE",
            Self::Zero => "ZERO",
            Self::Other(text) => text,
        }
    }
}

/// A part of a disk, stored in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// The access mode.
    pub access: Access,
    /// The size, in sectors of 512 bytes.
    pub sectors: u64,
    /// The storage format.
    pub kind: ExtentKind,
    /// The file, relative to the descriptor; empty for [`ExtentKind::Zero`].
    pub file: String,
    /// The offset in the file, in sectors.
    pub offset: u64,
}

impl Extent {
    /// Creates a read-write extent of `sectors` at the start of `file`.
    pub fn new(kind: ExtentKind, sectors: u64, file: impl Into<String>) -> Self {
        Self {
            access: Access::ReadWrite,
            sectors,
            kind,
            file: file.into(),
            offset: 0,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::ReadWrite => "RW",
            Access::ReadOnly => "RDONLY",
            Access::NoAccess => "NOACCESS",
        };
        write!(f, "{access} {} {}", self.sectors, self.kind.as_str())?;
        if self.kind != ExtentKind::Zero {
            write!(f, " \"{}\"", self.file)?;
        }
        if self.kind == ExtentKind::Flat || self.offset != 0 {
            write!(f, " {}", self.offset)?;
        }
        Ok(())
    }
}

impl Descriptor {
    /// Creates the descriptor of a new disk with one extent of `sectors` in `file`.
    pub fn new(create_type: CreateType, sectors: u64, file: &str) -> Self {
        let kind = match create_type {
            CreateType::MonolithicFlat => ExtentKind::Flat,
            CreateType::Vmfs => ExtentKind::Vmfs,
            _ => ExtentKind::Sparse,
        };
        let mut descriptor = Self { lines: Vec::new() };
        descriptor.comment("# Disk DescriptorFile");
        descriptor.push("version", "1", false);
        descriptor.push("encoding", "UTF-8", true);
        descriptor.push("CID", "fffffffe", false);
        descriptor.push("parentCID", "ffffffff", false);
        descriptor.push("createType", create_type.as_str(), true);
        descriptor.comment("");
        descriptor.comment("# Extent description");
        descriptor.push_extent(Extent::new(kind, sectors, file));
        descriptor.comment("");
        descriptor.comment("# The Disk Data Base");
        descriptor.comment("#DDB");
        descriptor.comment("");
        let (cylinders, heads, track) = geometry(sectors);
        descriptor.push("ddb.virtualHWVersion", "13", true);
        descriptor.push("ddb.geometry.cylinders", &cylinders.to_string(), true);
        descriptor.push("ddb.geometry.heads", &heads.to_string(), true);
        descriptor.push("ddb.geometry.sectors", &track.to_string(), true);
        descriptor.push("ddb.adapterType", "lsilogic", true);
        descriptor
    }

    /// Parses a descriptor.
    ///
    /// # Errors
    /// [`Error::Descriptor`] with the line; [`Error::Unsupported`] if this is not
    /// a descriptor at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let end = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let bytes = &bytes[..end];
        if !bytes.trim_ascii_start().starts_with(b"#") || bytes.contains(&0) {
            return Err(Error::Unsupported("it has no text descriptor"));
        }
        if bytes.len() > MAX_BYTES {
            return Err(Error::Descriptor {
                line: 0,
                reason: "the descriptor is longer than 1 MiB",
            });
        }
        let lines: Result<Vec<Line>, Error> = bytes
            .split_inclusive(|&byte| byte == b'\n')
            .enumerate()
            .map(|(index, raw)| {
                let content = parse_line(raw).map_err(|reason| Error::Descriptor {
                    line: index + 1,
                    reason,
                })?;
                Ok(Line {
                    raw: raw.to_vec(),
                    content,
                })
            })
            .collect();
        let descriptor = Self { lines: lines? };
        if descriptor.get("createType").is_none() {
            return Err(Error::Descriptor {
                line: 0,
                reason: "it has no createType",
            });
        }
        Ok(descriptor)
    }

    /// Returns the text of the descriptor.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| line.raw.iter().copied())
            .collect()
    }

    /// Returns the value of a key, without quotes. Keys are case-insensitive. If a key occurs more
    /// than once, its first value is returned.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| match &line.content {
            Content::Value { key: found, value } if found.eq_ignore_ascii_case(key) => {
                Some(&**value)
            }
            _ => None,
        })
    }

    /// Sets a value in its existing line, or in a new line after similar ones.
    pub fn set(&mut self, key: &str, value: &str) {
        let found = self.lines.iter().position(|line| {
            matches!(&line.content, Content::Value { key: found, .. } if found.eq_ignore_ascii_case(key))
        });
        let is_number = matches!(key, "version" | "CID" | "parentCID");
        let line = value_line(key, value, !is_number);
        match found {
            Some(index) => self.lines[index] = line,
            None if key.starts_with("ddb.") => self.insert(self.lines.len(), line),
            None => {
                let head = |line: &Line| matches!(&line.content, Content::Value { key, .. } if !key.starts_with("ddb."));
                let at = self
                    .lines
                    .iter()
                    .rposition(head)
                    .map_or(self.lines.len(), |at| at + 1);
                self.insert(at, line);
            }
        }
    }

    /// Inserts a line. If the previous line has no line ending, adds one.
    fn insert(&mut self, at: usize, line: Line) {
        if let Some(before) = at.checked_sub(1).and_then(|at| self.lines.get_mut(at))
            && !before.raw.ends_with(b"\n")
        {
            before.raw.push(b'\n');
        }
        self.lines.insert(at, line);
    }

    /// Returns the content id of the disk; a program that writes to the disk changes it.
    ///
    /// # Errors
    /// [`Error::Descriptor`] if it is missing or not a hexadecimal number.
    pub fn cid(&self) -> Result<u32, Error> {
        self.hex("CID")?.ok_or(Error::Descriptor {
            line: 0,
            reason: "it has no CID",
        })
    }

    /// Sets the content id.
    pub fn set_cid(&mut self, cid: u32) {
        self.set("CID", &format!("{cid:08x}"));
    }

    /// Returns the [`Descriptor::cid`] that the parent had when this child was created; `None` if
    /// there is no parent.
    ///
    /// # Errors
    /// [`Error::Descriptor`] if it is not a hexadecimal number.
    pub fn parent_cid(&self) -> Result<Option<u32>, Error> {
        Ok(self.hex("parentCID")?.filter(|&cid| cid != NO_PARENT))
    }

    /// Returns the path of the parent's descriptor, relative to this one or absolute.
    pub fn parent_hint(&self) -> Option<&str> {
        self.get("parentFileNameHint")
            .filter(|hint| !hint.is_empty())
    }

    /// Turns this into the descriptor of a child.
    pub fn set_parent(&mut self, cid: u32, hint: &str) {
        self.set("parentCID", &format!("{cid:08x}"));
        self.set("parentFileNameHint", hint);
    }

    /// Returns the type of the disk's files.
    pub fn create_type(&self) -> CreateType {
        CreateType::parse(self.get("createType").unwrap_or_default())
    }

    /// Sets the type of the disk's files.
    pub fn set_create_type(&mut self, create_type: &CreateType) {
        self.set("createType", create_type.as_str());
    }

    /// Iterates over the extents of the disk, in order.
    pub fn extents(&self) -> impl Iterator<Item = &Extent> {
        self.lines.iter().filter_map(|line| match &line.content {
            Content::Extent(extent) => Some(extent),
            _ => None,
        })
    }

    /// Replaces the extents of the disk.
    pub fn set_extents(&mut self, extents: impl IntoIterator<Item = Extent>) {
        let is_extent = |line: &Line| matches!(line.content, Content::Extent(_));
        let at = self
            .lines
            .iter()
            .position(is_extent)
            .unwrap_or(self.lines.len());
        self.lines.retain(|line| !is_extent(line));
        for (at, extent) in (at..).zip(extents) {
            self.insert(at, extent_line(extent));
        }
    }

    /// Returns the capacity in bytes: the sum of the extents.
    ///
    /// # Errors
    /// [`Error::Descriptor`] if it overflows.
    pub fn capacity(&self) -> Result<u64, Error> {
        self.extents()
            .try_fold(0u64, |sum, extent| {
                sum.checked_add(extent.sectors.checked_mul(SECTOR)?)
            })
            .ok_or(Error::Descriptor {
                line: 0,
                reason: "its extents are too large",
            })
    }

    fn hex(&self, key: &str) -> Result<Option<u32>, Error> {
        let parse = |text: &str| {
            u32::from_str_radix(text, 16).map_err(|_| Error::Descriptor {
                line: 0,
                reason: "a content id is not a hexadecimal number",
            })
        };
        self.get(key).map(parse).transpose()
    }

    fn comment(&mut self, text: &str) {
        let raw = format!("{text}\n").into_bytes();
        self.lines.push(Line {
            raw,
            content: Content::Nothing,
        });
    }

    fn push(&mut self, key: &str, value: &str, quoted: bool) {
        self.lines.push(value_line(key, value, quoted));
    }

    fn push_extent(&mut self, extent: Extent) {
        self.lines.push(extent_line(extent));
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn value_line(key: &str, value: &str, quoted: bool) -> Line {
    // The format has no escapes for these characters.
    let value: String = value
        .chars()
        .filter(|c| !matches!(c, '"' | '\n' | '\r' | '\0'))
        .collect();
    let raw = match (quoted, key.starts_with("ddb.")) {
        (true, true) => format!("{key} = \"{value}\"\n"),
        (true, false) => format!("{key}=\"{value}\"\n"),
        (false, _) => format!("{key}={value}\n"),
    };
    let content = Content::Value {
        key: key.to_owned(),
        value,
    };
    Line {
        raw: raw.into_bytes(),
        content,
    }
}

fn extent_line(mut extent: Extent) -> Line {
    extent
        .file
        .retain(|c| !matches!(c, '"' | '\n' | '\r' | '\0'));
    Line {
        raw: format!("{extent}\n").into_bytes(),
        content: Content::Extent(extent),
    }
}

fn parse_line(raw: &[u8]) -> Result<Content, &'static str> {
    let text = String::from_utf8_lossy(raw);
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(Content::Nothing);
    }
    if let Some(extent) = parse_extent(text)? {
        return Ok(Content::Extent(extent));
    }
    let (key, value) = text.split_once('=').ok_or("not a value or an extent")?;
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .map_or(value, |v| v.strip_suffix('"').unwrap_or(v));
    Ok(Content::Value {
        key: key.trim().to_owned(),
        value: value.to_owned(),
    })
}

fn parse_extent(text: &str) -> Result<Option<Extent>, &'static str> {
    let (access, rest) = next_word(text);
    let access = match access {
        "RW" => Access::ReadWrite,
        "RDONLY" => Access::ReadOnly,
        "NOACCESS" => Access::NoAccess,
        _ => return Ok(None),
    };
    let (sectors, rest) = next_word(rest);
    let sectors = sectors.parse().map_err(|_| "extent without a size")?;
    let (kind, rest) = next_word(rest);
    let kind = match kind {
        "" => return Err("extent without a type"),
        "FLAT" => ExtentKind::Flat,
        "VMFS" => ExtentKind::Vmfs,
        "SPARSE" => ExtentKind::Sparse,
        "ZERO" => ExtentKind::Zero,
        other => ExtentKind::Other(other.to_owned()),
    };
    let (file, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted
            .split_once('"')
            .ok_or("file name without a closing quote")?,
        None => ("", rest),
    };
    if file.is_empty() && kind != ExtentKind::Zero {
        return Err("extent without a file");
    }
    // Any text after the offset names devices, and is kept with the line.
    let offset = match rest.split_whitespace().next() {
        Some(text) => text.parse().map_err(|_| "extent with an invalid offset")?,
        None => 0,
    };
    Ok(Some(Extent {
        access,
        sectors,
        kind,
        file: file.to_owned(),
        offset,
    }))
}

/// Returns the first word of a text, and the rest without the blanks between them.
fn next_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Returns the cylinders, heads and sectors that VMware uses for SCSI disks of this size.
fn geometry(sectors: u64) -> (u64, u64, u64) {
    let megabytes = sectors / 2048;
    let (heads, track) = match megabytes {
        0..1024 => (64, 32),
        1024..2048 => (128, 32),
        _ => (255, 63),
    };
    ((sectors / (heads * track)).min(65_535), heads, track)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    const ESX: &[u8] =
        b"# Disk DescriptorFile\r\nversion=1\r\nencoding=\"UTF-8\"\r\nCID=fb183c20\r\n\
        parentCID=ffffffff\r\ncreateType=\"vmfs\"\r\n\r\n# Extent description\r\n\
        RW 16777216 VMFS \"disk-flat.vmdk\"\r\n\r\n# DDB\r\nddb.adapterType = \"lsilogic\"\r\n";

    #[test]
    fn a_descriptor_is_printed_as_it_was_but_for_what_was_set() {
        let mut descriptor = Descriptor::parse(ESX).unwrap();
        assert_eq!(descriptor.to_bytes(), ESX);
        assert_eq!(descriptor.cid().unwrap(), 0xfb18_3c20);
        assert_eq!(descriptor.parent_cid().unwrap(), None);
        assert_eq!(descriptor.create_type(), CreateType::Vmfs);
        assert_eq!(descriptor.capacity().unwrap(), 8 << 30);
        descriptor.set_cid(1);
        let text = descriptor.to_string();
        assert_eq!(
            text,
            String::from_utf8_lossy(ESX).replace("CID=fb183c20\r", "CID=00000001")
        );
    }

    #[test]
    fn words_of_an_extent_may_be_aligned_with_blanks() {
        let text = b"# Disk DescriptorFile\ncreateType=\"vmfs\"\nRW  8\t FLAT   \"a b\"  3\n";
        let descriptor = Descriptor::parse(text).unwrap();
        let mut expected = Extent::new(ExtentKind::Flat, 8, "a b");
        expected.offset = 3;
        assert!(descriptor.extents().eq([&expected]));
        assert_eq!(descriptor.to_bytes(), text);
    }

    #[test]
    fn a_raw_disk_has_no_descriptor() {
        let error = Descriptor::parse(&[1; MAX_BYTES + 1]).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
    }

    #[test]
    fn nuls_behind_the_text_are_no_part_of_it() {
        let padded = [ESX, &[0; 300]].concat();
        assert_eq!(
            Descriptor::parse(&padded).unwrap(),
            Descriptor::parse(ESX).unwrap()
        );
    }

    #[test]
    fn values_are_added_behind_a_last_line_without_an_end() {
        let text = b"# Disk DescriptorFile\ncreateType=\"vmfs\"";
        let mut descriptor = Descriptor::parse(text).unwrap();
        descriptor.set_cid(7);
        descriptor.set("ddb.comment", "x");
        descriptor.set_extents([Extent::new(ExtentKind::Vmfs, 8, "f")]);
        let again = Descriptor::parse(&descriptor.to_bytes()).unwrap();
        assert_eq!(again, descriptor);
        assert_eq!(again.cid().unwrap(), 7);
        assert_eq!(again.create_type(), CreateType::Vmfs);
        assert_eq!(again.extents().count(), 1);
    }

    #[test]
    fn lines_that_say_nothing_are_refused_with_their_number() {
        for bad in [
            "nonsense",
            "RW x FLAT \"a\" 0",
            "RW 1 FLAT",
            "RW 1 FLAT \"a",
            "RW 1 FLAT \"a\" x",
        ] {
            let text = format!("# Disk DescriptorFile\ncreateType=\"vmfs\"\n{bad}\n");
            let error = Descriptor::parse(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, Error::Descriptor { line: 3, .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn values_cannot_break_out_of_their_line() {
        let mut descriptor = Descriptor::new(CreateType::Vmfs, 8, "a\"\nRW 1 FLAT \"x");
        descriptor.set_parent(5, "p\"\nCID=0");
        let again = Descriptor::parse(&descriptor.to_bytes()).unwrap();
        assert_eq!(again, descriptor);
        assert_eq!(again.extents().count(), 1);
        assert_eq!(again.parent_hint(), Some("pCID=0"));
    }
}
