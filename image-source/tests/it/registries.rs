//! Tests of images from registries.

use std::sync::{Arc, Mutex};

use image_source::{
    Credentials, Error, LayerProgress, LayerStage, Limits, Reference, Registries, RegistryOptions,
    Spool, Transport,
};
use portlayer::image::Digest;
use serde_json::json;

use crate::registry::{Auth, LIST, MANIFEST, Registry};
use crate::sample::{check_layers, two_layers};

fn plain(registry: &str) -> Registries {
    Registries::new(RegistryOptions::new().transport(registry, Transport::PlainHttp))
}

fn reference(registry: &str, tag: &str) -> Reference {
    format!("{registry}/lab/hello:{tag}").parse().unwrap()
}

#[tokio::test]
async fn an_image_is_fetched_once_and_verified() {
    let layers = two_layers();
    let (name, registry) = Registry::with(&layers).serve().await;
    let found = plain(&name)
        .resolve(&reference(&name, "latest"))
        .await
        .unwrap();
    assert_eq!(found.config().process().cmd, ["/hello"]);
    let spool = Spool::temporary().unwrap();
    let seen: Arc<Mutex<Vec<LayerProgress>>> = Arc::default();
    let observer = Arc::clone(&seen);
    let image = found
        .fetch(&spool, move |progress| {
            observer.lock().unwrap().push(progress);
        })
        .await
        .unwrap();
    check_layers(&image, &layers);
    let complete = |stage: LayerStage| {
        let seen = seen.lock().unwrap();
        seen.iter()
            .filter(|progress| progress.stage == stage)
            .count()
    };
    assert_eq!(complete(LayerStage::Waiting), 2);
    assert_eq!(complete(LayerStage::Complete), 2);

    let asked = registry.asked.lock().unwrap().len();
    let found = plain(&name)
        .resolve(&reference(&name, "latest"))
        .await
        .unwrap();
    let again = found.fetch(&spool, ()).await.unwrap();
    // Only the config was requested again.
    assert_eq!(registry.asked.lock().unwrap().len(), asked + 1);
    drop(spool);
    check_layers(&again, &layers);
}

#[tokio::test]
async fn each_way_to_authenticate_works_and_a_refusal_is_told() {
    for auth in [Auth::Basic, Auth::Token] {
        let mut registry = Registry::with(&two_layers());
        registry.auth = auth;
        let (name, _registry) = registry.serve().await;
        let wanted = reference(&name, "latest");
        let client = plain(&name);
        let credentials = Credentials::basic("me", "word");
        client.login(&name, credentials.clone()).await.unwrap();
        let found = client.resolve_as(&wanted, credentials).await.unwrap();
        found.fetch(&Spool::temporary().unwrap(), ()).await.unwrap();
        for wrong in [Credentials::Anonymous, Credentials::basic("me", "guess")] {
            let error = client.login(&name, wrong.clone()).await.unwrap_err();
            assert!(matches!(error, Error::Denied { .. }), "{auth:?}: {error}");
            let error = client.resolve_as(&wanted, wrong).await.unwrap_err();
            assert!(matches!(error, Error::Denied { .. }), "{auth:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_continued() {
    let layers = two_layers();
    let mut registry = Registry::with(&layers);
    registry.cut = Some(600);
    let (name, registry) = registry.serve().await;
    let found = plain(&name)
        .resolve(&reference(&name, "latest"))
        .await
        .unwrap();
    let (second, size) = found.layers().nth(1).unwrap();
    assert!(
        size > 600,
        "the layer is longer than the part that one request returns"
    );
    let image = found.fetch(&Spool::temporary().unwrap(), ()).await.unwrap();
    check_layers(&image, &layers);
    let asked = registry.asked.lock().unwrap();
    let starts: Vec<usize> = asked
        .iter()
        .filter(|(digest, _)| *digest == second.to_string())
        .map(|(_, start)| *start)
        .collect();
    assert_eq!(starts[..2], [0, 600]);
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let mut registry = Registry::with(&two_layers());
    let largest = registry
        .blobs
        .values_mut()
        .max_by_key(|blob| blob.len())
        .unwrap();
    *largest.last_mut().unwrap() ^= 1;
    let (name, _registry) = registry.serve().await;
    let client = plain(&name);
    let found = client.resolve(&reference(&name, "latest")).await.unwrap();
    let spool = Spool::temporary().unwrap();
    let error = found.fetch(&spool, ()).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");

    let wrong: Reference = format!("{name}/lab/hello@{}", Digest::of(b"other"))
        .parse()
        .unwrap();
    let error = client.resolve(&wrong).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn limits_hold_before_anything_large_is_read() {
    let (name, _registry) = Registry::with(&two_layers()).serve().await;
    for limits in [
        Limits::default().layer_bytes(10),
        Limits::default().layers(1),
    ] {
        let options = RegistryOptions::new()
            .transport(&name, Transport::PlainHttp)
            .limits(limits);
        let client = Registries::new(options);
        assert!(client.resolve(&reference(&name, "latest")).await.is_err());
    }
    let mut limits = Limits::default();
    limits.document_bytes = 10;
    let options = RegistryOptions::new()
        .transport(&name, Transport::PlainHttp)
        .limits(limits);
    let error = Registries::new(options)
        .resolve(&reference(&name, "latest"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn the_platform_is_chosen_and_what_is_missing_is_named() {
    let layers = two_layers();
    let mut registry = Registry::with(&layers);
    let (_, bytes) = registry.manifests["latest"].clone();
    let manifest = serde_json::from_slice(&bytes).unwrap();
    let mut entry = registry.manifest("only", MANIFEST, &manifest);
    entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let mut other = entry.clone();
    other["platform"]["architecture"] = "arm64".into();
    let list = |entries: &[&serde_json::Value]| json!({ "schemaVersion": 2, "manifests": entries });
    registry.manifest("both", LIST, &list(&[&other, &entry]));
    registry.manifest("arm", LIST, &list(&[&other]));
    let (name, _registry) = registry.serve().await;
    let client = plain(&name);
    client.resolve(&reference(&name, "both")).await.unwrap();
    let error = client.resolve(&reference(&name, "arm")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no image for the platform linux/amd64; there is linux/arm64"
    );
    let error = client.resolve(&reference(&name, "none")).await.unwrap_err();
    let Error::NotFound { message, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(message, "manifest unknown: manifest unknown");
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_may_be_gone() {
    let layers = two_layers();
    let (name, registry) = Registry::with(&layers).serve().await;
    let wanted: Reference = "lab.invalid/lab/hello".parse().unwrap();
    let options = RegistryOptions::new()
        .mirror("lab.invalid", "127.0.0.1:1")
        .mirror("lab.invalid", &name)
        .transport("127.0.0.1:1", Transport::PlainHttp)
        .transport(&name, Transport::PlainHttp);
    let found = Registries::new(options).resolve(&wanted).await.unwrap();
    let image = found.fetch(&Spool::temporary().unwrap(), ()).await.unwrap();
    check_layers(&image, &layers);
    assert!(!registry.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_self_signed_registry_is_refused_with_a_hint_and_accepted_by_its_thumbprint() {
    // Lab installers often create such a certificate, which is its own authority.
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let signed = parameters.self_signed(&key).unwrap();
    let certificate = signed.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (name, _registry) = Registry::with(&two_layers()).serve_with(Some(tls)).await;
    let wanted = reference(&name, "latest");

    let pin = *Digest::of(&certificate).as_bytes();
    let options = RegistryOptions::new().transport(&name, Transport::Pinned(pin));
    Registries::new(options).resolve(&wanted).await.unwrap();

    let options = RegistryOptions::new().transport(&name, Transport::Pinned([0; 32]));
    let error = Registries::new(options).resolve(&wanted).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");

    let options = RegistryOptions::new().authority(signed.pem());
    let error = Registries::new(options).resolve(&wanted).await.unwrap_err();
    assert!(error.to_string().contains("thumbprint"), "{error}");

    let options = RegistryOptions::new().transport(&name, Transport::DangerAcceptInvalidCerts);
    Registries::new(options).resolve(&wanted).await.unwrap();
}
