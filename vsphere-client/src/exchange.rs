//! Sends a call and reads its response, with retries and new logins.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::SemaphorePermit;
use vim25::soap::{self, Response as Answer};
use vim25::types::NotAuthenticated;
use vim25::{Any, Call, Fault};

use crate::call_class::CallClass;
use crate::client::{Client, Inner};
use crate::credentials::Credentials;
use crate::error::{
    Error, LoginProblem, Operation, RequestPhase, Result, TlsProblem, TransportProblem,
};
use crate::retry::Backoff;
use crate::route::Route;
use crate::transport::{Body, FailureKind, Gunzip, Request, Response, TransportError, is_too_long};

/// The reason why an attempt failed, before it is decided whether to retry.
#[derive(Debug)]
pub(crate) enum Failure {
    Transport(TransportError),
    /// An HTTP status, and the `Retry-After` of the response.
    Status(u16, Option<Duration>),
    TooLong(u64),
}

impl Failure {
    /// Returns whether the server certainly did not receive the request.
    pub(crate) const fn never_sent(&self) -> bool {
        match self {
            Self::Transport(error) => matches!(
                error.kind,
                FailureKind::Connect
                    | FailureKind::Untrusted(_)
                    | FailureKind::Tls
                    | FailureKind::Timeout(RequestPhase::Connect)
            ),
            Self::Status(..) | Self::TooLong(_) => false,
        }
    }

    /// Returns whether another attempt may succeed.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Transport(error) => error.kind.is_passing(),
            Self::Status(status, _) => matches!(status, 502..=504),
            Self::TooLong(_) => false,
        }
    }

    /// Returns whether the server refused the call without carrying it out.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Status(status, _) if !matches!(status, 200..=299 | 500..=599))
    }
}

impl Client {
    /// Sends a call until there is a response or retrying is pointless.
    ///
    /// `limit` bounds each attempt, from sending to the end of the response.
    pub(crate) async fn exchange(&self, call: &Call<Option<Any>>, limit: Duration) -> Result<Any> {
        let operation = self.operation(call.method(), Some(call.this()));
        let inner = &*self.inner;
        let class = CallClass::of(call.method());
        let login = class == CallClass::Login;
        if inner.session.is_closed() && !login {
            return Err(self.not_authenticated(&operation, LoginProblem::Closed, None));
        }
        let operation_id = inner.next_operation();
        let route = inner.route(call.service(), &operation)?;
        let mut backoff = Backoff::new(inner.options.retry);
        let mut logged_in_again = !self.logs_in;
        loop {
            let slot = self.slot(class).await;
            let ticket = inner.session.ticket();
            let body =
                soap::encode_request(call, &route.header(&operation_id, ticket.cookie.as_ref()));
            let body = body.map_err(|error| Error::unencodable(&operation, error))?;
            // Only reads have long responses.
            let compressed = class == CallClass::Read;
            let request = Inner::request(&route, body, ticket.cookie, limit, compressed);
            // Ignore cookies of other services: they do not belong to the session.
            let generation = route.main.then_some(ticket.generation);
            let start = tokio::time::Instant::now();
            let answer = inner.answer(request, generation, limit).await;
            drop(slot);
            tracing::debug!(
                server = %inner.server,
                operation = call.method(),
                object = %call.this(),
                id = operation_id,
                attempt = backoff.number(),
                elapsed = ?start.elapsed(),
                outcome = %summary(&answer),
                "call"
            );
            let failure = match answer {
                Ok((status, bytes)) => match self.decode(call, &operation, status, &bytes)? {
                    Answer::Value(value) => {
                        if !logged_in_again
                            && refused_within(&value)
                            && matches!(inner.credentials, Some(Credentials::Password { .. }))
                        {
                            let fault = Fault::new("", NotAuthenticated::default());
                            self.log_in_again(&operation, ticket.generation, fault)
                                .await?;
                            logged_in_again = true;
                            continue;
                        }
                        return Ok(value);
                    }
                    Answer::Fault(fault) if fault.is::<NotAuthenticated>() && !login => {
                        if logged_in_again {
                            let problem = LoginProblem::NotPermitted;
                            return Err(self.not_authenticated(&operation, problem, Some(fault)));
                        }
                        // The call was refused, so it was not carried out and may be retried.
                        self.log_in_again(&operation, ticket.generation, fault)
                            .await?;
                        logged_in_again = true;
                        continue;
                    }
                    Answer::Fault(fault) => return Err(Error::fault_of(&operation, fault)),
                },
                Err(failure) => failure,
            };
            let repeatable =
                failure.never_sent() || class.is_repeatable() && call.method() != "Logout";
            let pause = match failure {
                Failure::Status(_, after) => after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            if failure.is_passing() && repeatable && backoff.again_after(pause).await {
                continue;
            }
            let known = repeatable || failure.is_refusal() || call.method() == "Logout";
            return Err(inner.explain(operation, failure, known, limit));
        }
    }

    fn decode(
        &self,
        call: &Call<Option<Any>>,
        operation: &Operation,
        status: u16,
        bytes: &[u8],
    ) -> Result<Answer> {
        match soap::decode_response(call, bytes, &self.inner.options.limits) {
            Ok(answer) => Ok(answer),
            // The response is an error page of a front end, not of the API.
            Err(error) if status != 200 => Err(Error::Transport {
                operation: operation.clone(),
                problem: TransportProblem::Status(status),
                source: Some(error.into()),
            }),
            Err(error) => Err(Error::undecodable(operation, error)),
        }
    }

    /// Logs in again, once for all calls that were refused with the same session.
    async fn log_in_again(
        &self,
        operation: &Operation,
        generation: u64,
        fault: Fault,
    ) -> Result<()> {
        let problem = match &self.inner.credentials {
            Some(Credentials::Password { .. }) => None,
            Some(Credentials::Session(_)) => Some(LoginProblem::TicketRefused),
            None => Some(LoginProblem::NoCredentials),
        };
        if let Some(problem) = problem {
            return Err(self.not_authenticated(operation, problem, Some(fault)));
        }
        let _turn = self.inner.session.login.lock().await;
        if self.inner.session.is_closed() {
            return Err(self.not_authenticated(operation, LoginProblem::Closed, None));
        }
        if self.inner.session.ticket().generation != generation {
            return Ok(());
        }
        let _reopening = self.inner.session.reopen();
        self.inner.session.forget();
        tracing::debug!(server = %self.inner.server, "the session is lost; logging in again");
        self.log_in().await?;
        self.ask_hook().await
    }

    /// Waits until a call may be sent. Calls wait while another call logs in again, and the
    /// number of concurrent calls is limited.
    async fn slot(&self, class: CallClass) -> Option<SemaphorePermit<'_>> {
        let inner = &*self.inner;
        // Logins and calls of the hook need no slot: other calls that wait for them may hold
        // all slots.
        if class == CallClass::Login || !self.logs_in {
            return None;
        }
        loop {
            // A wait occupies a connection but no processing time of the server.
            let slot = match class {
                CallClass::Wait => None,
                _ => inner.slots.acquire().await.ok(),
            };
            if !inner.session.is_reopening() {
                return slot;
            }
            drop(slot);
            drop(inner.session.login.lock().await);
        }
    }
}

/// Returns whether the response to a property read says that there is no session. Such reads
/// do not fail without a session; the refusal is inside the response.
fn refused_within(value: &Any) -> bool {
    let objects = value.node().all("objects");
    objects
        .flat_map(|object| object.all("missingSet"))
        .filter_map(|missing| missing.path("fault.fault"))
        .any(|fault| fault.is_a("NotAuthenticated"))
}

/// Returns the failure for a response that arrived but cannot be decoded.
fn undecodable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Transport(TransportError {
        kind: FailureKind::Broken,
        source: error.into(),
    })
}

fn summary(answer: &Result<(u16, bytes::Bytes), Failure>) -> String {
    match answer {
        Ok((status, bytes)) => format!("status {status}, {} bytes", bytes.len()),
        Err(Failure::Transport(error)) => format!("{:?}", error.kind),
        Err(Failure::Status(status, _)) => format!("status {status}"),
        Err(Failure::TooLong(limit)) => format!("longer than {limit} bytes"),
    }
}

impl Inner {
    fn next_operation(&self) -> String {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}", self.operation_prefix)
    }

    fn request(
        route: &Route,
        body: String,
        cookie: Option<SecretString>,
        limit: Duration,
        compressed: bool,
    ) -> Request {
        let mut headers = vec![
            ("content-type", "text/xml; charset=utf-8".into()),
            ("soapaction", route.action.clone()),
        ];
        if compressed {
            headers.push(("accept-encoding", "gzip".into()));
        }
        Request {
            method: Method::POST,
            url: route.url.clone(),
            headers,
            cookie,
            body: Body::Text(body),
            limit: Some(limit),
        }
    }

    /// Sends a request and reads its response, with limits on time and size.
    pub(crate) async fn answer(
        &self,
        request: Request,
        generation: Option<u64>,
        limit: Duration,
    ) -> Result<(u16, bytes::Bytes), Failure> {
        let slow = |error: tokio::time::error::Elapsed| {
            Failure::Transport(TransportError {
                kind: FailureKind::Timeout(RequestPhase::Request),
                source: error.into(),
            })
        };
        let exchange = async {
            let response = self
                .transport
                .send(request)
                .await
                .map_err(Failure::Transport)?;
            if let Some(generation) = generation {
                self.session.absorb(generation, &response.cookies);
            }
            if !matches!(response.status, 200 | 500) {
                return Err(Failure::Status(response.status, response.retry_after));
            }
            let status = response.status;
            Ok((status, self.read(response).await?))
        };
        tokio::time::timeout(limit, exchange).await.map_err(slow)?
    }

    async fn read(&self, mut response: Response) -> Result<bytes::Bytes, Failure> {
        let limit = self.options.limits.bytes as u64;
        if response.length.is_some_and(|length| length > limit) {
            return Err(Failure::TooLong(limit));
        }
        let mut gunzip = match response.encoding.as_deref() {
            None | Some("identity") => None,
            Some("gzip" | "x-gzip") => Some(Gunzip::new(self.options.limits.bytes)),
            Some(other) => {
                return Err(undecodable(format!(
                    "the answer is encoded as {other:?}, which was not requested"
                )));
            }
        };
        // The length announced by the peer is not trusted.
        let expected = response.length.unwrap_or(0).min(1 << 20);
        let mut bytes = BytesMut::with_capacity(usize::try_from(expected).unwrap_or(0));
        while let Some(piece) = response.body.next().await {
            let piece = piece.map_err(Failure::Transport)?;
            if let Some(gunzip) = &mut gunzip {
                gunzip.write(&piece).map_err(|error| {
                    if is_too_long(&error) {
                        Failure::TooLong(limit)
                    } else {
                        undecodable(error)
                    }
                })?;
                continue;
            }
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(Failure::TooLong(limit));
            }
            bytes.extend_from_slice(&piece);
        }
        match gunzip {
            Some(gunzip) => Ok(gunzip.finish().map_err(undecodable)?.into()),
            None => Ok(bytes.freeze()),
        }
    }

    /// Converts a failure to the error for the caller; `known` means that nothing was changed.
    pub(crate) fn explain(
        &self,
        operation: Operation,
        failure: Failure,
        known: bool,
        limit: Duration,
    ) -> Error {
        if !known && !failure.never_sent() {
            let source = match failure {
                Failure::Transport(error) => error.source,
                Failure::Status(status, _) => TransportProblem::Status(status).to_string().into(),
                Failure::TooLong(limit) => TransportProblem::TooLong { limit }.to_string().into(),
            };
            return Error::OutcomeUnknown {
                operation,
                task: None,
                source,
            };
        }
        let error = match failure {
            Failure::Transport(error) => error,
            Failure::Status(status, _) => {
                return Error::Transport {
                    operation,
                    problem: TransportProblem::Status(status),
                    source: None,
                };
            }
            Failure::TooLong(limit) => {
                return Error::Transport {
                    operation,
                    problem: TransportProblem::TooLong { limit },
                    source: None,
                };
            }
        };
        let problem = match error.kind {
            FailureKind::Untrusted(certificate) => {
                let problem = Box::new(TlsProblem::Untrusted(certificate));
                return Error::Tls { operation, problem };
            }
            FailureKind::Tls => {
                let problem = Box::new(TlsProblem::Other(error.source));
                return Error::Tls { operation, problem };
            }
            FailureKind::Timeout(phase) => {
                let limit = match phase {
                    RequestPhase::Connect => self.options.connect_timeout,
                    RequestPhase::Request => limit,
                    RequestPhase::Idle => self.options.idle_timeout,
                };
                return Error::Timeout {
                    operation,
                    phase,
                    limit,
                };
            }
            FailureKind::Connect => TransportProblem::Unreachable,
            FailureKind::NoAnswer | FailureKind::Broken => TransportProblem::Broken,
            FailureKind::Source => TransportProblem::Source,
        };
        Error::Transport {
            operation,
            problem,
            source: Some(error.source),
        }
    }

    /// Prepares the request that ends a session.
    pub(crate) fn prepare_log_out(
        &self,
        call: &Call<Option<Any>>,
        cookie: SecretString,
    ) -> Option<Request> {
        let route = self.main_route();
        let header = route.header(&self.next_operation(), None);
        let body = soap::encode_request(call, &header).ok()?;
        let limit = self.options.request_timeout.min(Duration::from_secs(10));
        Some(Self::request(&route, body, Some(cookie), limit, false))
    }

    /// Ends a session. An already ended session counts as success.
    pub(crate) async fn log_out(
        &self,
        call: Call<Option<Any>>,
        cookie: SecretString,
    ) -> Result<()> {
        let limit = self.options.request_timeout.min(Duration::from_secs(10));
        let Some(request) = self.prepare_log_out(&call, cookie) else {
            return Ok(());
        };
        match self.answer(request, None, limit).await {
            Ok(_) => Ok(()),
            Err(failure) => {
                let operation = Operation::new(call.method(), Some(call.this()), &self.server);
                Err(self.explain(operation, failure, true, limit))
            }
        }
    }
}
