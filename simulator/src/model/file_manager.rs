//! Files of the datastores: creating directories, moving, copying, deleting.

use std::sync::Arc;

use vim25::Fault;

use super::file_argument;
use crate::datastore::path::DatastorePath;
use crate::datastore::{Copied, Store, disk};
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, nothing};
use crate::shared::Shared;
use crate::task;
use crate::world::Transaction;

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
    let path = file_argument::path(inv, "name", "datacenter")?;
    let store = &inv.tx.shared().store;
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
    let path = file_argument::path(inv, "name", "datacenter")?;
    let this = inv.this.clone();
    task::begin_long(inv, &this, "FileManager.deleteFile", |shared| async move {
        let disks = disks_below(&shared.store, &path);
        let doomed = disks.clone();
        let aside = Transaction::run(&shared, move |tx| {
            for disk in &doomed {
                guest::check_unlocked(tx, disk)?;
            }
            tx.shared().store.put_aside(&path)
        })
        .await?;
        // The content of a folder is deleted outside of the transaction.
        let removing = tokio::task::spawn_blocking(move || aside.remove());
        removing
            .await
            .unwrap_or_else(|_| Err(fault::internal("a folder was not removed")))?;
        for disk in &disks {
            guest::forget_file(&shared, disk).await;
        }
        nothing()
    })
}

/// Returns the disks at or below a path.
fn disks_below(store: &Store, path: &DatastorePath) -> Vec<DatastorePath> {
    let mut disks = Vec::new();
    let mut pending = vec![path.clone()];
    while let Some(path) = pending.pop() {
        if let Ok(entries) = store.written(&path).and_then(std::fs::read_dir) {
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            pending.extend(names.map(|name| path.join(&name)));
        } else if disk::descriptor_of(&path).is_some_and(|descriptor| descriptor == path) {
            disks.push(path);
        }
    }
    disks
}

/// Returns the source, the destination, and whether to overwrite.
fn ends(inv: &Invocation<'_, '_>) -> Result<(DatastorePath, DatastorePath, bool), Fault> {
    let force: Option<bool> = inv.arg("force")?;
    let (source, destination) = file_argument::ends(
        inv,
        ("sourceName", "sourceDatacenter"),
        ("destinationName", "destinationDatacenter"),
    )?;
    Ok((source, destination, force.unwrap_or(false)))
}

fn move_file(inv: &mut Invocation<'_, '_>) -> Answer {
    let (source, destination, force) = ends(inv)?;
    let this = inv.this.clone();
    task::begin_long(inv, &this, "FileManager.move", move |shared| async move {
        let disks = disks_below(&shared.store, &source);
        for disk in &disks {
            guest::flush_file(&shared, disk).await?;
        }
        let is_near = source.is_near(&destination);
        let copied = match is_near {
            true => None,
            false => Some(copied(&shared, &source, &destination, force).await?),
        };
        let moved = disks.clone();
        let aside = Transaction::run(&shared, move |tx| {
            let store = &tx.shared().store;
            check(tx, &source, &destination, force)?;
            for disk in &moved {
                guest::check_unlocked(tx, disk)?;
            }
            let failed = |error| fault::file_fault(&source.to_string(), &error);
            match copied {
                None => std::fs::rename(store.file(&source)?, store.file(&destination)?)
                    .map(|()| None)
                    .map_err(failed),
                Some(copied) => {
                    copied.finish().map_err(failed)?;
                    store.put_aside(&source).map(Some)
                }
            }
        })
        .await?;
        if let Some(aside) = aside {
            let removing = tokio::task::spawn_blocking(move || aside.remove());
            removing
                .await
                .unwrap_or_else(|_| Err(fault::internal("a moved file was not removed")))?;
        }
        for disk in &disks {
            guest::forget_file(&shared, disk).await;
        }
        nothing()
    })
}

fn copy(inv: &mut Invocation<'_, '_>) -> Answer {
    let (source, destination, force) = ends(inv)?;
    let this = inv.this.clone();
    task::begin_long(inv, &this, "FileManager.copy", move |shared| async move {
        for disk in disks_below(&shared.store, &source) {
            guest::flush_file(&shared, &disk).await?;
        }
        guest::flush_file(&shared, &source).await?;
        let copied = copied(&shared, &source, &destination, force).await?;
        Transaction::run(&shared, move |tx| {
            check(tx, &source, &destination, force)?;
            let finished = copied.finish();
            finished.map_err(|error| fault::file_fault(&destination.to_string(), &error))
        })
        .await?;
        nothing()
    })
}

/// Copies a file or folder under a hidden name.
async fn copied(
    shared: &Arc<Shared>,
    source: &DatastorePath,
    destination: &DatastorePath,
    force: bool,
) -> Result<Copied, Fault> {
    let (from, to) = (source.clone(), destination.clone());
    Transaction::run(shared, move |tx| check(tx, &from, &to, force)).await?;
    let (own, from, to) = (Arc::clone(shared), source.clone(), destination.clone());
    let copying = tokio::task::spawn_blocking(move || own.store.copy(&from, &to));
    copying
        .await
        .unwrap_or_else(|_| Err(fault::internal("copying a file failed")))
}

fn check(
    tx: &Transaction<'_>,
    source: &DatastorePath,
    destination: &DatastorePath,
    force: bool,
) -> Result<(), Fault> {
    let store = &tx.shared().store;
    if source.is_root() || destination.is_root() {
        return Err(fault::invalid_datastore_path(&source.to_string()));
    }
    if !store.exists(source) {
        return Err(fault::file_not_found(&source.to_string()));
    }
    if destination.is_below(source) {
        return Err(fault::invalid_datastore_path(&destination.to_string()));
    }
    store.may_create(destination)?;
    if store.exists(destination) && !force {
        return Err(fault::file_exists(&destination.to_string()));
    }
    Ok(())
}
