//! Tasks: starting them, waiting for their end, watching their progress.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use vim25::types::{LocalizedMethodFault, ObjectUpdateKind};
use vim25::{Any, Call, Fault, Node, Outcome, Property, Ref, TaskOf, mo};

use crate::client::Client;
use crate::error::{Error, Operation, Result};
use crate::property::Source;
use crate::update::{Poll, gone};

impl Client {
    /// Sends a call that starts a task, waits for its end and gives its typed result.
    ///
    /// Dropping the future ends the waiting, not the task. There is no limit
    /// of time: wrap it in [`tokio::time::timeout`].
    ///
    /// ```no_run
    /// # use vim25::{Ref, mo};
    /// # async fn example(client: &vsphere_client::Client, vm: &Ref<mo::VirtualMachine>) -> vsphere_client::Result<()> {
    /// client.run(vm.power_on_vm(None)).await?;
    /// client
    ///     .run(vm.destroy())
    ///     .on_progress(|progress| println!("{:?} %", progress.percent))
    ///     .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Awaiting it fails with [`Error::Fault`] and the task's typed fault when
    /// the call is refused or the task fails, and with
    /// [`Error::OutcomeUnknown`] when the end of a started task cannot be learnt.
    pub fn run<R: Outcome>(&self, call: Call<TaskOf<R>>) -> Run<R> {
        Run {
            client: self.clone(),
            start: Start::Call(call),
            progress: None,
        }
    }

    /// Waits for the end of a task that was started before, such as by [`call`](Self::call).
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn wait_task<R: Outcome>(&self, task: &TaskOf<R>) -> Run<R> {
        Run {
            client: self.clone(),
            start: Start::Task(task.clone()),
            progress: None,
        }
    }
}

/// A task to wait for: await it.
#[must_use = "nothing is sent before this is awaited"]
pub struct Run<R> {
    client: Client,
    start: Start<R>,
    progress: Option<OnProgress>,
}

type OnProgress = Box<dyn FnMut(TaskProgress) + Send>;

enum Start<R> {
    Call(Call<TaskOf<R>>),
    Task(TaskOf<R>),
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskProgress {
    /// The task.
    pub task: Ref<mo::Task>,
    /// From 0 to 100, as far as the server tells.
    pub percent: Option<u8>,
    /// Whether it waits for its turn.
    pub queued: bool,
}

impl<R> Run<R> {
    /// Calls this whenever the server tells how far the task is. It should return soon.
    pub fn on_progress(mut self, listener: impl FnMut(TaskProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(listener));
        self
    }
}

impl<R> fmt::Debug for Run<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Call(call) => write!(f, "Run({call:?})"),
            Start::Task(task) => write!(f, "Run({task:?})"),
        }
    }
}

impl<R: Outcome + 'static> IntoFuture for Run<R> {
    type Output = Result<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.client;
            let (operation, task) = match self.start {
                Start::Call(call) => {
                    let operation = client.operation(call.method(), Some(call.this()));
                    (operation, client.call(call).await?.task().clone())
                }
                Start::Task(task) => {
                    let operation = client.operation("waiting", Some(&task.upcast()));
                    (operation, task.task().clone())
                }
            };
            let result = finish(&client, &operation, &task, self.progress).await?;
            R::from_value(&result).map_err(|error| Error::unconvertible(&operation, error))
        })
    }
}

/// `info`, as it stands on the wire.
const INFO: Property<mo::Task, Any> = Property::new("info");

/// The result of a task, once it has ended.
async fn finish(
    client: &Client,
    operation: &Operation,
    task: &Ref<mo::Task>,
    mut progress: Option<OnProgress>,
) -> Result<Any> {
    let lost = |error: Error| Error::OutcomeUnknown {
        operation: operation.clone(),
        task: Some(Box::new(task.clone())),
        source: error.into(),
    };
    let paths = vec!["info".to_owned()];
    let source = Source::Objects(vec![task.upcast()]);
    let mut poll = Poll::new(client.clone(), "Task".into(), paths, source);
    let mut told = None;
    let mut entered = false;
    loop {
        let updates = poll.next().await.map_err(lost)?;
        let mut infos = Vec::new();
        for update in updates.objects {
            if update.obj != task.upcast() {
                continue;
            }
            entered = true;
            if update.kind == ObjectUpdateKind::Leave {
                return Err(lost(Error::fault_of(operation, gone(&task.upcast()))));
            }
            // Lost permission must not look like a task without an end.
            if let Some(missing) = update.missing_set.into_iter().next() {
                return Err(lost(Error::fault_of(operation, missing.fault.into())));
            }
            for change in update.change_set {
                infos.push(match change.val {
                    Some(info) if change.name == INFO.path() => info,
                    // A part of it: read the whole.
                    _ => client.get(task, INFO).await.map_err(lost)?,
                });
            }
        }
        if !entered {
            // Not told of it: ask, so that a task that is gone is noticed.
            infos.push(client.get(task, INFO).await.map_err(lost)?);
        }
        for info in infos {
            match Info::of(info.node()) {
                Info::Success(result) => return Ok(result),
                Info::Error(fault) => {
                    return Err(Error::Fault {
                        operation: operation.clone(),
                        task: Some(Box::new(task.clone())),
                        source: Box::new(fault),
                    });
                }
                Info::Pending { queued, percent } => {
                    if let Some(listener) = &mut progress
                        && told != Some((queued, percent))
                    {
                        told = Some((queued, percent));
                        listener(TaskProgress {
                            task: task.clone(),
                            percent,
                            queued,
                        });
                    }
                }
            }
        }
        if let Some((_, fault)) = updates.missing.into_iter().next() {
            return Err(lost(Error::fault_of(operation, fault)));
        }
    }
}

/// What a `TaskInfo` says. Read leniently: a field that is missing elsewhere
/// in it must not hide that the task has ended.
enum Info {
    Success(Any),
    Error(Fault),
    Pending { queued: bool, percent: Option<u8> },
}

impl Info {
    fn of(info: Node<'_>) -> Self {
        let text = |name| info.get(name).and_then(Node::as_str).unwrap_or_default();
        match text("state") {
            "success" => Self::Success(info.get("result").map(Any::of).unwrap_or_default()),
            "error" => {
                let fault = info
                    .get("error")
                    .and_then(|error| error.to::<LocalizedMethodFault>().ok());
                Self::Error(fault.unwrap_or_default().into())
            }
            state => Self::Pending {
                queued: state == "queued",
                percent: info
                    .get("progress")
                    .and_then(Node::as_i64)
                    .and_then(|percent| u8::try_from(percent).ok()),
            },
        }
    }
}
