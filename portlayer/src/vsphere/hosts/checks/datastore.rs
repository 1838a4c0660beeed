//! Checks the datastores: that of the host must be accessible, visible to all hosts, and have space
//! for the images, and those of volumes must be accessible and visible to all hosts, too.

use super::Survey;
use crate::vsphere::endpoint::DatastoreFacts;
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
    findings.extend(unavailable(datastore, "choose another with `datastore`"));
    // A machine that is powered on has a swap file of the size of its memory.
    let swap = spec.memory_mib.saturating_mul(1 << 20);
    match datastore.free {
        Some(free) if free < survey.images => findings.push(Finding::refusal(
            Error::exhausted(object(), "space").with_source(format!(
                "the images need {} bytes, {free} are free",
                survey.images
            )),
            "free space on it, or choose another with `datastore`",
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
    findings.extend(mounts(survey, datastore, "datastore"));
    for (label, store) in &survey.volumes {
        if store.name == datastore.name {
            continue;
        }
        let remedy = format!("choose another for {label:?} of `volume_stores`");
        findings.extend(unavailable(store, &remedy));
        findings.extend(mounts(survey, store, "volume_stores"));
        findings.extend(apart(survey, datastore, (label.as_str(), store)));
    }
    findings
}

/// Returns a finding if a datastore cannot be used at the moment.
fn unavailable(datastore: &DatastoreFacts, otherwise: &str) -> Option<Finding> {
    let is_usable = datastore.accessible != Some(false) && !datastore.in_maintenance;
    (!is_usable).then(|| {
        let object = Resource::new(kind::DATASTORE, &datastore.name);
        let remedy = format!("end its maintenance, or {otherwise}");
        Finding::refusal(Error::unavailable(object, None), remedy)
    })
}

/// Returns a finding if some hosts do not mount a datastore.
fn mounts(survey: &Survey, datastore: &DatastoreFacts, field: &'static str) -> Option<Finding> {
    let object = Resource::new(kind::DATASTORE, &datastore.name);
    let hosts = survey.compute.iter().flat_map(|compute| &compute.hosts);
    let (seeing, blind): (Vec<_>, Vec<_>) =
        hosts.partition(|host| datastore.hosts.contains(&host.id));
    if datastore.hosts.is_empty() || blind.is_empty() {
        return None;
    }
    let names: Vec<_> = blind.iter().map(|host| host.name.as_str()).collect();
    let message = format!("it is not mounted on {}", names.join(", "));
    let remedy = "mount it on all hosts of the compute resource";
    Some(if seeing.is_empty() {
        Finding::refusal(Error::invalid_argument(object, field, message), remedy)
    } else {
        let message = format!("{object}: {message}");
        Finding::warning(object, message, remedy)
    })
}

/// Returns a finding if no host mounts both the host's datastore and that of volumes, although some
/// host mounts each: a container has disks on both.
fn apart(
    survey: &Survey,
    datastore: &DatastoreFacts,
    (label, store): (&str, &DatastoreFacts),
) -> Option<Finding> {
    let hosts = || survey.compute.iter().flat_map(|compute| &compute.hosts);
    let mounts = |store: &DatastoreFacts, id: &String| store.hosts.contains(id);
    let has_host = |store| hosts().any(|host| mounts(store, &host.id));
    let has_both = hosts().any(|host| mounts(datastore, &host.id) && mounts(store, &host.id));
    (has_host(datastore) && has_host(store) && !has_both).then(|| {
        let reason = format!("no host mounts it together with {:?}", datastore.name);
        let object = Resource::new(kind::DATASTORE, &store.name);
        let error = Error::invalid_argument(object, "volume_stores", reason);
        let remedy = format!("mount both on one host, or choose another for {label:?}");
        Finding::refusal(error, remedy)
    })
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

    #[test]
    fn datastores_of_volumes_must_be_usable_on_a_common_host() {
        let volumes = |spoil: fn(&mut DatastoreFacts)| {
            let mut survey = scene::survey();
            survey
                .datastore
                .iter_mut()
                .for_each(|datastore| datastore.hosts.truncate(1));
            let mut store = DatastoreFacts {
                name: "bulk".into(),
                accessible: Some(true),
                hosts: vec!["host-1".into(), "host-2".into()],
                ..DatastoreFacts::default()
            };
            spoil(&mut store);
            survey.volumes = vec![("archive".into(), store)];
            let mut found = scene::worse(&check(&survey, &scene::spec()));
            // That of the host is not mounted on all hosts.
            found.remove(0);
            found
        };
        assert_eq!(volumes(|_| {}), []);
        let found = volumes(|store| store.in_maintenance = true);
        assert_eq!(found[0].0, Severity::Error);
        assert!(
            found[0]
                .1
                .contains("another for \"archive\" of `volume_stores`"),
            "{found:?}"
        );
        let found = volumes(|store| store.hosts = vec!["host-9".into()]);
        assert_eq!(found[0].0, Severity::Error);
        assert!(
            found[0].1.contains("not mounted on host-1.example"),
            "{found:?}"
        );
        let found = volumes(|store| store.hosts = vec!["host-2".into()]);
        assert_eq!(
            found.iter().map(|found| found.0).max(),
            Some(Severity::Error)
        );
        assert!(
            found[1]
                .1
                .contains("no host mounts it together with \"fast\""),
            "{found:?}"
        );
    }
}
