//! Handles SOAP requests over HTTP.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use vim25::soap::{self, Request};
use vim25::{Fault, Limits};

use crate::invocation::{Answer, Caller};
use crate::object::SessionKey;
use crate::script::Reaction;
use crate::server::XML;
use crate::server::connection::Peer;
use crate::shared::Shared;
use crate::world::Transaction;
use crate::{dispatch, fault, model, property, session};

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(charset) = text(&headers, &CONTENT_TYPE).and_then(foreign_charset) {
        let message = format!("The character set '{charset}' is not supported: use UTF-8.");
        return respond(&fault::invalid_request(message).into_answer(), "");
    }
    let mut limits = Limits::default();
    limits.bytes = shared.settings.request_bytes;
    let request = match soap::decode_request(&body, &limits) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("Error while parsing the SOAP request: {error}");
            return respond(&fault::invalid_request(message).into_answer(), "");
        }
    };
    let is_short = is_short(&request.method, &body);
    drop(body);
    if let Some(namespace) = &request.foreign_namespace
        && namespace != INTERNAL
    {
        return unsupported(namespace);
    }
    let waits = matches!(
        request.method.as_str(),
        "WaitForUpdates" | "WaitForUpdatesEx"
    );
    let reactions = shared.script.react(&request.method);
    // With a reaction, such as a delay, the call may be interrupted.
    let here = is_short && reactions.is_empty();
    let handled = handle(
        Arc::clone(&shared),
        peer.clone(),
        headers,
        request,
        reactions,
        here,
    );
    let response = if waits || here {
        // A wait has no effect, and ends with its client. A short call is not interrupted.
        handled.await
    } else {
        // A call that has arrived is carried out, even if its client goes.
        let (sender, receiver) = oneshot::channel();
        shared.spawn(async move {
            let _ = sender.send(handled.await);
        });
        receiver.await.unwrap_or_default()
    };
    match response {
        Some(response) => response,
        None => hang_up(&peer).await,
    }
}

/// Reacts to a call as the script says, and carries it out. Returns `None` if the connection is to
/// be closed instead of a response.
async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    headers: HeaderMap,
    request: Request,
    reactions: Vec<Reaction>,
    here: bool,
) -> Option<Response> {
    let method = request.method.clone();
    let (mut lose_answer, mut held) = (false, None);
    for reaction in &reactions {
        match reaction {
            Reaction::Delay(time) => tokio::time::sleep(*time).await,
            Reaction::Disconnect => return None,
            Reaction::LoseAnswer => lose_answer = true,
            Reaction::Hold => held = Some(shared.script.held()),
            Reaction::HttpStatus(status) => {
                let status = StatusCode::from_u16(*status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Some(status.into_response());
            }
            Reaction::LoseSession => {
                if let Some(key) = authenticate(&shared, &headers) {
                    model::session_manager::close(&shared, &key);
                }
            }
            _ => {}
        }
    }
    let caller = Caller {
        session: authenticate(&shared, &headers),
        address: peer.address.ip(),
        agent: text(&headers, &USER_AGENT).unwrap_or_default().to_owned(),
        cookie: Arc::new(Mutex::new(None)),
    };
    let scripted = reactions.iter().find_map(|reaction| match reaction {
        Reaction::Fault(fault) => Some(fault.clone()),
        _ => None,
    });
    tracing::debug!(
        method,
        this = request.this.as_ref().map(tracing::field::display),
        operation = request.header.operation_id.as_deref(),
        "call"
    );
    if let Some(held) = held {
        let later = Arc::clone(&shared);
        shared.spawn(async move {
            held.cancelled().await;
            if let Err(fault) = answer(&later, caller, request, reactions, false).await {
                tracing::debug!(method, %fault, "a held call failed");
            }
            later.script.answered(&method);
        });
        return None;
    }
    let answer = match scripted {
        Some(fault) => Err(fault),
        None => answer(&shared, caller.clone(), request, reactions, here).await,
    };
    if lose_answer {
        return None;
    }
    shared.script.answered(&method);
    let mut response = respond(&answer, &method);
    let cookie = caller
        .cookie
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(cookie) = cookie
        && let Ok(value) =
            format!("{}=\"{cookie}\"; Path=/; HttpOnly; Secure", session::COOKIE).parse()
    {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    Some(response)
}

/// Namespace of undocumented methods.
const INTERNAL: &str = "urn:internalvim25";

/// Returns the character set of a content type, unless it is UTF-8.
fn foreign_charset(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("charset");
        is_it.then(|| value.trim().trim_matches('"'))
    })?;
    let known = ["utf-8", "utf8", "us-ascii", "ascii"];
    (!known
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known)))
    .then_some(charset)
}

/// Returns the fault for a call in the namespace of another API.
fn unsupported(namespace: &str) -> Response {
    let words = format!("Unsupported version URI \"{namespace}\"");
    let xml = encode(&fault::invalid_request(words)).replacen(
        "<faultcode>ServerFaultCode<",
        "<faultcode>VersionMismatchFaultCode<",
        1,
    );
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    (status, [(CONTENT_TYPE, XML)], xml).into_response()
}

/// The size of a request up to which a call that names its objects is short.
const SHORT: usize = 4 << 10;

/// Methods that neither use files nor take long, besides those that start a task.
const SHORT_METHODS: [&str; 17] = [
    "CancelWaitForUpdates",
    "CreateContainerView",
    "CreateListView",
    "CreatePropertyCollector",
    "CurrentTime",
    "DestroyPropertyCollector",
    "DestroyPropertyFilter",
    "DestroyView",
    "FindByInventoryPath",
    "FindByUuid",
    "FindChild",
    "Login",
    "Logout",
    "ModifyListView",
    "ResetListView",
    "RetrieveServiceContent",
    "SessionIsActive",
];

/// Returns whether a call takes so little time that handing it to another thread would cost more than
/// the call.
fn is_short(method: &str, body: &[u8]) -> bool {
    if body.len() > SHORT {
        return false;
    }
    match method {
        // Without a traversal, they read the objects that they name.
        "CreateFilter" | "Fetch" | "RetrieveProperties" | "RetrievePropertiesEx" => {
            const SELECTION: &[u8] = b"selectSet";
            !body.windows(SELECTION.len()).any(|part| part == SELECTION)
        }
        _ => method.ends_with("_Task") || SHORT_METHODS.contains(&method),
    }
}

/// Carries out a call. A panic is logged, and the client receives a fault. A call to be done `here`
/// does not wait for anything but the inventory.
async fn answer(
    shared: &Arc<Shared>,
    caller: Caller,
    request: Request,
    reactions: Vec<Reaction>,
    here: bool,
) -> Answer {
    let method = request.method.clone();
    let waits = matches!(method.as_str(), "WaitForUpdates" | "WaitForUpdatesEx");
    let ended = if waits {
        AssertUnwindSafe(property::wait(shared, &caller, &request))
            .catch_unwind()
            .await
            .map_err(|_| ())
    } else if method == "StartProgramInGuest" {
        // This call waits for the guest, so it cannot run in a transaction.
        AssertUnwindSafe(model::guest_operations::start_program(
            shared, &caller, &request,
        ))
        .catch_unwind()
        .await
        .map_err(|_| ())
    } else if here {
        let call = || dispatch::call(shared, &caller, &request, &reactions);
        std::panic::catch_unwind(AssertUnwindSafe(call))
            .map(|called| {
                let (value, tasks) = called?;
                shared.run_tasks(tasks);
                Ok(value)
            })
            .map_err(|_| ())
    } else {
        let (sender, receiver) = oneshot::channel();
        let working = Arc::clone(shared);
        // Other methods may access files: run them on the blocking thread pool. The same thread then runs the
        // tasks that they start: waking another one would cost more than most tasks do.
        shared.spawn_blocking(move || {
            let called = dispatch::call(&working, &caller, &request, &reactions);
            let (answer, tasks) = match called {
                Ok((value, tasks)) => (Ok(value), tasks),
                Err(fault) => (Err(fault), Vec::new()),
            };
            let _ = sender.send(answer);
            for task in tasks {
                task.run_now(&working);
            }
        });
        // The sender is dropped if the method panics.
        receiver.await.map_err(|_| ())
    };
    ended.unwrap_or_else(|()| {
        tracing::error!(method, "a method of the simulator panicked");
        Err(fault::internal(format!(
            "A general system error occurred: the simulator failed in {method}"
        )))
    })
}

fn respond(answer: &Answer, method: &str) -> Response {
    let (status, xml) = match answer {
        Ok(value) => match soap::encode_response(method, value) {
            Ok(xml) => (StatusCode::OK, xml),
            Err(error) => {
                tracing::error!(method, %error, "an answer cannot be written");
                let fault =
                    fault::internal(format!("The answer of {method} cannot be written: {error}"));
                (StatusCode::INTERNAL_SERVER_ERROR, encode(&fault))
            }
        },
        Err(fault) => {
            tracing::debug!(method, %fault, "fault");
            (StatusCode::INTERNAL_SERVER_ERROR, encode(fault))
        }
    };
    (status, [(CONTENT_TYPE, XML)], xml).into_response()
}

fn encode(fault: &Fault) -> String {
    soap::encode_fault(fault).unwrap_or_else(|error| {
        tracing::error!(%error, "a fault cannot be written");
        String::new()
    })
}

/// Closes the connection; the returned response is never sent.
async fn hang_up(peer: &Peer) -> Response {
    peer.hang_up.cancel();
    std::future::pending().await
}

/// Returns the session that the cookie of a request identifies.
pub(super) fn authenticate(shared: &Arc<Shared>, headers: &HeaderMap) -> Option<SessionKey> {
    let mut tx = Transaction::begin(shared).ok()?;
    if model::session_manager::expire(&mut tx) {
        tx.commit();
        tx = Transaction::begin(shared).ok()?;
    }
    let cookies = headers.get_all(COOKIE).iter();
    cookies
        .filter_map(|header| session::cookie(header.to_str().ok()?))
        .find_map(|cookie| tx.sessions().authenticate(cookie))
}

/// Returns whether a request has a ticket that is valid for it. The ticket is used up.
pub(super) fn has_ticket(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    method: &str,
    target: &str,
) -> bool {
    let Ok(mut tx) = Transaction::begin(shared) else {
        return false;
    };
    let mut cookies = headers.get_all(COOKIE).iter();
    cookies.any(|header| {
        let header = header.to_str().unwrap_or_default();
        tx.sessions().redeem(header, method, target)
    })
}

pub(super) fn text<'h>(headers: &'h HeaderMap, name: &axum::http::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Converts a fault to a response.
trait IntoAnswer {
    fn into_answer(self) -> Answer;
}

impl IntoAnswer for Fault {
    fn into_answer(self) -> Answer {
        Err(self)
    }
}
