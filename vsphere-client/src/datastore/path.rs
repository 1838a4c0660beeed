//! Datastore paths: `[datastore] directory/file`.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The path of a file or directory on a datastore, in the notation of the API.
///
/// ```
/// use vsphere_client::DatastorePath;
///
/// let path: DatastorePath = "[ds 1] c-1/c-1.vmx".parse()?;
/// assert_eq!((path.datastore(), path.path()), ("ds 1", "c-1/c-1.vmx"));
/// assert_eq!(path.file_name(), "c-1.vmx");
/// assert_eq!(path.parent().to_string(), "[ds 1] c-1");
/// assert_eq!(path.parent().join("c-1.vmdk").to_string(), "[ds 1] c-1/c-1.vmdk");
/// # Ok::<(), vsphere_client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatastorePath {
    datastore: String,
    path: String,
}

impl DatastorePath {
    /// Creates a path from the name of the datastore and the path on it, which is empty
    /// for the datastore's top directory.
    #[must_use]
    pub fn new(datastore: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            datastore: datastore.into(),
            path: path.into(),
        }
    }

    /// Returns the name of the datastore; empty for a path that is absolute on the host.
    #[must_use]
    pub fn datastore(&self) -> &str {
        &self.datastore
    }

    /// Returns the path on the datastore; empty for its top directory.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the last component of the path; empty for the top directory.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let path = self.path.trim_end_matches('/');
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }

    /// Returns the parent directory; the top directory is its own parent.
    #[must_use]
    pub fn parent(&self) -> Self {
        let path = self.path.trim_end_matches('/');
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self::new(&self.datastore, parent)
    }

    /// Returns the path of an entry in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let path = match self.path.trim_end_matches('/') {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        Self::new(&self.datastore, path)
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.path.is_empty() { "" } else { " " };
        write!(f, "[{}]{space}{}", self.datastore, self.path)
    }
}

impl FromStr for DatastorePath {
    type Err = Error;

    /// Parses `[datastore] path`; the path may be missing.
    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((datastore, path)) = parts else {
            return Err(Error::config(format!(
                "not a datastore path: {text:?}; expected [datastore] directory/file"
            )));
        };
        Ok(Self::new(datastore, path.strip_prefix(' ').unwrap_or(path)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_that_servers_write_are_read() {
        for (text, datastore, path) in [
            ("[ds1] vm/vm.vmx", "ds1", "vm/vm.vmx"),
            ("[ds1]vm/vm.vmx", "ds1", "vm/vm.vmx"),
            ("[ds1]", "ds1", ""),
            ("[ds1] ", "ds1", ""),
            ("[] /vmfs/volumes/x/y.iso", "", "/vmfs/volumes/x/y.iso"),
            ("[nfs (2)] a b/[c].iso", "nfs (2)", "a b/[c].iso"),
        ] {
            let parsed: DatastorePath = text.parse().unwrap();
            assert_eq!(
                (parsed.datastore(), parsed.path()),
                (datastore, path),
                "{text}"
            );
        }
        for text in ["", "ds1/vm.vmx", "[ds1 vm.vmx", " [ds1] x"] {
            assert!(text.parse::<DatastorePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_top_directory_is_its_own_parent() {
        let top = DatastorePath::new("ds1", "");
        assert_eq!(top.parent(), top);
        assert_eq!(top.file_name(), "");
        assert_eq!(top.join("a").parent(), top);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(datastore in "[^\\]]{0,12}", path in "\\PC{0,24}") {
            let whole = DatastorePath::new(datastore, path);
            prop_assert_eq!(whole.to_string().parse::<DatastorePath>().unwrap(), whole);
        }

        #[test]
        fn joining_is_undone_by_its_parts(directory in "[a-z]{1,5}(/[a-z]{1,5}){0,3}", name in "[a-z.]{1,8}") {
            let directory = DatastorePath::new("ds", directory);
            let file = directory.join(&name);
            prop_assert_eq!(file.file_name(), name);
            prop_assert_eq!(file.parent(), directory);
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = text.parse::<DatastorePath>();
        }
    }
}
