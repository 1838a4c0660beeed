//! `DatastoreNamespaceManager`: the top-level directories of vSAN datastores.

use vim25::types::{DirectoryNotEmpty, InvalidDatastore};
use vim25::{Fault, Ref, mo};

use super::file_argument;
use crate::datastore::{Namespaces, Volume};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "CreateDirectory" => create(inv),
        "DeleteDirectory" => delete(inv),
        "ConvertNamespacePathToUuidPath" => convert(inv),
        _ => return None,
    })
}

fn create(inv: &mut Invocation<'_, '_>) -> Answer {
    let datastore: Ref<mo::Datastore> = inv.object_arg("datastore")?;
    let name: Option<String> = inv.arg("displayName")?;
    let store = &inv.tx.shared().store;
    let volume = store.referenced(datastore.value());
    let volume = volume.ok_or_else(fault::invalid_state)?;
    let name = name.filter(|name| !name.is_empty());
    let path = format!("[{}] {}", volume.name, name.as_deref().unwrap_or_default());
    let Some(namespaces) = &volume.namespaces else {
        return Err(fault::cannot_create_file(&path));
    };
    let is_bad = |name: &String| {
        let parsed = store.path(volume, name);
        Namespaces::is_uuid(name) || !parsed.is_ok_and(|path| path.parts().len() == 1)
    };
    if name.as_ref().is_some_and(is_bad) {
        return Err(fault::invalid_datastore_path(&path));
    }
    let made = namespaces.create(name.as_deref());
    let uuid = made.map_err(|error| fault::file_fault(&path, &error))?;
    value(&format!("{}/{uuid}", volume.url()))
}

/// Returns the vSAN datastore of a path in the file system of a host, and the path in it.
fn located<'i>(inv: &'i Invocation<'_, '_>, url: &str) -> Result<(&'i Volume, String), Fault> {
    let path = url.strip_prefix("ds://").unwrap_or(url);
    let store = &inv.tx.shared().store;
    let site = file_argument::site(inv, "datacenter")?;
    let found = store.mounted(site, path);
    let (volume, rest) = found.ok_or_else(|| fault::invalid_datastore_path(url))?;
    if volume.namespaces.is_none() {
        let mut detail = InvalidDatastore::default();
        detail.datastore = Some(volume.reference());
        detail.name = Some(volume.name.clone());
        return Err(Fault::new("Invalid datastore.", detail));
    }
    Ok((volume, rest.to_owned()))
}

fn delete(inv: &mut Invocation<'_, '_>) -> Answer {
    let url: String = inv.arg("datastorePath")?;
    let (volume, rest) = located(inv, &url)?;
    let store = &inv.tx.shared().store;
    let path = store.path(volume, &rest)?;
    if path.parts().len() != 1 {
        return Err(fault::invalid_datastore_path(&url));
    }
    std::fs::remove_dir(store.file(&path)?).map_err(|error| match error.kind() {
        std::io::ErrorKind::DirectoryNotEmpty => {
            let mut detail = DirectoryNotEmpty::default();
            detail.file = path.to_string();
            Fault::new(format!("The directory {path} is not empty."), detail)
        }
        _ => fault::file_fault(&path.to_string(), &error),
    })?;
    nothing()
}

fn convert(inv: &mut Invocation<'_, '_>) -> Answer {
    let url: String = inv.arg("namespaceUrl")?;
    let (volume, rest) = located(inv, &url)?;
    let store = &inv.tx.shared().store;
    let path = store.path(volume, &rest)?;
    if !path.top().is_some_and(|top| store.exists(&top)) {
        return Err(fault::invalid_datastore_path(&url));
    }
    let scheme = if url.starts_with("ds://") {
        "ds://"
    } else {
        ""
    };
    value(&format!("{scheme}{}", store.absolute(&path)))
}
