//! The image registries that a host may use.

use serde::{Deserialize, Serialize};

/// The image registries that a host may use, as its appliance's programs read them. The installation
/// does not contact them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Registries {
    /// The only registries that may be used: `HOST[:PORT]`, with a wildcard or as a network. Empty:
    /// all.
    #[serde(default)]
    pub allowed: Vec<String>,
    /// The registries whose certificates are not checked.
    #[serde(default)]
    pub insecure: Vec<String>,
    /// The certificates of the registries' authorities, in PEM.
    #[serde(default)]
    pub authorities: String,
}

impl Registries {
    /// Allows all registries that have a trusted certificate.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            allowed: Vec::new(),
            insecure: Vec::new(),
            authorities: String::new(),
        }
    }

    /// Adds a registry to the only ones that may be used.
    #[must_use]
    pub fn allow(mut self, registry: impl Into<String>) -> Self {
        self.allowed.push(registry.into());
        self
    }

    /// Adds a registry whose certificate is not checked.
    #[must_use]
    pub fn insecure(mut self, registry: impl Into<String>) -> Self {
        self.insecure.push(registry.into());
        self
    }

    /// Sets the certificates of the registries' authorities, in PEM.
    #[must_use]
    pub fn authorities(mut self, authorities: impl Into<String>) -> Self {
        self.authorities = authorities.into();
        self
    }

    /// Returns the field that cannot be stored, with the reason.
    pub(super) fn refusal(&self) -> Option<(&'static str, String)> {
        let is_wrong = |registry: &&String| {
            let is_unusual = |letter: char| letter.is_whitespace() || letter.is_control();
            registry.is_empty() || registry.contains("://") || registry.chars().any(is_unusual)
        };
        for (field, registries) in [
            ("registries.allowed", &self.allowed),
            ("registries.insecure", &self.insecure),
        ] {
            if let Some(wrong) = registries.iter().find(is_wrong) {
                return Some((field, format!("{wrong:?} is not HOST[:PORT]")));
            }
        }
        let pem = &self.authorities;
        let is_pem = pem.is_empty() || pem.contains("-----BEGIN CERTIFICATE-----");
        (!is_pem).then(|| {
            let reason = "the certificates of the authorities are not in PEM";
            ("registries.authorities", reason.to_owned())
        })
    }
}
