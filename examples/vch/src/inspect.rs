//! `vch ls` and `vch inspect`.

use std::io::Write as _;

use anyhow::Result;
use examples::certificate_summary::{Summary, summaries};
use portlayer::exec::Shares;
use portlayer::network::BridgeRange;
use portlayer::vsphere::{HostInfo, PoolAllocation};
use serde_json::json;
use tabwriter::TabWriter;

use crate::{Context, addresses};

pub(crate) async fn list(context: &Context<'_>) -> Result<()> {
    let hosts = context.hosts.list().await?;
    if context.json {
        println!("{}", serde_json::to_string_pretty(&hosts)?);
        return Ok(());
    }
    let mut table = TabWriter::new(std::io::stdout());
    writeln!(table, "NAME\tSTATE\tDATASTORE\tBRIDGE NETWORK\tLINES TO")?;
    for host in &hosts {
        writeln!(
            table,
            "{}\t{}\t[{}] {}\t{}\t{}",
            host.name,
            state(host),
            host.datastore,
            host.directory,
            host.bridge_network,
            host.address
        )?;
    }
    table.flush()?;
    Ok(())
}

pub(crate) async fn inspect(context: &Context<'_>, name: &str) -> Result<()> {
    let host = context.hosts.find(name).await?;
    let addresses = context.hosts.addresses(name).await?;
    let pool = context.hosts.pool(name).await?;
    let command = command(context, &host, pool.as_ref());
    if context.json {
        let mut shown = serde_json::to_value(&host)?;
        shown["addresses"] = json!(addresses);
        shown["pool"] = json!(pool);
        shown["certificates"] = json!(certificates(&host));
        shown["command"] = json!(command);
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    let mut table = TabWriter::new(std::io::stdout());
    writeln!(table, "Name:\t{}", host.name)?;
    writeln!(table, "State:\t{}", state(&host))?;
    writeln!(table, "Files:\t[{}] {}", host.datastore, host.directory)?;
    writeln!(table, "Bridge network:\t{}", host.bridge_network)?;
    writeln!(table, "Container networks:\t{}", scopes(&host))?;
    for network in &host.networks.roles {
        let address = match &network.address {
            Some(address) => address.address.to_string(),
            None => "DHCP".to_owned(),
        };
        writeln!(
            table,
            "Network of role {}:\t{}, {address}",
            network.role, network.network
        )?;
    }
    if !host.networks.name_servers.is_empty() {
        let servers = host.networks.name_servers.iter();
        let servers: Vec<_> = servers.map(ToString::to_string).collect();
        writeln!(table, "Name servers:\t{}", servers.join(", "))?;
    }
    if let Some(pool) = pool {
        writeln!(table, "Resource pool:\t{pool}")?;
    }
    writeln!(table, "Lines to:\t{}", host.address)?;
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let shown = if shown.is_empty() {
        "not reported".to_owned()
    } else {
        shown.join(", ")
    };
    writeln!(table, "Addresses:\t{shown}")?;
    for line in certificates(&host) {
        writeln!(table, "Certificate:\t{line}")?;
    }
    for component in &host.components {
        writeln!(table, "Component:\t{component}")?;
    }
    writeln!(table, "Created by:\t{command}")?;
    table.flush()?;
    Ok(())
}

/// Describes the certificates of a host: whose they are, and when they expire.
fn certificates(host: &HostInfo) -> Vec<String> {
    let mut lines = Vec::new();
    for (owner, pem) in [
        ("appliance", &host.certificate),
        ("authority of clients", &host.authorities),
    ] {
        match summaries(pem) {
            Ok(found) => lines.extend(found.iter().map(|found| {
                let Summary { subject, expires } = found;
                format!("{owner}: {subject}, expires {expires}")
            })),
            Err(error) => lines.push(format!("{owner}: unreadable: {error:#}")),
        }
    }
    lines
}

/// Describes the addresses and networks of the container networks that users create.
fn scopes(host: &HostInfo) -> String {
    let range = host.bridge_range;
    match (host.scope_vlans, host.scope_networks.as_slice()) {
        (Some(vlans), _) => format!("{range}, one each on a port group with a VLAN of {vlans}"),
        (None, []) => format!("{range}, all on the bridge network"),
        (None, own) => format!("{range}, one each on {}", own.join(", ")),
    }
}

fn state(host: &HostInfo) -> String {
    format!("{:?}", host.state).to_lowercase()
}

/// Returns the command that would create the host, as far as its record contains the options.
fn command(context: &Context<'_>, host: &HostInfo, pool: Option<&PoolAllocation>) -> String {
    let url = &context.endpoint.url;
    let mut target = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        target = format!("{target}:{port}");
    }
    let mut words = vec!["vch".to_owned(), "create".to_owned()];
    let mut option = |name: &str, value: &str| {
        words.push(format!("--{name}"));
        words.push(quoted(value));
    };
    option("target", &target);
    let owner = summaries(&host.certificate).unwrap_or_default();
    if let Some(owner) = owner.first() {
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
    if host.certificate.is_empty() {
        words.insert(2, "--no-tls".to_owned());
    } else if host.authorities.is_empty() {
        words.insert(2, "--no-tls-verify".to_owned());
    }
    words.push(quoted(&host.name));
    words.join(" ")
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
