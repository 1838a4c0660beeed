//! No descriptor of an OVF package makes the parser panic.
#![no_main]
#![allow(
    dead_code,
    reason = "the parser is private, so its files are included here"
)]

use libfuzzer_sys::fuzz_target;

/// Stands for the module with the OVF manager.
#[path = "../../src/model/ovf"]
mod ovf {
    mod descriptor;
    mod xml;

    use descriptor::Descriptor;

    pub(super) fn read(text: &str) {
        if let Ok(descriptor) = Descriptor::parse(text) {
            let _ = (descriptor.default_name(), descriptor.default_option());
        }
        // A text survives its escaping, except for characters that XML does not have.
        let document = format!("<a>{}</a>", xml::escape(text));
        assert!(xml::parse(&document).is_ok(), "{document:?}");
    }
}

fuzz_target!(|text: &str| ovf::read(text));
