//! `docker save`: images as an archive.

use std::io;

use image_source::Reference;
use portlayer::ErrorKind;
use portlayer::image::{Image, ImageInfo};

use super::pull::platform;
use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::reply::Reply;
use crate::request::Query;
use crate::written;

/// An image to save, with the names that it has in the archive.
struct Wanted {
    info: ImageInfo,
    references: Vec<Reference>,
}

/// Sends images as one archive. Everything that may fail is done before the response starts: the
/// images are read to temporary files, one after the other.
pub(crate) async fn save(front_end: &FrontEnd, names: &[String], query: &Query) -> Result<Reply> {
    if names.is_empty() {
        return Err(ApiError::bad_request("the names of the images are missing"));
    }
    let platform = platform(query)?;
    let mut wanted: Vec<Wanted> = Vec::new();
    for name in names {
        for (info, reference) in find(front_end, name).await? {
            if let Some(platform) = &platform {
                check_platform(name, &info, platform)?;
            }
            let at = wanted.iter().position(|wanted| wanted.info.id == info.id);
            let at = at.unwrap_or_else(|| {
                let references = Vec::new();
                wanted.push(Wanted { info, references });
                wanted.len() - 1
            });
            let references = &mut wanted[at].references;
            references.extend(reference.filter(|reference| !references.contains(reference)));
        }
    }
    let mut images = Vec::new();
    for Wanted { info, references } in wanted {
        images.push((export(front_end, &info).await?, references));
        front_end.publish_image("save", &info.id, &info.id.to_string());
    }
    Ok(written::reply("application/x-tar", move |out| {
        image_source::save_to(out, &images).map_err(io::Error::other)
    }))
}

/// Finds the images that a name means, each with its name in the archive, by the engine's rules: the
/// image with this name and tag; all images in the repository, if there is no tag; or the image with
/// this id or digest, which has no name in the archive.
async fn find(front_end: &FrontEnd, name: &str) -> Result<Vec<(ImageInfo, Option<Reference>)>> {
    let Ok(reference) = name.parse::<Reference>() else {
        return Ok(vec![(front_end.image(name).await?, None)]);
    };
    let has_version = reference.digest().is_some()
        || reference
            .tag()
            .is_some_and(|tag| name.ends_with(&format!(":{tag}")));
    if has_version {
        let is_name = reference.digest().is_none() && front_end.catalog().get(&reference).is_some();
        let info = front_end.image(name).await?;
        return Ok(vec![(info, is_name.then_some(reference))]);
    }
    let mut found = Vec::new();
    for tag in front_end.catalog().all() {
        if let Some(named) = tag.reference()
            && named.tag().is_some()
            && named.familiar_name() == reference.familiar_name()
        {
            let info = front_end.layer().images().inspect(&tag.image).await?;
            found.push((info, Some(named)));
        }
    }
    if found.is_empty() {
        found.push((front_end.image(name).await?, None));
    }
    Ok(found)
}

fn check_platform(name: &str, info: &ImageInfo, wanted: &image_source::Platform) -> Result<()> {
    let config = &info.config;
    let is_it = (config.os().is_empty() || config.os() == wanted.os)
        && (config.architecture().is_empty() || config.architecture() == wanted.architecture);
    if is_it {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {name} was found but does not provide the specified platform \
         ({wanted})"
    )))
}

/// Reads an image from the host, as an image with one layer.
async fn export(front_end: &FrontEnd, info: &ImageInfo) -> Result<Image> {
    let files = match front_end.layer().images().export(&info.id).await {
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported { .. }) => {
            let mut refusal = ApiError::not_supported("docker save");
            let reason = ": its endpoint does not store the content of disks";
            refusal.message.push_str(reason);
            return Err(refusal);
        }
        files => files?,
    };
    Ok(image_source::from_export(&info.config, files).await?)
}
