//! Containers of one image share its disk.

use disk_image::vmdk::SparseDisk;
use futures_util::{StreamExt, TryStreamExt, stream};
use portlayer::exec::{Command, ContainerSpec, RootFs};
use portlayer::image::Digest;
use portlayer::vsphere::Dialect;
use simulator::Platform;

use super::{files, flat, image, layer, options};
use crate::Endpoint;

/// The bench `images` does the same with 100 containers.
const CONTAINERS: usize = 40;

#[tokio::test]
async fn many_containers_copy_nothing_and_leave_the_image_as_it_was() {
    // Destroying a machine deletes the parents of its disks, and nothing protects them.
    let platform = Platform {
        destroy_deletes_parent_disks: true,
        destroy_honours_ddb_deletable: false,
        ..Platform::default()
    };
    let endpoint = Endpoint::start(Dialect::Vic1, platform).await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", &[7; 1_000_000])], "/hello");
    let import = layer_.images().import(image.clone(), options());
    import.await.unwrap();
    let before = files(&endpoint);
    let digest = Digest::of(std::fs::read(flat(&endpoint)).unwrap());

    let ids: Vec<_> = stream::iter(0..CONTAINERS)
        .map(|number| {
            let spec = ContainerSpec::new(format!("child-{number}"), Command::new("/exit"))
                .root(RootFs::image(image.id(), "hello"));
            layer_.exec().create(spec)
        })
        .buffer_unordered(8)
        .try_collect()
        .await
        .unwrap();
    let is_disk = |file: &&std::path::PathBuf| {
        let name = file.to_string_lossy();
        !before.contains(file) && name.ends_with(".vmdk") && !name.ends_with("-delta.vmdk")
    };
    let now = files(&endpoint);
    let disks: Vec<_> = now.iter().filter(is_disk).collect();
    assert_eq!(disks.len(), CONTAINERS);
    for disk in disks {
        let stored = SparseDisk::open(disk).unwrap().stored_bytes();
        assert_eq!(stored.unwrap(), 0, "{}", disk.display());
    }

    stream::iter(&ids)
        .map(|id| layer_.exec().remove(id))
        .buffer_unordered(8)
        .try_collect::<()>()
        .await
        .unwrap();
    assert_eq!(files(&endpoint), before);
    assert_eq!(Digest::of(std::fs::read(flat(&endpoint)).unwrap()), digest);
}
