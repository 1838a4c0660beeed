//! In-memory implementations of the traits, for tests of front ends. They follow the same rules,
//! without an endpoint or machines.

mod behaviour;
mod events;
mod exec;
mod images;
mod log;
mod networks;
mod pipes;
mod process;
mod store;
mod streams;
mod values;

pub use behaviour::{Behaviour, Program};
pub use events::MemoryEvents;
pub use exec::MemoryExec;
pub use images::MemoryImages;
pub use networks::MemoryNetworks;
pub use process::MemoryProcess;
pub use streams::MemoryStreams;
pub use values::MemoryStore;
