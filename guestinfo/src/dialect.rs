//! The two dialects in which VIC has written its keys.

use std::fmt;

/// The spelling of keys, which depends on the release of VIC.
///
/// | dialect | releases | read-only `x` | read-write `x` |
/// | --- | --- | --- | --- |
/// | [`Vic04`](Self::Vic04) | 0.3 to 0.5 | `guestinfo./x` | `guestinfo..x` |
/// | [`Vic1`](Self::Vic1) | 0.6 to 1.5 | `guestinfo.vice./x` | `guestinfo.vice..x` |
///
/// Hidden keys are spelled the same in both dialects. `Vic04` has neither secret nor
/// non-persistent keys: fields with such a scope do not exist in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// Releases 0.3 to 0.5.
    Vic04,
    /// Releases 0.6 to 1.5. The default for writing.
    #[default]
    Vic1,
}

impl Dialect {
    /// Both dialects, oldest first.
    pub const ALL: [Self; 2] = [Self::Vic04, Self::Vic1];

    /// Returns the prefix of every visible key of the dialect, before the leading
    /// separator.
    #[must_use]
    pub const fn base(self) -> &'static str {
        match self {
            Self::Vic04 => "guestinfo.",
            Self::Vic1 => "guestinfo.vice.",
        }
    }

    /// Detects the dialect in which a virtual machine's keys are written.
    ///
    /// Keys that the guest cannot write take precedence, so that a guest cannot make the
    /// host read different keys than the host wrote. The guest's own keys count only if
    /// there are no others. Returns `None` if no key belongs to either dialect.
    ///
    /// ```
    /// use guestinfo::Dialect;
    ///
    /// let keys = ["svga.present", "guestinfo./repo", "guestinfo.vice..forged"];
    /// assert_eq!(Dialect::detect(keys), Some(Dialect::Vic04));
    /// assert_eq!(Dialect::detect(["guestinfo.ip"]), None);
    /// ```
    pub fn detect<I>(keys: I) -> Option<Self>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let (mut trusted, mut writable) = (None, None);
        for key in keys {
            let key = key.as_ref();
            let Some(dialect) = Self::of_visible(key) else {
                continue;
            };
            let seen = if key.contains('/') {
                &mut trusted
            } else {
                &mut writable
            };
            *seen = (*seen).max(Some(dialect));
            if trusted == Some(Self::Vic1) {
                break;
            }
        }
        trusted.or(writable)
    }

    /// Returns the dialect of one visible key, or `None` for hidden and foreign keys.
    pub(crate) fn of_visible(key: &str) -> Option<Self> {
        let rest = strip_prefix_ignore_case(key, Self::Vic04.base())?;
        if rest.starts_with(['/', '.']) {
            return Some(Self::Vic04);
        }
        let rest = strip_prefix_ignore_case(rest, "vice.")?;
        rest.starts_with(['/', '.']).then_some(Self::Vic1)
    }
}

/// Returns `text` without `prefix`, ignoring ASCII case as the platform does.
pub(crate) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vic04 => "vic 0.4",
            Self::Vic1 => "vic 1.x",
        })
    }
}
