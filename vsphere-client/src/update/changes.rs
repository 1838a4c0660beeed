//! The changes of a set of objects, as a stream.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll as Ready};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use vim25::types::{ObjectUpdate, ObjectUpdateKind};
use vim25::{AnyRef, IsA, ManagedObject, Ref, mo};

use super::{Poll, apply};
use crate::client::Client;
use crate::error::Result;
use crate::property::{ObjectProperties, Source};

/// What happened to one object of a watched set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change<T> {
    /// It is in the set: at first, when it is created, and after a resync.
    Entered(ObjectProperties<T>),
    /// Some of its properties changed.
    Changed {
        /// All watched properties as they are now.
        object: ObjectProperties<T>,
        /// The paths of those that changed.
        paths: Vec<String>,
    },
    /// It is not in the set any more: deleted or moved away.
    Left(Ref<T>),
    /// Everything that was there at first has been told: what follows is news.
    Complete,
    /// The session was lost and opened again. Changes may have been missed:
    /// every object of the set enters anew, and those that left meanwhile are told.
    Resync,
}

/// The changes of a set of objects; by [`Query::watch`](crate::Query::watch).
///
/// The stream ends only with an error. It does nothing while it is not polled,
/// but the server collects what happens meanwhile.
pub struct Changes<T> {
    changes: BoxStream<'static, Result<Change<T>>>,
}

impl<T> Changes<T>
where
    T: ManagedObject + IsA<mo::ManagedObject>,
{
    pub(crate) fn new(client: Client, type_name: &str, paths: Vec<String>, source: Source) -> Self {
        let state = Watcher {
            poll: Poll::new(client.clone(), type_name.to_owned(), paths.clone(), source),
            client,
            paths,
            known: HashMap::new(),
            unconfirmed: HashSet::new(),
            complete: false,
            ready: VecDeque::new(),
        };
        let changes = futures_util::stream::try_unfold(state, |mut state| async move {
            let change = state.next().await?;
            Ok(Some((change, state)))
        });
        Self {
            changes: changes.map_ok(typed).boxed(),
        }
    }
}

impl<T> Stream for Changes<T> {
    type Item = Result<Change<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Ready<Option<Self::Item>> {
        self.changes.poll_next_unpin(cx)
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

type AnyChange = Change<mo::ManagedObject>;

fn typed<T>(change: AnyChange) -> Change<T>
where
    T: ManagedObject + IsA<mo::ManagedObject>,
{
    match change {
        Change::Entered(object) => Change::Entered(object.typed()),
        Change::Changed { object, paths } => Change::Changed {
            object: object.typed(),
            paths,
        },
        Change::Left(object) => Change::Left(
            object
                .downcast()
                .unwrap_or_else(|| Ref::new(object.value())),
        ),
        Change::Complete => Change::Complete,
        Change::Resync => Change::Resync,
    }
}

struct Watcher {
    client: Client,
    poll: Poll,
    paths: Vec<String>,
    known: HashMap<AnyRef, ObjectProperties<mo::ManagedObject>>,
    /// After a resync: what was there before and has not entered again yet.
    unconfirmed: HashSet<AnyRef>,
    complete: bool,
    ready: VecDeque<AnyChange>,
}

impl Watcher {
    async fn next(&mut self) -> Result<AnyChange> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(change);
            }
            let updates = self.poll.next().await?;
            if updates.resync {
                self.unconfirmed = self.known.keys().cloned().collect();
                self.complete = false;
                self.ready.push_back(Change::Resync);
            }
            for update in updates.objects {
                self.take(update).await?;
            }
            for (object, _) in updates.missing {
                self.leave(object);
            }
            if !updates.truncated {
                for object in std::mem::take(&mut self.unconfirmed) {
                    self.leave(object);
                }
                if !std::mem::replace(&mut self.complete, true) {
                    self.ready.push_back(Change::Complete);
                }
            }
        }
    }

    fn leave(&mut self, object: AnyRef) {
        if self.known.remove(&object).is_some() {
            self.ready.push_back(Change::Left(object));
        }
    }

    async fn take(&mut self, update: ObjectUpdate) -> Result<()> {
        let object = update.obj.clone();
        self.unconfirmed.remove(&object);
        let entered = update.kind == ObjectUpdateKind::Enter || !self.known.contains_key(&object);
        if update.kind == ObjectUpdateKind::Leave {
            self.leave(object);
            return Ok(());
        }
        let mut content = self
            .known
            .remove(&object)
            .unwrap_or_else(|| ObjectProperties::empty(object.clone()));
        let paths = match apply(&mut content, update, &self.paths) {
            Ok(paths) => paths,
            Err(_) => {
                content = match self.client.read_object(&object, self.paths.clone()).await {
                    // Its leaving is reported next.
                    Err(error) if error.is_gone() => content,
                    other => other?,
                };
                self.paths.clone()
            }
        };
        self.known.insert(object, content.clone());
        self.ready.push_back(if entered {
            Change::Entered(content)
        } else {
            Change::Changed {
                object: content,
                paths,
            }
        });
        Ok(())
    }
}
