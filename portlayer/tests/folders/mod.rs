//! The inventory folders of hosts on a vCenter, and hosts in a cluster without DRS, whose machines
//! are those in their folders.

mod interrupted;

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs, StartOptions};
use portlayer::image::{ImageId, Images};
use portlayer::vsphere::{
    ContainerPolicy, Dialect, Hosts, InstallProgress, InstallStep, Options, Severity, VsphereExec,
    kind,
};
use portlayer::{ContainerId, ErrorKind, ExitStatus};
use simulator::{Simulator, Topology};
use vim25::types::{OptionValue, VirtualMachineConfigSpec, VirtualMachineFileInfo};
use vim25::{Poly, Ref, mo, props};
use vsphere_client::Datacenter;

use crate::images::{image, layer, options};
use crate::{Endpoint, guest, spec};

/// Starts a vCenter with a cluster and a host called `vch` in it.
pub(crate) async fn cluster(drs: bool) -> Endpoint {
    let topology = Topology::vcenter().standalone_hosts(0).cluster_hosts(3);
    let simulator = Simulator::builder()
        .topology(topology.drs(drs))
        .guest(guest())
        .start()
        .await
        .unwrap();
    let spec = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    Endpoint::install(simulator, Dialect::Vic1, spec).await
}

fn quiet(_: InstallProgress) {}

impl Endpoint {
    /// Returns access to the hosts as another program would have it.
    fn other_hosts(&self) -> Hosts {
        Hosts::new(self.client.clone(), Options::default())
    }

    async fn datacenter(&self) -> Datacenter {
        let inventory = self.client.inventory();
        inventory.datacenter(Some("DC0")).await.unwrap()
    }

    /// Returns the pools besides the root pool.
    async fn pools(&self) -> Vec<String> {
        let root = &self.client.service_content().root_folder;
        let name = props::resource_pool::NAME;
        let all = self.client.retrieve::<mo::ResourcePool>().property(name);
        let all = all.within(root).collect().await.unwrap();
        let names = all.iter().filter_map(|pool| pool.value(name));
        names.filter(|name| name != "Resources").collect()
    }

    /// Returns the sorted names of the children of a folder: of the datacenter's folder of machines,
    /// or of a folder at this path below it.
    async fn content(&self, path: &[&str]) -> Vec<String> {
        let folder = self.folder(path).await;
        let name = props::managed_entity::NAME;
        let all = self.client.retrieve::<mo::ManagedEntity>().property(name);
        let all = all.along(&folder, props::folder::CHILD_ENTITY);
        let all = all.collect().await.unwrap();
        let mut names: Vec<_> = all.iter().filter_map(|child| child.value(name)).collect();
        names.sort();
        names
    }

    async fn folder(&self, path: &[&str]) -> Ref<mo::Folder> {
        let index = self.client.service_content().search_index.clone().unwrap();
        let mut folder = self.datacenter().await.vm_folder().clone();
        for name in path {
            let child = self.client.call(index.find_child(&folder, name)).await;
            folder = child.unwrap().unwrap().downcast().unwrap();
        }
        folder
    }

    async fn machine_in(&self, folder: &[&str], name: &str) -> Ref<mo::VirtualMachine> {
        let index = self.client.service_content().search_index.clone().unwrap();
        let folder = self.folder(folder).await;
        let child = self.client.call(index.find_child(&folder, name)).await;
        child.unwrap().unwrap().downcast().unwrap()
    }

    /// Creates a machine of somebody else.
    async fn foreign(&self, folder: &[&str], name: &str) -> Ref<mo::VirtualMachine> {
        let inventory = self.client.inventory();
        let datacenter = self.datacenter().await;
        let pool = inventory.resource_pool(&datacenter, Some("DC0_C0")).await;
        let hosts = self.client.retrieve::<mo::HostSystem>();
        let hosts = hosts.within(&self.client.service_content().root_folder);
        let host = hosts.collect().await.unwrap()[0].object().clone();
        let spec = VirtualMachineConfigSpec {
            name: Some(name.into()),
            guest_id: Some("otherGuest64".into()),
            files: Some(Box::new(VirtualMachineFileInfo {
                vm_path_name: Some("[LocalDS_0]".into()),
                ..VirtualMachineFileInfo::default()
            })),
            ..VirtualMachineConfigSpec::default()
        };
        let folder = self.folder(folder).await;
        let create = folder.create_vm(&spec, &pool.unwrap(), Some(&host));
        self.client.run(create).await.unwrap()
    }
}

/// Imports an image with this content.
async fn imported(exec: &VsphereExec, content: &str) -> ImageId {
    let image = image(&[layer("hello", content.as_bytes())], "/exit");
    let import = exec.images().import(image, options());
    import.await.unwrap().id
}

/// Creates and runs a container, with an image of its own.
async fn contained(exec: &VsphereExec, name: &str) -> ContainerId {
    let image = imported(exec, name).await;
    let container = ContainerSpec::new(name, Command::new("/exit"));
    let container = container.root(RootFs::image(image, "hello"));
    let id = exec.create(container).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    assert_eq!(exec.wait(&id).await.unwrap(), ExitStatus::Code(0));
    id
}

#[tokio::test]
async fn a_cluster_conforms() {
    cluster(true).await.conform_without(&[]).await;
}

#[tokio::test]
async fn a_cluster_without_drs_conforms() {
    let endpoint = cluster(false).await;
    endpoint.conform_without(&[InstallStep::ResourcePool]).await;
}

#[tokio::test]
async fn the_machines_of_a_host_are_in_its_folder() {
    for drs in [true, false] {
        let endpoint = cluster(drs).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        let id = contained(&exec, "one").await;
        let expected: &[&str] = if drs { &["vch"] } else { &[] };
        assert_eq!(endpoint.pools().await, expected);
        assert_eq!(endpoint.content(&[]).await, ["vch"]);
        let machine = format!("one-{}", id.short());
        assert_eq!(
            endpoint.content(&["vch"]).await,
            [&machine, "vch", "vch.images"]
        );
        assert_eq!(endpoint.content(&["vch", "vch.images"]).await.len(), 1);
        assert_eq!(exec.check().await.unwrap(), []);

        let plan = endpoint.hosts.plan(endpoint.spec("next")).await.unwrap();
        assert!(plan.is_ready(), "{plan}");
        let text = "folder \"next\" for the machines of the host in \"/DC0\"";
        assert!(plan.to_string().contains(text), "{plan}");
        let is_pool =
            |step: &&portlayer::vsphere::PlannedStep| step.step == InstallStep::ResourcePool;
        assert_eq!(
            plan.steps().iter().filter(is_pool).count(),
            usize::from(drs)
        );
        let warned = plan.findings().iter().find(|finding| {
            finding.severity == Severity::Warning && finding.object.kind == kind::COMPUTE_RESOURCE
        });
        assert_eq!(warned.is_some(), !drs, "{plan}");
        assert_eq!(endpoint.content(&[]).await, ["vch"]);

        let deletion = endpoint.hosts.delete("vch", ContainerPolicy::Remove).await;
        let deletion = deletion.unwrap();
        assert!(deletion.deleted_folder, "{deletion:?}");
        assert_eq!(deletion.deleted_pool, drs, "{deletion:?}");
        assert!(deletion.left.is_empty(), "{deletion:?}");
        assert!(deletion.foreign.is_empty(), "{deletion:?}");
        assert_eq!(endpoint.content(&[]).await, [""; 0]);
        assert_eq!(endpoint.pools().await, [""; 0]);
    }
}

#[tokio::test]
async fn hosts_in_one_cluster_without_drs_do_not_see_each_other() {
    let endpoint = cluster(false).await;
    // "Resources" is also the name of the root pool, in which all the machines are.
    let names = ["vch", "Resources"];
    let installed = endpoint.hosts.install(endpoint.spec("Resources"), &quiet);
    installed.await.unwrap();
    let mut ids = Vec::new();
    for name in names {
        let exec = endpoint.hosts.exec(name).await.unwrap();
        ids.push(contained(&exec, "same").await);
    }
    // A machine of somebody else in the root pool, and in the folder of all machines.
    endpoint.foreign(&[], "db").await;
    let listed: Vec<_> = endpoint.hosts.list().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|host| &*host.name).collect();
    assert_eq!(listed, ["Resources", "vch"]);
    for (name, id) in names.iter().zip(&ids) {
        for hosts in [&endpoint.hosts, &endpoint.other_hosts()] {
            let exec = hosts.exec(name).await.unwrap();
            let listing = exec.list().await.unwrap();
            let found: Vec<_> = listing.containers.iter().map(|c| c.id).collect();
            assert_eq!(found, [*id]);
            assert_eq!(listing.quarantined, []);
            assert_eq!(exec.resolve("same").await.unwrap(), *id);
            let images = exec.images().list().await.unwrap();
            assert_eq!((images.images.len(), images.quarantined.len()), (1, 0));
            assert_eq!(exec.check().await.unwrap(), []);
            for other in ids.iter().filter(|other| *other != id) {
                let error = exec.inspect(other).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::NotFound);
            }
        }
    }
    let policy = ContainerPolicy::Refuse;
    let refused = endpoint
        .hosts
        .delete("Resources", policy)
        .await
        .unwrap_err();
    assert!(
        matches!(refused.kind, ErrorKind::InUse { .. }),
        "{refused:?}"
    );
    let policy = ContainerPolicy::Remove;
    let deletion = endpoint.hosts.delete("Resources", policy).await.unwrap();
    assert!(deletion.left.is_empty(), "{deletion:?}");
    assert_eq!(endpoint.content(&[]).await, ["db", "vch"]);
    let exec = endpoint.other_hosts().exec("vch").await.unwrap();
    assert_eq!(exec.list().await.unwrap().containers.len(), 1);
    exec.start(&ids[0], StartOptions::new()).await.unwrap();
    assert_eq!(exec.wait(&ids[0]).await.unwrap(), ExitStatus::Code(0));
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_not_used() {
    let endpoint = cluster(false).await;
    let root = endpoint.datacenter().await.vm_folder().clone();
    let taken = endpoint
        .client
        .call(root.create_folder("taken"))
        .await
        .unwrap();
    endpoint.foreign(&["taken"], "db").await;
    let plan = endpoint.hosts.plan(endpoint.spec("taken")).await.unwrap();
    assert!(!plan.is_ready());
    let finding = plan
        .findings()
        .iter()
        .find(|f| f.severity == Severity::Error);
    let finding = finding.unwrap();
    assert_eq!(finding.object.kind, kind::FOLDER);
    let remedy = "\"db\" is in it: empty or rename it, or choose another name";
    assert_eq!(finding.remedy, remedy);
    let failed = endpoint.hosts.install(endpoint.spec("taken"), &quiet).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.error().kind, ErrorKind::AlreadyExists);
    assert!(failed.left_behind().is_empty(), "{failed}");
    let nothing = endpoint
        .hosts
        .delete("taken", ContainerPolicy::Remove)
        .await;
    assert!(nothing.unwrap_err().is_not_found());
    assert_eq!(endpoint.content(&["taken"]).await, ["db"]);

    // The folder is taken between the plan and its application.
    let plan = endpoint.hosts.plan(endpoint.spec("late")).await.unwrap();
    let late = endpoint
        .client
        .call(root.create_folder("late"))
        .await
        .unwrap();
    let db = endpoint.machine_in(&["taken"], "db").await;
    let moved = late.move_into_folder(&[db.upcast()]);
    endpoint.client.run(moved).await.unwrap();
    let failed = endpoint.hosts.apply(plan, &quiet).await.unwrap_err();
    assert_eq!(failed.step(), InstallStep::Folder);
    assert_eq!(failed.error().kind, ErrorKind::AlreadyExists);
    assert_eq!(endpoint.content(&["late"]).await, ["db"]);

    // An empty folder, as an interrupted installation leaves it, is used.
    let installed = endpoint.hosts.install(endpoint.spec("taken"), &quiet);
    installed.await.unwrap();
    assert_eq!(endpoint.content(&["taken"]).await, ["taken"]);
    assert_eq!(endpoint.folder(&["taken"]).await, taken);
}

#[tokio::test]
async fn machines_of_others_in_the_folder_are_named() {
    // With a pool, the machine of somebody else is not among those of the host.
    let endpoint = cluster(true).await;
    endpoint.foreign(&["vch"], "db").await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    assert_eq!(exec.list().await.unwrap().quarantined, []);
    let deletion = endpoint.hosts.delete("vch", ContainerPolicy::Refuse).await;
    let deletion = deletion.unwrap();
    assert_eq!(deletion.foreign, ["db"]);
    assert!(!deletion.deleted_folder);
    assert!(deletion.left.is_empty(), "{deletion:?}");
    assert_eq!(endpoint.content(&["vch"]).await, ["db"]);

    // Without a pool it is, and nothing is deleted.
    let endpoint = cluster(false).await;
    let db = endpoint.foreign(&["vch"], "db").await;
    let refused = endpoint.hosts.delete("vch", ContainerPolicy::Remove).await;
    let refused = refused.unwrap_err();
    let ErrorKind::InUse { by } = &refused.kind else {
        panic!("{refused:?}");
    };
    assert_eq!(&**by, "db");
    assert!(endpoint.hosts.find("vch").await.is_ok());
    let root = endpoint.datacenter().await.vm_folder().clone();
    let away = root.move_into_folder(&[db.upcast()]);
    endpoint.client.run(away).await.unwrap();
    let deletion = endpoint.hosts.delete("vch", ContainerPolicy::Remove).await;
    assert!(deletion.unwrap().deleted_folder);
    assert_eq!(endpoint.content(&[]).await, ["db"]);
}

/// Earlier versions created a pool only, and the machines in the folder of all machines.
#[tokio::test]
async fn a_host_of_an_earlier_version_is_opened_and_deleted() {
    let endpoint = cluster(true).await;
    let vm = endpoint.machine_in(&["vch"], "vch").await;
    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new("portlayer/folder", ""))],
        ..VirtualMachineConfigSpec::default()
    };
    endpoint.client.run(vm.reconfig_vm(&change)).await.unwrap();
    let root = endpoint.datacenter().await.vm_folder().clone();
    let folder = endpoint.folder(&["vch"]).await;
    // A machine cannot have the name of a folder next to it.
    endpoint.client.run(folder.rename("old")).await.unwrap();
    let out = root.move_into_folder(&[vm.upcast()]);
    endpoint.client.run(out).await.unwrap();
    endpoint.client.run(folder.destroy()).await.unwrap();

    let hosts = endpoint.other_hosts();
    assert_eq!(hosts.list().await.unwrap().len(), 1);
    let exec = hosts.exec("vch").await.unwrap();
    let id = contained(&exec, "one").await;
    assert_eq!(exec.list().await.unwrap().containers.len(), 1);
    let machine = format!("one-{}", id.short());
    assert_eq!(endpoint.content(&[]).await, [&machine, "vch", "vch.images"]);
    let deletion = hosts.delete("vch", ContainerPolicy::Remove).await.unwrap();
    assert!(deletion.deleted_pool && !deletion.deleted_folder);
    assert!(deletion.left.is_empty(), "{deletion:?}");
    assert_eq!(endpoint.content(&[]).await, [""; 0]);
}

#[tokio::test]
async fn a_moved_appliance_keeps_its_containers() {
    let endpoint = cluster(false).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let id = contained(&exec, "one").await;
    drop(exec);
    let root = endpoint.datacenter().await.vm_folder().clone();
    let other = endpoint
        .client
        .call(root.create_folder("other"))
        .await
        .unwrap();
    let vm = endpoint.machine_in(&["vch"], "vch").await;
    let moved = other.move_into_folder(&[vm.upcast()]);
    endpoint.client.run(moved).await.unwrap();

    let hosts = endpoint.other_hosts();
    let exec = hosts.exec("vch").await.unwrap();
    let found: Vec<_> = exec.list().await.unwrap().containers;
    assert_eq!(found.iter().map(|c| c.id).collect::<Vec<_>>(), [id]);
    let two = contained(&exec, "two").await;
    let machines = endpoint.content(&["vch"]).await;
    assert!(
        machines.contains(&format!("two-{}", two.short())),
        "{machines:?}"
    );
    let deletion = hosts.delete("vch", ContainerPolicy::Remove).await.unwrap();
    assert!(deletion.deleted_folder, "{deletion:?}");
    assert_eq!(endpoint.content(&[]).await, ["other"]);
    assert_eq!(endpoint.content(&["other"]).await, [""; 0]);
}

/// Somebody moved the machine of a container out of the host's folder, so it was not removed with the
/// host.
#[tokio::test]
async fn a_machine_that_was_moved_away_is_reported_when_its_host_is_deleted() {
    let endpoint = cluster(false).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("one", Command::new("/exit"));
    let id = exec.create(spec).await.unwrap();
    drop(exec);
    let name = format!("one-{}", id.short());
    let vm = endpoint.machine_in(&["vch"], &name).await;
    let root = endpoint.datacenter().await.vm_folder().clone();
    let moved = root.move_into_folder(&[vm.upcast()]);
    endpoint.client.run(moved).await.unwrap();

    let hosts = endpoint.other_hosts();
    let deletion = hosts.delete("vch", ContainerPolicy::Remove).await.unwrap();
    let left: Vec<_> = deletion.left.iter().map(|left| &*left.id).collect();
    assert_eq!(left, [&name], "{deletion:?}");
    assert_eq!(endpoint.content(&[]).await, [name]);
}
