//! Minimal tar archives: written as the layers of images, and read from exports.

use super::check::Failure;

/// The size of a block, in bytes.
pub(super) const BLOCK: usize = 512;

pub(super) const FILE: u8 = b'0';
pub(super) const HARD_LINK: u8 = b'1';
pub(super) const SYMLINK: u8 = b'2';
pub(super) const CHAR: u8 = b'3';
pub(super) const DIRECTORY: u8 = b'5';

/// One file in an archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The path, without `.` and slashes around it; empty for the root directory.
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    /// Seconds since 1970.
    pub(super) time: u32,
    pub(super) link: String,
    pub(super) device: (u32, u32),
    pub(super) content: Vec<u8>,
}

impl Entry {
    pub(super) fn new(name: &str, kind: u8, mode: u32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            mode,
            owner: (0, 0),
            time: 0,
            link: String::new(),
            device: (0, 0),
            content: Vec::new(),
        }
    }

    pub(super) fn file(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            ..Self::new(name, FILE, 0o644)
        }
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| {
            if let Some(field) = header.get_mut(at..at + text.len()) {
                field.copy_from_slice(text.as_bytes());
            }
        };
        put(0, &self.name);
        put(100, &format!("{:07o}\0", self.mode));
        put(108, &format!("{:07o}\0", self.owner.0));
        put(116, &format!("{:07o}\0", self.owner.1));
        put(124, &format!("{:011o}\0", self.content.len()));
        put(136, &format!("{:011o}\0", self.time));
        put(148, "        ");
        put(156, char::from(self.kind).encode_utf8(&mut [0; 4]));
        put(157, &self.link);
        put(257, "ustar\x0000");
        put(329, &format!("{:07o}\0", self.device.0));
        put(337, &format!("{:07o}\0", self.device.1));
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        if let Some(field) = header.get_mut(148..156) {
            field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        header
    }
}

pub(super) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend_from_slice(&entry.header());
        tar.extend_from_slice(&entry.content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // Two blocks of zeros end an archive.
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

/// Reads an archive whose names and times fit into plain headers; extended headers are skipped.
pub(super) fn read(mut tar: &[u8]) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    loop {
        let Some((header, rest)) = tar.split_at_checked(BLOCK) else {
            return Err(Failure::new("the archive has no end"));
        };
        if header.iter().all(|byte| *byte == 0) {
            return Ok(entries);
        }
        let number = |at: usize, length: usize| -> Result<u32, Failure> {
            let text = text(header, at, length);
            let digits = text.trim_matches(' ');
            match digits {
                "" => Ok(0),
                digits => u32::from_str_radix(digits, 8).map_err(Failure::new),
            }
        };
        let size = number(124, 12)? as usize;
        let Some((content, after)) = rest.split_at_checked(size.next_multiple_of(BLOCK)) else {
            return Err(Failure::new("the archive ends in the middle of a file"));
        };
        tar = after;
        let kind = match header.get(156) {
            Some(0) | None => FILE,
            Some(kind) => *kind,
        };
        if matches!(kind, b'x' | b'g') {
            continue;
        }
        let name = text(header, 0, 100);
        let name = name.strip_prefix("./").unwrap_or(&name);
        entries.push(Entry {
            name: name.trim_end_matches('/').trim_matches('.').to_owned(),
            kind,
            mode: number(100, 8)?,
            owner: (number(108, 8)?, number(116, 8)?),
            time: number(136, 12)?,
            link: text(header, 157, 100),
            device: (number(329, 8)?, number(337, 8)?),
            content: content.get(..size).unwrap_or_default().to_vec(),
        });
    }
}

/// Returns the text of a field, which ends with its first zero byte.
fn text(header: &[u8], at: usize, length: usize) -> String {
    let field = header.get(at..at + length).unwrap_or_default();
    let field = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(field).into_owned()
}
