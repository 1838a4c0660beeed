//! `vch delete`.

use std::io::Write as _;

use anyhow::{Result, bail};
use portlayer::vsphere::ContainerPolicy;

use crate::Context;
use examples::output::Output;

pub(crate) async fn delete(context: &Context<'_>, name: &str, force: bool) -> Result<()> {
    let log = &context.log;
    log.info("### Removing VCH ####");
    let policy = if force {
        ContainerPolicy::Remove
    } else {
        ContainerPolicy::Refuse
    };
    log.info("Removing VMs");
    log.info("Removing images");
    let deletion = context.hosts.delete(name, policy).await?;
    if deletion.kept_network.is_some() {
        log.info("Bridge network was not created during VCH deployment, leaving it there");
    }
    if let Some(network) = &deletion.deleted_network {
        log.info(&format!("Removing Portgroup {network:?}"));
        log.info(&format!("Removing VirtualSwitch {network:?}"));
    }
    if deletion.deleted_pool {
        log.info(&format!("Removing Resource Pool {name:?}"));
    }
    if deletion.deleted_folder {
        log.info(&format!("Removing inventory folder {name:?}"));
    }
    if !deletion.foreign.is_empty() {
        let foreign = deletion.foreign.join(", ");
        log.warn(&format!(
            "Inventory folder {name:?} contains {foreign} of others, leaving it there"
        ));
    }
    if context.json {
        writeln!(
            Output::new(),
            "{}",
            serde_json::to_string_pretty(&deletion)?
        )?;
    }
    if !deletion.left.is_empty() {
        let left: Vec<_> = deletion.left.iter().map(ToString::to_string).collect();
        bail!("still there: {}; remove by hand", left.join(", "));
    }
    log.info("Completed successfully");
    Ok(())
}
