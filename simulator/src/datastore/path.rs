//! Datastore paths, which never lead out of the datastore.

use std::fmt;

use super::site::Site;

/// A path in a datastore, `[datastore1] a/b.vmx`. It cannot refer to a file outside of the
/// datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatastorePath {
    site: Site,
    datastore: String,
    parts: Vec<String>,
}

impl DatastorePath {
    /// Parses a path in a datacenter.
    pub(crate) fn parse(site: Site, text: &str) -> Option<Self> {
        let (datastore, relative) = text.trim().strip_prefix('[')?.split_once(']')?;
        if datastore.is_empty() {
            return None;
        }
        let parts = parts(relative.trim())?;
        // Blanks around the path are not part of it, so such a name could not be written.
        let is_lost =
            |part: Option<&String>, blank: fn(&str) -> bool| part.is_some_and(|part| blank(part));
        if is_lost(parts.first(), |part| part.starts_with(char::is_whitespace))
            || is_lost(parts.last(), |part| part.ends_with(char::is_whitespace))
        {
            return None;
        }
        Some(Self {
            site,
            datastore: datastore.to_owned(),
            parts,
        })
    }

    /// Returns the datacenter of the datastore.
    pub(crate) const fn site(&self) -> Site {
        self.site
    }

    pub(crate) fn datastore(&self) -> &str {
        &self.datastore
    }

    pub(crate) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Returns the path relative to the root of the datastore.
    pub(crate) fn relative(&self) -> String {
        self.parts.join("/")
    }

    pub(crate) const fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns whether this path and another one are on the same datastore.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        self.site == other.site && self.datastore == other.datastore
    }

    /// Returns whether this path is that of a directory, or leads to something in the directory.
    pub(crate) fn is_below(&self, directory: &Self) -> bool {
        self.is_near(directory) && self.parts.starts_with(&directory.parts)
    }

    /// Returns the path of the top-level directory in this path.
    pub(crate) fn top(&self) -> Option<Self> {
        let mut top = self.clone();
        top.parts.truncate(1);
        (!top.is_root()).then_some(top)
    }

    /// Returns this path with its first component replaced.
    pub(crate) fn with_first(&self, name: &str) -> Self {
        let mut path = self.clone();
        if let Some(first) = path.parts.first_mut() {
            name.clone_into(first);
        }
        path
    }

    /// Returns the last component of the path.
    pub(crate) fn file_name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// Returns the directory that contains the file.
    pub(crate) fn parent(&self) -> Self {
        let mut parent = self.clone();
        parent.parts.pop();
        parent
    }

    /// Returns the path of an entry of this directory. `name` must be a single component.
    pub(crate) fn join(&self, name: &str) -> Self {
        let mut path = self.clone();
        path.parts.push(name.to_owned());
        path
    }

    /// Returns this path with its last component replaced.
    pub(crate) fn sibling(&self, name: &str) -> Self {
        self.parent().join(name)
    }
}

impl fmt::Display for DatastorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.datastore)?;
        if !self.is_root() {
            write!(f, " {}", self.relative())?;
        }
        Ok(())
    }
}

/// Splits a relative path into components; `None` if one of them leads out of the datastore.
fn parts(relative: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part if part.contains(['\\', '\0']) || part.len() > 255 => return None,
            part => parts.push(part.to_owned()),
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn paths_are_read_and_written() {
        let path = DatastorePath::parse(Site::FIRST, "[datastore1] a//b/./c.vmx").unwrap();
        assert_eq!(path.to_string(), "[datastore1] a/b/c.vmx");
        assert_eq!(path.parent().to_string(), "[datastore1] a/b");
        assert_eq!(path.sibling("d").to_string(), "[datastore1] a/b/d");
        assert_eq!(
            DatastorePath::parse(Site::FIRST, "[x]")
                .unwrap()
                .to_string(),
            "[x]"
        );
        for bad in [
            "",
            "a/b",
            "[]",
            "[] a",
            "[ds a",
            "[ds] ../a",
            "[ds] a/../../b",
            "[ds] a\\b",
            "[ds] a\u{a0}/",
            "[ds] ./ a",
        ] {
            assert_eq!(DatastorePath::parse(Site::FIRST, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_path_belongs_to_a_datacenter() {
        let parse = |site| DatastorePath::parse(Site::new(site), "[ds] a/b").unwrap();
        assert_eq!(parse(1), parse(1));
        assert_ne!(parse(0), parse(1));
        assert!(parse(1).is_below(&parse(1).parent()));
        assert!(!parse(1).is_below(&parse(0).parent()));
    }

    proptest! {
        #[test]
        fn no_path_leads_out(text in any::<String>()) {
            if let Some(path) = DatastorePath::parse(Site::FIRST, &format!("[ds] {text}")) {
                assert!(path.parts().iter().all(|p| !p.is_empty() && p != ".." && !p.contains('/')));
                assert_eq!(DatastorePath::parse(Site::FIRST, &path.to_string()), Some(path));
            }
        }
    }
}
