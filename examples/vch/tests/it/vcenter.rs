//! Tests of sessions on a vCenter with a cluster.

use simulator::Topology;
use vim25::types::{
    DVPortgroupConfigSpec, OptionValue, ResourceConfigSpec, SharesLevel,
    VirtualDevicePciBusSlotInfo, VirtualEthernetCard,
};
use vim25::{mo, props};

use crate::scene::Scene;

#[tokio::test]
async fn create_ls_inspect_and_delete_on_a_cluster() {
    let scene = Scene::vcenter(true).await;
    let before = scene.inventory().await;
    let create = [
        "create",
        "--compute-resource",
        "DC0_C0",
        "--image-store",
        "LocalDS_0",
        "-b",
        "DC0_DVPG0",
        "--public-network",
        "VM Network",
        "vch-1",
    ];
    let mut dry = create.to_vec();
    dry.push("--dry-run");
    let said = scene.vch(&dry).await.ok();
    said.has(&[
        "Plan to begin the installation of \"vch-1\"",
        "  1. create the resource pool: resource pool \"vch-1\" in \"DC0_C0\"",
        "  2. create the inventory folder: folder \"vch-1\" for the machines of the host in \"/DC0\"",
    ]);
    assert_eq!(
        scene.inventory().await,
        before,
        "a dry run changed something"
    );

    let said = scene.vch(&create).await.ok();
    said.has(&[
        "Firewall status: ENABLED on \"DC0_C0_H0\"",
        "Firewall status: ENABLED on \"DC0_C0_H2\"",
        "DRS check OK on \"DC0_C0\"",
        "Creating Resource Pool \"vch-1\"",
        "Creating inventory folder \"vch-1\"",
        "Installer completed successfully",
    ]);
    let said = scene.vch(&["ls"]).await.ok();
    let line = said.stdout.lines().nth(1).unwrap_or_default();
    assert!(line.starts_with("vch-1  running"), "{said:#?}");
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    assert!(said.stdout.contains("192.168.1.144"), "{said:#?}");
    assert!(
        said.stdout
            .contains("--image-store LocalDS_0 --bridge-network DC0_DVPG0 vch-1"),
        "{said:#?}"
    );
    let target = format!("{}/DC0", scene.server());
    let inspect = ["inspect", "vch-1", "-t", &target];
    let said = scene.vch(&inspect).await.ok();
    let command = format!("vch create --target {target} ");
    assert!(said.stdout.contains(&command), "{said:#?}");
    let said = scene.vch(&["inspect", "vch-1", "--json"]).await.ok();
    assert!(said.stdout.contains("\"addresses\""), "{said:#?}");
    let said = scene.vch(&["delete", "vch-1"]).await.ok();
    said.has(&[
        "leaving it there",
        "Removing Resource Pool \"vch-1\"",
        "Removing inventory folder \"vch-1\"",
        "Completed successfully",
    ]);
    assert_eq!(scene.inventory().await, before);
}

#[tokio::test]
async fn create_ls_inspect_and_delete_on_a_cluster_without_drs() {
    let scene = Scene::vcenter(false).await;
    let before = scene.inventory().await;
    let create = [
        "create",
        "--compute-resource",
        "DC0_C0",
        "-b",
        "DC0_DVPG0",
        "--public-network",
        "VM Network",
    ];
    let dry = [&create[..], &["vch-1", "--dry-run"]].concat();
    let said = scene.vch(&dry).await.ok();
    said.has(&["  1. create the inventory folder: folder \"vch-1\" for the machines of the host in \"/DC0\""]);
    assert!(
        !said.stdout.contains("resource pool \"vch-1\""),
        "{said:#?}"
    );
    assert_eq!(scene.inventory().await, before);

    for name in ["vch-1", "vch-2"] {
        let said = scene.vch(&[&create[..], &[name]].concat()).await.ok();
        said.has(&[
            "enable DRS first to install the host with a pool",
            &format!("Creating inventory folder {name:?}"),
            "Installer completed successfully",
        ]);
        assert!(!said.stdout.contains("Resource Pool"), "{said:#?}");
    }
    let said = scene.vch(&["ls"]).await.ok();
    for (line, name) in said.stdout.lines().skip(1).zip(["vch-1", "vch-2"]) {
        assert!(line.starts_with(&format!("{name}  running")), "{said:#?}");
    }
    assert_eq!(said.stdout.lines().count(), 3, "{said:#?}");
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    assert!(said.stdout.contains("192.168.1.144"), "{said:#?}");
    for name in ["vch-1", "vch-2"] {
        let said = scene.vch(&["delete", name]).await.ok();
        said.has(&[
            "leaving it there",
            &format!("Removing inventory folder {name:?}"),
            "Completed successfully",
        ]);
        assert!(!said.stdout.contains("Resource Pool"), "{said:#?}");
    }
    assert_eq!(scene.inventory().await, before);
}

#[tokio::test]
async fn the_resource_pool_is_limited_as_vic_machine_did_it() {
    let scene = Scene::vcenter(true).await;
    let limits = [
        "--cpu",
        "4000",
        "--cpu-reservation",
        "500",
        "--cpu-shares",
        "high",
        "--memory",
        "8192",
        "--memory-shares",
        "163840",
    ];
    let create = ["create", "--no-tls", "-b", "DC0_DVPG0", "vch-1"];
    let create = [&create[..], &limits].concat();
    let said = scene
        .vch(&[&create[..], &["--dry-run"]].concat())
        .await
        .ok();
    let pool = "CPU: at most 4000 MHz, 500 MHz reserved, high shares; \
                memory: at most 8192 MiB, 163840 shares";
    said.has(&[&format!("resource pool \"vch-1\" in \"DC0_C0\", {pool}")]);
    scene.vch(&create).await.ok();

    let root = &scene.client.service_content().root_folder;
    let config = props::resource_pool::CONFIG;
    let pools = scene.client.retrieve::<mo::ResourcePool>();
    let pools = pools.property(props::resource_pool::NAME).property(config);
    let pools = pools.within(root).collect().await.unwrap();
    let is_own = |name: Option<String>| name.as_deref() == Some("vch-1");
    let own = pools
        .iter()
        .find(|pool| is_own(pool.value(props::resource_pool::NAME)));
    let config = own.unwrap().value(config).unwrap();
    let (cpu, memory) = (config.cpu_allocation, config.memory_allocation);
    assert_eq!((cpu.limit, cpu.reservation), (Some(4000), Some(500)));
    assert_eq!(cpu.shares.unwrap().level, SharesLevel::High);
    assert_eq!((memory.limit, memory.reservation), (Some(8192), Some(0)));
    assert_eq!(memory.shares.unwrap().shares, 163_840);

    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    assert!(said.stdout.contains(pool), "{said:#?}");
    let command = "--cpu 4000 --cpu-reservation 500 --cpu-shares high --memory 8192 \
                   --memory-shares 163840 vch-1";
    assert!(said.stdout.contains(command), "{said:#?}");
    scene.vch(&["delete", "vch-1"]).await.ok();

    let scene = Scene::vcenter(false).await;
    let before = scene.inventory().await;
    let said = scene.vch(&create).await.failed();
    said.has(&["enable DRS first, or omit the limits of the pool"]);
    assert_eq!(scene.inventory().await, before);
}

/// An installation uses an empty pool with the host's name, such as the one that an earlier one left
/// behind, and limits it, too.
#[tokio::test]
async fn an_empty_pool_that_exists_is_limited() {
    let scene = Scene::vcenter(true).await;
    let inventory = scene.client.inventory();
    let root = inventory.find_as::<mo::ResourcePool>("/DC0/host/DC0_C0/Resources");
    let root = root.await.unwrap();
    let spec = ResourceConfigSpec::default();
    let create = root.create_resource_pool("vch-1", &spec);
    scene.client.call(create).await.unwrap();
    let create = ["create", "--no-tls", "-b", "DC0_DVPG0", "--cpu", "4000"];
    scene.vch(&[&create[..], &["vch-1"]].concat()).await.ok();
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    said.has(&["CPU: at most 4000 MHz"]);
    scene.vch(&["delete", "vch-1"]).await.ok();
}

#[tokio::test]
async fn the_appliance_gets_static_addresses() {
    let scene = Scene::vcenter(true).await;
    let switch = scene
        .client
        .inventory()
        .find_as::<mo::DistributedVirtualSwitch>("/DC0/network/DVS0")
        .await
        .unwrap();
    let group = DVPortgroupConfigSpec {
        name: Some("DC0_DVPG1".to_owned()),
        type_: Some("earlyBinding".to_owned()),
        ..Default::default()
    };
    let add = switch.add_dv_portgroup(&[group]);
    scene.client.run(add).await.unwrap();
    let create = ["create", "--no-tls", "-b", "DC0_DVPG0", "vch-1"];
    let addresses = [
        "--public-network-ip",
        "10.0.0.7/24",
        "--public-network-gateway",
        "10.0.0.1",
        "--management-network",
        "DC0_DVPG1",
        "--management-network-ip",
        "10.1.0.7/24",
        "--management-network-gateway",
        "10.2.0.0/16:10.1.0.1",
        "--dns-server",
        "10.0.0.2",
    ];
    scene.vch(&[&create[..], &addresses].concat()).await.ok();
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    let rows = [
        "VM Network, 10.0.0.7/24",
        "DC0_DVPG1, 10.1.0.7/24",
        "10.0.0.2",
    ];
    said.has(&[rows[0], rows[0], rows[1], rows[2]]);
    let command = format!("{} vch-1", addresses.join(" "));
    assert!(said.stdout.contains(&command), "{said:#?}");

    let root = &scene.client.service_content().root_folder;
    let machines = scene.client.retrieve::<mo::VirtualMachine>();
    let machines = machines.property(props::virtual_machine::CONFIG);
    let machines = machines.within(root).collect().await.unwrap();
    let config = machines[0].value(props::virtual_machine::CONFIG).unwrap();
    let value = |key: &str| {
        let mut options = config.extra_config.iter();
        let found = options.find_map(|option| {
            let option = option.view::<OptionValue>()?;
            (option.key == format!("guestinfo.vice./init/networks|{key}")).then(|| option.text())
        });
        found.flatten().unwrap_or_default()
    };
    let slots: Vec<_> = config
        .hardware
        .device
        .iter()
        .filter_map(|device| device.base::<VirtualEthernetCard>().ok()?)
        .filter_map(|card| {
            let slot = card.base.slot_info.as_ref()?;
            Some(
                slot.get::<VirtualDevicePciBusSlotInfo>()
                    .ok()??
                    .pci_slot_number
                    .to_string(),
            )
        })
        .collect();
    let roles = ["bridge", "public", "client", "management"];
    let of_roles = roles.map(|role| value(&format!("{role}/Common/id")));
    let [bridge, public, client, management] = &of_roles;
    assert_eq!(
        [bridge, public, management].map(String::as_str)[..],
        slots[..]
    );
    assert_eq!(client, public, "they share a card");
    assert_eq!(value("public/ip/IP"), value("client/ip/IP"));
    for (key, expected) in [
        ("public/static", "true"),
        ("public/network/default", "true"),
        ("management/network/default", "false"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
    scene.vch(&["delete", "vch-1"]).await.ok();

    let before = scene.inventory().await;
    let wrong = [
        "--public-network-ip",
        "10.0.0.7/24",
        "--public-network-gateway",
        "10.0.1.1",
    ];
    let said = scene.vch(&[&create[..], &wrong].concat()).await.failed();
    said.has(&["give a gateway in the network of the address"]);
    assert_eq!(scene.inventory().await, before);
}

/// The folder of a host has a machine of somebody else.
#[tokio::test]
async fn a_folder_that_is_not_empty_is_named() {
    let scene = Scene::vcenter(true).await;
    let inventory = scene.client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let folder = datacenter.vm_folder();
    let folder = scene
        .client
        .call(folder.create_folder("vch-1"))
        .await
        .unwrap();
    scene
        .client
        .call(folder.create_folder("theirs"))
        .await
        .unwrap();
    let create = ["create", "--no-tls", "-b", "DC0_DVPG0", "vch-1"];
    let said = scene.vch(&create).await.failed();
    said.has(&["\"theirs\" is in it: empty or rename it, or choose another name"]);
    let theirs = folder.rename("vch-2");
    scene.client.run(theirs).await.unwrap();
    scene.vch(&create).await.ok();
    let own = inventory.find_as::<mo::Folder>("/DC0/vm/vch-1");
    let own = own.await.unwrap();
    scene.client.call(own.create_folder("more")).await.unwrap();
    let said = scene.vch(&["delete", "vch-1"]).await.ok();
    said.has(&["Inventory folder \"vch-1\" contains more of others, leaving it there"]);
}

/// The range and the networks of container networks are stored with the host and shown again.
#[tokio::test]
async fn container_networks_get_their_addresses_and_port_groups_from_options() {
    let topology = Topology::vcenter().port_groups(2).standalone_hosts(0);
    let scene = Scene::start(topology.drs(true), Some([192, 168, 1, 144])).await;
    let create = [
        "create",
        "--no-tls",
        "--compute-resource",
        "DC0_C0",
        "-b",
        "DC0_DVPG0",
        "--bridge-network-range",
        "10.64.0.0/16",
        "--bridge-network-width",
        "24",
        "--scope-network",
        "DC0_DVPG1",
        "vch-1",
    ];
    scene.vch(&create).await.ok();
    let said = scene.vch(&["inspect", "vch-1"]).await.ok();
    for expected in [
        "10.64.0.0/16 in subnets of /24, one each on DC0_DVPG1",
        "--bridge-network-range 10.64.0.0/16 --bridge-network-width 24 --scope-network DC0_DVPG1",
    ] {
        assert!(said.stdout.contains(expected), "{expected}: {said:#?}");
    }
    let wrong = [
        "create",
        "--no-tls",
        "--bridge-network-range",
        "10.64.0.1/16",
    ];
    let said = scene.vch(&[&wrong[..], &["vch-2"]].concat()).await.failed();
    assert!(said.stdout.contains("10.64.0.1/16"), "{said:#?}");
    let both = ["--scope-vlans", "100-199", "--scope-network", "DC0_DVPG1"];
    let said = scene
        .vch(&[&["create", "vch-2"], &both[..]].concat())
        .await
        .failed();
    assert!(said.stderr.contains("cannot be used with"), "{said:#?}");
}

#[tokio::test]
async fn all_findings_about_a_cluster_without_drs_are_reported() {
    let scene = Scene::vcenter(false).await;
    let before = scene.inventory().await;
    let said = scene
        .vch(&[
            "create",
            "--no-tls",
            "--image-store",
            "no-such-store",
            "-b",
            "no-such-network",
            "vch-1",
        ])
        .await
        .failed();
    said.has(&["name a datastore with --image-store"]);
    said.has(&["name an existing network with --bridge-network"]);
    said.has(&["enable DRS first to install the host with a pool"]);
    assert_eq!(scene.inventory().await, before);
}

#[tokio::test]
async fn a_bridge_network_with_another_role_is_refused() {
    let scene = Scene::vcenter(true).await;
    let said = scene
        .vch(&[
            "create",
            "--no-tls",
            "-b",
            "DC0_DVPG0",
            "--public-network",
            "DC0_DVPG0",
            "vch-1",
        ])
        .await
        .failed();
    said.has(&["it is also the public network; containers need a bridge network that nothing else uses: choose another"]);
}

/// With two datacenters, whose datastores and networks have the same names, everything of a host is in
/// the one that the target names.
#[tokio::test]
async fn a_host_is_created_in_the_datacenter_that_is_named() {
    let topology = Topology::vcenter().datacenters(2).standalone_hosts(0);
    let scene = Scene::start(topology.drs(true), Some([192, 168, 1, 144])).await;
    let compute = [
        "--no-tls",
        "--compute-resource",
        "DC1_C0",
        "-b",
        "DC1_DVPG0",
    ];
    let create = [&["create"], &compute[..], &["vch-1"]].concat();
    let said = scene.vch(&create).await.failed();
    let words = "there is DC0, DC1; name one; name a datacenter in the path of --target";
    assert!(said.stdout.contains(words), "{said:#?}");

    scene.vch_in("DC1", &create).await.ok();
    let inventory = scene.client.inventory();
    let machine = inventory.find_as::<mo::VirtualMachine>("/DC1/vm/vch-1/vch-1");
    machine.await.unwrap();
    let files = |datacenter| {
        let mut all = scene.simulator.datastores_of(datacenter);
        std::fs::read_dir(all.next().unwrap().1).unwrap().count()
    };
    assert_eq!(files(0), 0);
    assert!(files(1) > 0);
    let said = scene.vch_in("DC1", &["ls"]).await.ok();
    said.has(&["vch-1"]);
    scene.vch_in("DC1", &["delete", "vch-1"]).await.ok();
    assert_eq!(files(1), 0);
}
