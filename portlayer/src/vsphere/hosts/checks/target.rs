//! Checks the target: its version, and whether a vCenter manages it.

use std::net::IpAddr;

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;
use crate::{Error, Resource, ResourceKind};

/// The oldest API version that VIC's last installer worked with.
const OLDEST: u32 = 6;

pub(super) fn check(survey: &Survey, _spec: &HostSpec) -> Vec<Finding> {
    let target = &survey.target;
    let object = || Resource::new(ResourceKind::Endpoint, &target.name);
    let mut findings = vec![Finding::info(object(), target.full_name.clone())];
    let major = target.api_version.split('.').next().map(str::parse::<u32>);
    match major {
        Some(Ok(major)) if major >= OLDEST => {}
        _ => findings.push(Finding::warning(
            object(),
            format!("version {:?} of the API is untested", target.api_version),
            "use vSphere 6.0 or later",
        )),
    }
    if target.is_vcenter {
        return findings;
    }
    let hosts = survey.compute.iter().flat_map(|compute| &compute.hosts);
    findings.extend(hosts.filter_map(|host| {
        let vcenter = host.managed_by.as_deref()?;
        // A vCenter is never at a loopback address. vcsim's host names one although nothing manages
        // it.
        if vcenter.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return None;
        }
        let object = Resource::new(kind::HOST_SYSTEM, &host.name);
        let error = Error::in_use(object, format!("the vCenter at {vcenter}"));
        Some(Finding::refusal(
            error,
            "connect to that vCenter, and install through it",
        ))
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Severity;

    #[test]
    fn a_host_of_a_vcenter_is_refused() {
        let mut survey = scene::survey();
        survey.target.is_vcenter = false;
        assert_eq!(scene::worse(&check(&survey, &scene::spec())), []);
        if let Some(compute) = &mut survey.compute {
            compute.hosts.truncate(1);
            compute.hosts[0].managed_by = Some("10.0.0.1".into());
        }
        let found = scene::worse(&check(&survey, &scene::spec()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, Severity::Error);
        assert!(
            found[0]
                .1
                .contains("the vCenter at 10.0.0.1; connect to that"),
            "{found:?}"
        );
        if let Some(compute) = &mut survey.compute {
            compute.hosts[0].managed_by = Some("127.0.0.1".into());
        }
        assert_eq!(scene::worse(&check(&survey, &scene::spec())), []);
    }

    #[test]
    fn an_old_version_is_named() {
        let mut survey = scene::survey();
        for version in ["5.5", "", "new"] {
            survey.target.api_version = version.into();
            let found = scene::worse(&check(&survey, &scene::spec()));
            assert!(found[0].1.contains(version), "{found:?}");
        }
    }
}
