//! The life cycle of containers: start, stop, kill, wait, rename, remove.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use hyper::StatusCode;
use portlayer::exec::{Edit, Signal, StartOptions, StopOptions};
use portlayer::{ContainerId, ErrorKind, ExecExt as _};
use serde_json::json;

use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::ports::{Run, port_refused};
use crate::reply::{self, Reply};
use crate::request::Query;
use crate::view::{Phase, View};

/// The default time before a stopping container is killed.
const GRACE: Duration = Duration::from_secs(10);
/// The timeout of `docker stop --time=-1`: practically unlimited.
const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn start(front_end: &FrontEnd, name: &str) -> Result<Reply> {
    let container = front_end.container(name).await?;
    if container.is_running() {
        return Ok(reply::empty(StatusCode::NOT_MODIFIED));
    }
    start_container(front_end, &container).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Starts a container and watches it, unless it is running already. The start continues if the
/// client disconnects.
async fn start_container(front_end: &FrontEnd, container: &View) -> Result<()> {
    let (front_end, view) = (front_end.clone(), container.clone());
    let work = tokio::spawn(async move {
        let turn = front_end.ports().turn(&view.id);
        let turn = turn.lock().await;
        let seen = front_end.layer().exec().inspect(&view.id).await?;
        if View::from(seen).is_running() {
            return Ok(());
        }
        let failed = match start_stopped(&front_end, &view).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        drop(turn);
        if view.extras.auto_remove {
            let removed = front_end.layer().exec().remove_forced(&view.id).await;
            if let Err(error) = removed {
                tracing::warn!(id = %view.id, %error, "a container that did not start stays");
            } else {
                front_end.removed(&view).await;
            }
        }
        Err(failed)
    });
    work.await
        .unwrap_or_else(|error| Err(ApiError::internal(error.to_string())))
}

/// Opens the ports of a stopped container and starts it. The caller holds the container's lock.
async fn start_stopped(front_end: &FrontEnd, view: &View) -> Result<()> {
    let (exec, id) = (front_end.layer().exec(), &view.id);
    let run = front_end.open_ports(view).await?;
    if let Err(error) = exec.start(id, StartOptions::new()).await {
        front_end.ports().close(id, run).await;
        return Err(match error.kind() {
            ErrorKind::GuestFailed { reason } => {
                ApiError::bad_request(crate::launch::message(&view.info.command.path, reason))
            }
            _ => port_refused(view, error, true),
        });
    }
    front_end.note_start(id).await;
    front_end.publish(view, "start");
    front_end.watch(view.clone(), run);
    Ok(())
}

fn grace(query: &Query, container: &View) -> Result<Duration> {
    Ok(match query.number::<i64>("t")? {
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => GRACE_MAX,
        },
        None => container
            .extras
            .stop_timeout
            .map_or(GRACE, Duration::from_secs),
    })
}

fn signal(text: &str) -> Result<Signal> {
    text.parse()
        .map_err(|_| ApiError::bad_request(format!("invalid signal: {text}")))
}

async fn stop_container(front_end: &FrontEnd, container: &View, query: &Query) -> Result<()> {
    let mut options = StopOptions::new().grace(grace(query, container)?);
    if let Some(wanted) = query.get("signal") {
        options = options.signal(signal(wanted)?);
    }
    let (exec, id) = (front_end.layer().exec(), &container.id);
    let run = front_end.ports().run(id);
    exec.stop(id, options).await?;
    front_end.close_ports(id, run).await;
    front_end.note_end(id).await;
    front_end.publish(container, "stop");
    Ok(())
}

pub(crate) async fn stop(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    if !container.is_running() {
        return Ok(reply::empty(StatusCode::NOT_MODIFIED));
    }
    stop_container(front_end, &container, query).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn restart(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    if container.is_running() {
        stop_container(front_end, &container, query).await?;
    }
    start_container(front_end, &container).await?;
    front_end.publish(&container, "restart");
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn kill(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let wanted = query.get("signal").map_or(Ok(Signal::KILL), signal)?;
    let context = |error: ApiError| {
        ApiError::new(
            error.status,
            format!("cannot kill container: {name}: {}", error.message),
        )
    };
    let container = front_end.container(name).await.map_err(context)?;
    if !container.is_running() {
        let reason = format!("container {} is not running", container.id);
        return Err(context(ApiError::conflict(reason)));
    }
    let exec = front_end.layer().exec();
    exec.signal(&container.id, wanted).await?;
    front_end.publish(&container, "kill");
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn rename(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let wanted = query
        .get("name")
        .unwrap_or_default()
        .trim_start_matches('/');
    if wanted == container.info.name {
        return Err(ApiError::bad_request(
            "renaming a container with the same name as its current name",
        ));
    }
    if !crate::names::is_valid(wanted) {
        return Err(ApiError::bad_request(format!(
            "Error when allocating new name: Invalid container name (/{wanted}), only \
             [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )));
    }
    // The renaming of a running container is repeated at its end.
    let edit = Edit::new().name(wanted).may_be_forgotten();
    match front_end.layer().exec().update(&container.id, edit).await {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
            let ApiError { status, message } =
                super::containers::name_taken(front_end, wanted).await;
            let message = format!("Error when allocating new name: {message}");
            return Err(ApiError::new(status, message));
        }
        other => other?,
    }
    if container.is_running() {
        let name = wanted.to_owned();
        front_end.renames().insert(container.id, name);
    }
    front_end.publish(&container, "rename");
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn pause(front_end: &FrontEnd, name: &str, pause: bool) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let exec = front_end.layer().exec();
    let (id, shown) = (&container.id, container.id);
    // In the port layer this is success.
    match (pause, container.phase()) {
        (true, Phase::Paused) => {
            let reason = format!("container {shown} is already paused");
            return Err(ApiError::conflict(reason));
        }
        (false, phase) if phase != Phase::Paused => {
            return Err(ApiError::conflict(format!(
                "Container {shown} is not paused"
            )));
        }
        _ => {}
    }
    let done = if pause {
        exec.pause(id).await
    } else {
        exec.resume(id).await
    };
    match done {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidState { .. }) => {
            return Err(ApiError::conflict(match pause {
                true => format!("container {shown} is not running"),
                false => format!("Container {shown} is not paused"),
            }));
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) => {
            return Err(ApiError::not_supported("docker pause"));
        }
        other => other?,
    }
    let action = if pause { "pause" } else { "unpause" };
    front_end.publish(&container, action);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Sends the response's head at once, because clients start the container then, and its body when
/// the condition is met.
pub(crate) async fn wait(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let container = front_end.container(name).await?;
    let condition = query.get("condition").unwrap_or("not-running");
    let ended = container.phase() == Phase::Exited || container.phase() == Phase::Created;
    let id = container.id;
    let front_end = front_end.clone();
    // Subscribe before the response, so that no later event is missed.
    let mut events = front_end.bus().subscribe();
    let condition = match condition {
        "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid condition: \"{other}\""
            )));
        }
    };
    let work = async move {
        let code = match condition {
            Condition::NotRunning if ended => Ok(container.exit_code()),
            Condition::NotRunning => exit(&front_end, &id).await,
            Condition::NextExit | Condition::Removed => {
                // For a stopped container, wait for the end of its next run.
                if container.phase() == Phase::Exited {
                    next(&mut events, &id, &["start", "destroy"]).await;
                }
                exit(&front_end, &id).await
            }
        };
        if condition == Condition::Removed {
            removal(&front_end, &mut events, &id).await;
        }
        let answer = match code {
            Ok(code) => json!({ "StatusCode": code }),
            Err(message) => json!({ "StatusCode": 0, "Error": { "Message": message } }),
        };
        Ok(Bytes::from(format!("{answer}\n")))
    };
    Ok(reply::stream(reply::JSON, stream::once(work)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

async fn exit(front_end: &FrontEnd, id: &ContainerId) -> Result<i32, String> {
    match front_end.layer().exec().wait(id).await {
        Ok(exit) => {
            front_end.note_end(id).await;
            Ok(front_end.exit_code(id, exit).await)
        }
        // It was removed, and its exit code with it.
        Err(error) if *error.kind() == ErrorKind::NotFound => {
            Ok(front_end.last_exit(id).unwrap_or(0))
        }
        Err(error) => Err(crate::error::chain(&error)),
    }
}

type Events = tokio::sync::broadcast::Receiver<crate::events::Event>;

/// Waits for one of these events of a container.
async fn next(events: &mut Events, id: &ContainerId, actions: &[&str]) {
    use tokio::sync::broadcast::error::RecvError;
    let id = id.to_string();
    loop {
        match events.recv().await {
            Ok(event) if event.id == id && actions.contains(&event.action) => return,
            Ok(_) => {}
            // Events were lost: return early, rather than never.
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

async fn removal(front_end: &FrontEnd, events: &mut Events, id: &ContainerId) {
    /// How often to check for containers that are removed by others.
    const PERIOD: Duration = Duration::from_secs(2);
    loop {
        match front_end.layer().exec().inspect(id).await {
            Err(error) if *error.kind() == ErrorKind::NotFound => return,
            _ => {}
        }
        let _ = tokio::time::timeout(PERIOD, next(events, id, &["destroy"])).await;
    }
}

pub(crate) async fn remove(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    if query.flag("link") {
        return Err(ApiError::not_supported("docker rm --link"));
    }
    let container = front_end.container(name).await?;
    let exec = front_end.layer().exec();
    if query.flag("force") {
        exec.remove_forced(&container.id).await?;
    } else if container.is_running() {
        return Err(ApiError::conflict(format!(
            "cannot remove container \"/{}\": container is running: stop the container before \
             removing or force remove",
            container.info.name
        )));
    } else {
        exec.remove(&container.id).await?;
    }
    front_end.removed(&container).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn prune(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    let wanted = filters.prune(&[])?;
    let mut done = Vec::new();
    for container in front_end.containers().await? {
        if !matches!(
            container.phase(),
            Phase::Created | Phase::Exited | Phase::Dead
        ) || !wanted.fits(&container.info.labels, container.info.created)
        {
            continue;
        }
        match front_end.layer().exec().remove(&container.id).await {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::InvalidState { .. }
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        front_end.removed(&container).await;
        done.push(container.id);
    }
    Ok(reply::json(
        &json!({ "ContainersDeleted": done, "SpaceReclaimed": 0 }),
    ))
}

impl FrontEnd {
    /// Watches a running container: at its end, closes its ports, publishes the event, and removes
    /// it if it was created with `--rm`.
    pub(crate) fn watch(&self, container: View, run: Option<Run>) {
        let (layer, front_end) = (self.layer().clone(), self.downgrade());
        let id = container.id;
        tokio::spawn(async move {
            let exit = match layer.exec().wait(&id).await {
                Ok(exit) => exit,
                Err(error) => {
                    tracing::debug!(%id, %error, "a container is not watched any more");
                    if let (true, Some(front_end)) = (error.is_not_found(), front_end.upgrade()) {
                        front_end.close_ports(&id, run).await;
                    }
                    return;
                }
            };
            let Some(front_end) = front_end.upgrade() else {
                return;
            };
            front_end.close_ports(&id, run).await;
            front_end.note_end(&id).await;
            front_end.ended(&container, exit).await;
            if container.extras.auto_remove {
                match front_end.layer().exec().remove(&id).await {
                    Ok(()) => front_end.removed(&container).await,
                    Err(error) if *error.kind() == ErrorKind::NotFound => {}
                    Err(error) => tracing::warn!(%id, %error, "a container with --rm stays"),
                }
            }
        });
    }
}
