//! Tasks: work that continues after the response to a call.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use vim25::types::{LocalizedMethodFault, TaskInfo, TaskInfoState, TaskReasonUser};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use crate::fault;
use crate::index::TASKS;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Hidden, Object, Retype, TaskState};
use crate::script::Reaction;
use crate::shared::{Effect, Shared};
use crate::world::Transaction;

/// The number of tasks from which on the oldest finished ones are removed. Real servers keep finished
/// tasks for some minutes, so that clients that start many at once can still read their results.
const KEPT: usize = 1_200;
/// Maximum length of `recentTask` of an entity.
const RECENT: usize = 5;
/// The description of clones. They only read their source, so several of them may run.
pub(crate) const CLONE: &str = "VirtualMachine.clone";

/// The work of a task.
enum Body {
    /// Runs in one transaction.
    Short(Box<dyn FnOnce(&mut Transaction<'_>) -> Answer + Send>),
    /// Runs outside of transactions, and begins transactions of its own.
    Long(Box<dyn FnOnce(Arc<Shared>) -> BoxFuture<'static, Answer> + Send>),
}

/// The work of a task.
pub(crate) struct Job {
    task: Ref<mo::Task>,
    entity: AnyRef,
    slow: Duration,
    fault: Option<Fault>,
    /// Cancelled by `CancelTask`, if the task can be cancelled.
    cancel: CancellationToken,
    body: Body,
}

/// The task that a body runs in: where it reports its progress, and learns that it is cancelled.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    shared: Arc<Shared>,
    task: Ref<mo::Task>,
    cancel: CancellationToken,
}

impl Progress {
    /// Sets the progress in percent. Best effort.
    pub(crate) fn set(&self, percent: i32) {
        let _ = update(&self.shared, &self.task, |info| {
            if info.state == TaskInfoState::Running {
                info.progress = Some(percent);
            }
        });
    }

    /// Waits until the task is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.task, self.entity)
    }
}

/// Starts a task on an entity; `description` is its `descriptionId`, such as
/// `VirtualMachine.powerOn`.
///
/// A machine has one task at a time, except that it can be cloned several times: while another
/// one is running, the fault is `TaskInProgress`.
pub(crate) fn begin(
    inv: &mut Invocation<'_, '_>,
    entity: &AnyRef,
    description: &str,
    body: impl FnOnce(&mut Transaction<'_>) -> Answer + Send + 'static,
) -> Answer {
    let task = open(inv, entity, description)?;
    let body = Body::Short(Box::new(body));
    start(inv, task, entity, CancellationToken::new(), body)
}

/// Starts a task whose body does I/O. The body runs without holding the inventory lock, and
/// uses [`Transaction::run`]. It has to undo its effects before it returns a fault.
pub(crate) fn begin_long<F>(
    inv: &mut Invocation<'_, '_>,
    entity: &AnyRef,
    description: &str,
    body: impl FnOnce(Arc<Shared>) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = Answer> + Send + 'static,
{
    let task = open(inv, entity, description)?;
    let body = Body::Long(Box::new(move |shared| body(shared).boxed()));
    start(inv, task, entity, CancellationToken::new(), body)
}

/// Starts a task like [`begin_long`], which clients can cancel. The body has to end with
/// [`fault::canceled`] then.
pub(crate) fn begin_cancelable<F>(
    inv: &mut Invocation<'_, '_>,
    entity: &AnyRef,
    description: &str,
    body: impl FnOnce(Arc<Shared>, Progress) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = Answer> + Send + 'static,
{
    let task = open(inv, entity, description)?;
    let cancel = CancellationToken::new();
    let object = inv.tx.edit(&task)?;
    object.modify("info", |info: &mut TaskInfo| info.cancelable = true)?;
    if let Hidden::Task(state) = &mut object.hidden {
        state.cancel = Some(cancel.clone());
    }
    let (own, token) = (task.clone(), cancel.clone());
    let body = move |shared: Arc<Shared>| {
        let progress = Progress {
            shared: Arc::clone(&shared),
            task: own,
            cancel: token,
        };
        body(shared, progress).boxed()
    };
    start(inv, task, entity, cancel, Body::Long(Box::new(body)))
}

/// Carries out a method of a task.
pub(crate) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    match inv.request.method.as_str() {
        "CancelTask" => Some(cancel(inv)),
        _ => None,
    }
}

fn cancel(inv: &mut Invocation<'_, '_>) -> Answer {
    let object = inv.this()?;
    let info: TaskInfo = object.read("info")?;
    if matches!(info.state, TaskInfoState::Success | TaskInfoState::Error) {
        return Err(fault::invalid_state());
    }
    let Hidden::Task(TaskState {
        cancel: Some(cancel),
        ..
    }) = &object.hidden
    else {
        return Err(fault::not_supported());
    };
    let cancel = cancel.clone();
    let object = inv.edit_this()?;
    object.modify("info", |info: &mut TaskInfo| info.cancelled = true)?;
    inv.tx.after(Effect::Stop(cancel));
    nothing()
}

/// Starts a task that powers on a machine for a user, from within another task.
pub(crate) fn begin_power_on(
    tx: &mut Transaction<'_>,
    user: &str,
    entity: &AnyRef,
    description: &str,
    body: impl FnOnce(&mut Transaction<'_>) -> Answer + Send + 'static,
) -> Result<Ref<mo::Task>, Fault> {
    let task = open_as(tx, user, entity, description, Some("PowerOnVM_Task"))?;
    tx.after(Effect::Run(Job {
        task: task.clone(),
        entity: entity.clone(),
        slow: Duration::ZERO,
        fault: None,
        cancel: CancellationToken::new(),
        body: Body::Short(Box::new(body)),
    }));
    Ok(task)
}

fn start(
    inv: &mut Invocation<'_, '_>,
    task: Ref<mo::Task>,
    entity: &AnyRef,
    cancel: CancellationToken,
    body: Body,
) -> Answer {
    let mut job = Job {
        task: task.clone(),
        entity: entity.clone(),
        slow: Duration::ZERO,
        fault: None,
        cancel,
        body,
    };
    for reaction in inv.tx.scripted() {
        match reaction {
            Reaction::SlowTask(time) => job.slow = *time,
            Reaction::TaskFault(fault) => job.fault = Some(fault.clone()),
            _ => {}
        }
    }
    inv.tx.after(Effect::Run(job));
    value(&task)
}

/// Creates the managed object of a queued task.
fn open(
    inv: &mut Invocation<'_, '_>,
    entity: &AnyRef,
    description: &str,
) -> Result<Ref<mo::Task>, Fault> {
    let user = inv.user();
    let method = Some(inv.request.method.as_str());
    open_as(inv.tx, &user, entity, description, method)
}

/// Creates the managed object of a queued task for a user; `method` is the method that started
/// it, if any. The caller has to finish it.
pub(crate) fn open_as(
    tx: &mut Transaction<'_>,
    user: &str,
    entity: &AnyRef,
    description: &str,
    method: Option<&str>,
) -> Result<Ref<mo::Task>, Fault> {
    let object = tx.object(entity)?.clone();
    let is_single = object.is_a("VirtualMachine")
        || object.is_a("VirtualApp") && description.starts_with("VirtualApp.");
    if is_single && let Some(other) = unfinished(tx, &object, description) {
        return Err(fault::task_in_progress(other));
    }
    let number = tx.ids().number();
    let key = if tx.layout().is_vcenter {
        format!("task-{number}")
    } else {
        format!("haTask-{}-vim.{description}-{number}", entity.value())
    };
    let task: Ref<mo::Task> = Ref::new(&key);
    let mut info = TaskInfo {
        key,
        task: task.clone(),
        name: method.map(str::to_owned),
        description_id: description.to_owned(),
        entity: object.is_a("ManagedEntity").then(|| entity.retype()),
        entity_name: Some(object.name().to_owned()),
        state: TaskInfoState::Queued,
        cancelled: false,
        cancelable: false,
        queue_time: Timestamp::now(),
        event_chain_id: i32::try_from(number).unwrap_or(i32::MAX),
        ..Default::default()
    };
    let mut reason = TaskReasonUser::default();
    user.clone_into(&mut reason.user_name);
    info.reason = Poly::new(reason);
    let mut object = Object::new::<mo::Task>(task.value());
    object.put("info", &info);
    object.hidden = Hidden::Task(TaskState {
        manager: tx.layout().task_manager,
        cancel: None,
    });
    tx.insert(object);
    remember(tx, &task, entity)?;
    Ok(task)
}

/// Checks that no task on an object is queued or runs.
pub(crate) fn check_idle(tx: &Transaction<'_>, object: &Object) -> Result<(), Fault> {
    match unfinished(tx, object, "") {
        Some(other) => Err(fault::task_in_progress(other)),
        None => Ok(()),
    }
}

/// Returns an unfinished task of the object that excludes a task with this description.
fn unfinished(tx: &Transaction<'_>, object: &Object, description: &str) -> Option<Ref<mo::Task>> {
    let tasks: Vec<Ref<mo::Task>> = object.list("recentTask").ok()?;
    tasks.into_iter().find(|task| {
        let shares = description == CLONE
            && tx
                .object(task)
                .and_then(|task| task.read("info.descriptionId"))
                .is_ok_and(|running: String| running == CLONE);
        !shares && is_unfinished(tx, task)
    })
}

fn is_unfinished(tx: &Transaction<'_>, task: &Ref<mo::Task>) -> bool {
    tx.object(task).is_ok_and(|task| !is_over(task))
}

/// Returns whether a task has succeeded or failed.
fn is_over(task: &Object) -> bool {
    let state = task.read("info.state");
    !matches!(state, Ok(TaskInfoState::Queued | TaskInfoState::Running))
}

/// Adds the task to `recentTask` of its entity, and removes old tasks.
fn remember(tx: &mut Transaction<'_>, task: &Ref<mo::Task>, entity: &AnyRef) -> Result<(), Fault> {
    let manager = tx.layout().task_manager;
    let surplus = (tx.population(manager, TASKS) + 1).saturating_sub(KEPT);
    if surplus > 0 {
        // A task that runs is never removed, however many there are.
        let finished = tx.unchanged_members(manager, TASKS);
        let finished = finished.filter(|task| is_over(task));
        let forgotten: Vec<AnyRef> = finished
            .take(surplus)
            .map(|task| task.reference().clone())
            .collect();
        for task in forgotten {
            tx.remove(&task);
        }
    }
    // Unfinished tasks stay in the list: several clones of a machine may run.
    let recent: Vec<Ref<mo::Task>> = tx.object(entity)?.list("recentTask").unwrap_or_default();
    let is_busy = |recent: &Ref<mo::Task>| recent == task || is_unfinished(tx, recent);
    let busy = recent.iter().chain([task]).filter(|recent| is_busy(recent));
    let busy: Vec<AnyRef> = busy.map(Retype::retype).collect();
    let entity = tx.edit(entity)?;
    if entity.is_a("ManagedEntity") {
        entity.edit_list("recentTask", |tasks| {
            tasks.push(task.retype());
            if tasks.len() > RECENT
                && let Some(oldest) = tasks.iter().position(|task| !busy.contains(task))
            {
                tasks.remove(oldest);
            }
        })?;
    }
    Ok(())
}

impl Job {
    /// Returns whether the task is one transaction that begins at once.
    pub(crate) fn is_immediate(&self) -> bool {
        matches!(self.body, Body::Short(_)) && self.slow.is_zero() && self.fault.is_none()
    }

    /// Runs a task without waiting for anything but the inventory and its files: its state goes from
    /// queued to its end in one transaction. Must be called where a thread may block.
    pub(crate) fn run_now(self, shared: &Arc<Shared>) {
        let Self {
            task, entity, body, ..
        } = self;
        let Body::Short(body) = body else {
            return;
        };
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| in_one(shared, &task, body)));
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => end(shared, &task, &entity, Some(Err(fault))),
            Err(_) => end(shared, &task, &entity, None),
        }
    }
}

/// Runs the body of a task and records its result in one transaction.
fn in_one(
    shared: &Arc<Shared>,
    task: &Ref<mo::Task>,
    body: impl FnOnce(&mut Transaction<'_>) -> Answer,
) -> Result<(), Fault> {
    let started = Timestamp::now();
    let mut tx = Transaction::begin(shared)?;
    let result = body(&mut tx)?;
    finish_since(&mut tx, task, started, &Ok(result))?;
    tx.commit();
    Ok(())
}

/// Runs a task to completion.
pub(crate) async fn run(shared: Arc<Shared>, job: Job) {
    let Job {
        task,
        entity,
        slow,
        fault,
        cancel,
        body,
    } = job;
    if update(&shared, &task, |info| {
        info.state = TaskInfoState::Running;
        info.start_time = Some(Timestamp::now());
        info.progress = Some(0);
    })
    .is_err()
    {
        return;
    }
    let mut is_cancelled = false;
    for quarter in 1..=4 {
        if slow.is_zero() || is_cancelled {
            break;
        }
        let waited = cancel.run_until_cancelled(tokio::time::sleep(slow / 4));
        is_cancelled = waited.await.is_none();
        if quarter < 4 {
            let _ = update(&shared, &task, |info| info.progress = Some(quarter * 25));
        }
    }
    let ended = match (fault, body) {
        (Some(fault), _) => Some(Err(fault)),
        _ if is_cancelled => Some(Err(fault::canceled())),
        (None, Body::Short(body)) => {
            let (working, own) = (Arc::clone(&shared), task.clone());
            let working = tokio::task::spawn_blocking(move || in_one(&working, &own, body));
            match working.await {
                Ok(Ok(())) => return,
                Ok(Err(fault)) => Some(Err(fault)),
                Err(_) => None,
            }
        }
        (None, Body::Long(body)) => AssertUnwindSafe(body(Arc::clone(&shared)))
            .catch_unwind()
            .await
            .ok(),
    };
    end(&shared, &task, &entity, ended);
}

/// Records the end of a task; `None` if it panicked.
fn end(shared: &Arc<Shared>, task: &Ref<mo::Task>, entity: &AnyRef, ended: Option<Answer>) {
    let answer = ended.unwrap_or_else(|| {
        tracing::error!(%task, %entity, "a task of the simulator panicked");
        let words = "A general system error occurred: the simulator failed in a task";
        Err(fault::internal(words))
    });
    if let Err(fault) = &answer {
        tracing::debug!(%task, %entity, %fault, "task failed");
    }
    close(shared, task, &answer);
}

/// Finishes a task in a transaction of its own.
pub(crate) fn close(shared: &Arc<Shared>, task: &Ref<mo::Task>, answer: &Answer) {
    if let Ok(mut tx) = Transaction::begin(shared)
        && finish(&mut tx, task, answer).is_ok()
    {
        tx.commit();
    }
}

fn update(
    shared: &Arc<Shared>,
    task: &Ref<mo::Task>,
    change: impl FnOnce(&mut TaskInfo),
) -> Result<(), Fault> {
    let mut tx = Transaction::begin(shared)?;
    tx.edit(task)?.modify("info", change)?;
    tx.commit();
    Ok(())
}

/// Records the result of a task.
pub(crate) fn finish(
    tx: &mut Transaction<'_>,
    task: &Ref<mo::Task>,
    answer: &Answer,
) -> Result<(), Fault> {
    finish_since(tx, task, Timestamp::now(), answer)
}

/// Records the result of a task, and its start unless that is recorded.
fn finish_since(
    tx: &mut Transaction<'_>,
    task: &Ref<mo::Task>,
    started: Timestamp,
    answer: &Answer,
) -> Result<(), Fault> {
    tx.edit(task)?.modify("info", |info: &mut TaskInfo| {
        info.start_time.get_or_insert(started);
        info.complete_time = Some(Timestamp::now());
        info.progress = None;
        match answer {
            Ok(result) => {
                info.state = TaskInfoState::Success;
                info.result = Some(result).filter(|r| !r.is_unset()).cloned();
            }
            Err(fault) => {
                info.state = TaskInfoState::Error;
                info.error = Some(Box::new(LocalizedMethodFault::from(fault)));
            }
        }
    })
}
