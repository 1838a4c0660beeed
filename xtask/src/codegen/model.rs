//! One namespace, resolved: ids, declared types, and inheritance.
//!
//! A namespace may refer to its own types and to those of vim25, which is always compiled in.
//!
//! A type id is `first_id` plus the row in the namespace's type table. The rows are, in
//! this order: the data types by wire name, the enums, the managed object types, one
//! request per method by wire name, and one response per method in the order of the
//! requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, ensure};

use super::declared::{Kind, Type, builtin};
use super::names;
use super::schema::{Data, Managed, Member, Method, Name, Namespace, Schema, TypeExpr};

/// The namespace that all others may refer to.
pub(crate) const VIM25: &str = "vim25";

/// The namespace of undocumented methods, from `extras`.
pub(crate) const INTERNAL: &str = "internal";

/// The first type id of each namespace, with room to grow.
pub(super) const FIRST_IDS: [(&str, u16); 7] = [
    ("vim25", 0),
    ("vsan", 0x2000),
    ("eam", 0x2800),
    ("sms", 0x3000),
    ("pbm", 0x3800),
    ("vslm", 0x4000),
    (INTERNAL, 0x4800),
];

/// A method and the managed object type that declares it.
pub(crate) struct Called<'s> {
    pub(crate) method: &'s Method,
    pub(crate) owner: Found<'s, Managed>,
    pub(crate) id: u16,
}

/// A type to which another one refers.
pub(crate) struct Found<'s, T> {
    pub(crate) item: &'s T,
    pub(crate) id: u16,
    /// Whether it is a type of vim25, used in another namespace.
    pub(crate) foreign: bool,
}

impl<T> Clone for Found<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Found<'_, T> {}

impl<T> Found<'_, T> {
    /// Returns the module with the marker of this managed object type.
    pub(crate) const fn markers(self) -> &'static str {
        markers(self.foreign)
    }
}

/// Returns the module that contains the markers of managed object types. Data types are
/// always in scope by name, but markers are in a separate module.
const fn markers(foreign: bool) -> &'static str {
    if foreign { "crate::mo" } else { "mo" }
}

/// One namespace, ready for generation.
pub(crate) struct Model<'s> {
    pub(crate) namespace: &'s Namespace,
    pub(crate) first_id: u16,
    pub(crate) versions: &'s BTreeMap<String, String>,
    /// The methods by wire name, in the order of their request rows.
    pub(crate) methods: Vec<Called<'s>>,
    data: HashMap<&'s str, u16>,
    enums: HashMap<&'s str, u16>,
    managed: HashMap<&'s str, u16>,
    /// The data types that have subtypes in this namespace, whether they are declared
    /// here or in vim25.
    bases: BTreeSet<&'s str>,
    schema: &'s Schema,
    /// The model of vim25; `None` if this is vim25 itself.
    vim25: Option<&'s Self>,
}

impl<'s> Model<'s> {
    /// Resolves one namespace of the schema. Every namespace except vim25 needs the model
    /// of vim25.
    pub(crate) fn of(schema: &'s Schema, name: &str, vim25: Option<&'s Self>) -> Result<Self> {
        let find = |ns: &&Namespace| ns.name == name;
        let namespace = schema
            .namespaces
            .iter()
            .find(find)
            .with_context(|| format!("the schema has no namespace {name}"))?;
        let first_id = first_id(name)?;

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
        let elsewhere = vim25.map_or(&[][..], |vim25| &vim25.namespace.managed);
        let owners = namespace.managed.iter().map(|owner| (owner, false));
        for (item, foreign) in owners.chain(elsewhere.iter().map(|owner| (owner, true))) {
            let ids = if foreign {
                vim25.map(|vim25| &vim25.managed)
            } else {
                Some(&managed)
            };
            let id = ids.and_then(|ids: &HashMap<&str, u16>| ids.get(item.name.as_str()));
            let &id = id.with_context(|| format!("no managed type is called {}", item.name))?;
            let owner = Found { item, id, foreign };
            let here = |m: &&Method| match &m.namespace {
                Some(namespace) => namespace == name,
                None => !foreign,
            };
            methods.extend(item.methods.iter().filter(here).map(|method| Called {
                method,
                owner,
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
            schema,
            vim25,
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

    /// Returns whether this is vim25, the namespace that is always compiled in.
    pub(crate) const fn is_vim25(&self) -> bool {
        self.vim25.is_none()
    }

    /// Returns the imports of vim25's data types, or an empty text in vim25 itself.
    pub(crate) const fn scope(&self) -> &'static str {
        if self.is_vim25() {
            ""
        } else {
            "use crate::types::*;\n"
        }
    }

    /// Returns the type id of a data type of this namespace.
    pub(crate) fn data_id(&self, name: &str) -> Result<u16> {
        self.data
            .get(name)
            .copied()
            .with_context(|| format!("no data type is called {name}"))
    }

    /// Returns the type id of an enum of this namespace.
    pub(crate) fn enum_id(&self, name: &str) -> Result<u16> {
        self.enums
            .get(name)
            .copied()
            .with_context(|| format!("no enum is called {name}"))
    }

    /// Returns the type id of a managed object type of this namespace.
    pub(crate) fn managed_id(&self, name: &str) -> Result<u16> {
        self.managed
            .get(name)
            .copied()
            .with_context(|| format!("no managed object type is called {name}"))
    }

    /// Returns the model in which to look up a name, and whether it is a different model;
    /// `None` for a namespace that may not be compiled in.
    fn home(&self, name: &Name) -> Option<(&Self, bool)> {
        match &name.namespace {
            None => Some((self, false)),
            Some(namespace) if namespace == VIM25 => Some((self.vim25?, true)),
            Some(_) => None,
        }
    }

    /// Returns the model in which to look up a base, which must exist.
    fn home_of_base(&self, name: &Name) -> Result<(&Self, bool)> {
        self.home(name)
            .with_context(|| format!("the base {name} may not be compiled in"))
    }

    /// Returns the proper ancestors of a data type, nearest first.
    pub(crate) fn ancestors(&self, data: &Data) -> Result<Vec<Found<'s, Data>>> {
        let mut chain: Vec<Found<'s, Data>> = Vec::new();
        let (mut model, mut base, mut foreign) = (self, data.base.as_ref(), false);
        while let Some(name) = base {
            let (home, outside) = model.home_of_base(name)?;
            foreign |= outside;
            let id = home.data_id(&name.name)?;
            let item = &home.namespace.data[usize::from(id - home.first_id)];
            ensure!(
                !chain.iter().any(|seen| seen.id == id),
                "{name} derives from itself"
            );
            chain.push(Found { item, id, foreign });
            (model, base) = (home, item.base.as_ref());
        }
        Ok(chain)
    }

    /// Returns the proper ancestors of a managed object type, nearest first.
    pub(crate) fn managed_ancestors(&self, managed: &Managed) -> Result<Vec<Found<'s, Managed>>> {
        let mut chain: Vec<Found<'s, Managed>> = Vec::new();
        let (mut model, mut base, mut foreign) = (self, managed.base.as_ref(), false);
        while let Some(name) = base {
            let (home, outside) = model.home_of_base(name)?;
            foreign |= outside;
            let id = home.managed_id(&name.name)?;
            let found = home.namespace.managed.iter().find(|m| m.name == name.name);
            let item = found.with_context(|| format!("no managed type is called {name}"))?;
            ensure!(
                !chain.iter().any(|seen| seen.id == id),
                "{name} derives from itself"
            );
            chain.push(Found { item, id, foreign });
            (model, base) = (home, item.base.as_ref());
        }
        Ok(chain)
    }

    /// Returns the type of a member. For a linked object, the wire contains its key, a
    /// string.
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

    /// Returns the type of a member of a base, which may be a type of vim25.
    pub(crate) fn inherited(&self, member: &Member, foreign: bool) -> Result<Type> {
        let Some(vim25) = self.vim25.filter(|_| foreign) else {
            return self.member(member);
        };
        let mut ty = vim25.member(member)?;
        if let (Kind::Ref, Some((_, marker))) = (ty.kind, &mut ty.named) {
            marker.insert_str(0, "crate::");
        }
        Ok(ty)
    }

    /// Resolves a declared type. A type of a namespace that may not be compiled in
    /// becomes `Any`, with the id that it has if it is compiled in.
    pub(crate) fn ty(&self, expr: &TypeExpr) -> Result<Type> {
        let Some((home, foreign)) = self.home(&expr.name) else {
            let id = data_id_elsewhere(self.schema, &expr.name)?;
            return Ok(Type {
                kind: Kind::Any,
                named: Some((id, String::new())),
                poly: false,
                array: expr.array,
                optional: expr.optional,
            });
        };
        let name = expr.name.name.as_str();
        let rust = names::type_name(name);
        let (kind, named) = if let Some(kind) = builtin(name) {
            (kind, None)
        } else if let Some(&id) = home.data.get(name) {
            (Kind::Object, Some((id, rust)))
        } else if let Some(&id) = home.enums.get(name) {
            (Kind::Enum, Some((id, rust)))
        } else {
            let marker = format!("{}::{rust}", markers(foreign));
            (Kind::Ref, Some((home.managed_id(name)?, marker)))
        };
        Ok(Type {
            kind,
            named,
            poly: kind == Kind::Object && (home.bases.contains(name) || self.bases.contains(name)),
            array: expr.array,
            optional: expr.optional,
        })
    }
}

fn first_id(namespace: &str) -> Result<u16> {
    let found = FIRST_IDS.iter().find(|(known, _)| *known == namespace);
    found
        .map(|&(_, first)| first)
        .with_context(|| format!("the namespace {namespace} has no range of type ids"))
}

/// Returns the id of a data type of another namespace. Data types come first in each
/// namespace.
fn data_id_elsewhere(schema: &Schema, name: &Name) -> Result<u16> {
    let short = name.namespace.as_deref().unwrap_or(VIM25);
    let namespace = schema.namespaces.iter().find(|ns| ns.name == short);
    let row = namespace.and_then(|ns| ns.data.iter().position(|data| data.name == name.name));
    let row = row.with_context(|| format!("no data type is called {name}"))?;
    Ok(first_id(short)? + u16::try_from(row)?)
}
