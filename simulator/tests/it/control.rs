//! Tests of the control interface, with an HTTP client.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use simulator::Simulator;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use vim25::types::{
    HostSystemConnectionState, InvalidState, NoDiskSpace, NotAuthenticated,
    VirtualMachinePowerState,
};
use vim25::{Ref, mo};

use crate::client::{Client, Failure};
use crate::vcenter::{bare, typed};

const TOKEN: &str = "not guessed";

struct Bench {
    simulator: Simulator,
    client: Client,
    http: reqwest::Client,
    base: String,
}

async fn bench() -> Bench {
    let simulator = Simulator::vcenter().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let any = "127.0.0.1:0".parse().unwrap();
    let address = simulator.serve_control(any, TOKEN).await.unwrap();
    Bench {
        simulator,
        client,
        http: reqwest::Client::new(),
        base: format!("http://{address}"),
    }
}

impl Bench {
    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let url = format!("{}{path}", self.base);
        let request = self.http.request(method, url).body(body.to_owned());
        let response = request.bearer_auth(TOKEN).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn done(&self, method: Method, path: &str, body: &str) {
        let (status, text) = self.ask(method, path, body).await;
        assert_eq!((status, text.trim()), (StatusCode::OK, "{}"), "{path}");
    }

    async fn rule(&self, rule: &str) {
        self.done(Method::POST, "/v1/rules", rule).await;
    }

    async fn refused(&self, method: Method, path: &str, body: &str, words: &str) {
        let (status, text) = self.ask(method, path, body).await;
        assert!(status.is_client_error(), "{status} {text}");
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = error["error"].as_str().unwrap();
        assert!(error.contains(words), "{path}: {error}");
    }

    async fn machine(&self) -> Ref<mo::VirtualMachine> {
        let folder: Ref<mo::Folder> = typed(&self.client, "DC0/vm").await;
        let pool: Ref<mo::ResourcePool> = typed(&self.client, "DC0/host/DC0_H0/Resources").await;
        let create = folder.create_vm(&bare("a"), &pool, None);
        self.client.run(create).await.unwrap()
    }
}

#[tokio::test]
async fn the_token_is_needed() {
    let bench = bench().await;
    let url = format!("{}/v1/calls", bench.base);
    for request in [
        bench.http.get(&url),
        bench.http.get(&url).bearer_auth("wrong"),
        bench.http.get(&url).basic_auth("root", Some(TOKEN)),
        bench.http.post(format!("{}/v1/shutdown", bench.base)),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
    }
    let elsewhere = "0.0.0.0:0".parse().unwrap();
    assert!(
        bench
            .simulator
            .serve_control(elsewhere, TOKEN)
            .await
            .is_err()
    );
    let here = "127.0.0.1:0".parse().unwrap();
    assert!(bench.simulator.serve_control(here, "").await.is_err());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn calls_fail_as_the_rules_say() {
    let bench = bench().await;
    let (client, vm) = (&bench.client, bench.machine().await);
    bench
        .rule(
            r#"{"method": "PowerOnVM_Task", "nth": 2, "reaction": {"taskFault": {"type": "NoDiskSpace",
               "message": "full", "fields": {"datastore": "ds", "file": "f"}}}}"#,
        )
        .await;
    client.run(vm.power_on_vm(None)).await.unwrap();
    client.run(vm.power_off_vm()).await.unwrap();
    let fault = client.run(vm.power_on_vm(None)).await.unwrap_err();
    assert_eq!(fault.message(), "full");
    assert_eq!(fault.get::<NoDiskSpace>().unwrap().unwrap().datastore, "ds");

    let fault = r#"{"method": "PowerOnVM_Task", "reaction": {"fault": {"type": "InvalidState"}}}"#;
    bench.rule(fault).await;
    let fault = client.run(vm.power_on_vm(None)).await.unwrap_err();
    assert!(fault.is::<InvalidState>());
    bench
        .rule(r#"{"method": "CurrentTime", "always": true, "reaction": {"httpStatus": 503}}"#)
        .await;
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    for _ in 0..2 {
        let failed = client.call(instance.current_time()).await;
        assert!(matches!(failed, Err(Failure::Status(503))), "{failed:?}");
    }
    let (_, status) = bench.ask(Method::GET, "/v1/status", "").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["pendingRules"], 1);
    assert_eq!(status["url"], bench.simulator.url());
    assert_eq!(status["datastores"][0]["name"], "LocalDS_0");
    bench.done(Method::DELETE, "/v1/rules", "").await;
    client.call(instance.current_time()).await.unwrap();

    bench.rule(r#"{"nth": 2, "reaction": "disconnect"}"#).await;
    client.call(instance.current_time()).await.unwrap();
    let cut = client.call(instance.current_time()).await;
    assert!(matches!(cut, Err(Failure::Transport(_))), "{cut:?}");

    // A held call is carried out when it is released.
    let hold = r#"{"method": "PowerOnVM_Task", "reaction": "hold"}"#;
    bench.rule(hold).await;
    let cut = client.call(vm.power_on_vm(None)).await;
    assert!(matches!(cut, Err(Failure::Transport(_))), "{cut:?}");
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOff);
    bench.done(Method::POST, "/v1/release", "").await;
    let end = Instant::now() + Duration::from_secs(20);
    while client
        .get::<VirtualMachinePowerState>(&vm, "runtime.powerState")
        .await
        == VirtualMachinePowerState::PoweredOff
    {
        assert!(Instant::now() < end, "the call was not carried out");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (_, calls) = bench.ask(Method::GET, "/v1/calls", "").await;
    let calls: serde_json::Value = serde_json::from_str(&calls).unwrap();
    assert!(calls["PowerOnVM_Task"].as_u64() >= Some(2), "{calls}");

    bench.done(Method::POST, "/v1/drop-sessions", "").await;
    let gone = client.call(instance.current_time()).await;
    assert!(gone.unwrap_err().fault().is::<NotAuthenticated>());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn hosts_and_properties_are_changed() {
    let bench = bench().await;
    let (client, vm) = (&bench.client, bench.machine().await);
    let host: Ref<mo::HostSystem> = typed(client, "DC0/host/DC0_H0/DC0_H0").await;
    let set = async |responding: bool| {
        let body = format!("{{\"responding\": {responding}}}");
        bench.done(Method::PUT, "/v1/hosts/DC0_H0", &body).await;
        client
            .get::<HostSystemConnectionState>(&host, "runtime.connectionState")
            .await
    };
    assert_eq!(set(false).await, HostSystemConnectionState::NotResponding);
    assert_eq!(set(true).await, HostSystemConnectionState::Connected);
    bench
        .done(Method::PUT, "/v1/clusters/DC0_C0", r#"{"drs": false}"#)
        .await;

    let path = format!("/v1/objects/VirtualMachine/{}", vm.value());
    for (at, value) in [
        ("guest.ipAddress", r#""10.0.0.9""#),
        ("runtime.powerState", r#""suspended""#),
        ("config.hardware.numCPU", "7"),
        (
            "customValue",
            r#"[{"_typeName": "CustomFieldStringValue", "key": 3, "value": "x"}]"#,
        ),
    ] {
        let body = format!("{{\"path\": \"{at}\", \"value\": {value}}}");
        bench.done(Method::PUT, &path, &body).await;
    }
    assert_eq!(
        client.get::<String>(&vm, "guest.ipAddress").await,
        "10.0.0.9"
    );
    assert_eq!(client.get::<i32>(&vm, "config.hardware.numCPU").await, 7);
    let state: VirtualMachinePowerState = client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::Suspended);

    let put = Method::PUT;
    for (at, body, words) in [
        (
            &*path,
            r#"{"path": "config.hardware.numCPU", "value": "x"}"#,
            "kind Int",
        ),
        (&path, r#"{"path": "runtime", "value": "x"}"#, "runtime"),
        (
            &path,
            r#"{"path": "no.such", "value": 1}"#,
            "no such property",
        ),
        (
            "/v1/objects/VirtualMachine/0",
            r#"{"path": "name", "value": "a"}"#,
            "VirtualMachine:0",
        ),
        ("/v1/hosts/nobody", r#"{"responding": true}"#, "nobody"),
        ("/v1/hosts/DC0_H0", r#"{"responds": true}"#, "responds"),
        ("/v1/nothing", "", "/v1/nothing"),
    ] {
        bench.refused(put.clone(), at, body, words).await;
    }
    let twice = r#"{"method": "A", "nth": 1, "always": true, "reaction": "hold"}"#;
    bench
        .refused(Method::POST, "/v1/rules", twice, "either")
        .await;
    bench.simulator.shutdown().await;
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn the_command_is_controlled_and_ended() {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_vsphere-simulator"))
        .args([
            "-l",
            "127.0.0.1:0",
            "-esx",
            "-vm",
            "0",
            "-control",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(command.stdout.take().unwrap()).lines();
    let mut value = async |name: &str| loop {
        let line = lines.next_line().await.unwrap().expect("the command ended");
        if let Some(value) = line.strip_prefix(&format!("{name} ")) {
            return value.to_owned();
        }
    };
    let base = value("control").await;
    let token = value("control-token").await;
    let http = reqwest::Client::new();
    let status = http.get(format!("{base}/v1/status")).bearer_auth(&token);
    let status = status.send().await.unwrap();
    assert_eq!(status.status(), 200);
    let end = http.post(format!("{base}/v1/shutdown")).bearer_auth(&token);
    assert_eq!(end.send().await.unwrap().status(), 202);
    assert!(command.wait().await.unwrap().success());
}

#[tokio::test]
async fn idle_connections_make_room_for_others() {
    let bench = bench().await;
    let address = bench.base.trim_start_matches("http://").to_owned();
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let answer = bench.ask(Method::GET, "/v1/status", "");
    let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
    assert_eq!(answer.unwrap().0, StatusCode::OK);
    // The first connection has been idle for the longest.
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_secs(10), idle[0].read(&mut byte));
    assert!(matches!(closed.await.unwrap(), Ok(0) | Err(_)));
    bench.simulator.shutdown().await;
}
