//! Refused input: values that cannot be sent, and bytes that are not a message.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use proptest::prelude::*;
use vim25::soap::{self, Header};
use vim25::types::{PerfQuerySpec, VirtualDeviceConfigSpec, VirtualDisk, VirtualMachineConfigSpec};
use vim25::{DecodeProblem, EncodeProblem, Limits, Poly, Ref, mo};

fn vm() -> Ref<mo::VirtualMachine> {
    Ref::new("vm-1")
}

#[test]
fn unset_values_are_refused_with_their_path() {
    let spec = VirtualMachineConfigSpec {
        device_change: vec![
            Poly::new(VirtualDeviceConfigSpec {
                device: Poly::new(VirtualDisk::default()),
                ..Default::default()
            }),
            Poly::new(VirtualDeviceConfigSpec::default()),
        ],
        ..Default::default()
    };
    let error = soap::encode_request(&vm().reconfig_vm(&spec), &Header::default()).unwrap_err();
    assert_eq!(error.path(), "spec.deviceChange[1].device");
    assert_eq!(error.problem(), &EncodeProblem::Unset);
}

#[test]
fn empty_references_are_refused_with_their_path() {
    let manager: Ref<mo::PerformanceManager> = Ref::new("PerfMgr");
    let call = manager.query_perf(&[PerfQuerySpec::default()]);
    let error = soap::encode_request(&call, &Header::default()).unwrap_err();
    assert_eq!(error.path(), "querySpec[0].entity");
    assert_eq!(error.problem(), &EncodeProblem::EmptyReference);
}

#[test]
fn characters_that_xml_cannot_carry_are_refused() {
    let error = soap::encode_request(&vm().rename("a\u{0}b"), &Header::default()).unwrap_err();
    assert_eq!(error.problem(), &EncodeProblem::ForbiddenCharacter('\0'));
    assert_eq!(error.path(), "newName");
}

#[test]
fn raw_control_characters_are_read_but_not_written() {
    let xml = "<Envelope><Body><QueryOptionsResponse xmlns='urn:vim25'><returnval><key>a</key>\
               <value xsi:type='xsd:string'>\u{1}</value></returnval></QueryOptionsResponse></Body></Envelope>";
    let call = Ref::<mo::OptionManager>::new("m").query_options(None);
    let Ok(soap::Response::Value(options)) =
        soap::decode_response(&call, xml.as_bytes(), &Limits::default())
    else {
        panic!("readable");
    };
    let error = soap::encode_response("QueryOptions", &options).unwrap_err();
    assert_eq!(error.problem(), &EncodeProblem::ForbiddenCharacter('\u{1}'));
    assert_eq!(error.path(), "[0].value");
}

fn request(body: &str) -> String {
    format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>{body}</e:Body></e:Envelope>"
    )
}

fn problem(xml: &str, limits: &Limits) -> String {
    soap::decode_request(xml.as_bytes(), limits)
        .unwrap_err()
        .to_string()
}

#[test]
fn document_types_and_entities_are_refused() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>".to_owned() + &request("<Login/>");
    let error = soap::decode_request(bomb.as_bytes(), &Limits::default()).unwrap_err();
    assert!(
        matches!(error.problem(), DecodeProblem::DocumentType),
        "{error}"
    );
    let error = problem(
        &request("<Login><userName>&xxe;</userName></Login>"),
        &Limits::default(),
    );
    assert!(error.contains("`&xxe;`"), "{error}");
    let error = problem(
        &request("<Login><userName>&#0;</userName></Login>"),
        &Limits::default(),
    );
    assert!(error.contains("`&#0;`"), "{error}");
}

#[test]
fn limits_name_themselves_and_the_path() {
    let deep = "<a>".repeat(2_000) + &"</a>".repeat(2_000);
    let error = problem(
        &request(&format!("<Nosuch>{deep}</Nosuch>")),
        &Limits::default(),
    );
    assert!(error.contains("limit on depth (1000)"), "{error}");
    assert!(error.contains("`a.a.a.a"), "{error}");

    let mut limits = Limits::default();
    limits.values = 10;
    let many = "<a>1</a>".repeat(20);
    let error = problem(&request(&format!("<Nosuch>{many}</Nosuch>")), &limits);
    assert!(error.contains("limit on values (10)"), "{error}");

    let mut limits = Limits::default();
    limits.unknown_names = 3;
    let names: String = (0..9).map(|n| format!("<n{n}/>")).collect();
    let error = problem(&request(&format!("<Nosuch>{names}</Nosuch>")), &limits);
    assert!(error.contains("limit on unknown_names (3)"), "{error}");

    let mut limits = Limits::default();
    limits.text = 5;
    let error = problem(
        &request("<Login><userName>123456</userName></Login>"),
        &limits,
    );
    assert!(error.contains("limit on text (5)"), "{error}");
    assert!(
        error.contains("`userName`") || error.contains("byte"),
        "{error}"
    );

    let mut limits = Limits::default();
    limits.bytes = 64;
    let error = problem(&request("<Login></Login>"), &limits);
    assert!(error.contains("limit on bytes (64)"), "{error}");

    let wide = format!("<Login a='{}'/>", "x".repeat(70_000));
    let error = problem(&request(&wide), &Limits::default());
    assert!(error.contains("limit on attributes"), "{error}");

    // Each explicit type searches all of them for its prefix.
    let prefixes: String = (0..300).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect();
    let error = problem(&request(&format!("<Login{prefixes}/>")), &Limits::default());
    assert!(error.contains("limit on namespaces (256)"), "{error}");
}

#[test]
fn what_is_not_soap_says_so() {
    for (xml, expected) in [
        ("", "expected an Envelope element"),
        (
            "<html><body>502</body></html>",
            "expected an Envelope element",
        ),
        ("<Envelope></Envelope>", "expected a Body element"),
        (
            "<Envelope><Body></Body></Envelope>",
            "expected a method element",
        ),
        (
            "<Envelope><Body><Login><userName>x",
            "expected the end of an element",
        ),
        (
            "<Envelope><Body><Login>text<userName/></Login></Body></Envelope>",
            "an element contains text and elements",
        ),
    ] {
        let error = problem(xml, &Limits::default());
        assert!(error.contains(expected), "{xml}: {error}");
    }
    let error = soap::decode_request(b"<a>\xff</a>", &Limits::default()).unwrap_err();
    assert_eq!(error.offset(), 3);
}

#[test]
fn an_answer_to_another_method_is_refused() {
    let xml = request("<LogoutResponse xmlns='urn:vim25'/>");
    let call = vm().power_on_vm(None);
    let error = soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap_err();
    assert!(
        error.to_string().contains("PowerOnVM_TaskResponse"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(xml in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = soap::decode_request(&xml, &Limits::default());
    }

    /// Fragments of real messages, cut and joined anywhere.
    #[test]
    fn no_fragments_make_it_panic(parts in proptest::collection::vec(fragment(), 0..24)) {
        let xml = request(&parts.concat());
        if let Ok(request) = soap::decode_request(xml.as_bytes(), &Limits::default()) {
            let printed = format!("{:?}", request.arguments());
            prop_assert!(!printed.is_empty());
            let spec = request.argument::<Option<VirtualMachineConfigSpec>>("spec");
            if let Ok(Some(spec)) = spec {
                let _ = soap::encode_request(&vm().reconfig_vm(&spec), &Header::default());
            }
        }
    }
}

fn fragment() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "<ReconfigVM_Task xmlns='urn:vim25'>",
        "</ReconfigVM_Task>",
        "<_this type='VirtualMachine'>",
        "vm-1",
        "</_this>",
        "<spec>",
        "</spec>",
        "<deviceChange xsi:type='VirtualDeviceConfigSpec'>",
        "</deviceChange>",
        "<device xsi:type='VirtualDisk'>",
        "<device xsi:type='Nosuch'>",
        "</device>",
        "<key>",
        "-1",
        "</key>",
        "<numCPUs>4</numCPUs>",
        "<extraConfig><key>a</key>",
        "</extraConfig>",
        "<value xsi:type='xsd:string'>b</value>",
        "<value xsi:type='ArrayOfString'><string>",
        "</string></value>",
        "<name xsi:nil='true'/>",
        "&amp;",
        "&#65;",
        "<![CDATA[x]]>",
        "<!-- -->",
        "  ",
        "<x/>",
    ])
    .prop_map(str::to_owned)
}

/// Found by fuzzing: an element whose local name began with a slash was written
/// as the end of another one.
#[test]
fn what_no_element_can_be_called_is_refused_in_both_directions() {
    let collector: Ref<mo::PropertyCollector> = Ref::new("c");
    let call = collector.check_for_updates(None);
    for name in ["a:/b", "a:1", "a:", "a'b"] {
        let xml = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <CheckForUpdatesResponse><returnval><{name}></{name}></returnval>\
             </CheckForUpdatesResponse></e:Body></e:Envelope>"
        );
        let error = soap::decode_response(&call, xml.as_bytes(), &Limits::default());
        let error = error.expect_err(name);
        assert!(
            matches!(error.problem(), DecodeProblem::NotAName(_)),
            "{name}: {error}"
        );
        assert_eq!(error.path(), "returnval", "{name}");
    }
}
