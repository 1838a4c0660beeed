//! The steps of an installation, as a plan describes them.

use super::checks::Survey;
use super::lookup::{APPLIANCE_ISO, BOOTSTRAP_ISO};
use super::plan::{Bridge, PlannedStep, Resolved};
use super::{HostSpec, InstallStep};

/// Lists the steps of an installation, with what each creates. Empty if an object was not found that
/// the specification names.
pub(super) fn steps(
    spec: &HostSpec,
    survey: &Survey,
    resolved: Option<&Resolved>,
    sizes: &[u64],
) -> Vec<PlannedStep> {
    let (Some(resolved), Some(compute)) = (resolved, &survey.compute) else {
        return Vec::new();
    };
    let (name, compute, datastore) = (&spec.name, &compute.name, resolved.datastore.name());
    let unfinished = resolved.unfinished.as_ref();
    let is_made = unfinished.is_some();
    let is_configured = resolved.is_current;
    let file = |file: &str, size: Option<&u64>| {
        let size = size.copied().unwrap_or_default();
        format!("file \"[{datastore}] {name}/{file}\", {size} bytes")
    };
    let mut steps = Vec::new();
    if survey.has_pools() {
        let mut text = format!("resource pool {name:?} in {compute:?}");
        if !spec.pool.is_default() {
            text = format!("{text}, {}", spec.pool);
        }
        steps.push((InstallStep::ResourcePool, text, is_made));
    }
    // An unfinished host of an earlier version has no folder, and gets none.
    if survey.target.is_vcenter && unfinished.is_none_or(|host| host.record.folder.is_some()) {
        let datacenter = resolved.datacenter.path();
        let text = format!("folder {name:?} for the machines of the host in {datacenter:?}");
        steps.push((InstallStep::Folder, text, is_made));
    }
    steps.push((
        InstallStep::Appliance,
        format!(
            "virtual machine {name:?} on datastore {datastore:?}, {} processors, {} MiB",
            spec.cpus, spec.memory_mib
        ),
        is_made,
    ));
    if let Bridge::Missing(_) = resolved.bridge {
        let bridge_name = &resolved.bridge_name;
        let text = format!("virtual switch {bridge_name:?} with port group {bridge_name:?}");
        steps.push((InstallStep::BridgeNetwork, text, false));
    }
    steps.extend([
        (
            InstallStep::ApplianceIso,
            file(APPLIANCE_ISO, sizes.first()),
            is_configured,
        ),
        (
            InstallStep::BootstrapIso,
            file(BOOTSTRAP_ISO, sizes.get(1)),
            is_configured,
        ),
        (
            InstallStep::Configure,
            "keys of the host, and the boot image in the CD drive".to_owned(),
            is_configured,
        ),
        (
            InstallStep::PowerOn,
            format!("virtual machine {name:?}"),
            false,
        ),
    ]);
    if let Some(limit) = spec.address_timeout {
        let text = format!("reported by the appliance within {} s", limit.as_secs());
        steps.push((InstallStep::Address, text, false));
    }
    if let Some(limit) = spec.components_within() {
        let names: Vec<_> = spec.components.iter().map(|c| c.name.as_str()).collect();
        let (names, limit) = (names.join(", "), limit.as_secs());
        let text = format!("{names} started by the appliance within {limit} s");
        steps.push((InstallStep::Components, text, false));
    }
    steps
        .into_iter()
        .map(|(step, description, done)| PlannedStep {
            step,
            description,
            done,
        })
        .collect()
}
