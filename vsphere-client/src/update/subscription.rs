//! A subscriber's end of the update engine.

use std::sync::Arc;

use super::engine::{Command, Target};
use super::slot::{News, Slot};
use crate::client::Client;
use crate::error::{Error, LoginProblem, Result};
use crate::property::Source;

/// A subscription. Nothing is sent before its first poll. Dropping it ends the subscription,
/// and the engine frees its resources on the server.
#[derive(Debug)]
pub(crate) struct Subscription {
    client: Client,
    target: Target,
    only_changed: bool,
    open: Option<(u64, Arc<Slot>)>,
}

impl Subscription {
    pub(crate) fn new(client: Client, type_name: &str, paths: Vec<String>, source: Source) -> Self {
        Self {
            client,
            target: Target {
                type_name: type_name.into(),
                paths: paths.into(),
                source,
            },
            only_changed: false,
            open: None,
        }
    }

    /// Makes reports of changes contain only the properties that changed. The subscriber keeps
    /// the objects. No effect on objects that were selected by reference, which the engine keeps
    /// in any case.
    pub(crate) const fn only_changed(mut self) -> Self {
        self.only_changed = !matches!(self.target.source, Source::Objects(_));
        self
    }

    /// Returns the next report. Cancel-safe: dropping the future loses no report.
    ///
    /// # Errors
    /// Returns the error that ended the subscription.
    pub(crate) async fn next(&mut self) -> Result<News> {
        let slot = match &self.open {
            Some((_, slot)) => Arc::clone(slot),
            None => self.open()?,
        };
        slot.next().await
    }

    fn open(&mut self) -> Result<Arc<Slot>> {
        if self.client.inner.session.is_closed() {
            let operation = self.client.operation("watching properties", None);
            let problem = LoginProblem::Closed;
            return Err(self.client.not_authenticated(&operation, problem, None));
        }
        let slot = Arc::new(Slot::new(Arc::clone(&self.target.paths), self.only_changed));
        let id = self.client.inner.engine.number();
        let command = Command::Subscribe {
            id,
            target: self.target.clone(),
            receiver: Arc::<Slot>::clone(&slot),
        };
        if !self.client.tell_engine(command) {
            return Err(Error::config(
                "watching needs a tokio runtime: call this from a task of one",
            ));
        }
        self.open = Some((id, Arc::clone(&slot)));
        Ok(slot)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some((id, _)) = self.open.take() {
            self.client.inner.engine.tell(Command::Unsubscribe { id });
        }
    }
}
