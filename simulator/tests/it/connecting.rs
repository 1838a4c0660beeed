//! Tests of the first steps of a client: versions, service content, login, properties.

use crate::client::Client;
use crate::vcenter::typed;
use simulator::{Simulator, StartError};
use vim25::types::{AboutInfo, InvalidLogin, NotAuthenticated, UserSession};
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

    let versions = versions(&client, &simulator).await;
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

/// Returns the API versions that a client can choose from.
async fn versions(client: &Client, simulator: &Simulator) -> Vec<String> {
    let url = format!("{}/vimServiceVersions.xml", simulator.url());
    let text = client.http().get(url).send().await.unwrap().text().await;
    vim25::parse_service_versions(&text.unwrap(), "urn:vim25").unwrap()
}

#[tokio::test]
async fn the_api_version_is_that_of_the_builder() {
    let vcenter = Simulator::vcenter().api_version("6.7").start();
    let vcenter = vcenter.await.unwrap();
    let client = Client::login(&vcenter).await;
    assert_eq!(client.content.about.api_version, "6.7");
    assert_eq!(versions(&client, &vcenter).await, ["6.7", "6.5", "6.0"]);
    let host: Ref<mo::HostSystem> = typed(&client, "DC0/host/DC0_H0/DC0_H0").await;
    let about: AboutInfo = client.get(&host, "config.product").await;
    assert_eq!(about.api_version, "6.7");
    vcenter.shutdown().await;
    for wrong in ["", "seven", "8.0.3.0.1", "99.0"] {
        let refused = Simulator::builder().api_version(wrong).start().await;
        let Err(StartError::ApiVersion { version }) = refused else {
            panic!("{wrong:?} is accepted: {refused:?}");
        };
        assert_eq!(version, wrong);
    }
}

#[tokio::test]
async fn a_session_is_cloned_with_a_ticket_once() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = Client::login(&simulator).await;
    let manager = client.content.session_manager.clone().unwrap();
    let ticket = client.call(manager.acquire_clone_ticket()).await.unwrap();
    let again = client.call(manager.clone_session(&ticket)).await;
    let fault = again.map(drop).unwrap_err().fault();
    assert!(fault.is::<InvalidLogin>(), "it has a session: {fault}");

    let mut other = Client::stranger(&simulator).await;
    other.open(manager.clone_session(&ticket)).await.unwrap();
    assert_ne!(other.cookie, client.cookie);
    let session: UserSession = other.get(&manager, "currentSession").await;
    assert_eq!(session.user_name, simulator.user());
    let mut third = Client::stranger(&simulator).await;
    for wrong in [ticket.as_str(), "guessed"] {
        let fault = third.open(manager.clone_session(wrong)).await;
        let fault = fault.unwrap_err().fault();
        assert!(fault.is::<InvalidLogin>(), "{wrong}: {fault}");
    }
    // The sessions are independent, and a ticket ends with the session that acquired it.
    let ticket = client.call(manager.acquire_clone_ticket()).await.unwrap();
    client.call(manager.logout()).await.unwrap();
    let fault = third.open(manager.clone_session(&ticket)).await;
    assert!(fault.unwrap_err().fault().is::<InvalidLogin>());
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    other.call(instance.current_time()).await.unwrap();
    let refused = third.call(manager.acquire_clone_ticket()).await.map(drop);
    assert!(refused.unwrap_err().fault().is::<NotAuthenticated>());
    simulator.shutdown().await;
}
