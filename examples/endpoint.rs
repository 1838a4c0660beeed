//! Reads the endpoint of an example from the environment.
//!
//! `VSPHERE_URL` is the URL of the endpoint. The other variables have the same names and
//! meanings as for govc, so a shell that is set up for govc also works for the examples:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `VSPHERE_URL` | `https://host[:port][/sdk]`, also with `user:password@`; if unset, the example starts a simulator |
//! | `GOVC_USERNAME`, `GOVC_PASSWORD` | user name and password, if the URL does not contain them |
//! | `GOVC_INSECURE` | `1` or `true` turns verification of the server's certificate off |
//! | `GOVC_TLS_KNOWN_HOSTS` | files with lines `host:port THUMBPRINT`, as `govc about.cert -thumbprint` prints them, which pin the certificates of servers |
//! | `GOVC_DATACENTER`, `GOVC_DATASTORE` | names of the datacenter and the datastore, if there are several |
//! | `GOVC_RESOURCE_POOL`, `GOVC_NETWORK` | names of the resource pool and the network, if there are several |

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

/// An endpoint and the objects to use on it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL: an `https` address without user and password.
    pub url: Url,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretString,
    /// How to verify the certificate.
    pub trust: Trust,
    /// The objects to use on the endpoint.
    pub place: Place,
}

/// How to verify a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Verify by the platform's certificate authorities.
    Roots,
    /// Accept only the certificate with this thumbprint, in its text form: pairs of digits
    /// with colons.
    Thumbprint(String),
    /// Do not verify the certificate.
    Insecure,
}

/// The names of the objects to use on an endpoint. `None` means the only object of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The datacenter.
    pub datacenter: Option<String>,
    /// The datastore.
    pub datastore: Option<String>,
    /// The host, cluster or resource pool.
    pub compute: Option<String>,
    /// The network.
    pub network: Option<String>,
}

impl Endpoint {
    /// Reads the endpoint from the environment; returns `None` if `VSPHERE_URL` is not set.
    ///
    /// # Errors
    /// Fails when a variable is invalid, or a required variable is missing.
    pub fn from_environment() -> Result<Option<Self>, EnvironmentError> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Reads the endpoint from these variables; returns `None` if `VSPHERE_URL` is not set.
    ///
    /// # Errors
    /// Fails when a variable is invalid, or a required variable is missing.
    pub fn from_variables(
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, EnvironmentError> {
        let Some(text) = variable("VSPHERE_URL") else {
            return Ok(None);
        };
        let mut url = address(&text)?;
        let user = match url.username() {
            "" => variable("GOVC_USERNAME"),
            user => Some(decoded(user)),
        };
        let user = user.ok_or(EnvironmentError::Missing {
            variable: "GOVC_USERNAME",
            what: "the user",
        })?;
        let password = url
            .password()
            .map(decoded)
            .or_else(|| variable("GOVC_PASSWORD"));
        let password = password.ok_or(EnvironmentError::Missing {
            variable: "GOVC_PASSWORD",
            what: "the password",
        })?;
        // `set_username` and `set_password` cannot fail for an address with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);

        let trust = if variable("GOVC_INSECURE").is_some_and(|flag| is_true(&flag)) {
            Trust::Insecure
        } else {
            match variable("GOVC_TLS_KNOWN_HOSTS") {
                Some(files) => known_host(&files, &url)?,
                None => Trust::Roots,
            }
        };
        let place = Place {
            datacenter: variable("GOVC_DATACENTER"),
            datastore: variable("GOVC_DATASTORE"),
            compute: variable("GOVC_RESOURCE_POOL"),
            network: variable("GOVC_NETWORK"),
        };
        Ok(Some(Self {
            url,
            user,
            password: password.into(),
            trust,
            place,
        }))
    }
}

/// Parses the address; the default path is `/sdk`.
fn address(text: &str) -> Result<Url, EnvironmentError> {
    let refused = |reason: String| EnvironmentError::Address {
        address: without_user(text).to_owned(),
        reason,
    };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        None => {
            return Err(refused(format!(
                "has no scheme: write https://{}",
                without_user(text)
            )));
        }
        Some("https") => {}
        Some(other) => {
            return Err(refused(format!(
                "has the scheme `{other}`: only https is supported"
            )));
        }
    }
    let mut url =
        Url::parse(text).map_err(|error| refused(format!("is not an address: {error}")))?;
    if url.path() == "/" {
        url.set_path("/sdk");
    }
    Ok(url)
}

/// Returns the address without the part before `@`, which may contain a password.
fn without_user(address: &str) -> &str {
    let place = address.rsplit_once('@').map_or(address, |(_, place)| place);
    place.split_once("://").map_or(place, |(_, place)| place)
}

/// Decodes the percent escapes in a part of an address.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns whether govc considers this text true.
fn is_true(flag: &str) -> bool {
    flag == "1" || flag.eq_ignore_ascii_case("true")
}

/// Returns the thumbprint that a list of files (separated as in `PATH`) pins for the server of
/// `url`. A server that is in none of the files is verified by certificate authorities.
fn known_host(files: &str, url: &Url) -> Result<Trust, EnvironmentError> {
    let server = format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port().unwrap_or(443)
    );
    for file in std::env::split_paths(files) {
        let text =
            std::fs::read_to_string(&file).map_err(|source| EnvironmentError::KnownHosts {
                file: file.clone(),
                source,
            })?;
        if let Some(thumbprint) = pinned(&text, &server) {
            return Ok(Trust::Thumbprint(thumbprint.to_owned()));
        }
    }
    Ok(Trust::Roots)
}

/// Returns the thumbprint on the line for `server`.
fn pinned<'t>(known_hosts: &'t str, server: &str) -> Option<&'t str> {
    known_hosts.lines().find_map(|line| {
        let (host, thumbprint) = line.trim().split_once(' ')?;
        let known = if host.contains(':') {
            host == server
        } else {
            server.strip_suffix(":443") == Some(host)
        };
        known.then_some(thumbprint.trim())
    })
}

/// The error that a variable of the environment is invalid or missing.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// `VSPHERE_URL` is invalid.
    Address {
        /// The address without user and password.
        address: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// A required variable is not set.
    Missing {
        /// The name of the variable.
        variable: &'static str,
        /// The purpose of the variable.
        what: &'static str,
    },
    /// A known-hosts file cannot be read.
    KnownHosts {
        /// The path of the file.
        file: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, reason } => write!(f, "VSPHERE_URL `{address}` {reason}"),
            Self::Missing { variable, what } => {
                write!(f, "VSPHERE_URL is set and {what} is not: set {variable}")
            }
            Self::KnownHosts { file, .. } => {
                write!(
                    f,
                    "cannot read `{}`, which GOVC_TLS_KNOWN_HOSTS names",
                    Path::new(file).display()
                )
            }
        }
    }
}

impl std::error::Error for EnvironmentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::KnownHosts { source, .. } => Some(source),
            Self::Address { .. } | Self::Missing { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use secrecy::ExposeSecret;

    use super::*;

    fn endpoint(variables: &[(&str, &str)]) -> Result<Option<Endpoint>, EnvironmentError> {
        Endpoint::from_variables(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        endpoint(variables).unwrap_err().to_string()
    }

    #[test]
    fn no_address_means_no_endpoint() {
        assert!(endpoint(&[("GOVC_USERNAME", "root")]).unwrap().is_none());
    }

    #[test]
    fn the_user_of_the_address_wins_and_leaves_it() {
        let variables = [
            ("VSPHERE_URL", "https://ada%40lab:p%25w@esx:8443"),
            ("GOVC_USERNAME", "root"),
        ];
        let found = endpoint(&variables).unwrap().unwrap();
        assert_eq!(found.url.as_str(), "https://esx:8443/sdk");
        assert_eq!(found.user, "ada@lab");
        assert_eq!(found.password.expose_secret(), "p%w");
        assert_eq!(found.trust, Trust::Roots);
    }

    #[test]
    fn an_address_without_a_scheme_is_refused_without_its_password() {
        let said = refusal(&[("VSPHERE_URL", "root:hunter2@esx.lab/sdk")]);
        assert_eq!(
            said,
            "VSPHERE_URL `esx.lab/sdk` has no scheme: write https://esx.lab/sdk"
        );
        let said = refusal(&[("VSPHERE_URL", "http://root:hunter2@esx.lab/sdk")]);
        assert!(
            said.contains("scheme `http`") && !said.contains("hunter2"),
            "{said}"
        );
        let said = refusal(&[("VSPHERE_URL", "https://root:hunter2@esx lab/sdk")]);
        assert!(
            said.contains("is not an address") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn a_missing_user_or_password_is_named() {
        assert!(refusal(&[("VSPHERE_URL", "https://esx")]).ends_with("set GOVC_USERNAME"));
        let said = refusal(&[("VSPHERE_URL", "https://esx"), ("GOVC_USERNAME", "root")]);
        assert!(said.ends_with("set GOVC_PASSWORD"), "{said}");
    }

    #[test]
    fn insecure_is_what_govc_takes_for_it() {
        let url = ("VSPHERE_URL", "https://root:x@esx");
        for (flag, trust) in [
            ("1", Trust::Insecure),
            ("True", Trust::Insecure),
            ("no", Trust::Roots),
        ] {
            assert_eq!(
                endpoint(&[url, ("GOVC_INSECURE", flag)])
                    .unwrap()
                    .unwrap()
                    .trust,
                trust
            );
        }
    }

    #[test]
    fn known_hosts_pin_by_server_and_port() {
        let file = "esx:8443 AA:BB\nesx CC:DD\n";
        assert_eq!(pinned(file, "esx:8443"), Some("AA:BB"));
        assert_eq!(pinned(file, "esx:443"), Some("CC:DD"));
        assert_eq!(pinned(file, "esx:1"), None);
    }

    #[test]
    fn the_password_is_not_in_debug() {
        let found = endpoint(&[("VSPHERE_URL", "https://root:hunter2@esx")])
            .unwrap()
            .unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
