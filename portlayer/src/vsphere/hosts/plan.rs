//! The plan of an installation: the findings of its checks, and the objects to be created.

use std::fmt;

use serde::Serialize;
use vim25::types::VirtualDeviceBackingInfo;
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::checks::Survey;
use super::finding::{Finding, Severity};
use super::lookup::{APPLIANCE_ISO, BOOTSTRAP_ISO, Found, datastore_path};
use super::{HostSpec, HostState, InstallStep, Iso, NetworkRole, Shared};
use crate::vsphere::appliance_cards::Positions;
use crate::vsphere::endpoint::Switches;
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

    /// Returns the steps in execution order.
    #[must_use]
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// Returns all findings.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
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
        let action = if self.resumes { "resume" } else { "begin" };
        writeln!(f, "Plan to {action} the installation of {:?}", self.name)?;
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
struct Findings(Vec<Finding>);

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
            images: sizes.iter().sum(),
            ..Survey::default()
        };
        let mut resolved = self
            .resolve(&spec, unfinished, &mut survey, &mut found)
            .await?;
        self.volume_datastores(&spec, resolved.as_ref(), &mut found)
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
            let option = field.replace('_', "-");
            let size = match (self.endpoint.can_read(iso).await, iso) {
                (Ok(()), Iso::Bytes(content)) => Ok(content.len().try_into().unwrap_or(u64::MAX)),
                (Ok(()), Iso::File(path)) => tokio::fs::metadata(path).await.map(|file| file.len()),
                (Err(error), _) => Err(error),
            };
            match size {
                Ok(size) => sizes.push(size),
                Err(error) => {
                    let error = Error::invalid_argument(kind::host(&spec.name), field, error);
                    let remedy = format!("name a readable file with --{option}");
                    found.0.push(Finding::refusal(error, remedy));
                    sizes.push(0);
                }
            }
        }
        sizes
    }

    /// Returns the unfinished host with this name. Adds a finding if another machine has this name.
    async fn name_in_use(&self, spec: &HostSpec, found: &mut Findings) -> Result<Option<Found>> {
        let host = kind::host(&spec.name);
        let folders = self.endpoint.machine_folders().await?;
        let named = self.endpoint.machines_named(&folders, &spec.name, &host);
        if named.await?.is_empty() {
            return Ok(None);
        }
        let (error, remedy) = match self.find(&spec.name).await {
            Ok(host) if host.info().state == HostState::Unfinished => {
                found.0.push(Finding::warning(
                    kind::host(&spec.name),
                    format!("the installation of {:?} was not finished", spec.name),
                    "it will be resumed; to start over, delete it first",
                ));
                return Ok(Some(host));
            }
            // An installation with the same options only powers it on.
            Ok(host) if host.may_lack_power_on() => return Ok(Some(host)),
            Ok(_) => (
                Error::already_exists(host),
                "delete it first, or choose another name",
            ),
            Err(error) if error.is_not_found() => (
                Error::already_exists(Resource::new(kind::VIRTUAL_MACHINE, &spec.name)),
                "choose another name",
            ),
            Err(error) => return Err(error),
        };
        found.0.push(Finding::refusal(error, remedy));
        Ok(None)
    }

    /// Checks that the datastores of the volume stores exist.
    async fn volume_datastores(
        &self,
        spec: &HostSpec,
        resolved: Option<&Resolved>,
        found: &mut Findings,
    ) -> Result<()> {
        let Some(resolved) = resolved else {
            return Ok(());
        };
        for (label, store) in &spec.volume_stores {
            if let Some(name) = store.datastore() {
                let datacenter = &resolved.datacenter;
                let datastore = self.endpoint.datastore(datacenter, Some(name)).await;
                let remedy = format!("name an existing datastore for {label:?} of --volume-store");
                found.keep(datastore, &remedy)?;
            }
        }
        Ok(())
    }

    /// Compares a configured, unfinished host with the specification. What differs is written again,
    /// except networks, which its machine has already.
    async fn compare(
        &self,
        spec: &HostSpec,
        resolved: &mut Resolved,
        found: &mut Findings,
    ) -> Result<()> {
        let host = kind::host(&spec.name);
        let Some(unfinished) = &resolved.unfinished else {
            return Ok(());
        };
        if unfinished.record.appliance.is_none() {
            return Ok(());
        }
        if unfinished.record.is_finished() {
            resolved.is_current = unfinished.record.other_network(spec, resolved).is_none()
                && self.is_configured_for(spec, resolved, unfinished).await?;
            if !resolved.is_current {
                let error = Error::already_exists(host).with_source("its appliance is off");
                let remedy = "power it on or delete it first, or choose another name";
                found.0.push(Finding::refusal(error, remedy));
            }
            return Ok(());
        }
        if let Some((field, network)) = unfinished.record.other_network(spec, resolved) {
            let reason = format!("its unfinished installation has {network:?}");
            let error = Error::invalid_argument(host, field, reason);
            let remedy = "name the same network, or delete the host first";
            found.0.push(Finding::refusal(error, remedy));
            return Ok(());
        }
        resolved.is_current = self.is_configured_for(spec, resolved, unfinished).await?;
        if !resolved.is_current {
            found.0.push(Finding::warning(
                host,
                format!("the configuration of {:?} was different", spec.name),
                "it will be written again, and its appliance will be restarted",
            ));
        }
        Ok(())
    }

    async fn resolve(
        &self,
        spec: &HostSpec,
        unfinished: Option<Found>,
        survey: &mut Survey,
        found: &mut Findings,
    ) -> Result<Option<Resolved>> {
        let datacenter = self.endpoint.datacenter(spec.datacenter.as_deref()).await;
        let Some(datacenter) = found.keep(datacenter, "name a datacenter of the target")? else {
            return Ok(None);
        };
        let parent = self
            .endpoint
            .parent_pool(&datacenter, spec.compute.as_deref())
            .await;
        let remedy = "name a host, cluster or resource pool with --compute-resource";
        let parent = found.keep(parent, remedy)?;
        let datastore = self
            .endpoint
            .datastore(&datacenter, spec.datastore.as_deref())
            .await;
        let remedy = "name a datastore with --image-store";
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
        let remedy = "name an existing network with --bridge-network";
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
                let remedy = "remove it, or name an existing network with --bridge-network";
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
            let remedy = format!("name an existing network with --{role}-network");
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
            let remedy = "name existing networks with --scope-network";
            let network = self.endpoint.find_network(datacenter, Some(name)).await;
            if let Some(network) = found.keep(network, remedy)? {
                survey.others.push(("scopes'", network.facts));
            }
        }
        Ok(others)
    }

    /// Returns whether the pool below this parent, if any, and the folder can be created. Empty ones
    /// are reused.
    async fn is_free(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
        parent: Option<&Ref<mo::ResourcePool>>,
        found: &mut Findings,
    ) -> Result<bool> {
        // If the host or its machine already exists, its objects need no findings of their own.
        let machine = Resource::new(kind::VIRTUAL_MACHINE, &spec.name);
        let named = [kind::host(&spec.name), machine];
        if found
            .0
            .iter()
            .any(|finding| named.contains(&finding.object))
        {
            return Ok(true);
        }
        let mut refusals = Vec::new();
        if let Some(parent) = parent {
            let resource = Resource::new(kind::RESOURCE_POOL, &spec.name);
            let pool = self.endpoint.child_pool(parent, &spec.name, &resource);
            if let Some(pool) = pool.await?
                && !self.endpoint.is_empty_pool(&pool, &resource).await?
            {
                let error = Error::already_exists(resource);
                let remedy = "empty it, or choose another name".to_owned();
                refusals.push(Finding::refusal(error, remedy));
            }
        }
        if self.endpoint.has_folders() {
            refusals.extend(self.folder_in_use(spec, datacenter).await?);
        }
        let is_free = refusals.is_empty();
        if !is_free && self.find(&spec.name).await.is_ok() {
            // Its machine was created after the first look.
            let error = Error::already_exists(kind::host(&spec.name));
            let remedy = "another program has installed it, or is installing it";
            refusals = vec![Finding::refusal(error, remedy)];
        }
        found.0.extend(refusals);
        Ok(is_free)
    }

    /// Returns a finding if somebody else uses the name of the inventory folder.
    async fn folder_in_use(
        &self,
        spec: &HostSpec,
        datacenter: &Datacenter,
    ) -> Result<Option<Finding>> {
        let resource = Resource::new(kind::FOLDER, &spec.name);
        let parent = datacenter.vm_folder();
        let child = self.endpoint.child_named(parent, &spec.name, &resource);
        let Some(child) = child.await? else {
            return Ok(None);
        };
        let error = Error::already_exists(resource.clone());
        let Some(folder) = child.downcast::<mo::Folder>() else {
            let remedy = "rename the object with this name, or choose another name";
            return Ok(Some(Finding::refusal(error, remedy)));
        };
        let content = self.endpoint.names_in(&folder, &resource).await?;
        let remedy = match content.as_slice() {
            [] => return Ok(None),
            [only] => format!("{only:?} is in it"),
            [first, others @ ..] => format!("{first:?} and {} others are in it", others.len()),
        };
        let remedy = format!("{remedy}: empty or rename it, or choose another name");
        Ok(Some(Finding::refusal(error, remedy)))
    }

    /// Returns whether an unfinished host is at the requested place.
    async fn is_there(
        &self,
        spec: &HostSpec,
        (parent, has_pools, datastore): (&Ref<mo::ResourcePool>, bool, &Datastore),
        unfinished: &Found,
        found: &mut Findings,
    ) -> Result<bool> {
        let resource = Resource::new(kind::RESOURCE_POOL, &spec.name);
        let pool = self.endpoint.child_pool(parent, &spec.name, &resource);
        let pool = pool.await?;
        let host = kind::host(&spec.name);
        let home = self.endpoint.home(&unfinished.machine.vm, &host).await?;
        let shares_pool = !has_pools && unfinished.record.folder.is_some() && home.pool == *parent;
        let directory = unfinished.machine.directory();
        let elsewhere = if pool.as_ref() != Some(&home.pool) && !shares_pool {
            Some(("compute", home.pool_name))
        } else if datastore_path(&directory).datastore() != datastore.name() {
            Some(("datastore", directory))
        } else {
            None
        };
        let Some((field, place)) = elsewhere else {
            return Ok(true);
        };
        let error = Error::invalid_argument(
            host,
            field,
            format!("its unfinished installation is in {place}"),
        );
        let remedy = "resume it there, or delete it first";
        found.0.push(Finding::refusal(error, remedy));
        Ok(false)
    }
}

/// Returns the option of the installer that sets the field with this problem.
fn remedy_of(error: &Error) -> String {
    let ErrorKind::InvalidArgument { field } = error.kind else {
        return String::new();
    };
    let option = match field {
        "name" => return "choose another name".to_owned(),
        "datacenter" => return "name a datacenter in the path of --target".to_owned(),
        "compute" => "--compute-resource",
        "datastore" => "--image-store",
        "bridge_network" => "--bridge-network",
        "public_network" => "--public-network",
        "client_network" => "--client-network",
        "management_network" => "--management-network",
        "address" => "--line-address",
        "scope_networks" => "--scope-network",
        "scope_vlans" => "--scope-vlans or --scope-network",
        "pool.cpu" => "--cpu, --cpu-reservation or --cpu-shares",
        "pool.memory" => "--memory, --memory-reservation or --memory-shares",
        "cpus" => "--appliance-cpu",
        "memory_mib" => "--appliance-memory",
        "user" => "--ops-user",
        "registries.allowed" => "--whitelist-registry",
        "registries.insecure" => "--insecure-registry",
        "registries.authorities" => "--registry-ca",
        "volume_stores" => "--volume-store",
        _ => return String::new(),
    };
    format!("correct {option}")
}

/// Lists the steps of an installation, with what each creates.
fn steps(
    spec: &HostSpec,
    survey: &Survey,
    resolved: Option<&Resolved>,
    sizes: &[u64],
) -> Vec<PlannedStep> {
    let name = &spec.name;
    let compute = survey.compute.as_ref().map_or("", |compute| &compute.name);
    let datastore = survey.datastore.as_ref().map_or("", |store| &store.name);
    let unfinished = resolved.and_then(|resolved| resolved.unfinished.as_ref());
    let is_made = unfinished.is_some();
    let is_configured = resolved.is_some_and(|resolved| resolved.is_current);
    let file = |file: &str, size: Option<&u64>| {
        let size = size.copied().unwrap_or_default();
        format!("file \"[{datastore}] {name}/{file}\", {size} bytes")
    };
    let mut steps = Vec::new();
    if survey.has_pools() {
        let mut text = format!("resource pool {name:?} in {compute:?}");
        if !spec.pool.is_default() {
            text = format!("{text}, {}", spec.pool);
        }
        steps.push((InstallStep::ResourcePool, text, is_made));
    }
    // An unfinished host of an earlier version has no folder, and gets none.
    if survey.target.is_vcenter && unfinished.is_none_or(|host| host.record.folder.is_some()) {
        let datacenter = resolved.map_or("", |resolved| resolved.datacenter.path());
        let text = format!("folder {name:?} for the machines of the host in {datacenter:?}");
        steps.push((InstallStep::Folder, text, is_made));
    }
    steps.push((
        InstallStep::Appliance,
        format!(
            "virtual machine {name:?} on datastore {datastore:?}, {} processors, {} MiB",
            spec.cpus, spec.memory_mib
        ),
        is_made,
    ));
    if let Some(Resolved {
        bridge: Bridge::Missing(_),
        bridge_name,
        ..
    }) = resolved
    {
        let text = format!("virtual switch {bridge_name:?} with port group {bridge_name:?}");
        steps.push((InstallStep::BridgeNetwork, text, false));
    }
    steps.extend([
        (
            InstallStep::ApplianceIso,
            file(APPLIANCE_ISO, sizes.first()),
            is_configured,
        ),
        (
            InstallStep::BootstrapIso,
            file(BOOTSTRAP_ISO, sizes.get(1)),
            is_configured,
        ),
        (
            InstallStep::Configure,
            "keys of the host, and the boot image in the CD drive".to_owned(),
            is_configured,
        ),
        (
            InstallStep::PowerOn,
            format!("virtual machine {name:?}"),
            false,
        ),
    ]);
    if let Some(limit) = spec.address_timeout {
        let text = format!("reported by the appliance within {} s", limit.as_secs());
        steps.push((InstallStep::Address, text, false));
    }
    if let Some(limit) = spec.components_within() {
        let names: Vec<_> = spec.components.iter().map(|c| c.name.as_str()).collect();
        let (names, limit) = (names.join(", "), limit.as_secs());
        let text = format!("{names} started by the appliance within {limit} s");
        steps.push((InstallStep::Components, text, false));
    }
    steps
        .into_iter()
        .map(|(step, description, done)| PlannedStep {
            step,
            description,
            done,
        })
        .collect()
}
