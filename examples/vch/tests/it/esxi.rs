//! Tests of sessions on an ESXi host.

use portlayer::network::ScopeSpec;
use portlayer::vsphere::{Hosts, Options};
use vim25::types::{HostNetworkPolicy, HostPortGroupSpec};
use vim25::{Property, Ref, mo};

use crate::scene::Scene;

/// Asserts that a file exists, and that only its owner may read it.
fn is_secret(scene: &Scene, file: &str) {
    let metadata = std::fs::metadata(scene.directory.path().join(file)).unwrap();
    assert!(metadata.is_file());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

/// A session of VIC 0.1, which generates keys and creates a switch and a port group.
#[tokio::test]
async fn the_script_of_0_1_installs_with_generated_keys_and_its_own_network() {
    let scene = Scene::esxi().await;
    let before = scene.inventory().await;
    let target = format!(
        "{}:{}@{}",
        scene.simulator.user(),
        scene.simulator.password(),
        scene.server()
    );
    let install = ["install", "-g", "-t", &target, "-i", "datastore1", "vch-1"];
    let said = scene.vch(&install).await.ok();
    said.has(&[
        "# WARN: everybody on this machine can read a password in an argument: set GOVC_PASSWORD",
        "# Logging into the target",
        "# Generating certificate/key pair - private key in vch-1-key.pem",
        "# Creating the Virtual Container Host appliance",
        "# Adding network interfaces",
        "# Creating vSwitch",
        "# Creating Portgroup",
        "# Uploading ISOs",
        "# Setting component configuration",
        "# Powering on the Virtual Container Host",
        "# Waiting for IP information",
        "# Configuring TLS server",
        "#",
        "# SSH to appliance: it has no SSH server",
        "# Connect to docker:",
        "# docker -H 192.168.1.144:2376 --tls --tlscert='vch-1-cert.pem' --tlskey='vch-1-key.pem'",
        "DOCKER_OPTS=\"--tls --tlscert='vch-1-cert.pem' --tlskey='vch-1-key.pem'\"",
        "DOCKER_HOST=192.168.1.144:2376",
    ]);
    assert!(!said.stdout.contains(scene.simulator.password()));
    is_secret(&scene, "vch-1-key.pem");
    let made = scene.inventory().await;
    assert!(made.iter().any(|object| object.ends_with("switch vch-1")));

    let said = scene.vch(&["delete", "vch-1"]).await.ok();
    assert!(!said.stdout.contains("leaving it there"), "{said:#?}");
    said.has(&[
        "Removing Portgroup \"vch-1\"",
        "Removing VirtualSwitch \"vch-1\"",
        "Removing Resource Pool \"vch-1\"",
    ]);
    assert_eq!(scene.inventory().await, before);
}

/// A session of VIC 0.4, in which the bridge network exists before and is kept.
#[tokio::test]
async fn create_and_delete_leave_a_bridge_network_that_they_did_not_make() {
    let scene = Scene::esxi().await;
    port_group(&scene, "bridge").await;
    let before = scene.inventory().await;
    let create = [
        "create",
        "--image-store",
        "datastore1",
        "--bridge-network",
        "bridge",
        "--external-network",
        "VM Network",
        "--name",
        "vch-1",
    ];
    let said = scene.vch(&create).await.ok();
    said.has(&[
        "### Installing VCH ####",
        "Generating certificate/key pair - private key in vch-1/server-key.pem",
        "Validating supplied configuration",
        "Firewall status: ENABLED on \"localhost.localdomain\"",
        "DRS check SKIPPED - target is standalone host",
        "Creating Resource Pool \"vch-1\"",
        "Creating appliance on target",
        "Network role client is sharing NIC with public",
        "Network role management is sharing NIC with public",
        "Uploading images for container",
        "\"appliance.iso\"",
        "\"bootstrap.iso\"",
        "Waiting for IP information",
        "Initialization of appliance successful",
        "DOCKER_HOST=192.168.1.144:2376",
        "Connect to docker:",
        "Installer completed successfully",
    ]);
    is_secret(&scene, "vch-1/server-key.pem");
    is_secret(&scene, "vch-1/key.pem");
    let environment = scene.directory.path().join("vch-1/vch-1.env");
    let environment = std::fs::read_to_string(environment).unwrap();
    assert!(
        environment.contains("DOCKER_TLS_VERIFY=1\n"),
        "{environment}"
    );

    // A second host with the same name is refused, and nothing is changed.
    let made = scene.inventory().await;
    let said = scene.vch(&create).await.failed();
    said.has(&[
        "virtual container host \"vch-1\" already exists; delete it first, or choose another name",
    ]);
    assert_eq!(said.stdout.matches("ERRO").count(), 1, "{said:#?}");
    assert_eq!(scene.inventory().await, made);

    let said = scene.vch(&["delete", "vch-1"]).await.ok();
    said.has(&[
        "### Removing VCH ####",
        "Bridge network was not created during VCH deployment, leaving it there",
        "Completed successfully",
    ]);
    assert_eq!(scene.inventory().await, before);
    let said = scene.vch(&["delete", "vch-1"]).await.failed();
    assert!(said.stderr.contains("was not found"), "{said:#?}");
}

/// Container networks get port groups, which the deletion of the host removes.
#[tokio::test]
async fn container_networks_get_vlans_from_an_option() {
    let scene = Scene::esxi().await;
    let before = scene.inventory().await;
    let create = ["create", "--no-tls", "--scope-vlans", "100-199", "vch-1"];
    scene.vch(&create).await.ok();
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    for expected in [
        "172.16.0.0/12 in subnets of /20, one each on a port group with a VLAN of 100-199",
        "--bridge-network vch-1 --scope-vlans 100-199 vch-1",
        "vch create --no-tls --target ",
    ] {
        assert!(said.stdout.contains(expected), "{expected}: {said:#?}");
    }
    let hosts = Hosts::new(scene.client.clone(), Options::default());
    let layer = hosts.open("vch-1").await.unwrap();
    let made = layer
        .networks()
        .create(ScopeSpec::bridge("a"))
        .await
        .unwrap();
    let network = made.network.unwrap();
    let is_its = |object: &String| object.ends_with(&network);
    assert!(scene.inventory().await.iter().any(is_its));
    drop(layer);
    scene.vch(&["delete", "vch-1"]).await.ok();
    assert_eq!(scene.inventory().await, before);
    for wrong in ["0-9", "9-8", "a"] {
        let said = scene
            .vch(&["create", "--scope-vlans", wrong, "vch-1"])
            .await;
        assert!(said.failed().stderr.contains("--scope-vlans"));
    }
}

#[tokio::test]
async fn an_appliance_without_an_address_is_waited_for_again() {
    let scene = Scene::start(simulator::Topology::esx(), None).await;
    let before = scene.inventory().await;
    let create = ["create", "--no-tls", "--timeout", "1s", "vch-1"];
    let said = scene.vch(&create).await.failed();
    assert!(
        said.stderr.contains("wait for the address failed"),
        "{said:#?}"
    );
    said.has(&["`vch delete vch-1` removes it"]);
    let said = scene.vch(&["ls"]).await.ok();
    assert!(said.stdout.contains("unfinished"), "{said:#?}");
    // The same command again finishes the installation.
    let said = scene
        .vch(&["create", "--no-tls", "--timeout", "0", "vch-1"])
        .await
        .ok();
    said.has(&["it will be resumed; to start over, delete it first"]);
    let said = scene.vch(&["ls", "--json"]).await.ok();
    assert!(said.stdout.contains("\"running\""), "{said:#?}");
    scene.vch(&["delete", "-n", "vch-1"]).await.ok();
    assert_eq!(scene.inventory().await, before);
}

/// The phase of the components has its own time limit, and names those that are missing.
#[tokio::test]
async fn components_that_do_not_start_are_named() {
    for (states, expected) in [
        (&[("port-layer", "")][..], "not started: port-layer"),
        (
            &[("vicadmin", "no such file")][..],
            "component vicadmin: no such file",
        ),
    ] {
        let address = Some([192, 168, 1, 144]);
        let scene = Scene::with_components(simulator::Topology::esx(), address, states).await;
        let create = ["create", "--no-tls", "--component-timeout", "1s", "vch-1"];
        let said = scene.vch(&create).await.failed();
        let phase = "wait for the components failed";
        assert!(said.stderr.contains(phase), "{said:#?}");
        assert!(said.stderr.contains(expected), "{said:#?}");
        said.has(&["`vch delete vch-1` removes it"]);
        let said = scene.vch(&["inspect", "vch-1"]).await.ok();
        assert!(
            said.stdout.contains("docker-personality: started"),
            "{said:#?}"
        );
        scene.vch(&["delete", "vch-1"]).await.ok();
    }
}

/// The certificates are stored in the keys of the appliance, and shown without the private key.
#[tokio::test]
async fn certificates_are_stored_and_shown_without_their_keys() {
    let scene = Scene::esxi().await;
    scene
        .vch(&["create", "--tls-cname", "docker.example", "vch-1"])
        .await
        .ok();
    let files = scene.directory.path().join("vch-1");
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    for expected in [
        "appliance: CN=docker.example, expires ",
        "authority of clients: CN=docker.example authority, expires ",
        "--tls-cname docker.example",
        "port-layer: started",
        "192.168.1.144",
    ] {
        assert!(said.stdout.contains(expected), "{expected}: {said:#?}");
    }
    let said = scene.vch(&["inspect", "--json", "vch-1"]).await.ok();
    assert!(said.stdout.contains("BEGIN CERTIFICATE"), "{said:#?}");
    assert!(!said.stdout.contains("PRIVATE"), "{said:#?}");

    let key = std::fs::read_to_string(files.join("server-key.pem")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let configuration = scene
        .simulator
        .datastore_directory()
        .join("vch-1/vch-1.vmx");
    let configuration = std::fs::read_to_string(configuration).unwrap();
    assert!(
        configuration.contains("cert/HostCertificate/Cert"),
        "{configuration}"
    );
    assert!(
        configuration.contains("cert/HostCertificate/Key@secret"),
        "{configuration}"
    );
    assert!(!configuration.contains(secret), "{configuration}");

    // Others may be authorities of clients, too.
    let authority = files.join("ca.pem");
    let authority = authority.to_str().unwrap();
    let create = [
        "create",
        "--cert",
        "vch-1/server-cert.pem",
        "--key",
        "vch-1/server-key.pem",
    ];
    scene
        .vch(&[&create[..], &["--tls-ca", authority, "vch-2"]].concat())
        .await
        .ok();
    let said = scene.vch(&["inspect", "vch-2"]).await.ok();
    let expected = "authority of clients: CN=docker.example authority, expires ";
    assert!(said.stdout.contains(expected), "{said:#?}");
}

async fn port_group(scene: &Scene, name: &str) {
    const SYSTEM: Property<mo::HostSystem, Ref<mo::HostNetworkSystem>> =
        Property::new("configManager.networkSystem");
    let system = scene
        .client
        .get(&Ref::<mo::HostSystem>::new("ha-host"), SYSTEM)
        .await
        .unwrap();
    let spec = HostPortGroupSpec {
        name: name.into(),
        vlan_id: 0,
        vswitch_name: "vSwitch0".into(),
        policy: HostNetworkPolicy::default(),
    };
    scene
        .client
        .call(system.add_port_group(&spec))
        .await
        .unwrap();
}

/// Returns the words of the command that `inspect` rebuilds, without target and name.
async fn rebuilt(scene: &Scene, name: &str) -> Vec<String> {
    let said = scene.vch(&["inspect", "--json", name]).await.ok();
    let shown: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let command = shown["command"].as_str().unwrap().replace('\'', "");
    let (command, last) = command.rsplit_once(' ').unwrap();
    assert_eq!(last, name);
    let mut options: Vec<_> = command.split(" --").skip(1).map(str::to_owned).collect();
    options.retain(|option| !option.starts_with("target "));
    options.sort();
    options
}

#[tokio::test]
async fn the_rebuilt_command_has_every_option_that_was_given() {
    let scene = Scene::esxi().await;
    scene.vch(&["create", "vch-1"]).await.ok();
    assert_eq!(
        rebuilt(&scene, "vch-1").await,
        ["bridge-network vch-1", "image-store datastore1"]
    );
    let options = [
        "appliance-cpu 2",
        "appliance-iso appliance.iso",
        "bridge-network vch-2",
        "compute-resource localhost.localdomain",
        "cpu 4000",
        "image-store datastore1",
        "insecure-registry 10.0.0.9:5000",
        "keepalive 60s",
        "line-address 10.0.0.7",
        "ops-user operator",
        "public-network VM Network",
        "registry-ca vch-1/ca.pem",
        "timeout 60s",
        "tls-ca vch-1/ca.pem",
        "tls-server-cert vch-1/server-cert.pem",
        "tls-server-key vch-1/server-key.pem",
        "volume-store ds://datastore1/volumes:default",
        "whitelist-registry *.example",
    ];
    let words = options.iter().flat_map(|option| {
        let (name, value) = option.split_once(' ').unwrap();
        [format!("--{name}"), value.to_owned()]
    });
    let words: Vec<_> = words.collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let create = [&["create"], &words[..], &["vch-2"]].concat();
    scene.vch(&create).await.ok();
    assert_eq!(rebuilt(&scene, "vch-2").await, options);
    let said = scene.vch(&["inspect", "vch-2"]).await.ok();
    for row in [
        "operator",
        "60 s",
        "*.example",
        "10.0.0.9:5000",
        "default: ds://datastore1/volumes",
        concat!("v", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(said.stdout.contains(row), "{row}: {said:#?}");
    }
    assert!(!said.stdout.contains(scene.simulator.password()));

    // The script's pair is one of `create`.
    scene
        .vch(&["install", "-g", "-i", "datastore1", "vch-3"])
        .await
        .ok();
    assert_eq!(
        rebuilt(&scene, "vch-3").await,
        [
            "bridge-network vch-3",
            "image-store datastore1",
            "no-tls-verify",
            "tls-server-cert vch-3-cert.pem",
            "tls-server-key vch-3-key.pem",
        ]
    );
}

#[tokio::test]
async fn a_reader_that_ends_early_is_no_error() {
    let scene = Scene::esxi().await;
    for arguments in [&["ls"][..], &["ls", "--json"]] {
        let said = scene.unread(arguments).await.ok();
        assert!(said.stderr.is_empty(), "{said:#?}");
    }
}
