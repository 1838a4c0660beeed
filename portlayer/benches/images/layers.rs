//! The image: files of this system in several layers.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use portlayer::image::{Digest, Image, ImageConfig, Layer};

pub(crate) struct Layers {
    folder: PathBuf,
    /// The file with the image's configuration.
    pub(crate) config: PathBuf,
    count: usize,
    files: usize,
    /// Total size of the layers in bytes.
    pub(crate) bytes: u64,
}

/// Returns the file of a layer.
fn layer(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("layer-{number}.tar"))
}

impl Layers {
    /// Writes about this many bytes to `count` layers.
    pub(crate) fn create(folder: &Path, bytes: u64, count: usize) -> Self {
        let mut paths = Vec::new();
        let mut found = 0;
        walk(Path::new("/usr"), bytes, &mut found, &mut paths);
        assert!(found >= bytes, "/usr has only {found} bytes of files");
        let mut diff_ids = Vec::new();
        let mut total = 0;
        let mut files = paths.iter().peekable();
        for number in 0..count {
            let path = layer(folder, number);
            let mut tar = tar::Builder::new(BufWriter::new(File::create(&path).unwrap()));
            tar.follow_symlinks(false);
            let mut written = 0;
            while written < found / count as u64
                && let Some(path) = files.next()
            {
                let name = path.strip_prefix("/").unwrap();
                tar.append_path_with_name(path, name).unwrap();
                written += fs::symlink_metadata(path).unwrap().len();
            }
            tar.into_inner().unwrap().flush().unwrap();
            let content = fs::read(&path).unwrap();
            total += content.len() as u64;
            diff_ids.push(Digest::of(&content).to_string());
        }
        let layers = Self {
            folder: folder.to_owned(),
            config: folder.join("image.json"),
            count,
            files: paths.len(),
            bytes: total,
        };
        fs::write(&layers.config, config(&diff_ids)).unwrap();
        fs::write(folder.join("first.json"), config(&diff_ids[..1])).unwrap();
        layers
    }

    /// Returns an image with only the first layer.
    pub(crate) fn first(&self) -> Self {
        Self {
            folder: self.folder.clone(),
            config: self.folder.join("first.json"),
            count: 1,
            files: 0,
            bytes: 0,
        }
    }

    pub(crate) fn describe(&self) -> String {
        let Self {
            count,
            files,
            bytes,
            ..
        } = self;
        format!("{count} layers: {bytes} bytes, {files} files")
    }
}

fn config(diff_ids: &[String]) -> String {
    serde_json::json!({
        "os": "linux",
        "architecture": "amd64",
        "config": { "Cmd": ["/usr/bin/true"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
}

/// Opens the image whose configuration is in a file; its layers are files next to it.
pub(crate) fn open(config: &Path) -> Image {
    let folder = config.parent().unwrap();
    let config = ImageConfig::parse(fs::read_to_string(config).unwrap()).unwrap();
    let layers: Vec<_> = config
        .diff_ids()
        .iter()
        .enumerate()
        .map(|(number, diff_id)| {
            let path = layer(folder, number);
            Layer::new(*diff_id, move || {
                File::open(&path).map(|file| Box::new(file) as Box<dyn Read + Send>)
            })
        })
        .collect();
    Image::new(config, layers)
}

/// Collects readable files and links below a directory, in the order of their names.
fn walk(directory: &Path, most: u64, bytes: &mut u64, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if *bytes >= most {
            return;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, most, bytes, found),
            Ok(kind) if kind.is_symlink() => found.push(path),
            Ok(kind) if kind.is_file() && File::open(&path).is_ok() => {
                *bytes += entry.metadata().map_or(0, |meta| meta.len());
                found.push(path);
            }
            _ => {}
        }
    }
}
