//! The session of a client: a cookie, which is sent to one server only.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// The cookie's name on ESXi and vCenter.
const COOKIE: &str = "vmware_soap_session";

/// The state of a client's session.
pub(crate) struct Session {
    state: Mutex<State>,
    /// Locked while logging in, so that many refused calls lead to one login.
    pub(crate) login: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// `vmware_soap_session=…`, with the value exactly as the server sent it.
    cookie: Option<SecretString>,
    /// The number of logins. A request that was sent before the last login belongs to an older
    /// session.
    generation: u64,
    open: bool,
    closed: bool,
    /// Whether a login or its hook is in progress, for which other calls wait.
    reopening: bool,
}

/// The part of the session that a request carries.
pub(crate) struct Ticket {
    pub generation: u64,
    pub cookie: Option<SecretString>,
}

impl Session {
    /// Creates a session that is not open yet or, with a ticket, one that another program
    /// opened.
    pub(crate) fn new(ticket: Option<&SecretString>) -> Self {
        let cookie = ticket.map(|ticket| header(ticket.expose_secret()));
        Self {
            state: Mutex::new(State {
                cookie,
                ..State::default()
            }),
            login: tokio::sync::Mutex::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ticket(&self) -> Ticket {
        let state = self.state();
        Ticket {
            generation: state.generation,
            cookie: state.cookie.clone(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Returns whether this client opened the session and therefore has to end it.
    pub(crate) fn is_own(&self) -> bool {
        self.state().open
    }

    /// Returns whether a login is in progress.
    pub(crate) fn is_reopening(&self) -> bool {
        self.state().reopening
    }

    /// Blocks all other calls until the guard is dropped.
    pub(crate) fn reopen(&self) -> Reopening<'_> {
        self.state().reopening = true;
        Reopening(self)
    }

    /// Stores the cookie of a response, unless a login has happened since the request.
    pub(crate) fn absorb(&self, generation: u64, cookies: &[SecretString]) {
        if let Some(cookie) = cookies.iter().find_map(session_cookie) {
            let mut state = self.state();
            if state.generation == generation && !state.closed {
                state.cookie = Some(cookie);
            }
        }
    }

    /// Forgets the cookie before logging in again.
    pub(crate) fn forget(&self) {
        self.state().cookie = None;
    }

    /// Records that a login succeeded.
    pub(crate) fn opened(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.open = true;
    }

    /// Returns the ticket of the session, which this client will then not end.
    pub(crate) fn hand_over(&self) -> Option<SecretString> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let cookie = state.cookie.clone()?;
        state.open = false;
        Some(value(cookie.expose_secret()).into())
    }

    /// Closes the session on this side. Returns the last cookie if the session has to be ended
    /// on the server.
    pub(crate) fn close(&self) -> Option<SecretString> {
        let mut state = self.state();
        state.closed = true;
        let cookie = state.cookie.take();
        std::mem::take(&mut state.open).then_some(cookie).flatten()
    }
}

/// A login in progress; other calls wait until it is dropped.
pub(crate) struct Reopening<'s>(&'s Session);

impl Drop for Reopening<'_> {
    fn drop(&mut self) {
        self.0.state().reopening = false;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("open", &state.open)
            .field("generation", &state.generation)
            .finish_non_exhaustive()
    }
}

fn header(cookie: &str) -> SecretString {
    format!("{COOKIE}={}", value(cookie)).into()
}

/// Returns the value of the cookie, with or without its name in front.
pub(crate) fn value(cookie: &str) -> &str {
    let cookie = cookie.trim();
    let rest = cookie.strip_prefix(COOKIE);
    rest.and_then(|rest| rest.strip_prefix('='))
        .unwrap_or(cookie)
}

/// Extracts the session cookie from a `Set-Cookie` value such as
/// `vmware_soap_session="52…"; Path=/; HttpOnly; Secure`. Quotes belong to the
/// value: they are sent back unchanged (RFC 6265 section 5.2).
fn session_cookie(set_cookie: &SecretString) -> Option<SecretString> {
    let pair = set_cookie.expose_secret().split(';').next()?;
    let (name, value) = pair.split_once('=')?;
    let value = value.trim();
    (name.trim() == COOKIE && !value.trim_matches('"').is_empty()).then(|| header(value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn cookie(session: &Session) -> Option<String> {
        session
            .ticket()
            .cookie
            .map(|cookie| cookie.expose_secret().to_owned())
    }

    #[test]
    fn cookies_are_taken_with_and_without_quotes() {
        let session = Session::new(None);
        session.absorb(
            0,
            &[
                "other=1".into(),
                "vmware_soap_session=\"52ab\"; Path=/; HttpOnly; Secure;".into(),
            ],
        );
        assert_eq!(cookie(&session).unwrap(), "vmware_soap_session=\"52ab\"");
        session.absorb(0, &["vmware_soap_session=plain; HttpOnly".into()]);
        assert_eq!(cookie(&session).unwrap(), "vmware_soap_session=plain");
        session.absorb(
            0,
            &["vmware_soap_session=; HttpOnly".into(), "nothing".into()],
        );
        assert_eq!(cookie(&session).unwrap(), "vmware_soap_session=plain");
    }

    #[test]
    fn an_answer_to_an_older_session_does_not_change_the_cookie() {
        let session = Session::new(None);
        session.absorb(0, &["vmware_soap_session=new".into()]);
        session.opened();
        session.absorb(0, &["vmware_soap_session=old".into()]);
        assert_eq!(cookie(&session).unwrap(), "vmware_soap_session=new");
    }

    #[test]
    fn a_ticket_may_be_the_value_or_the_whole_cookie() {
        for ticket in ["52ab", "vmware_soap_session=52ab"] {
            let session = Session::new(Some(&ticket.into()));
            assert_eq!(cookie(&session).unwrap(), "vmware_soap_session=52ab");
        }
    }

    #[test]
    fn debug_hides_the_cookie() {
        let session = Session::new(Some(&"sesame".into()));
        assert!(!format!("{session:?}").contains("sesame"));
    }
}
