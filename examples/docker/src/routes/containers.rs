//! Creates containers.

use hyper::StatusCode;
use portlayer::exec::ContainerInfo;
use portlayer::{ContainerId, ErrorKind};
use serde_json::json;

use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::options::{self, CreateBody};
use crate::reply::{self, Reply};
use crate::request::Call;
use crate::{names, spec};

/// The number of generated names that are tried.
const NAME_ATTEMPTS: u8 = 16;

pub(crate) async fn create(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    let wanted = call
        .query
        .get("name")
        .map(|name| name.trim_start_matches('/').to_owned());
    let platform = call.query.get("platform").map(str::to_owned);
    // Read the body before refusing anything: a client that cannot send its complete request does
    // not read the response.
    let mut body: CreateBody = call.json().await?;
    if let Some(name) = &wanted
        && !names::is_valid(name)
    {
        return Err(ApiError::bad_request(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )));
    }
    if body.image.is_empty() {
        return Err(ApiError::bad_request("no image specified"));
    }
    let image = front_end.image(&body.image).await?;
    if let Some(platform) = platform {
        check_platform(&platform, &image.config, &body.image)?;
    }
    let (host, mut warnings) = options::check(&mut body)?;
    if body.attach_stdin && !body.open_stdin {
        warnings.push("the input is attached but not open (-i)".into());
    }
    let id = ContainerId::generate();
    let name = wanted.clone().unwrap_or_else(|| names::generate(&id, 0));
    let mut spec = spec::request(id, name, &image, body, host)?;
    let publishes = spec.endpoints.iter().any(|e| !e.ports.is_empty());
    if publishes && !front_end.ports().is_supported() {
        return Err(ApiError::not_supported("The option --publish"));
    }
    let mut attempt = 0;
    loop {
        match front_end.layer().exec().create(spec.clone()).await {
            Ok(_) => break,
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
                attempt += 1;
                if wanted.is_some() || attempt == NAME_ATTEMPTS {
                    return Err(name_taken(front_end, &spec.name).await);
                }
                spec = spec.name(names::generate(&id, attempt));
            }
            Err(error) => {
                let mut refused = ApiError::from(error);
                // The docker command takes a 404 for a missing image, and pulls it.
                if refused.status == StatusCode::NOT_FOUND {
                    refused.status = StatusCode::BAD_REQUEST;
                }
                return Err(refused);
            }
        }
    }
    front_end.publish(&ContainerInfo::new(spec).into(), "create");
    let answer = json!({ "Id": id, "Warnings": warnings });
    Ok(reply::json_with(StatusCode::CREATED, &answer))
}

pub(super) async fn name_taken(front_end: &FrontEnd, name: &str) -> ApiError {
    let owner = match front_end.container(name).await {
        Ok(owner) => owner.id.to_string(),
        Err(_) => "unknown".into(),
    };
    ApiError::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You \
         have to remove (or rename) that container to be able to reuse that name."
    ))
}

fn check_platform(wanted: &str, config: &portlayer::image::ImageConfig, image: &str) -> Result<()> {
    let parsed: image_source::Platform = serde_json::from_str(wanted)
        .ok()
        .or_else(|| wanted.parse().ok())
        .ok_or_else(|| ApiError::bad_request(format!("{wanted:?} is not a platform")))?;
    if parsed.os == config.os() && parsed.architecture == config.architecture() {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {image} was found but does not provide the specified platform \
         ({parsed})"
    )))
}
