//! Sessions: users, login times, and the objects of each session.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;
use vim25::types::UserSession;
use vim25::{Fault, Ref, mo};

use crate::fault;
use crate::object::SessionKey;
use crate::property::collector::Collector;
use crate::property::page::Page;

/// The name of the cookie that carries a session.
pub(crate) const COOKIE: &str = "vmware_soap_session";

/// The name of the cookie that carries a ticket for one request.
const TICKET: &str = "vmware_cgi_ticket";

/// How long a ticket is valid.
const TICKET_TIME: Duration = Duration::from_secs(120);

/// The number of unused tickets; the oldest ones end.
const TICKETS: usize = 1_000;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_key: BTreeMap<SessionKey, Session>,
    by_cookie: HashMap<Box<str>, SessionKey>,
    limit: usize,
    idle: Duration,
    /// No session expires before this time, so that few calls look at all sessions. `None` if none
    /// expires without an event that sets it.
    check_at: Option<Instant>,
    tickets: VecDeque<Ticket>,
}

/// A ticket, which is valid once.
#[derive(Debug)]
struct Ticket {
    id: String,
    /// The session that acquired it.
    owner: SessionKey,
    purpose: Purpose,
    made: Instant,
}

/// What a ticket is for.
#[derive(Debug)]
enum Purpose {
    /// One HTTP request.
    Request {
        /// `httpGet`, `httpPut`, …
        method: String,
        /// Path and query of the request.
        target: String,
    },
    /// The console of a machine.
    Console(Ref<mo::VirtualMachine>),
    /// A new session of the user.
    Clone(String),
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    cookie: String,
    user: UserSession,
    used: Instant,
    /// Property collectors by the values of their references; the default collector is created
    /// at its first use.
    pub(crate) collectors: BTreeMap<Box<str>, Collector>,
    /// Results with pages that have not been requested yet, oldest first.
    pub(crate) pages: VecDeque<Page>,
}

impl Sessions {
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_cookie: HashMap::new(),
            limit,
            idle,
            check_at: None,
            tickets: VecDeque::new(),
        }
    }

    /// Opens a session; returns its key and its cookie.
    pub(crate) fn open(
        &mut self,
        key: Uuid,
        user: &str,
        address: IpAddr,
        agent: &str,
        locale: Option<String>,
    ) -> Result<(SessionKey, String), Fault> {
        if self.by_key.len() >= self.limit {
            return Err(fault::runtime(format!(
                "The maximum number of sessions ({}) has been reached.",
                self.limit
            )));
        }
        let key: SessionKey = key.to_string().into();
        // The cookie is a secret, so it is random and not derived from the seed.
        let cookie = format!(
            "{}{}",
            Uuid::new_v4().simple(),
            &Uuid::new_v4().simple().to_string()[..8]
        );
        let locale = locale.unwrap_or_else(|| "en".into());
        let now = Timestamp::now();
        let session = Session {
            cookie: cookie.clone(),
            user: UserSession {
                key: key.to_string(),
                user_name: user.to_owned(),
                full_name: user.to_owned(),
                login_time: now,
                last_active_time: now,
                locale: locale.clone(),
                message_locale: locale,
                extension_session: false,
                ip_address: address.to_string(),
                user_agent: agent.to_owned(),
                call_count: 0,
            },
            used: Instant::now(),
            collectors: BTreeMap::new(),
            pages: VecDeque::new(),
        };
        self.check_by(session.used);
        self.by_cookie.insert(cookie.as_str().into(), key.clone());
        self.by_key.insert(key.clone(), session);
        Ok((key, cookie))
    }

    /// Returns the session of a cookie and restarts its idle time.
    pub(crate) fn authenticate(&mut self, cookie: &str) -> Option<SessionKey> {
        let key = self.by_cookie.get(cookie)?;
        let session = self.by_key.get_mut(key)?;
        session.used = Instant::now();
        session.user.last_active_time = Timestamp::now();
        session.user.call_count += 1;
        Some(key.clone())
    }

    /// Creates a ticket for one request, and returns its id.
    pub(crate) fn ticket(&mut self, owner: &SessionKey, method: &str, target: &str) -> String {
        let purpose = Purpose::Request {
            method: method.to_owned(),
            target: target.to_owned(),
        };
        self.issue(owner, purpose)
    }

    /// Creates a ticket for the console of a machine, and returns its id.
    pub(crate) fn console_ticket(
        &mut self,
        owner: &SessionKey,
        vm: &Ref<mo::VirtualMachine>,
    ) -> String {
        self.issue(owner, Purpose::Console(vm.clone()))
    }

    fn issue(&mut self, owner: &SessionKey, purpose: Purpose) -> String {
        // A secret, so it is random and not derived from the seed.
        let id = Uuid::new_v4().to_string();
        self.tickets.truncate(TICKETS - 1);
        self.tickets.push_front(Ticket {
            id: id.clone(),
            owner: owner.clone(),
            purpose,
            made: Instant::now(),
        });
        id
    }

    /// Uses up the ticket in a `Cookie` header, and returns whether it is valid for a request.
    pub(crate) fn redeem(&mut self, header: &str, method: &str, target: &str) -> bool {
        let Some(id) = named_cookie(header, TICKET) else {
            return false;
        };
        match self.take(id) {
            Some(Purpose::Request {
                method: wanted,
                target: own,
            }) => {
                let wanted = wanted.trim_start_matches("http");
                wanted.eq_ignore_ascii_case(method) && own == target
            }
            _ => false,
        }
    }

    /// Uses up the ticket for a console, and returns its machine if the ticket is valid.
    pub(crate) fn redeem_console(&mut self, id: &str) -> Option<Ref<mo::VirtualMachine>> {
        match self.take(id)? {
            Purpose::Console(vm) => Some(vm),
            _ => None,
        }
    }

    /// Creates a ticket for another session of the same user, and returns its id. Returns `None` if
    /// the session is over.
    pub(crate) fn clone_ticket(&mut self, owner: &SessionKey) -> Option<String> {
        let user = self.user(owner)?.user_name;
        Some(self.issue(owner, Purpose::Clone(user)))
    }

    /// Uses up the ticket for a session, and returns the name of its user if the ticket is valid.
    pub(crate) fn redeem_clone(&mut self, id: &str) -> Option<String> {
        match self.take(id)? {
            Purpose::Clone(user) => Some(user),
            _ => None,
        }
    }

    /// Removes a ticket, and returns what it is for if it is valid: it has not expired, and its
    /// session is open.
    fn take(&mut self, id: &str) -> Option<Purpose> {
        let at = self.tickets.iter().position(|ticket| ticket.id == id)?;
        let ticket = self.tickets.remove(at)?;
        let is_valid =
            ticket.made.elapsed() < TICKET_TIME && self.by_key.contains_key(&ticket.owner);
        is_valid.then_some(ticket.purpose)
    }

    /// Returns the sessions that exceeded the idle time and have to be closed.
    ///
    /// Most calls return at once: sessions are only looked at when one may have expired.
    pub(crate) fn expired(&mut self) -> Vec<SessionKey> {
        let now = Instant::now();
        if self.check_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.check_at = None;
        let mut expired = Vec::new();
        let mut earliest: Option<Instant> = None;
        for (key, session) in &self.by_key {
            // While its client waits, a session does not expire: the end of the wait sets the time.
            if session.collectors.values().any(Collector::is_waiting) {
                continue;
            }
            if now.duration_since(session.used) >= self.idle {
                expired.push(key.clone());
            } else {
                earliest = Some(earliest.map_or(session.used, |other| other.min(session.used)));
            }
        }
        if let Some(used) = earliest {
            self.check_by(used);
        }
        expired
    }

    /// Lets the next call check the session, whose client waits no longer.
    pub(crate) fn wait_ended(&mut self, key: &SessionKey) {
        if let Some(used) = self.by_key.get(key).map(|session| session.used) {
            self.check_by(used);
        }
    }

    /// Provides that a session which was used at this time is checked when it may have expired.
    fn check_by(&mut self, used: Instant) {
        // An idle time beyond the range of the clock never passes.
        if let Some(at) = used.checked_add(self.idle) {
            self.check_at = Some(self.check_at.map_or(at, |other| other.min(at)));
        }
    }

    pub(crate) fn get(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.by_key.get_mut(key)
    }

    pub(crate) fn contains(&self, key: &SessionKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Ends a session; returns the numbers of its filters in
    /// [`interest`](crate::interest).
    pub(crate) fn close(&mut self, key: &SessionKey) -> Option<Vec<u64>> {
        let session = self.by_key.remove(key)?;
        self.by_cookie.remove(session.cookie.as_str());
        let collectors = session.collectors.values();
        Some(collectors.flat_map(Collector::watches).collect())
    }

    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.by_key.keys().cloned().collect()
    }

    pub(crate) fn users(&self) -> Vec<UserSession> {
        self.by_key.values().map(|s| s.user.clone()).collect()
    }

    pub(crate) fn user(&self, key: &SessionKey) -> Option<UserSession> {
        self.by_key.get(key).map(|session| session.user.clone())
    }
}

/// Returns the session cookie of a `Cookie` header. Ignores quotes and attributes that
/// some clients add.
pub(crate) fn cookie(header: &str) -> Option<&str> {
    named_cookie(header, COOKIE)
}

fn named_cookie<'h>(header: &'h str, wanted: &str) -> Option<&'h str> {
    header.split(';').find_map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == wanted && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn a_ticket_is_valid_once_and_for_one_request_only() {
        let mut sessions = Sessions::new(10, Duration::from_secs(60));
        let address = IpAddr::from([127, 0, 0, 1]);
        let (key, _) = sessions
            .open(Uuid::nil(), "root", address, "test", None)
            .unwrap();
        let target = "/folder/a?dsName=d";
        let cookie = |id: &str| format!("{TICKET}={id}");
        let id = cookie(&sessions.ticket(&key, "httpGet", target));
        assert!(sessions.redeem(&id, "GET", target));
        assert!(!sessions.redeem(&id, "GET", target), "used twice");
        for (method, other) in [("PUT", target), ("GET", "/folder/b?dsName=d")] {
            let id = cookie(&sessions.ticket(&key, "httpGet", target));
            assert!(!sessions.redeem(&id, method, other), "{method} {other}");
            assert!(!sessions.redeem(&id, "GET", target), "it was used up");
        }
        assert!(!sessions.redeem(&cookie("guessed"), "GET", target));
        let id = cookie(&sessions.ticket(&key, "httpPut", target));
        sessions.close(&key);
        assert!(!sessions.redeem(&id, "PUT", target), "the session is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_for_a_console_is_valid_once_and_for_a_short_time() {
        let mut sessions = Sessions::new(10, Duration::from_secs(3_600));
        let address = IpAddr::from([127, 0, 0, 1]);
        let (key, _) = sessions
            .open(Uuid::nil(), "root", address, "test", None)
            .unwrap();
        let vm = Ref::new("vm-1");
        let id = sessions.console_ticket(&key, &vm);
        assert_eq!(sessions.redeem_console(&id), Some(vm.clone()));
        assert_eq!(sessions.redeem_console(&id), None, "used twice");
        let id = sessions.console_ticket(&key, &vm);
        tokio::time::advance(TICKET_TIME).await;
        assert_eq!(sessions.redeem_console(&id), None, "it is too old");
        // One kind of ticket is not valid as the other.
        let id = sessions.ticket(&key, "httpGet", "/folder");
        assert_eq!(sessions.redeem_console(&id), None);
        let id = sessions.console_ticket(&key, &vm);
        assert!(!sessions.redeem(&format!("{TICKET}={id}"), "GET", "/folder"));
        let oldest = sessions.console_ticket(&key, &vm);
        for _ in 0..TICKETS {
            sessions.console_ticket(&key, &vm);
        }
        assert_eq!(sessions.tickets.len(), TICKETS);
        assert_eq!(sessions.redeem_console(&oldest), None, "there are too many");
        let id = sessions.console_ticket(&key, &vm);
        sessions.close(&key);
        assert_eq!(sessions.redeem_console(&id), None, "the session is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_expires_when_it_is_idle_and_its_client_does_not_wait() {
        let idle = Duration::from_secs(60);
        let mut sessions = Sessions::new(10, idle);
        let address = IpAddr::from([127, 0, 0, 1]);
        let mut open = |number| {
            let key = Uuid::from_u128(number);
            sessions.open(key, "root", address, "test", None).unwrap()
        };
        let (left, _) = open(1);
        let (used, cookie) = open(2);
        let (waiting, _) = open(3);
        let collectors = |sessions: &mut Sessions, waits| {
            let mut collector = Collector::default();
            collector.waiting = waits;
            let session = sessions.get(&waiting).unwrap();
            session.collectors.insert("c".into(), collector);
        };
        collectors(&mut sessions, 1);
        tokio::time::advance(idle / 2).await;
        assert!(sessions.expired().is_empty());
        assert_eq!(sessions.authenticate(&cookie), Some(used.clone()));
        assert_eq!(sessions.authenticate("guessed"), None);
        tokio::time::advance(idle / 2).await;
        assert_eq!(sessions.expired(), std::slice::from_ref(&left));
        sessions.close(&left);
        assert!(sessions.expired().is_empty(), "its client waits");
        collectors(&mut sessions, 0);
        sessions.wait_ended(&waiting);
        assert_eq!(sessions.expired(), std::slice::from_ref(&waiting));
        sessions.close(&waiting);
        tokio::time::advance(idle / 2).await;
        assert_eq!(sessions.expired(), std::slice::from_ref(&used));
        sessions.close(&used);
        assert_eq!(sessions.authenticate(&cookie), None, "it is closed");
    }

    #[test]
    fn cookies_are_read_as_clients_write_them() {
        for header in [
            "vmware_soap_session=abc",
            "vmware_soap_session=\"abc\"",
            "vmware_soap_session=abc; HttpOnly",
            "vmware_soap_session=\"abc\"; Path=/; HttpOnly; Secure;",
            "other=1; vmware_soap_session=abc",
        ] {
            assert_eq!(cookie(header), Some("abc"), "{header}");
        }
        for header in [
            "",
            "vmware_soap_session=",
            "session=abc",
            "vmware_soap_session",
        ] {
            assert_eq!(cookie(header), None, "{header}");
        }
    }
}
