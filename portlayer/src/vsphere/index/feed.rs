//! The task that keeps the index up to date.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};
use vim25::{Ref, mo};
use vsphere_client::Change;

use super::content::Verdict;
use super::{Phase, Source, State};
use crate::vsphere::endpoint::Machine;
use crate::vsphere::fault;
use crate::{Error, Result};

/// How long to wait for a report that confirms a read before reading the machine again.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(1);

/// Marks the index as no longer updated when it is dropped, however the task ends.
struct End(Option<Arc<State>>);

impl End {
    fn with(mut self, error: Error) {
        if let Some(state) = self.0.take() {
            state.end(Some(error));
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            state.end(None);
        }
    }
}

/// Updates the index until the endpoint refuses the watch or does not respond for minutes. The
/// client recovers from lost sessions and shorter outages.
pub(super) async fn feed(source: Source, state: Arc<State>) {
    let end = End(Some(Arc::clone(&state)));
    if let Err(error) = follow(&source, &state).await {
        tracing::debug!(host = %source.host, %error, "the index of the host's machines is not updated");
        end.with(error);
    }
}

async fn follow(source: &Source, state: &State) -> Result<()> {
    let mut changes = source.endpoint.watch_members(&source.members);
    let mut reported = HashSet::new();
    // The appliance is in the pool or folder, so reports that do not contain it are incomplete.
    let mut has_appliance = false;
    loop {
        let due = state.content().first_unconfirmed();
        let change = tokio::select! {
            change = changes.next() => change,
            () = at(due) => {
                confirm(source, state).await;
                continue;
            }
            () = state.read_happened() => continue,
        };
        let Some(change) = change else {
            let reason = "the endpoint stopped reporting changes";
            return Err(Error::internal(source.host.clone(), reason));
        };
        match change.map_err(|error| fault::error(&source.host, error))? {
            change @ (Change::Entered(_) | Change::Changed { .. }) => {
                let (properties, changed) = match &change {
                    Change::Changed { object, paths } => (object, Some(paths)),
                    Change::Entered(object) => (object, None),
                    _ => continue,
                };
                let vm = properties.object().clone();
                if vm == source.appliance {
                    has_appliance = true;
                    continue;
                }
                let verdict = match changed {
                    None => {
                        let machine = Machine::read(properties);
                        state.content().report(machine)
                    }
                    Some(changed) => {
                        let before = state.content().last_report(&vm);
                        match before.map(|before| before.changed(properties, changed)) {
                            Some(machine) => state.content().report(machine),
                            // The changed properties are not the whole machine.
                            None => Verdict::Doubtful,
                        }
                    }
                };
                let seen = state.content().get(&vm);
                if seen.is_some_and(|seen| seen.is_incomplete()) {
                    state.incomplete.send_modify(|count| *count += 1);
                }
                if reported.insert(vm.clone()) {
                    state.arrived.notify_waiters();
                }
                if verdict == Verdict::Doubtful {
                    reread(source, state, &[vm]).await;
                }
            }
            Change::Left(vm) => {
                reported.remove(&vm);
                state.content().left(&vm);
            }
            Change::Resync => {
                tracing::debug!(host = %source.host, "the index is updated again");
                reported.clear();
                has_appliance = false;
            }
            Change::Complete => {
                if !has_appliance {
                    reported.extend(read_all(source, state).await?);
                    state.arrived.notify_waiters();
                }
                state.content().retain(|vm| reported.contains(vm));
                state.enter(Phase::Current);
            }
            _ => {}
        }
    }
}

/// Reads all machines of the host and returns them, for servers that do not report them: vcsim
/// evaluates a new filter only when something changes.
async fn read_all(source: &Source, state: &State) -> Result<Vec<Ref<mo::VirtualMachine>>> {
    let asked = Instant::now();
    let machines = source
        .endpoint
        .machines(&source.members, &source.host)
        .await?;
    let mut content = state.content();
    let machines = machines.into_iter().filter(|m| m.vm != source.appliance);
    Ok(machines
        .map(|machine| {
            let vm = machine.vm.clone();
            content.read(machine, asked);
            vm
        })
        .collect())
}

async fn at(due: Option<Instant>) {
    match due {
        Some(read) => sleep_until(read + CONFIRMED_WITHIN).await,
        None => std::future::pending().await,
    }
}

/// Reads again the machines that no report has confirmed.
async fn confirm(source: &Source, state: &State) {
    let due = {
        let now = Instant::now();
        let before = now.checked_sub(CONFIRMED_WITHIN).unwrap_or(now);
        state.content().unconfirmed(before)
    };
    if due.is_empty() {
        return;
    }
    let asked = Instant::now();
    let found = source.endpoint.machines_of(&due, &source.host).await;
    match found {
        Ok(machines) => {
            let mut content = state.content();
            let there: HashSet<_> = machines.iter().map(|m| m.vm.clone()).collect();
            for vm in due.iter().filter(|vm| !there.contains(*vm)) {
                content.left(vm);
            }
            for machine in machines {
                content.read_again(machine, asked);
            }
        }
        Err(error) => {
            tracing::debug!(host = %source.host, %error, "cannot read machines again");
            tokio::time::sleep(CONFIRMED_WITHIN).await;
        }
    }
}

/// Reads again the machines whose reports may be outdated.
async fn reread(source: &Source, state: &State, vms: &[Ref<mo::VirtualMachine>]) {
    let asked = Instant::now();
    match source.endpoint.machines_of(vms, &source.host).await {
        Ok(machines) => {
            for machine in machines {
                state.content().read(machine, asked);
            }
        }
        // The machine stays unconfirmed, and is read again later.
        Err(error) => {
            tracing::debug!(host = %source.host, %error, "cannot read a machine again");
        }
    }
}
