//! Requests of docker's API that are refused. The refusal names the feature, because the docker
//! command prints only the message, not the status.

use hyper::Method;

use crate::error::ApiError;

/// Returns the refusal of a request that docker's API defines and this front end does not support;
/// `None` if docker's API does not define it either.
pub(crate) fn refusal(method: &Method, path: &[&str]) -> Option<ApiError> {
    let what = match path {
        ["containers", _, "exec"] | ["exec", ..] => "docker exec",
        ["containers", _, "archive"] => "docker cp",
        ["containers", _, "attach", "ws"] => "Attaching by WebSocket",
        ["containers", _, "changes"] => "docker diff",
        ["containers", _, "export"] => "docker export",
        ["containers", _, "stats"] => "docker stats",
        ["containers", _, "top"] => "docker top",
        ["containers", _, "update"] => "docker update",
        ["containers", _, "checkpoints", ..] => "docker checkpoint",
        ["commit"] => "docker commit",
        ["images", "search"] => "docker search",
        ["images", .., "push"] => "docker push",
        ["distribution", ..] => "docker manifest",
        ["volumes", ..] => "docker volume",
        ["build", ..] | ["session"] | ["grpc"] => "docker build",
        ["swarm", ..] => "docker swarm",
        ["services", ..] => "docker service",
        ["tasks", ..] | ["nodes", ..] => "docker node",
        ["secrets", ..] => "docker secret",
        ["configs", ..] => "docker config",
        ["plugins", ..] => "docker plugin",
        _ => return None,
    };
    tracing::debug!(%method, what, "refused");
    Some(ApiError::not_supported(what))
}
