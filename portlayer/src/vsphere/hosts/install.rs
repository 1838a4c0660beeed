//! Making a host.

use jiff::Timestamp;
use vim25::types::{VirtualDeviceBackingInfo, VirtualMachineConfigSpec};
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::Shared;
use super::find::{APPLIANCE_ISO, BOOTSTRAP_ISO, datastore_path};
use super::{HostInfo, HostSpec, InstallError, Iso, Observe, Progress, Step, StepStatus};
use crate::exec::Resources;
use crate::vsphere::hardware;
use crate::vsphere::host_record::{HostRecord, Particulars};
use crate::vsphere::kind;
use crate::vsphere::line_keys;
use crate::vsphere::machine_spec::{appliance, options};
use crate::{Error, ErrorKind, Resource, Result};

/// Everything that the specification names, looked up.
struct Plan<'a> {
    spec: &'a HostSpec,
    host: Resource,
    datacenter: Datacenter,
    parent: Ref<mo::ResourcePool>,
    datastore: Datastore,
    bridge: (String, Poly<VirtualDeviceBackingInfo>),
    public: Option<Poly<VirtualDeviceBackingInfo>>,
}

/// The objects created so far, to be removed in reverse order.
#[derive(Default)]
struct Made {
    datastore: Option<Datastore>,
    pool: Option<Ref<mo::ResourcePool>>,
    appliance: Option<(Ref<mo::VirtualMachine>, String)>,
    files: Vec<(Step, String)>,
    /// Objects that may have been created although the response was lost.
    unknown: Vec<Resource>,
}

struct Reporter<'a>(&'a dyn Observe);

impl Reporter<'_> {
    fn tell(&self, step: Step, status: StepStatus) {
        self.0.observe(Progress { step, status });
    }

    async fn step<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T, (Step, Error)> {
        self.tell(step, StepStatus::Started);
        match work.await {
            Ok(done) => {
                self.tell(step, StepStatus::Finished);
                Ok(done)
            }
            Err(error) => {
                self.tell(step, StepStatus::Failed);
                Err((step, error))
            }
        }
    }
}

impl Shared {
    pub(super) async fn install(
        &self,
        spec: &HostSpec,
        observer: &dyn Observe,
    ) -> Result<HostInfo, InstallError> {
        let _turn = self.names.turn(spec.name.clone()).await;
        let report = Reporter(observer);
        let mut made = Made::default();
        match self.build(spec, &report, &mut made).await {
            Ok(info) => Ok(info),
            Err((step, error)) => {
                let left = self.undo(made, &kind::host(&spec.name), &report).await;
                Err(InstallError::new(&spec.name, step, error, left))
            }
        }
    }

    async fn build(
        &self,
        spec: &HostSpec,
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<HostInfo, (Step, Error)> {
        let plan = report.step(Step::Validate, self.plan(spec)).await?;
        made.datastore = Some(plan.datastore.clone());
        let pool = report
            .step(Step::ResourcePool, self.make_pool(&plan, made))
            .await?;
        let vm = report
            .step(Step::Appliance, self.make_appliance(&plan, &pool, made))
            .await?;
        for (step, file, iso) in [
            (Step::ApplianceIso, APPLIANCE_ISO, &spec.appliance_iso),
            (Step::BootstrapIso, BOOTSTRAP_ISO, &spec.bootstrap_iso),
        ] {
            report
                .step(step, self.upload(&plan, (step, file, iso), report, made))
                .await?;
        }
        report
            .step(Step::Configure, self.configure(&plan, &pool, &vm, made))
            .await?;
        report
            .step(Step::PowerOn, self.endpoint.power_on(&vm, &plan.host))
            .await?;
        let found = self
            .find(&spec.name)
            .await
            .map_err(|error| (Step::PowerOn, error))?;
        Ok(found.info())
    }

    async fn plan<'a>(&self, spec: &'a HostSpec) -> Result<Plan<'a>> {
        spec.validate()?;
        for (field, iso) in [
            ("appliance_iso", &spec.appliance_iso),
            ("bootstrap_iso", &spec.bootstrap_iso),
        ] {
            self.endpoint
                .can_read(iso)
                .await
                .map_err(|error| Error::invalid_argument(kind::host(&spec.name), field, error))?;
        }
        let host = kind::host(&spec.name);
        let datacenter = self.endpoint.datacenter(spec.datacenter.as_deref()).await?;
        let parent = self
            .endpoint
            .parent_pool(&datacenter, spec.compute.as_deref())
            .await?;
        let datastore = self
            .endpoint
            .datastore(&datacenter, spec.datastore.as_deref())
            .await?;
        let bridge = self
            .endpoint
            .network_or_only(&datacenter, spec.bridge_network.as_deref())
            .await?;
        let public = match &spec.public_network {
            Some(name) if *name != bridge.0 => {
                Some(self.endpoint.network(&datacenter, name).await?)
            }
            _ => None,
        };
        let folders = self.endpoint.machine_folders().await?;
        let named = self.endpoint.machines_named(&folders, &spec.name, &host);
        if !named.await?.is_empty() {
            return Err(match self.find(&spec.name).await {
                Ok(_) => Error::already_exists(host),
                Err(Error {
                    kind: ErrorKind::NotFound,
                    ..
                }) => Error::already_exists(Resource::new(kind::VIRTUAL_MACHINE, &spec.name)),
                Err(error) => error,
            });
        }
        Ok(Plan {
            spec,
            host,
            datacenter,
            parent,
            datastore,
            bridge,
            public,
        })
    }

    /// An empty pool of that name, which an installation that was cut short may have left, is
    /// taken over. It is not undone: it was there before.
    async fn make_pool(&self, plan: &Plan<'_>, made: &mut Made) -> Result<Ref<mo::ResourcePool>> {
        let name = &plan.spec.name;
        let resource = Resource::new(kind::RESOURCE_POOL, name);
        if let Some(pool) = self
            .endpoint
            .child_pool(&plan.parent, name, &resource)
            .await?
        {
            if !self.endpoint.is_empty_pool(&pool, &resource).await? {
                return Err(Error::already_exists(resource));
            }
            return Ok(pool);
        }
        match self
            .endpoint
            .create_pool(&plan.parent, name, &resource)
            .await
        {
            Ok(pool) => {
                made.pool = Some(pool.clone());
                Ok(pool)
            }
            Err(error) => Err(made.note(resource, error)),
        }
    }

    async fn make_appliance(
        &self,
        plan: &Plan<'_>,
        pool: &Ref<mo::ResourcePool>,
        made: &mut Made,
    ) -> Result<Ref<mo::VirtualMachine>> {
        let spec = plan.spec;
        let keys = HostRecord::creating(&spec.name, self.options.dialect)
            .map_err(|error| Error::internal(plan.host.clone(), error))?;
        let networks = std::iter::once(plan.bridge.1.clone()).chain(plan.public.clone());
        let size = Resources::new().cpus(spec.cpus).memory_mib(spec.memory_mib);
        let config = appliance(&spec.name, plan.datastore.name(), size, networks, keys);
        let resource = Resource::new(kind::VIRTUAL_MACHINE, &spec.name);
        let folder = plan.datacenter.vm_folder();
        let vm = match self
            .endpoint
            .create(folder, pool, &config, &plan.host)
            .await
        {
            Ok(vm) => vm,
            Err(error) => return Err(made.note(resource, error)),
        };
        made.appliance = Some((vm.clone(), String::new()));
        // The server may have chosen another directory than was asked for.
        let directory = self.endpoint.machine(&vm, &plan.host).await?.directory();
        made.appliance = Some((vm.clone(), directory));
        Ok(vm)
    }

    async fn upload(
        &self,
        plan: &Plan<'_>,
        (step, file, iso): (Step, &str, &Iso),
        report: &Reporter<'_>,
        made: &mut Made,
    ) -> Result<()> {
        let path = format!("{}/{file}", made.directory());
        // From here on there may be a file, or a part of one.
        made.files.push((step, path.clone()));
        let progress = |done, total| report.tell(step, StepStatus::Transferred { done, total });
        self.endpoint
            .upload(&plan.datastore, &path, iso, &progress)
            .await
    }

    async fn configure(
        &self,
        plan: &Plan<'_>,
        pool: &Ref<mo::ResourcePool>,
        vm: &Ref<mo::VirtualMachine>,
        made: &Made,
    ) -> Result<()> {
        let spec = plan.spec;
        let directory = made.directory();
        let record = HostRecord {
            name: spec.name.clone(),
            appliance: Some(vm.value().to_owned()),
            bridge_network: plan.bridge.0.clone(),
            bridge_range: plan.spec.bridge_range,
            address: spec.address.clone().unwrap_or_else(|| spec.name.clone()),
            client_key: line_keys::client_key(&plan.host)?,
            probed: None,
        };
        let particulars = Particulars {
            target: self.endpoint.url(),
            datastore: plan.datastore.name().to_owned(),
            directory: datastore_path(&directory).path().to_owned(),
            pool: pool.value().to_owned(),
            bootstrap_iso: format!("{directory}/{BOOTSTRAP_ISO}"),
            created: Timestamp::now(),
        };
        let keys = record
            .keys(&particulars, self.options.dialect)
            .map_err(|error| Error::internal(plan.host.clone(), error))?;
        let machine = self.endpoint.machine(vm, &plan.host).await?;
        let devices = self.endpoint.devices(vm, &plan.host).await?;
        let image = format!("{directory}/{APPLIANCE_ISO}");
        let drive =
            hardware::cdrom_for(&devices, &image, plan.datastore.reference()).ok_or_else(|| {
                Error::internal(plan.host.clone(), "its machine has no IDE controller")
            })?;
        let change = VirtualMachineConfigSpec {
            change_version: machine.change_version,
            device_change: vec![drive],
            extra_config: options(keys),
            ..VirtualMachineConfigSpec::default()
        };
        self.endpoint.reconfigure(vm, &change, &plan.host).await
    }

    /// Removes what was created, in reverse order; returns what could not be removed.
    async fn undo(&self, made: Made, host: &Resource, report: &Reporter<'_>) -> Vec<Resource> {
        let mut undo = Undo {
            report,
            left: made.unknown,
        };
        if let Some((vm, directory)) = &made.appliance {
            if let Err(error) = self.endpoint.power_off(vm, host).await {
                tracing::warn!(%error, "the appliance of a failed installation stays on");
            }
            if let Some(datastore) = &made.datastore {
                for (step, path) in made.files.iter().rev() {
                    let result = self.endpoint.delete_file(datastore, path, host).await;
                    undo.note(*step, Resource::new(kind::FILE, path), result);
                }
            }
            let result = self.endpoint.destroy(vm, host).await;
            let machine = Resource::new(kind::VIRTUAL_MACHINE, &host.id);
            let destroyed = undo.note(Step::Appliance, machine, result);
            // The directory was made for the appliance, if it has its name.
            let is_own = datastore_path(directory).path() == &*host.id;
            if let (Some(datastore), true) = (&made.datastore, destroyed && is_own) {
                let result = self.endpoint.delete_file(datastore, directory, host).await;
                undo.left(Resource::new(kind::FILE, directory), result);
            }
        }
        if let Some(pool) = &made.pool {
            let result = self.endpoint.destroy_pool(pool, host).await;
            let pool = Resource::new(kind::RESOURCE_POOL, &host.id);
            undo.note(Step::ResourcePool, pool, result);
        }
        undo.left
    }
}

/// How the undoing goes.
struct Undo<'a> {
    report: &'a Reporter<'a>,
    left: Vec<Resource>,
}

impl Undo<'_> {
    /// Tells what became of a step's work. Gives whether it is gone.
    fn note(&mut self, step: Step, resource: Resource, result: Result<()>) -> bool {
        let gone = self.left(resource, result);
        self.report.tell(
            step,
            if gone {
                StepStatus::Undone
            } else {
                StepStatus::LeftBehind
            },
        );
        gone
    }

    /// Keeps the objects that still exist. Returns whether none does.
    fn left(&mut self, resource: Resource, result: Result<()>) -> bool {
        match result {
            Ok(())
            | Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => true,
            Err(error) => {
                tracing::warn!(%resource, %error, "left behind by a failed installation");
                self.left.push(resource);
                false
            }
        }
    }
}

impl Made {
    /// The directory of the appliance: `[datastore] path`.
    fn directory(&self) -> String {
        self.appliance
            .as_ref()
            .map(|(_, directory)| directory.clone())
            .unwrap_or_default()
    }

    /// Records objects that may have been created without a confirmation.
    fn note(&mut self, resource: Resource, error: Error) -> Error {
        if let Error {
            kind: ErrorKind::OutcomeUnknown { .. },
            ..
        }
        | Error {
            kind: ErrorKind::Timeout { .. },
            ..
        } = error
        {
            self.unknown.push(resource);
        }
        error
    }
}
