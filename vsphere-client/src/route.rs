//! Where a call goes: each service of a server has a path of its own.

use secrecy::{ExposeSecret, SecretString};
use url::Url;
use vim25::Service;
use vim25::soap::Header;

use crate::client::Inner;
use crate::error::{Error, Operation, Result};
use crate::session;

/// The way to one service.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) url: Url,
    /// The value of `SOAPAction`.
    pub(crate) action: String,
    /// It is the service that the session was opened at, which knows it by cookie.
    pub(crate) main: bool,
}

impl Inner {
    /// The way to the service that every server has.
    pub(crate) fn main_route(&self) -> Route {
        let version = self.version.get().map_or("", String::as_str);
        Route {
            url: self.url.clone(),
            action: format!("\"urn:vim25/{version}\""),
            main: true,
        }
    }

    /// The way that a call goes.
    ///
    /// The version is negotiated for the main service only. Others are asked
    /// without one, as govmomi asks them.
    ///
    /// # Errors
    /// When an ESXi host is asked for a service that only vCenter has.
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
        // What stands before the main service's path, a proxy's prefix, stays.
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
    /// The header of a request. Services besides the main one get the session
    /// in it: not all of them look at the cookie.
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
