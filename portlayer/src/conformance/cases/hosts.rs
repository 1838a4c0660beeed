//! The life of hosts.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::conformance::check::{Check, Failure, HostBench, ensure, ensure_eq};
use crate::exec::{Command, ContainerSpec};
use crate::host::{Containers, HostSpec, HostState, Progress, Step, StepStatus};
use crate::{Error, ResourceKind};

fn quiet(_: Progress) {}

fn container(name: &str) -> ContainerSpec {
    ContainerSpec::new(name, "conformance:latest", Command::new("/run"))
}

pub(super) async fn each_step_is_told_and_the_host_is_found(bench: &HostBench<'_>) -> Check {
    let told = Mutex::new(Vec::new());
    let observer = |progress: Progress| {
        if !matches!(progress.status, StepStatus::Transferred { .. }) {
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(progress);
        }
    };
    let spec = bench.spec();
    let name = spec.name.clone();
    let info = bench.hosts().install(spec, &observer).await?;
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let expected: Vec<_> = Step::ALL
        .into_iter()
        .flat_map(|step| {
            [StepStatus::Started, StepStatus::Finished].map(|status| Progress { step, status })
        })
        .collect();
    ensure_eq!(told, expected);
    ensure_eq!(info.name, name);
    ensure_eq!(info.state, HostState::Running);
    ensure_eq!(bench.hosts().find(&name).await?, info);
    ensure!(bench.hosts().list().await?, ref all if all.contains(&info));
    Ok(())
}

pub(super) async fn a_second_host_of_one_name_is_refused(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let first = bench.hosts().install(spec.clone(), &quiet).await?;
    let second = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
    ensure!(
        second,
        Err(ref refused)
            if matches!(refused.error(), Error::AlreadyExists { resource, .. }
                if resource.kind == ResourceKind::Host && *resource.id == first.name)
                && refused.step() == Step::Validate
                && refused.left_behind().is_empty()
    );
    ensure_eq!(bench.hosts().find(&first.name).await?, first);
    Ok(())
}

pub(super) async fn an_unknown_datastore_or_network_is_named(bench: &HostBench<'_>) -> Check {
    let none = "conformance-no-such-thing".to_owned();
    let spec = bench.spec();
    let name = spec.name.clone();
    for (kind, spec) in [
        (
            ResourceKind::Datastore,
            HostSpec {
                datastore: Some(none.clone()),
                ..spec.clone()
            },
        ),
        (
            ResourceKind::Network,
            HostSpec {
                bridge_network: Some(none.clone()),
                ..spec.clone()
            },
        ),
        (
            ResourceKind::Network,
            HostSpec {
                public_network: Some(none.clone()),
                ..spec.clone()
            },
        ),
        (
            ResourceKind::ComputeResource,
            HostSpec {
                compute: Some(none.clone()),
                ..spec.clone()
            },
        ),
    ] {
        let refused = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
        ensure!(
            refused,
            Err(ref refused)
                if matches!(refused.error(), Error::NotFound { resource, .. }
                    if resource.kind == kind && *resource.id == none)
                    && refused.left_behind().is_empty()
        );
        ensure!(bench.hosts().find(&name).await, Err(Error::NotFound { .. }));
    }
    Ok(())
}

pub(super) async fn a_bad_name_is_refused(bench: &HostBench<'_>) -> Check {
    let spec = HostSpec {
        name: "not a name".into(),
        ..bench.spec()
    };
    let refused = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
    ensure!(
        refused,
        Err(ref refused)
            if matches!(refused.error(), Error::InvalidArgument { field: "name", .. })
    );
    Ok(())
}

pub(super) async fn an_unknown_host_is_not_found(bench: &HostBench<'_>) -> Check {
    let name = bench.spec().name;
    ensure!(bench.hosts().find(&name).await, Err(Error::NotFound { .. }));
    ensure!(
        bench.hosts().open(&name).await.map(drop),
        Err(Error::NotFound { .. })
    );
    ensure!(
        bench.hosts().delete(&name, Containers::Remove).await,
        Err(Error::NotFound { .. })
    );
    Ok(())
}

pub(super) async fn containers_stay_with_their_host(bench: &HostBench<'_>) -> Check {
    let (one, other) = (bench.spec(), bench.spec());
    let names = (one.name.clone(), other.name.clone());
    bench.hosts().install(one, &quiet).await?;
    bench.hosts().install(other, &quiet).await?;
    let one = bench.hosts().open(&names.0).await?;
    let other = bench.hosts().open(&names.1).await?;
    let id = one.exec().create(container("same_name")).await?;
    ensure_eq!(other.exec().list().await?.containers, []);
    ensure!(other.exec().inspect(&id).await, Err(Error::NotFound { .. }));
    let second = other.exec().create(container("same_name")).await?;
    let listing = one.exec().list().await?;
    let ids: Vec<_> = listing
        .containers
        .iter()
        .map(|container| container.id)
        .collect();
    ensure_eq!(ids, [id]);
    ensure_eq!(listing.quarantined, []);
    one.exec().remove(&id).await?;
    other.exec().remove(&second).await?;
    Ok(())
}

pub(super) async fn delete_is_refused_while_there_are_containers(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let name = spec.name.clone();
    bench.hosts().install(spec, &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    let id = layer.exec().create(container("holds_on")).await?;
    let refused = bench.hosts().delete(&name, Containers::Refuse).await;
    ensure!(refused, Err(Error::InUse { ref by, .. }) if by.contains("holds_on"));
    ensure_eq!(bench.hosts().find(&name).await?.state, HostState::Running);
    ensure_eq!(layer.exec().inspect(&id).await?.name, "holds_on");
    layer.exec().remove(&id).await?;
    bench.hosts().delete(&name, Containers::Refuse).await?;
    ensure!(bench.hosts().find(&name).await, Err(Error::NotFound { .. }));
    Ok(())
}

pub(super) async fn delete_leaves_nothing(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let name = spec.name.clone();
    bench.hosts().install(spec.clone(), &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    layer.exec().create(container("off")).await?;
    let on = layer.exec().create(container("on")).await?;
    layer.exec().start(&on).await?;
    bench.hosts().delete(&name, Containers::Remove).await?;
    ensure!(bench.hosts().find(&name).await, Err(Error::NotFound { .. }));
    ensure!(bench.hosts().list().await?, ref all if all.iter().all(|host| host.name != name));
    // Nothing stands in the way of a new one, and nothing of the old one is in it.
    bench.hosts().install(spec, &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    ensure_eq!(layer.exec().list().await?.containers, []);
    Ok(())
}
