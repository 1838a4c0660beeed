//! Finds inconsistencies on a host, and repairs them on request.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use vsphere_client::DatastorePath;

use super::{Shared, VsphereExec};
use crate::vsphere::kind;
use crate::vsphere::networks::{CopyProblem, Unmatched};
use crate::{ContainerId, Error, Resource, Result};

/// An inconsistency that [`VsphereExec::check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inconsistency {
    /// The problem.
    pub problem: Problem,
    /// The endpoint's name of the object, so that an operator can find it.
    pub label: String,
}

/// The kinds of inconsistencies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The removal of this container was interrupted. Repair finishes it, and so does every program
    /// that has the host open, after a while.
    HalfRemoved(ContainerId),
    /// An image is incomplete: its import or removal was interrupted, or is in progress in another
    /// program. Repair removes the image, unless this program is importing it. Opening the host as
    /// its [only writer](crate::vsphere::Options::sole_writer) does the same.
    UnfinishedImage,
    /// A directory contains files of a container or an image but no machine, and has not changed
    /// for [a while](crate::vsphere::Options::left_behind_after), unless a removal by this program
    /// left it. An interrupted removal or creation left it, or somebody destroyed the machine of an
    /// image. The files of an image are not
    /// reported while containers use its disk. Repair deletes the directory, and so does opening
    /// the host as its only writer.
    LeftBehind,
    /// The creation or removal of the scope with this name was interrupted, or is in progress in
    /// another program. Repair removes what is left of the scope and of the network that was
    /// created for it. Opening the host as its only writer does the same.
    UnfinishedScope,
    /// The appliance's keys lack changes of scopes that its copy in this file has: the endpoint has
    /// forgotten what was written while the appliance was on. The copy is used. Repair stores the
    /// scopes again. So do creating or removing any scope, connecting a container, and opening the
    /// host as its only writer.
    ForgottenScopes,
    /// The copy of the scopes in this file is missing, damaged, or differs from the appliance's keys
    /// with the same version, which are used. Repair stores the scopes again, in a new file. So does
    /// opening the host as its only writer.
    ScopesCopy,
    /// A port group that was created for a scope of this host, with this VLAN, belongs to no scope:
    /// the endpoint created it after the program that had requested it ended. Repair removes it.
    /// So do creating or removing any scope, and opening the host as its only writer.
    StrayPortGroup(u16),
    /// The port group that was created for the scope with this name does not exist: somebody
    /// removed it, or the endpoint carried out an earlier request late. Repair creates it, and so
    /// does opening the host as its only writer.
    MissingPortGroup,
    /// A machine of the host is not readable as a container. Repair does nothing: remove the
    /// machine by its id, or correct its configuration.
    Unreadable(String),
    /// Two containers hold the same address. Repair does nothing: remove one of the two.
    AddressConflict(ContainerId, String),
}

impl Inconsistency {
    /// Returns whether [`VsphereExec::repair`] can repair it.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        matches!(
            self.problem,
            Problem::HalfRemoved(_)
                | Problem::UnfinishedImage
                | Problem::LeftBehind
                | Problem::UnfinishedScope
                | Problem::ForgottenScopes
                | Problem::ScopesCopy
                | Problem::StrayPortGroup(_)
                | Problem::MissingPortGroup
        )
    }
}

impl fmt::Display for Inconsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match &self.problem {
            Problem::HalfRemoved(id) => {
                write!(
                    f,
                    "the removal of container {id} ({label}) was interrupted: repair finishes it"
                )
            }
            Problem::UnfinishedImage => {
                write!(f, "image {label} is not complete: repair removes it")
            }
            Problem::LeftBehind => {
                write!(f, "directory {label} has no machine: repair deletes it")
            }
            Problem::UnfinishedScope => {
                write!(f, "scope {label} is not complete: repair removes it")
            }
            Problem::ForgottenScopes => {
                write!(
                    f,
                    "the endpoint has forgotten changes of scopes, which {label} has: repair \
                     stores them again"
                )
            }
            Problem::ScopesCopy => {
                write!(
                    f,
                    "the copy of the scopes in {label} is missing, damaged or different: repair \
                     stores them again"
                )
            }
            Problem::StrayPortGroup(vlan) => {
                write!(
                    f,
                    "port group {label} with VLAN {vlan} belongs to no scope: repair removes it"
                )
            }
            Problem::MissingPortGroup => {
                write!(f, "scope {label} has no port group: repair creates it")
            }
            Problem::Unreadable(reason) => {
                write!(f, "machine {label} cannot be read as a container: {reason}")
            }
            Problem::AddressConflict(id, reason) => {
                write!(f, "container {id} ({label}) cannot be started: {reason}")
            }
        }
    }
}

/// The result of [`VsphereExec::repair`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Repaired {
    /// The problems that were repaired.
    pub repaired: Vec<Inconsistency>,
    /// The problems that could not be repaired, each with its error.
    pub failed: Vec<(Inconsistency, Error)>,
}

impl VsphereExec {
    /// Finds inconsistencies on this host: leftovers of interrupted operations, and objects that
    /// cannot be used. Changes nothing.
    ///
    /// # Errors
    /// Only errors that affect the whole endpoint.
    pub async fn check(&self) -> Result<Vec<Inconsistency>> {
        self.shared.check().await
    }

    /// Repairs what [`check`](Self::check) finds, as described for each [`Problem`]. A problem that
    /// cannot be repaired does not stop the others. Dropping the future is safe: the next check
    /// finds what was not repaired.
    ///
    /// # Errors
    /// Only errors that affect the whole endpoint.
    pub async fn repair(&self) -> Result<Repaired> {
        self.shared.repair().await
    }
}

impl Shared {
    pub(super) async fn half_removed(&self) -> Result<Vec<(ContainerId, String)>> {
        let containers = self.containers().await?;
        let begun = containers
            .iter()
            .filter(|machine| machine.is_half_removed());
        Ok(begun
            .filter_map(|machine| Some((machine.id()?, machine.machine.name.clone())))
            .collect())
    }

    pub(super) async fn check(&self) -> Result<Vec<Inconsistency>> {
        let finding = |problem, label: &str| Inconsistency {
            problem,
            label: label.to_owned(),
        };
        let mut findings = Vec::new();
        self.networks.load().await?;
        self.networks.sync().await?;
        for machine in self.containers().await? {
            let label = &machine.machine.name;
            match (machine.id(), machine.container()) {
                (Some(id), _) if machine.is_half_removed() => {
                    findings.push(finding(Problem::HalfRemoved(id), label));
                }
                (_, Some(Err(broken))) => {
                    findings.push(finding(Problem::Unreadable(broken.to_string()), label));
                }
                (Some(id), _) => {
                    if let Some(reason) = self.networks.table().conflict(&id) {
                        let problem = Problem::AddressConflict(id, reason.to_owned());
                        findings.push(finding(problem, label));
                    }
                }
                _ => {}
            }
        }
        for problem in self.networks.copy_problems().await? {
            findings.push(match problem {
                CopyProblem::Forgotten(path) => finding(Problem::ForgottenScopes, &path),
                CopyProblem::Unusable(path) => finding(Problem::ScopesCopy, &path),
            });
        }
        for name in self.networks.unfinished_scopes().await? {
            findings.push(finding(Problem::UnfinishedScope, &name));
        }
        for unmatched in self.networks.unmatched().await? {
            findings.push(match unmatched {
                Unmatched::PortGroup(name, vlan) => finding(Problem::StrayPortGroup(vlan), &name),
                Unmatched::Scope(name) => finding(Problem::MissingPortGroup, &name),
            });
        }
        for label in self.images.unfinished().await? {
            findings.push(finding(Problem::UnfinishedImage, &label));
        }
        for directory in self.left_behind().await? {
            findings.push(finding(Problem::LeftBehind, &directory));
        }
        Ok(findings)
    }

    pub(super) async fn repair(&self) -> Result<Repaired> {
        let mut done = Repaired::default();
        let findings = self.check().await?;
        let is_image = |finding: &&Inconsistency| finding.problem == Problem::UnfinishedImage;
        let images = findings.iter().filter(is_image).count();
        let pruned = match images {
            0 => Vec::new(),
            _ => crate::image::Images::prune(&self.images).await?,
        };
        for finding in findings {
            let repaired = match &finding.problem {
                Problem::HalfRemoved(id) => self.remove(id).await,
                Problem::LeftBehind => self.delete_left_behind(&finding.label).await,
                Problem::ForgottenScopes | Problem::ScopesCopy => {
                    self.networks.repair_scopes().await
                }
                Problem::UnfinishedScope => self.networks.finish_scope(&finding.label).await,
                Problem::StrayPortGroup(vlan) => {
                    let group = Unmatched::PortGroup(finding.label.clone(), *vlan);
                    self.networks.match_up(&group).await
                }
                Problem::MissingPortGroup => {
                    let scope = Unmatched::Scope(finding.label.clone());
                    self.networks.match_up(&scope).await
                }
                Problem::UnfinishedImage if pruned.iter().any(|p| p.ends_with(&finding.label)) => {
                    Ok(())
                }
                // This program or another one is importing the image.
                Problem::UnfinishedImage
                | Problem::Unreadable(_)
                | Problem::AddressConflict(..) => continue,
            };
            match repaired {
                Ok(()) => done.repaired.push(finding),
                // Another program removed it concurrently.
                Err(error) if error.is_not_found() => done.repaired.push(finding),
                Err(error) => done.failed.push((finding, error)),
            }
        }
        Ok(done)
    }

    pub(super) async fn delete_left_behind(&self, directory: &str) -> Result<()> {
        let resource = Resource::new(kind::FILE, directory);
        let datastore = &self.objects.datastore;
        self.endpoint
            .delete_file(datastore, directory, &resource)
            .await?;
        let parsed = directory.parse::<DatastorePath>();
        if let Some(id) = parsed.ok().and_then(|path| path.path().parse().ok()) {
            self.destroyed.forget(&id);
        }
        Ok(())
    }

    /// Lists the directories, as `[datastore] path`, that are named like those of containers or
    /// images, contain no machine, and have not changed for a while or are left of a removal by this
    /// process.
    pub(super) async fn left_behind(&self) -> Result<Vec<String>> {
        let (host, after) = (self.objects.host(), self.options.left_behind_after);
        let datastore = &self.objects.datastore;
        let known = self.containers().await?;
        let known: HashSet<String> = known.iter().map(|seen| seen.directory()).collect();
        let mut found = self.images.left_behind().await?;
        for name in self.endpoint.directories(datastore, &host).await? {
            let Ok(id) = name.parse::<ContainerId>() else {
                continue;
            };
            let directory = self.objects.defaults.directory(&id);
            if known.contains(&directory) {
                continue;
            }
            let after = if self.destroyed.contains(&id) {
                Duration::ZERO
            } else {
                after
            };
            let is_abandoned = self.endpoint.is_abandoned(datastore, &name, after, &host);
            if is_abandoned.await? {
                found.push(directory);
            }
        }
        Ok(found)
    }
}
