//! Checks DRS: without it, a cluster has no resource pools.

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;
use crate::{Error, Resource};

pub(super) fn check(survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let Some(compute) = &survey.compute else {
        return Vec::new();
    };
    let object = Resource::new(kind::COMPUTE_RESOURCE, &compute.name);
    vec![match compute.drs {
        None => Finding::info(object, "DRS check SKIPPED - target is standalone host"),
        Some(true) => Finding::info(object, format!("DRS check OK on {:?}", compute.name)),
        Some(false) if !spec.pool.is_default() => {
            let reason = format!(
                "DRS is off on {:?}, so the host gets no resource pool to limit ({})",
                compute.name, spec.pool
            );
            let error = Error::invalid_argument(object, "pool", reason);
            Finding::refusal(error, "enable DRS first, or omit the limits of the pool")
        }
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
    use crate::exec::Allocation;
    use crate::vsphere::hosts::{PoolAllocation, Severity};

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

    #[test]
    fn limits_of_a_pool_need_drs() {
        let mut survey = scene::survey();
        let limit = Allocation::new().limit(2000);
        let spec = scene::spec().pool(PoolAllocation::new().cpu(limit));
        assert_eq!(check(&survey, &spec)[0].severity, Severity::Info);
        let compute = survey.compute.as_mut();
        compute
            .into_iter()
            .for_each(|compute| compute.drs = Some(false));
        let found = check(&survey, &spec);
        assert_eq!(found[0].severity, Severity::Error, "{found:?}");
        assert!(found[0].to_string().contains("CPU: at most 2000 MHz"));
    }
}
