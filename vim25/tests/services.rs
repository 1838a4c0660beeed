//! The services besides the main one: their namespaces on the wire.
#![cfg(all(
    feature = "pbm",
    feature = "vslm",
    feature = "sms",
    feature = "eam",
    feature = "vsan"
))]
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::pbm::types::{
    PbmCapabilityInstance, PbmCapabilityMetadataUniqueId, PbmFault, PbmProfileId,
    PbmServerObjectRef,
};
use vim25::soap::{self, Header, Response};
use vim25::types::{LocalizedMethodFault, MethodFault};
use vim25::{Any, Fault, Limits, Poly, Ref, Service, eam, mo, pbm, sms, vsan, vslm};

fn request<R>(call: &vim25::Call<R>) -> String {
    soap::encode_request(call, &Header::default()).unwrap()
}

#[test]
fn each_service_is_spoken_at_its_path() {
    let expected = [
        (pbm::SERVICE, "urn:pbm", "/pbm"),
        (vslm::SERVICE, "urn:vslm", "/vslm/sdk"),
        (sms::SERVICE, "urn:sms", "/sms/sdk"),
        (eam::SERVICE, "urn:eam", "/eam/sdk"),
        (vsan::SERVICE, "urn:vsan", "/vsanHealth"),
    ];
    for (service, namespace, path) in expected {
        assert_eq!(service.namespace(), namespace);
        assert_eq!(service.vcenter_path(), path);
        assert_eq!(Service::of(namespace), service);
        assert!(!service.is_main());
    }
    assert_eq!(vsan::SERVICE.host_path(), Some("/vsan"));
    assert!(Service::of("urn:vim25").is_main());
    assert!(Service::of("urn:unheard").is_main());
}

#[test]
fn a_call_goes_to_the_service_of_its_namespace_unless_it_names_another() {
    let content = pbm::service_instance().pbm_retrieve_service_content();
    assert_eq!(content.service(), pbm::SERVICE);
    let summary = vsan::property_collector().destroy_property_collector();
    assert_eq!(summary.service(), Service::VIM25);
    assert_eq!(summary.at(vsan::SERVICE).untyped().service(), vsan::SERVICE);
}

#[test]
fn a_type_of_another_namespace_is_qualified_and_so_are_its_fields() {
    let profile = PbmProfileId {
        unique_id: "aa-bb".into(),
    };
    let manager: Ref<pbm::mo::PbmProfileProfileManager> = Ref::new("ProfileManager");
    let xml = request(&manager.pbm_retrieve_content(&[profile]));
    assert!(
        xml.contains(
            "<PbmRetrieveContent xmlns=\"urn:pbm\">\
             <_this type=\"PbmProfileProfileManager\">ProfileManager</_this>\
             <profileIds><uniqueId>aa-bb</uniqueId></profileIds></PbmRetrieveContent>"
        ),
        "{xml}"
    );
    // In a place that accepts any type, the type name includes its namespace.
    let value = Any::new(&PbmCapabilityMetadataUniqueId {
        namespace: "com.example".into(),
        id: "speed".into(),
    });
    let xml = soap::encode_response("Unheard", &value).unwrap();
    assert!(
        xml.contains(
            "<returnval xmlns:t=\"urn:pbm\" xsi:type=\"t:PbmCapabilityMetadataUniqueId\">\
             <namespace xmlns=\"urn:pbm\">com.example</namespace>"
        ),
        "{xml}"
    );
}

#[test]
fn a_fault_of_another_namespace_derives_from_those_of_vim25() {
    let cause = LocalizedMethodFault {
        fault: Poly::new(MethodFault::default()),
        localized_message: Some("why".into()),
    };
    let detail = PbmFault {
        base: MethodFault {
            fault_cause: Some(Box::new(cause)),
            ..Default::default()
        },
    };
    let fault = Fault::new("no", detail.clone());
    assert!(fault.is::<MethodFault>());
    let xml = soap::encode_fault(&fault).unwrap();
    // The base's field is in the namespace of the base.
    assert!(
        xml.contains(
            "<PbmFaultFault xmlns=\"urn:pbm\" xsi:type=\"PbmFault\">\
             <faultCause xmlns=\"urn:vim25\"><fault></fault>"
        ),
        "{xml}"
    );
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let answer = soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap();
    let Response::Fault(back) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(back.get::<PbmFault>().unwrap(), Some(detail));
    assert_eq!(back.cause().unwrap().message(), "why");
}

#[test]
fn a_field_that_vim25_declares_of_another_namespace_is_typed_when_that_is_there() {
    let xml = "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
        <soapenv:Body><VsanClusterGetConfigResponse xmlns=\"urn:vim25\"><returnval>\
        <enabled>true</enabled><perfsvcConfig><enabled>false</enabled></perfsvcConfig>\
        </returnval></VsanClusterGetConfigResponse></soapenv:Body></soapenv:Envelope>";
    let cluster: Ref<mo::ClusterComputeResource> = Ref::new("domain-c1");
    let call = vsan::cluster_config_system().vsan_cluster_get_config(&cluster);
    let Response::Value(value) =
        soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
    else {
        panic!("a value")
    };
    let config: vim25::types::VsanConfigInfoEx = value.get().unwrap();
    let service = config.perfsvc_config.unwrap();
    let service: vsan::types::VsanPerfsvcConfig = service.get().unwrap();
    assert!(!service.enabled);
}

#[test]
fn prefixes_of_any_spelling_name_types_by_their_namespace() {
    let body = |content: &str| {
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>\
             <r:PbmRetrieveServiceContentResponse xmlns:r=\"urn:pbm\">\
             <r:returnval xmlns:v=\"urn:vim25\">{content}</r:returnval>\
             </r:PbmRetrieveServiceContentResponse></e:Body></e:Envelope>"
        )
    };
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let read = |content: &str| {
        let xml = body(content);
        match soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap() {
            Response::Value(value) => value,
            Response::Fault(fault) => panic!("{fault:?}"),
        }
    };
    let ours = read("<r:new i:type=\"r:PbmServerObjectRef\"><r:key>a</r:key></r:new>");
    assert!(
        ours.node()
            .get("new")
            .unwrap()
            .to::<PbmServerObjectRef>()
            .is_err()
    );
    assert_eq!(
        ours.node().get("new").unwrap().type_name(),
        "PbmServerObjectRef"
    );

    // The same name in a foreign namespace is another type, and is not converted.
    let other =
        read("<r:new xmlns:o=\"urn:other\" i:type=\"o:PbmServerObjectRef\"><key>a</key></r:new>");
    let node = other.node().get("new").unwrap();
    assert_eq!(node.type_name(), "{urn:other}PbmServerObjectRef");
    assert!(node.to::<PbmServerObjectRef>().is_err());
    let again = soap::encode_response("PbmRetrieveServiceContent", &other).unwrap();
    assert!(
        again.contains("xmlns:t=\"urn:other\" xsi:type=\"t:PbmServerObjectRef\""),
        "{again}"
    );
    let back = soap::decode_response(&call, again.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(back, Response::Value(other));

    // An unprefixed name is in the default namespace.
    let inner = read("<r:new xmlns=\"urn:other\" i:type=\"PbmServerObjectRef\"/>");
    let node = inner.node().get("new").unwrap();
    assert_eq!(node.type_name(), "{urn:other}PbmServerObjectRef");
}

#[test]
fn lists_of_another_namespace_are_read_back() {
    let list = vec![PbmCapabilityInstance {
        id: PbmCapabilityMetadataUniqueId {
            namespace: "n".into(),
            id: "i".into(),
        },
        ..Default::default()
    }];
    let value = Any::new(&list);
    let xml = soap::encode_response("RetrieveDynamicTypeManager", &value).unwrap();
    assert!(
        xml.contains(
            "xmlns:t=\"urn:pbm\" xsi:type=\"t:ArrayOfPbmCapabilityInstance\">\
             <PbmCapabilityInstance xmlns=\"urn:pbm\"><id><namespace>n</namespace>"
        ),
        "{xml}"
    );
}

#[test]
fn a_name_that_two_namespaces_have_is_that_of_its_own() {
    let agents = Any::new(&eam::types::InvalidUrl::default());
    let storage = Any::new(&sms::types::InvalidUrl::default());
    assert_ne!(agents, storage);
    for value in [agents, storage] {
        let xml = soap::encode_response("Unheard", &value).unwrap();
        let call = pbm::service_instance().pbm_retrieve_service_content();
        let xml = xml.replace("Unheard", call.method());
        let back = soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap();
        let Response::Value(back) = back else {
            panic!("{back:?}")
        };
        assert!(back == value, "{xml}");
    }
}

#[test]
fn braces_in_a_name_or_a_namespace_do_not_change_which_is_which() {
    let xml = |content: &str| {
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>\
             <PbmRetrieveServiceContentResponse xmlns=\"urn:pbm\"><returnval>{content}\
             </returnval></PbmRetrieveServiceContentResponse></e:Body></e:Envelope>"
        )
    };
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let read = |xml: &str| soap::decode_response(&call, xml.as_bytes(), &Limits::default());
    for content in [
        "<new xmlns:o=\"}urn:other\" i:type=\"o:X\"><a>1</a></new>",
        "<new xmlns:o=\"urn:other\" i:type=\"o:X}Y\"><a>1</a></new>",
        "<new i:type=\"{urn:other}X\"><a>1</a></new>",
    ] {
        let Response::Value(first) = read(&xml(content)).unwrap() else {
            panic!("a value")
        };
        let again = soap::encode_response(call.method(), &first).unwrap();
        assert_eq!(read(&again).unwrap(), Response::Value(first), "{content}");
    }
}
