//! The life cycle of hosts, on any endpoint.

use std::sync::{Mutex, PoisonError};

use portlayer::exec::{Command, ContainerSpec, StartOptions};
use portlayer::vsphere::{
    ContainerPolicy, HostSpec, HostState, Hosts, InstallProgress, InstallStatus, InstallStep, kind,
};
use portlayer::{ContainerId, Error, ErrorKind, ResourceKind};

use super::Flow;

type Check = Result<(), Box<dyn std::error::Error>>;

/// Fails and prints the value if it does not match the pattern.
macro_rules! ensure {
    ($value:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {{
        match $value {
            $pattern $(if $guard)? => {}
            other => panic!("{} is {other:?}", stringify!($value)),
        }
    }};
}

/// The endpoint, and the hosts to delete at the end.
struct HostBench<'a> {
    flow: &'a Flow<'a>,
    made: Mutex<Vec<String>>,
}

impl HostBench<'_> {
    fn hosts(&self) -> &Hosts {
        self.flow.hosts
    }

    /// Returns a specification with a unique name. A host with that name is deleted at the end.
    fn spec(&self) -> HostSpec {
        let name = format!("conformance-{}", ContainerId::generate().short());
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.clone());
        (self.flow.spec)(&name)
    }

    async fn clear(self) {
        for name in self
            .made
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            match self.flow.hosts.delete(&name, ContainerPolicy::Remove).await {
                Err(error) if !error.is_not_found() => panic!("{error}"),
                _ => {}
            }
        }
    }
}

/// Runs all cases.
pub(crate) async fn all(flow: &Flow<'_>) {
    macro_rules! run {
        ($($case:ident),+ $(,)?) => {$({
            let bench = HostBench {
                flow,
                made: Mutex::default(),
            };
            if let Err(error) = $case(&bench).await {
                panic!("{}: {error:?}", stringify!($case));
            }
            bench.clear().await;
        })+};
    }
    run!(
        each_step_is_told_and_the_host_is_found,
        a_second_host_of_one_name_is_refused,
        an_unknown_datastore_or_network_is_named,
        a_bad_name_is_refused,
        an_unknown_host_is_not_found,
        containers_stay_with_their_host,
        delete_is_refused_while_there_are_containers,
        delete_leaves_nothing,
    );
}

fn quiet(_: InstallProgress) {}

fn container(name: &str) -> ContainerSpec {
    ContainerSpec::new(name, Command::new("/run"))
}

async fn each_step_is_told_and_the_host_is_found(bench: &HostBench<'_>) -> Check {
    let told = Mutex::new(Vec::new());
    let observer = |progress: InstallProgress| {
        if !matches!(progress.status, InstallStatus::Transferred { .. }) {
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(progress);
        }
    };
    let spec = bench.spec();
    let name = spec.name.clone();
    let info = bench.hosts().install(spec, &observer).await?;
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    // These steps run only if requested.
    let optional = [
        InstallStep::BridgeNetwork,
        InstallStep::Address,
        InstallStep::Components,
    ];
    let expected: Vec<_> = InstallStep::ALL
        .into_iter()
        .filter(|step| !optional.contains(step) && !bench.flow.skipped.contains(step))
        .flat_map(|step| {
            [InstallStatus::Started, InstallStatus::Finished]
                .map(|status| InstallProgress { step, status })
        })
        .collect();
    // The images are uploaded at the same time.
    let in_order = |mut told: Vec<InstallProgress>| {
        let is_upload =
            |step| matches!(step, InstallStep::ApplianceIso | InstallStep::BootstrapIso);
        let uploads = told.iter().filter(|told| is_upload(told.step)).count();
        if let Some(first) = told.iter().position(|told| is_upload(told.step)) {
            let uploads = &mut told[first..first + uploads];
            assert!(uploads.iter().all(|told| is_upload(told.step)));
            uploads.sort_by_key(|told| told.step);
        }
        told
    };
    assert_eq!(in_order(told), expected);
    assert_eq!(info.name, name);
    assert_eq!(info.state, HostState::Running);
    assert_eq!(bench.hosts().find(&name).await?, info);
    ensure!(bench.hosts().list().await?, ref all if all.contains(&info));
    Ok(())
}

async fn a_second_host_of_one_name_is_refused(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let first = bench.hosts().install(spec.clone(), &quiet).await?;
    let second = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
    ensure!(
        second,
        Err(ref refused)
            if refused.error().kind == ErrorKind::AlreadyExists
                && refused.error().resource().kind == kind::HOST
                && *refused.error().resource().id == first.name
                && refused.step() == InstallStep::Validate
                && refused.left_behind().is_empty()
    );
    assert_eq!(bench.hosts().find(&first.name).await?, first);
    Ok(())
}

async fn an_unknown_datastore_or_network_is_named(bench: &HostBench<'_>) -> Check {
    let none = "conformance-no-such-thing".to_owned();
    let spec = bench.spec();
    let name = spec.name.clone();
    for (kind, spec) in [
        (kind::DATASTORE, spec.clone().datastore(&none)),
        (ResourceKind::Network, spec.clone().bridge_network(&none)),
        (ResourceKind::Network, spec.clone().public_network(&none)),
        (kind::COMPUTE_RESOURCE, spec.clone().compute(&none)),
    ] {
        let refused = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
        ensure!(
            refused,
            Err(ref refused)
                if refused.error().is_not_found()
                    && refused.error().resource().kind == kind
                    && *refused.error().resource().id == none
                    && refused.left_behind().is_empty()
        );
        ensure!(
            bench.hosts().find(&name).await,
            Err(Error {
                kind: ErrorKind::NotFound,
                ..
            })
        );
    }
    Ok(())
}

async fn a_bad_name_is_refused(bench: &HostBench<'_>) -> Check {
    let spec = (bench.flow.spec)("not a name");
    let refused = bench.hosts().install(spec, &quiet).await.map_err(Box::new);
    ensure!(
        refused,
        Err(ref refused)
            if refused.error().kind == ErrorKind::InvalidArgument { field: "name" }
    );
    Ok(())
}

async fn an_unknown_host_is_not_found(bench: &HostBench<'_>) -> Check {
    let name = bench.spec().name;
    ensure!(
        bench.hosts().find(&name).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        bench.hosts().open(&name).await.map(drop),
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        bench.hosts().delete(&name, ContainerPolicy::Remove).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}

async fn containers_stay_with_their_host(bench: &HostBench<'_>) -> Check {
    let (one, other) = (bench.spec(), bench.spec());
    let names = (one.name.clone(), other.name.clone());
    bench.hosts().install(one, &quiet).await?;
    bench.hosts().install(other, &quiet).await?;
    let one = bench.hosts().open(&names.0).await?;
    let other = bench.hosts().open(&names.1).await?;
    let id = one.exec().create(container("same_name")).await?;
    assert_eq!(other.exec().list().await?.containers, []);
    ensure!(
        other.exec().inspect(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    let second = other.exec().create(container("same_name")).await?;
    let listing = one.exec().list().await?;
    let ids: Vec<_> = listing
        .containers
        .iter()
        .map(|container| container.id)
        .collect();
    assert_eq!(ids, [id]);
    assert_eq!(listing.quarantined, []);
    one.exec().remove(&id).await?;
    other.exec().remove(&second).await?;
    Ok(())
}

async fn delete_is_refused_while_there_are_containers(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let name = spec.name.clone();
    bench.hosts().install(spec, &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    let id = layer.exec().create(container("holds_on")).await?;
    let refused = bench.hosts().delete(&name, ContainerPolicy::Refuse).await;
    ensure!(refused, Err(Error { kind: ErrorKind::InUse { ref by }, .. }) if by.contains("holds_on"));
    assert_eq!(bench.hosts().find(&name).await?.state, HostState::Running);
    assert_eq!(layer.exec().inspect(&id).await?.name, "holds_on");
    layer.exec().remove(&id).await?;
    bench.hosts().delete(&name, ContainerPolicy::Refuse).await?;
    ensure!(
        bench.hosts().find(&name).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}

async fn delete_leaves_nothing(bench: &HostBench<'_>) -> Check {
    let spec = bench.spec();
    let name = spec.name.clone();
    bench.hosts().install(spec.clone(), &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    layer.exec().create(container("off")).await?;
    let on = layer.exec().create(container("on")).await?;
    layer.exec().start(&on, StartOptions::new()).await?;
    bench.hosts().delete(&name, ContainerPolicy::Remove).await?;
    ensure!(
        bench.hosts().find(&name).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(bench.hosts().list().await?, ref all if all.iter().all(|host| host.name != name));
    // A new host can be installed, and contains nothing of the old one.
    bench.hosts().install(spec, &quiet).await?;
    let layer = bench.hosts().open(&name).await?;
    assert_eq!(layer.exec().list().await?.containers, []);
    Ok(())
}
