//! Kinds of files. VMware uses one grammar for several kinds, and keeps files of other
//! formats next to them.

use crate::document::{Document, LineKind};
use crate::name::{BYTE_ORDER_MARK, Name};

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum FileKind {
    /// A virtual machine, `.vmx`, or a template, `.vmtx`.
    Machine,
    /// The snapshots of a machine, `.vmsd`; often empty. See
    /// [`Snapshots`](crate::Snapshots).
    Snapshots,
    /// Preferences of a product, or its list of machines.
    Preferences,
    /// Some other file in this grammar, or an empty file.
    Dictionary,
    /// Extended configuration, `.vmxf`: XML, which this crate does not read.
    ExtendedConfig,
    /// A disk descriptor, `.vmdk`: text in a different grammar.
    DiskDescriptor,
    /// A disk image, `.vmdk`.
    Disk,
    /// The firmware's non-volatile memory, `.nvram`.
    Nvram,
    /// Other binary content: the first line is malformed and contains control characters,
    /// and no name that a machine has follows.
    Binary,
}

impl FileKind {
    /// Determines the kind of a file from its bytes.
    ///
    /// ```
    /// use vmx::FileKind;
    ///
    /// assert_eq!(FileKind::of(b"<?xml version=\"1.0\"?>\n<Foundry>"), FileKind::ExtendedConfig);
    /// assert_eq!(FileKind::of(b"memsize = \"4\"\n"), FileKind::Machine);
    /// assert!(!FileKind::of(b"# Disk DescriptorFile\n").is_dictionary());
    /// ```
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let plain = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let start = plain.trim_ascii_start();
        if plain.starts_with(b"KDMV") || plain.starts_with(b"COWD") {
            return Self::Disk;
        }
        if plain.starts_with(b"MRVN") {
            return Self::Nvram;
        }
        if start.starts_with(b"# Disk DescriptorFile") {
            return Self::DiskDescriptor;
        }
        if start.starts_with(b"<") {
            return Self::ExtendedConfig;
        }
        let Ok(document) = Document::parse_lenient(bytes) else {
            return Self::Dictionary;
        };
        match document.kind() {
            Self::Dictionary if starts_binary(&document) => Self::Binary,
            kind => kind,
        }
    }

    /// Whether the file uses the grammar of [`Document`].
    #[must_use]
    pub const fn is_dictionary(self) -> bool {
        matches!(
            self,
            Self::Machine | Self::Snapshots | Self::Preferences | Self::Dictionary
        )
    }
}

fn starts_binary(document: &Document) -> bool {
    let is_control = |byte: &u8| *byte != b'\t' && byte.is_ascii_control();
    document.lines().next().is_some_and(|line| {
        matches!(line.kind(), LineKind::Malformed) && line.content().iter().any(is_control)
    })
}

impl Document {
    /// Determines the kind of the file from the names in it.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        let has = |test: fn(Name<'_>) -> bool| self.entries().any(|entry| test(entry.name()));
        if has(|name| name.starts_with("snapshot.") || name.starts_with("snapshot0.")) {
            // A machine file also has a setting with this prefix.
            if !self.contains("virtualHW.version") && !self.contains("config.version") {
                return FileKind::Snapshots;
            }
        }
        if has(|name| name.starts_with("pref.") || name.starts_with("vmlist1.")) {
            return FileKind::Preferences;
        }
        let of_machine = [
            "virtualHW.version",
            "config.version",
            "displayName",
            "guestOS",
            "memSize",
        ];
        if of_machine.iter().any(|name| self.contains(name)) || self.is_encrypted() {
            return FileKind::Machine;
        }
        FileKind::Dictionary
    }

    /// Whether the settings are encrypted: `encryption.data` holds them, and
    /// `encryption.keySafe` holds the password-protected key.
    ///
    /// Nothing is decrypted. Both values are kept unchanged, and the few unencrypted
    /// entries can be read and edited.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.contains("encryption.data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (bytes, kind) in [
            (&b""[..], FileKind::Dictionary),
            (b"\xEF\xBB\xBF  \n<Foundry>", FileKind::ExtendedConfig),
            (b"KDMV\x01\0\0\0", FileKind::Disk),
            (b"MRVN\x01\0\0\0", FileKind::Nvram),
            (
                b"# Disk DescriptorFile\nversion=1\n",
                FileKind::DiskDescriptor,
            ),
            (b"pref.x = \"1\"\n", FileKind::Preferences),
            (
                b".encoding = \"UTF-8\"\nsnapshot.lastUID = \"1\"\n",
                FileKind::Snapshots,
            ),
            (
                b"config.version = \"8\"\nsnapshot.redoNotWithParent = \"TRUE\"\n",
                FileKind::Machine,
            ),
            (b"encryption.data = \"AAAA\"\n", FileKind::Machine),
            (b"a = \"1\"\n", FileKind::Dictionary),
            (b"\x7FELF\x02\x01\x01\0\0\0", FileKind::Binary),
            (b"\x7FELF\nmemsize = \"4\"\n", FileKind::Machine),
            (b"prose\n\x01\n", FileKind::Dictionary),
            (b"a = \"1\"\n\0\0\0\0", FileKind::Dictionary),
            (b"\0\0\0\0", FileKind::Dictionary),
        ] {
            assert_eq!(FileKind::of(bytes), kind, "{bytes:?}");
        }
    }
}
