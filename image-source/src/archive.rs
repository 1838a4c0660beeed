//! An index of the members of a tar file, by name.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use crate::section::Section;
use crate::{Error, Limits, Result};

/// The maximum size of an extended header (PAX, GNU long name) in bytes. A larger header holds
/// no real name: it is an attack.
const EXTENDED_HEADER_MAX: u64 = 1 << 20;
/// The maximum number of links to follow; a longer chain of links is a cycle.
const LINKS_MAX: usize = 16;

/// The type of a member.
#[derive(Debug)]
enum Member {
    File {
        offset: u64,
        length: u64,
    },
    Link(String),
    /// A sparse file, whose stored bytes are not its content.
    Unreadable,
}

/// The index of an uncompressed tar: where each member's bytes are.
#[derive(Debug)]
pub(crate) struct Archive {
    section: Section,
    members: HashMap<String, Member>,
}

impl Archive {
    /// Reads the headers of all members.
    pub(crate) fn index(section: Section, path: &Path, limits: &Limits) -> Result<Self> {
        let unreadable = |error: std::io::Error| Error::NotAnImage {
            path: path.to_owned(),
            reason: format!("its tar cannot be read: {error}"),
        };
        let mut members = HashMap::new();
        let mut archive = tar::Archive::new(section.reader());
        let mut extended = Extended::default();
        let entries = archive.entries_with_seek().map_err(unreadable)?.raw(true);
        for (count, entry) in entries.enumerate() {
            if count >= limits.archive_members {
                return Err(Error::NotAnImage {
                    path: path.to_owned(),
                    reason: format!("it has more than {} members", limits.archive_members),
                });
            }
            let mut entry = entry.map_err(unreadable)?;
            let kind = entry.header().entry_type();
            if kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink() {
                let length = entry.size();
                if length > EXTENDED_HEADER_MAX {
                    return Err(Error::TooLarge {
                        what: "an extended header of the archive".into(),
                        limit: EXTENDED_HEADER_MAX,
                    });
                }
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(unreadable)?;
                extended.take(kind, &content);
                continue;
            }
            if kind.is_pax_global_extensions() {
                continue;
            }
            let extended = std::mem::take(&mut extended);
            let name = extended
                .name
                .unwrap_or_else(|| text(&entry.header().path_bytes()));
            let length = extended.size.unwrap_or_else(|| entry.size());
            let Some(name) = normalise("", &name) else {
                continue;
            };
            let member = if extended.sparse || kind.is_gnu_sparse() {
                Member::Unreadable
            } else if kind.is_file() || kind.is_contiguous() {
                Member::File {
                    offset: entry.raw_file_position(),
                    length,
                }
            } else if kind.is_symlink() || kind.is_hard_link() {
                let target = extended
                    .link
                    .or_else(|| Some(text(&entry.header().link_name_bytes()?)))
                    .unwrap_or_default();
                // The target of a hard link is the name of a member; the target of a symbolic
                // link is relative to the link's own directory.
                let folder = match name.rsplit_once('/') {
                    Some((folder, _)) if kind.is_symlink() => folder,
                    _ => "",
                };
                match normalise(folder, &target) {
                    Some(target) => Member::Link(target),
                    None => Member::Unreadable,
                }
            } else {
                continue;
            };
            // If several members have the same name, the last one counts, as when unpacking.
            members.insert(name, member);
        }
        Ok(Self { section, members })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Returns the bytes of a member; links are followed. `None` if there is no such member.
    pub(crate) fn open(&self, name: &str) -> Result<Option<Section>> {
        let Some(mut name) = normalise("", name) else {
            return Ok(None);
        };
        for _ in 0..LINKS_MAX {
            match self.members.get(&name) {
                None => return Ok(None),
                Some(Member::Link(target)) => name.clone_from(target),
                Some(Member::Unreadable) => {
                    return Err(Error::Unsupported {
                        reason: format!("the member {name:?} of the archive is a sparse file"),
                    });
                }
                Some(&Member::File { offset, length }) => {
                    let section = self.section.slice(offset, length);
                    if section.len() < length {
                        return Err(Error::Truncated {
                            what: format!("the member {name:?} of the archive"),
                            expected: length,
                            actual: section.len(),
                        });
                    }
                    return Ok(Some(section));
                }
            }
        }
        Err(Error::Unsupported {
            reason: format!("the links of the archive's member {name:?} form a cycle"),
        })
    }
}

/// The content of the extended headers that describe the next member.
#[derive(Default)]
struct Extended {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl Extended {
    fn take(&mut self, kind: tar::EntryType, content: &[u8]) {
        if kind.is_gnu_longname() {
            self.name = Some(text(until_nul(content)));
        } else if kind.is_gnu_longlink() {
            self.link = Some(text(until_nul(content)));
        } else {
            for record in tar::PaxExtensions::new(content).flatten() {
                let value = record.value_bytes();
                match record.key_bytes() {
                    b"path" => self.name = Some(text(value)),
                    b"linkpath" => self.link = Some(text(value)),
                    b"size" => self.size = text(value).parse().ok(),
                    key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                    _ => {}
                }
            }
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns a path inside the archive with `.` and `..` resolved; `None` if the path leaves the
/// archive or is its root.
fn normalise(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = if path.starts_with('/') {
        Vec::new()
    } else {
        folder.split('/').filter(|part| !part.is_empty()).collect()
    };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_archive() {
        assert_eq!(normalise("a/b", "../c.tar").as_deref(), Some("a/c.tar"));
        assert_eq!(normalise("a", "./b//c").as_deref(), Some("a/b/c"));
        assert_eq!(normalise("a", "/b").as_deref(), Some("b"));
        assert_eq!(normalise("a", "../../etc/passwd"), None);
        assert_eq!(normalise("", "./"), None);
    }
}
