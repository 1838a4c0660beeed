//! The schema file in the crate: its content, and how it is read and written. Each item
//! is on its own line, so that changing one field changes one line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The whole file.
#[derive(Debug, Deserialize)]
pub(crate) struct Schema {
    pub(crate) header: Header,
    /// Maps version ids to version numbers; empty if there is none.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) namespaces: Vec<Namespace>,
}

/// The origin of the facts.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    /// A sentence that describes the file.
    pub(crate) about: String,
    pub(crate) sources: Vec<Source>,
    /// The deliberate differences from the sources, one sentence each.
    pub(crate) corrections: Vec<String>,
}

/// One source of facts.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: String,
}

/// One WSDL namespace. Every list is sorted by wire name, by bytes.
#[derive(Debug, Deserialize)]
pub(crate) struct Namespace {
    /// The short name, also the prefix of a reference from another namespace.
    pub(crate) name: String,
    pub(crate) uri: String,
    pub(crate) data: Vec<Data>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) managed: Vec<Managed>,
}

/// A data object type.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Data {
    /// Wire name.
    pub(crate) name: String,
    /// The dotted name, as in the API reference.
    pub(crate) vmodl: String,
    /// Version id.
    pub(crate) since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Name>,
    /// The type's own fields in wire order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<Member>,
    /// Whether the type is not in the registry, see `extras`.
    #[serde(skip)]
    pub(crate) preview: bool,
}

/// An enum type.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) vmodl: String,
    pub(crate) since: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<String>,
    /// Whether the type is not in the registry, see `extras`.
    #[serde(skip)]
    pub(crate) preview: bool,
}

/// A managed object type.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Managed {
    pub(crate) name: String,
    pub(crate) vmodl: String,
    pub(crate) since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Name>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) properties: Vec<Member>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) methods: Vec<Method>,
}

/// A field, a property or a parameter.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: TypeExpr,
    /// The version id, if it differs from that of the type or method to which the member
    /// belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// Whether the wire contains the key of the object, a string, instead of the object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) link: bool,
    /// Whether the value must never be printed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secret: bool,
    /// The privilege required for this property or parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) privilege: Option<String>,
    /// Whether the member is not in the registry, see `extras`.
    #[serde(skip)]
    pub(crate) preview: bool,
}

/// A method of a managed object type.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Method {
    /// Wire name, unique in its namespace.
    pub(crate) name: String,
    /// The namespace in which the method is called, if it is not that of its managed
    /// object type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    pub(crate) since: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parameters: Vec<Member>,
    /// Absent if the method returns nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) returns: Option<TypeExpr>,
    /// Whether the result must never be printed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secret: bool,
    /// The result of the task that the method returns, if it is declared; `void` if there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<TypeExpr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) privilege: Option<String>,
    /// The wire names of the declared faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<String>,
    /// Whether the method is not in the registry, see `extras`.
    #[serde(skip)]
    pub(crate) preview: bool,
}

/// The name of a type: `VirtualDisk`, or `vsan:VsanUpdateItem` from outside its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name {
    /// The short name of the namespace, if the name refers to another one.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

/// A declared type: a name, `[]` for a list, `?` if it is optional.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TypeExpr {
    pub(crate) name: Name,
    pub(crate) array: bool,
    pub(crate) optional: bool,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for Name {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let (namespace, name) = match text.split_once(':') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
            None => (None, text),
        };
        ensure!(
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()),
            "{name:?} is not the name of a type"
        );
        Ok(Self { namespace, name })
    }
}

impl fmt::Display for TypeExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let array = if self.array { "[]" } else { "" };
        let optional = if self.optional { "?" } else { "" };
        write!(f, "{}{array}{optional}", self.name)
    }
}

impl From<TypeExpr> for String {
    fn from(ty: TypeExpr) -> Self {
        ty.to_string()
    }
}

impl TryFrom<String> for TypeExpr {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        let (text, optional) = match text.strip_suffix('?') {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let (text, array) = match text.strip_suffix("[]") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        Ok(Self {
            name: Name::try_from(text.to_owned())?,
            array,
            optional,
        })
    }
}

impl Schema {
    /// Reads `vsphere-api.json` in `folder`, after checking it against its lock.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let (file, lock) = (folder.join("vsphere-api.json"), folder.join("schema.lock"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("read the schema {}", file.display()))?;
        let locked = std::fs::read_to_string(&lock)
            .with_context(|| format!("read the schema's lock {}", lock.display()))?;
        if locked != lock_of(&text) {
            bail!(
                "{} does not match {}: edit the import, not the file, and run \
                 `cargo xtask schema-import`",
                file.display(),
                lock.display()
            );
        }
        serde_json::from_str(&text).with_context(|| format!("parse the schema {}", file.display()))
    }

    /// Returns the text of the file: one line per item.
    pub(crate) fn to_text(&self) -> Result<String> {
        let mut out = String::from("{\n\"header\":");
        out.push_str(&serde_json::to_string_pretty(&self.header)?);
        out.push_str(",\n\"versions\":");
        out.push_str(&serde_json::to_string_pretty(&self.versions)?);
        out.push_str(",\n\"namespaces\":[");
        for (i, namespace) in self.namespaces.iter().enumerate() {
            out.push_str(if i == 0 { "\n" } else { ",\n" });
            namespace.write(&mut out)?;
        }
        out.push_str("\n]\n}\n");
        Ok(out)
    }
}

/// Returns the text of the lock for a schema file.
pub(crate) fn lock_of(schema: &str) -> String {
    let mut lock = String::new();
    for byte in Sha256::digest(schema.as_bytes()) {
        lock.push_str(&format!("{byte:02x}"));
    }
    lock.push_str("  vsphere-api.json\n");
    lock
}

impl Namespace {
    fn write(&self, out: &mut String) -> Result<()> {
        let (name, uri) = (&self.name, &self.uri);
        out.push_str(&format!(
            "{{\"name\":\"{name}\",\"uri\":\"{uri}\",\n\"data\":["
        ));
        for (i, item) in self.data.iter().enumerate() {
            begin(out, i, &head(item, &["fields"])?);
            list(out, "fields", &item.fields)?;
            out.push('}');
        }
        out.push_str("],\n\"enums\":[");
        for (i, item) in self.enums.iter().enumerate() {
            begin(out, i, &head(item, &["values"])?);
            list(out, "values", &item.values)?;
            out.push('}');
        }
        out.push_str("],\n\"managed\":[");
        for (i, item) in self.managed.iter().enumerate() {
            begin(out, i, &head(item, &["properties", "methods"])?);
            list(out, "properties", &item.properties)?;
            list(out, "methods", &item.methods)?;
            out.push('}');
        }
        out.push_str("]}");
        Ok(())
    }
}

fn begin(out: &mut String, index: usize, head: &str) {
    out.push_str(if index == 0 { "\n" } else { ",\n" });
    out.push_str(head);
}

/// Serializes an item without its lists and without its closing brace.
fn head<T: Serialize>(item: &T, lists: &[&str]) -> Result<String> {
    let text = serde_json::to_string(item)?;
    let end = lists
        .iter()
        .filter_map(|key| text.find(&format!(",\"{key}\":[")))
        .min();
    Ok(text[..end.unwrap_or(text.len() - 1)].to_owned())
}

/// Writes a list with one line per member. Writes nothing if the list is empty.
fn list<T: Serialize>(out: &mut String, key: &str, members: &[T]) -> Result<()> {
    for (i, member) in members.iter().enumerate() {
        if i == 0 {
            out.push_str(&format!(",\"{key}\":[\n "));
        } else {
            out.push_str(",\n ");
        }
        out.push_str(&serde_json::to_string(member)?);
    }
    if !members.is_empty() {
        out.push(']');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expr(text: &str) -> TypeExpr {
        TypeExpr::try_from(text.to_owned()).expect("a type expression")
    }

    #[test]
    fn a_type_expression_reads_back_as_written() {
        for text in [
            "string",
            "VirtualDevice[]",
            "long?",
            "vsan:VsanUpdateItem[]?",
        ] {
            assert_eq!(expr(text).to_string(), text);
        }
        let ty = expr("vsan:VsanUpdateItem[]?");
        assert_eq!(ty.name.namespace.as_deref(), Some("vsan"));
        assert!(ty.array && ty.optional);
    }

    #[test]
    fn a_type_expression_without_a_name_is_refused() {
        for text in ["", "[]", "a b", "vsan:", "x?[]"] {
            assert!(
                TypeExpr::try_from(text.to_owned()).is_err(),
                "{text:?} was read"
            );
        }
    }

    #[test]
    fn a_schema_is_written_one_item_per_line_and_reads_back() {
        let schema = Schema {
            header: Header {
                about: "a test".to_owned(),
                sources: Vec::new(),
                corrections: Vec::new(),
            },
            versions: BTreeMap::from([("v1".to_owned(), "1.0".to_owned())]),
            namespaces: vec![Namespace {
                name: "vim25".to_owned(),
                uri: "urn:vim25".to_owned(),
                data: vec![Data {
                    name: "KeyValue".to_owned(),
                    vmodl: "vim.KeyValue".to_owned(),
                    since: "v1".to_owned(),
                    base: None,
                    fields: vec![member("key", "string"), member("value", "string?")],
                    preview: false,
                }],
                enums: Vec::new(),
                managed: Vec::new(),
            }],
        };
        let text = schema.to_text().expect("written");
        assert!(
            text.contains("\n {\"name\":\"value\",\"type\":\"string?\"}]}"),
            "{text}"
        );
        let again: Schema = serde_json::from_str(&text).expect("read back");
        assert_eq!(again.to_text().expect("written again"), text);
    }

    fn member(name: &str, ty: &str) -> Member {
        Member {
            name: name.to_owned(),
            ty: expr(ty),
            since: None,
            link: false,
            secret: false,
            privilege: None,
            preview: false,
        }
    }
}
