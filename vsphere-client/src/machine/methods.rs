//! Protects machines from other programs.

use vim25::internal::types::DisabledMethodRequest;
use vim25::{Ref, mo};

use super::Machine;
use crate::error::{Error, Result};

impl Machine<'_> {
    /// Disables methods of the machine, by their wire names such as `Destroy_Task`: until the
    /// same `source` enables them again, every call of them fails with `MethodDisabled`, and
    /// user interfaces show them as unavailable. For programs that own machines which an
    /// operator must not delete or move directly.
    ///
    /// A vCenter remembers this with the machine, also when this program ends. Uses an
    /// undocumented method that only a vCenter has; a host has no place for it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the server has no authorization manager; `NotSupported`
    /// on a host and on vcsim; `NoPermission` without the privilege `Global.DisableMethods`;
    /// otherwise see [`Error`].
    pub async fn disable_methods(&self, methods: &[&str], source: &str) -> Result<()> {
        let methods: Vec<_> = methods
            .iter()
            .map(|method| DisabledMethodRequest {
                method: (*method).to_owned(),
                reason_id: source.to_owned(),
            })
            .collect();
        let entity = [self.vm.upcast()];
        let call = self
            .authorization()?
            .disable_methods(&entity, &methods, source, None);
        self.client.call(call).await
    }

    /// Enables methods that this `source` disabled. Methods that are not disabled are left as
    /// they are.
    ///
    /// # Errors
    /// As for [`disable_methods`](Self::disable_methods), with the privilege
    /// `Global.EnableMethods`.
    pub async fn enable_methods(&self, methods: &[&str], source: &str) -> Result<()> {
        let methods: Vec<_> = methods.iter().map(|method| (*method).to_owned()).collect();
        let entity = [self.vm.upcast()];
        let call = self
            .authorization()?
            .enable_methods(&entity, &methods, source);
        self.client.call(call).await
    }

    fn authorization(&self) -> Result<&Ref<mo::AuthorizationManager>> {
        let content = self.client.service_content();
        let manager = content.authorization_manager.as_ref();
        manager.ok_or_else(|| Error::unsupported("disabling methods", self.client.server()))
    }
}
