//! The changes of a set of objects, as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use vim25::{ManagedObject, Ref};

use super::slot::{Content, News};
use super::subscription::Subscription;
use crate::client::Client;
use crate::error::Result;
use crate::property::{ObjectProperties, Source};

/// A change to a watched set of objects.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change<T> {
    /// The object is in the set. Reported initially, when an object enters the set, and after
    /// a resync.
    Entered(ObjectProperties<T>),
    /// Some properties of the object changed.
    Changed {
        /// The current state of all watched properties, or only of those that changed if the
        /// query was [watched](crate::Query::watch_changed) that way.
        object: ObjectProperties<T>,
        /// The paths that changed since the last report, as precise as the values allow:
        /// `runtime.powerState`, `config.extraConfig["guestinfo.ip"].value`,
        /// `config.hardware.device[2000]`. Each path starts with a watched path. If very many
        /// paths changed at the same time, they are replaced by the watched path.
        paths: Vec<String>,
    },
    /// The object is no longer in the set: it was deleted or moved.
    Left(Ref<T>),
    /// All initial objects have been reported; later reports are changes.
    Complete,
    /// The session was lost and opened again, or the server was restarted. Changes may have
    /// been missed, so every object of the set is reported as entered again. Objects that left
    /// in between are reported as left before the next `Complete`.
    Resync,
}

/// The changes of a set of objects; returned by [`Query::watch`](crate::Query::watch).
///
/// The stream survives lost sessions and outages of several minutes (ten times the budget of
/// the [`RetryPolicy`](crate::RetryPolicy)). After a longer outage, or when the server refuses
/// a request, it ends with an error. It may be polled slowly: changes between two polls are
/// merged, so only intermediate states are skipped. Dropping the stream frees the resources it
/// holds on the server.
pub struct Changes<T> {
    changes: BoxStream<'static, Result<Change<T>>>,
}

impl<T> Changes<T>
where
    T: ManagedObject,
{
    pub(crate) fn new(client: Client, type_name: &str, paths: Vec<String>, source: Source) -> Self {
        Self::of(Subscription::new(client, type_name, paths, source))
    }

    pub(crate) fn only_changed(
        client: Client,
        type_name: &str,
        paths: Vec<String>,
        source: Source,
    ) -> Self {
        Self::of(Subscription::new(client, type_name, paths, source).only_changed())
    }

    fn of(subscription: Subscription) -> Self {
        let news = futures_util::stream::try_unfold(subscription, |mut subscription| async move {
            let news = subscription.next().await?;
            Ok(Some((news, subscription)))
        });
        Self {
            changes: news.map_ok(typed).boxed(),
        }
    }
}

impl<T> Stream for Changes<T> {
    type Item = Result<Change<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

fn typed<T>(news: News) -> Change<T>
where
    T: ManagedObject,
{
    let object = |content: Content| Arc::unwrap_or_clone(content).typed();
    match news {
        News::Entered(content) => Change::Entered(object(content)),
        News::Changed(content, paths) => Change::Changed {
            object: object(content),
            paths,
        },
        News::Left(object) => Change::Left(
            object
                .downcast()
                .unwrap_or_else(|| Ref::new(object.value())),
        ),
        News::Complete => Change::Complete,
        News::Resync => Change::Resync,
    }
}
