//! Any bytes are decoded as a request and as a response without a panic, within the
//! limits; decoded messages are equal after another encoding and decoding, also as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vim25::soap::{self, Response};
use vim25::types::{RetrieveOptions, RetrieveResult, VirtualEthernetCard, VirtualMachineConfigInfo};
use vim25::{Any, Limits, Node, Ref, mo};

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.depth = 200;
    limits.values = 1 << 16;
    limits.unknown_names = 64;
    limits
}

fuzz_target!(|xml: &[u8]| {
    if let Ok(request) = soap::decode_request(xml, &limits()) {
        look(request.arguments().node());
    }
    let collector: Ref<mo::PropertyCollector> = Ref::new("c");
    let call = collector.retrieve_properties_ex(&[], &RetrieveOptions::default());
    let Ok(Response::Value(page)) = soap::decode_response(&call, xml, &limits()) else {
        return;
    };
    look(page.node());
    // Decoded text may contain raw characters that XML cannot carry; they
    // are refused when encoding.
    let Ok(again) = soap::encode_response("RetrievePropertiesEx", &page) else {
        return;
    };
    let back = soap::decode_response(&call, again.as_bytes(), &Limits::default());
    assert_eq!(back.ok(), Some(Response::Value(page.clone())), "{again}");
    let json = page.to_json();
    if let Ok(read) = Any::from_json(&json) {
        look(read.node());
    }
    let Ok(result) = page.get::<RetrieveResult>() else {
        return;
    };
    for property in result.objects.iter().flat_map(|object| &object.prop_set) {
        let Ok(config) = property.val.get::<VirtualMachineConfigInfo>() else {
            continue;
        };
        for mut device in config.hardware.device {
            let _ = device.modify::<VirtualEthernetCard>(|card| card.mac_address = None);
            look(device.node());
        }
    }
});

/// Runs everything that only reads.
fn look(node: Node<'_>) {
    assert!(node == node);
    assert!(vim25::difference("", node, node).is_empty());
    let _ = format!("{node:?}");
    let _ = node.path("objects[0].propSet[0].val.hardware.device[2000].backing");
    let _ = Any::of(node).detach();
}
