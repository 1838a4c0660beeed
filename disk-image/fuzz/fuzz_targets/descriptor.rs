//! Feeds arbitrary descriptors to the parser: each is rejected, or parsed and printed back
//! unchanged.
#![no_main]

use disk_image::vmdk::Descriptor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut descriptor) = Descriptor::parse(data) else {
        return;
    };
    let text = descriptor.to_bytes();
    assert!(data.starts_with(&text), "nothing but NULs may be dropped");
    _ = (
        descriptor.cid(),
        descriptor.parent_cid(),
        descriptor.capacity(),
    );
    descriptor.set_cid(7);
    descriptor.set("ddb.comment", &String::from_utf8_lossy(data));
    let again = Descriptor::parse(&descriptor.to_bytes()).expect("what was set can be parsed");
    assert_eq!(again.cid().ok(), Some(7));
});
