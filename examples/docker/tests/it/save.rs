//! Images saved as archives.

use std::io::Read as _;
use std::sync::Arc;

use async_trait::async_trait;
use image_source::{LoadOptions, LoadedImage};
use portlayer::image::{
    Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
};
use portlayer::memory::MemoryImages;
use portlayer::{PortLayer, Result};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::bad_input::{nothing_is_left, tasks};
use crate::client::Server;

/// Returns the tar of a root file system with these files.
fn root(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Imports an image with these files under a name with a tag; returns its id.
async fn import(server: &Server, name: &str, files: &[(&str, &[u8])]) -> String {
    let (repository, tag) = name.split_once(':').unwrap();
    let path = format!(
        "/images/create?fromSrc=-&repo={repository}&tag={tag}&changes=CMD%20%5B%22/hello%22%5D"
    );
    let (status, answer) = server.post_bytes(&path, &root(files)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    id(server, name).await
}

async fn id(server: &Server, name: &str) -> String {
    let (status, image) = server.get(&format!("/images/{name}/json")).await;
    assert_eq!(status, 200, "{image}");
    image["Id"].as_str().unwrap().to_owned()
}

/// Reads the images in an archive.
async fn images(archive: &[u8]) -> Vec<LoadedImage> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive).unwrap();
    image_source::load(file.path(), &LoadOptions::new())
        .await
        .unwrap()
}

fn names(image: &LoadedImage) -> Vec<String> {
    let names = image.references.iter();
    names.map(image_source::Reference::familiar).collect()
}

/// Returns the content of the files in an image's only layer.
fn files(image: &Image) -> Vec<(String, Vec<u8>)> {
    let [layer] = image.layers() else {
        panic!("{:?}", image.layers());
    };
    let mut tar = tar::Archive::new(layer.open().unwrap());
    let mut files = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type().is_file() {
            files.push((path, content));
        }
    }
    files
}

async fn save(server: &Server, query: &str) -> Vec<u8> {
    let (status, archive) = server.send("GET", query, b"").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&archive));
    archive
}

#[tokio::test]
async fn a_saved_image_has_one_layer_and_is_loaded_as_another_image() {
    let server = Server::start().await;
    let lower: &[(&str, &[u8])] = &[("bin/hello", b"hello"), ("etc/name", b"one")];
    let original = import(&server, "saved:1", lower).await;
    let archive = save(&server, "/images/get?names=saved:1").await;
    let [saved] = &images(&archive).await[..] else {
        panic!("not one image");
    };
    assert_eq!(names(saved), ["saved:1"]);
    let config = saved.image.config();
    assert_eq!(config.process().cmd, ["/hello"]);
    let layers = config.history().iter().filter(|step| !step.empty_layer);
    let comments: Vec<_> = layers.filter_map(|step| step.comment.as_deref()).collect();
    assert_eq!(
        comments,
        [format!("the layers of {original} merged into one")]
    );
    let expected: Vec<_> = lower
        .iter()
        .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
        .collect();
    assert_eq!(files(&saved.image), expected);
    // The same image is always saved as the same bytes, also by the other path.
    assert!(save(&server, "/images/saved:1/get").await == archive);

    let (status, _) = server.send("DELETE", "/images/saved:1", b"").await;
    assert_eq!(status, 200);
    let (status, answer) = server.post_bytes("/images/load", &archive).await;
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(
        (status, answer.contains("Loaded image: saved:1")),
        (200, true),
        "{answer}"
    );
    let loaded = id(&server, "saved:1").await;
    assert_eq!(loaded, saved.image.id().to_string());
    assert_ne!(loaded, original);
    // From then on, the identity stays the same.
    assert!(save(&server, "/images/get?names=saved:1").await == archive);
    let (_, history) = server.get("/images/saved:1/history").await;
    assert_eq!(history.as_array().unwrap().len(), 2, "{history}");
}

#[tokio::test]
async fn several_images_are_saved_with_the_names_that_were_asked_for() {
    let server = Server::start().await;
    let one = import(&server, "one:1", &[("a", b"1")]).await;
    let two = import(&server, "one:2", &[("a", b"2")]).await;
    for name in ["one:also", "other:3"] {
        let (repository, tag) = name.split_once(':').unwrap();
        let path = format!("/images/one:1/tag?repo={repository}&tag={tag}");
        assert_eq!(server.post(&path, &Value::Null).await.0, 201);
    }
    let of = |archive: &[LoadedImage]| -> Vec<(Vec<String>, Vec<u8>)> {
        let content = |image: &LoadedImage| files(&image.image).remove(0).1;
        archive.iter().map(|i| (names(i), content(i))).collect()
    };
    let named = |names: &[&str], content: &[u8]| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        (names, content.to_vec())
    };
    // A repository: all of its tags.
    let archive = save(&server, "/images/get?names=one").await;
    let expected = [named(&["one:1", "one:also"], b"1"), named(&["one:2"], b"2")];
    assert_eq!(of(&images(&archive).await), expected);
    // Names and an id, which is no name.
    let query = format!("/images/get?names=other:3&names={two}&names=one:1&names=other:3");
    let archive = save(&server, &query).await;
    let expected = [named(&["other:3", "one:1"], b"1"), named(&[], b"2")];
    assert_eq!(of(&images(&archive).await), expected);
    let short = &one["sha256:".len()..][..12];
    let archive = save(&server, &format!("/images/{short}/get")).await;
    assert_eq!(of(&images(&archive).await), [named(&[], b"1")]);
}

#[tokio::test]
async fn what_cannot_be_saved_is_refused_by_name() {
    let server = Server::start().await;
    for (path, status, message) in [
        ("/images/get", 400, "names of the images are missing"),
        ("/images/get?names=nosuch", 404, "No such image: nosuch"),
        ("/images/get?names=hello-world&names=no:1", 404, "no:1"),
        (
            "/images/get?names=hello-world&platform=%7B%22os%22:%22linux%22,%22architecture%22:%22s390x%22%7D",
            404,
            "does not provide the specified platform (linux/s390x)",
        ),
        ("/images/get?names=UPPER", 400, "must be lowercase"),
    ] {
        let (got, answer) = server.get(path).await;
        assert_eq!(got, status, "{path}: {answer}");
        let text = answer["message"].as_str().unwrap();
        assert!(text.contains(message), "{path}: {text}");
    }
    let matching = "/images/get?names=hello-world&platform=%7B%22os%22:%22linux%22,\
                    %22architecture%22:%22amd64%22%7D";
    save(&server, matching).await;
}

/// Images of which only the descriptions are stored.
#[derive(Debug, Default)]
struct Descriptions(MemoryImages);

#[async_trait]
impl Images for Descriptions {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        self.0.import(image, options).await
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        self.0.inspect(id).await
    }

    async fn list(&self) -> Result<ImageListing> {
        self.0.list().await
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        self.0.remove(id).await
    }

    async fn usage(&self) -> Result<ImageUsage> {
        self.0.usage().await
    }

    async fn prune(&self) -> Result<Vec<String>> {
        self.0.prune().await
    }
}

#[tokio::test]
async fn a_host_without_the_content_of_images_says_so() {
    let layer: PortLayer =
        docker_front_end::scripted::port_layer().with_images(Arc::new(Descriptions::default()));
    let server = Server::on(layer, tempfile::tempdir().unwrap()).await;
    server.import().await;
    let (status, answer) = server.get("/images/hello-world/get").await;
    let message = "docker save is not supported by this host: its endpoint does not store the \
                   content of disks";
    assert_eq!((status, answer), (501, json!({ "message": message })));
}

#[tokio::test]
async fn a_client_that_leaves_ends_a_save() {
    let server = Server::start().await;
    import(&server, "large:1", &[("large", &vec![7; 8 << 20])]).await;
    let before = tasks();
    let mut client = server.open("GET /images/large:1/get HTTP/1.1", b"").await;
    let mut piece = [0; 512];
    client.read_exact(&mut piece).await.unwrap();
    assert!(piece.starts_with(b"HTTP/1.1 200"));
    drop(client);
    nothing_is_left(before).await;
    // The image can be removed.
    let (status, _) = server.send("DELETE", "/images/large:1", b"").await;
    assert_eq!(status, 200);
}
