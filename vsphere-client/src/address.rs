//! Parses server addresses: checks which URLs are accepted, and extracts the credentials in
//! them.

use secrecy::SecretString;
use url::Url;

use crate::credentials::Credentials;
use crate::error::{Error, Result};

/// Parses an address; returns it without secrets, and the credentials that it contained.
pub(crate) fn parse(text: &str) -> Result<(Url, Option<Credentials>)> {
    // Errors show the text only if it cannot contain a password.
    let shown = if text.contains('@') {
        "the address"
    } else {
        text
    };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("https" | "http" | "HTTPS" | "HTTP") => {}
        Some(other) => {
            return Err(Error::config(format!(
                "cannot talk to a server {}: write https://host[:port]",
                if other.chars().all(|c| c.is_ascii_alphanumeric()) {
                    format!("by {other:?}")
                } else {
                    "at such an address".into()
                }
            )));
        }
        None => {
            return Err(Error::config(format!(
                "{shown} has no scheme: write https:// in front of it"
            )));
        }
    }
    // A URL parser treats a backslash as a slash: the rest would be a path
    // on another host, password included.
    if text.contains('\\') {
        return Err(Error::config(
            "there is a backslash in the address: write %5C for it in a user name or password, \
             or give them as credentials",
        ));
    }
    let mut url = Url::parse(text).map_err(|error| Error::Config {
        what: format!("{shown} is not an address: write https://host[:port]").into(),
        source: Some(error.into()),
    })?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Error::config(format!(
            "{shown} names no host: write https://host[:port]"
        )));
    }
    // A part of the password may have been parsed as the host.
    let behind = [Some(url.path()), url.query(), url.fragment()];
    let is_at = |part: &str| part.contains('@') || part.to_ascii_lowercase().contains("%40");
    if behind.into_iter().flatten().any(is_at) {
        return Err(Error::config(
            "there is an @ behind the host of the address: escape /, ?, # and @ in a user name or \
             password (%2F, %3F, %23, %40), or give them as credentials",
        ));
    }
    let credentials = credentials_in(&url);
    // `set_username` and `set_password` cannot fail for an address with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    match url.path().trim_end_matches('/') {
        "" => url.set_path("/sdk"),
        path => {
            let path = path.to_owned();
            url.set_path(&path);
        }
    }
    Ok((url, credentials))
}

fn credentials_in(url: &Url) -> Option<Credentials> {
    let decode = |text: &str| -> String {
        let bytes = crate::escape::decode(text);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    if url.username().is_empty() {
        return None;
    }
    let password = url.password().map(decode).unwrap_or_default();
    Some(Credentials::password(
        decode(url.username()),
        SecretString::from(password),
    ))
}

/// Returns `host:port`, which identifies a server in errors and logs.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_missing_path_becomes_sdk() {
        for text in ["https://esx", "https://esx/", "https://esx:443/sdk/"] {
            assert_eq!(parse(text).unwrap().0.as_str(), "https://esx/sdk", "{text}");
        }
        let (url, _) = parse("http://127.0.0.1:8989/other?x=1#y").unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8989/other");
    }

    #[test]
    fn credentials_move_out_of_the_address() {
        let (url, credentials) = parse("https://a%40b:p%3As@esx/sdk").unwrap();
        assert_eq!(url.as_str(), "https://esx/sdk");
        let Some(Credentials::Password { user, password }) = credentials else {
            panic!("no credentials");
        };
        assert_eq!(user, "a@b");
        assert_eq!(password.expose_secret(), "p:s");
    }

    #[test]
    fn an_address_whose_password_would_go_to_a_stranger_is_refused() {
        for text in [
            "http://HOST\\admin:sesame@vcenter",
            "https://root:12/sesame@h",
            "https://root:12?sesame@h",
            "https://root:12#sesame@h",
            "https://root:12/sesame%40h",
            "https://root:se\\same@h",
            "https://user@root:12/sesame@h",
        ] {
            let error = parse(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("sesame") && !shown.contains("same@"),
                "{shown}"
            );
            let builder = crate::Client::builder(text);
            assert!(!format!("{builder:?}").contains("same"), "{builder:?}");
        }
    }

    #[test]
    fn a_missing_scheme_is_refused_with_advice_and_without_the_password() {
        let error = parse("esx.example.com").unwrap_err().to_string();
        assert_eq!(
            error,
            "esx.example.com has no scheme: write https:// in front of it"
        );
        for text in [
            "root:secret@esx",
            "root:secret@esx:443/sdk",
            "ftp://root:secret@esx",
            "https://root:secret@:x",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        assert!(parse("https://").is_err());
    }
}
