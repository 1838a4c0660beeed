//! The places where a host keeps volumes.

use std::fmt;
use std::str::FromStr;

use guestinfo::GoUrl;
use serde::{Deserialize, Serialize};
use vsphere_client::DatastorePath;

/// A place where the programs of a host's appliance keep volumes: a directory of a datastore, or an
/// NFS export. The installation checks that the datastore exists, and records the place; it creates
/// nothing there, and the deletion of the host removes nothing there.
///
/// ```
/// use portlayer::vsphere::VolumeStore;
///
/// let store: VolumeStore = "ds://datastore1/volumes".parse()?;
/// assert_eq!(store.datastore(), Some("datastore1"));
/// assert_eq!(store.to_string(), "ds://datastore1/volumes");
/// # Ok::<(), portlayer::vsphere::VolumeStoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeStore(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A directory of a datastore.
    Datastore(DatastorePath),
    /// The URL of an NFS export, with the options in its query.
    Nfs(GoUrl),
}

impl VolumeStore {
    /// Returns the name of the datastore, unless the volumes are on an NFS server.
    #[must_use]
    pub fn datastore(&self) -> Option<&str> {
        match &self.0 {
            Place::Datastore(path) => Some(path.datastore()),
            Place::Nfs(_) => None,
        }
    }

    /// Returns the place as VIC stores it: the path is `[datastore] path`.
    pub(in crate::vsphere) fn to_url(&self) -> GoUrl {
        match &self.0 {
            Place::Datastore(path) => GoUrl {
                scheme: "ds".into(),
                host: path.datastore().into(),
                path: path.to_string(),
                ..GoUrl::default()
            },
            Place::Nfs(url) => url.clone(),
        }
    }

    /// Reads what [`to_url`](Self::to_url) returned; `None` for another URL.
    pub(in crate::vsphere) fn from_url(url: GoUrl) -> Option<Self> {
        if url.scheme == "nfs" {
            return Some(Self(Place::Nfs(url)));
        }
        let path = url.path.parse().ok()?;
        Some(Self(Place::Datastore(path)))
    }
}

impl FromStr for VolumeStore {
    type Err = VolumeStoreError;

    /// Parses `ds://DATASTORE/PATH`, which may be written without the scheme, or
    /// `nfs://HOST/PATH?uid=UID&gid=GID&proto=PROTOCOL`.
    fn from_str(text: &str) -> Result<Self, VolumeStoreError> {
        let wrong = || VolumeStoreError(text.to_owned());
        if text.chars().any(char::is_control) {
            return Err(wrong());
        }
        if text.starts_with("nfs://") {
            let url: GoUrl = text.parse().map_err(|_unparsable| wrong())?;
            let is_whole = !url.host.is_empty() && url.path.len() > 1;
            return is_whole.then_some(Self(Place::Nfs(url))).ok_or_else(wrong);
        }
        let place = text.strip_prefix("ds://").unwrap_or(text);
        let (datastore, path) = place.split_once('/').unwrap_or((place, ""));
        if datastore.is_empty() || place.contains("://") || datastore.contains(['[', ']', ':']) {
            return Err(wrong());
        }
        let path = DatastorePath::new(datastore, path.trim_matches('/'));
        Ok(Self(Place::Datastore(path)))
    }
}

impl fmt::Display for VolumeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Datastore(path) => {
                write!(f, "ds://{}", path.datastore())?;
                match path.path() {
                    "" => Ok(()),
                    path => write!(f, "/{path}"),
                }
            }
            Place::Nfs(url) => url.fmt(f),
        }
    }
}

impl TryFrom<String> for VolumeStore {
    type Error = VolumeStoreError;

    fn try_from(text: String) -> Result<Self, VolumeStoreError> {
        text.parse()
    }
}

impl From<VolumeStore> for String {
    fn from(store: VolumeStore) -> Self {
        store.to_string()
    }
}

/// The error of a text that is not the place of a volume store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStoreError(String);

impl fmt::Display for VolumeStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no place for volumes: write ds://DATASTORE/PATH or nfs://HOST/PATH",
            self.0
        )
    }
}

impl std::error::Error for VolumeStoreError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn places_are_read_as_they_were_written() {
        for (text, shown, path) in [
            ("ds://fast/volumes", "ds://fast/volumes", "[fast] volumes"),
            ("fast/a/b/", "ds://fast/a/b", "[fast] a/b"),
            ("ds://my store", "ds://my store", "[my store]"),
            (
                "nfs://10.0.0.9/export?uid=5&proto=tcp",
                "nfs://10.0.0.9/export?uid=5&proto=tcp",
                "/export",
            ),
        ] {
            let store: VolumeStore = text.parse().unwrap();
            assert_eq!(store.to_string(), shown);
            assert_eq!(store.to_url().path.trim_end(), path, "{text}");
            assert_eq!(VolumeStore::from_url(store.to_url()), Some(store));
        }
    }

    #[test]
    fn other_places_are_refused() {
        for text in [
            "",
            "/a",
            "ds://",
            "http://a/b",
            "nfs://a",
            "nfs:///a",
            "[a] b",
        ] {
            let error = text.parse::<VolumeStore>().unwrap_err();
            assert!(error.to_string().contains("nfs://HOST/PATH"), "{text}");
        }
    }
}
