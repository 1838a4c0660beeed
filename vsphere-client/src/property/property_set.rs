//! Sets of properties that are read together, and the types of their values.

use vim25::{Property, Slot, mo};

use super::{ObjectProperties, PropertyState};
use crate::error::{Error, Operation, Result};

/// One property of objects of type `M`, or a tuple of up to six.
pub trait PropertySet<M>: private::Sealed {
    /// The type of the values: `Option<V>` for one property, a tuple of these for several.
    type Values;

    /// Returns the paths of the properties.
    #[doc(hidden)]
    fn paths(&self) -> Vec<String>;

    /// Extracts the values from the properties that a server returned.
    #[doc(hidden)]
    fn values(&self, content: &Content, operation: &Operation) -> Result<Self::Values>;
}

type Content = ObjectProperties<mo::ManagedObject>;

mod private {
    #[expect(
        unnameable_types,
        reason = "seals `PropertySet`, so that other crates cannot implement it"
    )]
    pub trait Sealed {}
}

impl<M, V> private::Sealed for Property<M, V> {}

impl<M, V: Slot> PropertySet<M> for Property<M, V> {
    type Values = Option<V>;

    fn paths(&self) -> Vec<String> {
        vec![self.path().to_owned()]
    }

    fn values(&self, content: &Content, operation: &Operation) -> Result<Option<V>> {
        match content.at(self.path()) {
            PropertyState::Value(value) => Ok(Some(value)),
            PropertyState::Unset => Ok(None),
            PropertyState::Missing(fault) => Err(Error::fault_of(operation, fault)),
            PropertyState::Invalid(error) => Err(Error::unconvertible(operation, error)),
        }
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        impl<$($name: private::Sealed),+> private::Sealed for ($($name,)+) {}

        impl<M, $($name: PropertySet<M>),+> PropertySet<M> for ($($name,)+) {
            type Values = ($($name::Values,)+);

            #[expect(non_snake_case, reason = "type parameters name the members")]
            fn paths(&self) -> Vec<String> {
                let ($($name,)+) = self;
                let mut paths = Vec::new();
                $( paths.extend($name.paths()); )+
                paths
            }

            #[expect(non_snake_case, reason = "type parameters name the members")]
            fn values(&self, content: &Content, operation: &Operation) -> Result<Self::Values> {
                let ($($name,)+) = self;
                Ok(($( $name.values(content, operation)?, )+))
            }
        }
    };
}
tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
