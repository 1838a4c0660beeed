//! Typed, paged reading of properties, with a separate result for each property.

mod content;
mod properties;
mod property_set;
mod query;
mod source;

pub use content::{ObjectProperties, PropertyState};
pub use properties::Properties;
pub use property_set::PropertySet;
pub use query::{Item, Items, Query};

pub(crate) use query::is_missing;

use vim25::types::{ObjectContent, ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions};
use vim25::{AnyRef, IsA, ManagedObject, Property, Ref, Slot, mo};

use crate::client::Client;
use crate::error::{Error, Result};

pub(crate) use source::Source;

impl Client {
    /// Reads one property of an object.
    ///
    /// ```no_run
    /// # use vim25::{Ref, mo, props};
    /// # async fn example(client: &vsphere_client::Client, vm: &Ref<mo::VirtualMachine>) -> vsphere_client::Result<()> {
    /// let config = client.get(vm, props::virtual_machine::CONFIG).await?;
    /// assert!(!config.name.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unset`] when the property has no value ([`try_get`](Self::try_get) returns
    /// `None` instead); otherwise see [`Error`].
    pub async fn get<T, M, V>(&self, object: &Ref<T>, property: Property<M, V>) -> Result<V>
    where
        T: ManagedObject + IsA<M>,
        V: Slot,
    {
        self.try_get(object, property)
            .await?
            .ok_or_else(|| Error::Unset {
                object: Box::new(object.upcast()),
                property: property.path().into(),
            })
    }

    /// Reads one or several properties of one object in one call. The result is `None` for a
    /// property without value.
    ///
    /// ```no_run
    /// # use vim25::{Ref, mo, props};
    /// # async fn example(client: &vsphere_client::Client, vm: &Ref<mo::VirtualMachine>) -> vsphere_client::Result<()> {
    /// use props::virtual_machine::{CONFIG, NAME};
    /// let (name, config) = client.try_get(vm, (NAME, CONFIG)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The server's fault when one of the properties cannot be read; otherwise see [`Error`].
    pub async fn try_get<T, M, P>(&self, object: &Ref<T>, properties: P) -> Result<P::Values>
    where
        T: ManagedObject + IsA<M>,
        P: PropertySet<M>,
    {
        let object: AnyRef = object.upcast();
        let content = self.read_object(&object, properties.paths()).await?;
        let operation = self.operation("reading properties", Some(&object));
        properties.values(&content, &operation)
    }

    /// Reads some properties of one object.
    pub(crate) async fn read_object(
        &self,
        object: &AnyRef,
        paths: Vec<String>,
    ) -> Result<ObjectProperties<mo::ManagedObject>> {
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: object.type_name().to_owned(),
                all: Some(false),
                path_set: paths,
            }],
            object_set: vec![ObjectSpec {
                obj: object.clone(),
                ..ObjectSpec::default()
            }],
            ..PropertyFilterSpec::default()
        };
        let call = self
            .property_collector()
            .retrieve_properties_ex(&[spec], &RetrieveOptions::default());
        let page = self.call_strict(call).await?.unwrap_or_default();
        let found = page
            .objects
            .into_iter()
            .find(|content| content.obj == *object);
        // Servers may omit an object without readable properties.
        Ok(ObjectProperties::new(found.unwrap_or_else(|| {
            ObjectContent {
                obj: object.clone(),
                ..ObjectContent::default()
            }
        })))
    }
}
