//! Converts a dump of the vSphere registry to the schema file in the crate.
//!
//! The dump is one JSON object with the lists `data`, `enums` and `managed` and the map
//! `versions`, extracted from the type registry of the pyvmomi package. It contains
//! names, types, flags and versions, but no prose. All differences between the registry
//! and the wire format are corrected here and nowhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::schema::{
    Data, Enum, Header, Managed, Member, Method, Name, Namespace, Schema, Source, TypeExpr,
};

/// The namespaces and their short names, in the order of the schema file.
const NAMESPACES: [(&str, &str); 6] = [
    ("vim25", "urn:vim25"),
    ("vsan", "urn:vsan"),
    ("eam", "urn:eam"),
    ("sms", "urn:sms"),
    ("pbm", "urn:pbm"),
    ("vslm", "urn:vslm"),
];

/// The roots of the type tree. They have no fields on the wire, so they are not recorded
/// as base types.
const ROOTS: [&str; 2] = ["DataObject", "DynamicData"];

/// The base of all faults; a fault that is used as a value is wrapped in another type.
const FAULT: &str = "MethodFault";
const LOCALIZED_FAULT: &str = "LocalizedMethodFault";

/// Secrets that the registry does not mark, as (type or method, field or parameter). `*`
/// matches every method.
const MORE_SECRETS: [(&str, &str); 9] = [
    ("*", "esxRootPassword"),
    ("GatewayToHostTrustVerifyFault", "verificationToken"),
    ("HostConfigSpec", "datastorePrincipalPasswd"),
    ("HostGatewaySpec", "trustVerificationToken"),
    ("LoginBySSPI", "base64Token"),
    ("SSPIAuthentication", "sspiToken"),
    ("SSPIChallenge", "base64Token"),
    ("VsanIscsiTargetAuthSpec", "userSecretAttachToInitiator"),
    ("VsanIscsiTargetAuthSpec", "userSecretAttachToTarget"),
];

/// Methods whose result is a secret in a plain string.
const SECRET_RESULTS: [&str; 1] = ["AcquireCloneTicket"];

const ABOUT: &str = "The vSphere Web Services API: names, types, flags and versions; no prose. \
    Written by `cargo xtask schema-import`; not to be edited by hand.";

const CORRECTIONS: [&str; 7] = [
    "DataObject and DynamicData, the roots of the type tree, are left out: they carry nothing on the wire.",
    "ManagedObject stands once.",
    "LocalizedMethodFault has no base, as in the WSDL.",
    "A fault that stands as a value is a LocalizedMethodFault, as in the WSDL.",
    "A field that links to an object by its key is marked `link`: the wire carries the key, a string.",
    "Some passwords and tokens that the registry does not mark are marked `secret`.",
    "A version id whose API number is a hash has the number that its name spells.",
];

#[derive(Deserialize)]
struct Dump {
    source: String,
    data: Vec<DumpData>,
    enums: Vec<DumpEnum>,
    managed: Vec<DumpManaged>,
    versions: BTreeMap<String, DumpVersion>,
}

#[derive(Deserialize)]
struct DumpVersion {
    id: String,
}

#[derive(Deserialize)]
struct DumpData {
    vmodl: String,
    wsdl: String,
    ns: String,
    v: String,
    baseq: Option<String>,
    props: Vec<DumpMember>,
}

#[derive(Deserialize)]
struct DumpEnum {
    vmodl: String,
    wsdl: String,
    ns: String,
    v: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
struct DumpManaged {
    vmodl: String,
    wsdl: String,
    ns: String,
    v: String,
    base: Option<String>,
    props: Vec<DumpMember>,
    methods: Vec<DumpMethod>,
}

#[derive(Deserialize)]
struct DumpMember {
    n: String,
    #[serde(flatten)]
    ty: DumpType,
    v: String,
    #[serde(default)]
    link: u8,
    #[serde(default)]
    secret: u8,
    #[serde(rename = "priv")]
    privilege: Option<String>,
}

#[derive(Deserialize)]
struct DumpType {
    /// The wire name of the declared type.
    t: String,
    /// The dotted name of the declared type, if the dump contains it.
    q: Option<String>,
    #[serde(default)]
    a: u8,
    #[serde(default)]
    o: u8,
}

#[derive(Deserialize)]
struct DumpMethod {
    wsdl: String,
    v: String,
    ns: String,
    params: Vec<DumpMember>,
    ret: DumpType,
    taskret: Option<DumpType>,
    #[serde(rename = "priv")]
    privilege: Option<String>,
    faults: Vec<String>,
}

/// Reads a dump and converts it to the schema.
pub(crate) fn import(file: &Path) -> Result<Schema> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("read the dump {}", file.display()))?;
    let dump: Dump = serde_json::from_str(&text)
        .with_context(|| format!("parse the dump {}", file.display()))?;
    let index = Index::of(&dump)?;
    let mut namespaces: Vec<Namespace> = NAMESPACES
        .iter()
        .map(|&(name, uri)| Namespace {
            name: name.to_owned(),
            uri: uri.to_owned(),
            data: Vec::new(),
            enums: Vec::new(),
            managed: Vec::new(),
        })
        .collect();
    let (name, version) = dump
        .source
        .split_once(' ')
        .context("the dump names no source")?;
    let header = Header {
        about: ABOUT.to_owned(),
        sources: vec![Source {
            name: name.to_owned(),
            version: version.to_owned(),
            license: "Apache-2.0".to_owned(),
        }],
        corrections: CORRECTIONS.map(str::to_owned).to_vec(),
    };
    let versions = dump
        .versions
        .into_iter()
        .map(|(id, v)| (id.clone(), number(&id, &v.id)));
    let versions = versions.collect();

    for item in dump.data {
        if ROOTS.contains(&item.wsdl.as_str()) {
            continue;
        }
        let home = position(&item.ns)?;
        let base = match &item.baseq {
            Some(vmodl) => index.dotted(vmodl, home)?,
            None => None,
        };
        let data = Data {
            fields: index.members(item.props, home, &item.wsdl, &item.v)?,
            name: item.wsdl,
            vmodl: item.vmodl,
            since: item.v,
            base,
            preview: false,
        };
        namespaces[home].data.push(data);
    }
    for item in dump.enums {
        namespaces[position(&item.ns)?].enums.push(Enum {
            name: item.wsdl,
            vmodl: item.vmodl,
            since: item.v,
            values: item.values,
            preview: false,
        });
    }
    for item in dump.managed {
        let home = position(&item.ns)?;
        if namespaces[home].managed.iter().any(|m| m.name == item.wsdl) {
            continue;
        }
        let base = item
            .base
            .map(|base| index.name(&base, None, home))
            .transpose()?;
        let managed = Managed {
            properties: index.members(item.props, home, &item.wsdl, &item.v)?,
            methods: item
                .methods
                .into_iter()
                .map(|method| index.method(method, home))
                .collect::<Result<_>>()?,
            name: item.wsdl,
            vmodl: item.vmodl,
            since: item.v,
            base,
        };
        namespaces[home].managed.push(managed);
    }
    for namespace in &mut namespaces {
        namespace.data.sort_by(|a, b| a.name.cmp(&b.name));
        namespace.enums.sort_by(|a, b| a.name.cmp(&b.name));
        namespace.managed.sort_by(|a, b| a.name.cmp(&b.name));
        let mut seen = BTreeSet::new();
        let names = namespace.data.iter().map(|x| &x.name);
        let names = names.chain(namespace.enums.iter().map(|x| &x.name));
        for name in names.chain(namespace.managed.iter().map(|x| &x.name)) {
            ensure!(
                seen.insert(name),
                "{name} stands twice in {}",
                namespace.uri
            );
        }
    }
    Ok(Schema {
        header,
        versions,
        namespaces,
    })
}

fn position(uri: &str) -> Result<usize> {
    NAMESPACES
        .iter()
        .position(|&(_, known)| known == uri)
        .with_context(|| format!("the dump has a namespace {uri} that has no short name here"))
}

/// Returns the number of a version: the one in the registry, or the one in the id if the
/// registry contains a hash (`m5CA1EF4D`).
fn number(id: &str, number: &str) -> String {
    let hash = number
        .strip_prefix('m')
        .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if hash {
        let last = id.rsplit('.').next().unwrap_or(id);
        return last.trim_start_matches('v').replace('_', ".");
    }
    number.replace('_', ".")
}

/// The names of all types.
struct Index {
    /// Maps dotted names to (namespace, wire name).
    dotted: HashMap<String, (usize, String)>,
    /// The wire names per namespace.
    wire: Vec<BTreeSet<String>>,
}

impl Index {
    fn of(dump: &Dump) -> Result<Self> {
        let mut index = Self {
            dotted: HashMap::new(),
            wire: vec![BTreeSet::new(); NAMESPACES.len()],
        };
        let data = dump.data.iter().map(|x| (&x.vmodl, &x.wsdl, &x.ns));
        let enums = dump.enums.iter().map(|x| (&x.vmodl, &x.wsdl, &x.ns));
        let managed = dump.managed.iter().map(|x| (&x.vmodl, &x.wsdl, &x.ns));
        for (vmodl, wsdl, uri) in data.chain(enums).chain(managed) {
            let at = position(uri)?;
            index.dotted.insert(vmodl.clone(), (at, wsdl.clone()));
            index.wire[at].insert(wsdl.clone());
        }
        Ok(index)
    }

    /// Resolves a dotted name as seen from a namespace; `None` for the roots.
    fn dotted(&self, vmodl: &str, home: usize) -> Result<Option<Name>> {
        let (at, wire) = self
            .dotted
            .get(vmodl)
            .with_context(|| format!("no type is called {vmodl}"))?;
        Ok((!ROOTS.contains(&wire.as_str())).then(|| qualified(*at, wire, home)))
    }

    /// Resolves a wire name as seen from a namespace: first among its own types, then
    /// among those of vim25.
    fn name(&self, wire: &str, vmodl: Option<&str>, home: usize) -> Result<Name> {
        if let Some(vmodl) = vmodl
            && let Some((at, wire)) = self.dotted.get(vmodl)
        {
            return Ok(qualified(*at, wire, home));
        }
        let mut found = (0..self.wire.len()).filter(|&at| self.wire[at].contains(wire));
        if self.wire[home].contains(wire) {
            return Ok(qualified(home, wire, home));
        }
        let at = found
            .next()
            .with_context(|| format!("no type is called {wire}"))?;
        ensure!(
            found.next().is_none(),
            "{wire} stands in more than one namespace"
        );
        Ok(qualified(at, wire, home))
    }

    fn ty(&self, ty: &DumpType, home: usize) -> Result<TypeExpr> {
        let mut name = match primitive(&ty.t) {
            Some(name) => Name {
                namespace: None,
                name: name.to_owned(),
            },
            None => self.name(&ty.t, ty.q.as_deref(), home)?,
        };
        // The registry's own codec wraps every fault that is used as a value.
        if name.name == FAULT {
            LOCALIZED_FAULT.clone_into(&mut name.name);
        }
        Ok(TypeExpr {
            name,
            array: ty.a != 0,
            optional: ty.o != 0,
        })
    }

    fn members(
        &self,
        members: Vec<DumpMember>,
        home: usize,
        owner: &str,
        since: &str,
    ) -> Result<Vec<Member>> {
        let member = |m: DumpMember| {
            let wraps = owner == LOCALIZED_FAULT && m.ty.t == FAULT;
            let listed = MORE_SECRETS
                .iter()
                .any(|&(o, n)| n == m.n && (o == owner || o == "*"));
            let mut ty = self
                .ty(&m.ty, home)
                .with_context(|| format!("{owner}.{}", m.n))?;
            if wraps {
                FAULT.clone_into(&mut ty.name.name);
            }
            Ok(Member {
                ty,
                since: (m.v != since).then_some(m.v),
                link: m.link != 0,
                secret: m.secret != 0 || listed,
                privilege: m.privilege,
                name: m.n,
                preview: false,
            })
        };
        members.into_iter().map(member).collect()
    }

    fn method(&self, method: DumpMethod, owner: usize) -> Result<Method> {
        let home = position(&method.ns)?;
        let what = || format!("the result of {}", method.wsdl);
        let returns = self.result(&method.ret, home).with_context(what)?;
        let result = method
            .taskret
            .as_ref()
            .map(|ty| self.ty(ty, home))
            .transpose();
        Ok(Method {
            result: result.with_context(what)?,
            returns,
            secret: SECRET_RESULTS.contains(&method.wsdl.as_str()),
            parameters: self.members(method.params, home, &method.wsdl, &method.v)?,
            namespace: (home != owner).then(|| NAMESPACES[home].0.to_owned()),
            since: method.v,
            privilege: method.privilege,
            faults: method.faults,
            name: method.wsdl,
            preview: false,
        })
    }

    fn result(&self, ty: &DumpType, home: usize) -> Result<Option<TypeExpr>> {
        if ty.t == "void" {
            Ok(None)
        } else {
            self.ty(ty, home).map(Some)
        }
    }
}

fn qualified(at: usize, wire: &str, home: usize) -> Name {
    let namespace = (at != home).then(|| NAMESPACES[at].0.to_owned());
    Name {
        namespace,
        name: wire.to_owned(),
    }
}

/// Returns the schema's name of a built-in type.
fn primitive(name: &str) -> Option<&'static str> {
    Some(match name {
        "string" => "string",
        "boolean" => "boolean",
        "byte" => "byte",
        "short" => "short",
        "int" => "int",
        "long" => "long",
        "float" => "float",
        "double" => "double",
        "anyType" => "anyType",
        "void" => "void",
        "vmodl.DateTime" => "dateTime",
        "vmodl.Binary" | "binary" => "binary",
        "vmodl.URI" => "anyURI",
        "vmodl.PropertyPath" => "propertyPath",
        "vmodl.TypeName" => "typeName",
        "vmodl.MethodName" => "methodName",
        "vmodl.Any" => "anyType",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_number_that_people_know() {
        assert_eq!(number("vim.version.version9", "5.5"), "5.5");
        assert_eq!(number("vim.version.v9_1_0_1", "m5CA1EF4D"), "9.1.0.1");
        assert_eq!(number("eam.version.version2_5", "2_5"), "2.5");
        assert_eq!(number("vmodl.version.version0", ""), "");
    }
}
