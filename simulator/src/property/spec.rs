//! Validates specifications, and converts them to a form for fast traversal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vim25::schema::{self, Type, TypeKind};
use vim25::types::{PropertyFilterSpec, SelectionSpec, TraversalSpec};
use vim25::{AnyRef, Fault, Poly};

use crate::fault;
use crate::interest::Names;
use crate::object::Object;
use crate::property::path;
use crate::view;

/// The number of paths up to which duplicates are found without a set.
const FEW_PATHS: usize = 64;

/// A property filter specification.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(super) original: PropertyFilterSpec,
    types: Vec<TypeSpec>,
    pub(super) roots: Vec<Root>,
    named: HashMap<String, Arc<Traversal>>,
    pub(super) report_missing: bool,
}

#[derive(Debug)]
struct TypeSpec {
    ty: Type,
    all: bool,
    paths: Vec<String>,
}

/// A start object.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) object: AnyRef,
    pub(super) skip: bool,
    pub(super) select: Vec<Select>,
}

/// The traversals from a start object.
#[derive(Clone, Debug)]
pub(super) enum Select {
    Traverse(Arc<Traversal>),
    Named(String),
}

/// A step from an object to the objects that one of its properties refers to.
#[derive(Debug)]
pub(super) struct Traversal {
    name: Option<String>,
    ty: Type,
    pub(super) path: String,
    pub(super) skip: bool,
    pub(super) select: Vec<Select>,
}

impl Spec {
    pub(crate) fn new(original: PropertyFilterSpec) -> Result<Self, Fault> {
        let mut types = Vec::with_capacity(original.prop_set.len());
        for spec in &original.prop_set {
            let ty = managed(&spec.type_)?;
            // A single property that the type does not have fails the whole call.
            for path in &spec.path_set {
                check(ty, path)?;
            }
            types.push(TypeSpec {
                ty,
                all: spec.all.unwrap_or(false),
                paths: spec.path_set.clone(),
            });
        }
        let mut named = HashMap::new();
        let mut roots = Vec::with_capacity(original.object_set.len());
        for spec in &original.object_set {
            roots.push(Root {
                object: spec.obj.clone(),
                skip: spec.skip.unwrap_or(false),
                select: selections(&spec.select_set, &mut named)?,
            });
        }
        let spec = Self {
            report_missing: original.report_missing_objects_in_results.unwrap_or(false),
            original,
            types,
            roots,
            named,
        };
        for root in &spec.roots {
            spec.check_names(&root.select)?;
        }
        for traversal in spec.named.values() {
            spec.check_names(&traversal.select)?;
        }
        Ok(spec)
    }

    fn check_names(&self, select: &[Select]) -> Result<(), Fault> {
        for select in select {
            match select {
                Select::Named(name) if !self.named.contains_key(name) => {
                    return Err(fault::invalid_argument("selectSet.name"));
                }
                Select::Traverse(traversal) => self.check_names(&traversal.select)?,
                Select::Named(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn traversal<'s>(&'s self, select: &'s Select) -> Option<&'s Arc<Traversal>> {
        match select {
            Select::Traverse(traversal) => Some(traversal),
            Select::Named(name) => self.named.get(name),
        }
    }

    /// Returns whether traversals may lead back to themselves, because some are named.
    pub(super) fn recurs(&self) -> bool {
        let mut steps: Vec<&Select> = self.roots.iter().flat_map(|root| &root.select).collect();
        while let Some(step) = steps.pop() {
            match step {
                Select::Named(_) => return true,
                Select::Traverse(traversal) => steps.extend(&traversal.select),
            }
        }
        false
    }

    /// Returns whether views can be among the reported objects. Their content changes with objects that
    /// the specification does not name.
    pub(super) fn reports_views(&self) -> bool {
        let names = ["ContainerView", "InventoryView", "ListView"];
        let views = names.into_iter();
        let mut views = views.filter_map(|name| schema::find(TypeKind::Managed, name));
        views.any(|view| self.types.iter().any(|spec| view.is_a(spec.ty)))
    }

    /// Returns the properties on which the selection and its content depend.
    pub(super) fn names(&self) -> Names {
        let mut names = HashSet::new();
        let mut add = |path: &str| {
            let (name, _) = path::split(path);
            if name == "view" {
                names.extend(view::children().map(|(_, name)| name.into()));
            }
            names.insert(name.into());
        };
        for spec in &self.types {
            if spec.all {
                return Names::All;
            }
            spec.paths.iter().for_each(|path| add(path));
        }
        let mut pending: Vec<&Select> = self.roots.iter().flat_map(|root| &root.select).collect();
        while let Some(step) = pending.pop() {
            // Named traversals are part of others, and may be recursive.
            if let Select::Traverse(traversal) = step {
                add(&traversal.path);
                pending.extend(&traversal.select);
            }
        }
        Names::These(names)
    }

    /// Returns whether objects of this type are reported.
    pub(super) fn concerns(&self, object: &Object) -> bool {
        self.types.iter().any(|spec| object.ty().is_a(spec.ty))
    }

    /// Returns the number of properties that the specification names, for the limit on what a session
    /// selects. Those of a type of which all are requested count as one.
    pub(super) fn width(&self) -> usize {
        let named = self.types.iter();
        named
            .map(|spec| spec.paths.len() + usize::from(spec.all))
            .sum()
    }

    /// Returns the paths to read, without duplicates, in the requested order.
    pub(super) fn paths<'s>(&'s self, object: &Object) -> Vec<&'s str> {
        let mut paths: Vec<&str> = Vec::new();
        // Only long lists need a set.
        let mut seen: Option<HashSet<&str>> = (self.width() > FEW_PATHS).then(HashSet::new);
        let mut add = |path: &'s str| {
            let is_new = match &mut seen {
                Some(seen) => seen.insert(path),
                None => !paths.contains(&path),
            };
            if is_new {
                paths.push(path);
            }
        };
        let matching = self.types.iter().filter(|spec| object.ty().is_a(spec.ty));
        for spec in matching {
            let all = spec.all.then(|| super::read::names(object));
            all.into_iter().flatten().for_each(&mut add);
            spec.paths.iter().for_each(|path| add(path));
        }
        paths
    }
}

impl Traversal {
    /// Returns the type of the objects that the step applies to.
    pub(super) const fn ty(&self) -> Type {
        self.ty
    }

    /// Returns whether the step applies to objects of this type.
    pub(super) fn applies(&self, object: &Object) -> bool {
        object.ty().is_a(self.ty)
    }
}

/// Returns a managed object type by its wire name.
fn managed(name: &str) -> Result<Type, Fault> {
    schema::find(TypeKind::Managed, name).ok_or_else(|| fault::invalid_type(name))
}

fn check(ty: Type, path: &str) -> Result<(), Fault> {
    if path::is_valid(ty, path) {
        Ok(())
    } else {
        Err(fault::invalid_property(path))
    }
}

fn selections(
    specs: &[Poly<SelectionSpec>],
    named: &mut HashMap<String, Arc<Traversal>>,
) -> Result<Vec<Select>, Fault> {
    let malformed = |_| fault::invalid_argument("selectSet");
    let mut found = Vec::with_capacity(specs.len());
    for spec in specs {
        let Some(traversal) = spec.get::<TraversalSpec>().map_err(malformed)? else {
            let spec = spec.base::<SelectionSpec>().map_err(malformed)?;
            let name = spec.and_then(|spec| spec.name.clone());
            let name = name.ok_or_else(|| fault::invalid_argument("selectSet.name"))?;
            found.push(Select::Named(name));
            continue;
        };
        let ty = managed(&traversal.type_)?;
        check(ty, &traversal.path)?;
        let traversal = Arc::new(Traversal {
            ty,
            name: traversal.base.name,
            path: traversal.path,
            skip: traversal.skip.unwrap_or(false),
            select: selections(&traversal.select_set, named)?,
        });
        if let Some(name) = &traversal.name {
            named.insert(name.clone(), Arc::clone(&traversal));
        }
        found.push(Select::Traverse(traversal));
    }
    Ok(found)
}
