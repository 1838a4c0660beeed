//! Inventories that `govc object.save` wrote: a directory with a file for each object.

use std::path::{Path, PathBuf};

use vim25::schema::{self, TypeKind};
use vim25::soap::{Response, decode_response};
use vim25::types::{ObjectContent, ServiceContent};
use vim25::{Any, AnyRef, Limits, Ref, mo};

use crate::datastore::spec::Datastore;

/// Maximum size of a file in bytes.
const LARGEST: u64 = 256 << 20;
/// The element that `govc` writes.
const ELEMENT: &str = "ObjectContent";
/// What surrounds an object in a response of a server.
const BEFORE: &str = "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Body>\
    <RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval";
const AFTER: &str = "</returnval></RetrievePropertiesResponse></Body></Envelope>";

/// A saved inventory could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load {}{}: {reason}", file.display(), position.map_or(String::new(), |(line, column)| format!(", line {line}, column {column}")))]
#[non_exhaustive]
pub struct LoadError {
    /// The file or directory.
    pub file: PathBuf,
    /// The line and the column in bytes of the problem, from 1, if it has a position.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub reason: String,
}

/// A saved inventory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) is_vcenter: bool,
    /// The root folder that the server named.
    pub(crate) root: Option<AnyRef>,
    /// In the order of the files.
    pub(crate) objects: Vec<LoadedObject>,
}

/// A saved object.
#[derive(Debug)]
pub(crate) struct LoadedObject {
    pub(crate) file: PathBuf,
    pub(crate) reference: AnyRef,
    /// The properties that the API defines.
    pub(crate) properties: Vec<(&'static str, Any)>,
}

impl LoadedObject {
    /// Returns the value of a property.
    pub(crate) fn get(&self, name: &str) -> Option<&Any> {
        let mut all = self.properties.iter();
        all.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Returns the text at a path inside a property.
    pub(crate) fn text(&self, name: &str, path: &str) -> Option<String> {
        let value = self.get(name)?.at(path)?;
        value.node().as_str().map(str::to_owned)
    }

    /// Describes what is wrong with the object.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> LoadError {
        LoadError {
            file: self.file.clone(),
            position: None,
            reason: reason.into(),
        }
    }
}

impl Loaded {
    /// Reads the files of a directory. Its subdirectories contain results of methods, which are not
    /// used.
    pub(crate) fn read(directory: &Path) -> Result<Self, LoadError> {
        let failed = |error: std::io::Error| LoadError {
            file: directory.to_owned(),
            position: None,
            reason: error.to_string(),
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|own| own == "xml") && path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        let mut objects = Vec::new();
        for file in files {
            objects.push(object(file)?);
        }
        if objects.is_empty() {
            let words = "it contains no objects; save an inventory with `govc object.save`";
            return Err(failed(std::io::Error::other(words)));
        }
        let mut content = None;
        for object in &objects {
            if object.reference.type_name() == "ServiceInstance"
                && let Some(value) = object.get("content")
            {
                let read: Result<ServiceContent, _> = value.get();
                content = Some(read.map_err(|error| object.refuse(error.to_string()))?);
            }
        }
        Ok(Self {
            is_vcenter: content
                .as_ref()
                .is_none_or(|content| content.about.api_type == "VirtualCenter"),
            root: content.map(|content| AnyRef::from_wire("Folder", content.root_folder.value())),
            objects,
        })
    }

    /// Iterates over the objects of a type and its subtypes.
    pub(crate) fn all(&self, ty: &'static str) -> impl Iterator<Item = &LoadedObject> {
        let base = schema::find(TypeKind::Managed, ty);
        self.objects.iter().filter(move |object| {
            let own = schema::find(TypeKind::Managed, object.reference.type_name());
            own.zip(base).is_some_and(|(own, base)| own.is_a(base))
        })
    }

    /// Returns the number of the datacenter that an object is in; `None` if the folders between them
    /// were not saved.
    pub(crate) fn datacenter_of(&self, object: &LoadedObject) -> Option<usize> {
        let parent = |object: &LoadedObject| -> Option<AnyRef> { object.get("parent")?.get().ok() };
        let mut above = parent(object)?;
        // More folders than objects are a cycle.
        for _ in &self.objects {
            let mut datacenters = self.all("Datacenter");
            let is_it = |own: &LoadedObject| own.reference == above;
            if let Some(position) = datacenters.position(is_it) {
                return Some(position);
            }
            let next = self.objects.iter().find(|own| own.reference == above)?;
            above = parent(next)?;
        }
        None
    }

    /// Describes the datastores. Their files were not saved, so they are empty.
    pub(crate) fn datastores(&self) -> Result<Vec<Datastore>, LoadError> {
        let mut found: Vec<Datastore> = Vec::new();
        for object in self.all("Datastore") {
            let name = object.text("name", "");
            let name = name.ok_or_else(|| object.refuse("the datastore has no name"))?;
            let of_nas = |path| object.text("info", path).unwrap_or_default();
            let kind = object.text("summary", "type").unwrap_or_default();
            let datastore = match kind.as_str() {
                "NFS" | "NFS41" => {
                    Datastore::nfs(name, of_nas("nas.remoteHost"), of_nas("nas.remotePath"))
                }
                "vsan" => Datastore::vsan(name),
                _ => Datastore::vmfs(name),
            };
            let datastore = match self.datacenter_of(object) {
                Some(number) => datastore.datacenter(number),
                None => datastore.datacenter(0),
            };
            let is_same = |other: &Datastore| {
                other.name == datastore.name && other.datacenter == datastore.datacenter
            };
            if found.iter().any(is_same) {
                let words = format!("another datastore has the name {}", datastore.name);
                return Err(object.refuse(words));
            }
            found.push(datastore);
        }
        Ok(found)
    }
}

/// Reads the file of one object.
fn object(file: PathBuf) -> Result<LoadedObject, LoadError> {
    let failed = |position, reason: String| LoadError {
        file: file.clone(),
        position,
        reason,
    };
    let unread = |error: std::io::Error| failed(None, error.to_string());
    if std::fs::metadata(&file).map_err(unread)?.len() > LARGEST {
        return Err(failed(None, "the file is too large".to_owned()));
    }
    let text = std::fs::read_to_string(&file).map_err(unread)?;
    let content = parse(&text).map_err(|(offset, reason)| {
        let position = offset.map(|offset| position(&text, offset));
        failed(position, reason)
    })?;
    let ty = schema::find(TypeKind::Managed, content.obj.type_name());
    let field = |name: &str| ty?.fields().find(|field| field.name() == name);
    let properties = content.prop_set.into_iter().filter_map(|property| {
        let field = field(&property.name);
        if field.is_none() {
            tracing::debug!(file = %file.display(), property.name, "the API has no such property");
        }
        Some((field?.name(), property.val.detach()))
    });
    let properties = properties.collect();
    Ok(LoadedObject {
        file,
        reference: content.obj,
        properties,
    })
}

/// Returns the line and the column of an offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n');
    (lines + 1, before.len() - start.map_or(0, |at| at + 1) + 1)
}

/// Decodes an object by the code for the responses of servers. An error has an offset in the text.
fn parse(text: &str) -> Result<ObjectContent, (Option<usize>, String)> {
    let start = text.find(&format!("<{ELEMENT}"));
    let start = start.ok_or_else(|| (None, format!("it has no element {ELEMENT}")))?;
    let inner = start + 1 + ELEMENT.len();
    let rest = text.get(inner..).unwrap_or_default();
    let close = rest.rfind(&format!("</{ELEMENT}>"));
    let close = close.ok_or_else(|| {
        let words = format!("the element {ELEMENT} does not end");
        (Some(text.len()), words)
    })?;
    let body = rest.get(..close).unwrap_or_default();
    let envelope = format!("{BEFORE}{body}{AFTER}");
    let collector: Ref<mo::PropertyCollector> = Ref::new("collector");
    let call = collector.retrieve_properties(&[]);
    let decoded = decode_response(&call, envelope.as_bytes(), &Limits::default());
    let decoded = decoded.map_err(|error| {
        let offset = usize::try_from(error.offset()).ok();
        let offset = offset.and_then(|offset| offset.checked_sub(BEFORE.len()));
        let offset = offset.map(|offset| (inner + offset).min(text.len()));
        (offset, error.to_string())
    })?;
    let Response::Value(value) = decoded else {
        return Err((None, "it is a fault".to_owned()));
    };
    // Properties without a value are left out.
    let objects = value.get_lenient::<Vec<ObjectContent>>();
    let objects = objects.map_err(|error| (None, error.to_string()))?;
    let object = objects.value.into_iter().next();
    object.ok_or_else(|| (None, "it contains no object".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const FOLDER: &str = "<ObjectContent>\n  <obj type=\"Folder\">group-d1</obj>\n  <propSet>\n    \
        <name>name</name>\n    <val xmlns:_XMLSchema-instance=\"http://www.w3.org/2001/XMLSchema-instance\" \
        _XMLSchema-instance:type=\"xsd:string\">Root</val>\n  </propSet>\n</ObjectContent>";

    #[test]
    fn an_object_is_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("0000-Folder-group-d1.xml"), FOLDER).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "no XML").unwrap();
        let loaded = Loaded::read(directory.path()).unwrap();
        assert!(loaded.is_vcenter);
        let [folder] = &loaded.objects[..] else {
            panic!("{loaded:?}");
        };
        assert_eq!(folder.reference, AnyRef::from_wire("Folder", "group-d1"));
        assert_eq!(folder.text("name", "").as_deref(), Some("Root"));
    }

    #[test]
    fn an_error_has_the_file_and_the_position() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("0000-x.xml");
        let bad = FOLDER.replace("</name>", "</nam>");
        std::fs::write(&file, bad).unwrap();
        let error = Loaded::read(directory.path()).unwrap_err();
        assert_eq!(error.file, file);
        assert_eq!(error.position.unwrap().0, 4, "{error}");
        assert!(error.to_string().contains("0000-x.xml, line 4"), "{error}");
        std::fs::write(&file, "<html/>").unwrap();
        let error = Loaded::read(directory.path()).unwrap_err();
        assert!(error.to_string().contains("ObjectContent"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let error = Loaded::read(directory.path()).unwrap_err();
        assert!(error.to_string().contains("object.save"), "{error}");
    }
}
