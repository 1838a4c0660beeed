//! Tests of shutdown, which leaves no port, task or file, and of fault injection.

use std::net::TcpListener;
use std::time::Duration;

use crate::client::container::{keys, spec};
use crate::client::{Client, Failure};
use guestinfo::Dialect;
use simulator::{Program, Reaction, Simulator, Tether};
use vim25::types::{NotAuthenticated, NotEnoughLicenses, VirtualMachinePowerState};
use vim25::{Fault, Ref, mo};

#[tokio::test]
async fn shutdown_leaves_nothing() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    let tether = Tether::new().program("/serve", Program::forever());
    let simulator = Simulator::builder().guest(tether).start().await.unwrap();
    let directory = simulator.datastore_directory().to_owned();
    std::fs::create_dir(directory.join("vch")).unwrap();
    std::fs::write(directory.join("vch/bootstrap.iso"), b"iso").unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = spec("a", &keys("a", "/serve", &[], Dialect::Vic1));
    let vm = client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    let address = simulator.address();
    simulator.shutdown().await;
    drop(client);
    assert!(!directory.exists());
    // The port is free immediately, and no task is left once those of the client have ended.
    TcpListener::bind(address).unwrap();
    while metrics.num_alive_tasks() > tasks {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_frees_the_port_and_the_files() {
    let simulator = Simulator::builder().start().await.unwrap();
    let (address, directory) = (
        simulator.address(),
        simulator.datastore_directory().to_owned(),
    );
    drop(simulator);
    assert!(!directory.exists());
    while TcpListener::bind(address).is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_given_directory_is_kept() {
    let directory = tempfile_directory();
    let simulator = Simulator::builder()
        .datastore_directory(&directory)
        .start()
        .await
        .unwrap();
    std::fs::write(directory.join("kept"), b"").unwrap();
    simulator.shutdown().await;
    assert!(directory.join("kept").exists());
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempfile_directory() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("kept-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory.canonicalize().unwrap()
}

#[tokio::test]
async fn scripted_trouble_happens_as_told() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let create = |name: &'static str| {
        let root = root.clone();
        let client = &client;
        async move {
            client
                .call(root.create_resource_pool(name, &Default::default()))
                .await
        }
    };
    let trouble = || Fault::new("no licence", NotEnoughLicenses::default());
    simulator
        .script()
        .nth("CreateResourcePool", 2, Reaction::Fault(trouble()));
    let pool = create("a").await.unwrap();
    let fault = create("b").await.unwrap_err().fault();
    assert!(fault.is::<NotEnoughLicenses>());

    // The task fails, and the pool still exists.
    simulator
        .script()
        .next("Destroy_Task", Reaction::TaskFault(trouble()));
    assert!(client.run(pool.destroy()).await.is_err());
    assert_eq!(client.get::<String>(&pool, "name").await, "a");

    // The connection breaks, first before the call is carried out, then after it.
    simulator
        .script()
        .next("CreateResourcePool", Reaction::Disconnect);
    assert!(matches!(create("c").await, Err(Failure::Transport(_))));
    simulator
        .script()
        .next("CreateResourcePool", Reaction::LoseAnswer);
    assert!(matches!(create("c").await, Err(Failure::Transport(_))));
    let fault = create("c").await.unwrap_err().fault();
    assert_eq!(fault.type_name(), "DuplicateName");

    simulator
        .script()
        .next("CreateResourcePool", Reaction::HttpStatus(503));
    assert!(matches!(create("d").await, Err(Failure::Status(503))));
    simulator
        .script()
        .next("CreateResourcePool", Reaction::LoseSession);
    assert!(
        create("d")
            .await
            .unwrap_err()
            .fault()
            .is::<NotAuthenticated>()
    );
    assert_eq!(simulator.script().pending(), 0);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_call_that_has_arrived_is_carried_out_without_its_client() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let other = Client::login(&simulator).await;
    let root: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let script = simulator.script();
    script.next(
        "CreateResourcePool",
        Reaction::Delay(Duration::from_millis(200)),
    );
    let arrived = async {
        while script.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let spec = Default::default();
    tokio::select! {
        created = client.call(root.create_resource_pool("late", &spec)) => {
            panic!("{created:?} before the delay")
        }
        () = arrived => {}
    }
    drop(client);
    let pools = async || {
        other
            .get::<Vec<Ref<mo::ResourcePool>>>(&root, "resourcePool")
            .await
    };
    assert!(pools().await.is_empty());
    let is_created = async {
        while pools().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, is_created).await.unwrap();
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let simulator = Simulator::builder()
        .session_idle(Duration::ZERO)
        .start()
        .await
        .unwrap();
    let client = Client::login(&simulator).await;
    let call = client
        .content
        .property_collector
        .create_property_collector();
    assert!(
        client
            .call(call)
            .await
            .unwrap_err()
            .fault()
            .is::<NotAuthenticated>()
    );
    simulator.shutdown().await;
}

#[tokio::test]
async fn files_are_put_and_had_with_a_session_only() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let url = client.file_url("dir/a%20file.iso");
    let put = client
        .http()
        .put(&url)
        .body("content")
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 401);
    let cookie = client.cookie.clone().unwrap();
    let put = client
        .http()
        .put(&url)
        .header("cookie", &cookie)
        .body("content")
        .send();
    assert_eq!(put.await.unwrap().status(), 201);
    let file = simulator.datastore_directory().join("dir/a file.iso");
    assert_eq!(std::fs::read(&file).unwrap(), b"content");
    let head = client
        .http()
        .head(&url)
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(head.headers()["content-length"], "7");
    let got = client
        .http()
        .get(&url)
        .basic_auth("root", Some("vmware"))
        .send()
        .await
        .unwrap();
    assert_eq!(got.bytes().await.unwrap(), "content");
    let wrong = client
        .http()
        .get(&url)
        .basic_auth("root", Some("no"))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    let out = client.file_url("dir/..%2F..%2Fetc/passwd");
    let out = client
        .http()
        .get(&out)
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), 400);
    let gone = client
        .http()
        .delete(&url)
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), 204);
    let got = client
        .http()
        .get(&url)
        .header("cookie", &cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(got.status(), 404);
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_guest_ends_when_it_is_asked_to() {
    let tether = Tether::new().program("/serve", Program::forever());
    let simulator = Simulator::builder().guest(tether).start().await.unwrap();
    std::fs::create_dir(simulator.datastore_directory().join("vch")).unwrap();
    std::fs::write(
        simulator.datastore_directory().join("vch/bootstrap.iso"),
        b"",
    )
    .unwrap();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = spec("a", &keys("a", "/serve", &[], Dialect::Vic04));
    let vm = client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap();
    client.run(vm.power_on_vm(None)).await.unwrap();
    let started = "config.extraConfig[\"guestinfo..sessions|4e01c2.started\"].value";
    while client.try_get::<String>(&vm, started).await.as_deref() != Some("true") {
        tokio::task::yield_now().await;
    }
    client.call(vm.shutdown_guest()).await.unwrap();
    while client
        .get::<VirtualMachinePowerState>(&vm, "runtime.powerState")
        .await
        != VirtualMachinePowerState::PoweredOff
    {
        tokio::task::yield_now().await;
    }
    let status = "config.extraConfig[\"guestinfo..sessions|4e01c2.status\"].value";
    assert_eq!(client.get::<String>(&vm, status).await, "143");
    simulator.shutdown().await;
}
