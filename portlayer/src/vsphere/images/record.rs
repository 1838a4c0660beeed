//! The record of an image, as stored in the keys of its machine.
//!
//! | key | holds |
//! | --- | --- |
//! | `portlayer/image` | the version of this format |
//! | `portlayer/image/chain` | the chain id of the layers on the disk |
//! | `portlayer/image/writer` | a random name of the import that writes the disk |
//! | `portlayer/image/size` | bytes of the files, unpacked |
//! | `portlayer/image/capacity` | bytes of the file system |
//! | `portlayer/image/of/<id>` | JSON: the length of the image's configuration, its labels, the time of the import |
//! | `portlayer/image/of/<id>/<n>` | the configuration in base64, in parts |
//! | `portlayer/image/done` | written last: the disk is complete |
//! | `portlayer/image/removing` | the disk that is about to be deleted |
//!
//! None of these keys begins with `guestinfo.`, so guests cannot see them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::image::{ChainId, Digest, ImageConfig, ImageId, ImageInfo};
use crate::vsphere::packed_keys::Expanded;
use crate::vsphere::record::Keys;

const MARK: &str = "portlayer/image";
const CHAIN: &str = "portlayer/image/chain";
const WRITER: &str = "portlayer/image/writer";
const SIZE: &str = "portlayer/image/size";
const CAPACITY: &str = "portlayer/image/capacity";
const DONE: &str = "portlayer/image/done";
const REMOVING: &str = "portlayer/image/removing";
const OF: &str = "portlayer/image/of/";

/// The format version that this code writes.
const VERSION: &str = "1";
/// Maximum length of a value, and a multiple of 4: some endpoints do not store more than 60 KiB.
const PART: usize = 60 * 1024;
/// Maximum size of all configurations: hosts refuse configuration files of 1 MiB or more, and other
/// keys need space too.
const CONFIGS_MAX: usize = 512 * 1024;
/// Maximum size of all labels of an image as JSON, in bytes.
const LABELS_MAX: usize = 32 * 1024;

/// The record of a disk with layers, and of the images that share it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::vsphere) struct ImageRecord {
    pub(super) chain: ChainId,
    pub(super) writer: String,
    pub(super) size: u64,
    pub(super) capacity: u64,
    pub(super) images: Vec<ImageInfo>,
    /// Images with invalid keys, each with the reason.
    pub(super) broken: Vec<(String, String)>,
    pub(super) state: RecordState,
}

/// The state of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordState {
    /// The disk is being written, or its import was interrupted.
    Unfinished,
    Done,
    /// The disk is being removed. Contains the disk's path once it has been detached.
    Removing(Option<String>),
}

/// The part of an image's record that is not its configuration.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Length of the configuration in bytes.
    bytes: usize,
    #[serde(default)]
    imported: Option<Timestamp>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The reason why an image is too large to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooLarge {
    #[error(
        "the configurations of images with the same layers have {0} bytes together; at most 384 KiB can be stored"
    )]
    Config(usize),
    #[error("the labels have {0} bytes; at most 32 KiB can be stored")]
    Labels(usize),
}

impl TooLarge {
    /// Returns the field of an import that is too large.
    pub(super) const fn field(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Labels(_) => "labels",
        }
    }
}

/// Returns whether these keys belong to an image's machine, valid or not.
fn is_image(keys: &Keys) -> bool {
    keys.contains_key(MARK)
}

impl ImageRecord {
    /// Creates the record of a disk that will be written.
    pub(super) fn new(chain: ChainId, writer: String, size: u64, capacity: u64) -> Self {
        Self {
            chain,
            writer,
            size,
            capacity,
            images: Vec::new(),
            broken: Vec::new(),
            state: RecordState::Unfinished,
        }
    }

    /// Returns whether the keys are those of an image.
    pub(in crate::vsphere) fn is_image(keys: &Expanded) -> bool {
        keys.contains(MARK)
    }

    /// Returns whether these keys belong to an image that is being imported or removed.
    pub(in crate::vsphere) fn is_incomplete(keys: &Keys) -> bool {
        let has = |key: &str| keys.get(key).is_some_and(|value| !value.is_empty());
        is_image(keys) && (has(REMOVING) || !has(DONE))
    }

    /// Reads the keys of a machine; returns `None` if it does not belong to an image.
    pub(in crate::vsphere) fn read(keys: &Keys) -> Option<Result<Self, String>> {
        is_image(keys).then(|| Self::parse(keys))
    }

    fn parse(keys: &Keys) -> Result<Self, String> {
        let text = |key: &str| {
            let value = keys.get(key).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("its machine has no key {key:?}"))
        };
        let version = text(MARK)?;
        if version != VERSION {
            return Err(format!("its record has the unknown version {version:?}"));
        }
        let number = |key| {
            let value = text(key)?;
            value
                .parse()
                .map_err(|_| format!("the value of {key:?} is not a number"))
        };
        let chain = text(CHAIN)?.parse();
        let chain: ChainId = chain.map_err(|error| format!("its chain id: {error}"))?;
        let state = match (keys.get(REMOVING), text(DONE)) {
            (Some(disk), _) if !disk.is_empty() => {
                RecordState::Removing(Some(disk.clone()).filter(|disk| disk != NOT_YET))
            }
            (_, Ok(_)) => RecordState::Done,
            _ => RecordState::Unfinished,
        };
        let (size, capacity) = (number(SIZE)?, number(CAPACITY)?);
        let mut images = Vec::new();
        let mut broken = Vec::new();
        for (key, value) in keys.range(OF.to_owned()..) {
            let Some(name) = key.strip_prefix(OF) else {
                break;
            };
            if name.contains('/') || value.is_empty() {
                continue;
            }
            match image(keys, name, value, (size, capacity)) {
                Ok(image) if image.config.chain_id() == chain => images.push(image),
                Ok(_) => broken.push((name.to_owned(), "its layers differ".to_owned())),
                Err(reason) => broken.push((name.to_owned(), reason)),
            }
        }
        Ok(Self {
            chain,
            writer: text(WRITER).cloned().unwrap_or_default(),
            size,
            capacity,
            images,
            broken,
            state,
        })
    }

    /// Returns all keys of a machine whose disk will be written.
    pub(super) fn keys(&self) -> Result<Keys, TooLarge> {
        let mut keys = Keys::from([
            (MARK.to_owned(), VERSION.to_owned()),
            (CHAIN.to_owned(), self.chain.to_string()),
            (WRITER.to_owned(), self.writer.clone()),
            (SIZE.to_owned(), self.size.to_string()),
            (CAPACITY.to_owned(), self.capacity.to_string()),
        ]);
        for image in &self.images {
            keys.extend(self.entry(image)?);
        }
        Ok(keys)
    }

    /// Returns the keys of another image on this disk.
    pub(super) fn entry(&self, image: &ImageInfo) -> Result<Keys, TooLarge> {
        let others = self.images.iter().filter(|other| other.id != image.id);
        let bytes: usize = others
            .chain([image])
            .map(|image| image.config.bytes().len().div_ceil(3) * 4)
            .sum();
        if bytes > CONFIGS_MAX {
            return Err(TooLarge::Config(bytes / 4 * 3));
        }
        let labels: usize = image
            .labels
            .iter()
            .map(|(k, v)| k.len() + v.len() + 8)
            .sum();
        if labels > LABELS_MAX {
            return Err(TooLarge::Labels(labels));
        }
        let key = format!("{OF}{}", image.id.digest().hex());
        let config = BASE64.encode(image.config.bytes());
        let entry = Entry {
            bytes: image.config.bytes().len(),
            imported: image.imported,
            labels: image.labels.clone(),
        };
        // Serializing strings and a number cannot fail.
        let entry = serde_json::to_string(&entry).unwrap_or_default();
        let mut keys = Keys::from([(key.clone(), entry)]);
        for (number, part) in config.as_bytes().chunks(PART).enumerate() {
            let part = String::from_utf8_lossy(part).into_owned();
            keys.insert(format!("{key}/{number}"), part);
        }
        Ok(keys)
    }

    /// Returns the changes that remove one image from this disk; an empty value deletes a key.
    pub(super) fn without(&self, id: &ImageId, keys: &Keys) -> Keys {
        let key = format!("{OF}{}", id.digest().hex());
        let parts = format!("{key}/");
        keys.keys()
            .filter(|other| **other == key || other.starts_with(&parts))
            .map(|key| (key.clone(), String::new()))
            .collect()
    }

    /// Returns the image with this id, if it is on this disk.
    pub(super) fn image(&self, id: &ImageId) -> Option<&ImageInfo> {
        self.images.iter().find(|image| image.id == *id)
    }
}

/// Placeholder for the path of a disk that is still attached.
const NOT_YET: &str = "attached";

/// Returns the change that marks a disk as complete, the last write of an import.
pub(super) fn done(now: Timestamp) -> Keys {
    Keys::from([(DONE.to_owned(), now.to_string())])
}

/// Returns the change that marks a disk as being removed. After it, no containers are created from
/// the disk.
pub(super) fn removing(disk: Option<&str>) -> Keys {
    let disk = disk.unwrap_or(NOT_YET);
    Keys::from([
        (DONE.to_owned(), String::new()),
        (REMOVING.to_owned(), disk.to_owned()),
    ])
}

/// Returns the change that makes a complete disk usable again.
pub(super) fn restored(now: Timestamp) -> Keys {
    let mut keys = done(now);
    keys.insert(REMOVING.to_owned(), String::new());
    keys
}

/// Returns the change by which another writer takes over an interrupted import or removal.
pub(super) fn claimed(writer: &str) -> Keys {
    Keys::from([(WRITER.to_owned(), writer.to_owned())])
}

fn image(
    keys: &Keys,
    name: &str,
    entry: &str,
    (size, capacity): (u64, u64),
) -> Result<ImageInfo, String> {
    let entry: Entry =
        serde_json::from_str(entry).map_err(|error| format!("cannot read its entry: {error}"))?;
    if entry.bytes > CONFIGS_MAX {
        return Err("its configuration is too long".to_owned());
    }
    let parts = (entry.bytes.div_ceil(3) * 4).div_ceil(PART);
    let mut config = String::new();
    for number in 0..parts {
        let part = keys.get(&format!("{OF}{name}/{number}"));
        config += part.ok_or_else(|| format!("part {number} of its configuration is missing"))?;
    }
    let config = BASE64
        .decode(config)
        .map_err(|error| format!("its configuration is not valid base64: {error}"))?;
    let digest = Digest::of(&config);
    if digest.hex() != name {
        return Err("the digest of its configuration differs from its name".to_owned());
    }
    let config = ImageConfig::parse(config).map_err(|error| error.to_string())?;
    let mut info = ImageInfo::new(config, size, capacity);
    info.imported = entry.imported;
    info.labels = entry.labels;
    Ok(info)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn info(command: &str) -> ImageInfo {
        let layer = Digest::of(b"layer");
        let json = format!(
            r#"{{"os":"linux","config":{{"Cmd":["{command}"]}},"rootfs":{{"diff_ids":["{layer}"]}}}}"#
        );
        let mut info = ImageInfo::new(ImageConfig::parse(json).unwrap(), 10, 20);
        info.imported = Some(Timestamp::from_second(1_700_000_000).unwrap());
        info.labels.insert("ref".into(), "a\"b:\u{e4}".into());
        info
    }

    fn record(images: Vec<ImageInfo>) -> ImageRecord {
        let chain = images[0].config.chain_id();
        ImageRecord {
            images,
            ..ImageRecord::new(chain, "w".into(), 10, 20)
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_once_the_mark_is_there() {
        let mut record = record(vec![info(&"x".repeat(200_000)), info("/b")]);
        record.images.sort_by_key(|image| image.id);
        let mut keys = record.keys().unwrap();
        assert!(keys.values().all(|value| value.len() <= 60 * 1024));
        assert!(keys.keys().all(|key| !key.starts_with("guestinfo")));
        assert_eq!(ImageRecord::read(&keys).unwrap().unwrap(), record);
        keys.extend(done(Timestamp::now()));
        record.state = RecordState::Done;
        assert_eq!(ImageRecord::read(&keys).unwrap().unwrap(), record);
        keys.extend(removing(None));
        record.state = RecordState::Removing(None);
        assert_eq!(ImageRecord::read(&keys).unwrap().unwrap(), record);
        keys.extend(removing(Some("[ds] a.vmdk")));
        record.state = RecordState::Removing(Some("[ds] a.vmdk".into()));
        assert_eq!(ImageRecord::read(&keys).unwrap().unwrap(), record);
        assert_eq!(ImageRecord::read(&Keys::new()), None);
    }

    #[test]
    fn an_image_is_taken_off_with_all_its_parts_and_nothing_else() {
        let (one, other) = (info(&"x".repeat(200_000)), info("/b"));
        let record = record(vec![one.clone(), other.clone()]);
        let mut keys = record.keys().unwrap();
        let change = record.without(&one.id, &keys);
        assert!(change.len() > 3 && change.values().all(String::is_empty));
        keys.retain(|key, _| !change.contains_key(key));
        assert_eq!(ImageRecord::read(&keys).unwrap().unwrap().images, [other]);
    }

    #[test]
    fn what_was_tampered_with_is_broken_and_spoils_nothing_else() {
        let (one, other) = (info("/a"), info("/b"));
        let keys = record(vec![one.clone(), other.clone()]).keys().unwrap();
        let part = format!("{OF}{}/0", one.id.digest().hex());
        for value in [Some("!"), Some("e30="), None] {
            let mut keys = keys.clone();
            match value {
                Some(value) => drop(keys.insert(part.clone(), value.to_owned())),
                None => drop(keys.remove(&part)),
            }
            let read = ImageRecord::read(&keys).unwrap().unwrap();
            assert_eq!(read.images, std::slice::from_ref(&other));
            assert_eq!(read.broken.len(), 1);
        }
        let mut keys = keys;
        keys.insert(SIZE.into(), "many".into());
        assert!(ImageRecord::read(&keys).unwrap().is_err());
    }

    #[test]
    fn what_a_machine_cannot_hold_is_refused() {
        let large = info(&"x".repeat(600_000));
        let error = record(vec![large]).keys().unwrap_err();
        assert_eq!(error.field(), "config");
        let mut labelled = info("/a");
        labelled.labels.insert("a".into(), "x".repeat(40_000));
        assert_eq!(record(vec![labelled]).keys().unwrap_err().field(), "labels");
    }
}
