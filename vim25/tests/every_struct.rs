//! Every type of the schema, with every field set: as a struct and back.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod sample;

use sample::object;
use vim25::schema::{self, TypeKind};
use vim25::{Any, DataObject};

fn survives<T: DataObject>(uri: &str) {
    let ty = schema::find_in(uri, T::type_name()).unwrap();
    let mut value = Any::from_json(&object(ty, 2).to_string()).unwrap();
    if value.get::<T>().is_err() {
        // The name alone is ambiguous: two namespaces have it.
        value = Any::new(&T::default());
    }
    let typed: T = value
        .get()
        .unwrap_or_else(|error| panic!("{ty:?}: {error}"));
    assert!(
        Any::new(&typed) == value,
        "{ty:?}: {:?} is not {value:?}",
        Any::new(&typed)
    );
}

macro_rules! every_struct {
    ($test:ident, $uri:literal, $($module:ident)::+, { $($name:ident),* $(,)? }) => {
        #[test]
        fn $test() {
            use $($module)::+ as all;
            let checks: &[(&str, fn(&str))] = &[$( (stringify!($name), survives::<all::$name>) ),*];
            // The list is complete: one name for each data type.
            let types = schema::types()
                .filter(|ty| ty.kind() == TypeKind::Data && ty.namespace() == $uri)
                .count();
            let mut names: Vec<_> = checks.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), types);
            checks.iter().for_each(|(_, check)| check($uri));
        }
    };
}

include!("generated/every_struct.rs");
