//! Reads properties once, in a single response or in pages.

use std::sync::Arc;

use vim25::types::{
    DynamicProperty, LocalizedMethodFault, MissingProperty, ObjectContent, PropertyFilterSpec,
    RetrieveOptions, RetrieveResult,
};
use vim25::{AnyRef, Fault};

use crate::fault;
use crate::invocation::{Answer, Invocation, nothing, value};
use crate::property::page::Page;
use crate::property::select::{content, select};
use crate::property::spec::Spec;

/// Maximum number of results per session with pages that were not requested yet; the oldest is
/// dropped.
const OPEN_PAGES: usize = 64;

/// The objects that a request selects, in order.
struct Found {
    specs: Arc<Vec<Spec>>,
    objects: Vec<(AnyRef, usize)>,
    /// Requested objects that do not exist, if missing objects are an error.
    missing: Vec<AnyRef>,
}

pub(super) fn all(inv: &mut Invocation<'_, '_>) -> Answer {
    let found = search(inv)?;
    let objects = read(inv, &found.specs, &found.objects);
    value(&objects)
}

pub(super) fn first_page(inv: &mut Invocation<'_, '_>) -> Answer {
    let options: RetrieveOptions = inv.arg("options")?;
    let asked = super::bound("options.maxObjects", options.max_objects)?;
    let found = search(inv)?;
    let own = inv.tx.shared().settings.page_size;
    let size = asked.unwrap_or(usize::MAX).min(own);
    let mut result = page(inv, found.specs, found.objects, size)?;
    for object in found.missing {
        let fault = fault::not_found(&object);
        result.objects.push(ObjectContent {
            obj: object,
            prop_set: Vec::new(),
            missing_set: vec![MissingProperty {
                path: String::new(),
                fault: LocalizedMethodFault::from(&fault),
            }],
        });
    }
    if result.objects.is_empty() {
        return nothing();
    }
    value(&result)
}

pub(super) fn next_page(inv: &mut Invocation<'_, '_>) -> Answer {
    let page = take_page(inv)?;
    value(&self::page(inv, page.spec, page.rest, page.size)?)
}

pub(super) fn cancel(inv: &mut Invocation<'_, '_>) -> Answer {
    take_page(inv)?;
    nothing()
}

fn search(inv: &mut Invocation<'_, '_>) -> Result<Found, Fault> {
    let session = inv.caller.session.as_ref();
    let specs: Vec<PropertyFilterSpec> = inv.arg("specSet")?;
    let specs: Vec<Spec> = specs.into_iter().map(Spec::new).collect::<Result<_, _>>()?;
    let mut objects = Vec::new();
    let mut missing = Vec::new();
    // Each call may select as much as the filters of a session: it keeps less, and not for long.
    let mut room = inv.tx.shared().settings.selection;
    for (at, spec) in specs.iter().enumerate() {
        let selected = select(inv.tx, session, spec, room)?;
        room -= selected.entries;
        match selected.missing.first() {
            Some(object) if !spec.report_missing => return Err(fault::not_found(object)),
            _ => missing.extend(selected.missing),
        }
        objects.extend(selected.objects.iter().map(|o| (o.reference().clone(), at)));
    }
    Ok(Found {
        specs: Arc::new(specs),
        objects,
        missing,
    })
}

/// Returns the first page, with a token for the rest.
fn page(
    inv: &mut Invocation<'_, '_>,
    specs: Arc<Vec<Spec>>,
    mut objects: Vec<(AnyRef, usize)>,
    size: usize,
) -> Result<RetrieveResult, Fault> {
    let rest = objects.split_off(size.min(objects.len()));
    let mut result = RetrieveResult {
        token: None,
        objects: read(inv, &specs, &objects),
    };
    if !rest.is_empty() {
        let token = inv.tx.ids().uuid().to_string();
        let collector = inv.this.value().into();
        let key = inv.caller.session()?;
        let session = inv.tx.sessions().get(key);
        let session = session.ok_or_else(|| fault::not_authenticated(None))?;
        while session.pages.len() >= OPEN_PAGES {
            session.pages.pop_front();
        }
        session.pages.push_back(Page {
            token: token.clone(),
            collector,
            spec: specs,
            rest,
            size,
        });
        result.token = Some(token);
    }
    Ok(result)
}

/// Removes and returns the rest of a result. A token can be used once, in its session and on
/// its collector.
fn take_page(inv: &mut Invocation<'_, '_>) -> Result<Page, Fault> {
    let token: String = inv.arg("token")?;
    let key = inv.caller.session()?;
    let pages = inv.tx.sessions().get(key).map(|session| &mut session.pages);
    let this = inv.this.value();
    pages
        .and_then(|pages| {
            let fits = |page: &Page| page.token == token && *page.collector == *this;
            let at = pages.iter().position(fits)?;
            pages.remove(at)
        })
        .ok_or_else(|| fault::invalid_property("token"))
}

/// Reads the requested properties of each object. Objects that were deleted in the meantime
/// are skipped.
fn read(
    inv: &mut Invocation<'_, '_>,
    specs: &[Spec],
    objects: &[(AnyRef, usize)],
) -> Vec<ObjectContent> {
    let session = inv.caller.session.as_ref();
    let mut contents = Vec::with_capacity(objects.len());
    for (reference, spec) in objects {
        let Ok(object) = inv.tx.visible(reference, session).cloned() else {
            continue;
        };
        let Some(spec) = specs.get(*spec) else {
            continue;
        };
        let content = content(inv.tx, session, spec, &object);
        contents.push(ObjectContent {
            obj: reference.clone(),
            prop_set: content
                .values
                .into_iter()
                .map(|(name, val)| DynamicProperty { name, val })
                .collect(),
            missing_set: content
                .missing
                .into_iter()
                .map(|(path, fault)| MissingProperty {
                    path,
                    fault: LocalizedMethodFault::from(&fault),
                })
                .collect(),
        });
    }
    contents
}
