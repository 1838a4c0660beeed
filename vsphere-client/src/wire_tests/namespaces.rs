//! Tests of creating top-level directories of datastores.

use super::connect;
use super::names::peer_with;
use crate::transport::replay::{Reply, Seen};

#[tokio::test]
async fn an_object_store_chooses_the_name_of_a_directory() {
    for (plain, expected) in [
        (false, "[vsanDatastore] 7e83d766-04"),
        (true, "[vsanDatastore] vch"),
    ] {
        let replay = peer_with(move |seen: &Seen| match seen.method() {
            "RetrieveServiceContent" => {
                let managers = "<fileManager type=\"FileManager\">f</fileManager><datastoreNamespaceManager type=\"DatastoreNamespaceManager\">n</datastoreNamespaceManager><viewManager";
                let content = include_str!("golden/service_content.xml");
                Some(Reply::Owned(content.replacen("<viewManager", managers, 1)))
            }
            "CreateDirectory" => {
                let name: String = seen.soap.argument("displayName").unwrap();
                assert_eq!(name, "vch");
                Some(Reply::Body(
                    "<CreateDirectoryResponse xmlns=\"urn:vim25\"><returnval>/vmfs/volumes/vsan:52-1/7e83d766-04/</returnval></CreateDirectoryResponse>",
                ))
            }
            "MakeDirectory" => Some(Reply::Body(
                "<MakeDirectoryResponse xmlns=\"urn:vim25\"></MakeDirectoryResponse>",
            )),
            "RetrievePropertiesEx" => {
                let specs: Vec<vim25::types::PropertyFilterSpec> =
                    seen.soap.argument("specSet").unwrap();
                let capability = specs[0].prop_set[0].path_set
                    == ["capability.topLevelDirectoryCreateSupported"];
                capability.then(|| {
                    Reply::Owned(format!(
                        "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"Datastore\">datastore-9</obj><propSet><name>capability.topLevelDirectoryCreateSupported</name><val xsi:type=\"xsd:boolean\">{plain}</val></propSet></objects></returnval></RetrievePropertiesExResponse>"
                    ))
                })
            }
            _ => None,
        });
        let client = connect(&replay).await;
        let inventory = client.inventory();
        let datacenter = inventory.datacenter(None).await.unwrap();
        let datastore = inventory
            .datastore(&datacenter, Some("vsanDatastore"))
            .await
            .unwrap();
        let made = client.files(&datastore).make_top_directory("vch").await;
        assert_eq!(made.unwrap().to_string(), expected);
    }
}
