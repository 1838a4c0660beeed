//! Machines with the line key of another machine, as copied machines have.

use vim25::types::{OptionValue, VirtualMachineConfigSpec};
use vim25::{Poly, Property, Ref, mo, props};

use super::*;

const EXTRA_CONFIG: Property<mo::VirtualMachine, Vec<Poly<OptionValue>>> =
    Property::new("config.extraConfig");
/// The private key of a machine, and the fingerprint by which the host identifies it.
const LINE_KEYS: [&str; 2] = ["guestinfo.vice./key", "portlayer/hostkey"];

impl Endpoint {
    pub(super) async fn machine(&self, id: &ContainerId) -> Ref<mo::VirtualMachine> {
        let root = &self.client.service_content().root_folder;
        let name = props::virtual_machine::NAME;
        let all = self.client.retrieve().property(name).within(root);
        let all = all.collect().await.unwrap();
        let found = all.iter().find(|vm| {
            vm.value(name)
                .is_some_and(|name| name.ends_with(&id.short()) || name == id.to_string())
        });
        found.unwrap().object().clone()
    }

    async fn copy_line_keys(&self, from: &ContainerId, to: &ContainerId) {
        let machine = self.machine(from).await;
        let options = self.client.get(&machine, EXTRA_CONFIG).await.unwrap();
        let copied: Vec<_> = options
            .iter()
            .filter(|option| {
                let option = option.base::<OptionValue>().unwrap().unwrap();
                LINE_KEYS.contains(&option.key.as_str())
            })
            .cloned()
            .collect();
        assert_eq!(copied.len(), LINE_KEYS.len());
        let change = VirtualMachineConfigSpec {
            extra_config: copied,
            ..Default::default()
        };
        let machine = self.machine(to).await;
        self.client.run(machine.reconfig_vm(&change)).await.unwrap();
    }

    async fn start_container(&self, id: &ContainerId) {
        let options = StartOptions::default();
        let started = self.layer.exec().start(id, options);
        timeout(LIMIT, started).await.unwrap().unwrap();
    }

    /// Attaching fails because of the key, either at once or when the line is connected.
    async fn is_barred(&self, id: &ContainerId) {
        let attached = self
            .layer
            .streams()
            .attach(id, AttachOptions::interactive());
        let error = match timeout(LIMIT, attached).await.unwrap() {
            Err(error) => error,
            Ok(mut attached) => loop {
                let piece = timeout(LIMIT, attached.output.next()).await.unwrap();
                if let Err(error) = piece.expect("an error comes before the end") {
                    break error;
                }
            },
        };
        assert!(
            matches!(error.kind, ErrorKind::PermissionDenied),
            "{error:?}"
        );
    }
}

/// The line of the copied machine was connected before the copy, and is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_machines_with_one_key_have_no_line() {
    let endpoint = Endpoint::start().await;
    let original = endpoint.container("original").await;
    let copy = endpoint.container("copy").await;
    let other = endpoint.container("other").await;
    let options = AttachOptions::output();
    let mut reader = endpoint
        .layer
        .streams()
        .attach(&original, options.clone())
        .await
        .unwrap();
    endpoint.start_container(&original).await;
    read(&mut reader.output, "ready\n").await;

    endpoint.copy_line_keys(&original, &copy).await;
    endpoint.start_container(&copy).await;
    endpoint.is_barred(&copy).await;
    endpoint.is_barred(&original).await;

    // A third machine has its own key and gets a line.
    let mut reader = endpoint
        .layer
        .streams()
        .attach(&other, options)
        .await
        .unwrap();
    endpoint.start_container(&other).await;
    read(&mut reader.output, "ready\n").await;
    endpoint.simulator.shutdown().await;
}

/// Neither machine was connected before the copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_copied_before_is_nobodys() {
    let endpoint = Endpoint::start().await;
    let original = endpoint.container("original").await;
    let copy = endpoint.container("copy").await;
    endpoint.copy_line_keys(&original, &copy).await;
    endpoint.start_container(&original).await;
    endpoint.is_barred(&original).await;
    endpoint.is_barred(&copy).await;
    endpoint.simulator.shutdown().await;
}
