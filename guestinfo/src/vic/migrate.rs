//! State of early releases of 1.x, brought to the newest form.

use std::collections::BTreeMap;

use crate::GoUrl;

/// The version of the stored data that this module leads to; written by VIC
/// as [`Build::data_version`](super::Build::data_version).
const NEWEST: i32 = 10;

/// Where a machine of 1.x keeps the version of its data: a container's, the
/// appliance's.
const VERSIONS: [&str; 2] = [
    "guestinfo.vice./version/PluginVersion",
    "guestinfo.vice./init/version/PluginVersion",
];

/// Keys of the appliance that had no group, and their group since data
/// version 1.
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

/// Brings the keys of a machine of 1.x, as a listing gives them, to the newest
/// form. Keys of 0.4, of the newest form, and of others stay as they are.
///
/// | data version | change |
/// | --- | --- |
/// | 1 | the appliance's keys are sorted into groups |
/// | 2 | names are hidden from the guest |
/// | 8 | insecure registries are text instead of URLs |
///
/// What later versions changed beyond names needs nothing: creation times in
/// seconds and nanoseconds are distinguished by their size.
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
    if version >= NEWEST {
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

/// Renames a key unless there is one of the new name already.
fn rename(keys: &mut BTreeMap<String, String>, from: &str, to: &str) {
    if keys.contains_key(to) {
        return;
    }
    if let Some(value) = keys.remove(from) {
        keys.insert(to.to_owned(), value);
    }
}

/// Moves a field and all that belongs to it into a group.
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

/// The URL of the endpoint was stored by its parts.
fn join_target(keys: &mut BTreeMap<String, String>) {
    let target = format!("{READ_ONLY}connect/target");
    if let Some(url) = take_url(keys, &format!("{READ_ONLY}target"))
        && !keys.contains_key(&target)
    {
        keys.insert(target, url.to_string());
    }
}

/// Registries were a list of URLs, of which host and path count.
fn join_registries(keys: &mut BTreeMap<String, String>) {
    for group in ["", "registry/"] {
        let list = format!("{READ_ONLY}{group}insecure_registries");
        let joined = format!("{READ_ONLY}registry/insecure_registries~");
        let Some(last) = keys.get(&list).and_then(|last| last.parse::<usize>().ok()) else {
            continue;
        };
        // At most as many as there are keys, whatever the list announces.
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

/// Removes and returns the parts of a URL; `None` if there are none.
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
