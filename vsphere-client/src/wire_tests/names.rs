//! Tests of finding objects by name.

use std::sync::Arc;

use vim25::types::PropertyFilterSpec;

use super::connect;
use crate::Error;
use crate::transport::replay::{Replay, Reply, Seen, welcome};

fn object(kind: &str, value: &str, name: &str) -> String {
    format!(
        "<objects><obj type=\"{kind}\">{value}</obj><propSet><name>name</name><val xsi:type=\"xsd:string\">{name}</val></propSet>"
    )
}

/// Returns a vCenter with one datacenter `DEV/Testing` and networks whose names have slashes.
fn peer() -> Arc<Replay> {
    peer_with(|_| None)
}

/// Returns the same vCenter as [`peer`], except for the requests that `answer` responds to.
pub(super) fn peer_with(
    mut answer: impl FnMut(&Seen) -> Option<Reply> + Send + 'static,
) -> Arc<Replay> {
    Replay::new(move |seen: &Seen| answer(seen).unwrap_or_else(|| known(seen)))
}

fn known(seen: &Seen) -> Reply {
    match seen.method() {
        "CreateContainerView" => Reply::Body(
            "<CreateContainerViewResponse xmlns=\"urn:vim25\"><returnval type=\"ContainerView\">session[52]9</returnval></CreateContainerViewResponse>",
        ),
        // The search index only knows paths.
        "FindByInventoryPath" => Reply::Body(
            "<FindByInventoryPathResponse xmlns=\"urn:vim25\"></FindByInventoryPathResponse>",
        ),
        "DestroyView" => {
            Reply::Body("<DestroyViewResponse xmlns=\"urn:vim25\"></DestroyViewResponse>")
        }
        "RetrievePropertiesEx" => {
            let specs: Vec<PropertyFilterSpec> = seen.soap.argument("specSet").unwrap();
            let asked = &specs[0].prop_set[0];
            let datacenter = object("Datacenter", "datacenter-2", "DEV%2fTesting");
            let objects = match asked.type_.as_str() {
                "Network" => ["DHCP_10.1.1.0%2f24", "VM Network"]
                    .map(|name| object("Network", name, name) + "</objects>")
                    .concat(),
                "Datastore" => object("Datastore", "datastore-9", "vsanDatastore") + "</objects>",
                "Datacenter" if asked.path_set.len() == 4 => {
                    let folder = |(path, value): &(&str, &str)| {
                        format!(
                            "<propSet><name>{path}</name><val type=\"Folder\" xsi:type=\"ManagedObjectReference\">{value}</val></propSet>"
                        )
                    };
                    let folders = [
                        ("vmFolder", "v"),
                        ("hostFolder", "h"),
                        ("datastoreFolder", "d"),
                        ("networkFolder", "n"),
                    ];
                    let folders: String = folders.iter().map(folder).collect();
                    format!(
                        "<objects><obj type=\"Datacenter\">datacenter-2</obj>{folders}</objects>"
                    )
                }
                "Datacenter" if asked.path_set.len() == 2 => {
                    datacenter
                        + "<propSet><name>parent</name><val type=\"Folder\" xsi:type=\"ManagedObjectReference\">group-d1</val></propSet></objects>"
                }
                "Datacenter" => datacenter + "</objects>",
                _ => String::new(),
            };
            Reply::Owned(format!(
                "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval>{objects}</returnval></RetrievePropertiesExResponse>"
            ))
        }
        _ => welcome(seen).unwrap(),
    }
}

#[tokio::test]
async fn a_name_with_a_slash_is_a_name_before_it_is_a_path() {
    let replay = peer();
    let client = connect(&replay).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(Some("DEV/Testing")).await.unwrap();
    assert_eq!(datacenter.path(), "/DEV%2fTesting");
    let network = inventory
        .network(&datacenter, Some("DHCP_10.1.1.0/24"))
        .await
        .unwrap();
    assert_eq!(network.value(), "DHCP_10.1.1.0%2f24");
    let error = inventory
        .network(&datacenter, Some("DHCP/25"))
        .await
        .unwrap_err();
    let Error::NotFound { place, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(place.there(), ["DHCP_10.1.1.0/24", "VM Network"]);
}
