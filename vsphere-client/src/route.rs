//! Routes calls to the services of a server, each of which has its own path.

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use vim25::Service;
use vim25::soap::Header;

use crate::client::Inner;
use crate::error::{Error, Operation, Result};
use crate::session;

/// The route to one service.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) url: Url,
    /// The value of `SOAPAction`.
    pub(crate) action: String,
    /// Whether this is the main service, which opened the session and identifies it by cookie.
    pub(crate) main: bool,
}

impl Inner {
    /// Returns the route to the main service, which every server has.
    pub(crate) fn main_route(&self) -> Route {
        let version = self.version.get().map_or("", String::as_str);
        Route {
            url: self.url.clone(),
            action: format!("\"urn:vim25/{version}\""),
            main: true,
        }
    }

    /// Returns the route of a call.
    ///
    /// The API version is negotiated for the main service only. Calls to other services
    /// contain no version, like in govmomi.
    ///
    /// # Errors
    /// Fails when the service exists only on vCenter and the server is an ESXi host.
    pub(crate) fn route(&self, service: Service, operation: &Operation) -> Result<Route> {
        if service.is_main() {
            return Ok(self.main_route());
        }
        let content = self.content.get();
        let host = content.is_some_and(|content| content.about.api_type == "HostAgent");
        let path = if host {
            service.host_path()
        } else {
            Some(service.vcenter_path())
        };
        let Some(path) = path else {
            let what = format!(
                "{}, a service of vCenter, because it is an ESXi host",
                service.namespace()
            );
            return Err(Error::unsupported(&what, operation.server()));
        };
        let mut url = self.url.clone();
        // Keep a prefix of the main service's path, which a proxy may require.
        let prefix = url.path().trim_end_matches('/');
        let prefix = prefix
            .strip_suffix(Service::VIM25.vcenter_path())
            .unwrap_or("");
        let path = format!("{prefix}{path}");
        url.set_path(&path);
        Ok(Route {
            url,
            action: format!("\"{}/\"", service.namespace()),
            main: false,
        })
    }
}

impl Route {
    /// Returns the SOAP header of a request. For services other than the main one, it contains
    /// the session, because not all of them evaluate the cookie.
    pub(crate) fn header(&self, operation: &str, cookie: Option<&SecretString>) -> Header {
        let mut header = Header::default();
        header.operation_id = Some(operation.to_owned());
        if !self.main {
            header.session_cookie = cookie.map(|cookie| {
                let value = session::value(cookie.expose_secret());
                value.trim_matches('"').to_owned()
            });
        }
        header
    }
}
