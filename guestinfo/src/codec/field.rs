//! Where a field is stored, per dialect: what the derive macro writes down.

use crate::dialect::Dialect;
use crate::scope::Scope;

/// The place of one field in each dialect.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its place in releases 0.3 to 0.5; `None` when it does not exist there.
    pub vic04: Option<Place>,
    /// Its place in releases 0.6 to 1.5.
    pub vic1: Option<Place>,
    /// A long value may be stored in chunks.
    pub chunks: bool,
}

/// The leaf of a key and the scope of the value.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The last step of the key.
    pub leaf: &'static str,
    /// The scope; `None` takes over the parent's.
    pub scope: Option<Scope>,
}

impl Field {
    /// A field that is stored alike in both dialects.
    #[must_use]
    pub const fn new(leaf: &'static str, scope: Option<Scope>) -> Self {
        let place = Some(Place { leaf, scope });
        Self {
            vic04: place,
            vic1: place,
            chunks: false,
        }
    }

    /// Whether the dialect has the field.
    #[must_use]
    pub fn exists(&self, dialect: Dialect) -> bool {
        self.place(dialect).is_some()
    }

    /// The place below a key of the scope `parent`. A hidden value cannot be
    /// non-persistent: it does not exist there, as with VIC.
    pub(crate) fn place_below(&self, dialect: Dialect, parent: Scope) -> Option<Place> {
        self.place(dialect).filter(|place| {
            let scope = place.scope.unwrap_or(parent);
            scope.access.is_visible() || !(scope.non_persistent || parent.non_persistent)
        })
    }

    /// The place in a dialect. In 0.4 secret and non-persistent fields do not
    /// exist.
    pub(crate) fn place(&self, dialect: Dialect) -> Option<Place> {
        match dialect {
            Dialect::Vic1 => self.vic1,
            Dialect::Vic04 => self.vic04.filter(|place| {
                place
                    .scope
                    .is_none_or(|scope| !scope.secret && !scope.non_persistent)
            }),
        }
    }
}
