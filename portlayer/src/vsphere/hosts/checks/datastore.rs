//! Checks the datastore: it must be accessible, visible to all hosts, and have space for the
//! images.

use super::Survey;
use crate::vsphere::hosts::HostSpec;
use crate::vsphere::hosts::finding::Finding;
use crate::vsphere::kind;
use crate::{Error, Resource};

pub(super) fn check(survey: &Survey, spec: &HostSpec) -> Vec<Finding> {
    let Some(datastore) = &survey.datastore else {
        return Vec::new();
    };
    let object = || Resource::new(kind::DATASTORE, &datastore.name);
    let mut findings = Vec::new();
    if datastore.accessible == Some(false) || datastore.in_maintenance {
        findings.push(Finding::refusal(
            Error::unavailable(object(), None),
            "end its maintenance, or choose another with --image-store",
        ));
    }
    // A machine that is powered on has a swap file of the size of its memory.
    let swap = spec.memory_mib.saturating_mul(1 << 20);
    match datastore.free {
        Some(free) if free < survey.images => findings.push(Finding::refusal(
            Error::exhausted(object(), "space").with_source(format!(
                "the images need {} bytes, {free} are free",
                survey.images
            )),
            "free space on it, or choose another with --image-store",
        )),
        Some(free) if free < survey.images.saturating_add(swap) => {
            findings.push(Finding::warning(
                object(),
                format!(
                    "{free} bytes are free: too few for the images and the appliance's swap file"
                ),
                "free space on it",
            ));
        }
        _ => {}
    }
    let hosts = survey.compute.iter().flat_map(|compute| &compute.hosts);
    let (seeing, blind): (Vec<_>, Vec<_>) =
        hosts.partition(|host| datastore.hosts.contains(&host.id));
    if !datastore.hosts.is_empty() && !blind.is_empty() {
        let names: Vec<_> = blind.iter().map(|host| host.name.as_str()).collect();
        let message = format!("it is not mounted on {}", names.join(", "));
        let remedy = "mount it on all hosts of the compute resource";
        findings.push(if seeing.is_empty() {
            let error = Error::invalid_argument(object(), "datastore", message);
            Finding::refusal(error, remedy)
        } else {
            Finding::warning(object(), format!("{}: {message}", object()), remedy)
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;
    use crate::vsphere::endpoint::DatastoreFacts;
    use crate::vsphere::hosts::Severity;

    fn found(spoil: impl Fn(&mut DatastoreFacts)) -> Vec<(Severity, String)> {
        let mut survey = scene::survey();
        survey.datastore.iter_mut().for_each(spoil);
        scene::worse(&check(&survey, &scene::spec()))
    }

    #[test]
    fn a_good_one_is_accepted() {
        assert_eq!(found(|_| {}), []);
        // An endpoint that does not report which hosts mount the datastore.
        assert_eq!(found(|datastore| datastore.hosts.clear()), []);
    }

    #[test]
    fn too_little_space_is_refused_and_little_warned_of() {
        let none = found(|datastore| datastore.free = Some(1));
        assert_eq!(none[0].0, Severity::Error);
        assert!(none[0].1.contains("need 2 bytes, 1 are free"), "{none:?}");
        let little = found(|datastore| datastore.free = Some(1 << 20));
        assert_eq!(little[0].0, Severity::Warning);
    }

    #[test]
    fn one_that_no_host_mounts_is_refused_and_the_missing_are_named() {
        let some = found(|datastore| datastore.hosts.truncate(1));
        assert_eq!(some[0].0, Severity::Warning);
        assert!(
            some[0].1.contains("not mounted on host-2.example"),
            "{some:?}"
        );
        let none = found(|datastore| datastore.hosts = vec!["host-9".into()]);
        assert_eq!(none[0].0, Severity::Error);
    }

    #[test]
    fn one_in_maintenance_is_refused() {
        assert_eq!(found(|d| d.in_maintenance = true)[0].0, Severity::Error);
        assert_eq!(found(|d| d.accessible = Some(false))[0].0, Severity::Error);
    }
}
