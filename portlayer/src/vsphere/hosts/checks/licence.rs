//! Checks licences: serial lines over the network and distributed switches are licensed features.

use super::Survey;
use crate::vsphere::endpoint::HostFacts;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;
use crate::{Error, Resource};

/// The key of the feature "serial port that connects to a URI"; the next one is that of distributed
/// switches.
const SERIAL: &str = "serialuri";
const SWITCH: &str = "dvs";

pub(super) fn check(survey: &Survey, _spec: &HostSpec) -> Vec<Finding> {
    let Some(compute) = &survey.compute else {
        return Vec::new();
    };
    let hosts = compute.hosts.iter();
    let findings: Vec<_> = hosts
        .flat_map(|host| of_host(host, survey.target.is_vcenter))
        .collect();
    if findings.is_empty() {
        let object = Resource::new(crate::ResourceKind::Endpoint, &survey.target.name);
        return vec![Finding::info(object, "License check OK")];
    }
    findings
}

fn of_host(host: &HostFacts, is_vcenter: bool) -> Vec<Finding> {
    let object = || Resource::new(kind::HOST_SYSTEM, &host.name);
    if host.licences.is_empty() {
        return vec![Finding::info(
            object(),
            format!(
                "License check SKIPPED - licenses of {:?} cannot be read",
                host.name
            ),
        )];
    }
    if host.licences.iter().any(|licence| licence.is_evaluation) {
        return vec![Finding::warning(
            object(),
            format!("{:?} has an evaluation license", host.name),
            "assign a license with the features serialuri and dvs before it expires",
        )];
    }
    let has = |feature: &str| {
        let mut features = host.licences.iter().flat_map(|licence| &licence.features);
        features.any(|known| known == feature)
    };
    // A licence that lists no features does not restrict them.
    if host
        .licences
        .iter()
        .all(|licence| licence.features.is_empty())
    {
        return Vec::new();
    }
    let needed = [(SERIAL, true), (SWITCH, is_vcenter)];
    needed
        .into_iter()
        .filter(|(feature, needed)| *needed && !has(feature))
        .map(|(feature, _)| {
            let error = Error::invalid_argument(
                object(),
                "license",
                format!("its license lacks the feature {feature}"),
            );
            Finding::refusal(error, "assign a license of the edition Enterprise Plus")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::endpoint::Licence;
    use crate::vsphere::hosts::Severity;

    fn found(licences: &[Licence]) -> Vec<(Severity, String)> {
        let mut survey = scene::survey();
        if let Some(compute) = &mut survey.compute {
            compute.hosts.truncate(1);
            compute.hosts[0].licences = licences.to_vec();
        }
        scene::worse(&check(&survey, &scene::spec()))
    }

    fn licence(features: &[&str]) -> Licence {
        Licence {
            is_evaluation: false,
            features: features.iter().map(|&feature| feature.into()).collect(),
        }
    }

    #[test]
    fn missing_features_are_named_all_at_once() {
        assert_eq!(found(&[licence(&["serialuri", "dvs"])]), []);
        assert_eq!(found(&[licence(&["dvs"]), licence(&["serialuri"])]), []);
        assert_eq!(found(&[licence(&[])]), []);
        assert_eq!(found(&[licence(&["vmotion"])]).len(), 2);
    }

    #[test]
    fn an_evaluation_is_warned_of() {
        let evaluation = Licence {
            is_evaluation: true,
            ..Licence::default()
        };
        assert_eq!(found(&[evaluation])[0].0, Severity::Warning);
    }
}
