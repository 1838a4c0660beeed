//! Routes requests to their handlers.

use hyper::Method;

use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::reply::Reply;
use crate::request::Call;
use crate::routes::{
    containers, images, lifecycle, listing, networks, pull, refused, save, streams, system,
};

pub(crate) async fn route(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    const GET: &Method = &Method::GET;
    const POST: &Method = &Method::POST;
    const DELETE: &Method = &Method::DELETE;
    const HEAD: &Method = &Method::HEAD;
    let path = call.path.clone();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Ok(system::ping(call.method == *HEAD)),
        (GET, ["version"]) => Ok(system::version()),
        (GET, ["info"]) => system::info(front_end).await,
        (GET, ["events"]) => system::events(front_end, &call.query),
        (GET, ["system", "df"]) => system::usage(front_end).await,
        (POST, ["build", "prune"]) => Ok(system::prune_builds()),
        (POST, ["auth"]) => system::auth(front_end, call).await,

        (GET, ["images", "json"]) => images::list(front_end, &call.query).await,
        (POST, ["images", "create"]) => pull::create(front_end, call).await,
        (POST, ["images", "load"]) => pull::load(front_end, call).await,
        (POST, ["images", "prune"]) => images::prune(front_end, &call.query).await,
        (GET, ["images", "get"]) => {
            let names: Vec<String> = call.query.all("names").map(str::to_owned).collect();
            save::save(front_end, &names, &call.query).await
        }
        (GET, ["images", name @ .., "get"]) => {
            save::save(front_end, &[name.join("/")], &call.query).await
        }
        (GET, ["images", name @ .., "json"]) => images::inspect(front_end, &name.join("/")).await,
        (GET, ["images", name @ .., "history"]) => {
            images::history(front_end, &name.join("/")).await
        }
        (POST, ["images", name @ .., "tag"]) => {
            images::tag(front_end, &name.join("/"), &call.query).await
        }
        (DELETE, ["images", name @ ..]) if !name.is_empty() => {
            images::remove(front_end, &name.join("/"), &call.query).await
        }

        (GET, ["containers", "json"]) => listing::list(front_end, &call.query).await,
        (POST, ["containers", "create"]) => containers::create(front_end, call).await,
        (POST, ["containers", "prune"]) => lifecycle::prune(front_end, &call.query).await,
        (GET, ["containers", id, "json"]) => listing::inspect(front_end, id, &call.query).await,
        (POST, ["containers", id, "start"]) => lifecycle::start(front_end, id).await,
        (POST, ["containers", id, "stop"]) => lifecycle::stop(front_end, id, &call.query).await,
        (POST, ["containers", id, "restart"]) => {
            lifecycle::restart(front_end, id, &call.query).await
        }
        (POST, ["containers", id, "kill"]) => lifecycle::kill(front_end, id, &call.query).await,
        (POST, ["containers", id, "pause"]) => lifecycle::pause(front_end, id, true).await,
        (POST, ["containers", id, "unpause"]) => lifecycle::pause(front_end, id, false).await,
        (POST, ["containers", id, "wait"]) => lifecycle::wait(front_end, id, &call.query).await,
        (POST, ["containers", id, "rename"]) => lifecycle::rename(front_end, id, &call.query).await,
        (DELETE, ["containers", id]) => lifecycle::remove(front_end, id, &call.query).await,
        (POST, ["containers", id, "attach"]) => streams::attach(front_end, id, call).await,
        (GET, ["containers", id, "logs"]) => streams::logs(front_end, id, &call.query).await,
        (POST, ["containers", id, "resize"]) => streams::resize(front_end, id, &call.query).await,

        (GET, ["networks"]) => networks::list(front_end, &call.query).await,
        (POST, ["networks", "create"]) => networks::create(front_end, call).await,
        (POST, ["networks", "prune"]) => networks::prune(front_end, &call.query).await,
        (GET, ["networks", name]) => networks::inspect(front_end, name).await,
        (DELETE, ["networks", name]) => networks::remove(front_end, name).await,
        (POST, ["networks", name, "connect"]) => networks::connect(front_end, name, call).await,
        (POST, ["networks", name, "disconnect"]) => {
            networks::disconnect(front_end, name, call).await
        }

        (method, path) => {
            let error = refused::refusal(method, path).unwrap_or_else(|| {
                ApiError::not_found(format!("page not found: {method} /{}", path.join("/")))
            });
            // A client that cannot send its complete request does not read the response.
            call.discard().await;
            Err(error)
        }
    }
}
