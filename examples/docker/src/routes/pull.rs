//! Images from registries and archives: pull, load, import.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use image_source::{Credentials, LoadOptions, Reference, RootFsOptions};
use portlayer::ErrorKind;
use portlayer::image::{Digest, Image, ImageId, ImportOptions};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::FrontEnd;
use crate::catalog::Tag;
use crate::error::{ApiError, Result};
use crate::progress::{self, LayerLines, Lines};
use crate::reply::Reply;
use crate::request::{Call, Query};

impl FrontEnd {
    /// Assigns a name to an image.
    pub(crate) async fn name_image(
        &self,
        reference: &Reference,
        image: ImageId,
        digest: Option<Digest>,
    ) -> Result<()> {
        let tag = Tag {
            reference: reference.to_string(),
            image,
            digest,
        };
        self.catalog().put(tag).await
    }

    pub(crate) fn publish_image(&self, action: &'static str, id: &ImageId, name: &str) {
        let name = ("name".to_owned(), name.to_owned());
        self.bus().publish("image", action, id, [name]);
    }
}

pub(crate) async fn create(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    if call.query.get("fromSrc").is_some() {
        return import(front_end, call).await;
    }
    let name = call
        .query
        .get("fromImage")
        .ok_or_else(|| ApiError::bad_request("neither fromImage nor fromSrc is given"))?;
    let mut reference: Reference = name.parse()?;
    match call.query.get("tag") {
        None if reference.tag().is_none() && reference.digest().is_none() => {
            return Err(ApiError::not_supported("docker pull --all-tags"));
        }
        None => {}
        Some(digest) if digest.starts_with("sha256:") => {
            reference = format!("{}@{digest}", reference.familiar_name()).parse()?;
        }
        Some(tag) => reference = reference.with_tag(tag)?,
    }
    let header = call.headers.get("X-Registry-Auth");
    let header = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let credentials = Credentials::from_registry_auth_header(header)
        .map_err(|error| ApiError::bad_request(crate::error::chain(&error)))?;
    let registries = front_end.registries(call.query.get("platform"), reference.registry())?;
    let found = registries
        .resolve_as(&reference, credentials)
        .await
        .map_err(|error| pull_error(error, &reference))?;
    let front_end = front_end.clone();
    Ok(progress::body(move |lines| async move {
        pull(&front_end, &lines, reference, found).await
    }))
}

/// Converts an error about a missing image to docker's own messages.
fn pull_error(error: image_source::Error, reference: &Reference) -> ApiError {
    use image_source::Error as Source;
    match &error {
        Source::NotFound { message, .. } => ApiError::not_found(format!(
            "manifest for {} not found: {message}",
            reference.familiar()
        )),
        Source::Denied { message, .. } => ApiError::not_found(format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': \
             {message}",
            reference.familiar_name()
        )),
        Source::NoSuchPlatform { .. } => ApiError::not_found(format!(
            "no matching manifest in the manifest list entries: {error}"
        )),
        _ => error.into(),
    }
}

async fn pull(
    front_end: &FrontEnd,
    lines: &Lines,
    reference: Reference,
    found: image_source::ResolvedImage,
) -> Result<()> {
    let version = reference.tag().map_or_else(
        || {
            reference
                .digest()
                .map(ToString::to_string)
                .unwrap_or_default()
        },
        str::to_owned,
    );
    let from = format!("Pulling from {}", reference.repository());
    lines.send(json!({ "status": from, "id": version })).await;
    let (id, digest) = (found.id(), *found.digest());
    let known = match front_end.layer().images().inspect(&id).await {
        Ok(_) => true,
        Err(error) if *error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    let named = front_end.catalog().get(&reference);
    let up_to_date = known && named.is_some_and(|tag| tag.image == id);
    if !known {
        let layers: Vec<Digest> = found.layers().map(|(digest, _)| digest).collect();
        let shown = Arc::new(LayerLines::new(lines.clone(), layers.iter().copied()));
        let observer = Arc::clone(&shown);
        let image = found
            .fetch(front_end.spool(), move |progress| {
                observer.fetched(progress);
            })
            .await?;
        import_image(front_end, image, &reference.familiar(), Some(&shown)).await?;
        // Files of an interrupted pull stay for the next one to resume; this pull is complete.
        // Concurrent pulls of images with the same layers hold their files open.
        for layer in &layers {
            if let Err(error) = front_end.spool().remove(layer) {
                tracing::warn!(%error, "a layer stays in the spool");
            }
        }
        shown.complete().await;
    }
    front_end.name_image(&reference, id, Some(digest)).await?;
    front_end.publish_image("pull", &id, &reference.familiar());
    lines.status(format!("Digest: {digest}")).await;
    let outcome = if up_to_date {
        "Image is up to date for"
    } else {
        "Downloaded newer image for"
    };
    lines
        .status(format!("Status: {outcome} {}", reference.familiar()))
        .await;
    Ok(())
}

/// Stores an image, and reports the progress of its layers if `shown` is set.
async fn import_image(
    front_end: &FrontEnd,
    image: Image,
    name: &str,
    shown: Option<&Arc<LayerLines>>,
) -> Result<()> {
    let mut options = ImportOptions::new().label("name", name);
    if let Some(shown) = shown {
        let diff_ids = image.config().diff_ids().to_vec();
        let shown = Arc::clone(shown);
        options = options.observer(move |progress| shown.imported(progress, &diff_ids));
    }
    front_end.layer().images().import(image, options).await?;
    Ok(())
}

/// `docker load`: the body is an archive.
pub(crate) async fn load(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    let platform = platform(&call.query)?;
    let file = receive(call).await?;
    let options = LoadOptions::new().platform(platform.unwrap_or_default());
    let images = image_source::load(file.path(), &options).await?;
    let front_end = front_end.clone();
    Ok(progress::body(move |lines| async move {
        for loaded in images {
            let id = loaded.image.id();
            let name = loaded
                .references
                .first()
                .map_or_else(|| id.to_string(), Reference::familiar);
            import_image(&front_end, loaded.image, &name, None).await?;
            if loaded.references.is_empty() {
                let text = format!("Loaded image ID: {id}\n");
                lines.send(json!({ "stream": text })).await;
            }
            for reference in &loaded.references {
                front_end.name_image(reference, id, None).await?;
                let text = format!("Loaded image: {}\n", reference.familiar());
                lines.send(json!({ "stream": text })).await;
            }
            front_end.publish_image("load", &id, &name);
        }
        // The images read their layers from the file until here.
        drop(file);
        Ok(())
    }))
}

/// `docker import`: the body is the tar of a root file system.
async fn import(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    if call.query.get("fromSrc") != Some("-") {
        return Err(ApiError::not_supported("docker import from a URL"));
    }
    let query = call.query.clone();
    let reference: Option<Reference> = match query.get("repo") {
        None => None,
        Some(repository) => {
            let reference: Reference = repository.parse()?;
            Some(match query.get("tag") {
                Some(tag) => reference.with_tag(tag)?,
                None => reference,
            })
        }
    };
    let mut options = RootFsOptions::new()
        .platform(platform(&query)?.unwrap_or_default())
        .created(jiff::Timestamp::now().to_string())
        .config(crate::changes::apply(query.all("changes"))?);
    options = options.comment(query.get("message").unwrap_or("Imported from -"));
    let file = receive(call).await?;
    let image = image_source::from_root_fs(file.path(), options).await?;
    let front_end = front_end.clone();
    Ok(progress::body(move |lines| async move {
        let id = image.id();
        let name = reference
            .as_ref()
            .map_or_else(|| id.to_string(), Reference::familiar);
        import_image(&front_end, image, &name, None).await?;
        if let Some(reference) = &reference {
            front_end.name_image(reference, id, None).await?;
        }
        front_end.publish_image("import", &id, &name);
        lines.status(id.to_string()).await;
        drop(file);
        Ok(())
    }))
}

pub(super) fn platform(query: &Query) -> Result<Option<image_source::Platform>> {
    let given = query.get("platform");
    // The docker command sends JSON since API 1.48, and text before.
    let parsed = given.map(|text| {
        serde_json::from_str(text).or_else(|_| {
            text.parse()
                .map_err(|error: image_source::ParsePlatformError| {
                    ApiError::bad_request(error.to_string())
                })
        })
    });
    parsed.transpose()
}

/// Writes a request's body to a temporary file, which is deleted when it is dropped.
async fn receive(call: Call) -> Result<tempfile::NamedTempFile> {
    let failed = |error: std::io::Error| {
        let status = match error.kind() {
            std::io::ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        ApiError::new(status, format!("cannot keep the archive: {error}"))
    };
    let file = tempfile::NamedTempFile::new().map_err(failed)?;
    let writer = file.reopen().map_err(failed)?;
    let mut writer =
        tokio::io::BufWriter::with_capacity(1 << 20, tokio::fs::File::from_std(writer));
    let mut body = call.body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::bad_request(format!("the client left in the middle: {error}"))
        })?;
        if let Ok(data) = frame.into_data()
            && let Err(error) = writer.write_all(&data).await
        {
            // Free the space while the client still sends.
            drop((writer, file));
            discard(body).await;
            return Err(failed(error));
        }
    }
    writer.flush().await.map_err(failed)?;
    Ok(file)
}

/// Reads the rest of a body, for a limited time: a client that cannot send its complete request
/// does not read the response.
async fn discard(mut body: Incoming) {
    const LIMIT: Duration = Duration::from_secs(30);
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    if tokio::time::timeout(LIMIT, rest).await.is_err() {
        tracing::debug!("a client still sends an archive for which there is no space");
    }
}
