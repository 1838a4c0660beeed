//! Checks DRS: without it, a cluster has no resource pools.

use super::Survey;
use crate::Resource;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;

pub(super) fn check(survey: &Survey, _spec: &HostSpec) -> Vec<Finding> {
    let Some(compute) = &survey.compute else {
        return Vec::new();
    };
    let object = Resource::new(kind::COMPUTE_RESOURCE, &compute.name);
    vec![match compute.drs {
        None => Finding::info(object, "DRS check SKIPPED - target is standalone host"),
        Some(true) => Finding::info(object, format!("DRS check OK on {:?}", compute.name)),
        Some(false) => Finding::warning(
            object,
            format!(
                "DRS is off on {:?}: the host gets no resource pool, and its machines compete with \
                 all others of the cluster without limits, reservations and shares in common",
                compute.name
            ),
            "enable DRS first to install the host with a pool",
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Severity;

    #[test]
    fn a_cluster_without_drs_is_warned_of() {
        let mut survey = scene::survey();
        for (drs, expected) in [
            (None, Severity::Info),
            (Some(true), Severity::Info),
            (Some(false), Severity::Warning),
        ] {
            survey
                .compute
                .iter_mut()
                .for_each(|compute| compute.drs = drs);
            let found = check(&survey, &scene::spec());
            assert_eq!(found[0].severity, expected, "{found:?}");
        }
    }
}
