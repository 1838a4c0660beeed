//! Values that must not be printed.

use std::fmt;

use zeroize::Zeroize;

use crate::GuestInfo;

/// A private key or password, which `Debug` does not print and which is wiped when dropped.
///
/// It is stored as its content; the field determines whether the stored text is sealed.
///
/// ```
/// use guestinfo::vic::Redacted;
///
/// let token = Redacted("hunter2".to_owned());
/// assert_eq!(format!("{token:?}"), "Redacted(..)");
/// assert_eq!(token.0, "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq, GuestInfo)]
pub struct Redacted<T: Zeroize>(pub T);

impl<T: Zeroize> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redacted(..)")
    }
}

impl<T: Zeroize> Drop for Redacted<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
