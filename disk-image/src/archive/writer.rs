//! Writes tar archives with ustar headers, and PAX records for values that do not fit into them.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use crate::time::Timestamp;
use crate::tree::Xattr;

/// The metadata of an entry.
pub(crate) struct Attributes<'a> {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: &'a [Xattr],
}

/// The type of an entry.
pub(crate) enum Item<'a> {
    Directory,
    /// A regular file of this size in bytes; its data follows the entry.
    File(u64),
    HardLink(&'a [u8]),
    Symlink(&'a [u8]),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

pub(crate) struct TarWriter<W> {
    out: W,
}

/// The maximum value of seven octal digits.
const MAX_ID: u32 = 0o777_7777;
/// The maximum value of eleven octal digits.
const MAX_SIZE: u64 = 0o777_7777_7777;

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes an entry without data. The path has no slash at either end.
    pub(crate) fn entry(
        &mut self,
        path: &[u8],
        item: &Item<'_>,
        attributes: &Attributes<'_>,
    ) -> io::Result<()> {
        let mut path = path.to_vec();
        if matches!(item, Item::Directory) {
            path.push(b'/');
        }
        let mut records = Vec::new();
        let mut header = Header::new_ustar();
        let link = match item {
            Item::HardLink(target) | Item::Symlink(target) => *target,
            _ => b"",
        };
        put_name(&mut header.as_old_mut().name, &path, "path", &mut records);
        put_name(
            &mut header.as_old_mut().linkname,
            link,
            "linkpath",
            &mut records,
        );
        header.set_mode(attributes.mode & 0o7777);
        for (key, id) in [("uid", attributes.uid), ("gid", attributes.gid)] {
            if id > MAX_ID {
                record(&mut records, key.as_bytes(), id.to_string().as_bytes());
            }
        }
        header.set_uid(u64::from(attributes.uid.min(MAX_ID)));
        header.set_gid(u64::from(attributes.gid.min(MAX_ID)));
        let time = attributes.mtime;
        if time.nanos != 0 || !(0..=MAX_SIZE as i64).contains(&time.seconds) {
            record(&mut records, b"mtime", decimal(time).as_bytes());
        }
        header.set_mtime(time.seconds.clamp(0, MAX_SIZE as i64) as u64);
        let size = if let Item::File(size) = item {
            *size
        } else {
            0
        };
        if size > MAX_SIZE {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        header.set_size(size.min(MAX_SIZE));
        for (name, value) in attributes.xattrs {
            let key = [b"SCHILY.xattr.", &*super::pax::encoded(name)].concat();
            record(&mut records, &key, value);
        }
        header.set_entry_type(match item {
            Item::Directory => EntryType::Directory,
            Item::File(_) => EntryType::Regular,
            Item::HardLink(_) => EntryType::Link,
            Item::Symlink(_) => EntryType::Symlink,
            Item::Char(..) => EntryType::Char,
            Item::Block(..) => EntryType::Block,
            Item::Fifo => EntryType::Fifo,
        });
        if let Item::Char(major, minor) | Item::Block(major, minor) = item {
            header.set_device_major(*major)?;
            header.set_device_minor(*minor)?;
        }
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
            extended.set_mode(0o644);
            extended.set_uid(0);
            extended.set_gid(0);
            extended.set_mtime(0);
            extended.set_size(records.len() as u64);
            extended.set_entry_type(EntryType::XHeader);
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// Writes the data that [`Item::File`] announced.
    pub(crate) fn data(&mut self, mut from: impl Read, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut (&mut from).take(size), &mut self.out)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    /// Writes the end of the archive and returns the output.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 1024])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.out
            .write_all(&[0; 512][..(size.next_multiple_of(512) - size) as usize])
    }
}

/// Writes a name into a header field, and also into a PAX record if the field is too short.
fn put_name(field: &mut [u8; 100], name: &[u8], key: &str, records: &mut Vec<u8>) {
    if name.len() > field.len() || !name.is_ascii() {
        record(records, key.as_bytes(), name);
    }
    let len = name.len().min(field.len());
    field[..len].copy_from_slice(&name[..len]);
}

/// Appends a "LENGTH KEY=VALUE\n" record, where the length includes its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn decimal(time: Timestamp) -> String {
    let Timestamp { seconds, nanos } = time;
    match (seconds < 0, nanos) {
        (_, 0) => seconds.to_string(),
        (false, _) => format!("{seconds}.{nanos:09}"),
        (true, _) => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::archive::{Archive, Kind};
    use crate::limits::Limits;

    #[test]
    fn what_is_written_is_read_again_even_where_ustar_has_no_room() {
        let long = [b"directory/".repeat(30), b"n\xff\xfe".to_vec()].concat();
        let xattr = |name: &[u8], value: &[u8]| (name.into(), value.into());
        let xattrs: Vec<Xattr> = vec![
            xattr(b"user.a", b"line\nline\0="),
            xattr(b"user.b=c%3D%25d%", b"x"),
        ];
        let mtime = Timestamp {
            seconds: -2,
            nanos: 250_000_000,
        };
        let attributes = Attributes {
            mode: 0o4755,
            uid: 3_000_000_000,
            gid: 7,
            mtime,
            xattrs: &xattrs,
        };
        let mut writer = TarWriter::new(Vec::new());
        writer.entry(&long, &Item::File(3), &attributes).unwrap();
        writer.data(&b"abc"[..], 3).unwrap();
        writer
            .entry(b"link", &Item::Symlink(&long), &attributes)
            .unwrap();
        let tar = writer.finish().unwrap();
        let mut archive = Archive::new(&tar[..], &Limits::default(), 0);
        let file = archive.next().unwrap().unwrap();
        assert_eq!(
            (file.path, file.kind, file.size),
            (long.clone(), Kind::File, 3)
        );
        assert_eq!(
            (file.mode, file.uid, file.gid, file.mtime),
            (0o4755, 3_000_000_000, 7, mtime)
        );
        assert_eq!(file.xattrs, xattrs);
        let link = archive.next().unwrap().unwrap();
        assert_eq!((link.link, link.kind), (long, Kind::Symlink));
        assert!(archive.next().unwrap().is_none());
    }

    #[test]
    fn lengths_of_records_count_themselves() {
        for size in [0, 1, 5, 85, 86, 87, 88, 89, 980, 985, 990, 9990] {
            let mut records = Vec::new();
            record(&mut records, b"k", &vec![b'v'; size]);
            let text = String::from_utf8(records).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, text.len());
        }
    }
}
