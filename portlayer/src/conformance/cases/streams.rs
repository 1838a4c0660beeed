//! Attached streams.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::conformance::listener::Listener;
use crate::exec::{StartOptions, StopOptions};
use crate::stream::{AttachOptions, Input, StdStream, Streams, WindowSize};
use crate::{ContainerId, Error, ErrorKind, ExitStatus, State};

/// How long to wait before concluding that a process does not do something.
const WHILE: Duration = Duration::from_millis(200);

/// Creates a container whose process writes `ready` and echoes its input. The container is not
/// started.
pub(super) async fn echo(bench: &Bench<'_>) -> Result<ContainerId, Failure> {
    let mut spec = bench.spec(Process::Echoes);
    spec.command.open_stdin = true;
    Ok(bench.exec().create(spec).await?)
}

pub(super) async fn attach(
    streams: &dyn Streams,
    id: &ContainerId,
) -> Result<(Input, Listener), Failure> {
    let attached = streams.attach(id, AttachOptions::interactive()).await?;
    let input = attached.input;
    let input = input.ok_or_else(|| Failure::new("the requested input is missing"))?;
    Ok((input, Listener::new(attached.output)))
}

pub(super) async fn say(input: &mut Input, text: &str) -> Check {
    let failed = |error: std::io::Error| Failure::new(format_args!("its input failed: {error}"));
    input.write_all(text.as_bytes()).await.map_err(failed)?;
    input.flush().await.map_err(failed)
}

pub(super) async fn close(input: &mut Input) -> Check {
    let failed = |error: std::io::Error| Failure::new(format_args!("its input failed: {error}"));
    input.shutdown().await.map_err(failed)
}

pub(super) async fn start(bench: &Bench<'_>, id: &ContainerId) -> Check {
    bench.exec().start(id, StartOptions::new()).await?;
    Ok(())
}

pub(super) async fn all_output_arrives_from_the_first_byte_to_the_last(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (mut input, mut output) = attach(bench.streams(), &id).await?;
    start(bench, &id).await?;
    output.until(StdStream::Stdout, "ready\n").await?;
    say(&mut input, "hello\n").await?;
    output.until(StdStream::Stdout, "ready\nhello\n").await?;
    output.until(StdStream::Stderr, "hello\n").await?;
    close(&mut input).await?;
    output.rest().await?;
    ensure_eq!(output.text(StdStream::Stdout), "ready\nhello\nbye\n");
    ensure_eq!(output.text(StdStream::Stderr), "hello\n");
    ensure_eq!(bench.exec().wait(&id).await?, ExitStatus::Code(7));
    Ok(())
}

pub(super) async fn every_reader_gets_all_output(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (mut input, mut first) = attach(bench.streams(), &id).await?;
    let only = AttachOptions::output();
    let second = bench.streams().attach(&id, only.clone()).await?;
    let mut second = Listener::new(second.output);
    start(bench, &id).await?;
    first.until(StdStream::Stdout, "ready\n").await?;
    let third = bench.streams().attach(&id, only).await?;
    let mut third = Listener::new(third.output);
    say(&mut input, "hello\n").await?;
    // Input may be delivered before a new reader is attached.
    first.until(StdStream::Stdout, "ready\nhello\n").await?;
    close(&mut input).await?;
    for listener in [&mut first, &mut second] {
        listener.rest().await?;
        ensure_eq!(listener.text(StdStream::Stdout), "ready\nhello\nbye\n");
        ensure_eq!(listener.text(StdStream::Stderr), "hello\n");
    }
    third.rest().await?;
    ensure!(third.text(StdStream::Stdout), text if text.ends_with("bye\n"));
    Ok(())
}

pub(super) async fn only_requested_output_arrives(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (mut input, mut both) = attach(bench.streams(), &id).await?;
    let stdout = AttachOptions::output().stderr(false);
    let stderr = AttachOptions::output().stdout(false);
    let stdout = bench.streams().attach(&id, stdout).await?;
    ensure_eq!(stdout.input.is_some(), false);
    let mut stdout = Listener::new(stdout.output);
    let stderr = bench.streams().attach(&id, stderr).await?;
    let mut stderr = Listener::new(stderr.output);
    start(bench, &id).await?;
    say(&mut input, "hello\n").await?;
    close(&mut input).await?;
    for listener in [&mut both, &mut stdout, &mut stderr] {
        listener.rest().await?;
    }
    ensure_eq!(stdout.text(StdStream::Stdout), "ready\nhello\nbye\n");
    ensure_eq!(stdout.text(StdStream::Stderr), "");
    ensure_eq!(stderr.text(StdStream::Stdout), "");
    ensure_eq!(stderr.text(StdStream::Stderr), "hello\n");
    Ok(())
}

pub(super) async fn input_has_one_holder(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (input, output) = attach(bench.streams(), &id).await?;
    let options = AttachOptions::interactive();
    let second = bench.streams().attach(&id, options).await;
    ensure!(
        second,
        Err(Error {
            kind: ErrorKind::InUse { .. },
            ..
        })
    );
    drop((input, output));
    attach(bench.streams(), &id).await?;
    // A process without input has no input to hold.
    let mut spec = bench.spec(Process::Echoes);
    spec.command.open_stdin = false;
    let id = bench.exec().create(spec).await?;
    let options = AttachOptions::interactive();
    let attached = bench.streams().attach(&id, options).await?;
    ensure_eq!(attached.input.is_some(), false);
    let mut output = Listener::new(attached.output);
    start(bench, &id).await?;
    output.rest().await?;
    ensure_eq!(output.text(StdStream::Stdout), "ready\nbye\n");
    Ok(())
}

pub(super) async fn detaching_leaves_the_process_and_its_input(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (mut input, mut output) = attach(bench.streams(), &id).await?;
    start(bench, &id).await?;
    output.until(StdStream::Stdout, "ready\n").await?;
    say(&mut input, "first\n").await?;
    output.until(StdStream::Stdout, "ready\nfirst\n").await?;
    drop((input, output));
    tokio::time::sleep(WHILE).await;
    ensure_eq!(bench.state(&id).await?, State::Running);
    let (mut input, mut output) = attach(bench.streams(), &id).await?;
    say(&mut input, "second\n").await?;
    close(&mut input).await?;
    output.rest().await?;
    ensure_eq!(output.text(StdStream::Stdout), "second\nbye\n");
    ensure_eq!(bench.exec().wait(&id).await?, ExitStatus::Code(7));
    Ok(())
}

pub(super) async fn a_slow_reader_slows_the_process(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Floods).await?;
    let output = bench.streams().attach(&id, AttachOptions::output()).await?;
    let mut output = Listener::new(output.output);
    start(bench, &id).await?;
    tokio::time::sleep(WHILE).await;
    // The process is blocked before it has written everything.
    ensure_eq!(bench.state(&id).await?, State::Running);
    output.flood().await?;
    ensure_eq!(bench.exec().wait(&id).await?, ExitStatus::Code(0));
    Ok(())
}

pub(super) async fn a_terminal_has_the_size_that_was_set(bench: &Bench<'_>) -> Check {
    let mut spec = bench.spec(Process::ShowsSize);
    spec.command.open_stdin = true;
    spec.command.tty = true;
    let id = bench.exec().create(spec).await?;
    let (mut input, mut output) = attach(bench.streams(), &id).await?;
    let size = |columns, rows| WindowSize { columns, rows };
    bench.streams().resize(&id, size(100, 30)).await?;
    start(bench, &id).await?;
    say(&mut input, "\n").await?;
    output.contains("100x30").await?;
    bench.streams().resize(&id, size(7, 120)).await?;
    // Input may be delivered before the resize.
    loop {
        say(&mut input, "\n").await?;
        let before = output.length();
        output.longer_than(before).await?;
        if output.text(StdStream::Stdout).contains("7x120") {
            break;
        }
    }
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    let id = echo(bench).await?;
    let refused = bench.streams().resize(&id, size(80, 25)).await;
    ensure!(
        refused,
        Err(Error {
            kind: ErrorKind::InvalidArgument { .. },
            ..
        })
    );
    Ok(())
}

pub(super) async fn output_ends_with_the_container(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (_input, mut output) = attach(bench.streams(), &id).await?;
    start(bench, &id).await?;
    output.until(StdStream::Stdout, "ready\n").await?;
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    output.rest_or_lost().await;
    ensure_eq!(output.text(StdStream::Stdout), "ready\n");
    // A container that is never started.
    let id = echo(bench).await?;
    let (_input, mut output) = attach(bench.streams(), &id).await?;
    bench.exec().remove(&id).await?;
    output.rest_or_lost().await;
    ensure_eq!(output.text(StdStream::Stdout), "");
    Ok(())
}

pub(super) async fn nobody_has_the_streams_of_an_unknown_id(bench: &Bench<'_>) -> Check {
    let id = ContainerId::generate();
    let attached = bench.streams().attach(&id, AttachOptions::output()).await;
    ensure!(attached, Err(error) if error.is_not_found());
    let (columns, rows) = (80, 25);
    let resized = bench.streams().resize(&id, WindowSize { columns, rows });
    ensure!(resized.await, Err(error) if error.is_not_found());
    Ok(())
}

pub(super) async fn a_running_process_is_attached_to_after_a_restart(bench: &Bench<'_>) -> Check {
    let id = echo(bench).await?;
    let (input, mut output) = attach(bench.streams(), &id).await?;
    start(bench, &id).await?;
    output.until(StdStream::Stdout, "ready\n").await?;
    drop((input, output));
    let reopened = bench.reopen().await?;
    let (mut input, mut output) = attach(reopened.streams(), &id).await?;
    say(&mut input, "hello\n").await?;
    close(&mut input).await?;
    output.rest().await?;
    ensure_eq!(output.text(StdStream::Stdout), "hello\nbye\n");
    ensure_eq!(reopened.exec().wait(&id).await?, ExitStatus::Code(7));
    Ok(())
}
