//! Ids, names, stored specifications, and refused ones.

use crate::conformance::Process;
use crate::conformance::check::{Bench, Check, Failure, ensure, ensure_eq};
use crate::exec::{
    Allocation, Command, ContainerInfo, ContainerSpec, Limit, LimitKind, Resources, Shares, Signal,
    StartOptions, StopOptions,
};
use crate::network::EndpointSpec;
use crate::{ContainerId, Error, ErrorKind, Resource, State, StateKind};

pub(super) async fn what_was_asked_for_is_read_back(bench: &Bench<'_>) -> Check {
    let command = Command::new("/bin/a b")
        .arg("plain")
        .arg("with|bar")
        .arg("späce and \"quotes\" #=\\")
        .env("PATH", "/bin:/usr/bin")
        .env("EQUALS", "a=b|c")
        .working_dir("/srv/my app")
        .user("nobody")
        .group("100")
        .tty(true)
        .open_stdin(true)
        .stop_signal(Signal::INT)
        .limit(Limit::new(LimitKind::NoFile, 1024).hard(4096))
        .limit(Limit::unlimited(LimitKind::Core));
    let image = super::images::stored(bench).await?;
    let resources = Resources::new().cpus(2).memory_mib(256).memory(
        Allocation::new()
            .shares(Shares::High)
            .limit(512)
            .reservation(4),
    );
    let spec = bench
        .spec(Process::Runs)
        .command(command)
        .resources(resources)
        .host_name("web-1")
        .label("Tier", "web")
        .label("tier", "")
        .annotation("front.end", "{\"a\": \"b|c\"}")
        .restart_count(3);
    let id = bench.exec().create(spec.clone()).await?;
    ensure_eq!(id, spec.id);
    let info = bench.exec().inspect(&id).await?;
    let created = info.created;
    let mut expected = ContainerInfo::new(spec);
    expected.created = created;
    // If there are networks, the container is connected to the default scope.
    ensure_eq!(info.endpoints.len(), usize::from(bench.has_networks()));
    expected.endpoints.clone_from(&info.endpoints);
    ensure_eq!(info, expected);
    ensure_eq!(info.state, State::Created);
    ensure_eq!(info.failure, None);
    ensure_eq!(bench.listed(&id).await?, Some(info));
    bench.exec().remove(&id).await?;
    super::images::clear(bench, &image).await
}

pub(super) async fn an_id_and_a_name_are_given_once(bench: &Bench<'_>) -> Check {
    let first = bench.spec(Process::Runs);
    bench.exec().create(first.clone()).await?;
    let same_name = ContainerSpec {
        name: first.name.clone(),
        ..bench.spec(Process::Runs)
    };
    let refused = bench.exec().create(same_name).await;
    ensure!(refused, Err(ref error) if error.kind == ErrorKind::AlreadyExists && *error.resource().id == first.name);
    let same_id = ContainerSpec {
        id: first.id,
        ..bench.spec(Process::Runs)
    };
    ensure!(
        bench.exec().create(same_id).await,
        Err(Error {
            kind: ErrorKind::AlreadyExists,
            ..
        })
    );
    ensure_eq!(
        bench.listed(&first.id).await?.map(|info| info.name),
        Some(first.name)
    );
    Ok(())
}

pub(super) async fn removing_frees_id_and_name(bench: &Bench<'_>) -> Check {
    let spec = bench.spec(Process::Runs);
    bench.exec().create(spec.clone()).await?;
    bench.exec().remove(&spec.id).await?;
    ensure_eq!(bench.listed(&spec.id).await?, None);
    bench.exec().create(spec.clone()).await?;
    ensure_eq!(bench.state(&spec.id).await?, State::Created);
    Ok(())
}

pub(super) async fn a_bad_field_is_named_and_nothing_is_made(bench: &Bench<'_>) -> Check {
    let spec = ContainerSpec {
        name: "not a name".into(),
        ..bench.spec(Process::Runs)
    };
    let id = spec.id;
    ensure!(
        bench.exec().create(spec).await,
        Err(Error {
            kind: ErrorKind::InvalidArgument { field: "name" },
            ..
        })
    );
    ensure_eq!(bench.listed(&id).await?, None);
    Ok(())
}

pub(super) async fn an_unknown_network_is_named(bench: &Bench<'_>) -> Check {
    let network = "conformance-no-such-network";
    let spec = bench
        .spec(Process::Runs)
        .endpoint(EndpointSpec::new(network));
    let id = spec.id;
    ensure!(
        bench.exec().create(spec).await,
        Err(ref error)
            if error.is_not_found() && *error.resource() == Resource::network(network)
    );
    ensure_eq!(bench.listed(&id).await?, None);
    Ok(())
}

pub(super) async fn an_unknown_id_is_not_found(bench: &Bench<'_>) -> Check {
    let id = ContainerId::generate();
    let exec = bench.exec();
    ensure!(
        exec.inspect(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.start(&id, StartOptions::new()).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.wait(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.stop(&id, StopOptions::AT_ONCE).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.signal(&id, Signal::KILL).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.remove(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        exec.resolve(&id.short()).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}

pub(super) async fn state_lives_in_the_back_end(bench: &Bench<'_>) -> Check {
    let id = bench.create(Process::Runs).await?;
    let other = bench.reopen().await?;
    ensure_eq!(
        other.exec().inspect(&id).await?,
        bench.exec().inspect(&id).await?
    );
    let state = other.exec().start(&id, StartOptions::new()).await?;
    ensure_eq!(bench.state(&id).await?, state);
    bench.exec().stop(&id, StopOptions::AT_ONCE).await?;
    let another = bench.reopen().await?;
    ensure_eq!(
        another.exec().inspect(&id).await?.state.kind(),
        StateKind::Stopped
    );
    another.exec().remove(&id).await?;
    ensure!(
        other.exec().inspect(&id).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    ensure!(
        bench.exec().start(&id, StartOptions::new()).await,
        Err(Error {
            kind: ErrorKind::NotFound,
            ..
        })
    );
    Ok(())
}
