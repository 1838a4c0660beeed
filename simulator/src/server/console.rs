//! `/ticket/TICKET`, where the console of a machine would be.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::shared::Shared;
use crate::world::Transaction;

/// Uses up a ticket, and says that there is no console. An unknown or expired ticket is not found.
pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    Path(ticket): Path<String>,
) -> (StatusCode, &'static str) {
    let found = Transaction::begin(&shared)
        .ok()
        .and_then(|mut tx| tx.sessions().redeem_console(&ticket));
    match found {
        Some(vm) => {
            tracing::debug!(%vm, "a console was asked for");
            let words = "The simulator has no consoles.\n";
            (StatusCode::NOT_IMPLEMENTED, words)
        }
        None => (StatusCode::NOT_FOUND, "The ticket is not valid.\n"),
    }
}
