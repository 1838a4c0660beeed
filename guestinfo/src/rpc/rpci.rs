//! The text commands `info-get` and `info-set`.

use std::fmt;

use super::{GuestRpc, RpcError};
use crate::dialect::{Dialect, strip_prefix_ignore_case};

/// The longest message either side may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The host's message for a missing key. The messages for other refusals vary.
const NO_VALUE: &[u8] = b"No value found";

const GET: &str = "info-get";
const SET: &str = "info-set";

/// Sends one message to the host and returns the response.
pub trait Channel: fmt::Debug {
    /// Sends a message and returns the answer.
    ///
    /// # Errors
    /// Fails if there is no answer.
    fn call(&mut self, message: &[u8])
    -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Implements [`GuestRpc`] over any [`Channel`].
///
/// ```
/// use guestinfo::rpc::{Channel, GuestRpc, Rpci};
///
/// #[derive(Debug)]
/// struct Host;
///
/// impl Channel for Host {
///     fn call(
///         &mut self,
///         message: &[u8],
///     ) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(match message {
///             b"info-get guestinfo./repo" => b"1 busybox".to_vec(),
///             _ => b"0 No value found".to_vec(),
///         })
///     }
/// }
///
/// let mut guest = Rpci::new(Host);
/// assert_eq!(guest.get("guestinfo./repo")?.as_deref(), Some("busybox"));
/// assert_eq!(guest.get("guestinfo./none")?, None);
/// # Ok::<(), guestinfo::rpc::RpcError>(())
/// ```
#[derive(Debug)]
pub struct Rpci<C> {
    channel: C,
}

enum Answer {
    Ok(Vec<u8>),
    No(Vec<u8>),
}

impl<C: Channel> Rpci<C> {
    /// Creates a guest's access over this channel.
    pub const fn new(channel: C) -> Self {
        Self { channel }
    }

    fn call(
        &mut self,
        verb: &'static str,
        key: &str,
        value: Option<&str>,
    ) -> Result<Answer, RpcError> {
        let mut message = format!("{verb} {key}");
        if let Some(value) = value {
            message.push(' ');
            message.push_str(value);
        }
        if message.len() >= MAX_MESSAGE_BYTES {
            return Err(RpcError::Value {
                key: key.into(),
                reason: "verb, key and value must stay below 64 KiB",
            });
        }
        let mut answer =
            self.channel
                .call(message.as_bytes())
                .map_err(|source| RpcError::Transport {
                    verb,
                    key: key.into(),
                    source,
                })?;
        let ok = match answer.get(..2) {
            Some(b"1 ") => true,
            Some(b"0 ") => false,
            _ => {
                return Err(RpcError::Protocol {
                    verb,
                    key: key.into(),
                    reason: "it begins with neither `1 ` nor `0 `",
                });
            }
        };
        answer.drain(..2);
        // Some hosts include the terminating NUL of a C string.
        if answer.last() == Some(&0) {
            answer.pop();
        }
        Ok(if ok {
            Answer::Ok(answer)
        } else {
            Answer::No(answer)
        })
    }
}

impl<C: Channel> GuestRpc for Rpci<C> {
    fn get(&mut self, key: &str) -> Result<Option<String>, RpcError> {
        check_key(key)?;
        match self.call(GET, key, None)? {
            Answer::Ok(value) => match String::from_utf8(value) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(RpcError::Protocol {
                    verb: GET,
                    key: key.into(),
                    reason: "the value is not UTF-8",
                }),
            },
            Answer::No(reason) if reason == NO_VALUE => Ok(None),
            Answer::No(reason) => Err(refused(GET, key, &reason)),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), RpcError> {
        check_key(key)?;
        let reason = if value.is_empty() {
            "a guest can neither delete a key nor set it to empty text; write `<nil>`"
        } else if value.contains('\0') {
            "a NUL ends the value for the host"
        } else {
            return match self.call(SET, key, Some(value))? {
                Answer::Ok(_) => Ok(()),
                Answer::No(reason) => Err(refused(SET, key, &reason)),
            };
        };
        Err(RpcError::Value {
            key: key.into(),
            reason,
        })
    }
}

fn refused(verb: &'static str, key: &str, reason: &[u8]) -> RpcError {
    RpcError::Refused {
        verb,
        key: key.into(),
        reason: String::from_utf8_lossy(reason).into_owned(),
    }
}

/// Checks a key; in a message, it would end at the first space.
pub(super) fn check_key(key: &str) -> Result<(), RpcError> {
    let reason = if strip_prefix_ignore_case(key, Dialect::Vic04.base()).is_none() {
        "it does not begin with `guestinfo.`"
    } else if key.contains(|c: char| c == ' ' || c.is_control()) {
        "it contains a space or a control character"
    } else {
        return Ok(());
    };
    Err(RpcError::Key {
        key: key.into(),
        reason,
    })
}
