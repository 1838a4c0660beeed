//! The datastore, and its browser, which searches for files.

use jiff::Timestamp;
use vim25::types::{
    DatastoreCapability, DatastoreHostMount, DatastoreInfo, DatastoreSummary, FileInfo, FileQuery,
    FolderFileInfo, FolderFileQuery, HostDatastoreBrowserSearchResults,
    HostDatastoreBrowserSearchSpec, HostMountInfo, IsoImageFileInfo, LocalDatastoreInfo,
    VmConfigFileInfo, VmDiskFileInfo, VmLogFileInfo, VmNvramFileInfo,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::entity;
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::layout::HostLayout;
use crate::object::Object;
use crate::saved;
use crate::task;
use crate::world::Transaction;

/// Reported capacity in bytes of a datastore without a limit.
const CAPACITY: i64 = 1 << 40;
/// Maximum number of results of one search.
const MATCHES: usize = 100_000;

/// Creates the datastore, which all hosts share.
pub(super) fn build(tx: &mut Transaction<'_>, uuid: Option<&str>, hosts: &[HostLayout]) {
    let uuid = match uuid {
        Some(uuid) => uuid.to_owned(),
        None => {
            let id = tx.ids().uuid().simple().to_string();
            let (a, b, c, d) = (&id[..8], &id[8..16], &id[16..20], &id[20..]);
            format!("{a}-{b}-{c}-{d}")
        }
    };
    let name = tx.shared().settings.datastore.clone();
    let capacity = tx.shared().settings.datastore_capacity;
    let capacity = capacity.map_or(CAPACITY, signed);
    let free = tx.shared().store.free().map_or(CAPACITY / 2, signed);
    let url = format!("/vmfs/volumes/{uuid}");
    let id = if tx.layout().is_vcenter {
        format!("datastore-{}", tx.ids().number())
    } else {
        uuid
    };
    let reference: Ref<mo::Datastore> = Ref::new(&id);
    let parent = tx.layout().datastore_folder().upcast();
    let mut datastore = entity::new::<mo::Datastore>(&id, &name, Some(parent));
    datastore.put(
        "summary",
        &DatastoreSummary {
            datastore: Some(reference.clone()),
            name: name.clone(),
            url: url.clone(),
            capacity,
            free_space: free,
            accessible: true,
            multiple_host_access: Some(hosts.len() > 1),
            type_: "VMFS".into(),
            maintenance_mode: Some("normal".into()),
            ..Default::default()
        },
    );
    datastore.put::<Poly<DatastoreInfo>>(
        "info",
        &Poly::new(LocalDatastoreInfo {
            base: DatastoreInfo {
                name,
                url: url.clone(),
                free_space: free,
                max_file_size: CAPACITY,
                timestamp: Some(Timestamp::now()),
                ..Default::default()
            },
            path: Some(url.clone()),
        }),
    );
    datastore.put(
        "host",
        &hosts
            .iter()
            .map(|host| DatastoreHostMount {
                key: host.host(),
                mount_info: HostMountInfo {
                    path: Some(url.clone()),
                    access_mode: "readWrite".into(),
                    mounted: Some(true),
                    accessible: Some(true),
                    ..Default::default()
                },
            })
            .collect::<Vec<_>>(),
    );
    datastore.put("vm", &Vec::<AnyRef>::new());
    let browser: Ref<mo::HostDatastoreBrowser> = Ref::new(&format!("{id}-datastorebrowser"));
    datastore.put("browser", &browser);
    datastore.put(
        "capability",
        &DatastoreCapability {
            directory_hierarchy_supported: true,
            per_file_thin_provisioning_supported: true,
            ..Default::default()
        },
    );
    tx.insert(datastore);
    let browsers = hosts.iter().map(HostLayout::browser);
    for browser in browsers.chain([browser]) {
        let mut object = Object::new::<mo::HostDatastoreBrowser>(browser.value());
        object.put("datastore", &vec![reference.clone()]);
        tx.insert(object);
    }
    let add = |list: &mut Vec<AnyRef>| list.push(entity::any(&reference));
    let mut holders: Vec<(AnyRef, &'static str)> = vec![
        (entity::any(&tx.layout().datastore_folder()), "childEntity"),
        (entity::any(&tx.layout().datacenter()), "datastore"),
    ];
    for host in hosts {
        holders.push((entity::any(&host.datastore_system()), "datastore"));
        holders.push((entity::any(&host.host()), "datastore"));
        let compute = tx.object(&host.host()).ok().and_then(|host| host.parent());
        let compute = compute.map(|compute| (compute, "datastore"));
        holders.extend(compute.filter(|compute| !holders.contains(compute)));
    }
    for (holder, property) in holders {
        if let Ok(holder) = tx.edit(&holder) {
            let _ = holder.edit_list(property, add);
        }
    }
}

/// Returns the reference of the datastore; there is only one.
pub(crate) fn reference(tx: &Transaction<'_>) -> Ref<mo::Datastore> {
    tx.all("Datastore")
        .next()
        .map(|datastore| Ref::new(datastore.value()))
        .unwrap_or_default()
}

/// Returns the path at which hosts mount the datastore.
pub(crate) fn volume(tx: &Transaction<'_>) -> String {
    let url = tx
        .object(&reference(tx))
        .and_then(|store| store.read::<String>("summary.url"))
        .unwrap_or_default();
    let volume = url.strip_prefix("/vmfs/volumes/").unwrap_or(&url);
    volume.trim_end_matches('/').to_owned()
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "SearchDatastore_Task" => search(inv, false),
        "SearchDatastoreSubFolders_Task" => search(inv, true),
        "RefreshDatastore" | "RefreshDatastoreStorageInfo" => refresh(inv),
        _ => return None,
    })
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Updates the free space that the datastore reports.
fn refresh(inv: &mut Invocation<'_, '_>) -> Answer {
    let free = inv.tx.shared().store.free().map(signed);
    let datastore = inv.edit_this()?;
    if let Some(free) = free {
        datastore.modify("summary", |summary: &mut DatastoreSummary| {
            summary.free_space = free;
        })?;
    }
    nothing()
}

fn search(inv: &mut Invocation<'_, '_>, below: bool) -> Answer {
    let path: String = inv.arg("datastorePath")?;
    let spec: Option<HostDatastoreBrowserSearchSpec> = inv.arg("searchSpec")?;
    let spec = spec.unwrap_or_default();
    let this = inv.this.clone();
    let description = if below {
        "HostDatastoreBrowser.searchSubFolders"
    } else {
        "HostDatastoreBrowser.search"
    };
    let datastore = reference(inv.tx);
    task::begin_long(inv, &this, description, move |shared| async move {
        let searching = tokio::task::spawn_blocking(move || {
            let path = shared.store.parse(&path)?;
            walk(&shared.store, path, &spec, &datastore, below)
        });
        searching
            .await
            .unwrap_or_else(|_| Err(fault::internal("a search failed")))
    })
}

/// Lists a folder and, if requested, its subfolders.
fn walk(
    store: &Store,
    path: DatastorePath,
    spec: &HostDatastoreBrowserSearchSpec,
    datastore: &Ref<mo::Datastore>,
    below: bool,
) -> Answer {
    let mut results = Vec::new();
    let mut pending = vec![path];
    let mut matches = 0;
    while let Some(folder) = pending.pop() {
        let (result, inner) = list(store, &folder, spec, datastore)?;
        matches += result.file.len();
        results.push(result);
        if below && matches < MATCHES {
            pending.extend(inner.into_iter().rev());
        }
    }
    if below {
        value(&results)
    } else {
        results.pop().map_or_else(nothing, |result| value(&result))
    }
}

/// Returns the matching files of one folder, and the paths of its subfolders.
fn list(
    store: &Store,
    folder: &DatastorePath,
    spec: &HostDatastoreBrowserSearchSpec,
    datastore: &Ref<mo::Datastore>,
) -> Result<(HostDatastoreBrowserSearchResults, Vec<DatastorePath>), Fault> {
    let error = |error| fault::file_fault(&folder.to_string(), &error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(store.file(folder)).map_err(error)? {
        let entry = entry.map_err(error)?;
        if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) {
            entries.push((name, metadata));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let mut files = Vec::new();
    let mut folders = Vec::new();
    let hidden = |name: &str| {
        name.ends_with(".part") || name.ends_with("-flat.vmdk") || name == saved::DIRECTORY
    };
    for (name, metadata) in entries {
        if metadata.is_dir() && !hidden(&name) {
            folders.push(folder.join(&name));
        }
        let wanted = spec.match_pattern.is_empty()
            || spec
                .match_pattern
                .iter()
                .any(|pattern| matches(pattern, &name));
        if wanted && !hidden(&name) && asked(&spec.query, &name, metadata.is_dir()) {
            files.push(info(&name, &metadata, spec));
        }
    }
    let mut folder_path = folder.to_string();
    if !folder.is_root() {
        folder_path.push('/');
    }
    let results = HostDatastoreBrowserSearchResults {
        datastore: Some(datastore.clone()),
        folder_path: Some(folder_path),
        file: files,
    };
    Ok((results, folders))
}

/// Returns whether a query matches files of this kind; without queries, all match.
fn asked(queries: &[Poly<FileQuery>], name: &str, folder: bool) -> bool {
    let all = queries.is_empty() || queries.iter().any(|q| q.type_name() == "FileQuery");
    let suffixes: [(&str, &str); 5] = [
        ("VmDiskFileQuery", ".vmdk"),
        ("VmConfigFileQuery", ".vmx"),
        ("VmLogFileQuery", ".log"),
        ("VmNvramFileQuery", ".nvram"),
        ("IsoImageFileQuery", ".iso"),
    ];
    all || queries.iter().any(|query| {
        folder && query.is::<FolderFileQuery>()
            || suffixes
                .iter()
                .any(|(ty, suffix)| query.type_name() == *ty && name.ends_with(suffix))
    })
}

fn info(
    name: &str,
    metadata: &std::fs::Metadata,
    spec: &HostDatastoreBrowserSearchSpec,
) -> Poly<FileInfo> {
    let details = spec.details.as_deref().cloned().unwrap_or_default();
    let modified = metadata
        .modified()
        .ok()
        .and_then(|t| Timestamp::try_from(t).ok());
    let base = FileInfo {
        path: name.to_owned(),
        friendly_name: None,
        file_size: details
            .file_size
            .then(|| i64::try_from(metadata.len()).unwrap_or(i64::MAX)),
        modification: if details.modification { modified } else { None },
        owner: details.file_owner.then(|| "root".into()),
    };
    macro_rules! typed {
        ($ty:ident) => {{
            let mut info = $ty::default();
            info.base = base;
            Poly::new(info)
        }};
    }
    match name.rsplit_once('.').map(|(_, suffix)| suffix) {
        _ if metadata.is_dir() => typed!(FolderFileInfo),
        _ if !details.file_type => Poly::new(base),
        Some("vmdk") => typed!(VmDiskFileInfo),
        Some("vmx") => typed!(VmConfigFileInfo),
        Some("log") => typed!(VmLogFileInfo),
        Some("nvram") => typed!(VmNvramFileInfo),
        Some("iso") => typed!(IsoImageFileInfo),
        _ => Poly::new(base),
    }
}

/// Returns whether a name matches a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // The position of the last `*` in the pattern, and the position in the name up to which it
    // matched.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, reached)) => {
                    star = Some((at, reached + 1));
                    p = at + 1;
                    n = reached + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*", ""),
            ("*.vmx", "a.vmx"),
            ("a?c", "abc"),
            ("*a*b", "xaybab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("*.vmx", "a.vmdk"), ("a?", "a"), ("a", "A")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
