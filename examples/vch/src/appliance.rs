//! The programs of VIC's appliance, and the options that only they use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use examples::certificate_summary::summaries;
use portlayer::exec::Command;
use portlayer::vsphere::{ApplianceComponent, HostSpec, Registries, VolumeStore};

use crate::problems::Problems;

/// The ports of the Docker API with and without TLS.
pub(crate) const TLS: u16 = 2376;
pub(crate) const PLAIN: u16 = 2375;

/// The port of the port layer inside the appliance.
const PORT_LAYER: u16 = 2377;

/// Options that are recorded for the programs of the appliance.
#[derive(Debug, Args)]
pub(crate) struct ForPrograms {
    /// The user as whom the appliance's programs log in to the endpoint. Default: the user of this
    /// command. No password is stored.
    #[arg(long, value_name = "USER")]
    ops_user: Option<String>,
    /// The interval at which the appliance's programs keep their sessions alive, such as `1m`.
    /// Default: their own.
    #[arg(long, value_name = "TIME", value_parser = crate::options::time)]
    keepalive: Option<Duration>,
    /// A registry whose certificate is not checked: `HOST[:PORT]`. Repeat the option for each.
    #[arg(long, visible_alias = "dir", value_name = "REGISTRY")]
    insecure_registry: Vec<String>,
    /// A registry that may be used: `HOST[:PORT]`, with a wildcard or as a network. Repeat the option
    /// for each. Default: all.
    #[arg(long, visible_alias = "wr", value_name = "REGISTRY")]
    whitelist_registry: Vec<String>,
    /// A file with certificates of the registries' authorities. Repeat the option for each file.
    #[arg(long, visible_alias = "rc", value_name = "FILE")]
    registry_ca: Vec<PathBuf>,
    /// A place for volumes, and its label: `ds://DATASTORE/PATH:LABEL` or `nfs://HOST/PATH:LABEL`.
    /// Repeat the option for each.
    #[arg(long, visible_alias = "vs", value_name = "PLACE:LABEL", value_parser = volume_store)]
    volume_store: Vec<(String, VolumeStore)>,
}

impl ForPrograms {
    /// Sets the options in the specification. It is a problem if a file contains no certificates, or
    /// if a label is used twice.
    pub(crate) fn apply(&self, spec: &mut HostSpec, problems: &mut Problems) {
        spec.user.clone_from(&self.ops_user);
        spec.keepalive = self.keepalive.filter(|interval| !interval.is_zero());
        let field = "registries.authorities";
        let authorities = pem("--registry-ca", &self.registry_ca, field, problems);
        let mut registries = Registries::new().authorities(authorities);
        registries.allowed.clone_from(&self.whitelist_registry);
        registries.insecure.clone_from(&self.insecure_registry);
        spec.registries = registries;
        let mut stores = BTreeMap::new();
        for (label, store) in &self.volume_store {
            if stores.insert(label.clone(), store.clone()).is_some() {
                let wrong = anyhow!("two of --volume-store have the label {label:?}");
                problems.keep::<()>("volume_stores", Err(wrong), "choose another label");
            }
        }
        spec.volume_stores = stores;
    }
}

/// Reads certificates of authorities from the files of an option. It is a problem of the field if a
/// file contains none.
pub(crate) fn pem(
    option: &str,
    files: &[PathBuf],
    field: &'static str,
    problems: &mut Problems,
) -> String {
    let mut all = String::new();
    for file in files {
        let remedy = format!("name a file with certificates in PEM with {option}, not {file:?}");
        if let Some(text) = problems.keep(field, certificates(file), &remedy) {
            all.push_str(&text);
        }
    }
    all
}

/// Reads a file with at least one certificate.
fn certificates(file: &Path) -> Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let found = summaries(&text).with_context(|| format!("cannot use {}", file.display()))?;
    ensure!(!found.is_empty(), "no certificate in {}", file.display());
    Ok(text)
}

/// Parses `PLACE:LABEL`.
fn volume_store(text: &str) -> Result<(String, VolumeStore), String> {
    let (place, label) = match text.rsplit_once(':') {
        Some((place, label)) if !label.contains('/') && !label.is_empty() => (place, label),
        _ => return Err(format!("{text:?} has no label: write PLACE:LABEL")),
    };
    let store = place.parse::<VolumeStore>();
    let store = store.map_err(|error| error.to_string())?;
    Ok((label.to_owned(), store))
}

/// Returns the components of VIC's appliance, with the commands that start them.
pub(crate) fn components(tls: bool) -> Vec<ApplianceComponent> {
    let port = if tls { TLS } else { PLAIN };
    let admin = Command::new("/sbin/vicadmin")
        .env("PATH", "/sbin:/bin")
        .env("GOTRACEBACK", "all")
        .working_dir("/home/vicadmin")
        .user("vicadmin")
        .group("vicadmin");
    let docker = Command::new("/sbin/docker-engine-server")
        .arg(format!("-port={port}"))
        .arg(format!("-port-layer-port={PORT_LAYER}"))
        .env("PATH", "/sbin")
        .env("GOTRACEBACK", "all");
    let port_layer = Command::new("/sbin/port-layer-server")
        .arg("--host=localhost")
        .arg(format!("--port={PORT_LAYER}"));
    vec![
        ApplianceComponent::new("vicadmin")
            .command(admin)
            .with_location(),
        ApplianceComponent::new("docker-personality").command(docker),
        ApplianceComponent::new("port-layer")
            .command(port_layer)
            .with_location(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_volumes_have_labels() {
        for (text, label, place) in [
            ("ds://fast/volumes:default", "default", "ds://fast/volumes"),
            ("fast/volumes:a", "a", "ds://fast/volumes"),
            (
                "nfs://10.0.0.9:2049/v?uid=1:b",
                "b",
                "nfs://10.0.0.9:2049/v?uid=1",
            ),
        ] {
            let read = volume_store(text).map(|(label, store)| (label, store.to_string()));
            assert_eq!(read, Ok((label.to_owned(), place.to_owned())));
        }
        for wrong in ["ds://fast/volumes", "ds://fast:", "http://a/b:c"] {
            assert!(volume_store(wrong).is_err(), "{wrong}");
        }
    }
}
