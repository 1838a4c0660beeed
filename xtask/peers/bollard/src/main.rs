//! Drives the Docker front end with bollard, as a Rust program would.
//!
//! The only argument is the front end's Unix socket. The containers are scripted: their commands
//! are those of the front end's own table. The program stops at the first answer that is wrong.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest, PortBinding,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, KillContainerOptions,
    ListContainersOptionsBuilder, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
    LogsOptionsBuilder, PruneContainersOptions, RemoveContainerOptionsBuilder,
    RemoveImageOptions, RenameContainerOptionsBuilder, RestartContainerOptions,
    StartContainerOptions, StopContainerOptionsBuilder, TagImageOptionsBuilder,
    WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_full};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let socket = std::env::args().nth(1).ok_or("the socket is missing")?;
    let docker = Docker::connect_with_socket(&socket, PATIENCE.as_secs(), API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    tokio::time::timeout(PATIENCE, drive(&docker)).await??;
    Ok(())
}

async fn drive(docker: &Docker) -> Result<()> {
    engine(docker).await?;
    images(docker).await?;
    output(docker).await?;
    life(docker).await?;
    networks(docker).await?;
    errors(docker).await?;
    docker.remove_image("hello-world", None::<RemoveImageOptions>, None).await?;
    assert!(docker.list_images(None::<ListImagesOptions>).await?.is_empty());
    Ok(())
}

async fn engine(docker: &Docker) -> Result<()> {
    assert_eq!(docker.ping().await?, "OK");
    assert!(docker.version().await?.api_version.is_some());
    assert_eq!(docker.info().await?.containers, Some(0));
    Ok(())
}

async fn images(docker: &Docker) -> Result<()> {
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo("hello-world")
        .tag("latest")
        .changes(vec![r#"CMD ["/hello"]"#.to_owned()])
        .build();
    // A root file system without files.
    let tar = body_full(Bytes::from_static(&[0; 1024]));
    docker.create_image(Some(options), Some(tar), None).try_collect::<Vec<_>>().await?;
    let image = docker.inspect_image("hello-world").await?;
    assert_eq!(image.repo_tags, Some(vec!["hello-world:latest".to_owned()]));
    let tag = TagImageOptionsBuilder::new().repo("other").tag("1").build();
    docker.tag_image("hello-world", Some(tag)).await?;
    let listed = docker.list_images(None::<ListImagesOptions>).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].repo_tags.len(), 2);
    docker.remove_image("other:1", None::<RemoveImageOptions>, None).await?;
    assert!(!docker.image_history("hello-world").await?.is_empty());
    Ok(())
}

/// Creates a container of `hello-world` and returns its id.
async fn create(docker: &Docker, name: &str, words: &[&str]) -> Result<String> {
    let body = ContainerCreateBody {
        image: Some("hello-world".into()),
        cmd: Some(words.iter().map(|&word| word.to_owned()).collect()),
        open_stdin: Some(true),
        labels: Some(HashMap::from([("tier".to_owned(), "test".to_owned())])),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::from([(
                "80/tcp".to_owned(),
                Some(vec![PortBinding {
                    host_ip: Some("127.0.0.1".into()),
                    host_port: None,
                }]),
            )])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    Ok(docker.create_container(Some(options), body).await?.id)
}

async fn start(docker: &Docker, name: &str) -> Result<()> {
    Ok(docker.start_container(name, None::<StartContainerOptions>).await?)
}

async fn remove(docker: &Docker, name: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    Ok(docker.remove_container(name, Some(options)).await?)
}

/// Attaching, logs and events.
async fn output(docker: &Docker) -> Result<()> {
    create(docker, "both", &["both"]).await?;
    let both = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
    let attached = docker.attach_container("both", Some(both)).await?;
    start(docker, "both").await?;
    let exit = docker.wait_container("both", None::<WaitContainerOptions>).next().await;
    assert_eq!(exit.ok_or("no exit status")??.status_code, 0);
    let written: Vec<LogOutput> = attached.output.try_collect().await?;
    two_outputs(&written);
    let all = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true).build();
    let logged: Vec<LogOutput> = docker.logs("both", Some(all)).try_collect().await?;
    two_outputs(&logged);
    remove(docker, "both").await?;

    create(docker, "echo", &["cat"]).await?;
    start(docker, "echo").await?;
    let all = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).build();
    let mut attached = docker.attach_container("echo", Some(all)).await?;
    attached.input.write_all(b"typed\n").await?;
    attached.input.flush().await?;
    let echoed = attached.output.next().await.ok_or("no output")??;
    assert_eq!(echoed.into_bytes().as_ref(), b"typed\n");
    drop(attached);

    let wanted = HashMap::from([("type", vec!["container"])]);
    let mut events = docker.events(Some(EventsOptionsBuilder::new().filters(&wanted).build()));
    let event = tokio::select! {
        event = events.next() => event,
        // The subscription exists once an event arrives: cause events until then.
        error = async {
            loop {
                if let Err(error) = docker.pause_container("echo").await {
                    break error;
                }
                if let Err(error) = docker.unpause_container("echo").await {
                    break error;
                }
            }
        } => return Err(error.into()),
    };
    let action = event.ok_or("no event")??.action;
    assert!(matches!(action.as_deref(), Some("pause" | "unpause")), "{action:?}");
    drop(events);
    remove(docker, "echo").await
}

fn two_outputs(written: &[LogOutput]) {
    let [LogOutput::StdOut { message: out }, LogOutput::StdErr { message: err }] = written else {
        panic!("not both outputs: {written:?}");
    };
    assert_eq!((out.as_ref(), err.as_ref()), (&b"out\n"[..], &b"err\n"[..]));
}

async fn life(docker: &Docker) -> Result<()> {
    let id = create(docker, "box", &["sleep"]).await?;
    start(docker, "box").await?;
    let tier = HashMap::from([("label", vec!["tier=test"])]);
    let listed = docker
        .list_containers(Some(ListContainersOptionsBuilder::new().filters(&tier).build()))
        .await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id.as_deref(), Some(id.as_str()));
    let ports = listed[0].ports.as_deref().unwrap_or_default();
    assert!(ports.iter().any(|port| port.private_port == 80 && port.public_port.is_some()));
    let rename = RenameContainerOptionsBuilder::new().name("chest").build();
    docker.rename_container("box", rename).await?;
    docker.kill_container("chest", None::<KillContainerOptions>).await?;
    // bollard makes an error of a code that is not 0.
    let killed = docker.wait_container("chest", None::<WaitContainerOptions>).next().await;
    let killed = killed.ok_or("no exit status")?;
    assert!(
        matches!(killed, Err(bollard::errors::Error::DockerContainerWaitError { code: 137, .. })),
        "{killed:?}"
    );
    docker.restart_container("chest", None::<RestartContainerOptions>).await?;
    let stop = StopContainerOptionsBuilder::new().t(1).build();
    docker.stop_container("chest", Some(stop)).await?;
    let seen = docker.inspect_container("chest", None::<InspectContainerOptions>).await?;
    let state = seen.state.ok_or("no state")?;
    assert_eq!((state.running, state.exit_code), (Some(false), Some(143)));
    let pruned = docker.prune_containers(None::<PruneContainersOptions>).await?;
    assert_eq!(pruned.containers_deleted, Some(vec![id]));
    Ok(())
}

async fn networks(docker: &Docker) -> Result<()> {
    create(docker, "member", &["sleep"]).await?;
    let network = NetworkCreateRequest {
        name: "back".into(),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(network).await?;
    let listed = docker.list_networks(None::<ListNetworksOptions>).await?;
    assert!(listed.iter().any(|network| network.name.as_deref() == Some("back")));
    let connection = NetworkConnectRequest {
        container: "member".into(),
        endpoint_config: Some(EndpointSettings {
            aliases: Some(vec!["db".into()]),
            ..EndpointSettings::default()
        }),
    };
    docker.connect_network("back", connection).await?;
    let seen = docker.inspect_container("member", None::<InspectContainerOptions>).await?;
    let connected = seen.network_settings.and_then(|settings| settings.networks);
    assert!(connected.is_some_and(|networks| networks.contains_key("back")));
    let disconnection = NetworkDisconnectRequest {
        container: "member".into(),
        force: None,
    };
    docker.disconnect_network("back", disconnection).await?;
    docker.remove_network("back").await?;
    let gone = docker.inspect_network("back", None::<InspectNetworkOptions>).await;
    refused(gone, 404, "back");
    remove(docker, "member").await
}

async fn errors(docker: &Docker) -> Result<()> {
    let missing = docker.inspect_container("nosuch", None::<InspectContainerOptions>).await;
    refused(missing, 404, "No such container: nosuch");
    refused(docker.inspect_image("nosuch").await, 404, "No such image: nosuch");
    create(docker, "taken", &["sleep"]).await?;
    let again = create(docker, "taken", &["sleep"]).await;
    assert!(again.is_err_and(|error| error.to_string().contains("already in use")));
    remove(docker, "taken").await?;
    let volumes = docker.list_volumes(None::<ListVolumesOptions>).await;
    refused(volumes, 501, "docker volume is not supported by this host");
    let saved = docker.export_image("hello-world").try_collect::<Vec<_>>().await?;
    let saved = saved.concat();
    let index = saved.windows(13).any(|name| name == b"manifest.json");
    assert!(index, "an archive of {} bytes without an index", saved.len());
    Ok(())
}

/// Checks that the front end refused a request with this status and these words.
fn refused<T>(outcome: Result<T, bollard::errors::Error>, status: u16, words: &str) {
    match outcome {
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code,
            message,
        }) => {
            assert_eq!(status_code, status, "{message}");
            assert!(message.contains(words), "{message}");
        }
        Err(other) => panic!("not an answer of the front end: {other}"),
        Ok(_) => panic!("it was not refused with {status} {words:?}"),
    }
}
