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
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
}

impl<'a> Raw<'a> {
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, LayerProblem> {
        let header = Header::from_byte_slice(block);
        let bad = |_| LayerProblem::Malformed("header");
        if header.cksum().map_err(bad)? != checksum(block) {
            return Err(LayerProblem::Malformed("header checksum"));
        }
        let typeflag = block[156];
        let device = |field: std::io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
        let size = header
            .entry_size()
            .map_err(|_| LayerProblem::Malformed("size"))?;
        Ok(Self {
            header,
            typeflag,
            size,
            mode: header.mode().unwrap_or(0o644),
            uid: header.uid().unwrap_or(0),
            gid: header.gid().unwrap_or(0),
            // The `tar` crate returns a negative base-256 number as its two's complement.
            mtime: header.mtime().unwrap_or(0) as i64,
            device: (device(header.device_major()), device(header.device_minor())),
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

/// Returns the sum of all bytes of the header, with the checksum field counted as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}
