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
            // The other findings are reported, too.
            "name a datastore with --image-store",
        ] {
            assert!(said.stdout.contains(expected), "{expected}: {said:#?}");
        }
    }
    assert_eq!(scene.inventory().await, before);
}

/// Each option can be read. All problems are findings, also in JSON.
#[tokio::test]
async fn options_that_contradict_each_other_are_reported_together() {
    let scene = Scene::esxi().await;
    let before = scene.inventory().await;
    let appliance = scene.directory.path().join("appliance.iso");
    std::fs::remove_file(appliance).unwrap();
    let create = "create --tls-cname a/b --tls-ca bootstrap.iso --registry-ca none.pem \
                  --bridge-network-range 10.64.0.0/16 --bridge-network-width 31 \
                  --public-network-ip 10.0.0.7/24 --public-network-gateway 10.0.0.1/16 \
                  --client-network-ip 10.1.0.7/24 --client-network-gateway 10.9.0.0/16:10.1.0.1/8 \
                  --volume-store datastore1/a:one --volume-store datastore1/b:one \
                  --cpu 5 --cpu-reservation 6 --image-store none vch-1";
    let create: Vec<_> = create.split_whitespace().collect();
    let expected = [
        ("certificates", "\"a/b\" cannot be the name of a server"),
        ("certificates", "no certificate in bootstrap.iso"),
        ("registries.authorities", "cannot read none.pem"),
        ("bridge_range", "not 31"),
        ("public_address", "--public-network-ip 10.0.0.7/24"),
        ("client_address", "--client-network-ip 10.1.0.7/24"),
        ("volume_stores", "have the label \"one\""),
        ("pool.cpu", "the limit is below the reservation"),
        ("appliance_iso", "cannot read appliance.iso: No such file"),
        // Both roles are on one network.
        ("client_address", "shares its network card"),
    ];
    let said = scene.vch(&create).await.failed();
    let lines = said.stdout.lines().filter(|line| line.starts_with("ERRO"));
    let lines: Vec<_> = lines.collect();
    for (field, reason) in expected {
        let field = format!("invalid value for {field} of virtual container host \"vch-1\"");
        let is_said = |line: &&&str| line.contains(&field) && line.contains(reason);
        assert_eq!(
            lines.iter().filter(is_said).count(),
            1,
            "{field}: {said:#?}"
        );
    }
    assert!(said.stdout.contains("\"none\" was not found"), "{said:#?}");
    assert_eq!(lines.len(), expected.len() + 1, "{said:#?}");
    assert!(said.stderr.contains("nothing was changed"), "{said:#?}");

    let dry_run = [&create[..], &["--dry-run", "--json"]].concat();
    let said = scene.vch(&dry_run).await.failed();
    let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let findings = plan["findings"].as_array().unwrap();
    let refusals = findings.iter().filter(|f| f["severity"] == "error");
    let refusals: Vec<_> = refusals.collect();
    for (_, reason) in expected {
        let is_said = |finding: &&&serde_json::Value| {
            let message = finding["message"].as_str().unwrap();
            message.contains(reason) && finding["object"]["id"] == "vch-1"
        };
        assert_eq!(
            refusals.iter().filter(is_said).count(),
            1,
            "{reason}: {said:#?}"
        );
    }
    for refusal in &refusals {
        assert_ne!(
            refusal["remedy"].as_str().unwrap_or_default(),
            "",
            "{refusal:#?}"
        );
    }
    assert_eq!(refusals.len(), lines.len());
    assert_eq!(scene.inventory().await, before);
}

/// `-f` deletes a host only for one that can be installed.
#[tokio::test]
async fn an_existing_host_stays_if_the_new_one_cannot_be_installed() {
    let scene = Scene::esxi().await;
    let install = ["install", "--timeout", "0"];
    scene.vch(&[&install[..], &["vch-1"]].concat()).await.ok();
    let before = scene.inventory().await;
    for (wrong, expected) in [
        (&["-i", "none"][..], "name a datastore with -i"),
        (&["-x", "appliance.iso", "-y", "none.pem"], "with -x and -y"),
    ] {
        let all = [&install[..], &["-f"], wrong, &["vch-1"]].concat();
        scene.vch(&all).await.failed().has(&[expected]);
        assert_eq!(scene.inventory().await, before);
    }
    scene
        .vch(&[&install[..], &["-f", "vch-1"]].concat())
        .await
        .ok();
    // The new objects have other identifiers.
    assert_ne!(scene.inventory().await, before);
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
