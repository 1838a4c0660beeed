//! Defects of streams and logs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use portlayer::conformance::{self, Fixture, Process, Verdict};
use portlayer::exec::Command;
use portlayer::memory::{MemoryExec, MemoryStreams};
use portlayer::stream::{
    AttachOptions, Attached, Input, LogOptions, LogStream, Output, StdStream, Streams, WindowSize,
};
use portlayer::{
    ContainerId, Error, ErrorKind, Exec, PortLayer, Resource, Result, State, StateKind,
};
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The first piece of output is lost.
    LosesTheFirst,
    /// The last piece of output is lost.
    LosesTheLast,
    /// Standard error is delivered as standard output.
    MixesStreams,
    /// The process is not notified when its input is closed.
    KeepsInputOpen,
    /// Only one caller receives output.
    OneReader,
    /// All streams are delivered, whichever were requested.
    SendsEverything,
    /// Several callers can hold the input at the same time.
    ManyHolders,
    /// The input is closed when its holder detaches.
    ClosesWithTheHolder,
    /// Output is buffered without limit instead of slowing down the process.
    NeverWaits,
    /// A terminal size that was set before the start is lost.
    ForgetsSizes,
    /// A process without a terminal accepts a size.
    SizesAnything,
    /// The output never ends.
    NeverEnds,
    /// Attaching to an unknown container succeeds.
    KnowsEverybody,
    /// Attaching to a running process fails.
    OnlyBeforeTheStart,
    /// A log contains only the output of the last run.
    ForgetsRuns,
    /// A log returns all lines, whatever number is requested.
    IgnoresLines,
    /// A log returns all lines, whatever time range is requested.
    IgnoresTimes,
    /// A log attributes all records to one stream.
    LogsOneStream,
    /// Following a log has no effect.
    NeverFollows,
    /// Following a log never ends.
    FollowsForEver,
    /// A log is lost when another program opens the host.
    ForgetsLogs,
    /// A removed container still has a log.
    LogsTheRemoved,
}

const ALL: [(Broken, &str); 22] = [
    (
        Broken::LosesTheFirst,
        "all_output_arrives_from_the_first_byte_to_the_last",
    ),
    (
        Broken::LosesTheLast,
        "all_output_arrives_from_the_first_byte_to_the_last",
    ),
    (
        Broken::MixesStreams,
        "all_output_arrives_from_the_first_byte_to_the_last",
    ),
    (
        Broken::KeepsInputOpen,
        "all_output_arrives_from_the_first_byte_to_the_last",
    ),
    (Broken::OneReader, "every_reader_gets_all_output"),
    (Broken::SendsEverything, "only_requested_output_arrives"),
    (Broken::ManyHolders, "input_has_one_holder"),
    (
        Broken::ClosesWithTheHolder,
        "detaching_leaves_the_process_and_its_input",
    ),
    (Broken::NeverWaits, "a_slow_reader_slows_the_process"),
    (Broken::ForgetsSizes, "a_terminal_has_the_size_that_was_set"),
    (
        Broken::SizesAnything,
        "a_terminal_has_the_size_that_was_set",
    ),
    (Broken::NeverEnds, "output_ends_with_the_container"),
    (
        Broken::KnowsEverybody,
        "nobody_has_the_streams_of_an_unknown_id",
    ),
    (
        Broken::OnlyBeforeTheStart,
        "a_running_process_is_attached_to_after_a_restart",
    ),
    (Broken::ForgetsRuns, "a_log_has_the_output_of_all_runs"),
    (Broken::IgnoresLines, "a_log_is_cut_by_lines_and_times"),
    (Broken::IgnoresTimes, "a_log_is_cut_by_lines_and_times"),
    (Broken::LogsOneStream, "a_log_tells_the_streams_apart"),
    (Broken::NeverFollows, "a_log_is_followed_until_the_end"),
    (Broken::FollowsForEver, "a_log_is_followed_until_the_end"),
    (Broken::ForgetsLogs, "a_log_survives_a_restart"),
    (Broken::LogsTheRemoved, "a_log_survives_a_restart"),
];

#[derive(Clone, Debug)]
struct Breaking {
    broken: Broken,
    exec: MemoryExec,
    streams: MemoryStreams,
    attached: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
    /// Whether this port layer was opened after another one.
    later: bool,
}

impl Breaking {
    fn new(broken: Broken) -> Self {
        let exec = MemoryExec::new(conformance::memory::behaviour);
        Self {
            broken,
            streams: MemoryStreams::of(exec.clone()),
            exec,
            attached: Arc::default(),
            opened: Arc::default(),
            later: false,
        }
    }

    async fn state(&self, id: &ContainerId) -> Option<State> {
        Some(self.exec.inspect(id).await.ok()?.state)
    }

    fn input(&self, input: Input) -> Input {
        match self.broken {
            Broken::KeepsInputOpen => Box::pin(Bad {
                input,
                close: false,
            }),
            Broken::ClosesWithTheHolder => {
                let (sender, mut pieces) = mpsc::unbounded_channel::<Vec<u8>>();
                let mut input = input;
                tokio::spawn(async move {
                    use tokio::io::AsyncWriteExt as _;
                    while let Some(piece) = pieces.recv().await {
                        let _ = input.write_all(&piece).await;
                    }
                    let _ = input.shutdown().await;
                });
                Box::pin(Sending(sender))
            }
            _ => input,
        }
    }

    fn output(&self, output: Output) -> Output {
        match self.broken {
            Broken::LosesTheFirst => output.skip(1).boxed(),
            Broken::LosesTheLast => output
                .filter(|chunk| {
                    let last = matches!(chunk, Ok(chunk) if chunk.bytes.starts_with(b"bye"));
                    std::future::ready(!last)
                })
                .boxed(),
            Broken::MixesStreams => output
                .map(|chunk| {
                    let mut chunk = chunk?;
                    chunk.stream = StdStream::Stdout;
                    Ok(chunk)
                })
                .boxed(),
            Broken::OneReader if self.attached.fetch_add(1, Ordering::SeqCst) > 0 => {
                stream::empty().boxed()
            }
            Broken::NeverWaits => {
                let (sender, mut pieces) = mpsc::unbounded_channel();
                tokio::spawn(output.for_each(move |piece| {
                    drop(sender.send(piece));
                    std::future::ready(())
                }));
                stream::poll_fn(move |cx| pieces.poll_recv(cx)).boxed()
            }
            Broken::NeverEnds => output.chain(stream::pending()).boxed(),
            _ => output,
        }
    }
}

/// An input that is never closed.
struct Bad {
    input: Input,
    close: bool,
}

impl AsyncWrite for Bad {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.input.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.close {
            true => self.input.as_mut().poll_shutdown(cx),
            false => Poll::Ready(Ok(())),
        }
    }
}

/// An input whose task closes it when this is dropped.
struct Sending(mpsc::UnboundedSender<Vec<u8>>);

impl AsyncWrite for Sending {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        drop(self.0.send(bytes.to_vec()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Streams for Breaking {
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attached> {
        let options = match self.broken {
            Broken::SendsEverything => options.stdout(true).stderr(true),
            _ => options,
        };
        if self.broken == Broken::OnlyBeforeTheStart
            && self
                .state(id)
                .await
                .is_some_and(|state| state == State::Running)
        {
            let id = Resource::container(id);
            return Err(Error::invalid_state(id, StateKind::Running, &[]));
        }
        let attached = match (self.broken, self.streams.attach(id, options).await) {
            (Broken::KnowsEverybody, Err(error)) if error.is_not_found() => {
                return Ok(Attached::new(None, stream::empty().boxed()));
            }
            (
                Broken::ManyHolders,
                Err(Error {
                    kind: ErrorKind::InUse { .. },
                    ..
                }),
            ) => {
                let input = Box::pin(tokio::io::sink());
                return Ok(Attached::new(Some(input), stream::empty().boxed()));
            }
            (_, attached) => attached?,
        };
        let input = attached.input.map(|input| self.input(input));
        Ok(Attached::new(input, self.output(attached.output)))
    }

    async fn resize(&self, id: &ContainerId, size: WindowSize) -> Result<()> {
        let state = self.state(id).await;
        match (self.broken, self.streams.resize(id, size).await) {
            (Broken::SizesAnything, Err(error))
                if matches!(error.kind(), ErrorKind::InvalidArgument { .. }) =>
            {
                Ok(())
            }
            (Broken::ForgetsSizes, Ok(())) if state == Some(State::Created) => {
                let (columns, rows) = (80, 24);
                self.streams.resize(id, WindowSize { columns, rows }).await
            }
            (_, resized) => resized,
        }
    }

    async fn logs(&self, id: &ContainerId, mut options: LogOptions) -> Result<LogStream> {
        let follow = options.follow;
        match self.broken {
            Broken::IgnoresLines => options.tail = LogOptions::new().tail,
            Broken::IgnoresTimes => (options.since, options.until) = (None, None),
            Broken::NeverFollows => options.follow = false,
            Broken::ForgetsRuns => options.since = self.exec.inspect(id).await?.started,
            Broken::ForgetsLogs if self.later => options = options.tail(0),
            _ => {}
        }
        let log = match (self.broken, self.streams.logs(id, options).await) {
            (Broken::LogsTheRemoved, Err(error)) if error.is_not_found() => {
                return Ok(stream::empty().boxed());
            }
            (_, log) => log?,
        };
        Ok(match self.broken {
            Broken::LogsOneStream => log
                .map(|record| {
                    let mut record = record?;
                    record.stream = StdStream::Stdout;
                    Ok(record)
                })
                .boxed(),
            Broken::FollowsForEver if follow => log.chain(stream::pending()).boxed(),
            _ => log,
        })
    }
}

#[async_trait]
impl Fixture for Breaking {
    async fn open(&self) -> Result<PortLayer> {
        let mut streams = self.clone();
        streams.later = self.opened.fetch_add(1, Ordering::SeqCst) > 0;
        Ok(PortLayer::new(self.exec.clone()).with_attachable_streams(Arc::new(streams)))
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

#[tokio::test]
async fn every_broken_promise_about_streams_is_noticed() {
    let noticed = ALL.map(|(broken, expected)| async move {
        let case = conformance::cases()
            .iter()
            .find(|case| case.name == expected);
        let case = case.unwrap_or_else(|| panic!("no case is called {expected}"));
        let verdict = case.run_alone(&Breaking::new(broken)).await;
        assert!(
            matches!(verdict, Verdict::Failed(_)),
            "{broken:?} went unnoticed: {verdict:?}"
        );
    });
    futures_util::future::join_all(noticed).await;
}

#[tokio::test]
async fn each_case_about_streams_has_a_breaker() {
    for case in conformance::cases() {
        let streams = [portlayer::Capability::Attach, portlayer::Capability::Logs];
        if case.needs.iter().any(|needed| streams.contains(needed)) {
            assert!(ALL.iter().any(|(_, name)| *name == case.name), "{case:?}");
        }
    }
}
