//! Starts, stops and suspends the machines of a vApp in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vim25::types::{
    VAppConfigInfo, VAppEntityConfigInfo, VirtualAppVAppState, VirtualMachinePowerState,
};
use vim25::{AnyRef, Fault, Ref, mo};

use super::{check_machine, check_state};
use crate::invocation::{Answer, Invocation, nothing};
use crate::machine;
use crate::model::virtual_machine;
use crate::object::Retype;
use crate::shared::Shared;
use crate::task;
use crate::vapp;
use crate::world::Transaction;

/// How often the power state of a machine is read whose guest shuts down.
const PACE: Duration = Duration::from_millis(20);

/// A machine of a vApp, and how it starts and stops.
#[derive(Clone, Debug)]
struct Step {
    vm: Ref<mo::VirtualMachine>,
    config: VAppEntityConfigInfo,
}

impl Step {
    fn state(&self, tx: &Transaction<'_>) -> Result<VirtualMachinePowerState, Fault> {
        machine::power_state(tx.object(&self.vm)?)
    }

    fn does_start(&self) -> bool {
        self.config.start_action.as_deref() != Some("none")
    }
}

/// Returns the machines of a vApp and of the vApps in it in the order in which they start. Those
/// that start at the same time are in one group. The direction of the order is that of `is_stop`.
fn groups(tx: &Transaction<'_>, app: &AnyRef, is_stop: bool) -> Result<Vec<Vec<Step>>, Fault> {
    let object = tx.object(app)?;
    let config: VAppConfigInfo = object.read("vAppConfig")?;
    let mut ordered: BTreeMap<i32, Vec<VAppEntityConfigInfo>> = BTreeMap::new();
    for entity in &config.entity_config {
        let order = entity.start_order.unwrap_or(0);
        ordered.entry(order).or_default().push(entity.clone());
    }
    let mut ordered: Vec<_> = ordered.into_values().collect();
    if is_stop {
        ordered.reverse();
    }
    let mut groups = Vec::new();
    for entities in ordered {
        let mut group = Vec::new();
        for config in entities {
            let Some(key) = config.key.clone() else {
                continue;
            };
            if key.type_name() != "VirtualApp" {
                let vm = key.retype();
                group.push(Step { vm, config });
                continue;
            }
            let action = match is_stop {
                true => config.stop_action.as_deref(),
                false => config.start_action.as_deref(),
            };
            if action != Some("none") {
                groups.extend(self::groups(tx, &key.upcast(), is_stop)?);
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

/// Handles `PowerOnVApp_Task`. Machines that are on stay on. If one does not start, none does.
pub(super) fn on(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "VirtualApp.powerOn", move |tx| {
        check_state(tx.object(&this)?, &VirtualAppVAppState::Stopped)?;
        for step in groups(tx, &this, false)?.iter().flatten() {
            if step.does_start() && step.state(tx)? != VirtualMachinePowerState::PoweredOn {
                check_machine(tx, &step.vm)?;
                virtual_machine::power_on(tx, &step.vm)?;
            }
        }
        vapp::set_state(tx, &this, VirtualAppVAppState::Started)?;
        vapp::refresh(tx, &this)?;
        nothing()
    })
}

/// Handles `SuspendVApp_Task`, in the order in which the machines stop.
pub(super) fn suspend(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "VirtualApp.suspend", move |tx| {
        check_state(tx.object(&this)?, &VirtualAppVAppState::Started)?;
        for step in groups(tx, &this, true)?.iter().flatten() {
            if step.state(tx)? == VirtualMachinePowerState::PoweredOn {
                check_machine(tx, &step.vm)?;
                virtual_machine::suspend_now(tx, &step.vm)?;
            }
        }
        vapp::set_state(tx, &this, VirtualAppVAppState::Stopped)?;
        vapp::refresh(tx, &this)?;
        nothing()
    })
}

/// Handles `PowerOffVApp_Task`. With `force`, all machines are powered off at once.
pub(super) fn off(inv: &mut Invocation<'_, '_>) -> Answer {
    let force: bool = inv.arg("force")?;
    let this = inv.this.clone();
    let description = "VirtualApp.powerOff";
    task::begin_long(inv, &this.clone(), description, move |shared| async move {
        let app = this.clone();
        let groups = Transaction::run(&shared, move |tx| {
            check_state(tx.object(&app)?, &VirtualAppVAppState::Started)?;
            let groups = groups(tx, &app, true)?;
            for step in groups.iter().flatten() {
                check_machine(tx, &step.vm)?;
            }
            vapp::set_state(tx, &app, VirtualAppVAppState::Stopping)?;
            Ok(groups)
        });
        let stopped = stop(&shared, groups.await?, force).await;
        Transaction::run(&shared, move |tx| {
            // The members that are still on make it run again.
            vapp::set_state(tx, &this, VirtualAppVAppState::Stopped)?;
            vapp::refresh(tx, &this)
        })
        .await?;
        stopped?;
        nothing()
    })
}

/// Stops machines, one group after the other.
async fn stop(shared: &Arc<Shared>, groups: Vec<Vec<Step>>, force: bool) -> Result<(), Fault> {
    if force {
        let all: Vec<Step> = groups.into_iter().flatten().collect();
        return Transaction::run(shared, move |tx| power_off(tx, &all)).await;
    }
    for group in groups {
        let waiting = Transaction::run(shared, move |tx| begin_stop(tx, group)).await?;
        for step in waiting {
            let seconds = step.config.stop_delay.unwrap_or(0);
            let most = Duration::from_secs(seconds.try_into().unwrap_or(0));
            let own = step.clone();
            // A guest that does not shut down in time is powered off.
            let _ = tokio::time::timeout(most, ended(shared, own)).await;
            Transaction::run(shared, move |tx| power_off(tx, std::slice::from_ref(&step))).await?;
        }
    }
    Ok(())
}

/// Powers off machines that are not off.
fn power_off(tx: &mut Transaction<'_>, steps: &[Step]) -> Result<(), Fault> {
    for step in steps {
        // The machine may have been removed.
        if tx.object(&step.vm).is_ok() && step.state(tx)? != VirtualMachinePowerState::PoweredOff {
            virtual_machine::power_off(tx, &step.vm)?;
        }
    }
    Ok(())
}

/// Stops the machines of a group as they are configured. Returns those whose guests shut down.
fn begin_stop(tx: &mut Transaction<'_>, group: Vec<Step>) -> Result<Vec<Step>, Fault> {
    let mut waiting = Vec::new();
    for step in group {
        let Ok(state) = step.state(tx) else {
            continue;
        };
        let is_on = state == VirtualMachinePowerState::PoweredOn;
        match step.config.stop_action.as_deref() {
            Some("none") => {}
            Some("suspend") if is_on => virtual_machine::suspend_now(tx, &step.vm)?,
            Some("suspend") => {}
            Some("guestShutdown") if is_on && virtual_machine::ask_shutdown(tx, &step.vm)? => {
                waiting.push(step);
            }
            _ => power_off(tx, std::slice::from_ref(&step))?,
        }
    }
    Ok(waiting)
}

/// Waits until a machine is off.
async fn ended(shared: &Arc<Shared>, step: Step) {
    loop {
        let own = step.clone();
        let state = Transaction::run(shared, move |tx| own.state(tx)).await;
        if state != Ok(VirtualMachinePowerState::PoweredOn) {
            return;
        }
        tokio::time::sleep(PACE).await;
    }
}
