//! A client's connection to a process.

use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use portlayer::stream::{Attached, Input, Output};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::detach::DetachKeys;
use crate::multiplex::frame;

/// What is read from a client at once.
const BLOCK: usize = 32 * 1024;

/// How a client is attached.
pub(crate) struct Manner {
    /// What is sent before the process's output: its log, if the client asked for it.
    pub(crate) first: Option<Output>,
    /// Whether the process has a terminal.
    pub(crate) tty: bool,
    /// The keys that leave the container.
    pub(crate) keys: Option<DetachKeys>,
    /// Whether the end of the client's input is the end of the process's.
    pub(crate) stdin_once: bool,
}

/// Carries bytes between a client's connection, once it has switched protocols, and a process,
/// until the process's output ends, the client leaves, or it types the detach keys.
pub(crate) async fn serve(
    connection: hyper::upgrade::OnUpgrade,
    attached: Attached,
    manner: Manner,
) {
    let Manner {
        first,
        tty,
        keys,
        stdin_once,
    } = manner;
    let connection = match connection.await {
        Ok(connection) => TokioIo::new(connection),
        Err(error) => {
            tracing::debug!(%error, "a client left before it was attached");
            return;
        }
    };
    let (from_client, to_client) = tokio::io::split(connection);
    let output = send(to_client, first, attached.output, tty);
    let Some(input) = attached.input else {
        output.await;
        return;
    };
    tokio::pin!(output);
    tokio::select! {
        () = &mut output => {}
        // The end of the input is not the end of the connection: `echo x | docker run -i`.
        detached = receive(from_client, input, keys, stdin_once) => {
            if !detached {
                output.await;
            }
        }
    }
}

async fn send(
    mut client: impl AsyncWrite + Unpin,
    first: Option<Output>,
    mut output: Output,
    tty: bool,
) {
    if let Some(mut first) = first
        && !send_all(&mut client, &mut first, tty).await
    {
        return;
    }
    if send_all(&mut client, &mut output, tty).await {
        let _ = client.shutdown().await;
    }
}

/// Returns whether the client is still there.
async fn send_all(client: &mut (impl AsyncWrite + Unpin), output: &mut Output, tty: bool) -> bool {
    while let Some(chunk) = output.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::warn!(%error, "the output of a container ended early");
                return true;
            }
        };
        let bytes = frame(tty, chunk.stream, chunk.bytes);
        if client.write_all(&bytes).await.is_err() || client.flush().await.is_err() {
            return false;
        }
    }
    true
}

/// Returns whether the client typed the detach keys. The end of what it sends closes the process's
/// input if that belongs to one client only.
async fn receive(
    mut client: impl AsyncRead + Unpin,
    mut input: Input,
    mut keys: Option<DetachKeys>,
    stdin_once: bool,
) -> bool {
    let mut block = vec![0; BLOCK];
    let mut filtered = Vec::new();
    loop {
        let read = match client.read(&mut block).await {
            Ok(0) => {
                if stdin_once {
                    let _ = input.shutdown().await;
                }
                return false;
            }
            Ok(count) => &block[..count],
            // The connection broke: leave the input open for the next client.
            Err(_) => return true,
        };
        let (bytes, detached) = match &mut keys {
            None => (read, false),
            Some(keys) => {
                filtered.clear();
                let detached = keys.filter(read, &mut filtered);
                (filtered.as_slice(), detached)
            }
        };
        if input.write_all(bytes).await.is_err() || input.flush().await.is_err() {
            // The process closed its input; its output may go on.
            return false;
        }
        if detached {
            return true;
        }
    }
}
