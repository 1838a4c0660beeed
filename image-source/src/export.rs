//! Images from the files of stored images.

use std::io;

use futures_util::StreamExt;
use portlayer::archive::TarStream;
use portlayer::image::{Digest, Image, ImageConfig};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::load::layer;
use crate::section::Section;
use crate::{Error, Result};

/// Creates an image with one layer from the configuration of a stored image and its files, as
/// [`Images::export`] returns them. The layer is a temporary file, which exists as long as the
/// image.
///
/// The layers that the image was made of no longer exist, so the result is another image with
/// another identity: its configuration has one diff id, and its history shows that the steps of the
/// original made no layers and that the layer was made by a step of its own. Everything else is
/// kept. The same configuration and files result in the same image. If the files are exactly the
/// only layer of the configuration, as in an image that was exported before, the configuration and
/// the identity are kept, too.
///
/// # Errors
/// [`Error::Stored`] if the stream fails, [`Error::Io`] if the temporary file cannot be written,
/// and [`Error::InvalidDocument`] if the configuration is too large.
///
/// [`Images::export`]: portlayer::image::Images::export
pub async fn from_export(config: &ImageConfig, mut files: TarStream) -> Result<Image> {
    let failed = |error: io::Error| Error::io("write a file in", std::env::temp_dir())(error);
    let file = crate::blocking(move || tempfile::tempfile().map_err(failed)).await?;
    let mut output = tokio::fs::File::from_std(file);
    let mut hasher = Sha256::new();
    while let Some(piece) = files.next().await {
        let piece = piece.map_err(|source| Error::Stored { source })?;
        hasher.update(&piece);
        output.write_all(&piece).await.map_err(failed)?;
    }
    output.flush().await.map_err(failed)?;
    let section = Section::whole(output.into_std().await).map_err(failed)?;
    let diff_id = Digest::from_bytes(hasher.finalize().into());
    let config = match config.diff_ids() {
        [only] if *only == diff_id => config.clone(),
        _ => with_one_layer(config, &diff_id)?,
    };
    Ok(Image::new(config, [layer(diff_id, section)]))
}

/// Returns the configuration of the image with its layers merged into this one.
fn with_one_layer(config: &ImageConfig, diff_id: &Digest) -> Result<ImageConfig> {
    let invalid = |reason: String| Error::document("config", reason);
    let mut document: Map<String, Value> =
        serde_json::from_slice(config.bytes()).map_err(|error| invalid(error.to_string()))?;
    let steps = document.get("history").and_then(Value::as_array);
    let mut steps = steps.cloned().unwrap_or_default();
    for step in &mut steps {
        if let Value::Object(step) = step {
            step.insert("empty_layer".into(), true.into());
        }
    }
    let mut merged = json!({
        "comment": format!("the layers of {} merged into one", config.id()),
    });
    if let Some(created) = config.created() {
        merged["created"] = created.into();
    }
    steps.push(merged);
    document.insert("history".into(), steps.into());
    let root = json!({ "type": "layers", "diff_ids": [diff_id] });
    document.insert("rootfs".into(), root);
    let bytes = Value::Object(document).to_string().into_bytes();
    ImageConfig::parse(bytes).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn everything_but_the_layers_is_kept() {
        let config = ImageConfig::parse(
            r#"{"os":"linux","architecture":"arm64","variant":"v8","author":"me",
                "created":"2026-01-02T03:04:05Z","config":{"Cmd":["/a"],"Labels":{"b":"c"}},
                "other":[1,{"d":null}],"rootfs":{"type":"layers","diff_ids":[
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]},
                "history":[{"created_by":"one"},{"created_by":"two","empty_layer":true},
                {"created_by":"three"}]}"#,
        )
        .unwrap();
        let diff_id = Digest::of(b"files");
        let merged = with_one_layer(&config, &diff_id).unwrap();
        assert_ne!(merged.id(), config.id());
        assert_eq!(merged.diff_ids(), [diff_id]);
        assert_eq!(merged.process(), config.process());
        assert_eq!(merged.created(), config.created());
        let steps = merged.history();
        assert_eq!(steps.len(), 4);
        let layers = steps.iter().filter(|step| !step.empty_layer);
        let comments: Vec<_> = layers.filter_map(|step| step.comment.clone()).collect();
        let comment = format!("the layers of {} merged into one", config.id());
        assert_eq!(comments, [comment]);
        let [before, after] = [&config, &merged].map(|config| {
            let mut document: Map<String, Value> = serde_json::from_slice(config.bytes()).unwrap();
            document.remove("history");
            document.remove("rootfs");
            document
        });
        assert_eq!(before, after);
    }

    #[test]
    fn an_image_without_a_history_gets_one() {
        let config = ImageConfig::parse("{}").unwrap();
        let merged = with_one_layer(&config, &Digest::of(b"files")).unwrap();
        assert_eq!(merged.history().len(), 1);
    }
}
