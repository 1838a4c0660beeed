//! The complete vSphere Web Services API (vim25) as Rust types, with its XML
//! codec. This crate does no I/O: a client such as `vsphere-client` sends what
//! it encodes, and a server such as `vsphere-simulator` answers with it.
//!
//! # How it works
//!
//! *Everything is a document.* A message is decoded, driven by tables, into a
//! flat [`Document`]; structs are written into one by the same builder. Fields,
//! types and enum values that the schema does not know (those of a newer server)
//! stay in the document and are sent back unchanged.
//!
//! *Plain structs.* Every data object type is a struct in [`types`], with its
//! base in the field `base` and `Deref` to it. A field that may hold a derived type
//! is a [`Poly`], one that may hold any type an [`Any`]. Both keep the document and
//! convert on demand.
//!
//! *References and calls.* A [`Ref`] names a managed object. Its methods return a
//! [`Call`], a value with receiver, method and arguments that a client sends.
//! [`props`] names every property of every managed object type.
//!
//! *Services.* The main namespace is `urn:vim25`. The features `pbm`, `vslm`, `sms`,
//! `eam` and `vsan` each add a module with the types, methods and properties of that
//! namespace, and the [`Service`] that implements it. A vim25 struct whose subtypes
//! are all in another namespace is a plain field, not a [`Poly`]: converting to it
//! drops what a subtype adds, and its [`Node`] keeps that. The feature `internal` adds
//! undocumented methods of vim25 objects that other clients rely on.
//!
//! *Builders.* A method with many optional parameters returns a builder from
//! [`calls`], which sets them by name. A type whose numbers have no safe default has a
//! `new` that requires them.
//!
//! # What it costs
//!
//! Measured on two cores with Rust 1.95, all of vim25 and no other feature.
//! `cargo xtask cost` and `cargo xtask bench-peers` repeat the measurements.
//!
//! | measure | figure |
//! | --- | --- |
//! | clean build of this crate, dev / release | 11.6 / 16.0 s |
//! | peak memory of rustc | 1.39 GB |
//! | machine code in the library | 280 kB |
//! | release build of a program that names 20 types and 5 methods | 1.8 s |
//! | its stripped size beyond a hello-world program | 0.80 MB |
//! | decode to a document, relative to the rate of bare `quick-xml` events | 0.60 |
//! | decode to structs, relative to bare events | 0.51 |
//! | encode | 990 MB/s |
//! | allocations for a document | 19, whatever its size |
//! | allocations for structs | 0.35 per element |
//! | memory of a document, relative to its XML | 0.60 |
//!
//! ```
//! use vim25::types::{VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation};
//! use vim25::types::{VirtualDisk, VirtualMachineConfigSpec};
//! use vim25::{Poly, Ref, mo};
//!
//! fn grow(vm: &Ref<mo::VirtualMachine>, devices: &[Poly<VirtualDevice>]) -> Result<(), vim25::ConvertError> {
//!     let mut spec = VirtualMachineConfigSpec::default();
//!     for device in devices {
//!         let mut device = device.clone();
//!         if device.modify::<VirtualDisk>(|disk| disk.capacity_in_kb *= 2)? {
//!             spec.device_change.push(Poly::new(VirtualDeviceConfigSpec {
//!                 operation: Some(VirtualDeviceConfigSpecOperation::Edit),
//!                 device,
//!                 ..Default::default()
//!             }));
//!         }
//!     }
//!     let call = vm.reconfig_vm(&spec);
//!     assert_eq!(call.method(), "ReconfigVM_Task");
//!     Ok(())
//! }
//! ```

mod any;
mod builder;
mod call;
mod compare;
mod decode;
mod document;
mod edit;
mod encode;
mod error;
mod fault;
#[rustfmt::skip]
#[allow(clippy::use_self, unreachable_pub, reason = "the generator names types plainly")]
mod generated;
pub mod json;
mod limits;
mod node;
mod object;
mod option_value;
mod pack;
mod path;
mod poly;
mod print;
mod property;
mod reference;
mod scalar;
pub mod schema;
mod service;
mod services;
mod slot;
pub mod soap;
mod splice;
mod table;
mod time;
mod version;

pub use any::Any;
pub(crate) use call::Arguments;
pub use call::{Call, Outcome, TaskOf};
pub use compare::{Difference, difference};
pub use document::Document;
pub use error::{
    ConvertError, ConvertProblem, DecodeError, DecodeProblem, EncodeError, EncodeProblem,
};
pub use fault::Fault;
pub use generated::{calls, mo, props};
pub use limits::Limits;
pub use node::{Children, Node};
pub use object::{DataObject, IsA};
pub use pack::{Packed, Packer};
pub use poly::{Base, Poly};
pub use property::Property;
pub use reference::{AnyRef, ManagedObject, Ref};
pub use scalar::{Binary, Timestamp};
pub use service::Service;
#[cfg(feature = "eam")]
pub use services::eam;
#[cfg(feature = "internal")]
pub use services::internal;
#[cfg(feature = "pbm")]
pub use services::pbm;
#[cfg(feature = "sms")]
pub use services::sms;
#[cfg(feature = "vsan")]
pub use services::vsan;
#[cfg(feature = "vslm")]
pub use services::vslm;
pub use slot::{Lenient, Loading, Slot};
pub use version::{ApiVersion, ParseVersionError, parse_service_versions};

/// The data object and enum types, by wire name.
pub mod types {
    pub use crate::generated::enums::*;
    pub use crate::generated::types::*;
}

/// Types that the traits of this crate mention; not for direct use.
pub mod internals {
    pub use crate::builder::Builder;
    pub use crate::table::FieldKind;
}
