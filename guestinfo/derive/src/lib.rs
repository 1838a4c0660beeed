//! The derive macro of `guestinfo`.
