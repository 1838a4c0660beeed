//! Serves the files of the datastores over HTTP:
//! `/folder/<path>?dcPath=<datacenter>&dsName=<datastore>`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LAST_MODIFIED,
    RANGE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::connection::Peer;
use super::file_stream;
use super::range::Part;
use super::soap;
use super::upload::Upload;
use crate::datastore::path::DatastorePath;
use crate::guest;
use crate::model::entity;
use crate::script::Reaction;
use crate::shared::Shared;
use crate::world::Transaction;

/// The query parameters of a request: datacenter and datastore.
pub(super) type Placement = std::collections::HashMap<String, String>;

/// Handles requests for `/folder` without a file: they are refused.
pub(super) async fn serve_root(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !may(&shared, &headers) {
        return unauthorized();
    }
    (StatusCode::FORBIDDEN, "name a file").into_response()
}

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(path): Path<String>,
    Query(place): Query<Placement>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: Body,
) -> Response {
    let name = format!("{method} /folder");
    for reaction in shared.script.react(&name) {
        match reaction {
            Reaction::Delay(time) => tokio::time::sleep(time).await,
            Reaction::Disconnect | Reaction::LoseAnswer => {
                peer.hang_up.cancel();
                return std::future::pending().await;
            }
            Reaction::HttpStatus(status) => {
                let status = StatusCode::from_u16(status);
                return status
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
                    .into_response();
            }
            _ => {}
        }
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let allowed =
        may(&shared, &headers) || soap::has_ticket(&shared, &headers, method.as_str(), target);
    let response = if allowed {
        respond(&shared, &path, &place, &method, &headers, body).await
    } else {
        unauthorized()
    };
    shared.script.answered(&name);
    response
}

async fn respond(
    shared: &Arc<Shared>,
    path: &str,
    place: &Placement,
    method: &Method,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let datacenter = place.get("dcPath").cloned();
    let found = Transaction::run(shared, move |tx| {
        Ok(entity::site_at(tx, datacenter.as_deref()))
    });
    let site = found.await.unwrap_or_default();
    let datastore = place.get("dsName").map_or("", String::as_str);
    let Some(volume) = site.and_then(|site| shared.store.named(site, datastore)) else {
        return (StatusCode::NOT_FOUND, "no such datastore").into_response();
    };
    let Ok(path) = shared.store.path(volume, path) else {
        return (StatusCode::BAD_REQUEST, "the path leaves the datastore").into_response();
    };
    if path.is_root() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let result = match *method {
        Method::GET | Method::HEAD => get(shared, &path, method, headers).await,
        Method::PUT | Method::POST => put(shared, &path, body).await,
        Method::DELETE => delete(shared, &path).await,
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    result.unwrap_or_else(|error| {
        tracing::debug!(%path, %error, "file request failed");
        let status = match error.kind() {
            io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => StatusCode::CONFLICT,
            io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        status.into_response()
    })
}

/// Sends a file or a range of it. The length of a growing file is fixed at the start.
async fn get(
    shared: &Arc<Shared>,
    path: &DatastorePath,
    method: &Method,
    headers: &HeaderMap,
) -> io::Result<Response> {
    if let Err(fault) = guest::flush_file(shared, path).await {
        tracing::debug!(%path, %fault, "a disk cannot be read");
        let words = "Failed to lock the file";
        return Ok((StatusCode::INTERNAL_SERVER_ERROR, words).into_response());
    }
    let mut file = File::open(file(shared, path).await?).await?;
    let metadata = file.metadata().await?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let length = metadata.len();
    let (status, first, count) = match Part::of(soap::text(headers, &RANGE), length) {
        Part::Whole => (StatusCode::OK, 0, length),
        Part::Bytes { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Part::Beyond => {
            let range = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
        }
    };
    let mut response = if *method == Method::GET {
        file.seek(io::SeekFrom::Start(first)).await?;
        let bytes = file_stream::read(file.into_std().await, count);
        (status, Body::from_stream(bytes)).into_response()
    } else {
        status.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, count.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + count - 1;
        if let Ok(range) = format!("bytes {first}-{last}/{length}").parse() {
            headers.insert(CONTENT_RANGE, range);
        }
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| jiff::Timestamp::try_from(time).ok())
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(Ok(modified)) = modified.map(|text| text.parse()) {
        headers.insert(LAST_MODIFIED, modified);
    }
    Ok(response)
}

/// Writes the body to a temporary file, which replaces the target at the end: an interrupted
/// upload changes nothing.
async fn put(shared: &Arc<Shared>, path: &DatastorePath, body: Body) -> io::Result<Response> {
    if shared.store.may_create(path).is_err() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let file = file(shared, path).await?;
    if file.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if let Some(directory) = file.parent() {
        tokio::fs::create_dir_all(directory).await?;
    }
    unlocked(shared, path).await?;
    let existed = file.exists();
    let upload = Upload::next_to(&file);
    let to = File::create(upload.file()).await?.into_std().await;
    let allowance = shared.store.allowance(path);
    file_stream::write(body.into_data_stream(), to, allowance).await?;
    upload.finish(&file)?;
    if !is_descriptor(&file).await {
        guest::forget_file(shared, path).await;
    }
    let status = if existed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(status.into_response())
}

/// Returns the path of a file in the file system of the simulator's own host.
async fn file(shared: &Arc<Shared>, path: &DatastorePath) -> io::Result<PathBuf> {
    let (shared, path) = (Arc::clone(shared), path.clone());
    let written = tokio::task::spawn_blocking(move || shared.store.written(&path));
    written.await.map_err(io::Error::other)?
}

/// Fails if the file belongs to a disk that is locked.
async fn unlocked(shared: &Arc<Shared>, path: &DatastorePath) -> io::Result<()> {
    let path = path.clone();
    let checked = Transaction::run(shared, move |tx| guest::check_unlocked(tx, &path));
    checked
        .await
        .map_err(|fault| io::Error::new(io::ErrorKind::ResourceBusy, fault.to_string()))
}

/// Returns whether a file is a text descriptor. Clients edit descriptors, for instance to set
/// `ddb.deletable`; this does not change the content of the disk.
async fn is_descriptor(file: &std::path::Path) -> bool {
    const START: &[u8] = b"# Disk Descriptor";
    let mut start = [0; START.len()];
    match File::open(file).await {
        Ok(mut file) => file.read_exact(&mut start).await.is_ok() && start == START,
        Err(_) => false,
    }
}

async fn delete(shared: &Arc<Shared>, path: &DatastorePath) -> io::Result<Response> {
    unlocked(shared, path).await?;
    tokio::fs::remove_file(file(shared, path).await?).await?;
    guest::forget_file(shared, path).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Returns whether the request is authenticated, by a session or by user name and password.
fn may(shared: &Arc<Shared>, headers: &HeaderMap) -> bool {
    let basic = || {
        let text = soap::text(headers, &AUTHORIZATION)?;
        let encoded = text.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        let settings = &shared.settings;
        Some(user == settings.user && password == settings.password.0)
    };
    soap::authenticate(shared, headers).is_some() || basic().unwrap_or(false)
}

fn unauthorized() -> Response {
    let realm = [(WWW_AUTHENTICATE, "Basic realm=\"VMware HTTP server\"")];
    (StatusCode::UNAUTHORIZED, realm).into_response()
}
