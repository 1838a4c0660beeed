//! An HTTP interface to the fault injection, for test suites in other languages.

mod connections;
mod requests;
mod rule;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::builder::Secret;
use crate::server::connection::Peer;
use crate::shared::Shared;

/// Maximum size of a request's body in bytes.
const LIMIT: usize = 1 << 20;
/// How long requests may take after the simulator was stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the handlers of requests need.
#[derive(Clone, Debug)]
struct Control {
    shared: Arc<Shared>,
    token: Arc<Secret>,
    /// The URL of the SOAP endpoint.
    url: Arc<str>,
    thumbprint: Arc<str>,
}

/// Serves the interface until the simulator is stopped. Returns the address.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    address: SocketAddr,
    token: &str,
    (url, thumbprint): (&str, &str),
) -> io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        let words = format!("{address} is not a loopback address; use 127.0.0.1 and a port");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    if token.is_empty() {
        let words = "the token is empty; set one that other users of this system cannot guess";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let control = Control {
        shared: Arc::clone(shared),
        token: Arc::new(Secret(token.to_owned())),
        url: url.into(),
        thumbprint: thumbprint.into(),
    };
    let router = Router::new()
        .route("/v1/status", get(requests::status))
        .route("/v1/calls", get(requests::calls))
        .route(
            "/v1/rules",
            post(requests::add_rule).delete(requests::clear_rules),
        )
        .route("/v1/release", post(requests::release))
        .route("/v1/drop-sessions", post(requests::drop_sessions))
        .route("/v1/time-out-leases", post(requests::time_out_leases))
        .route("/v1/hosts/{name}", put(requests::set_host))
        .route("/v1/clusters/{name}", put(requests::set_cluster))
        .route("/v1/objects/{ty}/{id}", put(requests::set_property))
        .route("/v1/shutdown", post(requests::shutdown))
        .fallback(requests::unknown)
        .layer(DefaultBodyLimit::max(LIMIT))
        .layer(middleware::from_fn_with_state(control.clone(), authorize))
        .with_state(control);
    let connections = connections::Connections::new(shared, listener);
    let stop = shared.stop.clone();
    let stopped = shared.stop.clone();
    shared.tracker.spawn_on(
        async move {
            let service = router.into_make_service_with_connect_info::<Peer>();
            let serving = axum::serve(connections, service)
                .with_graceful_shutdown(async move { stop.cancelled().await });
            let late = async {
                stopped.cancelled().await;
                tokio::time::sleep(PATIENCE).await;
            };
            tokio::select! {
                served = serving => if let Err(error) = served {
                    tracing::error!(%error, "the control server ended");
                },
                () = late => {}
            }
        },
        &shared.runtime,
    );
    Ok(address)
}

/// Refuses requests without the token.
async fn authorize(
    State(control): State<Control>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let _request = peer.activity.as_ref().map(|activity| activity.begin());
    let given = request.headers().get(AUTHORIZATION);
    let given = given.and_then(|given| given.as_bytes().strip_prefix(b"Bearer "));
    // Digests are compared so that the time does not depend on the token.
    let is_own = |given: &[u8]| Sha256::digest(given) == Sha256::digest(control.token.0.as_bytes());
    if given.is_some_and(is_own) {
        return next.run(request).await;
    }
    let words = "send the header `Authorization: Bearer TOKEN` with the token of the simulator";
    let mut response = refuse(StatusCode::UNAUTHORIZED, words);
    let scheme = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    response
}

/// Returns a JSON response.
fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}

fn refuse(status: StatusCode, words: &str) -> Response {
    answer(status, &json!({ "error": words }))
}
