//! Looks up users and groups in `/etc/passwd` and `/etc/group` of the container.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;

/// The number of bytes that are read of an account file. Later entries are not found.
const MAX_FILE: u64 = 4 << 20;

/// The user and groups that a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl Account {
    /// Looks up a user and a group, by name or number. `user` may be `user:group`. An empty
    /// user is root, and an empty group is the user's own. Errors have the same text as
    /// Docker's.
    pub(crate) fn find(user: &str, group: &str) -> Result<Self, String> {
        let passwd = read("/etc/passwd");
        let groups = read("/etc/group");
        Self::find_in(user, group, &passwd, &groups)
    }

    fn find_in(user: &str, group: &str, passwd: &str, groups: &str) -> Result<Self, String> {
        let (user, inner) = user.split_once(':').unwrap_or((user, ""));
        let group = if group.is_empty() { inner } else { group };
        let user = if user.is_empty() { "0" } else { user };
        let number = user.parse::<u32>().ok();
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let entry = entry.filter(|fields| fields.len() >= 6).find(|fields| {
            fields[0] == user || (number.is_some() && fields[2].parse().ok() == number)
        });
        let mut account = match (&entry, number) {
            (Some(fields), _) => Self {
                uid: parse(fields[2], user)?,
                gid: parse(fields[3], user)?,
                groups: Vec::new(),
                home: fields[5].to_owned(),
            },
            (None, Some(uid)) => Self {
                uid,
                gid: 0,
                groups: Vec::new(),
                home: if uid == 0 { "/root" } else { "/" }.to_owned(),
            },
            (None, None) => {
                return Err(format!(
                    "unable to find user {user}: no matching entries in passwd file"
                ));
            }
        };
        let name = entry.as_ref().map_or(user, |fields| fields[0]);
        let group_number = group.parse::<u32>().ok();
        let mut found = group_number;
        for line in groups.lines() {
            let fields: Vec<_> = line.split(':').collect();
            let [group_name, _, gid, members, ..] = fields.as_slice() else {
                continue;
            };
            let Ok(gid) = gid.parse::<u32>() else {
                continue;
            };
            if found.is_none() && !group.is_empty() && *group_name == group {
                found = Some(gid);
            }
            if members.split(',').any(|member| member == name) {
                account.groups.push(gid);
            }
        }
        if !group.is_empty() {
            account.gid = found.ok_or_else(|| {
                format!("unable to find group {group}: no matching entries in group file")
            })?;
            // A requested group replaces the user's groups.
            account.groups.clear();
        }
        account.groups.retain(|gid| *gid != account.gid);
        account.groups.truncate(1024);
        Ok(account)
    }
}

fn parse(number: &str, user: &str) -> Result<u32, String> {
    let wrong = |_| format!("the entry of user {user} in the passwd file has the id {number:?}");
    number.parse().map_err(wrong)
}

/// Returns the text of a file, or an empty text if an image does not have it.
fn read(path: &str) -> String {
    let open = OpenOptions::new()
        .read(true)
        // Do not block if the file is a pipe.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path);
    let mut bytes = Vec::new();
    if let Ok(file) = open
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
        && file.take(MAX_FILE).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nwww:x:33:34:web:/var/www:\n\
                          far:x:99999999999:1:::\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:www\nssl:x:50:mail,www\nmail:x:8:\n";

    fn find(user: &str, group: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
        let found = Account::find_in(user, group, PASSWD, GROUP);
        found.map(|account| (account.uid, account.gid, account.groups, account.home))
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let www = Ok((33, 34, vec![50], "/var/www".to_owned()));
        assert_eq!(find("www", ""), www);
        assert_eq!(find("33", ""), www);
        assert_eq!(find("", ""), Ok((0, 0, vec![], "/root".to_owned())));
        assert_eq!(find("4000", ""), Ok((4000, 0, vec![], "/".to_owned())));
    }

    #[test]
    fn a_group_replaces_those_of_the_user() {
        let ssl = Ok((33, 50, vec![], "/var/www".to_owned()));
        assert_eq!(find("www:ssl", ""), ssl);
        assert_eq!(find("www", "ssl"), ssl);
        assert_eq!(find("www", "50"), ssl);
        assert_eq!(find("www:4001", "").map(|found| found.1), Ok(4001));
    }

    #[test]
    fn an_unknown_user_or_group_is_named() {
        assert_eq!(
            find("nobody", ""),
            Err("unable to find user nobody: no matching entries in passwd file".to_owned())
        );
        assert_eq!(
            find("www:nobody", ""),
            Err("unable to find group nobody: no matching entries in group file".to_owned())
        );
        assert!(find("far", "").is_err_and(|reason| reason.contains("99999999999")));
    }
}
