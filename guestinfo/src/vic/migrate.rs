//! Migrates the state of early releases of 1.x to the newest form.

use std::collections::BTreeMap;

use crate::GoUrl;

/// The version of the stored data after the migration; VIC writes it as
/// [`Build::data_version`](super::Build::data_version).
pub const NEWEST_DATA_VERSION: i32 = 10;

/// The keys at which a 1.x machine stores the version of its data: a container, the
/// appliance.
const VERSIONS: [&str; 2] = [
    "guestinfo.vice./version/PluginVersion",
    "guestinfo.vice./init/version/PluginVersion",
];

/// Keys of the appliance that had no group before data version 1, and their group since
/// then.
const GROUPS: [(&str, &str); 10] = [
    ("target", "connect"),
    ("keepalive", "connect"),
    ("HostCertificate", "cert"),
    ("CertificateAuthorities", "cert"),
    ("image_stores", "storage"),
    ("VolumeLocations", "storage"),
    ("bridge_network", "network"),
    ("container_networks", "network"),
    ("ComputeResources", "container"),
    ("bootstrap_image_path", "container"),
];

const READ_ONLY: &str = "guestinfo.vice./";

/// Migrates the keys of a 1.x machine to the newest form. The keys must come from a
/// listing. Keys of 0.4, keys in the newest form, and foreign keys are returned
/// unchanged.
///
/// | data version | change |
/// | --- | --- |
/// | 1 | the appliance's keys are sorted into groups |
/// | 2 | names are hidden from the guest |
/// | 8 | insecure registries are text instead of URLs |
///
/// Other changes of later versions need no migration: creation times in seconds are
/// distinguished from nanoseconds by their size.
///
/// ```
/// use std::collections::BTreeMap;
/// use guestinfo::decode;
/// use guestinfo::vic::{self, ExecutorConfig};
///
/// let stored = BTreeMap::from([(
///     "guestinfo.vice./common/name".to_owned(),
///     "jovial_ride".to_owned(),
/// )]);
/// let container = decode::<ExecutorConfig>(&vic::migrate(stored)).value;
/// assert_eq!(container.common.name, "jovial_ride");
/// ```
#[must_use]
pub fn migrate(mut keys: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let version = VERSIONS
        .iter()
        .filter_map(|key| keys.get(*key)?.parse().ok())
        .max()
        .unwrap_or(0);
    if version >= NEWEST_DATA_VERSION {
        return keys;
    }
    if version < 1 {
        for (name, group) in GROUPS {
            if name == "target" {
                join_target(&mut keys);
            } else {
                move_below(&mut keys, name, group);
            }
        }
    }
    if version < 2 {
        for path in ["common/name", "init/common/name"] {
            rename(&mut keys, &format!("{READ_ONLY}{path}"), path);
        }
    }
    if version < 8 {
        join_registries(&mut keys);
    }
    keys
}

/// Renames a key, unless a key with the new name already exists.
fn rename(keys: &mut BTreeMap<String, String>, from: &str, to: &str) {
    if keys.contains_key(to) {
        return;
    }
    if let Some(value) = keys.remove(from) {
        keys.insert(to.to_owned(), value);
    }
}

/// Moves a field and everything below it into a group.
fn move_below(keys: &mut BTreeMap<String, String>, name: &str, group: &str) {
    let old = format!("{READ_ONLY}{name}");
    let moved: Vec<String> = keys
        .range(old.clone()..)
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(&old))
        .filter(|key| {
            matches!(
                key.as_bytes().get(old.len()),
                None | Some(b'/' | b'|' | b'~')
            )
        })
        .cloned()
        .collect();
    for key in moved {
        let path = &key[READ_ONLY.len()..];
        rename(keys, &key, &format!("{READ_ONLY}{group}/{path}"));
    }
}

/// Joins the URL of the endpoint, which was stored in parts.
fn join_target(keys: &mut BTreeMap<String, String>) {
    let target = format!("{READ_ONLY}connect/target");
    if let Some(url) = take_url(keys, &format!("{READ_ONLY}target"))
        && !keys.contains_key(&target)
    {
        keys.insert(target, url.to_string());
    }
}

/// Converts the list of insecure registries from URLs to text; host and path are kept.
fn join_registries(keys: &mut BTreeMap<String, String>) {
    for group in ["", "registry/"] {
        let list = format!("{READ_ONLY}{group}insecure_registries");
        let joined = format!("{READ_ONLY}registry/insecure_registries~");
        let Some(last) = keys.get(&list).and_then(|last| last.parse::<usize>().ok()) else {
            continue;
        };
        // Limited by the number of keys, whatever length the list announces.
        let urls: Vec<String> = (0..=last.min(keys.len()))
            .map_while(|at| take_url(keys, &format!("{list}|{at}")))
            .map(|url| url.host + &url.path)
            .collect();
        if urls.is_empty() || keys.contains_key(&joined) {
            continue;
        }
        keys.remove(&list);
        let last = urls.len() - 1;
        keys.insert(joined.trim_end_matches('~').to_owned(), last.to_string());
        keys.insert(joined, urls.join("|"));
    }
}

/// Removes and returns the parts of a URL, or returns `None` if there are none.
fn take_url(keys: &mut BTreeMap<String, String>, at: &str) -> Option<GoUrl> {
    let mut found = false;
    let mut part = |name: &str| {
        let text = keys.remove(&format!("{at}/{name}"));
        found |= text.is_some();
        text.filter(|text| text != "<nil>").unwrap_or_default()
    };
    let url = GoUrl {
        scheme: part("Scheme"),
        opaque: part("Opaque"),
        host: part("Host"),
        path: part("Path"),
        raw_path: part("RawPath"),
        force_query: part("ForceQuery") == "true",
        raw_query: part("RawQuery"),
        fragment: part("Fragment"),
        ..GoUrl::default()
    };
    found.then_some(url)
}
