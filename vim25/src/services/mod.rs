//! The services besides the main one, each behind the feature of its name.

#[cfg(feature = "eam")]
pub mod eam;
#[cfg(feature = "internal")]
pub mod internal;
#[cfg(feature = "pbm")]
pub mod pbm;
#[cfg(feature = "sms")]
pub mod sms;
#[cfg(feature = "vsan")]
pub mod vsan;
#[cfg(feature = "vslm")]
pub mod vslm;
