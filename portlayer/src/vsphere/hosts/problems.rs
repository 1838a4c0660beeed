//! The problems of a specification that can be found without an endpoint.

use super::{ApplianceComponent, HostSpec};
use crate::Error;
use crate::exec::{Command, refused_cpus, refused_memory};
use crate::vsphere::kind;

/// Maximum length of a name, as in VIC's installer. The name appears in paths and host names.
const NAME_MAX: usize = 31;

impl HostSpec {
    /// Returns all problems that can be found without an endpoint.
    pub(super) fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        let mut refuse = |field, reason: &str| {
            problems.push(Error::invalid_argument(
                kind::host(&self.name),
                field,
                reason,
            ));
        };
        let mut letters = self.name.bytes();
        if self.name.len() > NAME_MAX
            || !letters
                .next()
                .is_some_and(|first| first.is_ascii_alphanumeric())
            || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            refuse(
                "name",
                "a name has 1 to 31 letters, digits and '-' and begins with a letter or a digit",
            );
        }
        let named = [
            ("datacenter", &self.datacenter),
            ("compute", &self.compute),
            ("datastore", &self.datastore),
            ("bridge_network", &self.bridge_network),
            ("public_network", &self.public_network),
            ("client_network", &self.client_network),
            ("management_network", &self.management_network),
            ("address", &self.address),
            ("user", &self.user),
        ];
        for (field, name) in named {
            if name
                .as_deref()
                .is_some_and(|n| n.is_empty() || n.chars().any(char::is_control))
            {
                refuse(field, "it is empty or contains a control character");
            }
        }
        for (position, name) in self.scope_networks.iter().enumerate() {
            if name.is_empty() || name.chars().any(char::is_control) {
                refuse(
                    "scope_networks",
                    "a name is empty or contains a control character",
                );
            }
            if self.scope_networks.iter().take(position).any(|n| n == name) {
                refuse("scope_networks", &format!("{name:?} is named twice"));
            }
        }
        if let (Some(vlans), Some(network)) = (self.scope_vlans, self.scope_networks.first()) {
            let reason = format!("{vlans}: scopes already get {network:?}: use one of the two");
            refuse("scope_vlans", &reason);
        }
        for (field, allocation) in [
            ("pool.cpu", &self.pool.cpu),
            ("pool.memory", &self.pool.memory),
        ] {
            if let Some(reason) = allocation.refusal() {
                refuse(field, reason);
            }
        }
        if let Some(reason) = self.certificates.as_ref().and_then(|c| c.refusal()) {
            refuse("certificates", reason);
        }
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        for ApplianceComponent { name, command, .. } in &self.components {
            if name.is_empty() || !name.bytes().all(is_word) {
                refuse("components", "a name has letters, digits, '-' and '_' only");
            }
            let has_path = |command: &Command| !command.path.is_empty();
            if !command.as_ref().is_none_or(has_path) {
                refuse("components", "the path of a command is empty");
            }
        }
        if let Some((field, reason)) = self.registries.refusal() {
            refuse(field, &reason);
        }
        let labels = self.volume_stores.keys();
        if let Some(label) = labels
            .into_iter()
            .find(|l| l.is_empty() || !l.bytes().all(is_word))
        {
            let reason = format!("{label:?}: a label has letters, digits, '-' and '_' only");
            refuse("volume_stores", &reason);
        }
        if let Some(reason) = refused_cpus(self.cpus) {
            refuse("cpus", reason);
        }
        if let Some(reason) = refused_memory(self.memory_mib) {
            refuse("memory_mib", reason);
        }
        problems
    }
}
