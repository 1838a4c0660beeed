//! Requests as other clients write them, and the responses they expect.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::soap::{self, Header, Response};
use vim25::types::{
    InvalidLogin, InvalidPowerState, InvalidState, MethodFault, NotFound, OptionValue,
    VirtualMachineConfigSpec, VirtualMachinePowerState, VirtualMachineRuntimeInfo,
};
use vim25::{Any, Fault, Limits, Ref, difference, mo, props};

#[test]
fn our_own_request_is_read_back() {
    let spec = VirtualMachineConfigSpec {
        name: Some("web & co".into()),
        num_cpus: Some(2),
        extra_config: vec![vim25::Poly::new(OptionValue::new(
            "guestinfo./a|b/c",
            "<nil>",
        ))],
        ..Default::default()
    };
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let call = folder.create_vm(&spec, &pool, None);
    let mut header = Header::default();
    header.operation_id = Some("op-1".into());
    let xml = soap::encode_request(&call, &header).unwrap();
    let request = soap::decode_request(xml.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(request.method, "CreateVM_Task");
    assert_eq!(
        request.this.as_ref().unwrap().to_string(),
        "Folder:ha-folder-vm"
    );
    assert_eq!(request.header, header);
    assert_eq!(
        request
            .argument::<VirtualMachineConfigSpec>("config")
            .unwrap(),
        spec
    );
    assert_eq!(
        request.argument::<Ref<mo::ResourcePool>>("pool").unwrap(),
        pool
    );
    assert_eq!(
        request
            .argument::<Option<Ref<mo::HostSystem>>>("host")
            .unwrap(),
        None
    );
}

#[test]
fn a_missing_argument_is_named() {
    let xml = b"<Envelope><Body><CreateVM_Task xmlns='urn:vim25'><_this type='Folder'>f</_this>\
                </CreateVM_Task></Body></Envelope>";
    let request = soap::decode_request(xml, &Limits::default()).unwrap();
    let error = request
        .argument::<Ref<mo::ResourcePool>>("pool")
        .unwrap_err();
    assert!(error.to_string().contains("`pool`"), "{error}");
}

#[test]
fn undocumented_methods_are_read_and_answered() {
    // As pyvmomi sends it, `versionId` and all.
    let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><Fetch xmlns="urn:vim25"><_this versionId="6.5" type="VirtualMachine">vm-62</_this><prop xsi:type="xsd:string">name</prop></Fetch></soapenv:Body></soapenv:Envelope>"#;
    let request = soap::decode_request(xml, &Limits::default()).unwrap();
    assert_eq!(request.method, "Fetch");
    assert_eq!(
        request.this.as_ref().unwrap().to_string(),
        "VirtualMachine:vm-62"
    );
    assert_eq!(
        request.arguments().node().get("prop").unwrap().as_str(),
        Some("name")
    );
    let xml = soap::encode_response("Fetch", &Any::from("a & b")).unwrap();
    assert!(
        xml.contains(r#"<FetchResponse xmlns="urn:vim25"><returnval xsi:type="xsd:string">a &amp; b</returnval></FetchResponse>"#),
        "{xml}"
    );
}

#[test]
fn faults_go_both_ways_with_their_cause() {
    let mut detail = InvalidPowerState {
        existing_state: VirtualMachinePowerState::PoweredOn,
        ..Default::default()
    };
    let cause = Fault::new("gone", NotFound::default());
    detail.fault_cause = Some(Box::new((&cause).into()));
    let fault = Fault::new("The attempted operation cannot be performed", detail);
    let xml = soap::encode_fault(&fault).unwrap();
    let call = Ref::<mo::VirtualMachine>::new("vm-1").power_on_vm(None);
    let Response::Fault(back) =
        soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
    else {
        panic!("{xml}")
    };
    assert_eq!(back, fault);
    assert!(back.is::<InvalidState>() && back.is::<MethodFault>() && !back.is::<InvalidLogin>());
    assert_eq!(back.cause().unwrap().type_name(), "NotFound");
}

#[test]
fn faults_of_other_servers_are_read() {
    // Self-closed detail, fault strings with entities, no detail at all.
    for (xml, name, message) in [
        (
            r#"<Envelope><Body><Fault><faultcode>ServerFaultCode</faultcode><faultstring>Cannot complete login &amp; more</faultstring><detail><InvalidLoginFault xmlns="urn:vim25" xsi:type="InvalidLogin"/></detail></Fault></Body></Envelope>"#,
            "InvalidLogin",
            "Cannot complete login & more",
        ),
        (
            r#"<Envelope><Body><Fault><faultcode>c</faultcode><faultstring>m</faultstring><detail><NotFoundFault xmlns="urn:vim25"></NotFoundFault></detail></Fault></Body></Envelope>"#,
            "NotFound",
            "m",
        ),
        (
            "<Envelope><Body><Fault><faultstring>m</faultstring></Fault></Body></Envelope>",
            "",
            "m",
        ),
        (
            r#"<Envelope><Body><Fault><faultstring>m</faultstring><detail><WarpFault xsi:type="WarpCoreBreach"><core>1</core></WarpFault></detail></Fault></Body></Envelope>"#,
            "WarpCoreBreach",
            "m",
        ),
    ] {
        let call = Ref::<mo::VirtualMachine>::new("vm-1").power_on_vm(None);
        let Response::Fault(fault) =
            soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
        else {
            panic!("{xml}")
        };
        assert_eq!(fault.type_name(), name);
        assert_eq!(fault.message(), message);
    }
}

#[test]
fn lists_are_repeated_and_void_is_empty() {
    let list = Any::new(&vec![
        OptionValue::new("a", "1"),
        OptionValue::new("b", "2"),
    ]);
    let xml = soap::encode_response("QueryOptions", &list).unwrap();
    assert_eq!(xml.matches("<returnval").count(), 2, "{xml}");
    let xml = soap::encode_response("Logout", &Any::default()).unwrap();
    assert!(
        xml.contains(r#"<LogoutResponse xmlns="urn:vim25"></LogoutResponse>"#),
        "{xml}"
    );
}

#[test]
fn differences_name_what_changed() {
    let before = vec![OptionValue::new("a", "1"), OptionValue::new("b", "2")];
    let after = vec![OptionValue::new("b", "3"), OptionValue::new("c", "4")];
    let changes = difference(
        "config.extraConfig",
        Any::new(&before).node(),
        Any::new(&after).node(),
    );
    let seen: Vec<_> = changes
        .iter()
        .map(|c| (c.path.as_str(), c.before.is_some(), c.after.is_some()))
        .collect();
    assert_eq!(
        seen,
        [
            ("config.extraConfig[\"b\"].value", true, true),
            ("config.extraConfig[\"c\"]", false, true),
            ("config.extraConfig[\"a\"]", true, false),
        ]
    );
    let runtime = |power_state| VirtualMachineRuntimeInfo {
        power_state,
        ..Default::default()
    };
    let before = Any::new(&runtime(VirtualMachinePowerState::PoweredOff));
    let after = Any::new(&runtime(VirtualMachinePowerState::PoweredOn));
    let changes = difference("runtime", before.node(), after.node());
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].path, "runtime.powerState");
}

#[test]
fn debug_hides_secrets() {
    let manager: Ref<mo::SessionManager> = Ref::new("ha-sessionmgr");
    let call = manager.login("root", "correct horse", None);
    let printed = format!("{call:?} {:?}", call.arguments());
    assert!(!printed.contains("correct horse"), "{printed}");
    let spec = vim25::types::NamePasswordAuthentication {
        username: "root".into(),
        password: "correct horse".into(),
        ..Default::default()
    };
    let printed = format!("{spec:?}");
    assert!(
        printed.contains("root") && !printed.contains("correct horse"),
        "{printed}"
    );
}

#[test]
fn properties_have_names_and_types() {
    let state: vim25::Property<mo::VirtualMachine, VirtualMachineRuntimeInfo> =
        props::virtual_machine::RUNTIME;
    assert_eq!(state.path(), "runtime");
    assert_eq!(props::virtual_machine::NAME.path(), "name");
}

#[test]
fn the_namespace_of_a_method_that_is_not_ours_is_told() {
    for (namespace, expected) in [
        ("urn:vim25", None),
        ("urn:other", Some("urn:other")),
        ("urn:vim25/9", Some("urn:vim25/9")),
    ] {
        let xml = format!(
            "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body>\
             <CurrentTime xmlns=\"{namespace}\"><_this type=\"ServiceInstance\">ServiceInstance</_this>\
             </CurrentTime></Body></Envelope>"
        );
        let request = soap::decode_request(xml.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(request.foreign_namespace.as_deref(), expected);
    }
}
