//! `vch update firewall`.

use anyhow::{Context as _, Result, bail};
use vim25::{Property, Ref, mo, props};

use crate::Context;

const FIREWALL: Property<mo::HostSystem, Ref<mo::HostFirewallSystem>> =
    Property::new("configManager.firewallSystem");

/// The rule set for outbound network connections of serial ports. vic-machine used it if the
/// rule set `vic-engine` of vSphere 6.7 was missing.
const RULE_SET: &str = "vSPC";

pub(crate) async fn update(context: &Context<'_>, allow: bool) -> Result<()> {
    let log = &context.log;
    let client = context.client;
    let hosts = client
        .retrieve::<mo::HostSystem>()
        .property(props::host_system::NAME)
        .property(FIREWALL)
        .within(&client.service_content().root_folder)
        .collect()
        .await?;
    let mut failed = Vec::new();
    for host in &hosts {
        let name = host.value(props::host_system::NAME).unwrap_or_default();
        let Some(firewall) = host.value(FIREWALL) else {
            failed.push(format!("{name}: it has no firewall"));
            continue;
        };
        let changed = if allow {
            client.call(firewall.enable_ruleset(RULE_SET)).await
        } else {
            client.call(firewall.disable_ruleset(RULE_SET)).await
        };
        let action = if allow { "enabled" } else { "disabled" };
        match changed.with_context(|| name.clone()) {
            Ok(()) => log.info(&format!("Ruleset {RULE_SET:?} {action} on {name:?}")),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    if !failed.is_empty() {
        bail!("the firewall was not changed on {}", failed.join("; "));
    }
    log.info("Firewall changes complete");
    Ok(())
}
