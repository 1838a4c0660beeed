//! The streams of containers: attach, logs, and the terminal's size.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use hyper::StatusCode;
use portlayer::ErrorKind;
use portlayer::stream::{AttachOptions, Chunk, LogOptions, LogStream, Output, WindowSize};

use crate::FrontEnd;
use crate::attach;
use crate::detach::DetachKeys;
use crate::error::{ApiError, Result};
use crate::multiplex::{frame, media_type};
use crate::reply::{self, Reply};
use crate::request::{Call, Query};

pub(crate) async fn attach(front_end: &FrontEnd, name: &str, call: Call) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let (query, tty) = (&call.query, container.info.command.tty);
    if !call.headers.contains_key(hyper::header::UPGRADE) {
        return Err(ApiError::bad_request(
            "attaching needs a client that asks for an upgrade to tcp",
        ));
    }
    let stream = query.flag("stream");
    let wanted = AttachOptions::output()
        .stdin(query.flag("stdin") && stream && container.info.command.open_stdin)
        .stdout(query.flag("stdout"))
        .stderr(query.flag("stderr"));
    let keys = match query.get("detachKeys") {
        Some(keys) => Some(DetachKeys::parse(keys)?),
        None if tty => Some(DetachKeys::default()),
        None => None,
    };
    let streams = front_end.layer().streams();
    let log = if query.flag("logs") {
        let options = LogOptions::new()
            .stdout(wanted.stdout)
            .stderr(wanted.stderr);
        Some(chunks(streams.logs(&container.id, options).await?))
    } else {
        None
    };
    let attached = if stream {
        match streams.attach(&container.id, wanted).await {
            Err(error) if matches!(error.kind(), ErrorKind::InUse { .. }) => {
                return Err(ApiError::conflict(format!(
                    "somebody else holds the input of container {}; attach with --no-stdin",
                    container.info.name
                )));
            }
            other => other?,
        }
    } else {
        portlayer::stream::Attached::new(None, futures_util::stream::empty().boxed())
    };
    front_end.publish(&container, "attach");
    let connection = call.upgrade();
    let manner = attach::Manner {
        first: log,
        tty,
        keys,
        stdin_once: container.extras.stdin_once,
    };
    tokio::spawn(attach::serve(connection, attached, manner));
    Ok(reply::upgraded(media_type(tty)))
}

/// Converts a log to output.
fn chunks(log: LogStream) -> Output {
    let chunks = log.map(|record| {
        record.map(|record| Chunk {
            stream: record.stream,
            bytes: record.bytes,
        })
    });
    chunks.boxed()
}

pub(crate) async fn logs(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let tty = container.info.command.tty;
    if !query.flag("stdout") && !query.flag("stderr") {
        return Err(ApiError::bad_request(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let mut options = LogOptions::new()
        .stdout(query.flag("stdout"))
        .stderr(query.flag("stderr"));
    if let Some(since) = query.get("since").filter(|since| *since != "0") {
        options = options.since(crate::time::parse(since)?);
    }
    if let Some(until) = query.get("until").filter(|until| *until != "0") {
        options = options.until(crate::time::parse(until)?);
    }
    // Anything but a number means all lines, as in the engine.
    if let Some(Ok(lines)) = query.get("tail").map(str::parse) {
        options = options.tail(lines);
    }
    if query.flag("follow") {
        options = options.follow();
    }
    let timestamps = query.flag("timestamps");
    let log = front_end
        .layer()
        .streams()
        .logs(&container.id, options)
        .await?;
    let details = query.flag("details");
    // The two outputs are interleaved, and each may be in the middle of a line.
    let mut in_line = [false; 2];
    let frames = log.map(move |record| {
        let record = record.map_err(|error| std::io::Error::other(crate::error::chain(&error)))?;
        let mut bytes = record.bytes;
        let in_line =
            &mut in_line[usize::from(record.stream == portlayer::stream::StdStream::Stderr)];
        if !*in_line && (timestamps || details) {
            let mut prefixed = BytesMut::new();
            if timestamps {
                prefixed.extend_from_slice(format!("{:.9} ", record.time).as_bytes());
            }
            if details {
                // An empty list of attributes, and the separator after it.
                prefixed.extend_from_slice(b" ");
            }
            prefixed.extend_from_slice(&bytes);
            bytes = prefixed.freeze();
        }
        *in_line = !bytes.ends_with(b"\n");
        Ok::<Bytes, std::io::Error>(frame(tty, record.stream, bytes))
    });
    Ok(reply::stream(media_type(tty), frames))
}

pub(crate) async fn resize(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let side = |name| {
        query
            .number::<u16>(name)?
            .ok_or_else(|| ApiError::bad_request(format!("the size's {name} is missing")))
    };
    let size = WindowSize {
        columns: side("w")?,
        rows: side("h")?,
    };
    match front_end
        .layer()
        .streams()
        .resize(&container.id, size)
        .await
    {
        // Clients send the size whenever the window changes, even after the container's end.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidState { .. }) => {
            return Err(ApiError::conflict(format!(
                "cannot resize a stopped container: {}",
                container.id
            )));
        }
        other => other?,
    }
    Ok(reply::empty(StatusCode::OK))
}
