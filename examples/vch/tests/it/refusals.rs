//! Tests of what the command refuses, and of its error messages.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::scene::Scene;
use crate::wrong_options::{self, Wrong};

#[tokio::test]
async fn an_unknown_certificate_is_no_answer_without_a_terminal() {
    let scene = Scene::esxi().await;
    let server = scene.server();
    let user = ("GOVC_USERNAME", scene.simulator.user());
    let password = ("GOVC_PASSWORD", scene.simulator.password());
    let said = scene
        .bare(&["ls", "-t", &server], &[user, password])
        .await
        .failed();
    assert!(
        said.stderr.contains("give --thumbprint ") && said.stderr.contains("is not trusted"),
        "{said:#?}"
    );
    let said = scene.bare(&["ls", "-t", &server], &[user]).await.failed();
    assert!(said.stderr.contains("set GOVC_PASSWORD"), "{said:#?}");
    let wrong = "00:".repeat(31) + "00";
    let said = scene
        .bare(
            &["ls", "-t", &server, "--thumbprint", &wrong],
            &[user, password],
        )
        .await
        .failed();
    assert!(said.stderr.contains("is not the pinned one"), "{said:#?}");
}

#[tokio::test]
async fn a_certificate_that_does_not_match_its_key_is_refused_first() {
    let scene = Scene::esxi().await;
    let before = scene.inventory().await;
    scene.vch(&["create", "--timeout", "0", "vch-1"]).await.ok();
    scene.vch(&["delete", "vch-1"]).await.ok();
    let create = [
        "create",
        "--cert",
        "vch-1/server-cert.pem",
        "--key",
        "vch-1/key.pem",
        "--image-store",
        "none",
        "vch-2",
    ];
    for dry_run in [&[][..], &["--dry-run"]] {
        let said = scene.vch(&[&create[..], dry_run].concat()).await.failed();
        for expected in [
            "does not belong to the key",
            "name a pair with --tls-server-cert and --tls-server-key",
        ] {
            assert!(said.stderr.contains(expected), "{said:#?}");
        }
        // The other findings are reported, too.
        said.has(&["name a datastore with --image-store"]);
    }
    assert_eq!(scene.inventory().await, before);
}

/// Maximum number of commands that run at the same time.
const AT_A_TIME: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_option_is_named_with_a_remedy_before_anything_is_changed() {
    let scene = Arc::new(Scene::esxi().await);
    let before = scene.inventory().await;
    let mut problems = Vec::new();
    let mut running = JoinSet::new();
    for wrong in wrong_options::all() {
        let scene = Arc::clone(&scene);
        running.spawn(async move { refused(&scene, wrong).await });
        if running.len() >= AT_A_TIME {
            problems.extend(running.join_next().await.unwrap().unwrap());
        }
    }
    problems.extend(running.join_all().await.into_iter().flatten());
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(scene.inventory().await, before);
}

/// Runs the command with a wrong option, and returns what is wrong with its error.
async fn refused(scene: &Scene, wrong: &Wrong) -> Vec<String> {
    let command = if wrong.command.is_empty() {
        "ls"
    } else {
        wrong.command
    };
    let words = command.split(' ').chain(wrong.arguments.iter().copied());
    let said = scene.vch(&words.collect::<Vec<_>>()).await;
    let all = format!("{}{}", said.stdout, said.stderr);
    let mut problems = Vec::new();
    if said.success || all.contains("panicked") {
        problems.push(format!("{command} {}: {said:#?}", wrong.option));
    }
    for text in wrong.says {
        if !all.contains(text) {
            problems.push(format!("{command} {}: no {text:?} in {all}", wrong.option));
        }
    }
    problems
}

#[tokio::test]
async fn options_of_vic_machine_that_are_not_supported_are_named() {
    let scene = Scene::esxi().await;
    for (arguments, expected) in [
        (
            &["create", "--ops-password", "x", "vch-1"][..],
            "--ops-password of vic-machine",
        ),
        (
            &["create", "--container-network=lan:x", "vch-1"][..],
            "--container-network of vic-machine",
        ),
        (&["update", "firewall"][..], "--allow"),
    ] {
        let said = scene.vch(arguments).await.failed();
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains(expected), "{arguments:?}: {all}");
    }
}

#[tokio::test]
async fn the_firewall_is_opened_and_closed_on_every_host() {
    let scene = Scene::vcenter(true).await;
    let said = scene.vch(&["update", "firewall", "--deny"]).await.ok();
    said.has(&[
        "Ruleset \"vSPC\" disabled on \"DC0_C0_H0\"",
        "Firewall changes complete",
    ]);
    scene.vch(&["update", "firewall", "--allow"]).await.ok();
}
