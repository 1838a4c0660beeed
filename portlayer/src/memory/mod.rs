//! The traits in memory, for tests of front ends: the same rules without endpoint and machines.

mod behaviour;
mod events;
mod exec;
mod images;
mod networks;
mod store;
mod values;

pub use behaviour::{Behaviour, Program};
pub use events::MemoryEvents;
pub use exec::MemoryExec;
pub use images::MemoryImages;
pub use networks::MemoryNetworks;
pub use values::MemoryStore;
