//! Structs whose fields are properties of a managed object.

use vim25::{AnyRef, IsA, ManagedObject, Property, Ref, Slot};

use super::{ObjectProperties, PropertyState, Query};
use crate::client::Client;
use crate::error::{Error, Operation, Result};

/// A struct whose fields are properties of one managed object; implemented by
/// `#[derive(Properties)]`.
///
/// `#[properties(TYPE)]` names the managed object type. A field's property is its own
/// name in the form on the wire (`overall_status`: `overallStatus`), or the path that
/// `#[property(..)]` gives. Path and type of each field are checked at compile time, as
/// by [`path!`](vim25::path!). A field that is an `Option` is `None` when the property
/// has no value; any other needs one.
///
/// ```no_run
/// use vim25::{mo, types::VirtualMachinePowerState};
/// use vsphere_client::Properties;
///
/// #[derive(Debug, Properties)]
/// #[properties(VirtualMachine)]
/// struct Machine {
///     name: String,
///     #[property(runtime.powerState)]
///     power: VirtualMachinePowerState,
///     #[property(summary.config.memorySizeMB)]
///     memory_mb: Option<i32>,
/// }
///
/// # async fn example(client: &vsphere_client::Client) -> vsphere_client::Result<()> {
/// let found = client
///     .retrieve::<mo::VirtualMachine>()
///     .properties::<Machine>()
///     .within(&client.service_content().root_folder)
///     .collect()
///     .await?;
/// for machine in &found {
///     let values: Machine = machine.read()?;
///     println!("{} is {:?}", values.name, values.power);
/// }
/// # Ok(()) }
/// ```
///
/// A wrong path does not compile:
///
/// ```compile_fail
/// # use vsphere_client::Properties;
/// #[derive(Properties)]
/// #[properties(VirtualMachine)]
/// struct Machine {
///     #[property(runtime.power)]
///     power: vim25::types::VirtualMachinePowerState,
/// }
/// ```
///
/// Nor does a wrong type:
///
/// ```compile_fail
/// # use vsphere_client::Properties;
/// #[derive(Properties)]
/// #[properties(VirtualMachine)]
/// struct Machine {
///     #[property(runtime.powerState)]
///     power: bool,
/// }
/// ```
pub trait Properties: Sized {
    /// The managed object type.
    type Object: ManagedObject;

    /// The paths of the properties.
    const PATHS: &'static [&'static str];

    /// Converts the properties of one object.
    ///
    /// # Errors
    /// See [`ObjectProperties::read`].
    fn from_properties(properties: &ObjectProperties<Self::Object>) -> Result<Self>;

    /// Converts again the properties that changed, and leaves all other fields as they are.
    /// `properties` may contain only the changed ones, whose paths are `changed`.
    ///
    /// # Errors
    /// As for [`from_properties`](Self::from_properties). Some fields may have been replaced
    /// before the one that failed.
    fn update(
        &mut self,
        properties: &ObjectProperties<Self::Object>,
        changed: &[String],
    ) -> Result<()>;
}

impl Client {
    /// Reads the properties of one object into a struct, in one call.
    ///
    /// # Errors
    /// As for [`ObjectProperties::read`]; otherwise see [`Error`].
    pub async fn read<P: Properties>(
        &self,
        object: &Ref<impl ManagedObject + IsA<P::Object>>,
    ) -> Result<P> {
        let object: AnyRef = object.upcast();
        let paths = P::PATHS.iter().map(|path| (*path).to_owned());
        let content = self.read_object(&object, paths.collect()).await?;
        P::from_properties(&content.typed())
    }
}

impl<T: ManagedObject> Query<T> {
    /// Adds the properties of a struct; read the struct from each result with
    /// [`ObjectProperties::read`].
    pub fn properties<P: Properties>(self) -> Self
    where
        T: IsA<P::Object>,
    {
        P::PATHS.iter().fold(self, |query, path| query.path(*path))
    }
}

impl<T: ManagedObject> ObjectProperties<T> {
    /// Converts the properties to a struct.
    ///
    /// # Errors
    /// [`Error::Unset`] when a field that is not an `Option` has no value; the server's
    /// fault when it refused to return a property; [`Error::Decode`] when a value is not
    /// of the property's type.
    pub fn read<P: Properties<Object = T>>(&self) -> Result<P> {
        P::from_properties(self)
    }

    /// Returns the value of a property that has to have one.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn required<M, V: Slot>(&self, property: Property<M, V>) -> Result<V>
    where
        T: IsA<M>,
    {
        self.optional(property)?.ok_or_else(|| Error::Unset {
            object: Box::new(self.object().upcast()),
            property: property.path().into(),
        })
    }

    /// Returns the value of a property; `None` when it has none. Unlike
    /// [`value`](Self::value), it does not hide why a value is missing.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn optional<M, V: Slot>(&self, property: Property<M, V>) -> Result<Option<V>>
    where
        T: IsA<M>,
    {
        let operation = || {
            let reading = format!("reading {}", property.path());
            Operation::new(&reading, Some(&self.object().upcast()), "")
        };
        match self.state(property) {
            PropertyState::Value(value) => Ok(Some(value)),
            PropertyState::Unset => Ok(None),
            PropertyState::Missing(fault) => Err(Error::fault_of(&operation(), fault)),
            PropertyState::Invalid(error) => Err(Error::unconvertible(&operation(), error)),
        }
    }
}
