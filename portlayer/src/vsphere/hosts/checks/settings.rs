//! Checks the advanced settings of a vCenter. VIC's installer changed them; this one only reads.

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::{Resource, ResourceKind};

/// The setting with which a vCenter keeps the connections of serial ports when it is restarted.
pub(in crate::vsphere) const SERIAL_PORTS: &str = "config.vpxd.SerialPort.PersistNetworkBacking";

pub(super) fn check(survey: &Survey, _spec: &HostSpec) -> Vec<Finding> {
    let target = &survey.target;
    if !target.is_vcenter {
        return Vec::new();
    }
    let object = Resource::new(ResourceKind::Endpoint, &target.name);
    vec![match survey.keeps_serial_ports {
        Some(true) => Finding::info(object, "vCenter settings check OK"),
        None => Finding::info(
            object,
            format!("vCenter settings check SKIPPED - {SERIAL_PORTS} cannot be read"),
        ),
        Some(false) => Finding::warning(
            object,
            "the vCenter forgets the network connections of serial ports when it restarts: \
             containers that exist then cannot be attached to anymore",
            format!("set its advanced setting {SERIAL_PORTS} to true"),
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Severity;

    #[test]
    fn a_vcenter_that_forgets_serial_ports_is_warned_of() {
        let mut survey = scene::survey();
        for (keeps, expected) in [
            (Some(true), Severity::Info),
            (None, Severity::Info),
            (Some(false), Severity::Warning),
        ] {
            survey.keeps_serial_ports = keeps;
            let found = check(&survey, &scene::spec());
            assert_eq!(found[0].severity, expected, "{found:?}");
        }
        assert!(
            scene::worse(&check(&survey, &scene::spec()))[0]
                .1
                .contains(SERIAL_PORTS)
        );
        survey.target.is_vcenter = false;
        assert!(check(&survey, &scene::spec()).is_empty());
    }
}
