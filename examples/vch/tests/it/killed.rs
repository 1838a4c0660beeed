//! The command is killed (`SIGKILL`) while it creates or deletes a host. Then `create` resumes or says
//! what to do, `delete` leaves nothing, and [`walk`] confirms that.
//!
//! The long form interrupts 100 installations at random. Its last run, on 2026-11-27 with a debug build
//! on two cores under load and seed 4711: 100 installations killed, 48 of them repeated, 28 deletions
//! killed, nothing left, 358 seconds. It prints its seed:
//!
//! ```console
//! $ cargo test -p vch --test it -- --ignored --nocapture killed
//! $ KILLS=20 KILLS_SEED=7 cargo test -p vch --test it -- --ignored --nocapture killed
//! ```

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use simulator::{Reaction, Topology};

use crate::scene::{Said, Scene};
use crate::walk::walk;

/// How long a request is delayed whose program is killed before it is carried out.
const LATE: Duration = Duration::from_millis(30);

/// The endpoints that the installations take turns on.
#[derive(Clone, Copy, Debug)]
enum Target {
    Esxi,
    Cluster { drs: bool },
}

impl Target {
    const ALL: [Self; 3] = [
        Self::Esxi,
        Self::Cluster { drs: true },
        Self::Cluster { drs: false },
    ];

    async fn scene(self) -> Scene {
        match self {
            Self::Esxi => Scene::esxi().await,
            Self::Cluster { drs } => {
                let topology = Topology::vcenter().drs(drs).standalone_hosts(0);
                Scene::start(topology, Some([192, 168, 1, 144])).await
            }
        }
    }

    /// On ESXi, the installation makes its network.
    fn create(self) -> Vec<&'static str> {
        let mut create = vec!["create", "--no-tls", "--timeout", "60s"];
        if let Self::Cluster { .. } = self {
            create.extend(["--compute-resource", "DC0_C0", "-b", "DC0_DVPG0"]);
        }
        create.push("vch-1");
        create
    }
}

/// What happens to the request at which the program is killed.
#[derive(Clone, Copy, Debug)]
enum Request {
    /// The endpoint never receives it.
    Lost,
    /// The endpoint carries it out after the program has died.
    Late,
}

/// Runs the command and kills it at this request. Returns whether it had fewer requests.
async fn kill(scene: &Scene, arguments: &[&str], (at, request): (usize, Request)) -> bool {
    let script = scene.simulator.script();
    script.nth_of_all(
        at,
        match request {
            Request::Lost => Reaction::Disconnect,
            Request::Late => Reaction::Delay(LATE),
        },
    );
    let mut child = scene.spawn(arguments);
    let is_over = loop {
        if script.pending() == 0 {
            break false;
        }
        if child.try_wait().unwrap().is_some() {
            break script.pending() > 0;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    // This is SIGKILL.
    let _ = child.start_kill();
    child.wait().await.unwrap();
    script.clear();
    is_over
}

/// Runs the command until the outcome is as expected, because the endpoint may still carry out what
/// the killed program requested.
async fn until(scene: &Scene, arguments: &[&str], expected: impl Fn(&Said) -> bool) -> Said {
    let mut tries = 0;
    loop {
        let said = scene.vch(arguments).await;
        if expected(&said) {
            return said;
        }
        tries += 1;
        assert!(tries < 20, "{said:#?}");
        tokio::time::sleep(LATE).await;
    }
}

/// Creates the host again. It is resumed or installed, or the command says what to do.
async fn create_again(scene: &Scene, create: &[&str]) {
    let says = "vch-1\" already exists; delete it first, or choose another name";
    until(scene, create, |said| {
        assert!(!said.stderr.contains("panicked"), "{said:#?}");
        said.success || said.stdout.contains(says)
    })
    .await;
    let said = scene.vch(&["ls"]).await.ok();
    let row = said.stdout.lines().find(|line| line.starts_with("vch-1 "));
    assert!(row.is_some_and(|row| row.contains("running")), "{said:#?}");
}

/// Deletes the host, and looks for what is left.
async fn delete(scene: &Scene, before: &BTreeSet<String>, what: &str) {
    until(scene, &["delete", "--force", "vch-1"], |said| {
        assert!(!said.stderr.contains("panicked"), "{said:#?}");
        said.success || said.stderr.contains("was not found")
    })
    .await;
    let mut left = Vec::new();
    for _ in 0..20 {
        let now = walk(&scene.client).await;
        left = now.difference(before).cloned().collect();
        if left.is_empty() {
            let gone: Vec<_> = before.difference(&now).collect();
            assert!(gone.is_empty(), "{what}: {gone:?} are gone");
            return;
        }
        // What was late is removed by another deletion.
        tokio::time::sleep(LATE).await;
        scene.vch(&["delete", "--force", "vch-1"]).await;
    }
    panic!("{what}: {left:?} are left");
}

/// Returns the number of requests of an installation, and of a deletion.
async fn requests(scene: &Scene, create: &[&str]) -> (usize, usize) {
    let count = || {
        let calls = scene.simulator.script().calls();
        usize::try_from(calls.values().sum::<u64>()).unwrap()
    };
    let start = count();
    scene.vch(create).await.ok();
    let installed = count();
    scene.vch(&["delete", "vch-1"]).await.ok();
    (installed - start, count() - installed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_at_chosen_requests_can_be_repeated() {
    for target in Target::ALL {
        let scene = target.scene().await;
        let before = walk(&scene.client).await;
        let create = target.create();
        let (installing, deleting) = requests(&scene, &create).await;
        assert!(installing > 20 && deleting > 10, "{installing}, {deleting}");
        for part in 1..4 {
            let at = installing * part / 4;
            let request = [Request::Lost, Request::Late][part % 2];
            let what = format!("{target:?}: create is killed at request {at}, {request:?}");
            assert!(!kill(&scene, &create, (at, request)).await, "{what}");
            // One of the installations is deleted without being resumed.
            if part != 2 {
                create_again(&scene, &create).await;
            }
            delete(&scene, &before, &what).await;
        }
        for part in 1..3 {
            scene.vch(&create).await.ok();
            let at = deleting * part / 3;
            let request = [Request::Late, Request::Lost][part % 2];
            let what = format!("{target:?}: delete is killed at request {at}, {request:?}");
            assert!(
                !kill(&scene, &["delete", "vch-1"], (at, request)).await,
                "{what}"
            );
            delete(&scene, &before, &what).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
#[expect(clippy::print_stdout, reason = "the figures are printed for a person")]
async fn installations_that_are_killed_at_random_leave_nothing() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let now = jiff::Timestamp::now().as_second();
    let seed = number("KILLS_SEED").unwrap_or(now.unsigned_abs());
    let kills = number("KILLS").unwrap_or(100);
    println!("seed {seed}");
    let mut state = seed;
    let mut below = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    let began = Instant::now();
    let (mut resumed, mut deletions) = (0, 0);
    let mut done = 0;
    for (target, share) in Target::ALL
        .into_iter()
        .zip([kills.div_ceil(3), kills / 3, 0])
    {
        let share = if share == 0 { kills - done } else { share };
        let scene = target.scene().await;
        let before = walk(&scene.client).await;
        let create = target.create();
        let (installing, deleting) = requests(&scene, &create).await;
        for _ in 0..share {
            let request = [Request::Lost, Request::Late][below(2)];
            let at = 1 + below(installing);
            let what = format!("seed {seed}, {target:?}: create at request {at}, {request:?}");
            kill(&scene, &create, (at, request)).await;
            if below(2) == 0 {
                create_again(&scene, &create).await;
                resumed += 1;
                if below(2) == 0 {
                    let at = 1 + below(deleting);
                    kill(&scene, &["delete", "vch-1"], (at, request)).await;
                    deletions += 1;
                }
            }
            delete(&scene, &before, &what).await;
            done += 1;
        }
    }
    println!(
        "{done} installations killed, {resumed} of them repeated, {deletions} deletions killed, \
         nothing left, {:?}",
        began.elapsed()
    );
}
