//! Filters of lists and prunes, and what a list shows.

use serde_json::{Value, json};

use crate::client::Server;

/// The names in a list of containers with these filters.
async fn names(server: &Server, filters: &Value) -> (u16, Vec<String>) {
    let filters: String =
        url::form_urlencoded::byte_serialize(filters.to_string().as_bytes()).collect();
    let path = format!("/containers/json?all=1&filters={filters}");
    let (status, listed) = server.get(&path).await;
    let listed = listed.as_array().cloned().unwrap_or_default();
    let name = |container: &Value| container["Names"][0].as_str().unwrap().to_owned();
    (status, listed.iter().map(name).collect())
}

#[tokio::test]
async fn names_are_filtered_by_regular_expressions() {
    let server = Server::start().await;
    for name in ["one", "two", "twenty2"] {
        server.create(name, &["sleep"]).await;
    }
    for (pattern, expected) in [
        ("tw", vec!["/twenty2", "/two"]),
        ("^two$", vec!["/two"]),
        ("^/(one|two)$", vec!["/two", "/one"]),
        ("\\d", vec!["/twenty2"]),
        ("^w", vec![]),
    ] {
        let (status, found) = names(&server, &json!({ "name": [pattern] })).await;
        assert_eq!(
            (status, found),
            (200, expected.iter().map(|n| (*n).to_owned()).collect())
        );
    }
    for filters in [
        json!({ "name": ["("] }),
        json!({ "name": ["(a{1000}){1000}"] }),
        json!({ "status": ["nosuch"] }),
        json!({ "exited": ["x"] }),
    ] {
        assert_eq!(names(&server, &filters).await.0, 400, "{filters}");
    }
}

#[tokio::test]
async fn the_newest_container_is_the_first_even_within_a_second() {
    let server = Server::start().await;
    let all: Vec<String> = (0..5).map(|number| format!("c{number}")).collect();
    for name in &all {
        server.create(name, &["sleep"]).await;
    }
    let (_, listed) = names(&server, &json!({})).await;
    assert!(
        listed.iter().rev().map(|name| &name[1..]).eq(&all),
        "{listed:?}"
    );
    let (_, since) = names(&server, &json!({ "since": ["c2"] })).await;
    assert_eq!(since, ["/c4", "/c3"]);
}

#[tokio::test]
async fn a_prune_removes_only_what_its_filters_allow() {
    let server = Server::start().await;
    for (name, labels) in [("kept", json!({ "keep": "" })), ("gone", json!({}))] {
        let body = json!({ "Name": name, "Labels": labels });
        assert_eq!(server.post("/networks/create", &body).await.0, 201);
    }
    let prune = "/networks/prune?filters=%7B%22label%21%22%3A%5B%22keep%22%5D%7D";
    let (_, pruned) = server.post(prune, &Value::Null).await;
    assert_eq!(pruned["NetworksDeleted"], json!(["gone"]));
    let refused = "/networks/prune?filters=%7B%22name%22%3A%5B%22kept%22%5D%7D";
    assert_eq!(server.post(refused, &Value::Null).await.0, 400);
    assert_eq!(server.get("/networks/kept").await.0, 200);
}

#[tokio::test]
async fn a_missing_network_is_not_taken_for_a_missing_image() {
    let server = Server::start().await;
    let body = json!({ "Image": "hello-world", "HostConfig": { "NetworkMode": "nosuch" } });
    let (status, answer) = server.post("/containers/create", &body).await;
    // The docker command pulls the image at 404.
    assert_eq!(status, 400);
    assert_eq!(answer["message"], "network nosuch not found");
}

#[tokio::test]
async fn an_image_is_listed_by_the_names_that_are_wanted() {
    let server = Server::start().await;
    let tag = "/images/hello-world/tag?repo=other&tag=1";
    assert_eq!(server.post(tag, &Value::Null).await.0, 201);
    let filtered = "/images/json?filters=%7B%22reference%22%3A%5B%22other%22%5D%7D";
    let (_, listed) = server.get(filtered).await;
    assert_eq!(listed[0]["RepoTags"], json!(["other:1"]));
}
