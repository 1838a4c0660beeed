//! One namespace, resolved: ids, what each declared type is, who derives from
//! whom, and where a struct would contain itself.
//!
//! Type ids are `first_id` plus the row in the namespace's type table. The rows
//! are the data types by wire name, the enums, the managed object types, one
//! request per method by wire name and one response per method in that order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};

use super::names;
use super::schema::{Data, Managed, Member, Method, Name, Namespace, Schema, TypeExpr};

/// The first type id of each namespace, far enough apart to grow.
const FIRST_IDS: [(&str, u16); 6] = [
    ("vim25", 0),
    ("vsan", 0x2000),
    ("eam", 0x2800),
    ("sms", 0x3000),
    ("pbm", 0x3800),
    ("vslm", 0x4000),
];

/// What a field, parameter or result is declared to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Bool,
    Byte,
    Short,
    Int,
    Long,
    Float,
    Double,
    DateTime,
    Binary,
    Uri,
    Ref,
    Enum,
    Object,
    Any,
}

/// A declared type, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) kind: Kind,
    /// Type id and Rust name of the declared type, for references, enums and objects.
    pub(crate) named: Option<(u16, String)>,
    /// An object whose declared type has subtypes.
    pub(crate) poly: bool,
    pub(crate) array: bool,
    pub(crate) optional: bool,
}

/// A method and the managed object type that declares it.
pub(crate) struct Called<'s> {
    pub(crate) method: &'s Method,
    pub(crate) owner: &'s str,
    pub(crate) id: u16,
}

/// One namespace, ready to be printed.
pub(crate) struct Model<'s> {
    pub(crate) namespace: &'s Namespace,
    pub(crate) first_id: u16,
    pub(crate) versions: &'s BTreeMap<String, String>,
    /// By wire name, as the request rows stand.
    pub(crate) methods: Vec<Called<'s>>,
    data: HashMap<&'s str, u16>,
    enums: HashMap<&'s str, u16>,
    managed: HashMap<&'s str, u16>,
    /// Data types with subtypes.
    bases: BTreeSet<&'s str>,
}

impl<'s> Model<'s> {
    /// Resolves one namespace of the schema.
    pub(crate) fn of(schema: &'s Schema, name: &str) -> Result<Self> {
        let find = |ns: &&Namespace| ns.name == name;
        let namespace = schema
            .namespaces
            .iter()
            .find(find)
            .with_context(|| format!("the schema has no namespace {name}"))?;
        let (_, first_id) = *FIRST_IDS
            .iter()
            .find(|(known, _)| *known == name)
            .with_context(|| format!("the namespace {name} has no range of type ids"))?;

        let mut id = first_id;
        let mut next = || {
            id += 1;
            id - 1
        };
        let data = namespace
            .data
            .iter()
            .map(|x| (x.name.as_str(), next()))
            .collect();
        let enums = namespace
            .enums
            .iter()
            .map(|x| (x.name.as_str(), next()))
            .collect();
        let managed = namespace
            .managed
            .iter()
            .map(|x| (x.name.as_str(), next()))
            .collect();
        let mut methods: Vec<Called<'s>> = Vec::new();
        for owner in &namespace.managed {
            let own = owner.methods.iter().filter(|m| m.namespace.is_none());
            methods.extend(own.map(|method| Called {
                method,
                owner: &owner.name,
                id: 0,
            }));
        }
        methods.sort_by(|a, b| a.method.name.cmp(&b.method.name));
        for called in &mut methods {
            called.id = next();
        }
        for pair in methods.windows(2) {
            let [a, b] = pair else { continue };
            ensure!(
                a.method.name != b.method.name,
                "two methods are called {}",
                a.method.name
            );
        }

        let bases = namespace
            .data
            .iter()
            .filter_map(|x| x.base.as_ref())
            .filter(|base| base.namespace.is_none())
            .map(|base| base.name.as_str())
            .collect();
        let model = Self {
            namespace,
            first_id,
            versions: &schema.versions,
            methods,
            data,
            enums,
            managed,
            bases,
        };
        model.check_ids(name)?;
        Ok(model)
    }

    fn check_ids(&self, name: &str) -> Result<()> {
        let rows = self.data.len() + self.enums.len() + self.managed.len() + 2 * self.methods.len();
        let end = usize::from(self.first_id) + rows;
        let next = FIRST_IDS
            .iter()
            .map(|&(_, first)| first)
            .filter(|first| *first > self.first_id);
        let limit = next.min().unwrap_or(u16::MAX);
        ensure!(
            end <= usize::from(limit),
            "the types of {name} do not fit into its range of ids"
        );
        Ok(())
    }

    /// Type id of a data type of this namespace.
    pub(crate) fn data_id(&self, name: &str) -> Result<u16> {
        self.data
            .get(name)
            .copied()
            .with_context(|| format!("no data type is called {name}"))
    }

    /// Type id of an enum of this namespace.
    pub(crate) fn enum_id(&self, name: &str) -> Result<u16> {
        self.enums
            .get(name)
            .copied()
            .with_context(|| format!("no enum is called {name}"))
    }

    /// Type id of a managed object type of this namespace.
    pub(crate) fn managed_id(&self, name: &str) -> Result<u16> {
        self.managed
            .get(name)
            .copied()
            .with_context(|| format!("no managed object type is called {name}"))
    }

    /// The base of a data type and its type id.
    pub(crate) fn base(&self, data: &Data) -> Result<Option<(&'s Data, u16)>> {
        match &data.base {
            Some(base) => {
                let id = self.data_id(&base.to_string())?;
                Ok(Some((
                    &self.namespace.data[usize::from(id - self.first_id)],
                    id,
                )))
            }
            None => Ok(None),
        }
    }

    /// The proper ancestors of a data type, nearest first.
    pub(crate) fn ancestors(&self, data: &Data) -> Result<Vec<&'s Data>> {
        let mut chain: Vec<&'s Data> = Vec::new();
        let mut base = self.base(data)?;
        while let Some((ancestor, _)) = base {
            ensure!(
                !chain.iter().any(|seen| seen.name == ancestor.name),
                "{} derives from itself",
                ancestor.name
            );
            chain.push(ancestor);
            base = self.base(ancestor)?;
        }
        Ok(chain)
    }

    /// The proper ancestors of a managed object type, nearest first.
    pub(crate) fn managed_ancestors(&self, managed: &Managed) -> Result<Vec<&'s Managed>> {
        let mut chain: Vec<&'s Managed> = Vec::new();
        let mut base = managed.base.as_ref();
        while let Some(name) = base {
            let name = name.to_string();
            let found = self.namespace.managed.iter().find(|m| m.name == name);
            let ancestor = found.with_context(|| format!("no managed type is called {name}"))?;
            ensure!(
                !chain.iter().any(|seen| seen.name == ancestor.name),
                "{name} derives from itself"
            );
            chain.push(ancestor);
            base = ancestor.base.as_ref();
        }
        Ok(chain)
    }

    /// What a member holds. The wire carries a link as the key of the object, a string.
    pub(crate) fn member(&self, member: &Member) -> Result<Type> {
        let mut ty = self
            .ty(&member.ty)
            .with_context(|| format!("the type of {}", member.name))?;
        if member.link {
            ty.kind = Kind::String;
            ty.named = None;
            ty.poly = false;
        }
        Ok(ty)
    }

    /// Resolves a declared type. What stands in another namespace is `Any`: that
    /// namespace may not be compiled in.
    pub(crate) fn ty(&self, expr: &TypeExpr) -> Result<Type> {
        let Name { namespace, name } = &expr.name;
        let named = |id: u16| Some((id, names::type_name(name)));
        let (kind, named) = if namespace.is_some() {
            (Kind::Any, None)
        } else if let Some(kind) = builtin(name) {
            (kind, None)
        } else if let Some(&id) = self.data.get(name.as_str()) {
            (Kind::Object, named(id))
        } else if let Some(&id) = self.enums.get(name.as_str()) {
            (Kind::Enum, named(id))
        } else {
            (Kind::Ref, named(self.managed_id(name)?))
        };
        Ok(Type {
            kind,
            named,
            poly: kind == Kind::Object && self.bases.contains(name.as_str()),
            array: expr.array,
            optional: expr.optional,
        })
    }

    /// The fields that must be boxed, as (type, field): without the box the type
    /// would contain itself.
    pub(crate) fn boxed(&self) -> Result<BTreeSet<(&'s str, &'s str)>> {
        // What each type holds in place: its base and its required single objects.
        let mut holds: HashMap<&str, Vec<(&'s str, Option<&'s str>)>> = HashMap::new();
        for data in &self.namespace.data {
            let mut parts = Vec::new();
            if let Some((base, _)) = self.base(data)? {
                parts.push((base.name.as_str(), None));
            }
            for field in &data.fields {
                let ty = self.member(field)?;
                let plain = ty.kind == Kind::Object && !ty.poly && !ty.array && !ty.optional;
                if plain {
                    parts.push((field.ty.name.name.as_str(), Some(field.name.as_str())));
                }
            }
            holds.insert(&data.name, parts);
        }
        let mut boxed = BTreeSet::new();
        for data in &self.namespace.data {
            for &(part, field) in holds.get(data.name.as_str()).into_iter().flatten() {
                let Some(field) = field else { continue };
                if reaches(&holds, part, &data.name) {
                    boxed.insert((data.name.as_str(), field));
                }
            }
        }
        Ok(boxed)
    }
}

/// Whether `from` holds `to` in place, at any depth, or is it.
fn reaches(holds: &HashMap<&str, Vec<(&str, Option<&str>)>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(holds.get(at).into_iter().flatten().map(|&(part, _)| part));
        }
    }
    false
}

fn builtin(name: &str) -> Option<Kind> {
    Some(match name {
        "string" | "propertyPath" | "typeName" | "methodName" => Kind::String,
        "boolean" => Kind::Bool,
        "byte" => Kind::Byte,
        "short" => Kind::Short,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "dateTime" => Kind::DateTime,
        "binary" => Kind::Binary,
        "anyURI" => Kind::Uri,
        "anyType" => Kind::Any,
        _ => return None,
    })
}
