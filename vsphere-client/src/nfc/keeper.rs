//! The background task that owns a lease. It starts the lease, keeps it alive, and ends it
//! even if the caller was dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};
use vim25::types::{HttpNfcLeaseInfo, HttpNfcLeaseState, LocalizedMethodFault};
use vim25::{Call, Ref, mo, props};

use crate::client::Client;
use crate::error::{Error, Operation, Result};

/// The longest time between two progress reports. Servers end a lease after five minutes
/// without a report.
const LONGEST: Duration = Duration::from_secs(30);

/// The way in which a lease is to end.
pub(super) enum End {
    /// Complete the lease, after everything was transferred.
    Complete(oneshot::Sender<Result<()>>),
    /// Abort the lease, which removes what was created.
    Abort(oneshot::Sender<Result<()>>),
}

/// The state shared by a lease's handles and its keeper.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The bytes transferred so far.
    pub(super) moved: AtomicU64,
    /// The total number of bytes, as far as they were announced.
    pub(super) announced: AtomicU64,
    /// Whether the server ended the lease.
    pub(super) lost: AtomicBool,
    /// Wakes transfers when the lease is lost.
    pub(super) news: tokio::sync::Notify,
}

impl Tally {
    /// Returns the progress from 0 to 99 percent; only completing the lease makes it 100.
    fn percent(&self) -> i32 {
        let announced = self.announced.load(Ordering::Relaxed).max(1);
        let moved = self.moved.load(Ordering::Relaxed);
        let percent = u128::from(moved) * 100 / u128::from(announced);
        i32::try_from(percent).unwrap_or(99).min(99)
    }

    /// Waits until the lease is lost.
    pub(super) async fn lost(&self) {
        loop {
            let news = self.news.notified();
            if self.lost.load(Ordering::Acquire) {
                return;
            }
            news.await;
        }
    }
}

/// The data of a lease that is ready.
pub(super) struct Opened {
    pub(super) operation: Operation,
    pub(super) lease: Ref<mo::HttpNfcLease>,
    pub(super) info: HttpNfcLeaseInfo,
    pub(super) tally: Arc<Tally>,
    pub(super) end: oneshot::Sender<End>,
}

/// Starts a lease in a background task and returns a receiver for the result. If the
/// receiver is dropped, the lease is aborted as soon as possible.
pub(super) fn start(
    client: Client,
    call: Call<Ref<mo::HttpNfcLease>>,
) -> oneshot::Receiver<Result<Opened>> {
    let (tell, told) = oneshot::channel();
    let keeper = async move {
        let operation = client.operation(call.method(), Some(call.this()));
        keep(&client, call, operation, tell).await;
    };
    tokio::spawn(tracing::Instrument::in_current_span(keeper));
    told
}

async fn keep(
    client: &Client,
    call: Call<Ref<mo::HttpNfcLease>>,
    operation: Operation,
    mut tell: oneshot::Sender<Result<Opened>>,
) {
    let lease = match client.call(call).await {
        Ok(lease) => lease,
        Err(error) => {
            // The receiver may have been dropped.
            let _ = tell.send(Err(error));
            return;
        }
    };
    let ready = tokio::select! {
        ready = ready(client, &lease, &operation) => ready,
        () = tell.closed() => {
            report(abort(client, &lease).await);
            return;
        }
    };
    let info = match ready {
        Ok(info) => info,
        Err(error) => {
            // A lease in its error state holds no resources; in any other state it may, so
            // abort it.
            if !matches!(error, Error::Fault { .. }) {
                report(abort(client, &lease).await);
            }
            let _ = tell.send(Err(error));
            return;
        }
    };
    let tally = Arc::new(Tally::default());
    let (end, mut ended) = oneshot::channel();
    let timeout = Duration::from_secs(u64::try_from(info.lease_timeout).unwrap_or(0));
    let opened = Opened {
        operation,
        lease: lease.clone(),
        info,
        tally: Arc::clone(&tally),
        end,
    };
    if tell.send(Ok(opened)).is_err() {
        report(abort(client, &lease).await);
        return;
    }
    let end = tokio::select! {
        end = &mut ended => end,
        never = stay_alive(client, &lease, timeout, &tally) => match never {},
    };
    match end {
        Ok(End::Complete(reply)) => {
            let completed = complete(client, &lease).await;
            if completed.is_err() {
                // If the lease was completed after all, the server refuses the abort.
                report(abort(client, &lease).await);
            }
            let _ = reply.send(completed);
        }
        Ok(End::Abort(reply)) => {
            let _ = reply.send(abort(client, &lease).await);
        }
        Err(_dropped) => report(abort(client, &lease).await),
    }
}

/// Waits for a lease to become ready.
async fn ready(
    client: &Client,
    lease: &Ref<mo::HttpNfcLease>,
    operation: &Operation,
) -> Result<HttpNfcLeaseInfo> {
    use props::http_nfc_lease::{INFO, STATE};
    let is_settled = |state: &Option<HttpNfcLeaseState>| {
        state
            .as_ref()
            .is_some_and(|state| *state != HttpNfcLeaseState::Initializing)
    };
    let state = client.wait_for(lease, STATE, is_settled).await?;
    if state == Some(HttpNfcLeaseState::Ready) {
        return client.get(lease, INFO).await;
    }
    Err(failure(client, lease, operation).await.unwrap_or_else(|| {
        let fault = vim25::Fault::new(
            "the lease ended before it was ready",
            vim25::types::RuntimeFault::default(),
        );
        Error::fault_of(operation, fault)
    }))
}

/// Returns the fault with which the server ended a lease.
pub(super) async fn failure(
    client: &Client,
    lease: &Ref<mo::HttpNfcLease>,
    operation: &Operation,
) -> Option<Error> {
    use props::http_nfc_lease::{ERROR, STATE};
    let (state, fault) = client.try_get(lease, (STATE, ERROR)).await.ok()?;
    if state != Some(HttpNfcLeaseState::Error) {
        return None;
    }
    let fault: LocalizedMethodFault = fault?;
    Some(Error::fault_of(operation, fault.into()))
}

/// Reports the progress of the transfer to the server, until the future is dropped.
async fn stay_alive(
    client: &Client,
    lease: &Ref<mo::HttpNfcLease>,
    timeout: Duration,
    tally: &Tally,
) -> std::convert::Infallible {
    let pace = (timeout / 5).clamp(Duration::from_secs(1), LONGEST);
    let mut ticks = tokio::time::interval_at(Instant::now() + pace, pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match client
            .call(lease.http_nfc_lease_progress(tally.percent()))
            .await
        {
            Ok(()) => {}
            Err(error @ Error::Fault { .. }) => {
                tracing::debug!(%lease, %error, "the lease is lost");
                tally.lost.store(true, Ordering::Release);
                tally.news.notify_waiters();
                return std::future::pending().await;
            }
            // The next report may succeed.
            Err(error) => tracing::debug!(%lease, %error, "a progress report was not delivered"),
        }
    }
}

async fn complete(client: &Client, lease: &Ref<mo::HttpNfcLease>) -> Result<()> {
    match client.call(lease.http_nfc_lease_complete()).await {
        Err(error @ Error::OutcomeUnknown { .. }) => {
            let state = client.try_get(lease, props::http_nfc_lease::STATE).await;
            match state {
                Ok(Some(HttpNfcLeaseState::Done)) => Ok(()),
                _ => Err(error),
            }
        }
        done => done,
    }
}

async fn abort(client: &Client, lease: &Ref<mo::HttpNfcLease>) -> Result<()> {
    client.call(lease.http_nfc_lease_abort(None)).await
}

/// Logs the failure of an abort that no caller waits for.
fn report(aborted: Result<()>) {
    if let Err(error) = aborted {
        tracing::debug!(%error, "a lease was not aborted; the server ends it after its timeout");
    }
}
