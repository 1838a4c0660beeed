//! Limits on the content of layers.

use std::fmt;

/// Limits on the content of layers and file systems, which protect against hostile or broken input.
///
/// The defaults admit every ordinary image. Raise a limit if necessary:
///
/// ```
/// let limits = disk_image::Limits::default().entries(10_000_000);
/// # let _ = limits;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// The number of entries in all layers, including directories without an entry. When a file
    /// system is read, the number of names in the directories of one path. Default 4,000,000.
    pub entries: u64,
    /// The unpacked size of all layers in bytes. Default 256 GiB.
    pub unpacked: u64,
    /// The compression ratio, applied after the first 64 MiB of a layer.
    /// gzip reaches about 1030. Default 2,000.
    pub ratio: u64,
    /// The depth of nested directories. Default 10,000.
    pub depth: u64,
    /// The length of a path component in bytes, at most 255. Default 255.
    pub name: u64,
    /// The length of a path or link target in bytes. Default 64 KiB.
    pub path: u64,
    /// The size of all extended attributes of one entry in bytes, including names. Default 128 KiB.
    pub xattrs: u64,
    /// The size of one tar extension header (PAX records, long names) in bytes. Default 1 MiB.
    pub extension: u64,
    /// The number of data ranges in one sparse file. Default 1,000,000.
    pub sparse: u64,
    /// The bytes of metadata kept in memory for all entries together: names, link targets,
    /// attributes, and the ranges of files that contain data. Default 512 MiB.
    pub metadata: u64,
    /// The number of path components that symbolic links in parent paths may add, for all entries
    /// together. Default 64,000,000.
    pub followed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            unpacked: 256 << 30,
            ratio: 2_000,
            depth: 10_000,
            name: 255,
            path: 64 << 10,
            xattrs: 128 << 10,
            extension: 1 << 20,
            sparse: 1_000_000,
            metadata: 512 << 20,
            followed: 64_000_000,
        }
    }
}

macro_rules! setters {
    ($($field:ident),*) => {
        impl Limits {
            $(
                #[doc = concat!("Sets the limit [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, limit: u64) -> Self {
                    self.$field = limit;
                    self
                }
            )*
        }
    };
}

setters!(
    entries, unpacked, ratio, depth, name, path, xattrs, extension, sparse, metadata, followed
);

/// The kind of an exceeded limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitKind {
    /// [`Limits::entries`](field@Limits::entries)
    Entries,
    /// [`Limits::unpacked`](field@Limits::unpacked)
    Unpacked,
    /// [`Limits::ratio`](field@Limits::ratio)
    Ratio,
    /// [`Limits::depth`](field@Limits::depth)
    Depth,
    /// [`Limits::name`](field@Limits::name)
    Name,
    /// [`Limits::path`](field@Limits::path)
    Path,
    /// [`Limits::xattrs`](field@Limits::xattrs)
    Xattrs,
    /// [`Limits::extension`](field@Limits::extension)
    Extension,
    /// [`Limits::sparse`](field@Limits::sparse)
    Sparse,
    /// [`Limits::metadata`](field@Limits::metadata)
    Metadata,
    /// [`Limits::followed`](field@Limits::followed)
    Followed,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::Unpacked => "unpacked bytes",
            Self::Ratio => "unpacked bytes for one compressed byte",
            Self::Depth => "nested directories",
            Self::Name => "bytes in a name",
            Self::Path => "bytes in a path",
            Self::Xattrs => "bytes of extended attributes",
            Self::Extension => "bytes in an extension header",
            Self::Sparse => "ranges in a sparse file",
            Self::Metadata => "bytes of names and attributes",
            Self::Followed => "path components from symbolic links",
        })
    }
}
