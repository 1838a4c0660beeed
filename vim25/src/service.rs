//! The services of a server: the path that serves each namespace.

use std::fmt;

/// A service of a vCenter or ESXi server: a namespace and the path that serves
/// it.
///
/// A [`Call`](crate::Call) is sent to the service of its namespace, unless
/// [`at`](crate::Call::at) selects another one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Service {
    namespace: &'static str,
    vcenter: &'static str,
    host: Option<&'static str>,
}

impl Service {
    /// The service that every server has, at `/sdk`.
    pub const VIM25: Self = Self::new("urn:vim25", "/sdk", Some("/sdk"));

    pub(crate) const fn new(
        namespace: &'static str,
        vcenter: &'static str,
        host: Option<&'static str>,
    ) -> Self {
        Self {
            namespace,
            vcenter,
            host,
        }
    }

    /// Returns the service of a WSDL namespace such as `urn:pbm`; the main
    /// one for a namespace that was not compiled in.
    #[must_use]
    pub fn of(namespace: &str) -> Self {
        let known: &[Self] = &[
            Self::VIM25,
            #[cfg(feature = "pbm")]
            crate::pbm::SERVICE,
            #[cfg(feature = "vslm")]
            crate::vslm::SERVICE,
            #[cfg(feature = "sms")]
            crate::sms::SERVICE,
            #[cfg(feature = "eam")]
            crate::eam::SERVICE,
            #[cfg(feature = "vsan")]
            crate::vsan::SERVICE,
        ];
        let found = known.iter().find(|service| service.namespace == namespace);
        found.copied().unwrap_or(Self::VIM25)
    }

    /// Returns the WSDL namespace, such as `urn:pbm`.
    #[must_use]
    pub const fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// Returns the path on a vCenter.
    #[must_use]
    pub const fn vcenter_path(&self) -> &'static str {
        self.vcenter
    }

    /// Returns the path on an ESXi host, if hosts have the service.
    #[must_use]
    pub const fn host_path(&self) -> Option<&'static str> {
        self.host
    }

    /// Returns whether it is the main service, which every server has.
    #[must_use]
    pub fn is_main(&self) -> bool {
        *self == Self::VIM25
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.namespace, self.vcenter)
    }
}
