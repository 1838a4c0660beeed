//! Rebuilds the command that would create a host.

use examples::certificate_summary::summaries;
use portlayer::exec::Shares;
use portlayer::network::BridgeRange;
use portlayer::vsphere::{HostInfo, PoolAllocation};

use crate::{Context, addresses, given};

/// Options that were given but say nothing if the host's state does not confirm them: somebody may
/// have changed the limits of its pool.
const OF_STATE: [&str; 6] = [
    "cpu",
    "cpu-reservation",
    "cpu-shares",
    "memory",
    "memory-reservation",
    "memory-shares",
];

/// Returns the command that would create the host: the options that were given and that only the
/// record of them contains, and those that follow from the host as it is.
pub(crate) fn command(
    context: &Context<'_>,
    host: &HostInfo,
    pool: Option<&PoolAllocation>,
) -> String {
    let url = &context.endpoint.url;
    let mut target = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        target = format!("{target}:{port}");
    }
    if let Some(datacenter) = &context.endpoint.place.datacenter {
        target = format!("{target}/{datacenter}");
    }
    command_at(&target, host, pool)
}

fn command_at(target: &str, host: &HostInfo, pool: Option<&PoolAllocation>) -> String {
    let derived = derived(host, pool);
    let is_derived = |name: &str| derived.iter().any(|(known, _)| known == name);
    let mut words = vec!["vch".to_owned(), "create".to_owned()];
    let has_tls = !host.certificate.is_empty();
    if !has_tls {
        words.push("--no-tls".to_owned());
    } else if host.authorities.is_empty() {
        words.push("--no-tls-verify".to_owned());
    }
    let mut option = |name: &str, value: Option<&str>| {
        words.push(format!("--{name}"));
        words.extend(value.map(quoted));
    };
    option("target", Some(target));
    for recorded in &host.create_options {
        let (name, value) = given::split(recorded);
        let follows = is_derived(name) || OF_STATE.contains(&name);
        if !follows && !["no-tls", "no-tls-verify"].contains(&name) {
            option(name, value);
        }
    }
    for (name, value) in &derived {
        option(name, Some(value));
    }
    words.push(quoted(&host.name));
    words.join(" ")
}

/// Returns the options that follow from the host as it is.
fn derived(host: &HostInfo, pool: Option<&PoolAllocation>) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut option = |name: &str, value: &str| options.push((name.to_owned(), value.to_owned()));
    let was_given = |name: &str| {
        let mut recorded = host.create_options.iter();
        recorded.any(|option| given::split(option).0 == name)
    };
    let owner = summaries(&host.certificate).unwrap_or_default();
    // A certificate that was given has the name that it has.
    if let Some(owner) = owner.first().filter(|_| !was_given("tls-server-cert")) {
        let names = owner.subject.split(", ");
        let name = names.filter_map(|part| part.strip_prefix("CN=")).next();
        if let Some(name) = name.filter(|name| *name != host.name) {
            option("tls-cname", name);
        }
    }
    option("image-store", &host.datastore);
    option("bridge-network", &host.bridge_network);
    if host.bridge_range != BridgeRange::default() {
        option(
            "bridge-network-range",
            &host.bridge_range.range().to_string(),
        );
        option(
            "bridge-network-width",
            &host.bridge_range.prefix_len().to_string(),
        );
    }
    if let Some(vlans) = host.scope_vlans {
        option("scope-vlans", &vlans.to_string());
    }
    for network in &host.scope_networks {
        option("scope-network", network);
    }
    for (name, value) in addresses::options(&host.networks) {
        option(&name, &value);
    }
    for (name, allocation) in pool
        .iter()
        .flat_map(|pool| [("cpu", &pool.cpu), ("memory", &pool.memory)])
    {
        if let Some(limit) = allocation.limit {
            option(name, &limit.to_string());
        }
        if allocation.reservation > 0 {
            let reservation = allocation.reservation.to_string();
            option(&format!("{name}-reservation"), &reservation);
        }
        if let Some(shares) = shares(allocation.shares) {
            option(&format!("{name}-shares"), &shares);
        }
    }
    if host.address != host.name {
        option("line-address", &host.address);
    }
    if let Some(interval) = host.keepalive {
        option("keepalive", &format!("{}s", interval.as_secs()));
    }
    for registry in &host.registries.insecure {
        option("insecure-registry", registry);
    }
    for registry in &host.registries.allowed {
        option("whitelist-registry", registry);
    }
    for (label, store) in &host.volume_stores {
        option("volume-store", &format!("{store}:{label}"));
    }
    options
}

/// Returns the shares as an option, if they are not the default.
fn shares(shares: Shares) -> Option<String> {
    match shares {
        Shares::Normal => None,
        Shares::Custom(shares) => Some(shares.to_string()),
        named => Some(format!("{named:?}").to_lowercase()),
    }
}

/// Quotes a word for a shell if necessary.
fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@".contains(&b);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("vch-1"), "vch-1");
        assert_eq!(quoted("VM Network"), "'VM Network'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
