//! Flows that import and export OVF packages.

use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use vim25::types::{
    InvalidPowerState, OvfCreateDescriptorParams, OvfElement, OvfFile, OvfInvalidValueReference,
    OvfUnknownDevice, OvfUnsupportedDiskProvisioning, OvfUnsupportedSection, OvfUnsupportedType,
    OvfXmlFormat, VirtualDisk, VirtualMachineImportSpec, VirtualVmxnet3,
};
use vim25::{Fault, Ref, mo, props};
use vsphere_client::ovf::{ArchiveError, ArchiveProblem, OvfImport};
use vsphere_client::{Client, Error};

const VMWARE: &str = include_str!("../data/ovf/vmware.ovf");
const VIRTUALBOX: &str = include_str!("../data/ovf/virtualbox.ovf");

/// The place where a package is imported.
struct Place {
    pool: Ref<mo::ResourcePool>,
    datastore: Ref<mo::Datastore>,
    folder: Ref<mo::Folder>,
    network: Ref<mo::Network>,
}

impl Place {
    async fn of(client: &Client) -> Self {
        let inventory = client.inventory();
        let datacenter = inventory.datacenter(None).await.unwrap();
        let datastore = inventory.datastore(&datacenter, None).await.unwrap();
        let root = &client.service_content().root_folder;
        let pools = client.retrieve().property(props::resource_pool::NAME);
        let pools = pools.within(root).collect().await.unwrap();
        let networks = client.retrieve().property(props::network::NAME);
        let networks = networks.within(root).collect().await.unwrap();
        Self {
            pool: pools.first().unwrap().object().clone(),
            datastore: datastore.reference().clone(),
            folder: datacenter.vm_folder().clone(),
            network: networks.first().unwrap().object().clone(),
        }
    }

    fn import<'c>(&self, client: &'c Client, name: &str) -> OvfImport<'c> {
        let import = client.ovf().unwrap().import(&self.pool, &self.datastore);
        let import = import.folder(&self.folder).name(name);
        import.network("VM Network", &self.network)
    }
}

/// Appends a file to an archive.
fn add(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = [0u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn hexadecimal(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns an archive of these files, which ends with two blocks of zeros.
fn ova(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        add(&mut archive, name, content);
    }
    archive.resize(archive.len() + 1_024, 0);
    archive
}

/// Returns the manifest of these files.
fn manifest(files: &[(&str, &[u8])]) -> Vec<u8> {
    let line =
        |(name, content): &(&str, &[u8])| format!("SHA256({name})= {}\n", hexadecimal(content));
    files.iter().map(line).collect::<String>().into_bytes()
}

fn reader(archive: &[u8]) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(archive.to_vec())
}

/// Returns a streamOptimized VMDK of 1 MiB with this text at its start.
fn disk(text: &str) -> Vec<u8> {
    let options = disk_image::StreamOptions::new();
    let mut writer = disk_image::vmdk::StreamWriter::new(Vec::new(), 1 << 20, &options).unwrap();
    let mut grain = vec![0; 64 << 10];
    grain[..text.len()].copy_from_slice(text.as_bytes());
    disk_image::Sink::put(&mut writer, 0, &grain).unwrap();
    writer.finish().unwrap()
}

/// Returns the start of the contents of a streamOptimized VMDK.
fn contents(disk: &[u8]) -> Vec<u8> {
    struct Start(Vec<u8>);
    impl disk_image::Sink for Start {
        fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), disk_image::Error> {
            if offset == 0 {
                self.0 = bytes[..64].to_vec();
            }
            Ok(())
        }
    }
    let mut start = Start(Vec::new());
    let reader = disk_image::vmdk::StreamReader::new(disk).unwrap();
    reader
        .copy_to(&mut start, &disk_image::Monitor::new())
        .unwrap();
    start.0
}

fn archive_error(error: Error) -> ArchiveError {
    match error {
        Error::Archive { source, .. } => *source,
        other => panic!("{other:?}"),
    }
}

async fn names(client: &Client) -> Vec<String> {
    let root = &client.service_content().root_folder;
    let query = client.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let all = query.within(root).collect().await.unwrap();
    let names = all.iter();
    let names = names.filter_map(|item| item.value(props::virtual_machine::NAME));
    names.collect()
}

pub(crate) async fn an_ova_is_imported(url: &str) {
    let client = super::client(url).await;
    let place = Place::of(&client).await;
    let disk = disk("hello");
    let files: [(&str, &[u8]); 2] = [
        ("appliance.ovf", VMWARE.as_bytes()),
        ("appliance-disk1.vmdk", &disk),
    ];
    let list = manifest(&files);
    let list: (&str, &[u8]) = ("appliance.mf", &list);
    // The manifest may follow the descriptor or the disks.
    for (number, order) in [[files[0], list, files[1]], [files[0], files[1], list]]
        .iter()
        .enumerate()
    {
        let seen = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&seen);
        let name = format!("imported-{number}");
        let imported = place
            .import(&client, &name)
            .require_manifest()
            .on_progress(move |progress| *counter.lock().unwrap() = progress.bytes)
            .from_ova(reader(&ova(order)))
            .await
            .unwrap();
        assert_eq!(*seen.lock().unwrap(), disk.len() as u64);
        let vm = imported.entity.downcast::<mo::VirtualMachine>().unwrap();
        let config = client
            .get(&vm, props::virtual_machine::CONFIG)
            .await
            .unwrap();
        assert_eq!(config.name, name);
        assert_eq!(
            (config.hardware.num_cpu, config.hardware.memory_mb),
            (2, 64)
        );
        let devices = &config.hardware.device;
        let disks: Vec<_> = devices
            .iter()
            .filter_map(|device| device.get::<VirtualDisk>().unwrap())
            .collect();
        assert_eq!(disks.len(), 1);
        assert_eq!(disks[0].capacity_in_kb, 1_024);
        assert!(devices.iter().any(|device| device.is::<VirtualVmxnet3>()));
        client.run(vm.destroy()).await.unwrap();
    }
    // Nothing is created before the descriptor was read.
    let error = place
        .import(&client, "reordered")
        .from_ova(reader(&ova(&[files[1], files[0]])))
        .await
        .unwrap_err();
    let error = archive_error(error);
    assert!(
        matches!(error.problem, ArchiveProblem::OutOfOrder),
        "{error:?}"
    );
    assert_eq!(
        (error.entry.as_deref(), error.offset),
        (Some("appliance-disk1.vmdk"), 0)
    );
    client.close().await.unwrap();
}

pub(crate) async fn a_damaged_ova_leaves_nothing(url: &str) {
    let client = super::client(url).await;
    let place = Place::of(&client).await;
    let before = names(&client).await;
    let disk = disk("hello");
    let descriptor: (&str, &[u8]) = ("a.ovf", VMWARE.as_bytes());
    let disk_file: (&str, &[u8]) = ("appliance-disk1.vmdk", &disk);
    let right = manifest(&[descriptor, disk_file]);
    let list: (&str, &[u8]) = ("a.mf", &right);
    let whole = ova(&[descriptor, list, disk_file]);
    let start = whole.len() as u64 - 1_024 - (disk.len() as u64).next_multiple_of(512);

    let import = async |archive: &[u8]| {
        let import = place.import(&client, "damaged").require_manifest();
        let error = import.from_ova(reader(archive)).await.unwrap_err();
        assert_eq!(names(&client).await, before, "{error}");
        archive_error(error)
    };
    let cut = import(&whole[..usize::try_from(start + 100).unwrap()]).await;
    assert!(matches!(cut.problem, ArchiveProblem::Truncated), "{cut:?}");
    assert_eq!(
        (cut.entry.as_deref(), cut.offset),
        (Some(disk_file.0), start + 100)
    );
    let cut = import(&whole[..1_000]).await;
    assert!(matches!(cut.problem, ArchiveProblem::Truncated), "{cut:?}");
    assert_eq!((cut.entry.as_deref(), cut.offset), (Some("a.ovf"), 1_000));

    // A byte behind the end of the disk is still part of the file.
    let mut changed = disk.clone();
    changed.extend_from_slice(b"x");
    for order in [
        [descriptor, list, (disk_file.0, &*changed)],
        [descriptor, (disk_file.0, &*changed), list],
    ] {
        let error = import(&ova(&order)).await;
        assert!(
            matches!(error.problem, ArchiveProblem::Digest { .. }),
            "{error:?}"
        );
        assert_eq!(error.entry.as_deref(), Some(disk_file.0));
    }
    let other = manifest(&[(descriptor.0, b"other"), disk_file]);
    let error = import(&ova(&[descriptor, (list.0, &other), disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::Digest { .. }),
        "{error:?}"
    );
    assert_eq!((error.entry.as_deref(), error.offset), (Some("a.ovf"), 0));

    let error = import(&ova(&[descriptor, list])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::Missing),
        "{error:?}"
    );
    assert_eq!(error.entry.as_deref(), Some(disk_file.0));
    let error = import(&ova(&[descriptor, list, disk_file, disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::Duplicate),
        "{error:?}"
    );
    let error = import(&ova(&[descriptor, disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::NotInManifest),
        "{error:?}"
    );
    let error = import(&ova(&[list, descriptor, disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::OutOfOrder),
        "{error:?}"
    );
    let partial = manifest(&[descriptor]);
    let error = import(&ova(&[descriptor, (list.0, &partial), disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::NotInManifest),
        "{error:?}"
    );
    let text = VMWARE.replace("ovf:id=\"file1\"", "ovf:id=\"file1\" ovf:size=\"7\"");
    let sized: (&str, &[u8]) = ("a.ovf", text.as_bytes());
    let error = import(&ova(&[sized, disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::Length { expected: 7, .. }),
        "{error:?}"
    );
    let text = VMWARE.replace(
        "ovf:id=\"file1\"",
        "ovf:id=\"file1\" ovf:compression=\"gzip\"",
    );
    let zipped: (&str, &[u8]) = ("a.ovf", text.as_bytes());
    let error = import(&ova(&[zipped, disk_file])).await;
    assert!(
        matches!(error.problem, ArchiveProblem::Unsupported(_)),
        "{error:?}"
    );

    // What the server finds wrong in the descriptor is a fault.
    let text = VMWARE.replace("</Envelope>", "");
    let import = place.import(&client, "damaged");
    let error = import.from_ova(reader(&ova(&[("a.ovf", text.as_bytes())])));
    let error = error.await.unwrap_err();
    assert!(error.is_fault::<OvfXmlFormat>(), "{error:?}");
    // An import that is dropped is aborted.
    let (mut half, pipe) = tokio::io::duplex(4_096);
    let importing = place.import(&client, "dropped").from_ova(pipe);
    let sending = async {
        let sent = usize::try_from(start + 700).unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut half, &whole[..sent])
            .await
            .unwrap();
        // The machine exists once its disk is being sent.
        while !names(&client).await.contains(&"dropped".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        imported = importing => panic!("{imported:?}"),
        () = sending => {}
    }
    let gone = async {
        while names(&client).await != before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone)
        .await
        .unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn a_machine_is_exported_and_imported_again(url: &str) {
    let client = super::client(url).await;
    let place = Place::of(&client).await;
    let first = disk("a disk that travels");
    let archive = ova(&[
        ("a.ovf", VMWARE.as_bytes()),
        ("appliance-disk1.vmdk", &first),
    ]);
    let imported = place
        .import(&client, "travels")
        .from_ova(reader(&archive))
        .await;
    let vm = imported
        .unwrap()
        .entity
        .downcast::<mo::VirtualMachine>()
        .unwrap();
    let ovf = client.ovf().unwrap();
    let directory = tempfile::tempdir().unwrap();

    let exported = ovf
        .export(&vm)
        .to_directory(directory.path())
        .await
        .unwrap();
    assert!(exported.warnings.is_empty(), "{:?}", exported.warnings);
    let file = |name: &str| directory.path().join(name);
    let expected = ["travels-disk1.vmdk", "travels.mf", "travels.ovf"].map(file);
    assert_eq!(exported.files, expected);
    let read = |name: &str| std::fs::read(file(name)).unwrap();
    let sent = read("travels-disk1.vmdk");
    assert!(contents(&sent).starts_with(b"a disk that travels"));
    let lines = String::from_utf8(read("travels.mf")).unwrap();
    for name in ["travels.ovf", "travels-disk1.vmdk"] {
        let line = format!("SHA256({name})= {}\n", hexadecimal(&read(name)));
        assert!(lines.contains(&line), "{lines}");
    }
    // Existing files are not replaced, and those that were written are removed.
    std::fs::remove_file(file("travels-disk1.vmdk")).unwrap();
    let again = ovf.export(&vm).to_directory(directory.path()).await;
    assert!(matches!(again.unwrap_err(), Error::LocalFile { .. }));
    assert!(!file("travels-disk1.vmdk").exists() && file("travels.mf").exists());

    let path = file("copy.ova");
    let exported = ovf
        .export(&vm)
        .option("extraconfig")
        .to_ova(&path)
        .await
        .unwrap();
    assert_eq!(exported.files, std::slice::from_ref(&path));
    let again = ovf.export(&vm).to_ova(&path).await.unwrap_err();
    assert!(matches!(again, Error::LocalFile { .. }), "{again:?}");
    let source = tokio::fs::File::open(&path).await.unwrap();
    let import = place.import(&client, "copy").require_manifest();
    let copy = import.from_ova(source).await.unwrap();
    assert!(copy.warnings.is_empty(), "{:?}", copy.warnings);
    let copy = copy.entity.downcast::<mo::VirtualMachine>().unwrap();
    let config = async |vm: &Ref<mo::VirtualMachine>| {
        let config = client
            .get(vm, props::virtual_machine::CONFIG)
            .await
            .unwrap();
        let devices = config.hardware.device.iter();
        let mut devices: Vec<_> = devices
            .map(|device| device.type_name().to_string())
            .collect();
        devices.sort_unstable();
        let role = config.extra_config.iter().find_map(|option| {
            let key = option.node().get("key")?;
            (key.as_str()? == "guestinfo.role").then(|| option.node().get("value"))?
        });
        let role = role.and_then(|role| role.as_str().map(str::to_owned));
        (
            config.hardware.num_cpu,
            config.guest_id,
            config.version,
            devices,
            role,
        )
    };
    let own = config(&vm).await;
    assert_eq!(own.4.as_deref(), Some("test"));
    assert_eq!(own, config(&copy).await);
    let other = tempfile::tempdir().unwrap();
    ovf.export(&copy)
        .name("second")
        .to_directory(other.path())
        .await
        .unwrap();
    let disk = std::fs::read(other.path().join("second-disk1.vmdk")).unwrap();
    assert!(contents(&disk).starts_with(b"a disk that travels"));

    // A machine that is on is refused, and nothing is written.
    client.run(copy.power_on_vm(None)).await.unwrap();
    let path = file("on.ova");
    let error = ovf.export(&copy).to_ova(&path).await.unwrap_err();
    assert!(error.is_fault::<InvalidPowerState>(), "{error:?}");
    assert!(!path.exists() && !file("on.ova.part").exists());
    client.run(copy.power_off_vm()).await.unwrap();
    for vm in [vm, copy] {
        client.run(vm.destroy()).await.unwrap();
    }
    client.close().await.unwrap();
}

pub(crate) async fn descriptors_are_judged_by_the_server(url: &str) {
    let client = super::client(url).await;
    let place = Place::of(&client).await;
    let ovf = client.ovf().unwrap();
    let parsed = ovf.parse(VIRTUALBOX).await.unwrap();
    assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
    // VirtualBox's own section is not required.
    assert!(
        parsed.warnings[0].is::<OvfUnsupportedSection>(),
        "{:?}",
        parsed.warnings
    );
    let (parsed, _) = parsed.into_result().unwrap();
    assert_eq!(parsed.default_entity_name, "box");
    assert_eq!(parsed.network[0].name, "NAT");
    assert_eq!(parsed.eula, ["Be kind."]);
    assert_eq!(parsed.default_deployment_option, "large");
    assert_eq!(parsed.deployment_option.len(), 2);
    assert_eq!(parsed.property[0].id.as_deref(), Some("hostname"));
    assert_eq!(parsed.approximate_flat_deployment_size, Some(3 << 20));

    let import = || {
        ovf.import(&place.pool, &place.datastore)
            .folder(&place.folder)
    };
    let plan = import().property("com.example.box.hostname", "web");
    let (plan, warnings) = plan.plan(VIRTUALBOX).await.unwrap().into_result().unwrap();
    assert!(
        warnings.iter().any(Fault::is::<OvfUnsupportedType>),
        "{warnings:?}"
    );
    let spec = plan.import_spec.unwrap().get::<VirtualMachineImportSpec>();
    let spec = spec.unwrap().unwrap().config_spec;
    assert_eq!(
        (spec.name.as_deref(), spec.num_cpus),
        (Some("box"), Some(4))
    );
    assert_eq!(spec.memory_mb, Some(512));
    // Only one of the two disks has content.
    assert_eq!(plan.file_item.len(), 1);
    assert_eq!(plan.file_item[0].device_id, "/box/VirtualAHCIController0:0");
    assert_eq!(plan.file_item[0].path, "box-disk001.vmdk");

    let plan = import()
        .deployment_option("small")
        .plan(VIRTUALBOX)
        .await
        .unwrap();
    let spec = plan
        .value
        .import_spec
        .unwrap()
        .get::<VirtualMachineImportSpec>();
    assert_eq!(spec.unwrap().unwrap().config_spec.num_cpus, Some(1));
    let plan = import()
        .deployment_option("huge")
        .plan(VIRTUALBOX)
        .await
        .unwrap();
    assert!(
        plan.errors[0].is::<OvfInvalidValueReference>(),
        "{:?}",
        plan.errors
    );
    assert!(plan.value.import_spec.is_none());
    let plan = import()
        .disk_provisioning("seSparse")
        .plan(VIRTUALBOX)
        .await
        .unwrap();
    assert!(
        plan.errors[0].is::<OvfUnsupportedDiskProvisioning>(),
        "{:?}",
        plan.errors
    );
    let required = VIRTUALBOX.replace("<Item ovf:required=\"false\">", "<Item>");
    let plan = import().plan(&required).await.unwrap();
    assert!(
        plan.errors[0].is::<OvfUnsupportedType>(),
        "{:?}",
        plan.errors
    );
    let error = plan.into_result().unwrap_err();
    assert!(error.to_string().contains("CreateImportSpec"), "{error}");

    for (text, line) in [("<Envelope>", 1), ("no XML", 1), ("<a>\n&b;</a>", 2)] {
        let parsed = ovf.parse(text).await.unwrap();
        let detail = parsed.errors[0].get::<OvfXmlFormat>().unwrap().unwrap();
        assert_eq!(detail.base.line_number, line, "{text:?}");
    }
    let parsed = ovf.parse("<Other/>").await.unwrap();
    assert!(parsed.errors[0].is::<OvfElement>(), "{:?}", parsed.errors);

    let hosts = client.retrieve().property(props::host_system::NAME);
    let hosts = hosts
        .within(&client.service_content().root_folder)
        .collect()
        .await;
    let hosts = hosts.unwrap();
    let valid = ovf
        .validate_host(VIRTUALBOX, hosts[0].object())
        .await
        .unwrap();
    let (valid, _) = valid.into_result().unwrap();
    assert!(
        valid
            .supported_disk_provisioning
            .contains(&"thin".to_owned())
    );

    // The descriptor of a machine refers only to files of its own devices.
    let vm = super::machines(&client).await.remove(0);
    let params = OvfCreateDescriptorParams {
        ovf_files: vec![OvfFile {
            device_id: "/none/VirtualLsiLogicController9:9".into(),
            path: "a.vmdk".into(),
            ..OvfFile::default()
        }],
        ..OvfCreateDescriptorParams::default()
    };
    let described = ovf.describe(&vm, &params).await.unwrap();
    assert!(
        described.errors[0].is::<OvfUnknownDevice>(),
        "{:?}",
        described.errors
    );
    client.close().await.unwrap();
}
