//! The requests of the control interface.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::rule::Rule;
use super::{Control, answer, refuse};
use crate::{model, property};

/// Parses the body of a request.
#[expect(clippy::result_large_err, reason = "the error is the response")]
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|error| {
        let words = format!("the body is not valid: {error}");
        refuse(StatusCode::BAD_REQUEST, &words)
    })
}

fn done() -> Response {
    answer(StatusCode::OK, &json!({}))
}

pub(super) async fn unknown(uri: Uri) -> Response {
    let words = format!("{} is not a path of this interface", uri.path());
    refuse(StatusCode::NOT_FOUND, &words)
}

pub(super) async fn status(State(control): State<Control>) -> Response {
    let shared = Arc::clone(&control.shared);
    // The caller may read the directories.
    let datastores = tokio::task::spawn_blocking(move || -> Vec<Value> {
        let volumes = shared.store.volumes().map(|volume| {
            json!({
                "name": volume.name,
                "datacenter": volume.site.position(),
                "directory": volume.expose(),
            })
        });
        volumes.collect()
    });
    let datastores = match datastores.await {
        Ok(datastores) => datastores,
        Err(error) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "url": &*control.url,
        "thumbprint": &*control.thumbprint,
        "pendingRules": control.shared.script.pending(),
        "datastores": datastores,
    });
    answer(StatusCode::OK, &status)
}

pub(super) async fn calls(State(control): State<Control>) -> Response {
    answer(StatusCode::OK, &json!(control.shared.script.calls()))
}

pub(super) async fn add_rule(State(control): State<Control>, body: Bytes) -> Response {
    let rule: Rule = match parse(&body) {
        Ok(rule) => rule,
        Err(response) => return response,
    };
    match rule.add(&control.shared.script) {
        Ok(()) => done(),
        Err(words) => refuse(StatusCode::BAD_REQUEST, &words),
    }
}

pub(super) async fn clear_rules(State(control): State<Control>) -> Response {
    control.shared.script.clear();
    done()
}

pub(super) async fn release(State(control): State<Control>) -> Response {
    control.shared.script.release();
    done()
}

pub(super) async fn drop_sessions(State(control): State<Control>) -> Response {
    model::session_manager::drop_all(&control.shared);
    done()
}

pub(super) async fn time_out_leases(State(control): State<Control>) -> Response {
    model::lease::time_out_all(&control.shared);
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Host {
    responding: bool,
}

pub(super) async fn set_host(
    State(control): State<Control>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let host: Host = match parse(&body) {
        Ok(host) => host,
        Err(response) => return response,
    };
    match model::host_connection::set(&control.shared, &name, host.responding) {
        Ok(()) => done(),
        Err(error) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cluster {
    drs: bool,
}

pub(super) async fn set_cluster(
    State(control): State<Control>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let cluster: Cluster = match parse(&body) {
        Ok(cluster) => cluster,
        Err(response) => return response,
    };
    match model::compute_resource::set_drs(&control.shared, &name, cluster.drs) {
        Ok(()) => done(),
        Err(error) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    path: String,
    value: Value,
}

pub(super) async fn set_property(
    State(control): State<Control>,
    Path((ty, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let change: Change = match parse(&body) {
        Ok(change) => change,
        Err(response) => return response,
    };
    let set =
        property::assign::assign_json(&control.shared, (&ty, &id), &change.path, &change.value);
    match set {
        Ok(()) => done(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

pub(super) async fn shutdown(State(control): State<Control>) -> Response {
    control.shared.stop.cancel();
    answer(StatusCode::ACCEPTED, &json!({}))
}
