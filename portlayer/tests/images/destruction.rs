//! On a vCenter, other programs cannot destroy the machines of images and containers.

use portlayer::exec::Exec;
use portlayer::image::Images;
use simulator::Reaction;
use vim25::Fault;
use vim25::types::{MethodDisabled, NotSupported};

use super::protection::machine;
use super::templates::{create, vcenter};
use super::{files, image, layer, options};

#[tokio::test]
async fn only_the_port_layer_destroys_images_and_containers() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let before = files(&endpoint);
    let image = image(&[layer("hello", b"hello")], "/hello");
    exec.images()
        .import(image.clone(), options())
        .await
        .unwrap();
    let id = create(&exec, "child", &image).await;
    for name in ["vch.image.", "child"] {
        let vm = machine(&endpoint, name).await;
        let refused = endpoint.client.run(vm.destroy()).await.unwrap_err();
        assert!(refused.is_fault::<MethodDisabled>(), "{name}: {refused:?}");
    }
    exec.remove(&id).await.unwrap();
    exec.images().remove(&image.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn a_server_without_the_methods_is_asked_once() {
    let endpoint = vcenter().await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    let fault = Fault::new("no such method", NotSupported::default());
    script.next("DisableMethods", Reaction::Fault(fault));
    exec.images()
        .import(image.clone(), options())
        .await
        .unwrap();
    assert_eq!(script.pending(), 0);
    let before = script.calls();
    let id = create(&exec, "child", &image).await;
    exec.remove(&id).await.unwrap();
    let asked = |method: &str| script.calls().get(method) != before.get(method);
    assert!(!asked("DisableMethods") && !asked("EnableMethods"));
}
