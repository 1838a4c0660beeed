//! Logs.

use futures_util::StreamExt;

use super::streams::{close, echo, start};
use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::StopOptions;
use crate::stream::{AttachOptions, LogOptions, LogRecord, StdStream, Streams};
use crate::{ContainerId, ExitStatus};

async fn read(
    streams: &dyn Streams,
    id: &ContainerId,
    options: LogOptions,
) -> Result<Vec<LogRecord>, Failure> {
    let mut log = streams.logs(id, options).await?;
    let mut records = Vec::new();
    while let Some(record) = log.next().await {
        records.push(record?);
    }
    Ok(records)
}

fn text(records: &[LogRecord]) -> String {
    let pieces = records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.bytes));
    pieces.collect()
}

/// Runs a container until it exits; it writes `ready` and `bye`.
async fn run(bench: &Bench<'_>, id: &ContainerId) -> Check {
    start(bench, id).await?;
    ensure_eq!(bench.exec().wait(id).await?, ExitStatus::Code(7));
    Ok(())
}

/// Creates a container whose process has no input. The container is not started.
async fn quiet(bench: &Bench<'_>) -> Result<ContainerId, Failure> {
    Ok(bench.create(Process::Echoes).await?)
}

pub(super) async fn a_log_has_the_output_of_all_runs(bench: &Bench<'_>) -> Check {
    let id = quiet(bench).await?;
    ensure_eq!(read(bench.streams(), &id, LogOptions::new()).await?, []);
    run(bench, &id).await?;
    let records = read(bench.streams(), &id, LogOptions::new()).await?;
    ensure_eq!(text(&records), "ready\nbye\n");
    run(bench, &id).await?;
    let records = read(bench.streams(), &id, LogOptions::new()).await?;
    ensure_eq!(text(&records), "ready\nbye\nready\nbye\n");
    ensure!(records.is_sorted_by_key(|record| record.time), true);
    Ok(())
}

pub(super) async fn a_log_is_cut_by_lines_and_times(bench: &Bench<'_>) -> Check {
    let id = quiet(bench).await?;
    run(bench, &id).await?;
    run(bench, &id).await?;
    let streams = bench.streams();
    for (lines, wanted) in [
        (0, ""),
        (1, "bye\n"),
        (3, "bye\nready\nbye\n"),
        (9, "ready\nbye\nready\nbye\n"),
    ] {
        let records = read(streams, &id, LogOptions::new().tail(lines)).await?;
        ensure_eq!(text(&records), wanted);
    }
    let records = read(streams, &id, LogOptions::new()).await?;
    let Some(last) = records.last() else {
        return Err(Failure::new("the log is empty"));
    };
    let since = read(streams, &id, LogOptions::new().since(last.time)).await?;
    let wanted: Vec<_> = records
        .iter()
        .filter(|r| r.time >= last.time)
        .cloned()
        .collect();
    ensure_eq!(since, wanted);
    let until = read(streams, &id, LogOptions::new().until(last.time)).await?;
    let wanted: Vec<_> = records
        .iter()
        .filter(|r| r.time < last.time)
        .cloned()
        .collect();
    ensure_eq!(until, wanted);
    Ok(())
}

pub(super) async fn a_log_tells_the_streams_apart(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (mut input, mut output) = super::streams::attach(bench.streams(), &id).await?;
    start(bench, &id).await?;
    super::streams::say(&mut input, "hello\n").await?;
    close(&mut input).await?;
    output.rest().await?;
    bench.exec().wait(&id).await?;
    let streams = bench.streams();
    let stdout = read(streams, &id, LogOptions::new().stderr(false)).await?;
    ensure_eq!(text(&stdout), "ready\nhello\nbye\n");
    ensure!(
        stdout
            .iter()
            .all(|record| record.stream == StdStream::Stdout),
        true
    );
    let stderr = read(streams, &id, LogOptions::new().stdout(false)).await?;
    ensure_eq!(text(&stderr), "hello\n");
    ensure!(
        stderr
            .iter()
            .all(|record| record.stream == StdStream::Stderr),
        true
    );
    Ok(())
}

pub(super) async fn a_log_is_followed_until_the_end(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let follow = LogOptions::new().follow();
    // Nothing runs, so following the log returns at once.
    ensure_eq!(read(bench.streams(), &id, follow.clone()).await?, []);
    let options = AttachOptions::interactive();
    let attached = bench.streams().attach(&id, options).await?;
    start(bench, &id).await?;
    let ended = async {
        let mut input = attached
            .input
            .ok_or_else(|| Failure::new("it has no input"))?;
        drop(attached.output);
        super::streams::say(&mut input, "hello\n").await?;
        close(&mut input).await?;
        ensure_eq!(bench.exec().wait(&id).await?, ExitStatus::Code(7));
        Ok(())
    };
    let stdout = follow.clone().stderr(false);
    let (first, second, ended) = tokio::join!(
        read(bench.streams(), &id, stdout),
        read(bench.streams(), &id, follow.clone().stdout(false)),
        ended,
    );
    ended?;
    ensure_eq!(text(&first?), "ready\nhello\nbye\n");
    ensure_eq!(text(&second?), "hello\n");
    // Following also ends when the process is killed.
    start(bench, &id).await?;
    let (followed, stopped) = tokio::join!(
        read(bench.streams(), &id, follow.tail(0)),
        bench.exec().stop(&id, StopOptions::AT_ONCE),
    );
    followed?;
    stopped?;
    Ok(())
}

pub(super) async fn a_log_survives_a_restart(bench: &Bench<'_>) -> Check {
    let id = quiet(bench).await?;
    run(bench, &id).await?;
    let before = read(bench.streams(), &id, LogOptions::new()).await?;
    let reopened = bench.reopen().await?;
    let after = read(reopened.streams(), &id, LogOptions::new()).await?;
    ensure_eq!(after, before);
    bench.exec().remove(&id).await?;
    let removed = reopened.streams().logs(&id, LogOptions::new()).await;
    ensure!(removed.map(drop), Err(error) if error.is_not_found());
    Ok(())
}
