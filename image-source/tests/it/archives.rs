//! Tests of images from `docker save` archives, OCI layouts and root file systems.

use std::path::Path;

use image_source::{Error, Limits, LoadOptions, RootFsOptions, from_root_fs, load, save};
use portlayer::image::Digest;
use serde_json::json;

use crate::sample::{archive, check_layers, config, gzip, layer, layout, two_layers};

fn manifest(config: &str, layers: &[&str]) -> String {
    json!([{ "Config": config, "RepoTags": ["hello-world:latest"], "Layers": layers }]).to_string()
}

async fn loaded(path: &Path) -> Result<Vec<image_source::LoadedImage>, Error> {
    load(path, &LoadOptions::new()).await
}

async fn refused(path: &Path) -> String {
    match loaded(path).await {
        Ok(images) => panic!("accepted: {images:?}"),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error} {}", source.unwrap_or_default())
        }
    }
}

#[tokio::test]
async fn an_archive_with_links_and_its_manifest_at_the_end_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    let layers = two_layers();
    let config = config(&layers);
    let name = format!("{}.json", Digest::of(&config).hex());
    let manifest = manifest(&name, &["a/layer.tar", "b/layer.tar"]);
    archive(
        &path,
        &[
            ("first.tar", Ok(&layers[0])),
            ("a/layer.tar", Err("../first.tar")),
            ("b/layer.tar", Ok(&layers[1])),
            (&name, Ok(&config)),
            ("manifest.json", Ok(manifest.as_bytes())),
        ],
    );
    let images = loaded(&path).await.unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].references[0].familiar(), "hello-world:latest");
    assert_eq!(images[0].image.id().digest(), &Digest::of(&config));
    // The file can be renamed once it is open.
    std::fs::rename(&path, directory.path().join("gone")).unwrap();
    check_layers(&images[0].image, &layers);

    let packed = directory.path().join("image.tar.gz");
    let bytes = std::fs::read(directory.path().join("gone")).unwrap();
    std::fs::write(&packed, gzip(&bytes)).unwrap();
    check_layers(&loaded(&packed).await.unwrap()[0].image, &layers);
}

#[tokio::test]
async fn what_is_wrong_with_an_archive_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    let layers = two_layers();
    let good = config(&layers);
    let name = format!("{}.json", Digest::of(&good).hex());
    let ok = manifest(&name, &["a.tar", "b.tar"]);
    let (a, b) = (("a.tar", Ok(&layers[0][..])), ("b.tar", Ok(&layers[1][..])));

    archive(&path, &[a, b, ("manifest.json", Ok(ok.as_bytes()))]);
    assert!(
        refused(&path).await.contains(&name),
        "the config is missing"
    );

    let m = ("manifest.json", Ok(ok.as_bytes()));
    archive(&path, &[a, b, m, (&name, Ok(b"{}"))]);
    assert!(refused(&path).await.contains("digest"));

    archive(&path, &[a, m, (&name, Ok(&good))]);
    assert!(refused(&path).await.contains("b.tar"));

    archive(
        &path,
        &[
            a,
            ("b.tar", Err("c")),
            ("c", Err("b.tar")),
            m,
            (&name, Ok(&good)),
        ],
    );
    assert!(refused(&path).await.contains("cycle"));

    archive(
        &path,
        &[a, ("b.tar", Err("../../etc/passwd")), m, (&name, Ok(&good))],
    );
    assert!(refused(&path).await.contains("b.tar"));

    let short = manifest(&name, &["a.tar"]);
    archive(
        &path,
        &[
            a,
            ("manifest.json", Ok(short.as_bytes())),
            (&name, Ok(&good)),
        ],
    );
    assert!(refused(&path).await.contains("names 2 layers"));

    archive(&path, &[("etc/passwd", Ok(b"root"))]);
    assert!(refused(&path).await.contains("imported, not loaded"));

    std::fs::write(&path, b"this is not a tar at all").unwrap();
    assert!(refused(&path).await.contains("not an image"));

    archive(&path, &[a, b, m, (&name, Ok(&good))]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refused(&path).await;
}

#[tokio::test]
async fn a_huge_number_of_members_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let members: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), Ok(&b""[..])))
        .collect();
    archive(&path, &members);
    let options = LoadOptions::new().limits(Limits::default().archive_members(10));
    let error = load(&path, &options).await.unwrap_err().to_string();
    assert!(error.contains("more than 10 members"), "{error}");
}

#[tokio::test]
async fn layouts_are_read_as_directories_and_archives() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("layout");
    let layers = two_layers();
    let annotations = json!({ "org.opencontainers.image.ref.name": "lab:5000/a/b:1" });
    layout(&root, &layers, &annotations);
    let images = loaded(&root).await.unwrap();
    assert_eq!(images[0].references[0].to_string(), "lab:5000/a/b:1");
    check_layers(&images[0].image, &layers);

    let packed = directory.path().join("layout.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&packed).unwrap());
    builder.append_dir_all(".", &root).unwrap();
    builder.finish().unwrap();
    check_layers(&loaded(&packed).await.unwrap()[0].image, &layers);

    // Damage the manifest, as if it was changed in transit.
    let blobs = root.join("blobs/sha256");
    for entry in std::fs::read_dir(blobs).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        if let Ok(text) = String::from_utf8(text)
            && text.contains("tar+gzip")
        {
            std::fs::write(&path, text.replace("tar+gzip", "tar+gzap")).unwrap();
        }
    }
    assert!(refused(&root).await.contains("digest"));
}

#[tokio::test]
async fn what_is_saved_is_loaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("layout");
    let layers = two_layers();
    layout(&root, &layers, &json!({}));
    let image = loaded(&root).await.unwrap().remove(0).image;
    let names: Vec<image_source::Reference> =
        vec!["a:1".parse().unwrap(), "lab:5000/b".parse().unwrap()];
    let path = directory.path().join("saved.tar");
    save(&path, vec![(image.clone(), names.clone())])
        .await
        .unwrap();
    let images = loaded(&path).await.unwrap();
    assert_eq!(images[0].image.id(), image.id());
    assert_eq!(images[0].references, names);
    check_layers(&images[0].image, &layers);

    let again = directory.path().join("again.tar");
    save(&again, vec![(images[0].image.clone(), names)])
        .await
        .unwrap();
    let (first, second) = (std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
    assert!(first == second, "the same image is saved as the same bytes");
}

#[tokio::test]
async fn a_root_file_system_becomes_an_image_of_one_layer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("root.tar");
    let root = layer("bin/hello", b"content");
    std::fs::write(&path, gzip(&root)).unwrap();
    let image = from_root_fs(&path, RootFsOptions::new()).await.unwrap();
    check_layers(&image, &[root]);
    assert_eq!(image.config().architecture(), "amd64");

    std::fs::write(&path, vec![7; 4096]).unwrap();
    let error = from_root_fs(&path, RootFsOptions::new()).await.unwrap_err();
    assert!(error.to_string().contains("is not a tar"), "{error}");
}
