//! Tests of what a guest may do to its machine, and of what remains after power-off.

use std::sync::{Arc, Mutex};

use crate::client::container;
use crate::client::container::{extra, options};
use crate::client::{self, Client};
use guestinfo::Dialect;
use simulator::{Guest, GuestMachine, GuestProgramRefusal, Platform, Program, Simulator, Tether};
use tokio::sync::Notify;
use vim25::types::{
    FileNotFound, GuestOperationsUnavailable, GuestProgramSpec, InvalidArgument, InvalidPowerState,
    NamePasswordAuthentication, VirtualMachineConfigInfo, VirtualMachineConfigSpec,
    VirtualMachineFileInfo, VirtualMachinePowerState,
};
use vim25::{Poly, Ref, mo};

/// A guest that tries permitted and forbidden operations, and then waits.
#[derive(Debug, Default)]
struct Curious {
    seen: Arc<Mutex<Vec<String>>>,
    done: Arc<Notify>,
}

#[async_trait::async_trait]
impl Guest for Curious {
    async fn run(&self, machine: GuestMachine) {
        let mut seen = Vec::new();
        for key in [
            "guestinfo./host",
            "GUESTINFO./HOST",
            "guestinfo.none",
            "svga.present",
        ] {
            seen.push(format!(
                "get {key}: {:?}",
                machine.get(key).map_err(|e| e.to_string())
            ));
        }
        let long = "x".repeat(64 << 10);
        for (key, value) in [
            ("guestinfo.mine", "1"),
            ("guestinfo./host", "2"),
            ("guestinfo.a/b", "2"),
            ("svga.present", "2"),
            ("guestinfo.empty", ""),
            ("guestinfo.with space", "2"),
            ("guestinfo.long", &long),
        ] {
            let set = machine.set(key, value).map_err(|e| e.to_string());
            seen.push(format!("set {key}: {set:?}"));
        }
        *self.seen.lock().unwrap() = seen;
        self.done.notify_one();
        machine.shutdown_requested().await;
    }
}

async fn create(client: &Client, keys: &[(&str, &str)]) -> Ref<mo::VirtualMachine> {
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let spec = VirtualMachineConfigSpec {
        name: Some("a".into()),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some("[datastore1]".into()),
            ..Default::default()
        })),
        extra_config: options(
            &keys
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect(),
        ),
        ..Default::default()
    };
    client
        .run(folder.create_vm(&spec, &pool, None))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_guest_sees_and_writes_what_the_platform_lets_it() {
    let guest = Curious::default();
    let (seen, done) = (Arc::clone(&guest.seen), Arc::clone(&guest.done));
    let simulator = Simulator::builder().guest(guest).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(
        &client,
        &[("guestinfo./host", "h"), ("svga.present", "TRUE")],
    )
    .await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    done.notified().await;
    let seen = seen.lock().unwrap().join("\n");
    assert_eq!(
        seen,
        "get guestinfo./host: Ok(Some(\"h\"))\n\
         get GUESTINFO./HOST: Ok(Some(\"h\"))\n\
         get guestinfo.none: Ok(None)\n\
         get svga.present: Err(\"Permission denied\")\n\
         set guestinfo.mine: Ok(())\n\
         set guestinfo./host: Err(\"Permission denied\")\n\
         set guestinfo.a/b: Err(\"Permission denied\")\n\
         set svga.present: Err(\"Permission denied\")\n\
         set guestinfo.empty: Err(\"Invalid value\")\n\
         set guestinfo.with space: Err(\"Invalid key\")\n\
         set guestinfo.long: Err(\"Message too long\")"
    );
    simulator.shutdown().await;
}

/// Returns the keys after a power cycle in which the guest wrote one key and the API two.
async fn after_a_cycle(platform: Platform) -> [Option<String>; 3] {
    let guest = Curious::default();
    let done = Arc::clone(&guest.done);
    let builder = Simulator::builder().guest(guest).platform(platform);
    let simulator = builder.start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &[("guestinfo./host", "h")]).await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    done.notified().await;
    let keys = [("guestinfo./host", "changed"), ("guestinfo./new", "n")];
    let spec = VirtualMachineConfigSpec {
        extra_config: options(&keys.map(|(k, v)| (k.into(), v.into())).into()),
        ..Default::default()
    };
    client.run(vm.reconfig_vm(&spec)).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOff);
    let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
    let file = simulator.datastore_directory().join("a/a.vmx");
    let file = vmx::Document::parse(std::fs::read(file).unwrap()).unwrap();
    let keys = ["guestinfo.mine", "guestinfo./host", "guestinfo./new"];
    for key in keys {
        let written = file
            .get(key)
            .map(|value| value.text().unwrap().into_owned());
        assert_eq!(extra(&config, key), written, "{key}");
    }
    simulator.shutdown().await;
    keys.map(|key| extra(&config, key))
}

#[tokio::test]
async fn what_stays_after_power_off_is_a_switch() {
    for (guest, api) in [(true, true), (true, false), (false, true), (false, false)] {
        let platform = Platform {
            guest_keys_survive_power_off: guest,
            api_keys_written_while_on_survive: api,
            ..Platform::default()
        };
        let [mine, host, new] = after_a_cycle(platform).await;
        assert_eq!(mine.as_deref(), guest.then_some("1"));
        assert_eq!(host.as_deref(), Some(if api { "changed" } else { "h" }));
        assert_eq!(new.as_deref(), api.then_some("n"));
    }
}

#[tokio::test]
async fn whether_a_guest_moves_the_change_version_is_a_switch() {
    for moves in [true, false] {
        let guest = Curious::default();
        let done = Arc::clone(&guest.done);
        let platform = Platform {
            guest_write_bumps_change_version: moves,
            power_change_bumps_change_version: false,
            ..Platform::default()
        };
        let builder = Simulator::builder().guest(guest).platform(platform);
        let simulator = builder.start().await.unwrap();
        let client = Client::login(&simulator).await;
        let vm = create(&client, &[]).await;
        let before: String = client.get(&vm, "config.changeVersion").await;
        client.run(vm.power_on_vm(None)).await.unwrap();
        done.notified().await;
        let after: String = client.get(&vm, "config.changeVersion").await;
        assert_eq!(before != after, moves);
        simulator.shutdown().await;
    }
}

/// A guest that panics.
#[derive(Debug)]
struct Panics;

#[async_trait::async_trait]
impl Guest for Panics {
    async fn run(&self, _: GuestMachine) {
        panic!("a bug in the guest");
    }
}

#[tokio::test]
async fn a_guest_that_panics_harms_nobody() {
    let simulator = Simulator::builder().guest(Panics).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &[]).await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(vm.reset_vm()).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    client.run(vm.destroy()).await.unwrap();
    simulator.shutdown().await;
}

/// A guest that runs tools and answers every request of clients.
#[derive(Debug)]
struct Obliging;

#[async_trait::async_trait]
impl Guest for Obliging {
    async fn run(&self, machine: GuestMachine) {
        machine.set_tools_running(true);
        loop {
            let program = machine.next_program().await;
            match &*program.path {
                "echo" => {
                    assert_eq!((&*program.user, program.password()), ("me", "secret"));
                    assert!(!format!("{program:?}").contains("secret"));
                    let pid = program.arguments.parse().unwrap();
                    program.started(pid);
                }
                "drop" => drop(program),
                "tools" => {
                    machine.set_tools_running(false);
                    program.started(1);
                }
                _ => program.refuse(GuestProgramRefusal::NotFound),
            }
        }
    }
}

async fn start_program(
    client: &Client,
    vm: &Ref<mo::VirtualMachine>,
    user: &str,
    path: &str,
    arguments: &str,
) -> Result<i64, vim25::Fault> {
    let manager = client.content.guest_operations_manager.clone().unwrap();
    let manager: Ref<mo::GuestProcessManager> = client.get(&manager, "processManager").await;
    let auth = NamePasswordAuthentication {
        username: user.into(),
        password: "secret".into(),
        ..Default::default()
    };
    let spec = GuestProgramSpec {
        program_path: path.into(),
        arguments: arguments.into(),
        ..Default::default()
    };
    let call = manager.start_program_in_guest(vm, &Poly::new(auth), &Poly::new(spec));
    client.call(call).await.map_err(client::Failure::fault)
}

#[tokio::test]
async fn a_client_starts_programs_in_a_guest() {
    let simulator = Simulator::builder().guest(Obliging).start().await.unwrap();
    let client = Client::login(&simulator).await;
    let vm = create(&client, &[]).await;
    let fault = start_program(&client, &vm, "me", "echo", "7").await;
    assert!(fault.unwrap_err().is::<InvalidPowerState>());
    client.run(vm.power_on_vm(None)).await.unwrap();
    while client.get::<String>(&vm, "guest.toolsRunningStatus").await != "guestToolsRunning" {
        tokio::task::yield_now().await;
    }
    let pid = start_program(&client, &vm, "me", "echo", "7").await;
    assert_eq!(pid.unwrap(), 7);
    let fault = start_program(&client, &vm, "me", "nothing", "").await;
    assert!(fault.unwrap_err().is::<FileNotFound>());
    let fault = start_program(&client, &vm, "me", "drop", "").await;
    assert!(fault.unwrap_err().is::<GuestOperationsUnavailable>());
    start_program(&client, &vm, "me", "tools", "")
        .await
        .unwrap();
    let fault = start_program(&client, &vm, "me", "echo", "7").await;
    assert!(fault.unwrap_err().is::<GuestOperationsUnavailable>());
    simulator.shutdown().await;
}

#[tokio::test]
async fn the_tether_passes_signals_on() {
    let tether = Tether::new()
        .program("/bin/serve", Program::forever())
        .program("/bin/stubborn", Program::forever().ignores(15));
    for (program, orders, status) in [
        ("/bin/serve", &[("kill", "INT")][..], "130"),
        ("/bin/serve", &[("kill", "15")], "143"),
        (
            "/bin/stubborn",
            &[("kill", "TERM"), ("group-kill", "KILL")],
            "137",
        ),
    ] {
        let builder = Simulator::builder().guest(tether.clone());
        let simulator = builder.start().await.unwrap();
        let client = Client::login(&simulator).await;
        let keys = container::keys("a", program, &[], Dialect::Vic1);
        let keys: Vec<_> = keys.iter().map(|(k, v)| (&**k, &**v)).collect();
        let vm = create(&client, &keys).await;
        client.run(vm.power_on_vm(None)).await.unwrap();
        let started = format!("guestinfo.vice..sessions|{}.started", container::ID);
        loop {
            let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
            if extra(&config, &started).is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let fault = start_program(&client, &vm, container::ID, "rm", "").await;
        assert!(fault.unwrap_err().is::<FileNotFound>());
        let fault = start_program(&client, &vm, container::ID, "kill", "SIGNONE").await;
        assert!(fault.unwrap_err().is::<InvalidArgument>());
        for (command, signal) in orders {
            start_program(&client, &vm, container::ID, command, signal)
                .await
                .unwrap();
        }
        while client
            .get::<VirtualMachinePowerState>(&vm, "runtime.powerState")
            .await
            != VirtualMachinePowerState::PoweredOff
        {
            tokio::task::yield_now().await;
        }
        let config: VirtualMachineConfigInfo = client.get(&vm, "config").await;
        let key = format!("guestinfo.vice..sessions|{}.status", container::ID);
        assert_eq!(extra(&config, &key).as_deref(), Some(status), "{program}");
        simulator.shutdown().await;
    }
}
