//! Undocumented methods on the wire.
#![cfg(feature = "internal")]
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::internal::types::{
    DisabledMethodRequest, ReflectManagedMethodExecuterSoapArgument, VirtualDiskInfo,
};
use vim25::soap::{self, Header, Response};
use vim25::types::TaskInfo;
use vim25::{Call, Limits, Ref, Service, mo};

fn request<R>(call: &Call<R>) -> String {
    soap::encode_request(call, &Header::default()).unwrap()
}

#[test]
fn an_undocumented_method_is_called_in_its_namespace_and_so_are_its_arguments() {
    let manager: Ref<mo::AuthorizationManager> = Ref::new("AuthorizationManager");
    let vm: Ref<mo::VirtualMachine> = Ref::new("vm-7");
    let method = DisabledMethodRequest {
        method: "Destroy_Task".into(),
        reason_id: "owned".into(),
    };
    let call = manager.disable_methods(&[vm.upcast()], &[method], "us", None);
    assert_eq!(call.service(), Service::VIM25);
    let xml = request(&call);
    let expected = "<DisableMethods xmlns=\"urn:internalvim25\">\
        <_this type=\"AuthorizationManager\">AuthorizationManager</_this>\
        <entity type=\"VirtualMachine\">vm-7</entity>\
        <method><method>Destroy_Task</method><reasonId>owned</reasonId></method>\
        <sourceId>us</sourceId></DisableMethods>";
    assert!(xml.contains(expected), "{xml}");
    let back = soap::decode_request(xml.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(back.foreign_namespace, None);
    let methods: Vec<DisabledMethodRequest> = back.argument("method").unwrap();
    assert_eq!(methods[0].reason_id, "owned");
}

#[test]
fn the_reflective_methods_are_called_in_the_main_namespace() {
    let executer: Ref<vim25::internal::mo::ReflectManagedMethodExecuter> = Ref::new("e");
    let argument = ReflectManagedMethodExecuterSoapArgument {
        name: "type".into(),
        val: "<type>tcp</type>".into(),
    };
    let xml = request(&executer.execute_soap("moid", "urn:vim25/5.0", "a.b", &[argument]));
    assert!(
        xml.contains("<ExecuteSoap xmlns=\"urn:vim25\"><_this"),
        "{xml}"
    );
    assert!(
        xml.contains("<argument><name>type</name><val>&lt;type"),
        "{xml}"
    );
}

/// Servers answer in either namespace.
#[test]
fn a_response_is_read_in_either_namespace() {
    let manager: Ref<mo::VirtualDiskManager> = Ref::new("m");
    let call = manager.query_virtual_disk_info("[ds] a.vmdk", None, true);
    for namespace in ["urn:vim25", "urn:internalvim25"] {
        let xml = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <QueryVirtualDiskInfo_TaskResponse xmlns=\"{namespace}\">\
             <returnval type=\"Task\">task-1</returnval>\
             </QueryVirtualDiskInfo_TaskResponse></e:Body></e:Envelope>"
        );
        let Response::Value(value) =
            soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
        else {
            panic!("a fault")
        };
        let task: Ref<mo::Task> = value.get().unwrap();
        assert_eq!(task.value(), "task-1");
    }
}

/// The result as vcsim sends it: a list whose type it names without a namespace.
#[test]
fn a_result_in_the_main_namespace_has_its_type() {
    let info: Ref<mo::PropertyCollector> = Ref::new("p");
    let call = info.retrieve_properties(&[]);
    let xml = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
        xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>\
        <RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><obj type=\"Task\">t</obj>\
        <propSet><name>info</name><val i:type=\"TaskInfo\"><key>t</key>\
        <result i:type=\"ArrayOfVirtualDiskInfo\"><VirtualDiskInfo>\
        <unit><name>[ds] a.vmdk</name></unit><diskType>thin</diskType></VirtualDiskInfo></result>\
        </val></propSet></returnval></RetrievePropertiesResponse></e:Body></e:Envelope>";
    let Response::Value(value) =
        soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap()
    else {
        panic!("a fault")
    };
    let info = value.at("[0].propSet[0].val").unwrap();
    assert_eq!(
        info.type_name(),
        std::any::type_name::<TaskInfo>()
            .rsplit("::")
            .next()
            .unwrap()
    );
    let disks: Vec<VirtualDiskInfo> = info.at("result").unwrap().get().unwrap();
    assert_eq!(disks[0].disk_type, "thin");
    assert_eq!(disks[0].unit.as_ref().unwrap().name, "[ds] a.vmdk");
}
