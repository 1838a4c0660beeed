//! Checks what must hold after a recovery, through the port layer and directly on the endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portlayer::exec::{Exec, Listing};
use portlayer::image::{ImageListing, Images as _};
use portlayer::vsphere::Inconsistency;
use portlayer::{ContainerId, State};
use vim25::types::{TaskInfo, TaskInfoState};
use vim25::{Property, mo, props};

use crate::client::Client;
use crate::model::{Images, Item, Run};
use crate::world::{World, Writer};

/// The maximum duration of a recovery.
const PATIENCE: Duration = Duration::from_secs(20);

const INFO: Property<mo::Task, TaskInfo> = Property::new("info");

/// What the port layer reports.
struct Said {
    containers: Listing,
    images: ImageListing,
    inconsistent: Vec<Inconsistency>,
}

/// Waits until the state is consistent with the model, and then updates the model with what the
/// clients did not know.
pub(crate) async fn recovered(
    world: &World,
    writer: &Writer,
    clients: &mut [Client],
    images: &Images,
) -> Result<(), Vec<String>> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let said = match ask(world, writer).await {
            Ok(said) => said,
            Err(error) if tokio::time::Instant::now() > end => return Err(vec![error]),
            Err(_) => continue,
        };
        let mut problems = problems(&said, clients, images);
        problems.extend(on_endpoint(world, &said).await);
        if problems.is_empty() {
            adopt(world, &said, clients, images);
            return Ok(());
        }
        if tokio::time::Instant::now() > end {
            return Err(problems);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Returns what is inconsistent on the host or left on the endpoint.
pub(crate) async fn consistent(world: &World, writer: &Writer) -> Vec<String> {
    match ask(world, writer).await {
        Ok(said) => {
            let mut problems = on_endpoint(world, &said).await;
            problems.extend(said.inconsistent.iter().map(ToString::to_string));
            problems
        }
        Err(error) => vec![error],
    }
}

async fn ask(world: &World, writer: &Writer) -> Result<Said, String> {
    // No import is in progress, but leases of importers that were killed are still open.
    world.simulator.time_out_leases();
    let sole_writer = world.sole_writer;
    let said = writer.run(move |exec| async move {
        if !sole_writer {
            exec.repair().await?;
        }
        Ok(Said {
            containers: exec.list().await?,
            images: exec.images().list().await?,
            inconsistent: exec.check().await?,
        })
    });
    let said = said.await.ok_or("the port layer was killed")?;
    said.map_err(|error: portlayer::Error| format!("{error:?}"))
}

fn problems(said: &Said, clients: &[Client], images: &Images) -> Vec<String> {
    let mut problems = Vec::new();
    let mut unclaimed: BTreeMap<_, _> = said
        .containers
        .containers
        .iter()
        .map(|info| (info.id, info))
        .collect();
    let mut addresses = BTreeSet::new();
    for info in &said.containers.containers {
        for endpoint in &info.endpoints {
            if let Some(address) = endpoint.address
                && !addresses.insert(address)
            {
                problems.push(format!("{address} is held twice"));
            }
        }
        if let Some(image) = info.root.image_id()
            && !said.images.images.iter().any(|there| there.id == *image)
        {
            problems.push(format!("{} has no image", info.name));
        }
    }
    for item in clients.iter().flat_map(|client| &client.items) {
        let found = unclaimed.remove(&item.id);
        match (item.there, found) {
            (Some(true), None) => problems.push(format!("{item:?} is lost")),
            (Some(false), Some(info)) => problems.push(format!("{item:?} is there: {info:?}")),
            (_, Some(info)) if !agrees(item, &info.state) => {
                problems.push(format!("{item:?} is {:?}", info.state));
            }
            (_, Some(info)) if !item.names.contains(&info.name) => {
                problems.push(format!("{item:?} is called {}", info.name));
            }
            _ => {}
        }
    }
    problems.extend(
        unclaimed
            .values()
            .map(|info| format!("unexpected container: {info:?}")),
    );
    let broken = &said.containers.quarantined;
    problems.extend(broken.iter().map(|broken| format!("{broken:?}")));
    let broken = &said.images.quarantined;
    problems.extend(broken.iter().map(|broken| format!("{broken:?}")));
    problems.extend(said.inconsistent.iter().map(ToString::to_string));
    for (number, image) in images.all.iter().enumerate() {
        let is_there = said
            .images
            .images
            .iter()
            .any(|there| there.id == image.id());
        if images
            .known(number)
            .0
            .is_some_and(|known| known != is_there)
        {
            problems.push(format!("image {number}: {is_there}"));
        }
    }
    problems
}

/// Returns whether the container may be in this state once all operations have completed.
fn agrees(item: &Item, state: &State) -> bool {
    match item.run {
        Run::Unknown => Run::of(state).is_some(),
        Run::Ends(..) => {
            !matches!(state, State::Starting | State::Running) && item.run.agrees(state)
        }
        run => run.agrees(state),
    }
}

/// Returns what exists on the endpoint although the port layer does not report it, and vice versa.
async fn on_endpoint(world: &World, said: &Said) -> Vec<String> {
    let mut problems = Vec::new();
    let chains: BTreeSet<_> = said
        .images
        .images
        .iter()
        .map(|image| image.config.chain_id())
        .collect();
    let content = world.observer.service_content();
    let machines = world.observer.retrieve::<mo::VirtualMachine>();
    let machines = machines
        .property(props::virtual_machine::NAME)
        .within(&content.root_folder)
        .collect()
        .await;
    let names: Vec<_> = machines
        .unwrap()
        .iter()
        .map(|vm| vm.value(props::virtual_machine::NAME).unwrap_or_default())
        .collect();
    let images = names.iter().filter(|name| name.starts_with("vch.image."));
    let expected = 1 + chains.len() + said.containers.containers.len();
    if names.len() != expected || images.count() != chains.len() {
        problems.push(format!("{expected} machines expected: {names:?}"));
    }
    let tasks = content.task_manager.as_ref().unwrap();
    let tasks = world.observer.get(tasks, props::task_manager::RECENT_TASK);
    for task in tasks.await.unwrap_or_default() {
        match world.observer.get(&task, INFO).await {
            Ok(info) if matches!(info.state, TaskInfoState::Running | TaskInfoState::Queued) => {
                problems.push(format!("task {:?} runs", info.name));
            }
            _ => {}
        }
    }
    let ids: BTreeSet<_> = said.containers.containers.iter().map(|c| c.id).collect();
    let mut image_directories = 0;
    for entry in std::fs::read_dir(world.simulator.datastore_directory()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if let Ok(id) = name.parse::<ContainerId>()
            && !ids.contains(&id)
        {
            problems.push(format!("directory {name} belongs to no container"));
        }
        image_directories += usize::from(name.starts_with("vch.image."));
    }
    if image_directories != chains.len() {
        problems.push(format!("{image_directories} directories of images"));
    }
    problems
}

fn adopt(world: &World, said: &Said, clients: &mut [Client], images: &Images) {
    for client in clients {
        client.items.retain_mut(|item| {
            let mut listed = said.containers.containers.iter();
            let Some(info) = listed.find(|info| info.id == item.id) else {
                return false;
            };
            item.there = Some(true);
            // The endpoint may forget a change made while the machine was on when it is powered
            // off.
            let is_off = matches!(info.state, State::Created | State::Stopped { .. });
            if is_off || world.platform.api_keys_written_while_on_survive {
                item.names = vec![info.name.clone()];
            }
            item.run = match Run::of(&info.state) {
                // Only this port layer may know the exit status, until a caller asks for it.
                Some(Run::Stopped(_)) if !world.platform.guest_keys_survive_power_off => {
                    Run::Unknown
                }
                Some(run) => run,
                None => Run::Unknown,
            };
            true
        });
    }
    for (number, image) in images.all.iter().enumerate() {
        let is_there = said
            .images
            .images
            .iter()
            .any(|there| there.id == image.id());
        images.set(number, Some(is_there));
    }
}
