//! The datastores, and their browsers, which search for files.

mod build;

pub(super) use build::build;

use jiff::Timestamp;
use vim25::types::{
    DatastoreSummary, FileInfo, FileQuery, FolderFileInfo, FolderFileQuery,
    HostDatastoreBrowserSearchResults, HostDatastoreBrowserSearchSpec, IsoImageFileInfo,
    VmConfigFileInfo, VmDiskFileInfo, VmLogFileInfo, VmNvramFileInfo,
};
use vim25::{Fault, Poly, Ref, mo};

use crate::datastore::path::DatastorePath;
use crate::datastore::{Store, Volume};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::saved;
use crate::task;

/// Maximum number of results of one search.
const MATCHES: usize = 100_000;

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
    let store = &inv.tx.shared().store;
    let volume = store.referenced(inv.this.value());
    let free = volume.and_then(Volume::free).map(signed);
    let datastore = inv.edit_this()?;
    if let Some(free) = free {
        datastore.modify("summary", |summary: &mut DatastoreSummary| {
            summary.free_space = free;
        })?;
        datastore.set("info.freeSpace", &free)?;
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
    let own: Vec<Ref<mo::Datastore>> = inv.this()?.list("datastore")?;
    task::begin_long(inv, &this, description, move |shared| async move {
        let searching = tokio::task::spawn_blocking(move || {
            let text = path;
            let store = &shared.store;
            // All datastores of a browser are in one datacenter, and it cannot see into others.
            let mut volumes = own.iter().filter_map(|own| store.referenced(own.value()));
            let site = volumes.next().map(|volume| volume.site);
            let site = site.ok_or_else(|| fault::invalid_datastore_path(&text))?;
            let path = store.parse(site, &text)?;
            let datastore = store.reference(&path);
            if !own.contains(&datastore) {
                return Err(fault::invalid_datastore_path(&text));
            }
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
    for entry in std::fs::read_dir(store.file(folder)?).map_err(error)? {
        let entry = entry.map_err(error)?;
        if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) {
            entries.push((name, metadata));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let namespaces = store.volume(folder).namespaces.as_ref();
    let namespaces = namespaces.filter(|_| folder.is_root());
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
            let friendly = namespaces.and_then(|all| all.name(&name));
            files.push(info(&name, friendly, &metadata, spec));
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
    friendly_name: Option<String>,
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
        friendly_name,
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
