//! Finds the files of images whose machines were removed by other means.
//!
//! The endpoint keeps a protected disk when somebody destroys the machine of its image, because
//! containers may still use the disk.

use std::collections::HashSet;
use std::time::Duration;

use super::{Shared, machine};
use crate::vsphere::disks::parents;
use crate::vsphere::kind;
use crate::{Resource, Result};

impl Shared {
    /// Lists the directories, as `[datastore] path`, that are named like those of images, contain
    /// no machine, have not changed for this long, and contain no parent of a machine's disk.
    pub(super) async fn left_behind(&self, after: Duration) -> Result<Vec<String>> {
        let (host, datastore) = (self.host(), &self.objects.datastore);
        let mut names = self.endpoint.directories(datastore, &host).await?;
        names.retain(|name| machine::is_directory(&self.objects.name, name));
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // Another program may have just created a container or an image.
        self.index.catch_up().await?;
        let machines = self.index.all().await?;
        let known: HashSet<_> = machines.iter().map(|seen| seen.directory()).collect();
        let place = |name: &str| format!("[{}] {name}", self.objects.defaults.datastore_name);
        names.retain(|name| !known.contains(&place(name)));
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let vms: Vec<_> = machines.iter().map(|seen| seen.vm.clone()).collect();
        let in_use: HashSet<_> = self
            .endpoint
            .devices_of(&vms, &host)
            .await?
            .values()
            .flatten()
            .flat_map(parents)
            .filter_map(|file| Some(file.rsplit_once('/')?.0.to_owned()))
            .collect();
        let mut found = Vec::new();
        for name in names {
            let directory = place(&name);
            if !in_use.contains(&directory)
                && self
                    .endpoint
                    .is_abandoned(datastore, &name, after, &host)
                    .await?
            {
                found.push(directory);
            }
        }
        Ok(found)
    }

    /// Deletes a directory with its content.
    pub(super) async fn delete_directory(&self, directory: &str) -> Result<()> {
        let resource = Resource::new(kind::FILE, directory);
        self.endpoint
            .delete_file(&self.objects.datastore, directory, &resource)
            .await
    }
}
