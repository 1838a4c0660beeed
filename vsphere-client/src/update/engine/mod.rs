//! The update engine: the background task with which a client observes changes.
//!
//! The engine owns everything that updates need on the server: one property collector, its
//! filters, and one open poll. Subscribers send commands to the engine and read their
//! [`Slot`]s. They do not create objects on the server themselves, so a dropped future leaks
//! nothing there.
//!
//! Two kinds of sets are watched. *Lists* hold objects that were requested by reference. All
//! objects with the same type and properties share a list view and a filter. One call adds any
//! number of them, and removals are combined with the next addition. *Selections* hold the
//! objects that a traversal or a container view finds; each selection has its own filter.
//!
//! A subscriber never receives a state that is older than its subscription. The server reports
//! an object that is new in a list. For an object that is already in the list, the engine
//! needs a response that is newer than the subscription. This is a response to a poll that was
//! sent later or, if a poll is open, a response that reports a later change of the list. If no
//! such response is due, the engine changes the list to cause one (see [`list::Fence`]). If
//! the server does not report an object within a moment, the engine reads it. This is
//! necessary because ESXi does not report tasks that ended before they were added, and other
//! servers evaluate new filters only when something changes. For the same reason, a selection
//! for which nothing was reported is read before it counts as complete.

mod crowd;
mod gather;
mod known;
mod list;
mod poll;
mod selection;
mod steps;
mod trouble;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use vim25::types::PropertyFilterUpdate;
use vim25::{AnyRef, Ref, mo};

use super::receiver::Receiver;
use super::slot::Content;
use crate::client::Client;
use crate::property::Source;
use list::{Joined, List};
use poll::Polled;
use selection::Selection;
use steps::Done;

/// The time that a subscriber waits for the server's report before its object is read.
const PATIENCE: Duration = Duration::from_millis(500);

/// The objects and properties that a subscription watches.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) type_name: Arc<str>,
    pub(crate) paths: Arc<[String]>,
    pub(crate) source: Source,
}

/// A command of a subscriber to the engine.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe {
        id: u64,
        target: Target,
        receiver: Arc<dyn Receiver>,
    },
    Unsubscribe {
        id: u64,
    },
    /// Responds once all subscribers have received everything that happened before.
    Sync {
        done: oneshot::Sender<()>,
    },
    /// Frees everything on the server, and ends the engine.
    Close {
        done: oneshot::Sender<()>,
    },
}

/// A handle to a client's engine.
#[derive(Debug, Default)]
pub(crate) struct Handle {
    commands: Mutex<Option<mpsc::UnboundedSender<Command>>>,
    numbers: AtomicU64,
    /// The number of tasks that are being started.
    starting: AtomicUsize,
    /// Whether the last task that was started powers on machines.
    powers_on: AtomicBool,
    /// The caches of the client.
    caches: Mutex<Vec<Weak<dyn Receiver>>>,
}

impl Handle {
    /// Returns a unique number for a subscriber.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a task is being started, until the returned value is dropped. Its wait will
    /// probably follow.
    pub(crate) fn start(&self) -> Starting<'_> {
        self.starting.fetch_add(1, Ordering::Relaxed);
        Starting(self)
    }

    /// Notes that a task was started by this method.
    pub(crate) fn started(&self, method: &str) {
        let powers_on = method.starts_with("PowerOn");
        self.powers_on.store(powers_on, Ordering::Relaxed);
    }

    fn starting(&self) -> usize {
        self.starting.load(Ordering::Relaxed)
    }

    fn powers_on(&self) -> bool {
        self.powers_on.load(Ordering::Relaxed)
    }

    /// Adds a cache.
    pub(crate) fn register<R: Receiver + 'static>(&self, cache: &Arc<R>) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|other| other.strong_count() > 0);
        let cache: Weak<R> = Arc::downgrade(cache);
        caches.push(cache);
    }

    /// Returns whether a cache has an object.
    pub(crate) fn is_cached(&self, object: &AnyRef) -> bool {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut caches = caches.iter().filter_map(Weak::upgrade);
        caches.any(|cache| cache.holds(object))
    }

    /// Sends a command to the engine. Returns `false` if the engine is not running.
    pub(crate) fn tell(&self, command: Command) -> bool {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands
            .as_ref()
            .is_some_and(|commands| commands.send(command).is_ok())
    }
}

/// A task that is being started.
pub(crate) struct Starting<'h>(&'h Handle);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    /// Sends a command to the engine, which is started if necessary. Returns `false` outside
    /// of a runtime.
    pub(crate) fn tell_engine(&self, command: Command) -> bool {
        let handle = &self.inner.engine;
        let mut commands = handle
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = commands.as_ref().filter(|running| !running.is_closed()) {
            return running.send(command).is_ok();
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        runtime.spawn(Engine::new(self.unowned(), receiver).run());
        let sent = sender.send(command).is_ok();
        *commands = Some(sender);
        sent
    }

    /// Ends the engine, and waits until it has freed its objects on the server.
    pub(crate) async fn close_engine(&self) {
        let (done, freed) = oneshot::channel();
        if self.inner.engine.tell(Command::Close { done }) {
            let _ = tokio::time::timeout(Duration::from_secs(10), freed).await;
        }
    }
}

/// The engine's record of a subscriber.
#[derive(Debug)]
struct Subscriber {
    receiver: Arc<dyn Receiver>,
    set: Set,
    /// The objects that the subscriber watches, if the set is a list.
    objects: Vec<AnyRef>,
    /// The number of these objects that have not been reported to the subscriber yet.
    untold: usize,
}

/// A request for a response that is newer than the request.
struct Sync {
    since: u64,
    asked: Instant,
    done: oneshot::Sender<()>,
}

/// The owner of a filter on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Set {
    List(u32),
    Selection(u64),
}

/// An object to free on the server.
#[derive(Debug)]
enum Garbage {
    Filter(Ref<mo::PropertyFilter>),
    View(AnyRef),
    Collector(Ref<mo::PropertyCollector>),
}

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Engine {
    client: Client,
    commands: mpsc::UnboundedReceiver<Command>,
    /// A logical clock, which orders requests, responses and subscriptions. All times in the
    /// engine are readings of it, unless they are an [`Instant`].
    clock: u64,
    /// The number of times that everything on the server was lost.
    era: u64,
    collector: Option<Ref<mo::PropertyCollector>>,
    version: Option<String>,
    lists: BTreeMap<u32, List>,
    next_list: u32,
    selections: BTreeMap<u64, Selection>,
    subscribers: HashMap<u64, Subscriber>,
    /// The set of each filter, by the value of the filter's reference.
    filters: HashMap<String, Set>,
    /// Updates of filters whose creation has not been confirmed yet.
    early: Vec<PropertyFilterUpdate>,
    /// Updates of lists that are routed after the rest of a truncated response, because the
    /// caches must be as new as the end of a task.
    deferred: Vec<PropertyFilterUpdate>,
    /// Who waits until everything before a time has been reported.
    syncs: Vec<Sync>,
    /// Whether a filter is being created.
    opening: bool,
    /// Objects of lists that have not been reported to some subscriber.
    joining: HashSet<(u32, AnyRef)>,
    /// Objects that have to be read because the server did not report them in time.
    reads: HashSet<(Set, AnyRef)>,
    garbage: Vec<Garbage>,
    /// The time when the open poll was sent; `None` if no poll is open.
    polling: Option<u64>,
    abandon_poll: bool,
    /// Subscribers that joined before this time will be notified by a pending response.
    expected: u64,
    /// The number of steps since the last poll was sent.
    steps: u32,
    cancelled: bool,
    trouble: trouble::Trouble,
    pace: poll::Pace,
    crowd: crowd::Crowd,
    gather: gather::Gather,
    /// The end of the pause between polls because of a crowd.
    lull: Option<Instant>,
    /// The end of the delay that combines additions into one call.
    hold: Option<Instant>,
    closing: Option<oneshot::Sender<()>>,
}

impl Engine {
    fn new(client: Client, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            client,
            commands,
            clock: 1,
            era: 0,
            collector: None,
            version: None,
            lists: BTreeMap::new(),
            next_list: 0,
            selections: BTreeMap::new(),
            subscribers: HashMap::new(),
            filters: HashMap::new(),
            early: Vec::new(),
            deferred: Vec::new(),
            syncs: Vec::new(),
            opening: false,
            joining: HashSet::new(),
            reads: HashSet::new(),
            garbage: Vec::new(),
            polling: None,
            abandon_poll: false,
            expected: 0,
            steps: 0,
            cancelled: false,
            trouble: trouble::Trouble::default(),
            pace: poll::Pace::default(),
            crowd: crowd::Crowd::default(),
            gather: gather::Gather::default(),
            lull: None,
            hold: None,
            closing: None,
        }
    }

    async fn run(mut self) {
        let stop = self.client.inner.stop.clone();
        let mut step: Option<Pending<Done>> = None;
        let mut poll: Option<Pending<Polled>> = None;
        loop {
            if std::mem::take(&mut self.abandon_poll) {
                poll = None;
                self.polling = None;
            }
            if step.is_none() {
                step = self.next_step();
            }
            if poll.is_none() {
                poll = self.next_poll(step.is_some());
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = self.commands.recv() => {
                    let Some(command) = command else { break };
                    self.take(command);
                    while let Ok(command) = self.commands.try_recv() {
                        self.take(command);
                    }
                    if self.closing.is_some() {
                        break;
                    }
                }
                done = ready(&mut step) => {
                    step = None;
                    self.done(done);
                }
                answer = ready(&mut poll) => {
                    poll = None;
                    self.polled(answer);
                }
                () = at(wake) => {}
            }
        }
        drop(poll);
        if let Some(step) = step
            && !self.client.inner.session.is_closed()
        {
            // A step in progress may create objects, which have to be freed.
            let done = step.await;
            self.done(done);
        }
        self.free_all().await;
        if self.closing.is_some() {
            self.client.inner.stop.cancel();
        }
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Subscribe {
                id,
                target,
                receiver,
            } => self.subscribe(id, target, receiver),
            Command::Unsubscribe { id } => self.unsubscribe(id),
            Command::Sync { done } => {
                // Without subscribers, there is nothing to wait for.
                if !self.subscribers.is_empty() {
                    let since = self.tick();
                    self.syncs.push(Sync {
                        since,
                        asked: Instant::now(),
                        done,
                    });
                }
            }
            Command::Close { done } => self.closing = Some(done),
        }
    }

    fn subscribe(&mut self, id: u64, target: Target, receiver: Arc<dyn Receiver>) {
        let Source::Objects(objects) = &target.source else {
            let selection = Selection::new(target, receiver.keeps_objects());
            let subscriber = Subscriber {
                receiver,
                set: Set::Selection(id),
                objects: Vec::new(),
                untold: 0,
            };
            self.subscribers.insert(id, subscriber);
            self.selections.insert(id, selection);
            return;
        };
        let mut objects = objects.clone();
        let mut seen = HashSet::new();
        objects.retain(|object| seen.insert(object.clone()));
        if objects.is_empty() {
            receiver.complete();
        }
        let since = self.tick();
        self.gather.seen(&target.type_name);
        let list_id = self.list(&target, &objects);
        if let Some(list) = self.lists.get_mut(&list_id) {
            for object in &objects {
                let joined = Joined {
                    id,
                    since,
                    asked: Instant::now(),
                    told: false,
                };
                list.join(object, joined);
                self.joining.insert((list_id, object.clone()));
            }
        }
        let subscriber = Subscriber {
            receiver,
            set: Set::List(list_id),
            untold: objects.len(),
            objects,
        };
        self.subscribers.insert(id, subscriber);
    }

    /// Returns the list for a target, creating it if necessary.
    fn list(&mut self, target: &Target, objects: &[AnyRef]) -> u32 {
        let fits = |list: &List| {
            list.type_name == target.type_name
                && list.paths == target.paths
                && !objects.contains(&list.fence.object)
        };
        if let Some((id, _)) = self.lists.iter().find(|(_, list)| fits(list)) {
            return *id;
        }
        let content = self.client.service_content();
        let root: AnyRef = content.root_folder.upcast();
        let fence = if objects.contains(&root) {
            Ref::<mo::ServiceInstance>::new("ServiceInstance").upcast()
        } else {
            root
        };
        self.next_list += 1;
        let list = List::new(
            Arc::clone(&target.type_name),
            Arc::clone(&target.paths),
            fence,
        );
        self.lists.insert(self.next_list, list);
        self.next_list
    }

    fn unsubscribe(&mut self, id: u64) {
        let Some(subscriber) = self.subscribers.remove(&id) else {
            return;
        };
        if self.subscribers.is_empty() {
            self.syncs.clear();
        }
        match subscriber.set {
            Set::List(list_id) => {
                let Some(list) = self.lists.get_mut(&list_id) else {
                    return;
                };
                for object in subscriber.objects {
                    list.part(&object, id);
                    let is_joining = list
                        .members
                        .get(&object)
                        .is_some_and(|member| member.subscribers.iter().any(|joined| !joined.told));
                    if !is_joining {
                        self.joining.remove(&(list_id, object));
                    }
                }
            }
            Set::Selection(id) => {
                if let Some(selection) = self.selections.remove(&id) {
                    self.discard(selection);
                }
            }
        }
    }

    fn discard(&mut self, selection: Selection) {
        if let Some(filter) = selection.filter {
            self.filters.remove(filter.value());
            self.garbage.push(Garbage::Filter(filter));
        }
        if let Some(view) = selection.view {
            self.garbage.push(Garbage::View(view.upcast()));
        }
    }

    /// Sends the state of an object to its subscribers that joined before `proven`.
    fn release(&mut self, list_id: u32, object: &AnyRef, proven: u64) {
        let Some(list) = self.lists.get_mut(&list_id) else {
            return;
        };
        let Some(member) = list.members.get_mut(object) else {
            self.joining.remove(&(list_id, object.clone()));
            return;
        };
        let Some(content) = &member.content else {
            return;
        };
        let mut waiting = false;
        for joined in member.subscribers.iter_mut().filter(|joined| !joined.told) {
            if joined.since >= proven {
                waiting = true;
                continue;
            }
            joined.told = true;
            if let Some(subscriber) = self.subscribers.get_mut(&joined.id) {
                subscriber.receiver.enter(content);
                subscriber.told_one();
            }
        }
        if !waiting {
            self.joining.remove(&(list_id, object.clone()));
        }
    }

    /// Stores the new state of an object of a list, and sends the changes to the
    /// subscribers that have received the previous one.
    fn renew(&mut self, list_id: u32, content: Content, paths: &[String]) {
        let Some(member) = self
            .lists
            .get_mut(&list_id)
            .and_then(|list| list.members.get_mut(content.object()))
        else {
            return;
        };
        if !paths.is_empty() {
            for joined in member.subscribers.iter().filter(|joined| joined.told) {
                if let Some(subscriber) = self.subscribers.get(&joined.id) {
                    subscriber.receiver.change(&content, paths.to_vec());
                }
            }
        }
        member.content = Some(content);
    }

    /// Notifies subscribers that an object does not exist.
    fn gone(&mut self, list_id: u32, object: &AnyRef) {
        self.joining.remove(&(list_id, object.clone()));
        let Some(list) = self.lists.get_mut(&list_id) else {
            return;
        };
        let Some(member) = list.members.remove(object) else {
            return;
        };
        list.absent.remove(object);
        if member.in_view {
            list.idle.insert(object.clone());
        }
        for joined in member.subscribers {
            if let Some(subscriber) = self.subscribers.get_mut(&joined.id) {
                subscriber.receiver.leave(object);
                if !joined.told {
                    subscriber.told_one();
                }
            }
        }
    }

    /// Returns the time at which the engine has to act next if no event arrives.
    fn next_wake(&self) -> Option<Instant> {
        let overdue = self.joining.iter().filter_map(|(list, object)| {
            let member = self.lists.get(list)?.members.get(object)?;
            let waiting = member.subscribers.iter().filter(|joined| !joined.told);
            waiting.map(|joined| joined.asked + PATIENCE).min()
        });
        let now = Instant::now();
        let nudge = self.nudge_at();
        [
            // Ignore overdue objects: they are being read, and the result wakes the engine.
            overdue.filter(|at| *at > now).min(),
            self.hold,
            self.lull,
            self.pace.wake(),
            self.gather.wake(),
            self.trouble.wake(),
            nudge,
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
    }
}

impl Subscriber {
    fn told_one(&mut self) {
        self.untold = self.untold.saturating_sub(1);
        if self.untold == 0 {
            self.receiver.complete();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for subscriber in self.subscribers.values() {
            subscriber.receiver.end(trouble::ended(&self.client));
        }
        // Close the channel and drain it, so that late callers are notified too.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Subscribe { receiver, .. } = command {
                receiver.end(trouble::ended(&self.client));
            }
        }
    }
}

async fn ready<T>(pending: &mut Option<Pending<T>>) -> T {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
