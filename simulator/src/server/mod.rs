//! The HTTPS server: routes requests by path.

pub(crate) mod connection;
pub(crate) mod connection_limit;
mod console;
mod export;
mod file_stream;
mod folder;
mod nfc;
mod pace;
mod range;
mod soap;
pub(crate) mod tls;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::api_version;
use crate::shared::Shared;
use connection::{Connections, Peer};

/// The content type of all XML responses.
const XML: &str = "text/xml; charset=utf-8";

/// Serves until the simulator is stopped.
pub(crate) fn serve(shared: &Arc<Shared>, listener: TcpListener, acceptor: TlsAcceptor) {
    let connections = Connections::accept(shared, listener, acceptor);
    let limit = shared.settings.request_bytes;
    let router = Router::new()
        .route("/sdk", post(soap::serve))
        .route("/sdk/", post(soap::serve))
        .route("/sdk/vimService", post(soap::serve))
        .layer(DefaultBodyLimit::max(limit))
        .route("/sdk/vimServiceVersions.xml", get(versions))
        .route("/folder", any(folder::serve_root))
        .route("/folder/", any(folder::serve_root))
        .route("/folder/{*path}", any(folder::serve))
        .route("/nfc/{lease}/{file}", any(nfc::serve))
        .route("/ticket/{ticket}", get(console::serve))
        .layer(middleware::from_fn_with_state(
            Arc::clone(shared),
            pace::watch,
        ))
        .with_state(Arc::clone(shared));
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stop = shared.stop.clone();
    // The serving future reacts to the stop itself: it closes idle connections.
    shared.tracker.spawn_on(
        async move {
            let serving = axum::serve(connections, service)
                .with_graceful_shutdown(async move { stop.cancelled().await });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the server ended");
            }
        },
        &shared.runtime,
    );
}

async fn versions(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let current = &shared.settings.api_version;
    let prior: String = api_version::prior(current)
        .map(|version| format!("<version>{version}</version>"))
        .collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<namespaces version=\"1.0\"><namespace>\
         <name>urn:vim25</name><version>{current}</version>\
         <priorVersions>{prior}</priorVersions></namespace></namespaces>\n"
    );
    ([(CONTENT_TYPE, XML)], body)
}
