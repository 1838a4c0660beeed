//! Tasks: starts them, waits for their end, and observes their progress.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use vim25::types::LocalizedMethodFault;
use vim25::{Any, Call, Fault, ManagedObject, Outcome, Ref, TaskOf, mo};

use crate::client::Client;
use crate::error::{Error, Operation, Result};
use crate::property::{ObjectProperties, Source};
use crate::update::{News, Subscription, gone};

impl Client {
    /// Sends a call that starts a task, waits for its end and returns its typed result.
    ///
    /// Dropping the future ends the wait but not the task. There is no timeout: wrap it in
    /// [`tokio::time::timeout`].
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
    /// [`Error::Fault`] with the typed fault when the call is refused or the task fails;
    /// [`Error::OutcomeUnknown`] when the result of a started task cannot be read; otherwise
    /// see [`Error`].
    pub fn run<R: Outcome>(&self, call: impl Into<Call<TaskOf<R>>>) -> Run<'static, R> {
        Run {
            client: self.clone(),
            start: Start::Call(call.into()),
            progress: None,
        }
    }

    /// Waits for the end of a task that was started earlier, for example with
    /// [`call`](Self::call).
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn wait_task<R: Outcome>(&self, task: &TaskOf<R>) -> Run<'static, R> {
        Run {
            client: self.clone(),
            start: Start::Task(task.clone()),
            progress: None,
        }
    }
}

/// A wait for a task, which starts when it is awaited.
#[must_use = "nothing is sent before this is awaited"]
pub struct Run<'l, R> {
    client: Client,
    start: Start<R>,
    progress: Option<OnProgress<'l>>,
}

type OnProgress<'l> = Box<dyn FnMut(TaskProgress) + Send + 'l>;

enum Start<R> {
    Call(Call<TaskOf<R>>),
    Task(TaskOf<R>),
}

/// The progress of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskProgress {
    /// The task.
    pub task: Ref<mo::Task>,
    /// The progress in percent, from 0 to 100, if the server reported it.
    pub percent: Option<u8>,
    /// Whether the task is still queued.
    pub queued: bool,
}

impl<R> Run<'_, R> {
    /// Sets a callback that is called whenever the server reports progress. It should return
    /// quickly.
    pub fn on_progress<'l>(self, listener: impl FnMut(TaskProgress) + Send + 'l) -> Run<'l, R> {
        Run {
            client: self.client,
            start: self.start,
            progress: Some(Box::new(listener)),
        }
    }
}

impl<R> fmt::Debug for Run<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Call(call) => write!(f, "Run({call:?})"),
            Start::Task(task) => write!(f, "Run({task:?})"),
        }
    }
}

impl<'l, R: Outcome + 'static> IntoFuture for Run<'l, R> {
    type Output = Result<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<R>> + Send + 'l>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let client = self.client;
            let (operation, task) = match self.start {
                Start::Call(call) => {
                    let operation = client.operation(call.method(), Some(call.this()));
                    let starting = client.inner.engine.start();
                    let method = call.method().to_owned();
                    let task = client.call(call).await?.task().clone();
                    client.inner.engine.started(&method);
                    drop(starting);
                    (operation, task)
                }
                Start::Task(task) => {
                    let operation = client.operation("waiting", Some(&task.upcast()));
                    (operation, task.task().clone())
                }
            };
            let result = finish(&client, &operation, &task, self.progress).await?;
            let read = R::from_value_lenient(&result);
            let read = read.map_err(|error| Error::unconvertible(&operation, error))?;
            for error in &read.left_out {
                tracing::debug!(%operation, %error, "an incomplete value is left out");
            }
            Ok(read.value)
        })
    }
}

/// The watched property of a task. `info` as a whole would change with each percent of
/// progress.
const STATE: &str = "info.state";
const ERROR: &str = "info.error";
const RESULT: &str = "info.result";
const PROGRESS: &str = "info.progress";

/// Returns the result of a task that has ended.
async fn finish(
    client: &Client,
    operation: &Operation,
    task: &Ref<mo::Task>,
    mut progress: Option<OnProgress<'_>>,
) -> Result<Any> {
    let lost = |error: Error| Error::OutcomeUnknown {
        operation: operation.clone(),
        task: Some(Box::new(task.clone())),
        source: error.into(),
    };
    let mut paths = vec![STATE, ERROR, RESULT];
    if progress.is_some() {
        paths.push(PROGRESS);
    }
    let paths = paths.into_iter().map(str::to_owned).collect();
    let source = Source::Objects(vec![task.upcast()]);
    let mut subscription = Subscription::new(client.clone(), mo::Task::NAME, paths, source);
    let mut told = None;
    let mut is_there = false;
    loop {
        let content = match subscription.next().await.map_err(lost)? {
            News::Entered(content) | News::Changed(content, _) => content,
            News::Left(_) => return Err(lost(Error::fault_of(operation, gone(&task.upcast())))),
            News::Complete if !is_there => {
                return Err(lost(Error::fault_of(operation, gone(&task.upcast()))));
            }
            News::Complete | News::Resync => continue,
        };
        is_there = true;
        match TaskState::of(&content) {
            // Report a lost permission; otherwise, the task would seem to run forever.
            TaskState::Unreadable(fault) => return Err(lost(Error::fault_of(operation, fault))),
            TaskState::Success(result) => return Ok(result),
            TaskState::Error(fault) => {
                return Err(Error::Fault {
                    operation: operation.clone(),
                    task: Some(Box::new(task.clone())),
                    source: Box::new(fault),
                });
            }
            TaskState::Pending { queued, percent } => {
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
}

/// The state of a task. Conversion is lenient: an unreadable part must not hide that the task
/// has ended.
enum TaskState {
    Success(Any),
    Error(Fault),
    Pending { queued: bool, percent: Option<u8> },
    Unreadable(Fault),
}

impl TaskState {
    fn of(content: &ObjectProperties<mo::ManagedObject>) -> Self {
        let value = |path: &str| {
            let mut values = content.values();
            values
                .find(|(name, _)| *name == path)
                .map(|(_, value)| value)
        };
        let mut missing = content.missing();
        if let Some((_, fault)) = missing.find(|(path, _)| *path == STATE) {
            return Self::Unreadable(fault.clone());
        }
        let state = value(STATE).and_then(|state| state.node().as_str());
        match state {
            Some("success") => Self::Success(value(RESULT).cloned().unwrap_or_default()),
            Some("error") => {
                let fault = value(ERROR).and_then(|error| error.get::<LocalizedMethodFault>().ok());
                Self::Error(fault.unwrap_or_default().into())
            }
            state => Self::Pending {
                queued: state == Some("queued"),
                percent: value(PROGRESS)
                    .and_then(|percent| percent.node().as_i64())
                    .and_then(|percent| u8::try_from(percent).ok()),
            },
        }
    }
}
