//! The checks before an installation. Each check is a function of the objects that were read from
//! the endpoint, and returns all its findings.

mod addresses;
mod datastore;
mod drs;
mod firewall;
mod licence;
mod networks;
mod target;

use super::HostSpec;
use super::finding::Finding;
use crate::vsphere::endpoint::{ComputeFacts, DatastoreFacts, NetworkFacts, TargetFacts};

/// The objects that were read from the endpoint. An object that was not found is `None` here, and
/// is reported by a finding of its own.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) target: TargetFacts,
    pub(super) compute: Option<ComputeFacts>,
    pub(super) datastore: Option<DatastoreFacts>,
    /// The bridge network; `None` if the installation will create it.
    pub(super) bridge: Option<NetworkFacts>,
    /// The other networks of the appliance, each with its role.
    pub(super) others: Vec<(&'static str, NetworkFacts)>,
    /// The total size of both boot images in bytes.
    pub(super) images: u64,
}

impl Survey {
    /// Returns whether a host gets a resource pool of its own: a cluster without DRS has none.
    pub(super) fn has_pools(&self) -> bool {
        let compute = self.compute.as_ref();
        compute.is_none_or(|compute| compute.drs != Some(false))
    }

    /// Runs all checks.
    pub(super) fn check(&self, spec: &HostSpec) -> Vec<Finding> {
        let checks = [
            target::check,
            datastore::check,
            networks::check,
            addresses::check,
            firewall::check,
            licence::check,
            drs::check,
        ];
        checks
            .into_iter()
            .flat_map(|check| check(self, spec))
            .collect()
    }
}

#[cfg(test)]
mod scene {
    //! A valid specification and endpoint, which tests then make invalid.

    use super::*;
    use crate::vsphere::endpoint::HostFacts;
    use crate::vsphere::hosts::{Iso, Severity};

    pub(super) fn spec() -> HostSpec {
        HostSpec::new("vch-1", Iso::bytes("a"), Iso::bytes("b"))
            .bridge_network("bridge")
            .public_network("lan")
    }

    pub(super) fn host(id: &str) -> HostFacts {
        HostFacts {
            id: id.into(),
            name: format!("{id}.example"),
            ..HostFacts::default()
        }
    }

    pub(super) fn survey() -> Survey {
        let network = |name: &str| NetworkFacts {
            name: name.into(),
            is_distributed: true,
            hosts: vec!["host-1".into(), "host-2".into()],
            ..NetworkFacts::default()
        };
        Survey {
            target: TargetFacts {
                name: "vc.example".into(),
                full_name: "vCenter".into(),
                api_version: "8.0.3.0".into(),
                is_vcenter: true,
            },
            compute: Some(ComputeFacts {
                name: "cluster".into(),
                drs: Some(true),
                hosts: vec![host("host-1"), host("host-2")],
            }),
            datastore: Some(DatastoreFacts {
                name: "fast".into(),
                accessible: Some(true),
                free: Some(1 << 40),
                in_maintenance: false,
                hosts: vec!["host-1".into(), "host-2".into()],
            }),
            bridge: Some(network("bridge")),
            others: vec![("public", network("lan"))],
            images: 2,
        }
    }

    /// Returns the findings that are worse than information, as text.
    pub(super) fn worse(findings: &[Finding]) -> Vec<(Severity, String)> {
        findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info)
            .map(|finding| (finding.severity, finding.to_string()))
            .collect()
    }
}
