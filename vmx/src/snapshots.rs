//! The snapshots of a machine, `.vmsd`.

use std::collections::BTreeSet;

use crate::document::Document;
use crate::view::SettingError;

/// The snapshots listed in a `.vmsd` file, read from a [`Document`].
///
/// ```
/// use vmx::{Document, Snapshots};
///
/// let file = Document::parse(&b".encoding = \"UTF-8\"\n\
///     snapshot.current = \"1\"\n\
///     snapshot0.uid = \"1\"\n\
///     snapshot0.displayName = \"clean\"\n\
///     snapshot0.createTimeHigh = \"0\"\n\
///     snapshot0.createTimeLow = \"-1\"\n\
///     snapshot0.disk0.fileName = \"a.vmdk\"\n\
///     snapshot0.disk0.node = \"scsi0:0\"\n"[..])?;
/// let snapshots = Snapshots::new(&file);
///
/// assert_eq!(snapshots.current()?, Some(1));
/// let all = snapshots.all()?;
/// assert_eq!(all[0].display_name.as_deref(), Some("clean"));
/// assert_eq!(all[0].created_micros, Some(0xFFFF_FFFF));
/// assert_eq!(all[0].disks[0].node.as_deref(), Some("scsi0:0"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Snapshots<'a> {
    document: &'a Document,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The number in the names of its entries, by which the list is sorted.
    pub number: u32,
    /// The number by which other snapshots and `snapshot.current` refer to it.
    pub uid: Option<u32>,
    /// The uid of the parent: the snapshot after which it was taken.
    pub parent: Option<u32>,
    /// The name of the snapshot.
    pub display_name: Option<String>,
    /// The user's notes.
    pub description: Option<String>,
    /// The file with the state of the machine, `.vmsn`.
    pub file_name: Option<String>,
    /// The creation time in microseconds since 1970, in UTC.
    pub created_micros: Option<i64>,
    /// The disks at the time of the snapshot.
    pub disks: Vec<SnapshotDisk>,
}

/// A disk at the time of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SnapshotDisk {
    /// The file, relative to the folder of the machine.
    pub file_name: Option<String>,
    /// The device that the disk was attached as, such as `scsi0:0`.
    pub node: Option<String>,
}

impl<'a> Snapshots<'a> {
    /// Creates a view of a document.
    #[must_use]
    pub const fn new(document: &'a Document) -> Self {
        Self { document }
    }

    /// Returns the uid of the snapshot on which the current state of the machine is
    /// based.
    ///
    /// # Errors
    ///
    /// Fails if `snapshot.current` is not a whole number.
    pub fn current(&self) -> Result<Option<u32>, SettingError> {
        crate::view::read(self.document, "snapshot.current")
    }

    /// Whether there are leftover disks that a consolidation would remove.
    ///
    /// # Errors
    ///
    /// Fails if `snapshot.needConsolidate` is not a boolean.
    pub fn needs_consolidation(&self) -> Result<bool, SettingError> {
        let found = crate::view::read(self.document, "snapshot.needConsolidate")?;
        Ok(found.unwrap_or(false))
    }

    /// Returns all snapshots, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// Fails if a setting is not of its type.
    pub fn all(&self) -> Result<Vec<Snapshot>, SettingError> {
        let mut disks = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for entry in self.document.entries() {
            let Some((number, key)) = entry.name().as_str().and_then(|n| numbered(n, "snapshot"))
            else {
                continue;
            };
            numbers.insert(number);
            if let Some((disk, _)) = numbered(key, "disk") {
                disks.insert((number, disk));
            }
        }
        numbers
            .into_iter()
            .map(|number| {
                let disks = disks.range((number, 0)..=(number, u32::MAX));
                self.snapshot(number, disks.map(|(_, disk)| *disk))
            })
            .collect()
    }

    fn snapshot(
        &self,
        number: u32,
        disks: impl Iterator<Item = u32>,
    ) -> Result<Snapshot, SettingError> {
        let name = |key: &str| format!("snapshot{number}.{key}");
        let text = |key: &str| crate::view::read::<String>(self.document, &name(key));
        let high = crate::view::read::<i32>(self.document, &name("createTimeHigh"))?;
        let low = crate::view::read::<i32>(self.document, &name("createTimeLow"))?;
        Ok(Snapshot {
            number,
            uid: crate::view::read(self.document, &name("uid"))?,
            parent: crate::view::read(self.document, &name("parent"))?,
            display_name: text("displayName")?,
            description: text("description")?,
            file_name: text("filename")?,
            // The time is stored as two signed halves; the lower one is read as unsigned.
            created_micros: high
                .zip(low)
                .map(|(high, low)| i64::from(high) << 32 | i64::from(low.cast_unsigned())),
            disks: disks
                .map(|disk| {
                    Ok(SnapshotDisk {
                        file_name: text(&format!("disk{disk}.fileName"))?,
                        node: text(&format!("disk{disk}.node"))?,
                    })
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Splits a numbered name: `snapshot12.uid` with the word `snapshot` is 12 and `uid`.
fn numbered<'n>(name: &'n str, word: &str) -> Option<(u32, &'n str)> {
    let (group, key) = name.split_once('.')?;
    let (head, digits) = group.split_at_checked(word.len())?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    (head.eq_ignore_ascii_case(word) && plain).then(|| Some((digits.parse().ok()?, key)))?
}
