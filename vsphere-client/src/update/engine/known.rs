//! The last known properties of the objects of a selection.
//!
//! The server reports only properties that changed, and subscribers are given all of them. There
//! may be tens of thousands of objects, so their properties are packed in between.

use std::collections::HashMap;
use std::sync::Arc;

use vim25::{Any, AnyRef, Fault, Packed, Packer};

use crate::property::ObjectProperties;
use crate::update::slot::Content;

/// The objects of a selection. The values of a machine with 30 keys of `extraConfig` occupy less than
/// a fifth of what they occupy in a document (see the tests).
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `None` for an object whose properties the subscriber keeps.
    objects: HashMap<AnyRef, Option<Properties>>,
    packer: Packer,
}

/// The properties of one object.
#[derive(Debug)]
struct Properties {
    values: Packed,
    /// The watched path of each value, by its index.
    paths: Box<[u16]>,
    missing: Box<[(String, Fault)]>,
}

impl Known {
    pub(super) fn contains(&self, object: &AnyRef) -> bool {
        self.objects.contains_key(object)
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &AnyRef> {
        self.objects.keys()
    }

    pub(super) fn remove(&mut self, object: &AnyRef) {
        self.objects.remove(object);
    }

    /// Adds an object whose properties the subscriber keeps.
    pub(super) fn add(&mut self, object: AnyRef) {
        self.objects.insert(object, None);
    }

    /// Adds an object, or replaces its properties.
    pub(super) fn keep(&mut self, content: &Content, watched: &[String]) {
        let position = |path: &str| {
            let at = watched.iter().position(|watched| watched == path)?;
            u16::try_from(at).ok()
        };
        let (paths, values): (Vec<_>, Vec<Any>) = content
            .values()
            .filter_map(|(path, value)| Some((position(path)?, value.clone())))
            .unzip();
        let missing = content.missing();
        let missing = missing.map(|(path, fault)| (path.to_owned(), fault.clone()));
        let properties = Properties {
            values: self.packer.pack(&values),
            paths: paths.into(),
            missing: missing.collect(),
        };
        let object = content.object().clone();
        self.objects.insert(object, Some(properties));
    }

    /// Returns the properties of an object, if they are kept here.
    pub(super) fn get(&self, object: &AnyRef, watched: &[String]) -> Option<Content> {
        let properties = self.objects.get(object)?.as_ref()?;
        let paths = properties.paths.iter();
        let paths = paths.map(|at| watched.get(usize::from(*at)).cloned().unwrap_or_default());
        let values = paths.zip(self.packer.unpack(&properties.values));
        Some(Arc::new(ObjectProperties::from_parts(
            object.clone(),
            values.collect(),
            properties.missing.to_vec(),
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use vim25::types::{NotAuthenticated, OptionValue, VirtualMachinePowerState};
    use vim25::{Ref, mo};

    use super::*;

    #[test]
    fn objects_come_back_as_they_were_kept() {
        let watched = ["name", "config.extraConfig", "runtime"].map(str::to_owned);
        let mut known = Known::default();
        let content = |number: u32| {
            let vm: Ref<mo::VirtualMachine> = Ref::new(&format!("vm-{number}"));
            let mut content = ObjectProperties::empty(vm.upcast());
            let options = vec![OptionValue::new("guestinfo.id", &*format!("{number}"))];
            content.assign("config.extraConfig", Some(Any::new(&options)));
            content.assign("name", Some(Any::new(&format!("machine {number}"))));
            content.miss("runtime", Fault::new("no", NotAuthenticated::default()));
            Arc::new(content)
        };
        for number in 0..10 {
            known.keep(&content(number), &watched);
        }
        for number in 0..10 {
            let expected = content(number);
            let back = known.get(expected.object(), &watched).unwrap();
            assert_eq!(format!("{back:?}"), format!("{expected:?}"));
        }
        known.add(content(3).object().clone());
        assert!(known.contains(content(3).object()));
        assert!(known.get(content(3).object(), &watched).is_none());
        known.remove(content(3).object());
        assert_eq!(known.objects().count(), 9);
    }

    /// 10,000 containers: each with 30 keys, half of which have a value of their own.
    #[test]
    fn ten_thousand_machines_are_kept_in_a_few_megabytes() {
        const MACHINES: usize = 10_000;
        let watched = ["name", "config.extraConfig", "runtime.powerState"].map(str::to_owned);
        let mut known = Known::default();
        let mut unpacked = 0;
        for machine in 0..MACHINES {
            let vm: Ref<mo::VirtualMachine> = Ref::new(&format!("vm-{machine}"));
            let mut content = ObjectProperties::empty(vm.upcast());
            let option = |key: usize| {
                let own = key.is_multiple_of(2);
                let value = if own {
                    format!("value {key} of {machine}")
                } else {
                    format!("the same value {key} of all machines")
                };
                let name = format!("guestinfo.vice./common/section/property-{key}");
                OptionValue::new(&*name, &*value)
            };
            let options: Vec<_> = (0..30).map(option).collect();
            content.assign("name", Some(Any::new(&format!("machine-{machine}"))));
            content.assign("config.extraConfig", Some(Any::new(&options)));
            content.assign(
                "runtime.powerState",
                Some(Any::new(&VirtualMachinePowerState::PoweredOn)),
            );
            let sizes = content.values().map(|(_, value)| value.size());
            unpacked += sizes.sum::<usize>();
            known.keep(&Arc::new(content), &watched);
        }
        let kept = known.objects.values().flatten();
        let packed: usize = kept.map(|properties| properties.values.size()).sum();
        let each = packed / MACHINES;
        assert!(each < 600, "{each} of {}", unpacked / MACHINES);
        assert!(packed * 5 < unpacked, "{packed} of {unpacked}");
    }
}
