//! `HttpNfcLease`: imports and exports of machines.

mod open;

pub(super) use open::{export, import};

use std::sync::Arc;

use tokio::time::Instant;
use vim25::types::{HttpNfcLeaseManifestEntry, HttpNfcLeaseState, LocalizedMethodFault, Timedout};
use vim25::{Fault, Ref, mo};

use super::virtual_machine::{self, Gone};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::lease::{Direction, Lease};
use crate::object::{Hidden, Object, Retype};
use crate::shared::{Effect, Later, Shared};
use crate::task;
use crate::world::Transaction;

/// Maximum number of ended leases that can still be queried.
const KEPT: usize = 16;

type LeaseRef = Ref<mo::HttpNfcLease>;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "HttpNfcLeaseProgress" => progress(inv),
        "HttpNfcLeaseComplete" => complete(inv),
        "HttpNfcLeaseAbort" => abort(inv),
        "HttpNfcLeaseGetManifest" => manifest(inv),
        // A no-op: both digests are computed in any case.
        "HttpNfcLeaseSetManifestChecksumType" => nothing(),
        _ => return None,
    })
}

/// Returns the active lease with a token.
pub(crate) fn with_token(shared: &Arc<Shared>, token: &str) -> Option<Arc<Lease>> {
    let tx = Transaction::begin(shared).ok()?;
    tx.all("HttpNfcLease").find_map(|object| {
        let lease = of(object)?;
        (lease.token == token && !lease.over.is_cancelled()).then(|| Arc::clone(lease))
    })
}

/// Ends a lease with a fault, unless it has ended.
pub(crate) async fn fail(shared: &Arc<Shared>, lease: Arc<Lease>, fault: Fault) {
    let vm = lease.vm.clone();
    let failed = Transaction::run(shared, move |tx| end(tx, &lease, &Err(fault)));
    if let Err(fault) = failed.await {
        tracing::warn!(%vm, %fault, "a lease could not be ended");
    }
}

/// Ends the leases that are ready, as if their time had run out.
pub(crate) fn time_out_all(shared: &Arc<Shared>) {
    let Ok(mut tx) = Transaction::begin(shared) else {
        return;
    };
    let leases = tx.all("HttpNfcLease").filter_map(|object| of(object));
    let leases: Vec<_> = leases.map(Arc::clone).collect();
    for lease in leases {
        if let Err(fault) = end(&mut tx, &lease, &Err(timed_out())) {
            tracing::warn!(vm = %lease.vm, %fault, "a lease could not be ended");
        }
    }
    tx.commit();
}

fn timed_out() -> Fault {
    Fault::new("The lease timed out.", Timedout::default())
}

/// Ends a lease, unless it has ended.
fn end(tx: &mut Transaction<'_>, lease: &Arc<Lease>, answer: &Answer) -> Result<(), Fault> {
    let mut leases = tx.all("HttpNfcLease");
    let found = leases.find(|object| of(object).is_some_and(|own| Arc::ptr_eq(own, lease)));
    let found: Option<LeaseRef> = found.map(|object| object.reference().retype());
    drop(leases);
    match found {
        Some(reference) if !lease.over.is_cancelled() => finish(tx, &reference, lease, answer),
        _ => Ok(()),
    }
}

fn of(object: &Object) -> Option<&Arc<Lease>> {
    match &object.hidden {
        Hidden::Lease(lease) => Some(lease),
        _ => None,
    }
}

/// Returns the lease that a call is for, which must be in the state `ready`.
fn ready(inv: &Invocation<'_, '_>) -> Result<Arc<Lease>, Fault> {
    let object = inv.this()?;
    let state: HttpNfcLeaseState = object.read("state")?;
    match of(object) {
        Some(lease) if state == HttpNfcLeaseState::Ready => Ok(Arc::clone(lease)),
        _ => Err(fault::invalid_state()),
    }
}

fn progress(inv: &mut Invocation<'_, '_>) -> Answer {
    let percent: i32 = inv.arg("percent")?;
    if !(0..=100).contains(&percent) {
        return Err(fault::invalid_argument("percent"));
    }
    let lease = ready(inv)?;
    lease.alive.send_replace(Instant::now());
    inv.edit_this()?.put("transferProgress", &percent);
    inv.tx
        .edit(&lease.task)?
        .modify("info", |info: &mut vim25::types::TaskInfo| {
            info.progress = Some(percent);
        })?;
    nothing()
}

fn complete(inv: &mut Invocation<'_, '_>) -> Answer {
    let lease = ready(inv)?;
    let this = inv.this.retype();
    let vm = lease.vm.clone();
    finish(inv.tx, &this, &lease, &value(&vm))?;
    nothing()
}

fn abort(inv: &mut Invocation<'_, '_>) -> Answer {
    let given: Option<LocalizedMethodFault> = inv.arg("fault")?;
    let fault = given.map_or_else(fault::canceled, Fault::from);
    if is_initializing(inv.this()?) {
        // The job that opens the lease sees the state and rolls back.
        show_failure(inv.edit_this()?, &fault);
        return nothing();
    }
    let lease = ready(inv)?;
    let this = inv.this.retype();
    finish(inv.tx, &this, &lease, &Err(fault))?;
    nothing()
}

fn is_initializing(object: &Object) -> bool {
    object.read("state") == Ok(HttpNfcLeaseState::Initializing)
}

/// Puts a lease into its error state.
fn show_failure(object: &mut Object, fault: &Fault) {
    object.put("state", &HttpNfcLeaseState::Error);
    object.put("error", &LocalizedMethodFault::from(fault));
}

/// Ends a lease, and destroys the machine of a failed import.
fn finish(
    tx: &mut Transaction<'_>,
    reference: &LeaseRef,
    lease: &Arc<Lease>,
    answer: &Answer,
) -> Result<(), Fault> {
    let object = tx.edit(reference)?;
    match answer {
        Ok(_) => {
            object.put("state", &HttpNfcLeaseState::Done);
            object.put("transferProgress", &100i32);
        }
        Err(fault) => show_failure(object, fault),
    }
    task::finish(tx, &lease.task, answer)?;
    tx.after(Effect::Stop(lease.over.clone()));
    if answer.is_err() && lease.direction == Direction::Import {
        // Destroy the machine immediately, unless a transfer is still writing.
        match lease.gate.try_write() {
            Ok(_alone) => {
                let gone = virtual_machine::destroy_now(tx, &lease.vm)?;
                forget(tx, gone);
            }
            Err(_) => {
                let lease = Arc::clone(lease);
                tx.after(Effect::Then(Later::new(|shared| undo(shared, lease))));
            }
        }
    }
    drop_old(tx);
    Ok(())
}

fn forget(tx: &mut Transaction<'_>, gone: Gone) {
    let later = Later::new(|shared| async move { gone.forget(&shared).await });
    tx.after(Effect::Then(later));
}

/// Destroys the machine of a failed import after its last transfer has stopped writing.
async fn undo(shared: Arc<Shared>, lease: Arc<Lease>) {
    let _alone = lease.gate.write().await;
    let vm = lease.vm.clone();
    match Transaction::run(&shared, move |tx| virtual_machine::destroy_now(tx, &vm)).await {
        Ok(gone) => gone.forget(&shared).await,
        Err(fault) => {
            tracing::warn!(vm = %lease.vm, %fault, "the machine of a failed import was not removed");
        }
    }
}

/// Removes all ended leases except the most recent.
fn drop_old(tx: &mut Transaction<'_>) {
    let ended = |object: &Object| {
        let state = object.read("state");
        matches!(
            state,
            Ok(HttpNfcLeaseState::Done | HttpNfcLeaseState::Error)
        )
    };
    let mut old: Vec<(u64, LeaseRef)> = tx
        .all("HttpNfcLease")
        .filter(|object| ended(object))
        .map(|object| (object.version, object.reference().retype()))
        .collect();
    old.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    for (_, lease) in old.into_iter().skip(KEPT) {
        tx.remove(&lease);
    }
}

/// Ends a lease with a timeout when its client reports no progress.
async fn watch(shared: Arc<Shared>, lease: Arc<Lease>) {
    let mut alive = lease.alive.subscribe();
    loop {
        let until = *alive.borrow_and_update() + shared.settings.lease;
        tokio::select! {
            () = lease.over.cancelled() => return,
            changed = alive.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(until) => break,
        }
    }
    fail(&shared, lease, timed_out()).await;
}

fn manifest(inv: &mut Invocation<'_, '_>) -> Answer {
    let object = inv.this()?;
    let lease = of(object).ok_or_else(fault::invalid_state)?;
    let entry = |device: &crate::lease::Device| {
        let moved = device.moved()?;
        let number = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        Some(HttpNfcLeaseManifestEntry {
            key: device.key.clone(),
            sha1: moved.sha1,
            checksum: Some(moved.sha256),
            checksum_type: Some("sha256".into()),
            size: number(moved.size),
            disk: true,
            capacity: Some(number(device.bytes)),
            populated_size: Some(number(moved.populated)),
        })
    };
    let entries: Vec<_> = lease.devices.iter().filter_map(entry).collect();
    value(&entries)
}
