//! Transfers archives over the control line.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use guest_io::Stream;
use guest_io::ssh::server::{Archive, Attachment, Detached, Output, Stdin, StdinEvent};
use guest_io::ssh::{ArchiveDirection, Exit};
use tether_sys as sys;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::control::exit_of;
use crate::platform::Platform;
use crate::process::{Process, ProcessInput, ProcessOutput};

const KILL: i32 = 9;
/// How long a process whose client has detached may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// The maximum number of bytes in one read of the archive.
const PIECE: usize = 32 << 10;

/// Transfers an archive until it is complete, it fails, or the client detaches.
pub(crate) async fn transfer(
    platform: Arc<dyn Platform>,
    archive: Archive,
    attachment: Attachment,
) {
    let Attachment { stdin, output, .. } = attachment;
    let direction = match archive.direction {
        ArchiveDirection::Out => sys::ArchiveDirection::Out,
        ArchiveDirection::In => sys::ArchiveDirection::In,
    };
    let archive = sys::Archive::new(direction, archive.path);
    let started = tokio::select! {
        started = platform.archive(archive) => started,
        () = output.detached() => return,
    };
    let process = match started {
        Ok(process) => process,
        Err(error) => {
            let reason = Bytes::from(format!("{error}\n"));
            if output.send(Stream::Stderr, reason).await.is_ok() {
                // Ignore a client that has disconnected.
                let _ = output.finish(Exit::Code(1)).await;
            }
            return;
        }
    };
    let pid = process.pid;
    if let Some(process) = forward(process, stdin, output).await {
        // Its streams are closed, so it ends; it may be waiting for a slow disk.
        if tokio::time::timeout(GRACE, process).await.is_err()
            && let Err(error) = platform.signal(pid, KILL).await
        {
            tracing::debug!(%error, "the process of an archive was not killed");
        }
    }
}

/// Forwards the streams of the process, and its exit. Returns the future of the exit if the client
/// has detached before.
async fn forward(
    process: Process,
    stdin: Stdin,
    output: Output,
) -> Option<tokio::sync::oneshot::Receiver<sys::Exit>> {
    let (streams, mut exit) = process.split();
    let copied = {
        let copy = async {
            let archive = copy(Some(streams.stdout), Stream::Stdout, &output);
            let text = copy(streams.stderr, Stream::Stderr, &output);
            tokio::try_join!(archive, text).map(drop)
        };
        tokio::select! {
            copied = copy => copied,
            never = feed(stdin, streams.stdin) => match never {},
            () = output.detached() => Err(Detached),
        }
    };
    if copied.is_err() {
        return Some(exit);
    }
    let end = match (&mut exit).await {
        Ok(end) => exit_of(end),
        // The container has ended.
        Err(_dropped) => Exit::Signal {
            name: "KILL".to_owned(),
            core_dumped: false,
        },
    };
    // Ignore a client that has disconnected.
    let _ = output.finish(end).await;
    None
}

/// Forwards the input of the client; does not return. Input that the process does not read is
/// discarded, so that it does not block the line.
async fn feed(mut from: Stdin, mut to: Option<ProcessInput>) -> std::convert::Infallible {
    while let Some(event) = from.next().await {
        match event {
            StdinEvent::Data(data) => {
                if let Some(process) = &mut to
                    && process.write_all(&data).await.is_err()
                {
                    to = None;
                }
            }
            StdinEvent::Close => to = None,
        }
    }
    std::future::pending().await
}

/// Forwards output of the process until it has closed it.
async fn copy(from: Option<ProcessOutput>, stream: Stream, to: &Output) -> Result<(), Detached> {
    let Some(mut from) = from else {
        return Ok(());
    };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let mut piece = (&mut buffer).limit(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(length) if length > 0 => to.send(stream, buffer.split().freeze()).await?,
            // The exit status says whether everything was written.
            _ => return Ok(()),
        }
    }
}
