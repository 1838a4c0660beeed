//! Determines the endpoint from the arguments, the environment, and questions to the user.

use anyhow::{Context as _, Result};
use examples::endpoint::{Endpoint, Trust};
use examples::stage::Stage;

use crate::options::Options;
use crate::terminal;

/// Determines the endpoint; asks for a missing password.
///
/// # Errors
/// Fails when no endpoint is named, or a part of it is missing or invalid.
pub(crate) fn endpoint(options: &Options) -> Result<Endpoint> {
    endpoint_in(options, |name| {
        std::env::var(name).ok().filter(|text| !text.is_empty())
    })
}

/// Returns whether the arguments contain a password.
pub(crate) fn shows_password(options: &Options) -> bool {
    options.password.is_some() || options.target.as_deref().is_some_and(holds_password)
}

fn holds_password(target: &str) -> bool {
    let user = target.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| user.trim_start_matches("https://").contains(':'))
}

fn endpoint_in(
    options: &Options,
    environment: impl Fn(&'static str) -> Option<String>,
) -> Result<Endpoint> {
    let (target, datacenter) = options.target.as_deref().map(address).unwrap_or_default();
    let url = target.or_else(|| environment("VSPHERE_URL"));
    let url = url.context("no endpoint is named: give --target, or set VSPHERE_URL")?;
    let has_password = options.password.is_some()
        || environment("GOVC_PASSWORD").is_some()
        || holds_password(&url);
    let user = options
        .user
        .clone()
        .or_else(|| environment("GOVC_USERNAME"));
    let asked = if has_password {
        None
    } else {
        let (before, server) = url.rsplit_once('@').unwrap_or(("", &url));
        let user = user
            .as_deref()
            .unwrap_or(before)
            .trim_start_matches("https://");
        let server = server.trim_start_matches("https://");
        Some(terminal::password(user, server)?)
    };
    let variable = |name| match name {
        "VSPHERE_URL" => Some(url.clone()),
        "GOVC_USERNAME" => user.clone(),
        "GOVC_PASSWORD" => options
            .password
            .clone()
            .or_else(|| asked.clone())
            .or_else(|| environment(name)),
        "GOVC_DATACENTER" => datacenter.clone().or_else(|| environment(name)),
        _ => environment(name),
    };
    let source = match options.target {
        Some(_) => "--target names no endpoint",
        None => "VSPHERE_URL names no endpoint",
    };
    let mut endpoint = Endpoint::from_variables(variable)
        .context(source)?
        .context("no endpoint is named: give --target, or set VSPHERE_URL")?;
    if let Some(thumbprint) = &options.thumbprint {
        let parsed = thumbprint.parse::<vsphere_client::Thumbprint>();
        parsed.context("correct --thumbprint")?;
        endpoint.trust = Trust::Thumbprint(thumbprint.clone());
    }
    Ok(endpoint)
}

/// Splits a target into an https address and the datacenter in its path.
fn address(target: &str) -> (Option<String>, Option<String>) {
    let bare = target.strip_prefix("https://").unwrap_or(target);
    if bare.contains("://") {
        // Keep another scheme, which is refused when the address is parsed.
        return (Some(target.to_owned()), None);
    }
    // Search the host after the last `@`, because a password may contain a slash.
    let host = bare.rfind('@').map_or(0, |at| at + 1);
    let (place, path) = match bare[host..].find('/') {
        Some(slash) => bare.split_at(host + slash),
        None => (bare, ""),
    };
    let datacenter = path.trim_matches('/');
    let place = match place.rsplit_once('@') {
        Some((user, server)) => format!("{}@{server}", escaped(user)),
        None => place.to_owned(),
    };
    let url = format!("https://{place}");
    match datacenter {
        "" | "sdk" => (Some(url), None),
        name => (Some(url), Some(name.to_owned())),
    }
}

/// Escapes the characters that the user part of an address must not contain. Percent signs are
/// kept, because they begin existing escapes.
fn escaped(user: &str) -> String {
    let mut text = String::new();
    for letter in user.chars() {
        match letter {
            '/' | '?' | '#' | '@' | '[' | ']' | '\\' | ' ' => {
                text.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            _ => text.push(letter),
        }
    }
    text
}

/// Connects to the endpoint. If the certificate is not trusted, asks the user.
///
/// # Errors
/// Fails when the endpoint cannot be reached or is not trusted.
pub(crate) async fn connect(endpoint: &mut Endpoint) -> Result<Stage> {
    let error = match Stage::open(Some(endpoint)).await {
        Ok(stage) => return Ok(stage),
        Err(error) => error,
    };
    let untrusted = error
        .downcast_ref::<vsphere_client::Error>()
        .and_then(vsphere_client::Error::untrusted)
        .map(|certificate| certificate.thumbprint().to_owned());
    // Do not ask if a thumbprint is pinned and the certificate differs.
    let is_untrusted = untrusted.is_some();
    let Some(thumbprint) = untrusted.filter(|_| endpoint.trust == Trust::Roots) else {
        let problem = error.downcast_ref::<vsphere_client::Error>();
        return Err(match problem {
            Some(vsphere_client::Error::NotAuthenticated { .. }) => {
                error.context("correct --user and GOVC_PASSWORD (or --password)")
            }
            _ if is_untrusted => error.context("correct --thumbprint"),
            _ => error,
        });
    };
    let server = endpoint.url.host_str().unwrap_or_default();
    terminal::trust(server, &thumbprint)?;
    endpoint.trust = Trust::Thumbprint(thumbprint);
    Stage::open(Some(endpoint)).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use clap::Parser as _;

    use super::*;

    fn read(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Endpoint> {
        let all = ["vch", "ls"].iter().chain(arguments);
        let options = Options::try_parse_from(all).unwrap();
        endpoint_in(&options, |name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn a_target_is_read_in_every_form() {
        for (target, url, datacenter) in [
            ("root:p@esx", "https://esx/sdk", None),
            ("root:p/w#1@esx:8443/sdk", "https://esx:8443/sdk", None),
            ("https://root:p@vc/DC0", "https://vc/sdk", Some("DC0")),
        ] {
            let endpoint = read(&["-t", target], &[]).unwrap();
            assert_eq!(endpoint.url.as_str(), url, "{target}");
            assert_eq!(endpoint.user, "root");
            assert_eq!(endpoint.place.datacenter.as_deref(), datacenter);
        }
    }

    #[test]
    fn the_environment_completes_and_options_win() {
        let environment = [
            ("VSPHERE_URL", "https://esx"),
            ("GOVC_USERNAME", "ada"),
            ("GOVC_PASSWORD", "x"),
        ];
        assert_eq!(read(&[], &environment).unwrap().user, "ada");
        let endpoint = read(&["-u", "root", "-t", "vc"], &environment).unwrap();
        assert_eq!(endpoint.user, "root");
        assert_eq!(endpoint.url.as_str(), "https://vc/sdk");
    }

    #[test]
    fn another_scheme_and_no_target_are_refused() {
        let refused = read(&["-t", "http://root:secret@esx"], &[]).unwrap_err();
        assert!(!format!("{refused:#}").contains("secret"), "{refused:#}");
        assert!(read(&[], &[]).unwrap_err().to_string().contains("--target"));
    }
}
