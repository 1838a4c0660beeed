//! Files of the datastore: creating directories, moving, copying, deleting.

use std::fs::File;
use std::io;
use std::path::Path;

use vim25::Fault;

use crate::datastore::path::DatastorePath;
use crate::datastore::{Store, disk};
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, nothing};
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
    let store = &inv.tx.shared().store;
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
    let path = inv.tx.shared().store.parse(&name)?;
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
        if let Ok(entries) = std::fs::read_dir(store.file(&path)) {
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
    let source: String = inv.arg("sourceName")?;
    let destination: String = inv.arg("destinationName")?;
    let force: Option<bool> = inv.arg("force")?;
    let store = &inv.tx.shared().store;
    Ok((
        store.parse(&source)?,
        store.parse(&destination)?,
        force.unwrap_or(false),
    ))
}

fn move_file(inv: &mut Invocation<'_, '_>) -> Answer {
    let (source, destination, force) = ends(inv)?;
    let this = inv.this.clone();
    task::begin_long(inv, &this, "FileManager.move", move |shared| async move {
        let disks = disks_below(&shared.store, &source);
        for disk in &disks {
            guest::flush_file(&shared, disk).await?;
        }
        let moved = disks.clone();
        Transaction::run(&shared, move |tx| {
            let store = &tx.shared().store;
            check(tx, &source, &destination, force)?;
            for disk in &moved {
                guest::check_unlocked(tx, disk)?;
            }
            std::fs::rename(store.file(&source), store.file(&destination))
                .map_err(|error| fault::file_fault(&source.to_string(), &error))
        })
        .await?;
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
        guest::flush_file(&shared, &source).await?;
        let (from, to) = (source.clone(), destination.clone());
        Transaction::run(&shared, move |tx| check(tx, &from, &to, force)).await?;
        let copying = tokio::task::spawn_blocking(move || {
            let (from, to) = (shared.store.file(&source), shared.store.file(&destination));
            copy_file(&from, &to).map_err(|error| fault::file_fault(&source.to_string(), &error))
        });
        copying
            .await
            .unwrap_or_else(|_| Err(fault::internal("copying a file failed")))?;
        nothing()
    })
}

/// Copies a file under a hidden name, and renames it at the end.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let unique = uuid::Uuid::new_v4().simple();
    let part = to.with_file_name(format!("{name}.{unique}.part"));
    let copied = File::open(from).and_then(|mut from| {
        if from.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        io::copy(&mut from, &mut File::create_new(&part)?)?;
        std::fs::rename(&part, to)
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    copied
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
    if store.exists(destination) && !force {
        return Err(fault::file_exists(&destination.to_string()));
    }
    Ok(())
}
