//! Credentials for registries, and the configuration file in which docker stores them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use crate::{Error, Result};

/// The key of docker.io in docker's configuration file.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// The user name that helpers return if the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// Credentials for a registry. `Debug` does not print the secrets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// No authentication.
    #[default]
    Anonymous,
    /// User name and password.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A token from a login, which is exchanged for the tokens of requests.
    IdentityToken(SecretString),
    /// A token that is sent unmodified with requests.
    RegistryToken(SecretString),
}

/// The form in which docker passes credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
struct AuthConfig {
    username: String,
    password: SecretString,
    auth: SecretString,
    identitytoken: SecretString,
    registrytoken: SecretString,
}

impl Credentials {
    /// Creates credentials from a name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self::Basic {
            username: username.into(),
            password: password.into(),
        }
    }

    /// Parses the `X-Registry-Auth` header of docker's API: JSON in URL-safe base64.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the header has another form.
    pub fn from_registry_auth_header(header: &str) -> Result<Self> {
        let header = header.trim();
        if header.is_empty() {
            return Ok(Self::Anonymous);
        }
        let invalid = |source| Error::Configuration {
            what: "the X-Registry-Auth header".into(),
            source,
        };
        let json = URL_SAFE
            .decode(header)
            .or_else(|_| URL_SAFE_NO_PAD.decode(header))
            .map_err(|error| invalid(error.into()))?;
        if json.is_empty() {
            return Ok(Self::Anonymous);
        }
        let config: AuthConfig =
            serde_json::from_slice(&json).map_err(|error| invalid(error.into()))?;
        config.read().map_err(invalid)
    }
}

impl AuthConfig {
    fn read(self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        let given = |secret: &SecretString| !secret.expose_secret().is_empty();
        if given(&self.registrytoken) {
            return Ok(Credentials::RegistryToken(self.registrytoken));
        }
        if given(&self.identitytoken) {
            return Ok(Credentials::IdentityToken(self.identitytoken));
        }
        if given(&self.auth) && self.username.is_empty() {
            let decoded = STANDARD
                .decode(self.auth.expose_secret())
                .map_err(|_| "its \"auth\" is not base64")?;
            let decoded = String::from_utf8(decoded).map_err(|_| "its \"auth\" is not text")?;
            let (username, password) = decoded
                .split_once(':')
                .ok_or("its \"auth\" has no colon between name and password")?;
            return Ok(Credentials::basic(
                username,
                password.trim_end_matches('\0'),
            ));
        }
        if self.username.is_empty() {
            return Ok(Credentials::Anonymous);
        }
        Ok(Credentials::Basic {
            username: self.username,
            password: self.password,
        })
    }
}

/// Docker's `config.json`: the credentials of registries, and the credential helpers.
#[derive(Default)]
pub struct DockerConfig {
    path: PathBuf,
    file: ConfigFile,
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerConfig")
            .field("path", &self.path)
            .field("auths", &self.file.auths.keys())
            .finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigFile {
    auths: HashMap<String, serde_json::Value>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

impl DockerConfig {
    /// Reads `config.json` in `$DOCKER_CONFIG` or `~/.docker`. A missing file counts as empty.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the file cannot be read.
    pub fn user() -> Result<Self> {
        let directory = match std::env::var_os("DOCKER_CONFIG") {
            Some(directory) if !directory.is_empty() => PathBuf::from(directory),
            _ => match std::env::home_dir() {
                Some(home) => home.join(".docker"),
                None => return Ok(Self::default()),
            },
        };
        Self::read(directory.join("config.json"))
    }

    /// Reads a configuration file. A missing file counts as empty.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the file cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let invalid = |source| Error::Configuration {
            what: format!("docker's configuration {}", path.display()),
            source,
        };
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(invalid(error.into())),
        };
        let file = serde_json::from_slice(&content).map_err(|error| invalid(error.into()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Returns the credentials for a registry: from its helper, from the default helper, or from
    /// the file.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the helper fails or the file's entry is invalid.
    pub async fn credentials(&self, registry: &str) -> Result<Credentials> {
        let server = match registry {
            "docker.io" => HUB_KEY,
            other => other,
        };
        let helper = self.file.cred_helpers.get(server);
        if let Some(helper) = helper.or(self.file.creds_store.as_ref()) {
            return ask_helper(helper, server).await;
        }
        let entry = self.file.auths.get(server).or_else(|| {
            let same_host = |(key, _): &(&String, _)| host(key) == host(server);
            self.file
                .auths
                .iter()
                .find(same_host)
                .map(|(_, entry)| entry)
        });
        let Some(entry) = entry else {
            return Ok(Credentials::Anonymous);
        };
        let invalid = |source| Error::Configuration {
            what: format!(
                "the entry of {registry} in docker's configuration {}",
                self.path.display()
            ),
            source,
        };
        let entry: AuthConfig =
            serde_json::from_value(entry.clone()).map_err(|error| invalid(error.into()))?;
        entry.read().map_err(invalid)
    }
}

/// Returns the host in a key of the file, which may be a URL.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or(key)
}

/// Runs `docker-credential-<name> get` (docker's credential helper protocol).
async fn ask_helper(name: &str, server: &str) -> Result<Credentials> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: SecretString,
    }
    let program = format!("docker-credential-{name}");
    let failed = |source| Error::Configuration {
        what: format!("the credential helper {program}"),
        source,
    };
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(valid) {
        return Err(failed("its name is not valid for a program".into()));
    }
    let run = async {
        let mut child = tokio::process::Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // Ignore the error: a helper that does not read its input may still answer.
            let _ = input.write_all(server.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(HELPER_TIMEOUT, run).await {
        Ok(output) => output.map_err(|error| failed(error.into()))?,
        Err(elapsed) => return Err(failed(elapsed.into())),
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stdout);
        if words.contains("credentials not found") {
            return Ok(Credentials::Anonymous);
        }
        let words: String = words.trim().chars().take(200).collect();
        return Err(failed(words.into()));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("its answer is not JSON".into()))?;
    Ok(if answer.username == TOKEN_USER {
        Credentials::IdentityToken(answer.secret)
    } else {
        Credentials::Basic {
            username: answer.username,
            password: answer.secret,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn shown(credentials: &Credentials) -> (String, String) {
        match credentials {
            Credentials::Basic { username, password } => {
                (username.clone(), password.expose_secret().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_file_is_searched_by_host_and_secrets_do_not_show() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let auth = STANDARD.encode("me:pass:word");
        let json = serde_json::json!({"auths": {
            HUB_KEY: {"auth": auth}, "lab:5000": {"username": "u", "password": "p"},
            "https://quay.io/v2/": {"identitytoken": "tok"},
        }});
        std::fs::write(&path, json.to_string()).unwrap();
        let config = DockerConfig::read(&path).unwrap();
        let hub = config.credentials("docker.io").await.unwrap();
        assert_eq!(shown(&hub), ("me".into(), "pass:word".into()));
        let printed = format!("{hub:?} {config:?}");
        assert!(
            !printed.contains("pass:word") && !printed.contains(&auth),
            "{printed}"
        );
        let lab = config.credentials("lab:5000").await.unwrap();
        assert_eq!(shown(&lab), ("u".into(), "p".into()));
        let quay = config.credentials("quay.io").await.unwrap();
        assert!(matches!(quay, Credentials::IdentityToken(_)));
        let other = config.credentials("other").await.unwrap();
        assert!(matches!(other, Credentials::Anonymous));
        assert!(DockerConfig::read(directory.path().join("none")).is_ok());
    }

    #[test]
    fn dockers_header_is_read() {
        let header = URL_SAFE.encode(r#"{"username":"a","password":"b","serveraddress":"x"}"#);
        let read = Credentials::from_registry_auth_header(&header).unwrap();
        assert_eq!(shown(&read), ("a".into(), "b".into()));
        for anonymous in ["", &URL_SAFE.encode("{}"), &URL_SAFE.encode("")] {
            let read = Credentials::from_registry_auth_header(anonymous).unwrap();
            assert!(matches!(read, Credentials::Anonymous));
        }
        assert!(Credentials::from_registry_auth_header("%%%").is_err());
    }

    #[tokio::test]
    async fn a_helper_that_cannot_run_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        for helper in ["no-such-helper-here", "../evil"] {
            std::fs::write(&path, serde_json::json!({"credsStore": helper}).to_string()).unwrap();
            let config = DockerConfig::read(&path).unwrap();
            let error = config.credentials("a").await.unwrap_err().to_string();
            assert!(
                error.contains(&format!("docker-credential-{helper}")),
                "{error}"
            );
        }
    }
}
