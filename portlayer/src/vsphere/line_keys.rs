//! The cryptographic keys that authenticate the two ends of a container's serial line.
//!
//! A host has one client key, which is generated during its installation and stored in a hidden key
//! of its appliance. Each container has its own host key, which is generated when the container is
//! created. The guest can read the private half of the host key and the public half of the client
//! key; the fingerprint of the host key is hidden from the guest.

#[cfg(feature = "attach")]
pub(super) use made::{client_key, fingerprint, keys};
#[cfg(not(feature = "attach"))]
pub(super) use none::{client_key, keys};

/// Stubs for builds without the feature `attach`.
#[cfg(not(feature = "attach"))]
mod none {
    use guestinfo::Dialect;
    use guestinfo::vic::Redacted;

    use crate::vsphere::record::Keys;
    use crate::{Resource, Result};

    pub(in crate::vsphere) fn client_key(_host: &Resource) -> Result<Option<Redacted<Vec<u8>>>> {
        Ok(None)
    }

    pub(in crate::vsphere) fn keys(
        _client_key: Option<&Redacted<Vec<u8>>>,
        _dialect: Dialect,
        _container: &Resource,
    ) -> Result<Keys> {
        Ok(Keys::new())
    }
}

#[cfg(feature = "attach")]
mod made {
    use guest_io::ssh::{Fingerprint, KeyError, PrivateKey};
    use guestinfo::vic::Redacted;
    use guestinfo::{Dialect, GuestInfo, decode, encode};

    use crate::vsphere::record::Keys;
    use crate::{Error, Resource, Result};

    /// The keys of a container's line. The first two are also fields of VIC's schema.
    #[derive(Clone, Debug, Default, GuestInfo)]
    struct LineKeys {
        #[guestinfo(key = "key", scope = "read-only")]
        key: Option<Redacted<Vec<u8>>>,
        #[guestinfo(key = "clientkey", scope = "read-only")]
        client_key: Option<String>,
        #[guestinfo(key = "portlayer", scope = "hidden")]
        host: HostOnly,
    }

    #[derive(Clone, Debug, Default, GuestInfo)]
    struct HostOnly {
        /// The fingerprint of the container's host key.
        #[guestinfo(key = "hostkey", scope = "hidden")]
        fingerprint: Option<String>,
    }

    /// Generates a client key for a host.
    pub(in crate::vsphere) fn client_key(host: &Resource) -> Result<Option<Redacted<Vec<u8>>>> {
        let key = PrivateKey::generate().and_then(|key| key.to_openssh());
        key.map(|text| Some(Redacted(text.into_bytes())))
            .map_err(|error| Error::internal(host.clone(), error))
    }

    /// Generates the keys of a new container's line. Without a client key of the host, there are
    /// none.
    pub(in crate::vsphere) fn keys(
        client_key: Option<&Redacted<Vec<u8>>>,
        dialect: Dialect,
        container: &Resource,
    ) -> Result<Keys> {
        let Some(client_key) = client_key else {
            return Ok(Keys::new());
        };
        let make = || {
            let client = PrivateKey::from_openssh(&client_key.0)?;
            let host = PrivateKey::generate()?;
            Ok(LineKeys {
                key: Some(Redacted(host.to_openssh()?.into_bytes())),
                client_key: Some(client.public().to_string()),
                host: HostOnly {
                    fingerprint: Some(host.fingerprint().to_string()),
                },
            })
        };
        let keys = make().map_err(|error: KeyError| Error::internal(container.clone(), error))?;
        encode(&keys, dialect).map_err(|error| Error::internal(container.clone(), error))
    }

    /// Returns the recorded fingerprint of the host key that a container's guest must present, if
    /// any.
    pub(in crate::vsphere) fn fingerprint(keys: &Keys) -> Option<Fingerprint> {
        decode::<LineKeys>(keys)
            .value
            .host
            .fingerprint?
            .parse()
            .ok()
    }
}
