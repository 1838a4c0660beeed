//! Copies of the stored scopes, in files of the appliance's directory.
//!
//! The appliance is usually on, and some endpoints forget the keys that were written while a machine
//! was on as soon as it is switched off. So the scopes have a version, and each version is stored
//! twice: first in the keys, then in a file whose name contains the version. A change is acknowledged
//! once both are stored. Of the keys and the readable files, the highest version is valid.
//!
//! The endpoint refuses a change of the keys that is based on an outdated version of the appliance,
//! so a version has only one content, even if two programs write its file. So the keys come first.
//!
//! If a program ends in between, the keys have a version without a file. If the endpoint forgets
//! keys, the file has the higher version. In both cases, the next program that changes scopes or
//! connects a container stores the scopes again, as a new version.
//!
//! A request that is carried out after the program that sent it has ended can write its file over one
//! of the same version of a later program, if the endpoint forgot the keys of the first one in
//! between. The keys then differ from the file, which [`Look::Compare`] finds, and a repair stores the
//! scopes as a new version. If the endpoint forgets the keys again before that, the scopes of the late
//! file are valid. A file has no condition on which the endpoint could refuse to write it. An [only
//! writer](crate::vsphere::Options::sole_writer) that takes over ends the session of the former one
//! where it is allowed to, so that requests that arrive later are refused; one that the endpoint has
//! already accepted can still be carried out.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vim25::types::VirtualMachineConfigSpec;
use vsphere_client::Datastore;

use super::HostNetworks;
use super::scopes::{Stored, changes, read};
use crate::vsphere::endpoint::{Endpoint, Machine};
use crate::vsphere::machine_spec::options;
use crate::vsphere::record::Keys;
use crate::{Error, ErrorKind, Resource, Result};

const PREFIX: &str = "portlayer-scopes-";
const SUFFIX: &str = ".json";

/// Maximum size of a copy in bytes, several times that of the largest configuration of a machine.
const MAX_SIZE: u64 = 16 << 20;

/// Maximum number of attempts to store the scopes again while the appliance is changed concurrently.
const TRIES: usize = 5;

/// Returns the name of the file with this version.
fn file_name(version: u64) -> String {
    format!("{PREFIX}{version}{SUFFIX}")
}

fn version_of(name: &str) -> Option<u64> {
    let version = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    version.parse().ok()
}

/// The content of a copy. An incomplete file cannot be parsed.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    version: u64,
    scopes: Stored,
}

/// Deletes the copies in a host's directory; both paths are `[datastore] path`.
pub(in crate::vsphere) async fn delete_copies(
    endpoint: &Endpoint,
    datastore: &Datastore,
    directory: &str,
    resource: &Resource,
) -> Result<()> {
    for (_, name) in copies_in(endpoint, datastore, directory, resource).await? {
        let path = format!("{directory}/{name}");
        endpoint.delete_file(datastore, &path, resource).await?;
    }
    Ok(())
}

/// Lists the copies in a directory, the newest first.
async fn copies_in(
    endpoint: &Endpoint,
    datastore: &Datastore,
    directory: &str,
    resource: &Resource,
) -> Result<Vec<(u64, String)>> {
    let pattern = format!("{PREFIX}*{SUFFIX}");
    let files = endpoint.files_like(datastore, directory, &pattern, resource);
    let mut copies: Vec<_> = files
        .await?
        .into_iter()
        .filter_map(|name| Some((version_of(&name)?, name)))
        .collect();
    copies.sort_unstable_by(|one, other| other.cmp(one));
    Ok(copies)
}

/// The appliance, and when it was powered on.
#[derive(Debug)]
pub(super) struct Appliance {
    pub(super) machine: Machine,
    pub(super) keys: Keys,
    booted: Option<Timestamp>,
}

/// How to look at the copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Only if the appliance was off, or its keys have another version, since the last look.
    IfNeeded,
    /// List them, and read those that are newer than the keys.
    List,
    /// Also compare the copy of the version in the keys with the keys.
    Compare,
}

/// The scopes, and how they are stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Current {
    pub(super) scopes: Stored,
    /// The version in the keys; `None` if the keys have no version yet.
    in_keys: Option<u64>,
    /// The file with a newer version than the keys, from which the scopes are.
    newer: Option<String>,
    /// The files of versions that are not older than that of the keys, and cannot be used: damaged,
    /// or with other scopes than the keys.
    unusable: Vec<String>,
    /// Whether there is a file with the version of the keys, or nothing to store in one.
    has_copy: bool,
    /// The versions of all files, with their names, the newest first.
    copies: Vec<(u64, String)>,
}

impl Current {
    /// Returns whether the scopes have to be stored again.
    fn is_unsettled(&self) -> bool {
        self.newer.is_some() || !self.unusable.is_empty() || !self.has_copy
    }

    /// Returns the version of the next change.
    fn next_version(&self) -> u64 {
        let newest = self.copies.first().map(|(version, _)| *version);
        self.in_keys.max(newest).map_or(1, |v| v.saturating_add(1))
    }
}

/// The result of the last look at the copies.
#[derive(Debug, Default)]
pub(super) struct Checked(Mutex<Option<(Option<Timestamp>, Current)>>);

impl Checked {
    fn get(&self, appliance: &Appliance, in_keys: Option<u64>) -> Option<Current> {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (booted, current) = checked.as_ref()?;
        // While the appliance is off, it cannot be told whether it was on since the last look.
        let is_same_run = booted.is_some() && *booted == appliance.booted;
        (is_same_run && current.in_keys == in_keys).then(|| current.clone())
    }

    fn set(&self, appliance: &Appliance, current: Current) {
        let mut checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *checked = Some((appliance.booted, current));
    }

    fn is_unsettled(&self) -> bool {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        checked.as_ref().is_some_and(|(_, c)| c.is_unsettled())
    }
}

/// A problem with the copies of the scopes; the paths are `[datastore] path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum CopyProblem {
    /// The keys are older than this file.
    Forgotten(String),
    /// This file is missing, damaged, or has other scopes than the keys.
    Unusable(String),
}

impl HostNetworks {
    pub(super) async fn appliance(&self, resource: &Resource) -> Result<Appliance> {
        let vm = &self.objects.appliance;
        let (machine, booted) = self.endpoint.machine_with_boot_time(vm, resource).await?;
        let keys = machine.keys.unpack();
        Ok(Appliance {
            machine,
            keys,
            booted,
        })
    }

    /// Returns the scopes that are valid now. The caller holds the `scopes` lock.
    pub(super) async fn current(
        &self,
        appliance: &Appliance,
        look: Look,
        resource: &Resource,
    ) -> Result<Current> {
        let (in_keys, scopes) = read(&appliance.keys);
        if look == Look::IfNeeded
            && let Some(checked) = self.checked.get(appliance, in_keys)
        {
            let is_newer = checked.newer.is_some();
            let scopes = if is_newer {
                checked.scopes.clone()
            } else {
                scopes
            };
            return Ok(Current { scopes, ..checked });
        }
        let directory = appliance.machine.directory();
        let datastore = self.datastore_of(&directory, resource).await?;
        let copies = copies_in(&self.endpoint, &datastore, &directory, resource).await;
        let copies = match copies {
            // Without the right to list files, the keys are all there is.
            Err(error) if look == Look::IfNeeded && !is_passing(&error) => {
                tracing::warn!(%error, "cannot look for copies of the scopes");
                return Ok(Current {
                    scopes,
                    in_keys,
                    has_copy: true,
                    ..Current::default()
                });
            }
            copies => copies?,
        };
        let is_empty = in_keys.is_none() && scopes.is_empty();
        let mut current = Current {
            has_copy: is_empty || copies.iter().any(|(version, _)| Some(*version) == in_keys),
            scopes,
            in_keys,
            copies,
            ..Current::default()
        };
        for (version, name) in &current.copies {
            let is_newer = Some(*version) > in_keys;
            if !is_newer && (look != Look::Compare || Some(*version) < in_keys) {
                break;
            }
            let path = format!("{directory}/{name}");
            match self.read_copy(&datastore, &path, *version).await? {
                Some(copied) if is_newer => {
                    current.scopes = copied;
                    current.newer = Some(name.clone());
                    break;
                }
                Some(copied) if copied == current.scopes => {}
                _ => current.unusable.push(name.clone()),
            }
        }
        self.checked.set(appliance, current.clone());
        Ok(current)
    }

    /// Stores the scopes in the keys and in a file, as a new version. The caller holds the `scopes`
    /// lock. If the future is dropped in between, the scopes are in the keys only.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if the appliance was changed concurrently;
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) if the keys have the scopes, but perhaps no file.
    pub(super) async fn commit(
        &self,
        appliance: &Appliance,
        current: &Current,
        scopes: Stored,
        resource: &Resource,
    ) -> Result<()> {
        let internal = |error: String| Error::internal(resource.clone(), error);
        let version = current.next_version();
        let keys = changes(&appliance.keys, (version, &scopes)).map_err(internal)?;
        let change = VirtualMachineConfigSpec {
            change_version: appliance.machine.change_version.clone(),
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        let vm = &self.objects.appliance;
        self.endpoint.reconfigure(vm, &change, resource).await?;
        let directory = appliance.machine.directory();
        let copy = Copy { version, scopes };
        let stored = async {
            let content = serde_json::to_vec(&copy).map_err(|error| internal(error.to_string()))?;
            let datastore = self.datastore_of(&directory, resource).await?;
            let path = format!("{directory}/{}", file_name(version));
            self.endpoint
                .write_file(&datastore, &path, content, resource)
                .await?;
            Ok(datastore)
        };
        let datastore = stored.await.map_err(|error: Error| {
            let what = "the change of the scopes, of which no copy could be stored,";
            Error::outcome_unknown(resource.clone(), what).with_source(error)
        })?;
        let name = file_name(version);
        self.checked.set(
            appliance,
            Current {
                scopes: copy.scopes,
                in_keys: Some(version),
                has_copy: true,
                copies: vec![(version, name)],
                ..Current::default()
            },
        );
        for (_, old) in &current.copies {
            let path = format!("{directory}/{old}");
            let deleted = self.endpoint.delete_file(&datastore, &path, resource);
            // Best effort: the next change deletes it.
            if let Err(error) = deleted.await {
                tracing::debug!(path, %error, "cannot delete an old copy of the scopes");
            }
        }
        Ok(())
    }

    /// Stores the scopes again if the last look at them found that they are not stored twice. Best
    /// effort: the next look finds it again.
    pub(super) async fn settle_scopes(&self) {
        if self.checked.is_unsettled()
            && let Err(error) = self.store_scopes_again(Look::List).await
        {
            tracing::warn!(%error, "cannot store the scopes again");
        }
    }

    /// Stores the scopes again unless the keys and a file have them.
    pub(in crate::vsphere) async fn repair_scopes(&self) -> Result<()> {
        self.store_scopes_again(Look::Compare).await
    }

    async fn store_scopes_again(&self, look: Look) -> Result<()> {
        let _turn = self.scopes.lock().await;
        let host = self.objects.host();
        let mut tries = 0;
        loop {
            let appliance = self.appliance(&host).await?;
            let current = self.current(&appliance, look, &host).await?;
            if !current.is_unsettled() {
                return Ok(());
            }
            let scopes = current.scopes.clone();
            match self.commit(&appliance, &current, scopes, &host).await {
                Err(error) if error.is_conflict() && tries < TRIES => tries += 1,
                stored => return stored,
            }
        }
    }

    /// Compares the scopes in the keys with their copies.
    pub(in crate::vsphere) async fn copy_problems(&self) -> Result<Vec<CopyProblem>> {
        let _turn = self.scopes.lock().await;
        let host = self.objects.host();
        let appliance = self.appliance(&host).await?;
        let current = self.current(&appliance, Look::Compare, &host).await?;
        let directory = appliance.machine.directory();
        let path = |name: &String| format!("{directory}/{name}");
        let mut problems: Vec<_> = current.unusable.iter().map(path).collect();
        if !current.has_copy && current.newer.is_none() {
            problems.push(path(&file_name(current.in_keys.unwrap_or_default())));
        }
        let problems = problems.into_iter().map(CopyProblem::Unusable);
        let forgotten = current.newer.as_ref().map(path).map(CopyProblem::Forgotten);
        Ok(problems.chain(forgotten).collect())
    }

    async fn datastore_of(&self, directory: &str, resource: &Resource) -> Result<Datastore> {
        self.endpoint
            .datastore_of(&self.objects, directory, resource)
            .await
    }

    /// Reads a copy; `None` if it is damaged, or was deleted concurrently.
    async fn read_copy(
        &self,
        datastore: &Datastore,
        path: &str,
        version: u64,
    ) -> Result<Option<Stored>> {
        let host = self.objects.host();
        let content = self.endpoint.read_file(datastore, path, MAX_SIZE, &host);
        let content = match content.await {
            Err(error) if error.is_not_found() => return Ok(None),
            content => content?,
        };
        match serde_json::from_slice::<Copy>(&content) {
            Ok(copy) if copy.version == version => Ok(Some(copy.scopes)),
            Ok(copy) => {
                tracing::warn!(path, version = copy.version, "a copy has another version");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(path, %error, "cannot read a copy of the scopes");
                Ok(None)
            }
        }
    }
}

/// Returns whether the same request may succeed later.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Unavailable { .. }
            | ErrorKind::Timeout { .. }
            | ErrorKind::OutcomeUnknown { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognized_by_its_name() {
        assert_eq!(version_of(&file_name(7)), Some(7));
        for name in ["portlayer-scopes-.json", "portlayer-scopes-1.txt", "x.json"] {
            assert_eq!(version_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_next_version_is_above_all_others() {
        let current = |in_keys, files: &[u64]| Current {
            in_keys,
            copies: files.iter().map(|v| (*v, file_name(*v))).collect(),
            ..Current::default()
        };
        assert_eq!(current(None, &[]).next_version(), 1);
        assert_eq!(current(Some(3), &[]).next_version(), 4);
        assert_eq!(current(None, &[7, 6]).next_version(), 8);
        assert_eq!(current(Some(9), &[7]).next_version(), 10);
    }
}
