//! The layers to convert: files of Debian's packages, and many small files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use disk_image::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Size of the tar of packages in bytes.
const BYTES: u64 = 200_000_000;
/// Number of regular files in all layers.
const FILES: usize = 55_000;

/// A layer in a file.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) path: PathBuf,
    /// The digest of the tar, decompressed.
    pub(crate) diff_id: Digest,
}

impl Layer {
    /// Describes a tar that is not compressed.
    fn plain(path: PathBuf) -> Self {
        let diff_id = Digest::of(&fs::read(&path).unwrap());
        Self { path, diff_id }
    }
}

pub(crate) struct Layers {
    /// Files of packages, as a plain tar.
    pub(crate) debian: Layer,
    pub(crate) debian_bytes: u64,
    debian_files: usize,
    /// The same compressed with gzip.
    pub(crate) packed: Layer,
    /// Small files in small directories, and in a large one.
    small: [Layer; 2],
}

impl Layers {
    pub(crate) fn create(folder: &Path) -> Self {
        let debian = folder.join("debian.tar");
        let debian_files = packages(&debian);
        let packed = folder.join("debian.tar.gz");
        let mut gzip = GzEncoder::new(File::create(&packed).unwrap(), Compression::new(6));
        std::io::copy(&mut File::open(&debian).unwrap(), &mut gzip).unwrap();
        gzip.finish().unwrap();
        let small = [folder.join("small.tar"), folder.join("large.tar")];
        let rest = FILES - debian_files;
        let few = rest / 10;
        write_small(&small[0], few, |number| {
            format!("srv/{}/{number}", number / 10)
        });
        write_small(&small[1], rest - few, |number| {
            format!("var/large/{number}")
        });
        let debian_bytes = fs::metadata(&debian).unwrap().len();
        let debian = Layer::plain(debian);
        let packed = Layer {
            path: packed,
            diff_id: debian.diff_id,
        };
        Self {
            debian,
            debian_bytes,
            debian_files,
            packed,
            small: small.map(Layer::plain),
        }
    }

    /// Returns all layers, plain, the lowest first.
    pub(crate) fn all(&self) -> [Layer; 3] {
        let [small, large] = self.small.clone();
        [self.debian.clone(), small, large]
    }

    pub(crate) fn describe(&self) -> String {
        let all: u64 = self
            .all()
            .iter()
            .map(|layer| fs::metadata(&layer.path).unwrap().len())
            .sum();
        format!(
            "Debian layer: {} bytes, {} files; 3 layers: {all} bytes, {FILES} files",
            self.debian_bytes, self.debian_files
        )
    }
}

/// Writes the files of installed packages in the order of the packages' names, and returns the
/// number of regular files.
fn packages(to: &Path) -> usize {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(to).unwrap()));
    tar.follow_symlinks(false);
    let lists = fs::read_dir("/var/lib/dpkg/info").expect("the layers are files of Debian");
    let mut lists: Vec<PathBuf> = lists.map(|entry| entry.unwrap().path()).collect();
    lists.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "list")
    });
    lists.sort();
    let (mut written, mut files) = (0, 0);
    let mut seen = BTreeSet::new();
    for path in lists.iter().flat_map(|list| {
        fs::read_to_string(list)
            .unwrap_or_default()
            .lines()
            .map(PathBuf::from)
            .collect::<Vec<_>>()
    }) {
        let (Ok(name), Ok(meta)) = (path.strip_prefix("/"), fs::symlink_metadata(&path)) else {
            continue;
        };
        // On a system with merged directories, /bin/x is /usr/bin/x.
        let merged = ["bin", "sbin", "lib", "lib64"]
            .iter()
            .any(|old| name.starts_with(old));
        let ordinary = meta.is_file() || meta.is_dir() || meta.is_symlink();
        if name.as_os_str().is_empty()
            || merged
            || !ordinary
            || !seen.insert(name.to_owned())
            || tar.append_path_with_name(&path, name).is_err()
        {
            continue;
        }
        files += usize::from(meta.is_file());
        written += 512 + if meta.is_file() { meta.len() } else { 0 };
        if written >= BYTES {
            break;
        }
    }
    assert!(written >= BYTES * 9 / 10, "too few packages are installed");
    tar.into_inner().unwrap().flush().unwrap();
    files
}

fn write_small(to: &Path, count: usize, name: impl Fn(usize) -> String) {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(to).unwrap()));
    for number in 0..count {
        let line = format!("{} is the content of a small file.\n", name(number));
        let data = line.repeat(1 + number % 60);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        tar.append_data(&mut header, name(number), data.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().flush().unwrap();
}
