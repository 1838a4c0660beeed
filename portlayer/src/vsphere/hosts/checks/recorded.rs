//! Names the parts of a specification that are recorded for the programs of the appliance without
//! being checked.

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;

pub(super) fn check(_survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let object = || kind::host(&spec.name);
    let mut findings = Vec::new();
    if let Some(user) = &spec.user {
        let message = format!(
            "Credentials check SKIPPED - no password of {user:?} is known, and its rights are not read"
        );
        findings.push(Finding::info(object(), message));
    }
    let registries = &spec.registries;
    if !registries.allowed.is_empty() || !registries.insecure.is_empty() {
        let message = "Registries check SKIPPED - the installation does not contact them";
        findings.push(Finding::info(object(), message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::hosts::Registries;

    #[test]
    fn what_is_not_checked_is_named() {
        let found = |spec: &HostSpec| check(&scene::survey(), spec).len();
        assert_eq!(found(&scene::spec()), 0);
        let spec = scene::spec().user("operator");
        assert_eq!(found(&spec), 1);
        let registries = Registries::new().insecure("10.0.0.9:5000");
        assert_eq!(found(&spec.registries(registries)), 2);
    }
}
