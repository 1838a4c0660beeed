//! Flows with services other than the main one: storage policies, first class disks, agents.

use vim25::pbm::types::{
    PbmCapabilityConstraintInstance, PbmCapabilityConstraints, PbmCapabilityInstance,
    PbmCapabilityMetadataUniqueId, PbmCapabilityProfile, PbmCapabilityProfileCreateSpec,
    PbmCapabilityPropertyInstance, PbmCapabilitySubProfile, PbmCapabilitySubProfileConstraints,
    PbmProfileResourceType,
};
use vim25::{Any, Poly, eam, pbm, vslm};
use vsphere_client::{Client, Error};

/// A vCenter offers these services; on a host, the error says that they are missing.
pub(crate) async fn other_services_answer_or_are_said_to_be_missing(url: &str) {
    let client = super::client(url).await;
    if client.is_vcenter() {
        policies(&client).await;
        let agents = eam::esx_agent_manager();
        client.call(agents.query_agency()).await.unwrap();
        let disks = client.call(vslm::service_instance().retrieve_content());
        assert!(!disks.await.unwrap().about_info.name.is_empty());
    } else {
        let call = pbm::service_instance().pbm_retrieve_service_content();
        let error = client.call(call).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(
            error.to_string().contains("urn:pbm, a service of vCenter"),
            "{error}"
        );
    }
    // The session with the main service is still usable.
    assert!(!super::machines(&client).await.is_empty());
    client.close().await.unwrap();
}

/// Creates a policy, checks that it is read back unchanged, and deletes it.
async fn policies(client: &Client) {
    let call = pbm::service_instance().pbm_retrieve_service_content();
    let content = client.call(call).await.unwrap();
    let profiles = content.profile_manager;
    let constraints: Poly<PbmCapabilityConstraints> =
        Poly::new(PbmCapabilitySubProfileConstraints {
            sub_profiles: vec![PbmCapabilitySubProfile {
                name: "rules".into(),
                capability: vec![PbmCapabilityInstance {
                    id: PbmCapabilityMetadataUniqueId {
                        namespace: "com.example".into(),
                        id: "speed".into(),
                    },
                    constraint: vec![PbmCapabilityConstraintInstance {
                        property_instance: vec![PbmCapabilityPropertyInstance {
                            id: "speed".into(),
                            operator: None,
                            value: Any::new(&"fast".to_owned()),
                        }],
                    }],
                }],
                force_provision: None,
            }],
            ..Default::default()
        });
    let storage = PbmProfileResourceType {
        resource_type: "STORAGE".into(),
    };
    let spec = PbmCapabilityProfileCreateSpec {
        name: "vsphere-client test".into(),
        category: Some("REQUIREMENT".into()),
        resource_type: storage.clone(),
        constraints: constraints.clone(),
        ..Default::default()
    };
    let made = client.call(profiles.pbm_create(&spec)).await.unwrap();
    let known = client.call(profiles.pbm_query_profile(&storage, None));
    assert!(known.await.unwrap().contains(&made));
    let call = profiles.pbm_retrieve_content(std::slice::from_ref(&made));
    let read = client.call(call).await.unwrap();
    let profile = read[0].get::<PbmCapabilityProfile>().unwrap().unwrap();
    assert_eq!(profile.name, spec.name);
    assert_eq!(profile.constraints, spec.constraints);
    client.call(profiles.pbm_delete(&[made])).await.unwrap();
}
