//! What survives the front end.

use serde_json::{Value, json};

use crate::client::Server;

#[tokio::test]
async fn a_front_end_that_is_started_again_shows_the_same() {
    let server = Server::start().await;
    let body = json!({
        "Image": "hello-world", "Cmd": ["sleep"], "Tty": true, "Labels": { "a": "b" },
        "Entrypoint": ["sleep"], "HostConfig": { "AutoRemove": true }, "StopTimeout": 1,
    });
    let (status, _) = server.post("/containers/create?name=kept", &body).await;
    assert_eq!(status, 201);
    server.create("ended", &["exit", "3"]).await;
    for name in ["kept", "ended"] {
        server
            .post(&format!("/containers/{name}/start"), &Value::Null)
            .await;
    }
    let parts = |listed: &Value| -> Vec<Value> {
        let list = listed.as_array().unwrap().iter();
        list.map(|c| {
            json!([
                c["Id"],
                c["Names"],
                c["Image"],
                c["ImageID"],
                c["State"],
                c["Labels"]
            ])
        })
        .collect()
    };
    let (_, before) = server.get("/containers/json?all=1").await;
    let (_, kept) = server.get("/containers/kept/json").await;
    let server = server.restart().await;
    let (_, after) = server.get("/containers/json?all=1").await;
    assert_eq!(parts(&before), parts(&after));
    let (_, again) = server.get("/containers/kept/json").await;
    assert_eq!(kept["Config"], again["Config"]);
    let (_, images) = server.get("/images/json").await;
    assert_eq!(images[0]["RepoTags"], json!(["hello-world:latest"]));

    // `--rm` holds for a container that the front end did not start.
    let (status, answer) = server.post("/containers/kept/kill", &Value::Null).await;
    assert_eq!(status, 204, "{answer}");
    let (_, waited) = server
        .post("/containers/kept/wait?condition=removed", &Value::Null)
        .await;
    if waited != Value::Null {
        assert!(
            waited["StatusCode"] == 137 || waited["message"].is_string(),
            "{waited}"
        );
    }
    let (status, _) = server.get("/containers/kept/json").await;
    assert_eq!(status, 404);
}
