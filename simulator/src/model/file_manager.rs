//! Files of the datastore: making directories, moving, copying, deleting.

use vim25::Fault;

use crate::datastore::path::DatastorePath;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::task;

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "MakeDirectory" => make_directory(inv),
        "DeleteDatastoreFile_Task" => delete(inv),
        "MoveDatastoreFile_Task" => move_file(inv),
        "CopyDatastoreFile_Task" => copy(inv),
        _ => return None,
    })
}

fn make_directory(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let parents: Option<bool> = inv.arg("createParentDirectories")?;
    let store = &inv.tx.core().store;
    let path = store.parse(&name)?;
    if path.is_root() {
        return Err(fault::file_exists(&name));
    }
    if store.exists(&path) {
        return Err(fault::file_exists(&path.to_string()));
    }
    store.make_directory(&path, parents.unwrap_or(false))?;
    nothing()
}

fn delete(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("name")?;
    let path = inv.tx.core().store.parse(&name)?;
    let this = inv.this.clone();
    task::begin(inv, &this, "FileManager.deleteFile", move |tx| {
        tx.core().store.delete(&path)?;
        nothing()
    })
}

/// Source, destination, and whether to overwrite.
fn ends(inv: &Invocation<'_, '_>) -> Result<(DatastorePath, DatastorePath, bool), Fault> {
    let source: String = inv.arg("sourceName")?;
    let destination: String = inv.arg("destinationName")?;
    let force: Option<bool> = inv.arg("force")?;
    let store = &inv.tx.core().store;
    Ok((
        store.parse(&source)?,
        store.parse(&destination)?,
        force.unwrap_or(false),
    ))
}

fn move_file(inv: &mut Invocation<'_, '_>) -> Answer {
    let (source, destination, force) = ends(inv)?;
    let this = inv.this.clone();
    task::begin(inv, &this, "FileManager.move", move |tx| {
        let store = &tx.core().store;
        check(tx, &source, &destination, force)?;
        std::fs::rename(store.file(&source), store.file(&destination))
            .map_err(|error| fault::file_fault(&source.to_string(), &error))?;
        nothing()
    })
}

fn copy(inv: &mut Invocation<'_, '_>) -> Answer {
    let (source, destination, force) = ends(inv)?;
    let this = inv.this.clone();
    task::begin(inv, &this, "FileManager.copy", move |tx| {
        let store = &tx.core().store;
        check(tx, &source, &destination, force)?;
        std::fs::copy(store.file(&source), store.file(&destination))
            .map_err(|error| fault::file_fault(&source.to_string(), &error))?;
        nothing()
    })
}

fn check(
    tx: &crate::world::Transaction<'_>,
    source: &DatastorePath,
    destination: &DatastorePath,
    force: bool,
) -> Result<(), Fault> {
    let store = &tx.core().store;
    if source.is_root() || destination.is_root() {
        return Err(fault::invalid_datastore_path(&source.to_string()));
    }
    if !store.exists(source) {
        return Err(fault::file_not_found(&source.to_string()));
    }
    if store.exists(destination) && !force {
        return Err(fault::file_exists(&destination.to_string()));
    }
    Ok(())
}
