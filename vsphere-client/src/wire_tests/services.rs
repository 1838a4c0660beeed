//! Tests of calls to services other than the main one.

use std::sync::{Arc, Mutex};

use vim25::{pbm, vsan};

use super::{connect, vm};
use crate::transport::replay::{Replay, Reply, Seen, welcome};

const CONTENT: &str = "<PbmRetrieveServiceContentResponse xmlns=\"urn:pbm\"><returnval><aboutInfo><name>PBM</name><version>2.0</version><instanceUuid>u</instanceUuid></aboutInfo><sessionManager type=\"PbmSessionManager\">s</sessionManager><capabilityMetadataManager type=\"PbmCapabilityMetadataManager\">c</capabilityMetadataManager><profileManager type=\"PbmProfileProfileManager\">p</profileManager><complianceManager type=\"PbmComplianceManager\">m</complianceManager><placementSolver type=\"PbmPlacementSolver\">l</placementSolver></returnval></PbmRetrieveServiceContentResponse>";

#[tokio::test]
async fn another_service_has_its_own_path_and_is_told_the_session() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let replay = Replay::new(move |request: &Seen| {
        let session = request.soap.header.session_cookie.clone();
        log.lock().unwrap().push((
            request.path.clone(),
            request.action.clone(),
            session,
            request.cookie.clone(),
        ));
        welcome(request).unwrap_or(match request.method() {
            // The cookie of this service must not replace that of the session.
            "PbmRetrieveServiceContent" => Reply::Cookie(CONTENT, "vmware_soap_session=other"),
            _ => Reply::Body(
                "<DestroyPropertyCollectorResponse xmlns=\"urn:vim25\"></DestroyPropertyCollectorResponse>",
            ),
        })
    });
    let client = connect(&replay).await;
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let content = client.call(call).await.unwrap();
    assert_eq!(content.about_info.name, "PBM");
    let collector = vsan::property_collector();
    let call = collector.destroy_property_collector().at(vsan::SERVICE);
    client.call(call).await.unwrap();
    let call = collector.destroy_property_collector();
    client.call(call).await.unwrap();

    let cookie = Some(String::from("vmware_soap_session=\"52c1\""));
    let session = Some(String::from("52c1"));
    let expected = [
        ("/pbm", "\"urn:pbm/\"", session.clone(), cookie.clone()),
        ("/vsanHealth", "\"urn:vsan/\"", session, cookie.clone()),
        ("/sdk", "\"urn:vim25/8.0.3.0\"", None, cookie),
    ];
    let expected = expected.map(|(path, action, session, cookie)| {
        (path.to_owned(), action.to_owned(), session, cookie)
    });
    // Skip the requests for the service content and the login.
    assert_eq!(seen.lock().unwrap()[2..], expected);
}

#[tokio::test]
async fn the_session_in_a_header_is_not_in_what_is_printed() {
    let replay = Replay::new(|request: &Seen| {
        welcome(request).unwrap_or(Reply::Body(
            "<PbmRetrieveServiceContentResponse xmlns=\"urn:pbm\"><returnval/></PbmRetrieveServiceContentResponse>",
        ))
    });
    let client = connect(&replay).await;
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let error = client.call(call).await.unwrap_err();
    let text = format!("{error} {error:?} {client:?} {:?}", vm());
    assert!(!text.contains("52c1"), "{text}");
}
