//! The limits of a process.

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::error::reason;
use crate::wire::{Reader, Writer};

/// A limit of a process's resources, Linux's `rlimit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The name of the resource as in `RLIMIT_…`, in lower case, such as `nofile`.
    pub name: String,
    /// The limit that applies; the process can raise it to `hard`. `None`: unlimited.
    pub soft: Option<u64>,
    /// The upper limit of `soft`. `None`: unlimited.
    pub hard: Option<u64>,
}

const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

impl Limit {
    /// Sets the limit of the calling process.
    pub(crate) fn set(&self) -> Result<(), String> {
        let failed = |why: &str| format!("set the limit {}: {why}", self.name);
        let known = RESOURCES.iter().find(|(name, _)| *name == self.name);
        let (_, resource) = known.ok_or_else(|| failed("there is no such limit"))?;
        let number = |amount: Option<u64>| amount.unwrap_or(RLIM_INFINITY);
        setrlimit(*resource, number(self.soft), number(self.hard))
            .map_err(|error| failed(&reason(&error.into())))
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        to.text(&self.name);
        for amount in [self.soft, self.hard] {
            to.bool(amount.is_some()).u64(amount.unwrap_or_default());
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let name = from.text()?;
        let mut amount = || {
            let (limited, amount) = (from.bool()?, from.u64()?);
            Some(limited.then_some(amount))
        };
        let (soft, hard) = (amount()?, amount()?);
        Some(Self { name, soft, hard })
    }
}
