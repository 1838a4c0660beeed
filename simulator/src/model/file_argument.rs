//! Arguments that name a file: a datastore path with a datacenter, or a URL.

use url::Url;
use vim25::{AnyRef, Fault, Ref, mo};

use super::entity;
use crate::datastore::path::DatastorePath;
use crate::datastore::site::Site;
use crate::fault;
use crate::invocation::Invocation;

/// Returns the file that an argument names, in the datacenter that another argument names.
///
/// # Errors
/// A vCenter refuses a datastore path without a datacenter with `InvalidArgument`: names of
/// datastores are unique only in a datacenter. An ESXi host ignores the datacenter.
pub(super) fn path(
    inv: &Invocation<'_, '_>,
    name: &'static str,
    datacenter: &'static str,
) -> Result<DatastorePath, Fault> {
    path_or(inv, name, datacenter, None)
}

/// Returns the source and the destination of a method. If the argument with the datacenter of the
/// destination is not set, it is that of the source.
pub(super) fn ends(
    inv: &Invocation<'_, '_>,
    source: (&'static str, &'static str),
    destination: (&'static str, &'static str),
) -> Result<(DatastorePath, DatastorePath), Fault> {
    let from = path(inv, source.0, source.1)?;
    let to = path_or(inv, destination.0, destination.1, Some(from.site()))?;
    Ok((from, to))
}

fn path_or(
    inv: &Invocation<'_, '_>,
    name: &'static str,
    datacenter: &'static str,
    default: Option<Site>,
) -> Result<DatastorePath, Fault> {
    let text: String = inv.arg(name)?;
    if text.starts_with("https://") || text.starts_with("http://") {
        return by_url(inv, &text).ok_or_else(|| fault::invalid_datastore_path(&text));
    }
    let site = site(inv, datacenter)?.or(default);
    let site = site.ok_or_else(|| fault::invalid_argument(datacenter))?;
    inv.tx.shared().store.parse(site, &text)
}

/// Returns the datacenter that an argument names; `None` if it is not set on a vCenter.
///
/// # Errors
/// Fails with `InvalidDatastore` if the datacenter has no datastores.
pub(super) fn site(
    inv: &Invocation<'_, '_>,
    datacenter: &'static str,
) -> Result<Option<Site>, Fault> {
    if !inv.tx.layout().is_vcenter {
        return Ok(Some(Site::FIRST));
    }
    let given: Option<AnyRef> = inv.arg(datacenter)?;
    if given.is_none() {
        return Ok(None);
    }
    let given: Ref<mo::Datacenter> = inv.object_arg(datacenter)?;
    entity::site(inv.tx, &given).map(Some)
}

/// Returns the file at `https://SERVER/folder/PATH?dcPath=DATACENTER&dsName=DATASTORE`. The name of
/// the server is ignored.
fn by_url(inv: &Invocation<'_, '_>, text: &str) -> Option<DatastorePath> {
    let url = Url::parse(text).ok()?;
    let query = |name: &str| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(own, _)| own == name);
        found.map(|(_, value)| value.into_owned())
    };
    let datacenter = query("dcPath");
    let site = entity::site_at(inv.tx, datacenter.as_deref())?;
    let store = &inv.tx.shared().store;
    let volume = store.named(site, &query("dsName")?)?;
    let relative = url.path().strip_prefix("/folder/")?;
    let relative = percent_encoding::percent_decode_str(relative);
    store.path(volume, &relative.decode_utf8().ok()?).ok()
}
