//! Removes vApps, with or without the files of their machines.

use vim25::types::VirtualAppVAppState;
use vim25::{AnyRef, Fault};

use super::{check_machine, check_state};
use crate::invocation::{Answer, Invocation, nothing};
use crate::model::virtual_machine::{self, Gone};
use crate::object::Retype;
use crate::task;
use crate::vapp;
use crate::world::Transaction;

/// Handles `Destroy_Task` of a vApp: its machines are destroyed, and the vApps in it.
pub(super) fn destroy(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    let description = "VirtualApp.destroy";
    task::begin_long(inv, &this.clone(), description, |shared| async move {
        let gone = Transaction::run(&shared, move |tx| remove(tx, &this, true)).await?;
        for machine in gone {
            machine.forget(&shared).await;
        }
        nothing()
    })
}

/// Handles `unregisterVApp_Task`: the files of the machines stay.
pub(super) fn unregister(inv: &mut Invocation<'_, '_>) -> Answer {
    let this = inv.this.clone();
    task::begin(inv, &this.clone(), "VirtualApp.unregister", move |tx| {
        remove(tx, &this, false)?;
        nothing()
    })
}

/// Removes a vApp that is stopped, with everything in it.
fn remove(tx: &mut Transaction<'_>, app: &AnyRef, with_files: bool) -> Result<Vec<Gone>, Fault> {
    let top = tx.object(app)?.clone();
    let mut gone = Vec::new();
    let mut pending = vec![app.clone()];
    while let Some(app) = pending.pop() {
        let object = tx.object(&app)?.clone();
        check_state(&object, &VirtualAppVAppState::Stopped)?;
        for member in vapp::members(tx, &object)? {
            if member.type_name() == "VirtualApp" {
                pending.push(member);
                continue;
            }
            let vm = member.retype();
            check_machine(tx, &vm)?;
            match with_files {
                true => gone.push(virtual_machine::destroy_now(tx, &vm)?),
                false => virtual_machine::unregister_now(tx, &vm)?,
            }
        }
        tx.remove(&app);
    }
    let parent: AnyRef = top.read("parent")?;
    tx.edit(&parent)?
        .edit_list("resourcePool", |list| list.retain(|own| own != app))?;
    if let Ok(folder) = top.read::<AnyRef>("parentFolder") {
        tx.edit(&folder)?
            .edit_list("childEntity", |list| list.retain(|own| own != app))?;
    }
    if let Some(outer) = vapp::of(&top) {
        vapp::refresh(tx, &outer)?;
    }
    Ok(gone)
}
