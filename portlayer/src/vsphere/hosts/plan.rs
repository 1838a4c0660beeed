//! The plan of an installation: the findings of its checks, and the objects to be created.

use std::fmt;

use serde::Serialize;
use vim25::types::VirtualDeviceBackingInfo;
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::checks::Survey;
use super::checks::settings::SERIAL_PORTS;
use super::finding::{Finding, Severity};
use super::lookup::Found;
use super::planned_steps::steps;
use super::{HostSpec, InstallStep, Iso, NetworkRole, Shared};
use crate::vsphere::appliance_cards::Positions;
use crate::vsphere::endpoint::{DatastoreFacts, Switches};
use crate::vsphere::kind;
use crate::{Error, ErrorKind, Resource, Result};

/// The plan of an installation, made without changing anything.
///
/// It lists [every finding](Self::findings) of the checks and [every step](Self::steps) with what
/// it creates. `Display` prints both, as a dry run does.
#[derive(Debug, Serialize)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct Plan {
    name: String,
    steps: Vec<PlannedStep>,
    findings: Vec<Finding>,
    resumes: bool,
    #[serde(skip)]
    pub(super) spec: HostSpec,
    #[serde(skip)]
    pub(super) resolved: Option<Resolved>,
}

/// One step of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The step.
    pub step: InstallStep,
    /// The description of what the step does or creates.
    pub description: String,
    /// Whether an earlier installation has already done the step.
    pub done: bool,
}

/// The objects that the specification refers to.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) datacenter: Datacenter,
    pub(super) parent: Ref<mo::ResourcePool>,
    /// Whether the host gets a pool of its own below the parent.
    pub(super) has_pools: bool,
    pub(super) datastore: Datastore,
    pub(super) bridge_name: String,
    pub(super) bridge: Bridge,
    /// The other networks of the appliance.
    pub(super) others: Others,
    pub(super) unfinished: Option<Found>,
    /// Whether the unfinished host has the configuration that the specification asks for.
    pub(super) is_current: bool,
}

/// The networks of the appliance besides the bridge network.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// The networks, without duplicates.
    pub(super) backings: Vec<Poly<VirtualDeviceBackingInfo>>,
    /// The named roles with the positions of their networks.
    named: Vec<(NetworkRole, usize)>,
}

impl Others {
    /// Returns the positions of the appliance's cards. A bridge network that the installation
    /// creates gets the last card, any other the first one.
    pub(super) fn positions(&self, creates_bridge: bool) -> Positions {
        let (bridge, first) = if creates_bridge {
            (self.backings.len(), 0)
        } else {
            (0, 1)
        };
        let of = |role| {
            let mut named = self.named.iter();
            let found = named.find(|(named, _)| *named == role);
            found.map(|(_, position)| first + position)
        };
        let public = of(NetworkRole::Public).unwrap_or(bridge);
        let roles = NetworkRole::ALL.into_iter();
        Positions {
            bridge,
            roles: roles
                .map(|role| (role, of(role).unwrap_or(public)))
                .collect(),
        }
    }
}

/// The bridge network.
#[derive(Debug)]
pub(super) enum Bridge {
    Exists(Poly<VirtualDeviceBackingInfo>),
    /// The network does not exist: a switch and a port group will be created.
    Missing(Switches),
}

impl Plan {
    /// Returns the name of the host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the steps in execution order. Empty if an object was not found that the specification
    /// names.
    #[must_use]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// Returns all findings.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Adds a finding of the caller's own checks, so that it is reported together with the others. One
    /// with the severity [`Error`](Severity::Error) refuses the installation.
    ///
    /// ```no_run
    /// use portlayer::Error;
    /// use portlayer::vsphere::{Finding, HostSpec, Hosts};
    ///
    /// # async fn plan(hosts: Hosts, spec: HostSpec) -> portlayer::Result<()> {
    /// let host = spec.resource();
    /// let mut plan = hosts.plan(spec).await?;
    /// let error = Error::invalid_argument(host, "certificates", "the key is another one's");
    /// plan.add_finding(Finding::refusal(error, "name the key of the certificate"));
    /// assert!(!plan.is_ready());
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_finding(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Returns whether the plan continues an installation that was interrupted.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// Returns whether the plan can be carried out, because no finding refuses the installation.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let refuses = |finding: &Finding| finding.severity >= Severity::Error;
        self.resolved.is_some() && !self.findings.iter().any(refuses)
    }

    /// Returns the first error, if the plan is refused.
    pub(super) fn refusal(&mut self) -> Option<Error> {
        if self.is_ready() {
            return None;
        }
        let refuses = |finding: &Finding| finding.severity >= Severity::Error;
        let first = self.findings.iter().position(refuses)?;
        Some(self.findings.remove(first).into_error())
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.steps.is_empty(), self.resumes) {
            (true, _) => write!(f, "No plan for")?,
            (false, true) => write!(f, "Plan to resume")?,
            (false, false) => write!(f, "Plan to begin")?,
        }
        writeln!(f, " the installation of {:?}", self.name)?;
        for (position, planned) in (1..).zip(&self.steps) {
            let done = if planned.done { " (done)" } else { "" };
            let step = planned.step;
            writeln!(f, "{position:>3}. {step}: {}{done}", planned.description)?;
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Info => "info",
                Severity::Warning => "WARNING",
                Severity::Error => "ERROR",
            };
            writeln!(f, "  {severity}: {finding}")?;
        }
        Ok(())
    }
}

/// Collects findings. Errors that concern the endpoint as a whole end the planning.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// Returns the value; for an error, adds a finding with this remedy and returns `None`.
    fn keep<T>(&mut self, looked_up: Result<T>, remedy: &str) -> Result<Option<T>> {
        match looked_up {
            Ok(value) => Ok(Some(value)),
            Err(error) => match error.kind {
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::InvalidArgument { .. }
                | ErrorKind::InvalidState { .. }
                | ErrorKind::InUse { .. }
                | ErrorKind::PermissionDenied => {
                    self.0.push(Finding::refusal(error, remedy));
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
}

impl Shared {
    /// Looks up everything that the specification names, and runs the checks. Changes nothing.
    pub(super) async fn plan(&self, spec: HostSpec) -> Result<Plan> {
        let mut found = Findings::default();
        for error in spec.problems() {
            let remedy = remedy_of(&error);
            found.0.push(Finding::refusal(error, remedy));
        }
        let sizes = self.image_sizes(&spec, &mut found).await;
        let unfinished = self.name_in_use(&spec, &mut found).await?;
        let mut survey = Survey {
            target: self.endpoint.target_facts(),
            keeps_serial_ports: self.endpoint.is_setting_on(SERIAL_PORTS).await,
            images: sizes.iter().sum(),
            ..Survey::default()
        };
        let mut resolved = self
            .resolve(&spec, unfinished, &mut survey, &mut found)
            .await?;
        survey.volumes = self
            .volume_datastores(&spec, resolved.as_ref(), &mut found)
            .await?;
        if let Some(resolved) = &mut resolved {
            self.compare(&spec, resolved, &mut found).await?;
        }
        found.0.extend(survey.check(&spec));
        let steps = steps(&spec, &survey, resolved.as_ref(), &sizes);
        Ok(Plan {
            name: spec.name.clone(),
            steps,
            findings: found.0,
            resumes: resolved
                .as_ref()
                .is_some_and(|resolved| resolved.unfinished.is_some()),
            spec,
            resolved,
        })
    }

    async fn image_sizes(&self, spec: &HostSpec, found: &mut Findings) -> Vec<u64> {
        let mut sizes = Vec::new();
        for (field, iso) in [
            ("appliance_iso", &spec.appliance_iso),
            ("bootstrap_iso", &spec.bootstrap_iso),
        ] {
            let size = match (self.endpoint.can_read(iso).await, iso) {
                (Ok(()), Iso::Bytes(content)) => Ok(content.len().try_into().unwrap_or(u64::MAX)),
                (Ok(()), Iso::File(path)) => tokio::fs::metadata(path).await.map(|file| file.len()),
                (Err(error), _) => Err(error),
            };
            match size {
                Ok(size) => sizes.push(size),
                Err(error) => {
                    let error = match iso {
                        Iso::File(path) => format!("cannot read {}: {error}", path.display()),
                        Iso::Bytes(_) => error.to_string(),
                    };
                    let error = Error::invalid_argument(spec.resource(), field, error);
                    let remedy = format!("name a readable file with `{field}`");
                    found.0.push(Finding::refusal(error, remedy));
                    sizes.push(0);
                }
            }
        }
        sizes
    }

    /// Reads the datastores of the volume stores, which must exist.
    async fn volume_datastores(
        &self,
        spec: &HostSpec,
        resolved: Option<&Resolved>,
        found: &mut Findings,
    ) -> Result<Vec<(String, DatastoreFacts)>> {
        let mut volumes = Vec::new();
        let Some(resolved) = resolved else {
            return Ok(volumes);
        };
        for (label, store) in &spec.volume_stores {
            if let Some(name) = store.datastore() {
                let datacenter = &resolved.datacenter;
                let datastore = self.endpoint.datastore(datacenter, Some(name)).await;
                let remedy = format!("name an existing datastore for {label:?} of `volume_stores`");
                if let Some(datastore) = found.keep(datastore, &remedy)? {
                    let facts = self.endpoint.datastore_facts(&datastore).await?;
                    volumes.push((label.clone(), facts));
                }
            }
        }
        Ok(volumes)
    }

    async fn resolve(
        &self,
        spec: &HostSpec,
        unfinished: Option<Found>,
        survey: &mut Survey,
        found: &mut Findings,
    ) -> Result<Option<Resolved>> {
        let datacenter = self.endpoint.datacenter(spec.datacenter.as_deref()).await;
        let Some(datacenter) = found.keep(datacenter, "name a datacenter with `datacenter`")?
        else {
            return Ok(None);
        };
        let parent = self
            .endpoint
            .parent_pool(&datacenter, spec.compute.as_deref())
            .await;
        let remedy = "name a host, cluster or resource pool with `compute`";
        let parent = found.keep(parent, remedy)?;
        let datastore = self
            .endpoint
            .datastore(&datacenter, spec.datastore.as_deref())
            .await;
        let remedy = "name a datastore with `datastore`";
        let datastore = found.keep(datastore, remedy)?;
        if let Some(parent) = &parent {
            survey.compute = Some(self.endpoint.compute_facts(parent).await?);
        }
        if let Some(datastore) = &datastore {
            survey.datastore = Some(self.endpoint.datastore_facts(datastore).await?);
        }
        let bridge = self
            .bridge(
                spec,
                &datacenter,
                (parent.as_ref(), &unfinished),
                survey,
                found,
            )
            .await?;
        let others = self.others(spec, &datacenter, survey, found).await?;
        let (Some(parent), Some(datastore), Some((bridge_name, bridge))) =
            (parent, datastore, bridge)
        else {
            return Ok(None);
        };
        let has_pools = survey.has_pools();
        let fits = match &unfinished {
            Some(unfinished) => {
                let place = (&parent, has_pools, &datastore);
                self.is_there(spec, place, unfinished, found).await?
            }
            None => {
                self.is_free(spec, &datacenter, has_pools.then_some(&parent), found)
                    .await?
            }
        };
        if !fits {
            return Ok(None);
        }
        Ok(Some(Resolved {
            datacenter,
            parent,
            has_pools,
            datastore,
            bridge_name,
            bridge,
            others,
            unfinished,
            is_current: false,
        }))
    }

    async fn bridge(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
        (parent, unfinished): (Option<&Ref<mo::ResourcePool>>, &Option<Found>),
        survey: &mut Survey,
        found: &mut Findings,
    ) -> Result<Option<(String, Bridge)>> {
        let remedy = "name an existing network with `bridge_network`";
        let own = spec.bridge_name();
        let name = spec.bridge_network.as_deref().or(own);
        let network = self.endpoint.find_network(datacenter, name).await;
        if let (Err(error), Some(name), Some(parent)) = (&network, own, parent)
            && error.is_not_found()
        {
            let Some(switches) = found.keep(self.endpoint.switches(parent).await, remedy)? else {
                return Ok(None);
            };
            let is_ours = unfinished
                .as_ref()
                .is_some_and(|host| host.record.created_bridge);
            if switches.has_switch(name) && !is_ours {
                let switch = Resource::new(kind::VIRTUAL_SWITCH, name);
                let error = Error::already_exists(switch);
                let remedy = "remove it, or name an existing network with `bridge_network`";
                found.0.push(Finding::refusal(error, remedy));
                return Ok(None);
            }
            return Ok(Some((name.to_owned(), Bridge::Missing(switches))));
        }
        let Some(network) = found.keep(network, remedy)? else {
            return Ok(None);
        };
        let backing = self.endpoint.backing(&network).await;
        let backing = found.keep(backing, remedy)?;
        // A path is recorded unchanged, because the name alone may be ambiguous.
        let path = spec.bridge_network.as_ref().filter(|n| n.contains('/'));
        let name = path.unwrap_or(&network.facts.name).clone();
        survey.bridge = Some(network.facts);
        Ok(backing.map(|backing| (name, Bridge::Exists(backing))))
    }

    /// Returns the networks of the other roles, without duplicates.
    async fn others(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
        survey: &mut Survey,
        found: &mut Findings,
    ) -> Result<Others> {
        let mut others = Others::default();
        let mut known: Vec<String> = Vec::new();
        for (role, name) in spec.roles() {
            let field = role.network_field();
            let remedy = format!("name an existing network with `{field}`");
            let network = self.endpoint.find_network(datacenter, Some(name)).await;
            let Some(network) = found.keep(network, &remedy)? else {
                continue;
            };
            let facts = &network.facts;
            let is_bridge = survey
                .bridge
                .as_ref()
                .is_some_and(|bridge| bridge.name == facts.name);
            let position = known.iter().position(|name| *name == facts.name);
            if let Some(position) = position {
                others.named.push((role, position));
            } else if !is_bridge {
                let backing = self.endpoint.backing(&network).await;
                if let Some(backing) = found.keep(backing, &remedy)? {
                    others.named.push((role, others.backings.len()));
                    others.backings.push(backing);
                    known.push(facts.name.clone());
                }
            }
            survey.others.push((role.name(), network.facts));
        }
        for name in &spec.scope_networks {
            let remedy = "name existing networks with `scope_networks`";
            let network = self.endpoint.find_network(datacenter, Some(name)).await;
            if let Some(network) = found.keep(network, remedy)? {
                survey.others.push(("scopes'", network.facts));
            }
        }
        Ok(others)
    }
}

/// Returns the remedy for a field with a problem.
fn remedy_of(error: &Error) -> String {
    match error.kind {
        ErrorKind::InvalidArgument { field: "name" } => "choose another name".to_owned(),
        ErrorKind::InvalidArgument { field } => format!("correct `{field}`"),
        _ => String::new(),
    }
}
