//! Handles requests that wait for updates.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use vim25::soap::Request;
use vim25::types::{UpdateSet, WaitOptions};
use vim25::{Any, Fault};

use crate::fault;
use crate::invocation::{Answer, Caller, Invocation, nothing, value};
use crate::object::SessionKey;
use crate::property::{collector, selection, update};
use crate::shared::Shared;
use crate::world::Transaction;

/// Maximum number of updates per reply, as in vCenter.
const OBJECTS_PER_REPLY: usize = 100;

/// Handles `CheckForUpdates`, which returns the changes without waiting.
pub(super) fn check(inv: &mut Invocation<'_, '_>) -> Answer {
    let version: Option<String> = inv.arg("version")?;
    let key = inv.caller.session()?.clone();
    let this = inv.this.value().to_owned();
    let version = version.unwrap_or_default();
    match look(inv.tx, &key, &this, &version, usize::MAX)? {
        Some(set) => value(&set),
        None => nothing(),
    }
}

/// Handles `WaitForUpdates` and `WaitForUpdatesEx`.
///
/// Returns when there are changes, when the requested time is over, when the wait is
/// cancelled, or when the session or the collector no longer exists. The future is dropped
/// when the client disconnects.
pub(crate) async fn wait(shared: &Arc<Shared>, caller: &Caller, request: &Request) -> Answer {
    let key = caller.session()?.clone();
    let this = request
        .this
        .as_ref()
        .map(|this| this.value().to_owned())
        .ok_or_else(|| fault::invalid_request("the request names no object"))?;
    let argument = |_| fault::invalid_argument("version");
    let version: Option<String> = request.argument("version").map_err(argument)?;
    let version = version.unwrap_or_default();
    let options: Option<WaitOptions> = if request.method == "WaitForUpdatesEx" {
        request
            .argument("options")
            .map_err(|_| fault::invalid_argument("options"))?
    } else {
        None
    };
    let options = options.unwrap_or_default();
    let limit = super::bound("options.maxObjectUpdates", options.max_object_updates)?;
    let limit = limit.unwrap_or(OBJECTS_PER_REPLY);
    let deadline = match options.max_wait_seconds {
        None => None,
        Some(seconds) => {
            let seconds = u64::try_from(seconds)
                .map_err(|_| fault::invalid_argument("options.maxWaitSeconds"))?;
            Some(Instant::now() + Duration::from_secs(seconds))
        }
    };
    let mut alarms = shared.registry.alarms();
    let waiting = Waiting::begin(shared, &key, &this)?;
    loop {
        alarms.mark_unchanged();
        let news = waiting.news.notified();
        tokio::pin!(news);
        // Register for notifications before looking, so that no change is missed.
        news.as_mut().enable();
        if let Some(set) = waiting.look(&version, limit)? {
            return value(&set);
        }
        tokio::select! {
            () = shared.stop.cancelled() => return Err(fault::canceled()),
            () = news => {}
            alarm = alarms.changed() => if alarm.is_err() { return Err(fault::canceled()) },
            () = until(deadline) => return Ok(Any::default()),
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The wait of a client on a collector.
struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    session: &'a SessionKey,
    collector: &'a str,
    /// The collector's cancellation count when the wait began.
    cancelled: u64,
    news: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn begin(
        shared: &'a Arc<Shared>,
        session: &'a SessionKey,
        collector: &'a str,
    ) -> Result<Self, Fault> {
        let mut tx = Transaction::begin(shared)?;
        let state = collector::collector(&mut tx, session, collector)?;
        state.waiting += 1;
        let (cancelled, news) = (state.cancelled, Arc::clone(&state.news));
        tx.commit();
        Ok(Self {
            shared,
            session,
            collector,
            cancelled,
            news,
        })
    }

    fn look(&self, version: &str, limit: usize) -> Result<Option<UpdateSet>, Fault> {
        let mut tx = Transaction::begin(self.shared)?;
        let state = collector::collector(&mut tx, self.session, self.collector)?;
        if state.cancelled != self.cancelled {
            return Err(fault::canceled());
        }
        look(&mut tx, self.session, self.collector, version, limit)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Ok(mut tx) = Transaction::begin(self.shared) {
            if let Ok(state) = collector::collector(&mut tx, self.session, self.collector) {
                state.waiting = state.waiting.saturating_sub(1);
            }
            tx.sessions().wait_ended(self.session);
        }
    }
}

fn look(
    tx: &mut Transaction<'_>,
    session: &SessionKey,
    name: &str,
    version: &str,
    limit: usize,
) -> Result<Option<UpdateSet>, Fault> {
    let mut state = std::mem::take(collector::collector(tx, session, name)?);
    let room = selection::room(tx, session);
    let result = update::since(tx, session, &mut state, version, limit, room);
    *collector::collector(tx, session, name)? = state;
    result
}
