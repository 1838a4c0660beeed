//! Checks DRS: without it, a cluster has no resource pools.

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;
use crate::{Error, Resource};

pub(super) fn check(survey: &Survey, _spec: &HostSpec) -> Vec<Finding> {
    let Some(compute) = &survey.compute else {
        return Vec::new();
    };
    let object = Resource::new(kind::COMPUTE_RESOURCE, &compute.name);
    vec![match compute.drs {
        None => Finding::info(object, "DRS check SKIPPED - target is standalone host"),
        Some(true) => Finding::info(object, format!("DRS check OK on {:?}", compute.name)),
        Some(false) => Finding::refusal(
            Error::invalid_argument(
                object,
                "compute",
                "DRS is off, and it has no resource pools",
            ),
            "enable DRS on the cluster, or name a standalone host",
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Severity;

    #[test]
    fn a_cluster_without_drs_is_refused() {
        let mut survey = scene::survey();
        for (drs, expected) in [
            (None, Severity::Info),
            (Some(true), Severity::Info),
            (Some(false), Severity::Error),
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
