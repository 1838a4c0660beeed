//! Carries out the plan of an installation.

use std::sync::{Mutex, MutexGuard, PoisonError};

use guestinfo::Dialect;
use uuid::Uuid;
use vim25::types::VirtualMachineConfigSpec;
use vim25::{Ref, mo};

use super::Shared;
use super::finding::Severity;
use super::lookup::Found;
use super::plan::{Bridge, Plan, Resolved};
use super::undo::Made;
use super::{
    HostInfo, HostSpec, InstallError, InstallProgress, InstallStatus, InstallStep, ObserveInstall,
};
use crate::exec::Resources;
use crate::vsphere::appliance_cards::cards;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::{BRIDGE_VLAN, PortGroup, Switches};
use crate::vsphere::host_record::HostRecord;
use crate::vsphere::kind;
use crate::vsphere::machine_spec::{appliance, options};
use crate::vsphere::record::Keys;
use crate::{Error, ErrorKind, Resource, Result};

pub(super) struct Reporter<'a> {
    observer: &'a dyn ObserveInstall,
    /// The step that was started last.
    current: Mutex<InstallStep>,
}

impl<'a> Reporter<'a> {
    fn new(observer: &'a dyn ObserveInstall) -> Self {
        Self {
            observer,
            current: Mutex::new(InstallStep::Validate),
        }
    }
}

impl Reporter<'_> {
    pub(super) fn tell(&self, step: InstallStep, status: InstallStatus) {
        if status == InstallStatus::Started {
            *self.current() = step;
        }
        self.observer.observe(InstallProgress { step, status });
    }

    fn current(&self) -> MutexGuard<'_, InstallStep> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn step<T>(
        &self,
        step: InstallStep,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T, (InstallStep, Error)> {
        self.tell(step, InstallStatus::Started);
        match work.await {
            Ok(done) => {
                self.tell(step, InstallStatus::Finished);
                Ok(done)
            }
            Err(error) => {
                self.tell(step, InstallStatus::Failed);
                Err((step, error))
            }
        }
    }
}

/// The state that the steps share.
pub(super) struct Job<'a> {
    pub(super) spec: &'a HostSpec,
    pub(super) host: Resource,
    pub(super) resolved: &'a Resolved,
    /// The id of this run of the installer.
    pub(super) installer: String,
}

/// The objects of a host that has an appliance.
struct Placed {
    pool: Ref<mo::ResourcePool>,
    /// The id of the inventory folder that was created for the host.
    folder: Option<String>,
    vm: Ref<mo::VirtualMachine>,
    is_configured: bool,
}

impl Shared {
    pub(super) async fn install(
        &self,
        spec: HostSpec,
        observer: &dyn ObserveInstall,
    ) -> Result<HostInfo, InstallError> {
        let _turn = self.names.turn(spec.name.clone()).await;
        let report = Reporter::new(observer);
        let name = spec.name.clone();
        let step = InstallStep::Validate;
        report.tell(step, InstallStatus::Started);
        let refused = match self.plan(spec).await {
            Ok(mut plan) => match plan.refusal() {
                None => {
                    report.tell(step, InstallStatus::Finished);
                    return self.carry_out(plan, &report).await;
                }
                Some(error) => refused(plan, error),
            },
            Err(error) => InstallError::new(&name, step, error, Vec::new()),
        };
        report.tell(step, InstallStatus::Failed);
        Err(refused)
    }

    pub(super) async fn apply(
        &self,
        mut plan: Plan,
        observer: &dyn ObserveInstall,
    ) -> Result<HostInfo, InstallError> {
        let _turn = self.names.turn(plan.spec.name.clone()).await;
        if let Some(error) = plan.refusal() {
            return Err(refused(plan, error));
        }
        self.carry_out(plan, &Reporter::new(observer)).await
    }

    async fn carry_out(&self, plan: Plan, report: &Reporter<'_>) -> Result<HostInfo, InstallError> {
        let name = plan.spec.name.clone();
        let Some(resolved) = &plan.resolved else {
            let error = Error::internal(kind::host(&name), "its plan is incomplete");
            return Err(InstallError::new(
                &name,
                InstallStep::Validate,
                error,
                Vec::new(),
            ));
        };
        let job = Job {
            spec: &plan.spec,
            host: kind::host(&name),
            resolved,
            installer: Uuid::new_v4().simple().to_string(),
        };
        let mut made = Made::default();
        match Box::pin(self.build(&job, report, &mut made)).await {
            Ok(info) => Ok(info),
            // The host itself is complete; the appliance's log may show what it lacks.
            Err((step @ (InstallStep::Address | InstallStep::Components), error)) => {
                Err(InstallError::new(&name, step, error, vec![job.host]))
            }
            Err((step, error)) => {
                let left = self.undo(made, &job, report).await;
                Err(InstallError::new(&name, step, error, left))
            }
        }
    }

    async fn build(
        &self,
        job: &Job<'_>,
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<HostInfo, (InstallStep, Error)> {
        let Job { spec, resolved, .. } = job;
        made.datastore = Some(resolved.datastore.clone());
        let placed = match &resolved.unfinished {
            Some(unfinished) => self
                .resume(job, unfinished, made)
                .await
                .map_err(|error| (InstallStep::Validate, error))?,
            None => self.place(job, report, made).await?,
        };
        let vm = placed.vm.clone();
        // Another installation may take over at any time; then this one must not change anything
        // more.
        let ready = tokio::select! {
            biased;
            ready = Box::pin(self.complete(job, &placed, report, made)) => match ready {
                Ok(()) => Ok(()),
                Err((step, error)) => return Err((step, self.reason(&vm, error, job).await)),
            },
            error = self.taken_over(&vm, job) => Err(error),
        };
        if let Err(error) = ready {
            let step = *report.current();
            report.tell(step, InstallStatus::Failed);
            return Err((step, error));
        }
        let last = *report.current();
        let finished = self.finish(&vm, job).await;
        report.tell(
            last,
            match finished {
                Ok(()) => InstallStatus::Finished,
                Err(_) => InstallStatus::Failed,
            },
        );
        finished.map_err(|error| (last, error))?;
        let found = self
            .find(&spec.name)
            .await
            .map_err(|error| (InstallStep::PowerOn, error))?;
        Ok(found.info())
    }

    /// Takes over the objects of an unfinished installation.
    async fn resume(&self, job: &Job<'_>, unfinished: &Found, made: &mut Made) -> Result<Placed> {
        let vm = unfinished.machine.vm.clone();
        self.take_over(&vm, job).await?;
        made.resumed = Some(job.host.clone());
        if !job.resolved.is_current && unfinished.machine.power != Power::Off {
            // The configuration is written again. Keys that were written while the appliance was on
            // may be lost when it is off, this run's id among them.
            self.endpoint.power_off(&vm, &job.host).await?;
            self.take_over(&vm, job).await?;
        }
        made.appliance = Some((vm.clone(), unfinished.machine.directory()));
        let home = self.endpoint.home(&vm, &job.host).await?;
        if home.own_pool(&job.spec.name).is_some() {
            self.allocate(&home.pool, job).await?;
        }
        Ok(Placed {
            pool: home.pool,
            folder: unfinished.record.folder.clone(),
            vm,
            is_configured: job.resolved.is_current,
        })
    }

    /// Creates the pool, the folder and the appliance.
    async fn place(
        &self,
        job: &Job<'_>,
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<Placed, (InstallStep, Error)> {
        let pool = if job.resolved.has_pools {
            report
                .step(InstallStep::ResourcePool, self.make_pool(job, made))
                .await?
        } else {
            job.resolved.parent.clone()
        };
        let folder = if self.endpoint.has_folders() {
            let folder = report
                .step(InstallStep::Folder, self.make_folder(job, made))
                .await?;
            Some(folder)
        } else {
            None
        };
        let vm = report
            .step(
                InstallStep::Appliance,
                self.make_appliance(job, (&pool, folder.as_ref()), made),
            )
            .await?;
        Ok(Placed {
            pool,
            folder: folder.map(|folder| folder.value().to_owned()),
            vm,
            is_configured: false,
        })
    }

    /// Does everything from the bridge network on, but does not mark the installation as finished.
    /// The last step is not reported as finished.
    async fn complete(
        &self,
        job: &Job<'_>,
        placed: &Placed,
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<(), (InstallStep, Error)> {
        let Job {
            spec,
            host,
            resolved,
            ..
        } = job;
        let vm = &placed.vm;
        if let Bridge::Missing(switches) = &resolved.bridge {
            report
                .step(
                    InstallStep::BridgeNetwork,
                    self.make_bridge(job, switches, vm, made),
                )
                .await?;
        }
        if !placed.is_configured {
            self.upload_images(job, vm, report, made).await?;
            report
                .step(
                    InstallStep::Configure,
                    self.configure(job, (&placed.pool, placed.folder.clone()), vm, made),
                )
                .await?;
        }
        let failed = |step| {
            move |error| {
                report.tell(step, InstallStatus::Failed);
                (step, error)
            }
        };
        report.tell(InstallStep::PowerOn, InstallStatus::Started);
        let on = self.switch_on(vm, job).await;
        on.map_err(failed(InstallStep::PowerOn))?;
        if let Some(limit) = spec.address_timeout {
            report.tell(InstallStep::PowerOn, InstallStatus::Finished);
            report.tell(InstallStep::Address, InstallStatus::Started);
            let address = self.endpoint.wait_for_address(vm, limit, host).await;
            address.map_err(failed(InstallStep::Address))?;
        }
        if let Some(limit) = spec.components_within() {
            let last = *report.current();
            report.tell(last, InstallStatus::Finished);
            report.tell(InstallStep::Components, InstallStatus::Started);
            let started = self.wait_for_components(vm, limit, host).await;
            started.map_err(failed(InstallStep::Components))?;
        }
        Ok(())
    }

    /// Creates the pool. An empty pool of this name, which an interrupted installation may have
    /// left, is reused, and is kept if this installation fails.
    async fn make_pool(&self, job: &Job<'_>, made: &mut Made) -> Result<Ref<mo::ResourcePool>> {
        let name = &job.spec.name;
        let parent = &job.resolved.parent;
        let resource = Resource::new(kind::RESOURCE_POOL, name);
        if let Some(pool) = self.empty_pool(job, &resource).await? {
            return Ok(pool);
        }
        let pool = self
            .endpoint
            .create_pool(parent, name, &job.spec.pool, &resource)
            .await;
        match pool {
            Ok(pool) => {
                made.pool = Some(pool.clone());
                Ok(pool)
            }
            // Another installation created it. The first appliance decides whose the host is.
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                let pool = self.empty_pool(job, &resource).await?;
                pool.ok_or(error)
            }
            Err(error) => Err(made.note(resource, error)),
        }
    }

    /// Returns the pool of this name if it exists and is empty, with the limits of the host.
    async fn empty_pool(
        &self,
        job: &Job<'_>,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::ResourcePool>>> {
        let (parent, name) = (&job.resolved.parent, &job.spec.name);
        let Some(pool) = self.endpoint.child_pool(parent, name, resource).await? else {
            return Ok(None);
        };
        if !self.endpoint.is_empty_pool(&pool, resource).await? {
            return Err(self
                .rival(Error::already_exists(resource.clone()), job)
                .await);
        }
        self.allocate(&pool, job).await?;
        Ok(Some(pool))
    }

    /// Limits a pool that exists already, if limits are requested.
    async fn allocate(&self, pool: &Ref<mo::ResourcePool>, job: &Job<'_>) -> Result<()> {
        if job.spec.pool.is_default() {
            return Ok(());
        }
        let resource = Resource::new(kind::RESOURCE_POOL, &job.spec.name);
        self.endpoint
            .allocate(pool, &job.spec.pool, &resource)
            .await
    }

    /// Creates the inventory folder. An empty folder of this name, which an interrupted installation
    /// may have left, is reused, and is kept if this installation fails.
    async fn make_folder(&self, job: &Job<'_>, made: &mut Made) -> Result<Ref<mo::Folder>> {
        let name = &job.spec.name;
        let parent = job.resolved.datacenter.vm_folder();
        let resource = Resource::new(kind::FOLDER, name);
        let existing = self.empty_folder(job, &resource).await;
        if let Some(folder) = made.shared(existing)? {
            return Ok(folder);
        }
        match self.endpoint.create_folder(parent, name, &resource).await {
            Ok(folder) => {
                made.folder = Some(folder.clone());
                Ok(folder)
            }
            // Another installation created it. The first appliance decides whose the host is.
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                let existing = self.empty_folder(job, &resource).await;
                made.shared(existing)?.ok_or(error)
            }
            Err(error) => Err(made.note(resource, error)),
        }
    }

    /// Returns the inventory folder of this name if it exists and is empty.
    async fn empty_folder(
        &self,
        job: &Job<'_>,
        resource: &Resource,
    ) -> Result<Option<Ref<mo::Folder>>> {
        let parent = job.resolved.datacenter.vm_folder();
        let name = &job.spec.name;
        let Some(child) = self.endpoint.child_named(parent, name, resource).await? else {
            return Ok(None);
        };
        match child.downcast::<mo::Folder>() {
            Some(folder) if self.endpoint.names_in(&folder, resource).await?.is_empty() => {
                Ok(Some(folder))
            }
            _ => Err(self
                .rival(Error::already_exists(resource.clone()), job)
                .await),
        }
    }

    async fn make_appliance(
        &self,
        job: &Job<'_>,
        (pool, own_folder): (&Ref<mo::ResourcePool>, Option<&Ref<mo::Folder>>),
        made: &mut Made,
    ) -> Result<Ref<mo::VirtualMachine>> {
        let (spec, resolved) = (job.spec, job.resolved);
        // A bridge network is recorded before it is created, so that its owner is always known.
        let bridge = match &resolved.bridge {
            Bridge::Exists(backing) => Some(backing.clone()),
            Bridge::Missing(_) => None,
        };
        let keys = self.creating(job, bridge.is_none(), own_folder.map(Ref::value))?;
        let networks = bridge
            .into_iter()
            .chain(resolved.others.backings.iter().cloned());
        let cards = cards(networks, 0, self.options.dialect);
        let size = Resources::new().cpus(spec.cpus).memory_mib(spec.memory_mib);
        let config = appliance(&spec.name, resolved.datastore.name(), size, cards, keys);
        let resource = Resource::new(kind::VIRTUAL_MACHINE, &spec.name);
        let folder = own_folder.unwrap_or_else(|| resolved.datacenter.vm_folder());
        let vm = match self.endpoint.create(folder, pool, &config, &job.host).await {
            Ok(vm) => vm,
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                // The pool and the folder that this installation created are the other one's now.
                made.is_shared = true;
                return Err(self.rival(error, job).await);
            }
            Err(error) => return Err(made.note(resource, error)),
        };
        made.appliance = Some((vm.clone(), String::new()));
        // The server may have chosen a different directory than requested.
        let directory = self.endpoint.machine(&vm, &job.host).await?.directory();
        made.appliance = Some((vm.clone(), directory));
        Ok(vm)
    }

    /// Returns the keys of an appliance that is being created.
    fn creating(&self, job: &Job<'_>, creates_bridge: bool, folder: Option<&str>) -> Result<Keys> {
        let (spec, bridge) = (job.spec, job.resolved.bridge_name.as_str());
        HostRecord::creating(
            &spec.name,
            (bridge, creates_bridge),
            &spec.appliance_networks(bridge),
            folder,
            &job.installer,
            self.options.dialect,
        )
        .map_err(|error| Error::internal(job.host.clone(), error))
    }

    async fn make_bridge(
        &self,
        job: &Job<'_>,
        switches: &Switches,
        vm: &Ref<mo::VirtualMachine>,
        made: &mut Made,
    ) -> Result<()> {
        let name = job.resolved.bridge_name.as_str();
        if let Some(unfinished) = &job.resolved.unfinished
            && !unfinished.record.created_bridge
        {
            let keys = self.creating(job, true, unfinished.record.folder.as_deref())?;
            self.write_owned(vm, keys, job).await?;
        }
        // The installation that this one took over may have created the switch after planning.
        let now = match made.resumed {
            Some(_) => Some(self.endpoint.switches(&job.resolved.parent).await?),
            None => None,
        };
        let switches = now.as_ref().unwrap_or(switches);
        if !switches.has_switch(name) {
            let switch = Resource::new(kind::VIRTUAL_SWITCH, name);
            let added = self.endpoint.add_switch(switches, name).await;
            added.map_err(|error| made.note(switch, error))?;
        }
        // From here on, the switch belongs to this installation.
        made.bridge = Some((name.to_owned(), job.resolved.parent.clone()));
        let group = PortGroup {
            name: name.to_owned(),
            switch: name.to_owned(),
            vlan: BRIDGE_VLAN,
        };
        if made.resumed.is_some() && switches.port_group(name) == Some(&group) {
            return Ok(());
        }
        self.endpoint.add_port_group(switches, &group).await
    }

    /// Powers on the appliance. Already on counts as success: an earlier installation may have done
    /// it.
    async fn switch_on(&self, vm: &Ref<mo::VirtualMachine>, job: &Job<'_>) -> Result<()> {
        let machine = self.endpoint.machine(vm, &job.host).await?;
        job.must_own(&machine)?;
        if machine.power == Power::On {
            return Ok(());
        }
        let internal = |error| Error::internal(job.host.clone(), error);
        let dialect = self.options.dialect;
        // What is written while the appliance is on may be forgotten when it is powered off, but a
        // host that was installed once must stay installed.
        let starting = HostRecord::starting_key(dialect).map_err(internal)?;
        self.write_owned(vm, starting, job).await?;
        self.power_on_owned(vm, job).await?;
        if job.spec.address_timeout.is_none() && job.spec.components_within().is_none() {
            return Ok(());
        }
        let waiting = HostRecord::unfinished_key(dialect).map_err(internal)?;
        self.write_owned(vm, waiting, job).await
    }

    /// Records that the installation is complete. On a vCenter, nobody else can destroy the appliance
    /// from then on.
    async fn finish(&self, vm: &Ref<mo::VirtualMachine>, job: &Job<'_>) -> Result<()> {
        // An earlier installation may have used the other dialect, so the keys of both are written;
        // a key that is absent stays absent.
        let mut all = Keys::new();
        for dialect in Dialect::ALL {
            let keys = HostRecord::finished_key(dialect)
                .map_err(|error| Error::internal(job.host.clone(), error))?;
            all.extend(keys);
        }
        self.write_owned(vm, all, job).await?;
        self.endpoint.disable_destroy(vm, &job.host).await;
        Ok(())
    }

    pub(super) async fn write_keys(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        keys: impl IntoIterator<Item = (String, String)>,
        host: &Resource,
    ) -> Result<()> {
        let change = VirtualMachineConfigSpec {
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        self.endpoint.reconfigure(vm, &change, host).await
    }
}

/// Returns the error of a refused plan, with its other findings.
fn refused(plan: Plan, error: Error) -> InstallError {
    let name = plan.name().to_owned();
    let mut findings = plan.into_findings();
    findings.retain(|finding| finding.severity >= Severity::Error);
    InstallError::new(&name, InstallStep::Validate, error, Vec::new()).with_findings(findings)
}
