//! The checks before an installation. Each check is a function of the objects that were read from
//! the endpoint, and returns all its findings. None of them changes anything.
//!
//! These are the checks of VIC's installer in its order, and where this one makes them. A refusal
//! has the severity [`Error`](super::Severity::Error). What cannot be read is reported as not
//! checked, without refusing the installation.
//!
//! | VIC's step | here | severity |
//! | --- | --- | --- |
//! | connect; one datacenter, host or cluster, and pool | `plan.rs`, by name or the only one | refusal |
//! | the datacenter exists | `plan.rs` | refusal |
//! | the name and other values | `problems.rs`, `registries.rs` | refusal |
//! | version; ESXi is not managed by a vCenter | [`target`] | warning; refusal, without an override |
//! | the user of the appliance can log in | not checked, because no password is stored; [`recorded`] says so | information |
//! | the host or cluster exists; the name is not in use | `plan.rs`, `existing.rs` | refusal; warning if an installation is resumed |
//! | the datastores of images and volumes exist | `plan.rs` | refusal |
//! | networks exist; no uplinks; on all hosts; bridge not shared, and distributed on several hosts | `plan.rs`, [`networks`] | refusal |
//! | static addresses are consistent; name servers | [`addresses`] | refusal; warning without a name server |
//! | the vCenter persists the connections of serial ports | [`settings`], which VIC changed and this one only reads | warning |
//! | every host's firewall permits the serial lines | [`firewall`] | warning |
//! | licence features | [`licence`] | refusal; warning for an evaluation |
//! | DRS | [`drs`] | warning; refusal if the pool is to be limited |
//! | the name of a VM group is free | not applicable: no VM groups are created | |
//! | certificate and key, authorities | `certificates.rs`: PEM only; the command that reads the files compares the pair | refusal |
//! | registries can be reached | not checked; [`recorded`] says so | information |
//! | datastores are visible to all hosts, and one host sees all; space | [`datastore`] | warning if some hosts do not; refusal if none does, or without space |
//! | the address of a syslog server | not applicable: the appliance's configuration has none | |
//!
//! VIC accepts only distributed port groups on a vCenter, and adds name servers of its own if all
//! addresses are static. This installer accepts standard port groups that are on all hosts, except
//! as the bridge network of several hosts, and no opaque networks.

mod addresses;
mod datastore;
mod drs;
mod firewall;
mod licence;
mod networks;
mod recorded;
pub(in crate::vsphere) mod settings;
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
    /// The datastores of the volume stores, with their labels.
    pub(super) volumes: Vec<(String, DatastoreFacts)>,
    /// Whether a vCenter persists the network connections of serial ports; `None` if unknown.
    pub(super) keeps_serial_ports: Option<bool>,
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
            settings::check,
            firewall::check,
            licence::check,
            drs::check,
            recorded::check,
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
            volumes: Vec::new(),
            keeps_serial_ports: Some(true),
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
