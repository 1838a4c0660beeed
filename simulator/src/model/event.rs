//! Events. The history is always empty; it exists so that clients which query events do not
//! fail.

use vim25::mo;
use vim25::types::EventDescription;

use crate::object::Object;
use crate::world::Transaction;

pub(super) fn build(tx: &mut Transaction<'_>) {
    let mut manager = Object::new::<mo::EventManager>(tx.layout().event_manager);
    manager.put("description", &EventDescription::default());
    manager.put("maxCollector", &32i32);
    tx.insert(manager);
}
