//! The limits of a process.

use std::fmt;
use std::str::FromStr;

use crate::GuestInfo;
use crate::codec::{Decoder, Describer, Encoder};

/// The limits of a process's resources, Linux's `rlimit`.
///
/// Our extension: VIC had no limits of processes. Stored as one text:
///
/// ```
/// use guestinfo::vic::{Limit, Limits};
///
/// let limits: Limits = "nofile=1024:4096 core=0:unlimited".parse()?;
/// assert_eq!(limits.0[1], Limit { name: "core".into(), soft: Some(0), hard: None });
/// assert_eq!(limits.to_string(), "nofile=1024:4096 core=0:unlimited");
/// # Ok::<(), guestinfo::vic::ParseLimitError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(pub Vec<Limit>);

/// A limit of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The name of the resource, in lower case, such as `nofile`.
    pub name: String,
    /// The limit that applies; the process can raise it to `hard`. `None`: unlimited.
    pub soft: Option<u64>,
    /// The upper limit of `soft`. `None`: unlimited.
    pub hard: Option<u64>,
}

/// A text is not a list of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLimitError(String);

impl fmt::Display for ParseLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a limit such as nofile=1024:4096", self.0)
    }
}

impl std::error::Error for ParseLimitError {}

const UNLIMITED: &str = "unlimited";

/// Returns whether a name of a resource can be stored.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn amount(text: &str) -> Option<Option<u64>> {
    if text == UNLIMITED {
        return Some(None);
    }
    text.parse().ok().map(Some)
}

impl FromStr for Limit {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        let parsed = || {
            let (name, amounts) = text.split_once('=')?;
            let (soft, hard) = amounts.split_once(':')?;
            is_name(name).then_some(Self {
                name: name.to_owned(),
                soft: amount(soft)?,
                hard: amount(hard)?,
            })
        };
        parsed().ok_or_else(|| ParseLimitError(text.to_owned()))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (sign, amount) in [('=', self.soft), (':', self.hard)] {
            match amount {
                Some(amount) => write!(f, "{sign}{amount}")?,
                None => write!(f, "{sign}{UNLIMITED}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Limits {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        let limits = text.split_ascii_whitespace().map(str::parse);
        limits.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, limit) in self.0.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{limit}")?;
        }
        Ok(())
    }
}

impl GuestInfo for Limits {
    fn encode(&self, encoder: &mut Encoder) {
        if !self.0.iter().all(|limit| is_name(&limit.name)) {
            return encoder.unstorable("the name of a limit consists of lower-case letters");
        }
        self.to_string().encode(encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let parsed = String::decode(decoder)?.parse().ok();
        if parsed.is_none() {
            decoder.malformed("expected limits such as nofile=1024:4096");
        }
        parsed
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::vic::SessionConfig;
    use crate::{Dialect, decode, encode};

    #[test]
    fn limits_are_read_back_and_no_limits_have_no_key() {
        for dialect in Dialect::ALL {
            let mut session = SessionConfig::default();
            let none = encode(&session, dialect).unwrap();
            assert!(none.keys().all(|key| !key.contains("limits")), "{none:?}");
            session.limits = Some(
                "nofile=0:18446744073709551615 as=1:unlimited"
                    .parse()
                    .unwrap(),
            );
            let keys = encode(&session, dialect).unwrap();
            let decoded = decode::<SessionConfig>(&keys).value;
            assert_eq!(decoded.limits, session.limits);
        }
    }

    #[test]
    fn a_text_that_is_not_a_limit_is_refused() {
        for text in [
            "nofile",
            "nofile=1",
            "=1:1",
            "nofile=1:",
            "nofile=-1:1",
            "nofile=1:18446744073709551616",
            "NOFILE=1:1",
            "nofile=1:2:3",
        ] {
            assert!(text.parse::<Limits>().is_err(), "{text}");
        }
        let name = "a b".to_owned();
        let session = SessionConfig {
            limits: Some(Limits(vec![Limit {
                name,
                ..Limit::default()
            }])),
            ..SessionConfig::default()
        };
        assert!(encode(&session, Dialect::Vic1).is_err());
    }
}
