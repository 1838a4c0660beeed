//! Decodes the 512-byte header of a tar entry.

use tar::Header;

use super::sparse::GnuMap;
use super::{BLOCK, Kind};
use crate::error::LayerProblem;

pub(super) struct Raw<'a> {
    header: &'a Header,
    pub(super) typeflag: u8,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// `None` if it is not a number.
    pub(super) mtime: Option<i64>,
    pub(super) device: (u32, u32),
}

impl<'a> Raw<'a> {
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, LayerProblem> {
        let header = Header::from_byte_slice(block);
        let sum = header.cksum();
        let sum = sum.map_err(|_| LayerProblem::Malformed("header"))?;
        if !checksums(block).contains(&i64::from(sum)) {
            return Err(LayerProblem::Malformed("header checksum"));
        }
        let typeflag = block[156];
        // Blank fields stand for zero.
        let number = |value: std::io::Result<u64>, field: std::ops::Range<usize>, what| {
            let is_blank = block[field].iter().all(|byte| matches!(byte, 0 | b' '));
            match value {
                Ok(value) => Ok(value),
                Err(_) if is_blank => Ok(0),
                Err(_) => Err(LayerProblem::Malformed(what)),
            }
        };
        let device = |value: std::io::Result<Option<u32>>, field| {
            let value = value.map(|value| u64::from(value.unwrap_or(0)));
            number(value, field, "device number").map(|value| value as u32)
        };
        let device = match typeflag {
            b'3' | b'4' => (
                device(header.device_major(), 329..337)?,
                device(header.device_minor(), 337..345)?,
            ),
            _ => (0, 0),
        };
        let mode = header.mode().map(u64::from);
        Ok(Self {
            header,
            typeflag,
            size: number(header.entry_size(), 124..136, "size")?,
            mode: number(mode, 100..108, "mode")? as u32,
            uid: number(header.uid(), 108..116, "owner")?,
            gid: number(header.gid(), 116..124, "owner")?,
            // The `tar` crate returns a negative base-256 number as its two's complement.
            mtime: number(header.mtime(), 136..148, "time")
                .ok()
                .map(|time| time as i64),
            device,
        })
    }

    pub(super) fn kind(&self) -> Result<Kind, LayerProblem> {
        Ok(match self.typeflag {
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'M' => {
                return Err(LayerProblem::Unsupported(
                    "a file continued from another volume",
                ));
            }
            b'D' => return Err(LayerProblem::Unsupported("an incremental directory")),
            _ => return Err(LayerProblem::Unsupported("an entry of an unknown type")),
        })
    }

    pub(super) fn path(&self) -> Vec<u8> {
        self.header.path_bytes().into_owned()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.header
            .link_name_bytes()
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default()
    }

    /// Returns the part of an old GNU sparse map that this header contains.
    pub(super) fn gnu_sparse(&self) -> Result<GnuMap, LayerProblem> {
        let gnu = self
            .header
            .as_gnu()
            .ok_or(LayerProblem::Malformed("sparse header"))?;
        let size = gnu
            .real_size()
            .map_err(|_| LayerProblem::Malformed("sparse size"))?;
        let mut map = GnuMap {
            segments: Vec::new(),
            size,
            more: gnu.is_extended(),
        };
        map.add(&gnu.sparse)?;
        Ok(map)
    }
}

/// Returns the sum of all bytes of the header, with the checksum field counted as spaces: of
/// unsigned bytes, and of signed bytes, as some old programs compute it.
fn checksums(block: &[u8; BLOCK]) -> [i64; 2] {
    let bytes = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    [
        bytes().map(|&byte| i64::from(byte)).sum(),
        bytes().map(|&byte| i64::from(byte.cast_signed())).sum(),
    ]
}
