//! `SessionManager`: logging in and out.

use std::sync::{Arc, PoisonError};

use vim25::types::{
    SessionManagerGenericServiceTicket, SessionManagerHttpServiceRequestSpec,
    SessionManagerServiceRequestSpec,
};
use vim25::{Poly, mo};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::object::{Object, SessionKey};
use crate::shared::Shared;
use crate::world::Transaction;

/// Maximum length of user names and user agents that are stored.
const TEXT_LIMIT: usize = 256;

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut manager = Object::new::<mo::SessionManager>(tx.layout().session_manager);
    manager.put("message", &String::new());
    manager.put("messageLocaleList", &vec!["en".to_owned()]);
    manager.put("supportedLocaleList", &vec!["en".to_owned()]);
    manager.put("defaultLocale", &"en".to_owned());
    tx.insert(manager);
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "Login" => login(inv),
        "Logout" => logout(inv),
        "AcquireCloneTicket" => acquire_clone_ticket(inv),
        "CloneSession" => clone_session(inv),
        "TerminateSession" => terminate(inv),
        "AcquireGenericServiceTicket" => acquire_ticket(inv),
        _ => return None,
    })
}

fn login(inv: &mut Invocation<'_, '_>) -> Answer {
    let user: String = inv.arg("userName")?;
    let password: String = inv.arg("password")?;
    let locale: Option<String> = inv.arg("locale")?;
    let settings = &inv.tx.shared().settings;
    let right = user == settings.user && password == settings.password.0;
    // Like real servers, refuse a login in a session that is already logged in.
    if !right || inv.caller.session.is_some() {
        tracing::debug!("login refused");
        return Err(fault::invalid_login());
    }
    open(inv, &user, locale)
}

/// Opens a session of a user, and sends its cookie to the caller.
fn open(inv: &mut Invocation<'_, '_>, user: &str, locale: Option<String>) -> Answer {
    let key = inv.tx.ids().uuid();
    let agent: String = inv.caller.agent.chars().take(TEXT_LIMIT).collect();
    let address = inv.caller.address;
    let locale = locale.map(|locale| locale.chars().take(TEXT_LIMIT).collect());
    let (key, cookie) = inv.tx.sessions().open(key, user, address, &agent, locale)?;
    *inv.caller
        .cookie
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(cookie);
    match inv.tx.sessions().user(&key) {
        Some(user) => value(&user),
        None => nothing(),
    }
}

/// Creates a ticket with which another client can open a session of the same user.
fn acquire_clone_ticket(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?;
    let ticket = inv.tx.sessions().clone_ticket(key);
    value(&ticket.ok_or_else(|| fault::not_authenticated(None))?)
}

/// Opens a session with a ticket instead of a password. Only a client without a session can.
fn clone_session(inv: &mut Invocation<'_, '_>) -> Answer {
    let ticket: String = inv.arg("cloneTicket")?;
    if inv.caller.session.is_some() {
        return Err(fault::invalid_login());
    }
    let user = inv.tx.sessions().redeem_clone(&ticket);
    open(inv, &user.ok_or_else(fault::invalid_login)?, None)
}

fn logout(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?.clone();
    forget(inv.tx, &key);
    nothing()
}

/// Creates a ticket with which one HTTP request can be sent to a host.
fn acquire_ticket(inv: &mut Invocation<'_, '_>) -> Answer {
    let key = inv.caller.session()?.clone();
    let spec: Poly<SessionManagerServiceRequestSpec> = inv.arg("spec")?;
    let spec = spec
        .get::<SessionManagerHttpServiceRequestSpec>()
        .ok()
        .flatten()
        .ok_or_else(|| fault::invalid_argument("spec"))?;
    let target = spec
        .url
        .split_once("://")
        .and_then(|(_, rest)| Some(&rest[rest.find('/')?..]))
        .ok_or_else(|| fault::invalid_argument("spec.url"))?;
    let method = spec.method.as_deref().unwrap_or("httpGet");
    let id = inv.tx.sessions().ticket(&key, method, target);
    value(&SessionManagerGenericServiceTicket {
        id,
        ticket_type: Some("HttpServiceTicket".into()),
        ..SessionManagerGenericServiceTicket::default()
    })
}

fn terminate(inv: &mut Invocation<'_, '_>) -> Answer {
    let own = inv.caller.session()?.clone();
    let keys: Vec<String> = inv.arg("sessionId")?;
    let keys: Vec<SessionKey> = keys.into_iter().map(Into::into).collect();
    // Sessions are not part of the transaction: check all before ending the first.
    for key in &keys {
        if *key == own {
            return Err(fault::invalid_argument("sessionId"));
        }
        if !inv.tx.sessions().contains(key) {
            return Err(fault::not_found_key(key));
        }
    }
    for key in &keys {
        forget(inv.tx, key);
    }
    nothing()
}

/// Ends a session, removes its objects, and wakes its waiters.
fn forget(tx: &mut Transaction<'_>, key: &SessionKey) {
    let Some(watches) = tx.sessions().close(key) else {
        return;
    };
    for watch in watches {
        tx.interest().close(watch);
    }
    let own: Vec<_> = tx
        .owned(key)
        .map(|object| object.reference().clone())
        .collect();
    for object in own {
        tx.remove(&object);
    }
    tx.touch();
}

/// Ends one session in a transaction of its own.
pub(crate) fn close(shared: &Arc<Shared>, key: &SessionKey) {
    if let Ok(mut tx) = Transaction::begin(shared) {
        forget(&mut tx, key);
        tx.commit();
    }
}

/// Ends all sessions.
pub(crate) fn drop_all(shared: &Arc<Shared>) {
    if let Ok(mut tx) = Transaction::begin(shared) {
        for key in tx.sessions().keys() {
            forget(&mut tx, &key);
        }
        tx.commit();
    }
}

/// Ends the sessions whose idle time has expired. Returns whether there are any.
pub(crate) fn expire(tx: &mut Transaction<'_>) -> bool {
    let expired = tx.sessions().expired();
    for key in &expired {
        tracing::debug!(%key, "session expired");
        forget(tx, key);
    }
    !expired.is_empty()
}
