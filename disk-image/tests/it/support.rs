//! Builds layers in memory, and describes disks as text.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use disk_image::ext4::{FileKind, Reader};
use disk_image::{FsOptions, LayerDigests, LayerSource, Limits, Merge, Monitor, Plan};
use tar::{EntryType, Header};

/// A builder of tar archives.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn file(self, path: &str, data: &[u8]) -> Self {
        self.add(path, EntryType::Regular, "", data, |_| {})
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.add(path, EntryType::Directory, "", b"", |header| {
            header.set_mode(0o755);
        })
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.add(path, EntryType::Symlink, target, b"", |_| {})
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.add(path, EntryType::Link, target, b"", |_| {})
    }

    pub(crate) fn add(
        self,
        path: &str,
        kind: EntryType,
        link: &str,
        data: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(data.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.raw(header.as_bytes()).raw(data).pad()
    }

    /// Appends PAX records for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..)
                .find(|n| rest + n.to_string().len() == *n)
                .unwrap();
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.add("PaxHeader", EntryType::XHeader, "", &data, |_| {})
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn pad(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }
}

pub(crate) fn source(bytes: Vec<u8>) -> Arc<dyn LayerSource> {
    Arc::new(Arc::<[u8]>::from(bytes))
}

pub(crate) fn try_merge(
    layers: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Merge, disk_image::Error> {
    let mut merge = Merge::new(Limits::default());
    for layer in layers {
        merge.layer(source(layer), LayerDigests::none(), &Monitor::new())?;
    }
    Ok(merge)
}

pub(crate) fn merge(layers: impl IntoIterator<Item = Vec<u8>>) -> Merge {
    try_merge(layers).unwrap()
}

pub(crate) fn options(size: u64) -> FsOptions {
    FsOptions::new(size, uuid::Uuid::from_u128(0x1234)).label("test")
}

pub(crate) fn raw(plan: &Plan) -> Vec<u8> {
    plan.write_raw(Vec::new(), &Monitor::new()).unwrap()
}

/// Returns a disk of 16 MiB with the layers.
pub(crate) fn disk(layers: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    raw(&merge(layers)
        .plan(&options(16 << 20), &Monitor::new())
        .unwrap())
}

/// Maps every path to its type and content: `d`, `f:content`, `l:target`, ...
pub(crate) fn tree(disk: &Vec<u8>) -> BTreeMap<String, String> {
    let reader = Reader::open(disk).unwrap();
    let mut tree = BTreeMap::new();
    let visit = |visited: &disk_image::ext4::Visited<'_>| {
        let inode = visited.inode;
        let text = match inode.kind() {
            FileKind::Directory => "d".to_owned(),
            FileKind::File => {
                let mut content = Vec::new();
                reader.file(inode)?.read_to_end(&mut content).unwrap();
                assert_eq!(content.len() as u64, inode.size());
                let content = &content[..content.len().min(60)];
                format!("f:{}", content.escape_ascii())
            }
            FileKind::Symlink => format!("l:{}", reader.read_link(inode)?.escape_ascii()),
            kind => format!("{kind:?}"),
        };
        if !visited.path.is_empty() {
            tree.insert(visited.path.escape_ascii().to_string(), text);
        }
        Ok(true)
    };
    reader
        .walk(&reader.root().unwrap(), &Monitor::new(), visit)
        .unwrap();
    tree
}

/// Returns the tree of the merged layers, as [`tree`] does.
pub(crate) fn merged(layers: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<String, String> {
    tree(&disk(layers))
}

pub(crate) fn expect(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(path, what)| ((*path).to_owned(), (*what).to_owned()))
        .collect()
}
