//! Hosts on vSAN datastores, where the endpoint chooses the directories of machines.

use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::vsphere::{ContainerPolicy, Dialect};
use simulator::{Datastore, Simulator};

use crate::{Endpoint, guest, spec};

async fn endpoint(dialect: Dialect) -> Endpoint {
    let simulator = Simulator::builder()
        .datastore(Datastore::vsan("vsan"))
        .guest(guest())
        .start()
        .await
        .unwrap();
    Endpoint::install(simulator, dialect, spec("vch")).await
}

#[tokio::test]
async fn containers_conform() {
    endpoint(Dialect::Vic1).await.conform().await;
}

#[tokio::test]
async fn a_deleted_host_leaves_nothing() {
    for dialect in Dialect::ALL {
        let endpoint = endpoint(dialect).await;
        let exec = endpoint.hosts.exec("vch").await.unwrap();
        for name in ["one", "two"] {
            let spec = ContainerSpec::new(name, Command::new("/run"));
            exec.create(spec).await.unwrap();
        }
        drop(exec);
        let deletion = endpoint.hosts.delete("vch", ContainerPolicy::Remove).await;
        assert_eq!(deletion.unwrap().left, []);
        let directory = endpoint.simulator.datastore_directory();
        let files = std::fs::read_dir(directory).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        // The simulator's own records, which clients cannot see.
        files.retain(|name| name != ".vsphere-simulator");
        assert!(files.is_empty(), "{dialect}: {files:?}");
    }
}
