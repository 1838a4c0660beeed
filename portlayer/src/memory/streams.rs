//! Streams of in-memory containers.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::MemoryExec;
use super::pipes::Pipes;
use crate::stream::{
    AttachOptions, Attached, Hold, LogOptions, LogRecord, LogStream, Streams, WindowSize,
};
use crate::{ContainerId, Error, Resource, Result, State};

/// The streams of the containers of a [`MemoryExec`], whose processes read and write as their
/// [`Behaviour`](super::Behaviour::scripted) specifies. The last 16 MiB of each log are kept.
/// Clones share the same streams.
#[derive(Clone, Debug)]
pub struct MemoryStreams {
    exec: MemoryExec,
}

impl MemoryStreams {
    /// Returns the streams of these containers.
    #[must_use]
    pub fn of(exec: MemoryExec) -> Self {
        Self { exec }
    }
}

#[async_trait]
impl Streams for MemoryStreams {
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attached> {
        let (pipes, command) = self.exec.pipes(id)?;
        let mut hold = None;
        if options.stdin && command.open_stdin {
            let taken = Hold::take(&pipes.input_held);
            let in_use = || Error::in_use(Resource::container(id), "another holder of its input");
            hold = Some(taken.ok_or_else(in_use)?);
        }
        let mut attached = pipes.lock();
        if attached.removed {
            return Err(Error::not_found(Resource::container(id)));
        }
        let input = hold.map(|hold| {
            let (input, source) = hold.into_input(None);
            pipes.add_source(&mut attached, source);
            input
        });
        if !options.stdout && !options.stderr {
            return Ok(Attached::new(input, stream::empty().boxed()));
        }
        let output = attached.add_reader(options.stdout, options.stderr);
        drop(attached);
        let output = stream::unfold(output, |mut output| async move {
            Some((output.recv().await?, output))
        });
        Ok(Attached::new(input, output.boxed()))
    }

    async fn resize(&self, id: &ContainerId, size: WindowSize) -> Result<()> {
        let (pipes, command) = self.exec.pipes(id)?;
        if !command.tty {
            let reason = "its process has no terminal";
            return Err(Error::invalid_argument(
                Resource::container(id),
                "size",
                reason,
            ));
        }
        pipes.window.send_replace(Some(size));
        Ok(())
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<LogStream> {
        let (pipes, _) = self.exec.pipes(id)?;
        let state = self.exec.watch(id)?;
        let reader = LogReader {
            next: pipes.log.start(&options),
            written: pipes.log.written(),
            pipes,
            state,
            options,
        };
        let records = stream::unfold(reader, |mut reader| async move {
            let record = reader.next().await?;
            Some((Ok(record), reader))
        });
        Ok(records.boxed())
    }
}

struct LogReader {
    pipes: Arc<Pipes>,
    written: watch::Receiver<u64>,
    state: watch::Receiver<State>,
    options: LogOptions,
    next: u64,
}

impl LogReader {
    async fn next(&mut self) -> Option<LogRecord> {
        loop {
            // The state is read before the log, so that output written before the end is still
            // returned.
            let kind = self.state.borrow_and_update().kind();
            let seen = *self.written.borrow_and_update();
            let (record, next) = self.pipes.log.next(self.next, &self.options);
            self.next = next;
            if record.is_some() {
                return record;
            }
            if next < seen {
                continue;
            }
            // New records would be later than `until`.
            let over = self.options.until.is_some() || !self.options.follow || !kind.may_be_on();
            if over {
                return None;
            }
            tokio::select! {
                written = self.written.changed() => written.ok()?,
                // The channel is closed when the container is removed.
                changed = self.state.changed() => changed.ok()?,
            }
        }
    }
}
