//! `vch ls` and `vch inspect`.

use std::io::Write as _;

use anyhow::Result;
use examples::certificate_summary::{Summary, summaries};
use examples::output::Output;
use portlayer::vsphere::HostInfo;
use serde_json::json;
use tabwriter::TabWriter;

use crate::Context;
use crate::create_command::command;

pub(crate) async fn list(context: &Context<'_>) -> Result<()> {
    let hosts = context.hosts.list().await?;
    if context.json {
        writeln!(Output::new(), "{}", serde_json::to_string_pretty(&hosts)?)?;
        return Ok(());
    }
    let mut table = TabWriter::new(Output::new());
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
        writeln!(Output::new(), "{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(());
    }
    let mut table = TabWriter::new(Output::new());
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
    for (what, value) in settings(&host) {
        writeln!(table, "{what}:\t{value}")?;
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
        ("authority of registries", &host.registries.authorities),
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

/// Describes the settings that only the programs of the appliance use.
fn settings(host: &HostInfo) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if !host.user.is_empty() {
        settings.push(("User of the endpoint", host.user.clone()));
    }
    if !host.target_thumbprint.is_empty() {
        let thumbprint = host.target_thumbprint.clone();
        settings.push(("Thumbprint of the endpoint", thumbprint));
    }
    if let Some(interval) = host.keepalive {
        settings.push(("Keepalive", format!("{} s", interval.as_secs())));
    }
    for (what, registries) in [
        ("Allowed registries", &host.registries.allowed),
        ("Insecure registries", &host.registries.insecure),
    ] {
        if !registries.is_empty() {
            settings.push((what, registries.join(", ")));
        }
    }
    for (label, store) in &host.volume_stores {
        settings.push(("Volumes", format!("{label}: {store}")));
    }
    if !host.version.is_empty() {
        settings.push(("Installed by version", host.version.clone()));
    }
    settings
}
