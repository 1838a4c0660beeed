//! Files of the datastore over HTTP.
use axum::http::StatusCode;
pub(super) async fn serve_root() -> StatusCode {
    StatusCode::NOT_FOUND
}
pub(super) async fn serve() -> StatusCode {
    StatusCode::NOT_FOUND
}
