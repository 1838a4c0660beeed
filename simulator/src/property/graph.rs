//! Keeps the selection of a filter up to date at a cost that depends on what changed, not on the
//! number of selected objects.
//!
//! A specification is a small automaton: each traversal, and the inside of each container view, is a
//! position. A node is an object at a position, and an edge leads from a node to an object that a step
//! finds. Every node is reachable from a start object. A change of an object adds and removes edges at
//! its own nodes only; a node without incoming edges is removed.
//!
//! Where traversals lead back to themselves, such as down by `childEntity` and up by `parent`, nodes in a
//! circle keep each other alive. When such a node loses an edge, and keeps others, the specification is
//! evaluated again: then a change costs as much as the whole selection.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use vim25::AnyRef;
use vim25::schema::Type;

use crate::index;
use crate::interest::Dirty;
use crate::object::{Hidden, Object, SessionKey};
use crate::property::read;
use crate::property::spec::{Select, Spec};
use crate::view::{self, View};
use crate::world::Transaction;

/// The selection of one filter.
#[derive(Debug, Default)]
pub(super) struct Graph {
    positions: Vec<Position>,
    /// The positions behind traversals, by the addresses of the traversals.
    behind: HashMap<usize, usize>,
    /// The positions inside container views, by view and by the position of the view's members.
    inside: HashMap<(Box<str>, usize), usize>,
    /// The nodes of each object.
    nodes: HashMap<Box<str>, Vec<Node>>,
    /// Start objects.
    roots: HashSet<Box<str>>,
    /// Start objects that did not exist when the specification was evaluated.
    absent: HashSet<Box<str>>,
    /// Nodes that may be reachable only from themselves.
    suspects: Vec<(Box<str>, usize)>,
    /// Whether traversals may lead back to themselves.
    recurs: bool,
    /// Objects whose nodes changed since the last call of [`Graph::settle`].
    touched: HashSet<Box<str>>,
    /// The number of nodes and edges.
    size: usize,
    /// The number of entries beyond which the graph stops growing, and is incomplete.
    room: usize,
    /// The number of references that were followed.
    #[cfg(test)]
    pub(super) followed: usize,
}

/// What is done with the objects at a position.
#[derive(Debug, Default)]
struct Position {
    /// Whether the objects are selected, if their type is.
    is_taken: bool,
    steps: Vec<Step>,
}

/// A step from the objects of a type at a position.
#[derive(Clone, Debug)]
struct Step {
    ty: Type,
    path: Arc<str>,
    /// The position of the objects that the step finds.
    next: usize,
    /// The types of these objects; `None` for all.
    types: Option<Arc<[Type]>>,
    /// The position of those that are containers themselves, whose content is found, too.
    inner: Option<usize>,
}

/// An object at a position.
#[derive(Debug)]
struct Node {
    position: usize,
    /// The number of edges to it; a start object has one more.
    incoming: usize,
    edges: Option<Box<Edges>>,
}

/// An edge, by the number of its step, and the object that it leads to.
type Edge = (usize, Box<str>);

#[derive(Debug, Default)]
struct Edges {
    /// Those that a property of the object contains.
    stored: HashSet<Edge>,
    /// Those to the members of a derived list.
    members: HashSet<Edge>,
}

impl Edges {
    fn len(&self) -> usize {
        self.stored.len() + self.members.len()
    }
}

/// What to do next with a node.
enum Todo {
    Enter(Box<str>, usize),
    Leave(Box<str>, usize),
}

impl Graph {
    /// Evaluates a specification. The graph is incomplete if it has more than `room` entries.
    pub(super) fn new(
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        spec: &Spec,
        room: usize,
    ) -> Self {
        let mut graph = Self {
            recurs: spec.recurs(),
            room,
            ..Self::default()
        };
        for root in &spec.roots {
            let Ok(object) = tx.visible(&root.object, Some(session)).cloned() else {
                graph.absent.insert(root.object.value().into());
                continue;
            };
            let position = graph.positions.len();
            graph.positions.push(Position {
                is_taken: !root.skip,
                steps: Vec::new(),
            });
            graph.positions[position].steps = graph.steps(spec, &root.select);
            let value: Box<str> = object.value().into();
            graph.roots.insert(value.clone());
            graph.work(tx, session, vec![Todo::Enter(value, position)]);
        }
        graph
    }

    /// Returns its number of entries, see [`selection`](super::selection).
    pub(super) fn entries(&self) -> usize {
        self.positions.len() + self.absent.len() + self.size
    }

    /// Returns what `size` has to be.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let nodes = self.nodes.values().flatten();
        nodes
            .map(|node| 1 + node.edges.as_ref().map_or(0, |edges| edges.len()))
            .sum()
    }

    /// Iterates over the start objects that did not exist when the specification was evaluated.
    pub(super) fn absent(&self) -> impl Iterator<Item = &str> {
        self.absent.iter().map(|value| &**value)
    }

    /// Converts the steps of a selection.
    fn steps(&mut self, spec: &Spec, select: &[Select]) -> Vec<Step> {
        let mut steps = Vec::with_capacity(select.len());
        for traversal in select.iter().filter_map(|select| spec.traversal(select)) {
            let address = Arc::as_ptr(traversal).addr();
            let next = match self.behind.get(&address) {
                Some(next) => *next,
                None => {
                    let next = self.positions.len();
                    self.positions.push(Position {
                        is_taken: !traversal.skip,
                        steps: Vec::new(),
                    });
                    // Before its own steps, which may lead back to it.
                    self.behind.insert(address, next);
                    let own = self.steps(spec, &traversal.select);
                    self.positions[next].steps = own;
                    next
                }
            };
            steps.push(Step {
                ty: traversal.ty(),
                path: traversal.path.as_str().into(),
                next,
                types: None,
                inner: None,
            });
        }
        steps
    }

    /// Returns the position of the container of a view, of which the members are at `next`.
    fn inside(&mut self, view: &str, types: &[Type], recursive: bool, next: usize) -> usize {
        let key = (Box::from(view), next);
        if let Some(position) = self.inside.get(&key) {
            return *position;
        }
        // Containers form a tree, unless a property was set from outside.
        self.recurs |= recursive;
        let position = self.positions.len();
        let types = Some(Arc::from(types)).filter(|types: &Arc<[Type]>| !types.is_empty());
        let steps = view::children().map(|(ty, path)| Step {
            ty,
            path: path.into(),
            next,
            types: types.clone(),
            inner: recursive.then_some(position),
        });
        let steps = steps.collect();
        self.positions.push(Position {
            is_taken: false,
            steps,
        });
        self.inside.insert(key, position);
        position
    }

    /// Follows the changes of some objects. Returns whether the whole specification has to be
    /// evaluated again, because a start object has appeared or gone, or a circle of nodes may have lost
    /// its connection. The graph is incomplete if it has more than `room` entries afterwards.
    pub(super) fn update(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        dirty: &Dirty,
        room: usize,
    ) -> bool {
        self.room = room;
        let is_start = |value: &str| {
            self.absent.contains(value) || self.roots.contains(value) && tx.get(value).is_none()
        };
        if dirty.overflow || dirty.objects.iter().any(|value| is_start(value)) {
            return true;
        }
        let mut todo = Vec::new();
        for value in &dirty.objects {
            self.read_again(tx, session, value, &mut todo);
        }
        for (list, member) in &dirty.members {
            self.move_member(tx, session, list, member, &mut todo);
        }
        // Additions first: a node that moves is not removed in between.
        todo.sort_by_key(|todo| matches!(todo, Todo::Leave(..)));
        self.work(tx, session, todo);
        let suspects = std::mem::take(&mut self.suspects);
        suspects
            .iter()
            .any(|(value, position)| self.node(value, *position).is_some())
    }

    /// Returns the objects whose nodes changed since the last call, with whether they are selected, and
    /// whether they are of interest: selected, or with steps to other objects.
    pub(super) fn settle(
        &mut self,
        tx: &Transaction<'_>,
        spec: &Spec,
    ) -> Vec<(Box<str>, bool, bool)> {
        let touched = std::mem::take(&mut self.touched);
        let settled = touched.into_iter().map(|value| {
            let (mut selected, mut walked) = (false, false);
            if let (Some(object), Some(nodes)) = (tx.get(&value), self.nodes.get(&value)) {
                for node in nodes {
                    let Some(position) = self.positions.get(node.position) else {
                        continue;
                    };
                    selected |= position.is_taken && spec.concerns(object);
                    walked |= position.steps.iter().any(|step| object.ty().is_a(step.ty));
                }
            }
            (value, selected, selected || walked)
        });
        settled.collect()
    }

    fn node(&self, value: &str, position: usize) -> Option<&Node> {
        let mut nodes = self.nodes.get(value)?.iter();
        nodes.find(|node| node.position == position)
    }

    /// Reads the properties of an object again at all its nodes.
    fn read_again(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        value: &str,
        todo: &mut Vec<Todo>,
    ) {
        let positions = self.nodes.get(value).into_iter().flatten();
        let positions: Vec<usize> = positions.map(|node| node.position).collect();
        let Some(object) = tx.get(value).cloned() else {
            // It is not selected any more, even if something still refers to it.
            for position in positions {
                self.touched.insert(value.into());
                let old = self.edges(value, position).map(std::mem::take);
                let old = old.unwrap_or_default();
                self.size -= old.len();
                for edge in old.stored.iter().chain(&old.members) {
                    self.leave_targets(tx, value, position, edge, todo);
                }
            }
            return;
        };
        for position in positions {
            let steps = self.applicable(&object, position);
            if steps.is_empty() {
                continue;
            }
            let mut stored = HashSet::new();
            for (number, step) in steps {
                let found = self.stored(tx, session, &object, &step);
                stored.extend(found.into_iter().map(|value| (number, value)));
            }
            let old = self
                .edges(value, position)
                .map(|edges| std::mem::replace(&mut edges.stored, stored.clone()))
                .unwrap_or_default();
            self.size = self.size + stored.len() - old.len();
            for edge in stored.difference(&old) {
                self.targets(tx, &object, position, edge, Todo::Enter, todo);
            }
            for edge in old.difference(&stored) {
                self.targets(tx, &object, position, edge, Todo::Leave, todo);
            }
        }
    }

    /// Adds or removes the edges to a member that came to a list or left it.
    fn move_member(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        list: &index::List,
        member: &str,
        todo: &mut Vec<Todo>,
    ) {
        let Some(holder) = tx.get(&list.0).cloned() else {
            return;
        };
        let object = tx.get(member);
        let is_in = object.is_some_and(|object| {
            let is_visible = object.owner.is_none() || object.owner.as_ref() == Some(session);
            is_visible && index::lists(object).contains(list)
        });
        let positions = self.nodes.get(&list.0).into_iter().flatten();
        let positions: Vec<usize> = positions.map(|node| node.position).collect();
        for position in positions {
            for (number, step) in self.applicable(&holder, position) {
                if read::derived(&holder, &step.path) != Some(list.1) {
                    continue;
                }
                let edge = (number, Box::from(member));
                let Some(edges) = self.edges(&list.0, position) else {
                    continue;
                };
                if is_in && edges.members.insert(edge.clone()) {
                    self.size += 1;
                    self.targets(tx, &holder, position, &edge, Todo::Enter, todo);
                } else if !is_in && edges.members.remove(&edge) {
                    self.size -= 1;
                    self.targets(tx, &holder, position, &edge, Todo::Leave, todo);
                }
            }
        }
    }

    /// Returns the steps from an object at a position, with their numbers.
    fn applicable(&self, object: &Object, position: usize) -> Vec<(usize, Step)> {
        let steps = self.positions.get(position).map(|position| &position.steps);
        let steps = steps.into_iter().flatten().enumerate();
        let steps = steps.filter(|(_, step)| object.ty().is_a(step.ty));
        steps.map(|(number, step)| (number, step.clone())).collect()
    }

    fn edges(&mut self, value: &str, position: usize) -> Option<&mut Edges> {
        let mut nodes = self.nodes.get_mut(value)?.iter_mut();
        let node = nodes.find(|node| node.position == position)?;
        Some(node.edges.get_or_insert_default())
    }

    /// Returns the objects that a step finds, without the members of derived lists.
    fn stored(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        object: &Arc<Object>,
        step: &Step,
    ) -> HashSet<Box<str>> {
        let references = match &object.hidden {
            Hidden::View(View::Container { container, .. }) if &*step.path == "view" => {
                vec![container.clone()]
            }
            _ if read::derived(object, &step.path).is_some() => {
                object.list(&step.path).unwrap_or_default()
            }
            _ => read::references(tx, Some(session), object, &step.path),
        };
        self.existing(tx, session, &references)
    }

    fn existing(
        &mut self,
        tx: &Transaction<'_>,
        session: &SessionKey,
        references: &[AnyRef],
    ) -> HashSet<Box<str>> {
        #[cfg(test)]
        {
            self.followed += references.len();
        }
        let visible = references
            .iter()
            .filter_map(|reference| tx.visible(reference, Some(session)).ok());
        visible.map(|object| object.value().into()).collect()
    }

    /// Lists what an edge from an object at a position leads to.
    fn targets(
        &mut self,
        tx: &Transaction<'_>,
        object: &Object,
        position: usize,
        (number, value): &Edge,
        todo: fn(Box<str>, usize) -> Todo,
        out: &mut Vec<Todo>,
    ) {
        let steps = self.positions.get(position).map(|position| &position.steps);
        let Some(step) = steps.and_then(|steps| steps.get(*number)).cloned() else {
            return;
        };
        if let Hidden::View(View::Container {
            types, recursive, ..
        }) = &object.hidden
            && &*step.path == "view"
        {
            let inside = self.inside(object.value(), types, *recursive, step.next);
            out.push(todo(value.clone(), inside));
            return;
        }
        // The type of a removed object is unknown: all its nodes are left.
        let ty = tx.get(value).map(|object| object.ty());
        let is_meant = |ty: Type| {
            let mut types = step.types.iter().flat_map(|types| types.iter());
            step.types.is_none() || types.any(|one| ty.is_a(*one))
        };
        if ty.is_none_or(is_meant) {
            out.push(todo(value.clone(), step.next));
        }
        if let Some(inner) = step.inner
            && ty.is_none_or(view::is_container)
        {
            out.push(todo(value.clone(), inner));
        }
    }

    /// Enters and leaves nodes, and those that they lead to.
    fn work(&mut self, tx: &mut Transaction<'_>, session: &SessionKey, mut todo: Vec<Todo>) {
        // From the end, so that additions are done before removals.
        todo.reverse();
        while let Some(next) = todo.pop() {
            if self.entries() > self.room {
                return;
            }
            match next {
                Todo::Enter(value, position) => {
                    self.enter(tx, session, value, position, &mut todo);
                }
                Todo::Leave(value, position) => self.leave(tx, value, position, &mut todo),
            }
        }
    }

    fn enter(
        &mut self,
        tx: &mut Transaction<'_>,
        session: &SessionKey,
        value: Box<str>,
        position: usize,
        todo: &mut Vec<Todo>,
    ) {
        let nodes = self.nodes.entry(value.clone()).or_default();
        if let Some(node) = nodes.iter_mut().find(|node| node.position == position) {
            node.incoming += 1;
            return;
        }
        nodes.push(Node {
            position,
            incoming: 1,
            edges: None,
        });
        self.size += 1;
        self.touched.insert(value.clone());
        let Some(object) = tx.get(&value).cloned() else {
            return;
        };
        let steps = self.applicable(&object, position);
        if steps.is_empty() {
            return;
        }
        let mut edges = Edges::default();
        for (number, step) in steps {
            let stored = self.stored(tx, session, &object, &step);
            edges
                .stored
                .extend(stored.into_iter().map(|value| (number, value)));
            if let Some(list) = read::derived(&object, &step.path) {
                let members = tx.members(&value, list);
                let members = self.existing(tx, session, &members);
                edges
                    .members
                    .extend(members.into_iter().map(|value| (number, value)));
            }
        }
        for edge in edges.stored.iter().chain(&edges.members) {
            self.targets(tx, &object, position, edge, Todo::Enter, todo);
        }
        self.size += edges.len();
        if let Some(own) = self.edges(&value, position) {
            *own = edges;
        }
    }

    fn leave(
        &mut self,
        tx: &Transaction<'_>,
        value: Box<str>,
        position: usize,
        todo: &mut Vec<Todo>,
    ) {
        let Some(nodes) = self.nodes.get_mut(&value) else {
            return;
        };
        let Some(at) = nodes.iter().position(|node| node.position == position) else {
            return;
        };
        let node = &mut nodes[at];
        node.incoming = node.incoming.saturating_sub(1);
        if node.incoming > 0 {
            let has_edges = node.edges.as_ref();
            if self.recurs
                && has_edges.is_some_and(|e| !e.stored.is_empty() || !e.members.is_empty())
            {
                self.suspects.push((value, position));
            }
            return;
        }
        let node = nodes.swap_remove(at);
        if nodes.is_empty() {
            self.nodes.remove(&value);
        }
        self.touched.insert(value.clone());
        self.size -= 1;
        let Some(edges) = node.edges else {
            return;
        };
        self.size -= edges.len();
        for edge in edges.stored.iter().chain(&edges.members) {
            self.leave_targets(tx, &value, position, edge, todo);
        }
    }

    /// Lists what an edge of a removed node led to. The object of the node may not exist any more.
    fn leave_targets(
        &mut self,
        tx: &Transaction<'_>,
        value: &str,
        position: usize,
        edge: &Edge,
        todo: &mut Vec<Todo>,
    ) {
        if let Some(object) = tx.get(value).cloned() {
            self.targets(tx, &object, position, edge, Todo::Leave, todo);
            return;
        }
        let steps = self.positions.get(position).map(|position| &position.steps);
        let Some(step) = steps.and_then(|steps| steps.get(edge.0)) else {
            return;
        };
        // The content of a removed view is left through its container.
        let next = match self.inside.get(&(value.into(), step.next)) {
            Some(inside) => [Some(*inside), None],
            None => [Some(step.next), step.inner],
        };
        let next = next.into_iter().flatten();
        todo.extend(next.map(|next| Todo::Leave(edge.1.clone(), next)));
    }
}

#[cfg(test)]
mod tests;
