//! Finds the subordinate ids of the caller, with which a simulator that does not run as root creates
//! containers that have more than one user.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tether::sys::{IdRange, SubIds};

use crate::rights::{Rights, user_id};

/// The directories of programs, in addition to those of `PATH`.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// Returns the subordinate ids of the caller, or what is missing.
pub(crate) fn find() -> Result<SubIds, String> {
    let id = user_id().ok_or("/proc is not mounted")?;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = user_name(&passwd, id);
    let range = |path: &str| {
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        parse(&text, name, id).ok_or_else(|| {
            let caller = name.map_or_else(|| id.to_string(), ToOwned::to_owned);
            format!("{path} has no range for {caller}")
        })
    };
    Ok(SubIds::new(
        program("newuidmap")?,
        program("newgidmap")?,
        range("/etc/subuid")?,
        range("/etc/subgid")?,
    ))
}

/// Returns the rights that a user namespace with these ids has.
pub(crate) const fn rights(ids: &SubIds) -> Rights {
    Rights::SubIds {
        uids: ids.uids.count,
        gids: ids.gids.count,
    }
}

/// Returns a suffix for the names of trees that were unpacked with these ids. Files that were created
/// with other ids must not be confused with them.
pub(crate) fn suffix(ids: Option<&SubIds>) -> String {
    let Some(ids) = ids else {
        return String::new();
    };
    let (uids, gids) = (ids.uids, ids.gids);
    format!(
        "{MARK}{}-{}-{}-{}",
        uids.first, uids.count, gids.first, gids.count
    )
}

/// The start of a [`suffix`].
const MARK: &str = "-ids-";

/// Returns the suffix of a tree's name.
pub(crate) fn suffix_of(tree: &str) -> &str {
    tree.rfind(MARK).map_or("", |start| &tree[start..])
}

fn program(name: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).filter(|path| path.is_absolute());
    let programs = directories
        .chain(DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(name));
    let is_executable = |path: &Path| {
        let data = fs::metadata(path);
        data.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let found = programs.into_iter().find(|path| is_executable(path));
    found.ok_or_else(|| {
        format!("the program {name} is missing, which most distributions have in a package uidmap")
    })
}

/// Returns the name of a user from the text of `/etc/passwd`.
fn user_name(passwd: &str, id: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

/// Returns the largest range of a user from the text of `/etc/subuid` or `/etc/subgid`, in which users
/// are named, or written as numbers. Lines that cannot be read are ignored, as `newuidmap` does.
fn parse(text: &str, name: Option<&str>, id: u32) -> Option<IdRange> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (user, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let is_callers = !user.is_empty() && (Some(user) == name || user.parse() == Ok(id));
        if !is_callers || fields.next().is_some() {
            return None;
        }
        let range = IdRange {
            first: first.parse().ok()?,
            count: count.parse().ok()?,
        };
        // The highest number is not an id. Id 0 of the host is never given away.
        let fits = range.first.checked_add(range.count).is_some();
        (range.first > 0 && range.count > 0 && fits).then_some(range)
    });
    // The first one of several of the same size.
    ranges.reduce(|best, range| {
        if range.count > best.count {
            range
        } else {
            best
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(text: &str) -> Option<(u32, u32)> {
        parse(text, Some("ada"), 1_000).map(|range| (range.first, range.count))
    }

    #[test]
    fn ranges_are_found_by_name_and_number() {
        assert_eq!(ids("bob:1:2\nada:100000:65536\n"), Some((100_000, 65_536)));
        assert_eq!(ids("1000:5:6"), Some((5, 6)));
        assert_eq!(ids("1001:5:6\nadaa:7:8\n:1:1\n"), None);
        let unnamed = parse("ada:1:2\n1000:5:6", None, 1_000);
        assert_eq!(unnamed.map(|range| range.first), Some(5));
    }

    #[test]
    fn the_largest_usable_range_is_taken() {
        assert_eq!(ids("ada:10:5\nada:20:7\n1000:30:7\n"), Some((20, 7)));
        for unusable in [
            "ada:0:10",
            "ada:10:0",
            "ada:4294967295:1",
            "ada:10",
            "ada:10:5:1",
            "ada:-1:5",
            "ada:1:99999999999",
            "#ada:1:2",
        ] {
            assert_eq!(ids(unusable), None, "{unusable}");
            assert_eq!(ids(&format!("{unusable}\nada:3:1")), Some((3, 1)));
        }
    }

    #[test]
    fn the_name_of_a_user_is_that_of_its_number() {
        let passwd = "root:x:0:0::/:\nbroken\nada:x:1000:1000::/home/ada:\nalso:x:1000:1::/:\n";
        assert_eq!(user_name(passwd, 1_000), Some("ada"));
        assert_eq!(user_name(passwd, 1), None);
    }

    #[test]
    fn a_trees_name_ends_with_the_suffix_of_its_ids() {
        let range = |first, count| IdRange { first, count };
        let made = suffix(Some(&SubIds::new("/a", "/b", range(1, 2), range(3, 4))));
        assert_eq!(suffix_of(&format!("trees/0123{made}")), made);
        assert_ne!(made, "");
        assert_eq!(suffix_of("trees/0123"), "");
    }

    proptest! {
        #[test]
        fn any_range_of_the_caller_is_usable_and_in_the_text(
            lines in prop::collection::vec(("(ada|bob|1000|1001|)", any::<u32>(), any::<u32>()), 0..8),
            noise in "[a-z0-9:\n#]{0,40}",
        ) {
            let text: String = lines
                .iter()
                .map(|(user, first, count)| format!("{user}:{first}:{count}\n"))
                .collect();
            let usable = |(user, first, count): &&(String, u32, u32)| {
                (user == "ada" || user == "1000")
                    && *first > 0
                    && *count > 0
                    && first.checked_add(*count).is_some()
            };
            let largest = lines.iter().filter(usable).map(|(_, _, count)| *count).max();
            let found = parse(&text, Some("ada"), 1_000);
            prop_assert_eq!(found.map(|range| range.count), largest);
            if let Some(IdRange { first, count }) = found {
                prop_assert!(lines.iter().any(|line| (line.1, line.2) == (first, count)));
            }
            // Any text is accepted.
            let _ = parse(&noise, Some("ada"), 1_000);
        }
    }
}
