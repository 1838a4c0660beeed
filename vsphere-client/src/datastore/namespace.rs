//! Creates top-level directories, for which object stores need another manager than other
//! datastores.

use vim25::{Property, Ref, mo, path};

use super::DatastorePath;
use super::files::Files;
use crate::error::{Error, Result};

/// Not set before vSphere 5.5, where every datastore has plain directories.
const HAS_TOP_DIRECTORIES: Property<mo::Datastore, bool> =
    path!(Datastore, capability.topLevelDirectoryCreateSupported);

impl Files<'_> {
    /// Creates a directory at the top of the datastore, and returns its path. Datastores such
    /// as vSAN or Virtual Volumes have no plain top-level directories: the server creates a
    /// namespace object, whose name in the path is a UUID. Use the returned path, not `name`.
    ///
    /// # Errors
    /// `FileAlreadyExists` when there is a directory with this name; otherwise see [`Error`].
    pub async fn make_top_directory(&self, name: &str) -> Result<DatastorePath> {
        let datastore = self.datastore.reference();
        if self.client.try_get(datastore, HAS_TOP_DIRECTORIES).await? != Some(false) {
            let path = self.datastore.path(name);
            let datacenter = Some(self.datastore.datacenter().reference());
            let manager = self.manager()?;
            let call = manager.make_directory(&path.to_string(), datacenter, Some(false));
            self.client.call(call).await?;
            return Ok(path);
        }
        let call = self
            .namespaces()?
            .create_directory(datastore)
            .display_name(name);
        let stable = self.client.call(call).await?;
        match chosen_name(&stable) {
            Some(chosen) => Ok(self.datastore.path(chosen)),
            None => Err(Error::senseless(
                self.client.operation("CreateDirectory", None),
                format!("the server returned {stable:?} for the new directory {name:?}"),
            )),
        }
    }

    fn namespaces(&self) -> Result<&Ref<mo::DatastoreNamespaceManager>> {
        let content = self.client.service_content();
        let manager = content.datastore_namespace_manager.as_ref();
        manager.ok_or_else(|| Error::unsupported("namespaces of datastores", self.client.server()))
    }
}

/// Returns the directory's name in `/vmfs/volumes/vsan:52…/d7a8…`: its last component.
fn chosen_name(stable: &str) -> Option<&str> {
    let last = stable.trim_end_matches('/').rsplit('/').next()?;
    // Callers write to and delete the directory, so it must not be another one.
    (!matches!(last, "" | "." | "..")).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_name_never_leads_to_another_directory() {
        assert_eq!(chosen_name("/vmfs/volumes/vsan:52-1/7e83/"), Some("7e83"));
        for path in ["", "/", "/vmfs/volumes/vsan:52-1/..", "/vmfs/./"] {
            assert_eq!(chosen_name(path), None, "{path}");
        }
    }
}
