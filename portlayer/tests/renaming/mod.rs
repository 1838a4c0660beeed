//! Renames of running containers, on an endpoint that forgets keys which are written while a machine
//! is on, and renames of machines by hand.

use portlayer::exec::{Command, ContainerSpec, Edit, Exec, StartOptions, StopOptions};
use portlayer::vsphere::{Dialect, Hosts, Options, VsphereExec};
use portlayer::{ContainerId, State};
use simulator::Platform;
use vim25::{Ref, mo, props};

use crate::Endpoint;

async fn name(exec: &VsphereExec, id: &ContainerId) -> String {
    exec.inspect(id).await.unwrap().name
}

/// Returns whether the configuration file of the container's machine contains this name.
async fn has_key(exec: &VsphereExec, id: &ContainerId, name: &str) -> bool {
    let vmx = exec.vmx(id).await.unwrap();
    let line = format!("/common/name = \"{name}\"");
    String::from_utf8_lossy(&vmx).contains(&line)
}

async fn machine_named(endpoint: &Endpoint, machine: &str) -> Ref<mo::VirtualMachine> {
    let root = &endpoint.client.service_content().root_folder;
    let name = props::virtual_machine::NAME;
    let all = endpoint.client.retrieve().property(name).within(root);
    let all = all.collect().await.unwrap();
    let mut named = all
        .iter()
        .filter(|vm| vm.value(name).as_deref() == Some(machine));
    named.next().unwrap().object().clone()
}

#[tokio::test]
async fn a_container_renamed_while_running_keeps_its_name() {
    let platform = Platform::default();
    assert!(!platform.api_keys_written_while_on_survive);
    let endpoint = Endpoint::start(Dialect::Vic1, platform).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("old", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    exec.update(&id, Edit::new().name("new")).await.unwrap();
    assert_eq!(name(&exec, &id).await, "new");
    exec.stop(&id, StopOptions::new()).await.unwrap();
    assert_eq!(name(&exec, &id).await, "new");
    assert!(has_key(&exec, &id, "old").await);

    // Another program sees the same, and gives away the old name, not the new one.
    let hosts = Hosts::new(endpoint.client.clone(), Options::default());
    let other = hosts.exec("vch").await.unwrap();
    assert_eq!(name(&other, &id).await, "new");
    assert_eq!(other.resolve("new").await.unwrap(), id);
    let taken = ContainerSpec::new("new", Command::new("/run"));
    assert!(other.create(taken).await.is_err());
    let free = ContainerSpec::new("old", Command::new("/run"));
    other.create(free).await.unwrap();

    // The next run has the name in its keys.
    exec.start(&id, StartOptions::new()).await.unwrap();
    assert!(has_key(&exec, &id, "new").await);
    exec.stop(&id, StopOptions::new()).await.unwrap();
    assert_eq!(name(&exec, &id).await, "new");
    assert!(has_key(&exec, &id, "new").await);
}

/// In VIC 0.4's dialect, the display name of the machine is the id, so the name would be lost.
#[tokio::test]
async fn a_name_that_would_be_forgotten_is_refused() {
    for keeps in [false, true] {
        let platform = Platform {
            api_keys_written_while_on_survive: keeps,
            ..Platform::default()
        };
        let endpoint = Endpoint::start(Dialect::Vic04, platform).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        let spec = ContainerSpec::new("old", Command::new("/run"));
        let id = exec.create(spec).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        let renamed = exec.update(&id, Edit::new().name("new")).await;
        let after = match renamed {
            Ok(()) => "new",
            Err(error) => {
                let cause = std::error::Error::source(&error).unwrap().to_string();
                assert!(cause.contains("its name") && cause.contains("stop it first"));
                "old"
            }
        };
        assert_eq!(after == "new", keeps);
        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        assert_eq!(name(&exec, &id).await, after);
        exec.update(&id, Edit::new().name("newer")).await.unwrap();
        exec.start(&id, StartOptions::new()).await.unwrap();
        exec.stop(&id, StopOptions::AT_ONCE).await.unwrap();
        assert_eq!(name(&exec, &id).await, "newer");
    }
}

#[tokio::test]
async fn an_edit_of_a_stopped_container_writes_the_name_that_its_keys_have_lost() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("old", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    exec.start(&id, StartOptions::new()).await.unwrap();
    exec.update(&id, Edit::new().name("new")).await.unwrap();
    exec.stop(&id, StopOptions::new()).await.unwrap();
    let edit = Edit::new().label("a", "b");
    exec.update(&id, edit).await.unwrap();
    assert!(has_key(&exec, &id, "new").await);
    // The name that the keys had lost is a name like any other.
    exec.update(&id, Edit::new().name("old")).await.unwrap();
    assert_eq!(name(&exec, &id).await, "old");
}

#[tokio::test]
async fn only_a_machine_name_in_our_format_names_the_container() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let spec = ContainerSpec::new("web", Command::new("/run"));
    let id = exec.create(spec).await.unwrap();
    let machine = format!("web-{}", id.short());
    let vm = machine_named(&endpoint, &machine).await;
    let by_hand = [
        ("backup of web".to_owned(), "web"),
        (format!("shop-{}", ContainerId::generate().short()), "web"),
        (format!("shop-{}", id.short()), "shop"),
    ];
    for (machine, container) in by_hand {
        let rename = endpoint.client.run(vm.rename(&machine));
        rename.await.unwrap();
        let hosts = Hosts::new(endpoint.client.clone(), Options::default());
        let other = hosts.exec("vch").await.unwrap();
        assert_eq!(name(&other, &id).await, container, "{machine}");
        assert_eq!(other.inspect(&id).await.unwrap().state, State::Created);
    }
}
