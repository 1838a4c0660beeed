//! Disks on their way in: a streamOptimized VMDK is unpacked while it arrives.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::{Decompress, FlushDecompress, Status};

const SECTOR: u64 = 512;
/// Bytes of one grain; real ones have 64 KiB.
const GRAINS: std::ops::RangeInclusive<u64> = 4 << 10..=1 << 20;
/// Sectors before the first grain, and of one table or directory between grains.
const METADATA: u64 = 1 << 20;

/// Why a stream is no disk that can be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// It breaks off, or cannot be read or written.
    #[error("it breaks off or cannot be stored")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is no streamOptimized VMDK: {0}")]
    Format(&'static str),
    /// It does not fit.
    #[error("it holds {found} bytes, and the disk {room}")]
    TooLarge { found: u64, room: u64 },
}

const fn wrong(what: &'static str) -> StreamError {
    StreamError::Format(what)
}

/// Unpacks a disk into a file that is empty, as flat bytes with holes; gives
/// how many bytes it held that are not holes.
///
/// Reads exactly to the end of the disk. Memory: two grains.
pub(crate) fn unpack(from: &mut impl Read, to: &mut File, room: u64) -> Result<u64, StreamError> {
    let header = Header::read(from)?;
    // Writers round up to whole grains.
    let found = header.capacity;
    if found > room.next_multiple_of(header.grain) {
        return Err(StreamError::TooLarge { found, room });
    }
    to.set_len(room)?;
    let mut packed = Vec::new();
    let mut grain = Vec::with_capacity(usize::try_from(header.grain).unwrap_or(0));
    let mut inflate = Decompress::new(true);
    let mut populated = 0;
    loop {
        let mut sector = [0; SECTOR as usize];
        from.read_exact(&mut sector)?;
        let (value, size) = (long(&sector, 0), u64::from(word(&sector, 8)));
        if size == 0 {
            match word(&sector, 12) {
                0 => return Ok(populated),
                1..=3 if value <= METADATA => skip(from, value * SECTOR)?,
                _ => return Err(wrong("a marker is of no known kind")),
            }
            continue;
        }
        let at = value.checked_mul(SECTOR).filter(|at| *at < header.capacity);
        let at = at.ok_or_else(|| wrong("a grain lies behind the end"))?;
        if at % header.grain != 0 || size > header.grain + (64 << 10) {
            return Err(wrong("a grain has no place"));
        }
        // The first bytes of the grain share the marker's sector.
        packed.clear();
        packed.extend_from_slice(&sector[12..]);
        let whole = (12 + size).next_multiple_of(SECTOR);
        let rest = whole - SECTOR;
        from.take(rest).read_to_end(&mut packed)?;
        if packed.len() as u64 != whole - 12 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        packed.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        grain.clear();
        inflate.reset(true);
        let ended = inflate.decompress_vec(&packed, &mut grain, FlushDecompress::Finish);
        if !matches!(ended, Ok(Status::StreamEnd)) {
            return Err(wrong("a grain cannot be unpacked"));
        }
        if grain.iter().all(|byte| *byte == 0) {
            continue;
        }
        let fits = usize::try_from(room.saturating_sub(at)).unwrap_or(usize::MAX);
        let (inside, outside) = grain.split_at(grain.len().min(fits));
        if outside.iter().any(|byte| *byte != 0) {
            return Err(StreamError::TooLarge { found, room });
        }
        to.seek(SeekFrom::Start(at))?;
        to.write_all(inside)?;
        populated += inside.len() as u64;
    }
}

struct Header {
    /// Bytes of the disk.
    capacity: u64,
    /// Bytes of a grain.
    grain: u64,
}

impl Header {
    fn read(from: &mut impl Read) -> Result<Self, StreamError> {
        const COMPRESSED: u32 = 1 << 16;
        const MARKERS: u32 = 1 << 17;
        let mut sector = [0; SECTOR as usize];
        from.read_exact(&mut sector)?;
        if &sector[..4] != b"KDMV" {
            return Err(wrong("it does not begin with KDMV"));
        }
        let flags = word(&sector, 8);
        let deflate = sector[77] == 1 && sector[78] == 0;
        if flags & COMPRESSED == 0 || flags & MARKERS == 0 || !deflate {
            return Err(wrong("it is not compressed for transport"));
        }
        let bytes = |at| long(&sector, at).checked_mul(SECTOR);
        let capacity = bytes(12).ok_or_else(|| wrong("its capacity is no number of bytes"))?;
        let grain = bytes(20).filter(|grain| GRAINS.contains(grain) && grain.is_power_of_two());
        let grain = grain.ok_or_else(|| wrong("its grains are of no possible size"))?;
        let overhead = long(&sector, 64);
        if overhead == 0 || overhead > METADATA {
            return Err(wrong("its first grain is too far away"));
        }
        skip(from, (overhead - 1) * SECTOR)?;
        Ok(Self { capacity, grain })
    }
}

fn skip(from: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut from.take(bytes), &mut io::sink())?;
    if skipped == bytes {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn long(sector: &[u8; 512], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&sector[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn word(sector: &[u8; 512], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&sector[at..at + 4]);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use disk_image::Sink as _;
    use disk_image::vmdk::{StreamOptions, StreamWriter};
    use proptest::prelude::{any, prop, proptest};

    /// A disk of 200 KiB with bytes at both of its ends.
    fn stream() -> Vec<u8> {
        let mut writer = StreamWriter::new(Vec::new(), 200 << 10, &StreamOptions::new()).unwrap();
        writer.put(0, b"first").unwrap();
        writer.put((200 << 10) - 4, b"last").unwrap();
        writer.finish().unwrap()
    }

    fn take(bytes: &[u8], room: u64) -> Result<Vec<u8>, StreamError> {
        let mut file = tempfile::tempfile().unwrap();
        unpack(&mut { bytes }, &mut file, room)?;
        let mut content = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut content).unwrap();
        Ok(content)
    }

    #[test]
    fn a_stream_becomes_a_flat_disk() {
        let content = take(&stream(), 200 << 10).unwrap();
        assert_eq!(content.len(), 200 << 10);
        assert!(content.starts_with(b"first") && content.ends_with(b"last"));
        assert!(content[5..content.len() - 4].iter().all(|byte| *byte == 0));
        // A larger disk keeps its size.
        assert_eq!(take(&stream(), 1 << 20).unwrap().len(), 1 << 20);
        let error = take(&stream(), 100 << 10).unwrap_err();
        assert!(matches!(error, StreamError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_stream_that_breaks_off_is_refused_wherever_it_does() {
        let stream = stream();
        for end in (0..stream.len()).step_by(97) {
            assert!(take(&stream[..end], 200 << 10).is_err(), "{end}");
        }
        assert!(take(b"not a disk at all", 1 << 20).is_err());
        assert!(take(&[0; 1024], 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_stream_harms_nothing(at in 0..2_000usize, byte in any::<u8>(), cut in prop::option::of(0..2_000usize)) {
            let mut stream = stream();
            let at = at % stream.len();
            stream[at] = byte;
            if let Some(cut) = cut {
                stream.truncate(cut);
            }
            let _ = take(&stream, 200 << 10);
        }
    }
}
