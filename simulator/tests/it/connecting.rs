//! Tests of the first steps of a client: versions, service content, login, properties.

use crate::client::Client;
use simulator::Simulator;
use vim25::types::{InvalidLogin, NotAuthenticated};
use vim25::{Ref, mo};

#[tokio::test]
async fn a_client_connects_logs_in_and_reads() {
    let simulator = Simulator::builder()
        .password("secret")
        .start()
        .await
        .unwrap();
    let mut client = Client::stranger(&simulator).await;
    assert_eq!(client.content.about.api_type, "HostAgent");

    let versions = client
        .http()
        .get(format!("{}/vimServiceVersions.xml", simulator.url()))
        .send()
        .await
        .unwrap();
    let versions = versions.text().await.unwrap();
    let versions = vim25::parse_service_versions(&versions, "urn:vim25").unwrap();
    assert_eq!(versions[0], "8.0.3.0");

    let fault = client.try_login("root", "wrong").await.unwrap_err().fault();
    assert!(fault.is::<InvalidLogin>(), "{fault}");
    let collector = client.content.property_collector.clone();
    let refused = client.call(collector.create_property_collector()).await;
    let fault = refused.unwrap_err().fault();
    assert!(fault.is::<NotAuthenticated>(), "{fault}");

    client.try_login("root", "secret").await.unwrap();
    let root: Ref<mo::Folder> = client.content.root_folder.clone();
    let children: Vec<Ref<mo::ManagedEntity>> = client.get(&root, "childEntity").await;
    assert_eq!(children[0].to_string(), "Datacenter:ha-datacenter");
    client
        .call(client.content.session_manager.clone().unwrap().logout())
        .await
        .unwrap();
    let gone = client.call(collector.create_property_collector()).await;
    assert!(gone.unwrap_err().fault().is::<NotAuthenticated>());
    simulator.shutdown().await;
}
