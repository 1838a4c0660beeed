//! Checks the networks: their roles, their kinds, and the hosts that they are on.

use super::Survey;
use crate::vsphere::endpoint::NetworkFacts;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::{Error, Resource};

pub(super) fn check(survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    let several_hosts = survey
        .compute
        .as_ref()
        .is_some_and(|compute| compute.hosts.len() > 1);
    if let Some(bridge) = &survey.bridge {
        let object = || Resource::network(&bridge.name);
        for (role, network) in &survey.others {
            if network.name == bridge.name {
                let error = Error::invalid_argument(
                    object(),
                    "bridge_network",
                    format!("it is also the {role} network"),
                );
                findings.push(Finding::refusal(
                    error,
                    "containers need a bridge network that nothing else uses: choose another",
                ));
            }
        }
        if survey.target.is_vcenter && several_hosts && !bridge.is_distributed {
            let error = Error::invalid_argument(
                object(),
                "bridge_network",
                "it is not a distributed port group: containers on different hosts could not \
                 reach each other",
            );
            findings.push(Finding::refusal(
                error,
                "choose a port group of a distributed switch",
            ));
        }
    }
    if spec.public_network.is_none() && !spec.create_bridge {
        findings.push(Finding::info(
            Resource::network(survey.bridge.as_ref().map_or("", |bridge| &bridge.name)),
            "no public network is named: the appliance is only on the bridge network",
        ));
    }
    let mut seen = Vec::new();
    let others = survey.others.iter().map(|(_, network)| network);
    for network in survey.bridge.iter().chain(others) {
        if seen.contains(&&network.name) {
            continue;
        }
        seen.push(&network.name);
        findings.extend(check_one(survey, network));
    }
    findings
}

fn check_one(survey: &Survey, network: &NetworkFacts) -> Vec<Finding> {
    let object = || Resource::network(&network.name);
    let mut findings = Vec::new();
    if network.is_uplink {
        let error = Error::invalid_argument(
            object(),
            "network",
            "it carries the uplinks of its distributed switch",
        );
        findings.push(Finding::refusal(error, "choose another port group"));
    }
    let hosts = survey.compute.iter().flat_map(|compute| &compute.hosts);
    let missing: Vec<_> = hosts
        .filter(|host| !network.hosts.is_empty() && !network.hosts.contains(&host.id))
        .map(|host| host.name.as_str())
        .collect();
    if !missing.is_empty() {
        let error = Error::invalid_argument(
            object(),
            "network",
            format!("it is not on {}", missing.join(", ")),
        );
        findings.push(Finding::refusal(
            error,
            "attach all hosts of the compute resource to its switch",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Severity;

    fn found(spoil: impl Fn(&mut Survey)) -> Vec<(Severity, String)> {
        let mut survey = scene::survey();
        spoil(&mut survey);
        scene::worse(&check(&survey, &scene::spec()))
    }

    #[test]
    fn good_ones_are_accepted() {
        assert_eq!(found(|_| {}), []);
    }

    #[test]
    fn a_bridge_with_another_role_is_refused() {
        let found = found(|survey| survey.others[0].1.name = "bridge".into());
        assert_eq!(found[0].0, Severity::Error);
        assert!(found[0].1.contains("also the public network"), "{found:?}");
    }

    #[test]
    fn a_standard_network_is_no_bridge_of_several_hosts() {
        let spoil = |survey: &mut Survey| {
            survey
                .bridge
                .iter_mut()
                .for_each(|bridge| bridge.is_distributed = false);
        };
        assert!(found(spoil)[0].1.contains("not a distributed port group"));
        let on_one = |survey: &mut Survey| {
            spoil(survey);
            survey
                .compute
                .iter_mut()
                .for_each(|compute| compute.hosts.truncate(1));
        };
        assert_eq!(found(on_one), []);
    }

    #[test]
    fn uplinks_and_missing_hosts_are_named() {
        let found = found(|survey| {
            survey.others[0].1.is_uplink = true;
            survey.others[0].1.hosts.truncate(1);
        });
        assert_eq!(found.len(), 2, "all of them, not the first: {found:?}");
        assert!(found[1].1.contains("not on host-2.example"), "{found:?}");
    }
}
