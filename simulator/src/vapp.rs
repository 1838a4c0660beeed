//! Membership of machines in vApps, and what vApps show of their members.
//!
//! A machine in a vApp has a `parentVApp` and, as the API says of `ManagedEntity.parent`, no parent.

use vim25::types::{
    ResourcePoolSummary, VAppConfigInfo, VAppEntityConfigInfo, VirtualAppSummary,
    VirtualAppVAppState, VirtualMachinePowerState,
};
use vim25::{Any, AnyRef, Fault, Poly, Ref, mo};

use crate::object::{Found, Object, Retype};
use crate::world::Transaction;

/// The seconds that a vApp waits after an action on one of its members, unless the client sets them.
const DELAY: i32 = 120;

/// Returns the vApp that a machine or another vApp is directly in.
pub(crate) fn of(object: &Object) -> Option<AnyRef> {
    object.read("parentVApp").ok()
}

/// Returns what a machine is in: the vApp if its pool is one, otherwise the folder. If the folder is
/// a vApp that the machine leaves, it is the vApp's folder.
pub(crate) fn holder(
    tx: &Transaction<'_>,
    folder: &AnyRef,
    pool: &Ref<mo::ResourcePool>,
) -> Result<AnyRef, Fault> {
    let pool = tx.object(pool)?;
    if pool.is_a("VirtualApp") {
        return Ok(pool.reference().clone());
    }
    let mut holder = folder.clone();
    while holder.type_name() == "VirtualApp" {
        let object = tx.object(&holder)?;
        holder = match of(object) {
            Some(outer) => outer,
            None => object.read("parentFolder")?,
        };
    }
    Ok(holder)
}

/// Puts a machine into a folder or vApp. The caller updates the vApps that it leaves and enters.
pub(crate) fn put_into(machine: &mut Object, holder: &AnyRef) {
    let (set, cleared) = match holder.type_name() {
        "VirtualApp" => ("parentVApp", "parent"),
        _ => ("parent", "parentVApp"),
    };
    machine.put(set, holder);
    machine.clear(cleared);
}

/// Returns the vApp with a name in a folder.
pub(crate) fn named<T>(tx: &Transaction<'_>, folder: &Ref<T>, name: &str) -> Option<AnyRef> {
    let folder = tx.get(folder.value())?;
    if folder.reference().type_name() != "Folder" {
        return None;
    }
    let children: Vec<AnyRef> = folder.list("childEntity").ok()?;
    let mut apps = children
        .into_iter()
        .filter(|child| child.type_name() == "VirtualApp");
    apps.find(|app| tx.object(app).is_ok_and(|app| app.name() == name))
}

/// Returns the machines and the vApps that are directly in a vApp.
pub(crate) fn members(tx: &Transaction<'_>, vapp: &Object) -> Result<Vec<AnyRef>, Fault> {
    let mut members = tx.members(vapp.value(), "vm");
    members.extend(vapp.list::<AnyRef>("resourcePool")?);
    Ok(members)
}

/// Returns whether a vApp runs.
pub(crate) fn state(vapp: &Object) -> VirtualAppVAppState {
    let state = vapp.read("summary.vAppState");
    state.unwrap_or(VirtualAppVAppState::Stopped)
}

/// Sets whether a vApp runs.
pub(crate) fn set_state(
    tx: &mut Transaction<'_>,
    vapp: &AnyRef,
    state: VirtualAppVAppState,
) -> Result<(), Fault> {
    let object = tx.edit(vapp)?;
    object.modify("summary", |summary: &mut Poly<ResourcePoolSummary>| {
        let set = |summary: &mut VirtualAppSummary| summary.vapp_state = Some(state);
        if let Err(error) = summary.modify(set) {
            tracing::error!(%error, "the state of a vApp was not changed");
        }
    })
}

/// Returns the summary of a vApp, given that of its pool.
pub(crate) fn summary(vapp: &Object, base: ResourcePoolSummary) -> VirtualAppSummary {
    let config: VAppConfigInfo = vapp.read("vAppConfig").unwrap_or_default();
    let mut summary = VirtualAppSummary {
        product: config.product.first().cloned().map(Box::new),
        vapp_state: Some(state(vapp)),
        suspended: Some(vapp.read("summary.suspended").unwrap_or(false)),
        install_boot_required: Some(config.install_boot_required),
        instance_uuid: config.instance_uuid.clone(),
        ..Default::default()
    };
    summary.base = base;
    summary
}

/// Updates a vApp, and those that it is in, after a change of its members or their power states: the
/// start order, the state, the datastores and the networks.
pub(crate) fn refresh(tx: &mut Transaction<'_>, vapp: &AnyRef) -> Result<(), Fault> {
    let mut next = Some(vapp.clone());
    while let Some(vapp) = next {
        // A vApp may be removed before its members.
        let Ok(object) = tx.object(&vapp).cloned() else {
            return Ok(());
        };
        next = of(&object);
        let changes = changes(tx, &object)?;
        if changes.is_empty() {
            continue;
        }
        let object = tx.edit(&vapp)?;
        for (name, value) in changes {
            object.put_any(name, value);
        }
    }
    Ok(())
}

/// Returns the properties of a vApp that its members change.
fn changes(tx: &Transaction<'_>, object: &Object) -> Result<Vec<(&'static str, Any)>, Fault> {
    let members = members(tx, object)?;
    let mut config: VAppConfigInfo = object.read("vAppConfig").unwrap_or_default();
    arrange(&mut config.entity_config, &members);
    let mut lists = [
        ("datastore", Vec::<AnyRef>::new()),
        ("network", Vec::<AnyRef>::new()),
    ];
    let (mut is_on, mut is_suspended) = (false, false);
    for member in &members {
        let member = tx.object(member)?;
        for (name, all) in &mut lists {
            let own: Vec<AnyRef> = member.list(name)?;
            all.extend(
                own.into_iter()
                    .filter(|one| !all.contains(one))
                    .collect::<Vec<_>>(),
            );
        }
        if member.is_a("VirtualApp") {
            is_on |= state(member) != VirtualAppVAppState::Stopped;
            is_suspended |= member.read("summary.suspended") == Ok(true);
            continue;
        }
        match member.read("runtime.powerState")? {
            VirtualMachinePowerState::PoweredOn => is_on = true,
            VirtualMachinePowerState::Suspended => {
                // A member that is suspended whenever the vApp stops does not count.
                let mut own = config.entity_config.iter();
                let own = own.find(|own| is_of(own, member.reference()));
                let action = own.and_then(|own| own.stop_action.as_deref());
                is_suspended |= action != Some("suspend");
            }
            _ => {}
        }
    }
    let mut summary: Poly<ResourcePoolSummary> = object.read("summary")?;
    let changed = summary.modify(|summary: &mut VirtualAppSummary| {
        let is_busy = matches!(
            summary.vapp_state,
            Some(VirtualAppVAppState::Starting | VirtualAppVAppState::Stopping)
        );
        if !is_busy && !members.is_empty() {
            summary.vapp_state = Some(match is_on {
                true => VirtualAppVAppState::Started,
                false => VirtualAppVAppState::Stopped,
            });
        }
        summary.suspended = Some(is_suspended && !is_on);
    });
    if let Err(error) = changed {
        tracing::error!(%error, vapp = %object.reference(), "the summary of a vApp was not changed");
    }
    let [(_, datastores), (_, networks)] = lists;
    let all = [
        ("vAppConfig", Any::new(&config)),
        ("summary", Any::new(&summary)),
        ("datastore", Any::new(&datastores)),
        ("network", Any::new(&networks)),
    ];
    let is_new = |(name, value): &(&'static str, Any)| match object.find(name) {
        Found::Value(old) => old != *value,
        _ => true,
    };
    Ok(all.into_iter().filter(is_new).collect())
}

/// Returns whether an entry of a vApp's start order is that of an entity.
pub(crate) fn is_of(config: &VAppEntityConfigInfo, entity: &AnyRef) -> bool {
    let key = config.key.as_ref();
    key.is_some_and(|key| key.value() == entity.value())
}

/// Adds new members to the end of the start order, and removes those that left.
fn arrange(order: &mut Vec<VAppEntityConfigInfo>, members: &[AnyRef]) {
    order.retain(|config| members.iter().any(|member| is_of(config, member)));
    for member in members {
        if order.iter().any(|config| is_of(config, member)) {
            continue;
        }
        let last = order.iter().filter_map(|config| config.start_order).max();
        order.push(VAppEntityConfigInfo {
            key: Some(member.retype()),
            start_order: Some(last.unwrap_or(0).saturating_add(1)),
            start_delay: Some(DELAY),
            waiting_for_guest: Some(false),
            start_action: Some("powerOn".into()),
            stop_delay: Some(DELAY),
            stop_action: Some("powerOff".into()),
            ..Default::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_join_at_the_end_of_the_order_and_leave_without_moving_the_others() {
        let vm = |value| AnyRef::from_wire("VirtualMachine", value);
        let mut order = Vec::new();
        arrange(&mut order, &[vm("1"), vm("2")]);
        if let Some(second) = order.get_mut(1) {
            second.start_order = Some(7);
        }
        arrange(&mut order, &[vm("2"), vm("3")]);
        let numbers = order.iter().map(|config| config.start_order);
        assert_eq!(numbers.collect::<Vec<_>>(), [Some(7), Some(8)]);
        assert!(is_of(&order[0], &vm("2")) && is_of(&order[1], &vm("3")));
    }
}
