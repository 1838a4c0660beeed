//! The attributes that matter: `xsi:type`, `xsi:nil`, and the `type` and
//! `serverGuid` of a reference. All others are ignored.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::attributes::Attribute;

use crate::error::{DecodeError, DecodeProblem};

use super::Decoder;

/// The relevant attributes of an element.
#[derive(Debug, Default)]
pub(crate) struct Attributes<'e> {
    /// The value of `xsi:type`, prefix included.
    pub(crate) xsi_type: Option<Cow<'e, str>>,
    /// The managed object type of a reference.
    pub(crate) reference_type: Option<Cow<'e, str>>,
    /// The server that a reference belongs to.
    pub(crate) server_guid: Option<Cow<'e, str>>,
    /// `xsi:nil="true"`
    pub(crate) nil: bool,
}

impl Decoder<'_> {
    /// Reads the attributes of an element and records the namespaces it binds.
    pub(super) fn attributes<'e>(
        &mut self,
        start: &'e BytesStart<'_>,
    ) -> Result<Attributes<'e>, DecodeError> {
        let raw = start.attributes_raw();
        if raw.len() > self.limits.attributes {
            return Err(self.limit("attributes", self.limits.attributes));
        }
        let (mut found, binds) = self.read_attributes(start)?;
        if binds {
            // A prefix may be bound after the attribute that uses it.
            found = self.read_attributes(start)?.0;
        }
        Ok(found)
    }

    /// Reads the attributes once; returns whether any of them binds a prefix.
    fn read_attributes<'e>(
        &mut self,
        start: &'e BytesStart<'_>,
    ) -> Result<(Attributes<'e>, bool), DecodeError> {
        let mut found = Attributes::default();
        let mut binds = false;
        for attribute in start.attributes().with_checks(false) {
            let attribute = self.well_formed(attribute)?;
            match attribute.key.into_inner() {
                "type" => found.reference_type = Some(self.value_of(&attribute)?),
                "serverGuid" => {
                    found.server_guid =
                        Some(self.value_of(&attribute)?).filter(|guid| !guid.is_empty());
                }
                "xmlns" => {
                    let uri = self.value_of(&attribute)?;
                    self.bind("", &uri)?;
                }
                key => match key.split_once(':') {
                    Some(("xmlns", prefix)) => {
                        let uri = self.value_of(&attribute)?;
                        self.bind(prefix, &uri)?;
                        binds = true;
                    }
                    Some((prefix, "type")) if self.scope.is_instance(prefix) => {
                        found.xsi_type = Some(self.value_of(&attribute)?);
                    }
                    Some((prefix, "nil")) if self.scope.is_instance(prefix) => {
                        let value = self.value_of(&attribute)?;
                        found.nil = matches!(value.trim_ascii(), "true" | "1");
                    }
                    _ => {}
                },
            }
        }
        Ok((found, binds))
    }

    /// Binds a prefix. The number of bindings is limited, because every explicit type
    /// searches them for its prefix.
    fn bind(&mut self, prefix: &str, uri: &str) -> Result<(), DecodeError> {
        self.scope.bind(prefix, uri);
        if self.scope.bound() > self.limits.namespaces {
            return Err(self.limit("namespaces", self.limits.namespaces));
        }
        Ok(())
    }

    fn well_formed<'e, E: std::error::Error + Send + Sync + 'static>(
        &self,
        attribute: Result<Attribute<'e>, E>,
    ) -> Result<Attribute<'e>, DecodeError> {
        attribute.map_err(|error| self.error(DecodeProblem::Syntax(Box::new(error))))
    }

    fn value_of<'e>(&self, attribute: &Attribute<'e>) -> Result<Cow<'e, str>, DecodeError> {
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| self.error(DecodeProblem::Syntax(Box::new(error))))
    }
}
