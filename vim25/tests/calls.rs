//! Builders of calls with many options, and constructors with required fields.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::soap::{self, Header};
use vim25::types::{SharesInfo, SharesLevel, VirtualDisk};
use vim25::{Ref, mo};

fn arguments<R>(call: &vim25::Call<R>) -> String {
    let xml = soap::encode_request(call, &Header::default()).unwrap();
    let start = xml.find("</_this>").unwrap() + "</_this>".len();
    let end = xml.find(&format!("</{}>", call.method())).unwrap();
    xml[start..end].to_owned()
}

#[test]
fn what_is_not_set_is_not_sent() {
    let manager: Ref<mo::FileManager> = Ref::new("FileManager");
    let copy = manager.copy_datastore_file("[a] x", "[b] y");
    assert_eq!(
        arguments(&copy.build()),
        "<sourceName>[a] x</sourceName><destinationName>[b] y</destinationName>"
    );
}

#[test]
fn options_are_sent_in_wire_order_whatever_the_order_they_were_set_in() {
    let manager: Ref<mo::FileManager> = Ref::new("FileManager");
    let (from, to): (Ref<mo::Datacenter>, Ref<mo::Datacenter>) =
        (Ref::new("dc-1"), Ref::new("dc-2"));
    let copy = manager
        .copy_datastore_file("[a] x", "[b] y")
        .force(true)
        .destination_datacenter(&to)
        .source_datacenter(&from);
    let call = copy.build();
    assert_eq!(call.method(), "CopyDatastoreFile_Task");
    assert_eq!(
        arguments(&call),
        "<sourceName>[a] x</sourceName><sourceDatacenter type=\"Datacenter\">dc-1\
         </sourceDatacenter><destinationName>[b] y</destinationName>\
         <destinationDatacenter type=\"Datacenter\">dc-2</destinationDatacenter>\
         <force>true</force>"
    );
}

#[test]
fn a_builder_is_printed_without_its_arguments() {
    let manager: Ref<mo::FileManager> = Ref::new("FileManager");
    let copy = manager.copy_datastore_file("[a] secret", "[b] y");
    assert_eq!(
        format!("{copy:?}"),
        "FileManager:FileManager.CopyDatastoreFile_Task"
    );
}

#[test]
fn a_derived_object_may_stand_where_its_base_is_asked_for() {
    let folder: Ref<mo::Folder> = Ref::new("group-v1");
    let app: Ref<mo::VirtualApp> = Ref::new("resgroup-v2");
    let call = folder.register_vm("[a] x/x.vmx", false).pool(&app).build();
    assert!(arguments(&call).contains("<pool type=\"VirtualApp\">resgroup-v2</pool>"));
}

#[test]
fn a_number_without_a_safe_value_must_be_given() {
    let disk = VirtualDisk::new(-101, 1024);
    assert_eq!((disk.key, disk.capacity_in_kb), (-101, 1024));
    let shares = SharesInfo::new(500, SharesLevel::Custom);
    assert_eq!((shares.shares, shares.level), (500, SharesLevel::Custom));
}
