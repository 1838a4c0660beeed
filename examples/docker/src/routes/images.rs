//! Images by name: list, inspect, history, tag, remove.

use hyper::StatusCode;
use image_source::Reference;
use jiff::Timestamp;
use portlayer::ErrorKind;
use portlayer::image::{Digest, ImageConfig, ImageId, ImageInfo};
use serde_json::{Value, json};

use crate::FrontEnd;
use crate::catalog::Tag;
use crate::error::{ApiError, Result};
use crate::reply::{self, Reply};
use crate::request::Query;
use crate::units;

/// The shortest prefix of an id that identifies an image.
const PREFIX_MIN: usize = 4;

impl FrontEnd {
    /// Finds an image by a name, its id, or a prefix of its id.
    pub(crate) async fn image(&self, name: &str) -> Result<ImageInfo> {
        let id = self.image_id(name).await?;
        match self.layer().images().inspect(&id).await {
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                Err(ApiError::no_such_image(&shown(name)))
            }
            other => Ok(other?),
        }
    }

    async fn image_id(&self, name: &str) -> Result<ImageId> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        if let Ok(reference) = name.parse::<Reference>() {
            if let Some(tag) = self.catalog().get(&reference) {
                return Ok(tag.image);
            }
            if let Some(wanted) = reference.digest() {
                let tags = self.catalog().all();
                let known = tags.iter().find(|tag| tag.digest.as_ref() == Some(wanted));
                if let Some(tag) = known {
                    return Ok(tag.image);
                }
            }
        }
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        if hex.len() >= PREFIX_MIN && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            let listing = self.layer().images().list().await?;
            let mut found = listing
                .images
                .iter()
                .filter(|image| image.id.digest().hex().starts_with(hex));
            match (found.next(), found.next()) {
                (Some(image), None) => return Ok(image.id),
                (Some(_), Some(_)) => {
                    return Err(ApiError::bad_request(format!(
                        "ambiguous reference: {name} is the beginning of several images' ids"
                    )));
                }
                _ => {}
            }
        } else if let Err(error) = name.parse::<Reference>() {
            return Err(error.into());
        }
        Err(ApiError::no_such_image(&shown(name)))
    }

    /// Returns every image in the form of `docker images`, the newest first.
    pub(crate) async fn image_summaries(&self) -> Result<Vec<Value>> {
        let listing = self.layer().images().list().await?;
        let tags = self.catalog().all();
        let mut images: Vec<_> = listing.images.iter().collect();
        images.sort_by_key(|image| std::cmp::Reverse(created(&image.config)));
        Ok(images
            .into_iter()
            .map(|image| summary(image, &tags))
            .collect())
    }
}

/// Formats an unknown name for an error message: with its tag.
fn shown(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => name.to_owned(),
    }
}

fn summary(image: &ImageInfo, tags: &[Tag]) -> Value {
    let (names, digests) = names(&image.id, tags);
    json!({
        "Id": image.id,
        "ParentId": "",
        "RepoTags": names,
        "RepoDigests": digests,
        "Created": created(&image.config).map_or(0, Timestamp::as_second),
        "Size": image.size,
        "VirtualSize": image.size,
        "SharedSize": -1,
        "Labels": image.config.process().labels,
        "Containers": -1,
    })
}

/// Returns the names of an image by tag, and those by digest.
fn names(id: &ImageId, tags: &[Tag]) -> (Vec<String>, Vec<String>) {
    let named = || {
        tags.iter()
            .filter(|tag| tag.image == *id)
            .filter_map(|tag| Some((tag, tag.reference()?)))
    };
    let names = named()
        .filter(|(_, reference)| reference.tag().is_some())
        .map(|(_, reference)| reference.familiar())
        .collect();
    let mut digests: Vec<String> = named()
        .filter_map(|(tag, reference)| {
            let digest: Digest = tag.digest?;
            Some(format!("{}@{digest}", reference.familiar_name()))
        })
        .collect();
    digests.dedup();
    (names, digests)
}

/// Returns the time of creation in an image's configuration.
fn created(config: &ImageConfig) -> Option<Timestamp> {
    config.created()?.parse().ok()
}

pub(crate) async fn list(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    filters.only(&["reference", "dangling", "label", "before", "since"])?;
    let before = bound(front_end, filters.values("before")).await?;
    let since = bound(front_end, filters.values("since")).await?;
    let mut images = front_end.image_summaries().await?;
    images.retain_mut(|image| {
        let mut names: Vec<String> =
            serde_json::from_value(image["RepoTags"].clone()).unwrap_or_default();
        let is_dangling = names.is_empty();
        let patterns = filters.values("reference");
        if !patterns.is_empty() {
            // Only the matching names of an image are shown.
            names.retain(|name| patterns.iter().any(|pattern| matches(pattern, name)));
            image["RepoTags"] = json!(names);
        }
        let labels = serde_json::from_value(image["Labels"].clone()).unwrap_or_default();
        let created = image["Created"].as_i64();
        filters.fits("dangling", |wanted| {
            matches!(wanted, "true" | "1") == is_dangling
        }) && (patterns.is_empty() || !names.is_empty())
            && filters.fits_labels(&labels)
            && before.is_none_or(|before| created < Some(before))
            && since.is_none_or(|since| created > Some(since))
    });
    Ok(reply::json(&images))
}

/// Returns the time of creation of a `before` or `since` filter's image, in seconds since 1970.
async fn bound(front_end: &FrontEnd, names: &[String]) -> Result<Option<i64>> {
    let Some(name) = names.first() else {
        return Ok(None);
    };
    let image = front_end.image(name).await?;
    Ok(created(&image.config).map(Timestamp::as_second))
}

/// Matches a pattern with `*` against a name, with or without its tag.
fn matches(pattern: &str, name: &str) -> bool {
    let bare = name.rsplit_once(':').map_or(name, |(bare, _)| bare);
    [name, bare].iter().any(|name| glob(pattern, name))
}

fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

pub(crate) async fn inspect(front_end: &FrontEnd, name: &str) -> Result<Reply> {
    let image = front_end.image(name).await?;
    let tags = front_end.catalog().of(&image.id);
    let (names, digests) = names(&image.id, &tags);
    let config = &image.config;
    let written: Value = serde_json::from_slice(config.bytes()).unwrap_or_default();
    // Templates of `docker inspect` fail on missing fields.
    let mut process = json!({
        "User": "", "Env": null, "Cmd": null, "Entrypoint": null, "Volumes": null,
        "WorkingDir": "", "OnBuild": null, "Labels": null,
    });
    if let (Some(all), Some(given)) = (process.as_object_mut(), written["config"].as_object()) {
        all.extend(given.clone());
    }
    Ok(reply::json(&json!({
        "Id": image.id,
        "RepoTags": names,
        "RepoDigests": digests,
        "Parent": "",
        "Comment": config.history().last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        "Created": config.created().unwrap_or("0001-01-01T00:00:00Z"),
        "DockerVersion": "",
        "Author": config.author().unwrap_or_default(),
        "Config": process,
        "Architecture": config.architecture(),
        "Variant": config.variant(),
        "Os": config.os(),
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Name": "vSphere", "Data": { "Capacity": image.capacity.to_string() } },
        "RootFS": { "Type": "layers", "Layers": config.diff_ids() },
        "Metadata": { "LastTagTime": image.imported.map(|time| time.to_string()) },
    })))
}

pub(crate) async fn history(front_end: &FrontEnd, name: &str) -> Result<Reply> {
    let image = front_end.image(name).await?;
    let tags = front_end.catalog().of(&image.id);
    let (names, _) = names(&image.id, &tags);
    let steps = image.config.history();
    let last = steps.len().saturating_sub(1);
    let entries = steps.iter().enumerate().rev().map(|(position, step)| {
        let time: Option<Timestamp> = step.created.as_ref().and_then(|time| time.parse().ok());
        let top = position == last;
        json!({
            "Id": if top { image.id.to_string() } else { "<missing>".to_owned() },
            "Created": time.map_or(0, Timestamp::as_second),
            "CreatedBy": step.created_by.clone().unwrap_or_default(),
            "Tags": if top { json!(names) } else { Value::Null },
            // The layers are merged into one disk; their sizes are not stored.
            "Size": if top { image.size } else { 0 },
            "Comment": step.comment.clone().unwrap_or_default(),
        })
    });
    Ok(reply::json(&entries.collect::<Vec<_>>()))
}

pub(crate) async fn tag(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let image = front_end.image(name).await?;
    let repository = query
        .get("repo")
        .ok_or_else(|| ApiError::bad_request("the name to give is missing"))?;
    let mut reference: Reference = repository.parse()?;
    if let Some(tag) = query.get("tag") {
        reference = reference.with_tag(tag)?;
    }
    if reference.digest().is_some() {
        return Err(ApiError::bad_request(
            "refusing to create a tag with a digest reference",
        ));
    }
    front_end.name_image(&reference, image.id, None).await?;
    front_end.publish_image("tag", &image.id, &reference.familiar());
    Ok(reply::empty(StatusCode::CREATED))
}

pub(crate) async fn remove(front_end: &FrontEnd, name: &str, query: &Query) -> Result<Reply> {
    let image = front_end.image(name).await?;
    let force = query.flag("force");
    let tags = front_end.catalog().of(&image.id);
    let by_name = name
        .parse::<Reference>()
        .ok()
        .map(|reference| reference.to_string())
        .filter(|reference| tags.iter().any(|tag| tag.reference == *reference));
    let mut done = Vec::new();
    if let Some(reference) = &by_name
        && tags.len() > 1
    {
        untag(front_end, &tags, reference, &image.id, &mut done).await?;
        return Ok(reply::json(&done));
    }
    if by_name.is_none() && tags.len() > 1 && !force {
        return Err(ApiError::conflict(format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple \
             repositories",
            image.id.short()
        )));
    }
    let users = front_end.users_of(&image.id).await?;
    if let Some(user) = users.first() {
        let id = user.id.short();
        if let Some(reference) = &by_name {
            if !force {
                return Err(ApiError::conflict(format!(
                    "conflict: unable to remove repository reference \"{name}\" (must force) - \
                     container {id} is using its referenced image {}",
                    image.id.short()
                )));
            }
            // Only the name is removed; the containers keep the image.
            untag(front_end, &tags, reference, &image.id, &mut done).await?;
            return Ok(reply::json(&done));
        }
        let (forced, how) = if user.is_running() {
            ("cannot be forced", "running")
        } else {
            ("must be forced", "stopped")
        };
        return Err(ApiError::conflict(format!(
            "conflict: unable to delete {} ({forced}) - image is being used by {how} container \
             {id}",
            image.id.short()
        )));
    }
    front_end.layer().images().remove(&image.id).await?;
    for tag in &tags {
        untag(front_end, &tags, &tag.reference, &image.id, &mut done).await?;
    }
    done.push(json!({ "Deleted": image.id }));
    front_end.publish_image("delete", &image.id, &image.id.to_string());
    Ok(reply::json(&done))
}

/// Removes a name, one of these tags, of an image. With the last tag of a repository, its name by
/// digest is removed, too.
async fn untag(
    front_end: &FrontEnd,
    tags: &[Tag],
    reference: &str,
    image: &ImageId,
    done: &mut Vec<Value>,
) -> Result<()> {
    front_end.catalog().remove(reference).await?;
    let familiar = reference
        .parse::<Reference>()
        .map_or_else(|_| reference.to_owned(), |reference| reference.familiar());
    done.push(json!({ "Untagged": familiar }));
    let tag = tags.iter().find(|tag| tag.reference == reference);
    if let Some((reference, digest)) = tag.and_then(|tag| Some((tag.reference()?, tag.digest?))) {
        let name = reference.familiar_name();
        let others = tags.iter().filter(|other| other.digest == Some(digest));
        if others
            .filter(|o| o.reference().is_some_and(|o| o.familiar_name() == name))
            .count()
            == 1
        {
            done.push(json!({ "Untagged": format!("{name}@{digest}") }));
        }
    }
    front_end.publish_image("untag", image, &familiar);
    Ok(())
}

/// Removes images without a name, or with `dangling=false` all unused images; and the remains of
/// interrupted imports.
pub(crate) async fn prune(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    let prune = filters.prune(&["dangling"])?;
    let all = filters
        .values("dangling")
        .iter()
        .any(|value| value == "false" || value == "0");
    let mut done = Vec::new();
    let mut freed = 0;
    front_end.layer().images().prune().await?;
    for image in front_end.layer().images().list().await?.images {
        let tags = front_end.catalog().of(&image.id);
        let wanted = (all || tags.is_empty())
            && prune.fits(&image.config.process().labels, created(&image.config))
            && front_end.users_of(&image.id).await?.is_empty();
        if !wanted {
            continue;
        }
        match front_end.layer().images().remove(&image.id).await {
            Ok(()) => {}
            // A container was just created from it, or it was removed concurrently.
            Err(error) if matches!(error.kind(), ErrorKind::InUse { .. } | ErrorKind::NotFound) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        for tag in &tags {
            untag(front_end, &tags, &tag.reference, &image.id, &mut done).await?;
        }
        done.push(json!({ "Deleted": image.id }));
        freed += image.size;
    }
    tracing::debug!(freed = units::size(freed), "pruned images");
    Ok(reply::json(
        &json!({ "ImagesDeleted": done, "SpaceReclaimed": freed }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_with_and_without_tags() {
        assert!(matches("hello*", "hello-world:latest"));
        assert!(matches("hello-world", "hello-world:latest"));
        assert!(matches("*:latest", "hello-world:latest"));
        assert!(matches("a*c*e", "abcde:1"));
        assert!(!matches("hello", "hello-world:latest"));
        assert!(!matches("a*b", "a:1"));
    }
}
