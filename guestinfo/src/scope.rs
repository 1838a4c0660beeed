//! Who may see and change a value.

use std::fmt;

/// Who may see and change a value, from the point of view of the guest.
///
/// vSphere shows a guest only keys that begin with `guestinfo.`, and refuses a guest's
/// write to any key that contains `/`. The form of a key therefore *is* its access right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Only the host can see the value: without the `guestinfo.` prefix, the guest
    /// cannot.
    #[default]
    Hidden,
    /// The guest may read it: `guestinfo.` prefix, separator `/`.
    ReadOnly,
    /// The guest may read and write it: `guestinfo.` prefix, separator `.`.
    ReadWrite,
}

impl Access {
    /// Returns the character between two fields in a key of this form.
    pub(crate) const fn separator(self) -> char {
        match self {
            Self::ReadWrite => '.',
            Self::Hidden | Self::ReadOnly => '/',
        }
    }

    /// Returns the separator that this form never uses.
    pub(crate) const fn other_separator(self) -> char {
        match self {
            Self::ReadWrite => '/',
            Self::Hidden | Self::ReadOnly => '.',
        }
    }

    pub(crate) const fn is_visible(self) -> bool {
        !matches!(self, Self::Hidden)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "hidden",
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
        })
    }
}

/// The scope of a field or key: its access, and the two properties that the dialect
/// [`Vic1`](crate::Dialect::Vic1) writes as suffixes.
///
/// ```
/// use guestinfo::{Access, Scope};
///
/// let scope = Scope::READ_WRITE.non_persistent();
/// assert_eq!(scope.access, Access::ReadWrite);
/// assert_eq!(scope.to_string(), "read-write, non-persistent");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Scope {
    /// Who may see and change the value.
    pub access: Access,
    /// Whether the stored text is a sealed box (suffix `@secret`).
    pub secret: bool,
    /// Whether the value is kept only until the end of the power cycle (suffix
    /// `@non-persistent`).
    pub non_persistent: bool,
}

impl Scope {
    /// Visible to the host only.
    pub const HIDDEN: Self = Self::new(Access::Hidden);
    /// Readable by the guest.
    pub const READ_ONLY: Self = Self::new(Access::ReadOnly);
    /// Readable and writable by the guest.
    pub const READ_WRITE: Self = Self::new(Access::ReadWrite);

    /// Creates a scope with this access and no other property.
    #[must_use]
    pub const fn new(access: Access) -> Self {
        Self {
            access,
            secret: false,
            non_persistent: false,
        }
    }

    /// Returns the same scope, sealed.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Returns the same scope, for one power cycle only.
    #[must_use]
    pub const fn non_persistent(mut self) -> Self {
        self.non_persistent = true;
        self
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.access.fmt(f)?;
        if self.secret {
            f.write_str(", secret")?;
        }
        if self.non_persistent {
            f.write_str(", non-persistent")?;
        }
        Ok(())
    }
}
