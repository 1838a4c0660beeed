//! Networks by the API.

use serde_json::{Value, json};

use crate::client::Server;

async fn create(server: &Server, name: &str, networks: Value, links: &[&str]) -> (u16, Value) {
    let mode = networks
        .as_object()
        .and_then(|networks| networks.keys().next().cloned());
    let body = json!({
        "Image": "hello-world",
        "Cmd": ["sleep"],
        "HostConfig": { "NetworkMode": mode, "Links": links },
        "NetworkingConfig": { "EndpointsConfig": networks },
    });
    server
        .post(&format!("/containers/create?name={name}"), &body)
        .await
}

#[tokio::test]
async fn a_network_has_the_packet_size_that_was_asked_for() {
    let server = Server::start().await;
    let body = |option: &str, value: &str| json!({ "Name": "back", "Options": { option: value } });
    let mtu = "com.docker.network.driver.mtu";
    for (option, value, named) in [
        ("parent", "eth0", "parent"),
        (mtu, "big", "big"),
        (mtu, "67", "67"),
    ] {
        let (status, answer) = server.post("/networks/create", &body(option, value)).await;
        assert!((400..=501).contains(&status), "{answer}");
        assert!(
            answer["message"].as_str().unwrap().contains(named),
            "{answer}"
        );
    }
    let (status, answer) = server.post("/networks/create", &body(mtu, "1400")).await;
    assert_eq!(status, 201, "{answer}");
    let (_, seen) = server.get("/networks/back").await;
    assert_eq!(seen["Options"][mtu], "1400");
    let scope = server.layer.networks().inspect("back").await.unwrap();
    assert_eq!(scope.spec.mtu, Some(1400));
}

#[tokio::test]
async fn containers_are_connected_to_networks_of_users() {
    let server = Server::start().await;
    let back = json!({
        "Name": "back",
        "Labels": { "tier": "back" },
        "IPAM": { "Config": [{ "Subnet": "10.1.0.0/24", "IPRange": "10.1.0.64/28" }] },
    });
    let (status, answer) = server.post("/networks/create", &back).await;
    assert_eq!(status, 201, "{answer}");
    let (status, _) = server.post("/networks/create", &back).await;
    assert_eq!(status, 409);
    let (_, seen) = server.get("/networks/back").await;
    assert_eq!(seen["IPAM"]["Config"][0]["Gateway"], "10.1.0.1");
    assert_eq!(seen["Labels"]["tier"], "back");

    let networks = json!({ "back": { "Aliases": ["db"] } });
    let (status, answer) = create(&server, "first", networks, &[]).await;
    assert_eq!(status, 201, "{answer}");
    let networks = json!({ "back": { "IPAMConfig": { "IPv4Address": "10.1.0.9" } } });
    let (status, answer) = create(&server, "second", networks.clone(), &["first:store"]).await;
    assert_eq!(status, 201, "{answer}");
    let (_, seen) = server.get("/containers/second/json").await;
    let endpoint = &seen["NetworkSettings"]["Networks"]["back"];
    assert_eq!(endpoint["IPAddress"], "10.1.0.9");
    assert_eq!(endpoint["IPPrefixLen"], 24);
    let (_, seen) = server.get("/containers/first/json").await;
    let endpoint = &seen["NetworkSettings"]["Networks"]["back"];
    let address = endpoint["IPAddress"].as_str().unwrap();
    assert!(address.starts_with("10.1.0."), "{address}");
    let resolved = server.layer.networks().resolve("back", None, "db").await;
    assert_eq!(
        resolved.unwrap(),
        [address.parse::<std::net::IpAddr>().unwrap()]
    );
    // The address is taken.
    let (status, answer) = create(&server, "third", networks, &[]).await;
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("second"),
        "{answer}"
    );

    let (status, _) = server.send("DELETE", "/networks/back", b"").await;
    assert_eq!(status, 403);
    let body = json!({ "Container": "first", "EndpointConfig": { "Aliases": ["www"] } });
    let (status, answer) = server.post("/networks/bridge/connect", &body).await;
    assert_eq!(status, 200, "{answer}");
    let (status, _) = server.post("/networks/back/disconnect", &body).await;
    assert_eq!(status, 200);
    let (_, seen) = server.get("/containers/first/json").await;
    let networks = seen["NetworkSettings"]["Networks"].as_object().unwrap();
    assert_eq!(networks.keys().collect::<Vec<_>>(), ["bridge"]);
    let (status, _) = server.send("DELETE", "/containers/second", b"").await;
    assert_eq!(status, 204);
    let (status, _) = server.send("DELETE", "/networks/back", b"").await;
    assert_eq!(status, 204);
    let (status, _) = server.get("/networks/back").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_network_that_cannot_be_is_refused() {
    let server = Server::start().await;
    for (config, value) in [
        (json!({ "Subnet": "172.16.0.0/12" }), "172.16.0.0/12"),
        (json!({ "Subnet": "10.1.0.9/24" }), "10.1.0.9/24"),
        (
            json!({ "Subnet": "10.1.0.0/24", "Gateway": "10.2.0.1" }),
            "10.2.0.1",
        ),
        (
            json!({ "Subnet": "10.1.0.0/24", "IPRange": "10.2.0.0/28" }),
            "10.2.0.0",
        ),
    ] {
        let body = json!({ "Name": "bad", "IPAM": { "Config": [config] } });
        let (status, answer) = server.post("/networks/create", &body).await;
        assert_eq!(status, 400, "{answer}");
        assert!(
            answer["message"].as_str().unwrap().contains(value),
            "{answer}"
        );
    }
    let (status, answer) = create(&server, "lost", json!({ "nowhere": null }), &[]).await;
    // Not 404, which the docker command takes for a missing image.
    assert_eq!(status, 400, "{answer}");
}
