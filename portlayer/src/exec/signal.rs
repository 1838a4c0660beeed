//! Signals by Linux numbers and names, because the guest runs Linux.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A signal for a process, by its Linux number (1 to 64).
///
/// ```
/// use portlayer::exec::Signal;
///
/// assert_eq!("SIGTERM".parse(), Ok(Signal::TERM));
/// assert_eq!("kill".parse(), Ok(Signal::KILL));
/// assert_eq!("1".parse(), Ok(Signal::HUP));
/// assert_eq!(Signal::TERM.to_string(), "TERM");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(u8);

const NAMES: [(u8, &str); 31] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (16, "STKFLT"),
    (17, "CHLD"),
    (18, "CONT"),
    (19, "STOP"),
    (20, "TSTP"),
    (21, "TTIN"),
    (22, "TTOU"),
    (23, "URG"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (26, "VTALRM"),
    (27, "PROF"),
    (28, "WINCH"),
    (29, "IO"),
    (30, "PWR"),
    (31, "SYS"),
];

impl Signal {
    /// The terminal was closed.
    pub const HUP: Self = Self(1);
    /// The user interrupted the process from the keyboard.
    pub const INT: Self = Self(2);
    /// Ends the process; cannot be caught.
    pub const KILL: Self = Self(9);
    /// Asks the process to exit.
    pub const TERM: Self = Self(15);

    /// Creates a signal from its number.
    ///
    /// # Errors
    /// Fails if the number is not between 1 and 64.
    pub fn new(number: u8) -> Result<Self, ParseSignalError> {
        if (1..=64).contains(&number) {
            Ok(Self(number))
        } else {
            Err(ParseSignalError(number.to_string()))
        }
    }

    /// Returns the number of the signal.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Signal {
    /// Prints the name without `SIG`, or the number if it has no name here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for Signal {
    /// Serializes the name without `SIG`, or the number as text if it has no name here.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl FromStr for Signal {
    type Err = ParseSignalError;

    /// Parses a number, or a name with or without `SIG`, in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseSignalError(text.to_owned());
        if let Ok(number) = text.parse() {
            return Self::new(number).map_err(|_| refused());
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(number, _)| Self(*number))
            .ok_or_else(refused)
    }
}

/// An error for text that is not a signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal; use a number from 1 to 64 or a name such as TERM")]
pub struct ParseSignalError(String);
