//! The property collector: reading many properties, and waiting for changes.

pub(crate) mod assign;
pub(crate) mod collector;
mod graph;
pub(crate) mod page;
pub(crate) mod path;
mod read;
mod retrieve;
mod select;
mod selection;
mod spec;
mod update;
mod wait;

pub(crate) use read::find;
pub(crate) use wait::wait;

use vim25::Fault;

use crate::fault;
use crate::invocation::{Answer, Invocation};

/// Handles the methods of property collectors and filters that do not wait.
pub(crate) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "RetrieveProperties" => retrieve::all(inv),
        "RetrievePropertiesEx" => retrieve::first_page(inv),
        "ContinueRetrievePropertiesEx" => retrieve::next_page(inv),
        "CancelRetrievePropertiesEx" => retrieve::cancel(inv),
        "CreateFilter" => collector::create_filter(inv),
        "DestroyPropertyFilter" => collector::destroy_filter(inv),
        "CreatePropertyCollector" => collector::create(inv),
        "DestroyPropertyCollector" => collector::destroy(inv),
        "CancelWaitForUpdates" => collector::cancel_wait(inv),
        "CheckForUpdates" => wait::check(inv),
        _ => return None,
    })
}

/// Handles `Fetch`, which reads one property of any object. It is undocumented, but old
/// clients use it for every read.
pub(crate) fn fetch(inv: &mut Invocation<'_, '_>) -> Answer {
    let path: String = inv.arg("prop")?;
    let session = inv.caller.session.as_ref();
    let object = inv.tx.visible(&inv.this, session)?.clone();
    match find(inv.tx, session, &object, &path) {
        crate::object::Found::Value(value) => Ok(value),
        crate::object::Found::Unset => crate::invocation::nothing(),
        crate::object::Found::Invalid => Err(fault::invalid_property(&path)),
    }
}

/// Converts a limit in a request; `None` means no limit.
fn bound(name: &str, number: Option<i32>) -> Result<Option<usize>, Fault> {
    match number {
        None => Ok(None),
        Some(number) => match usize::try_from(number) {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(fault::invalid_argument(name)),
        },
    }
}
