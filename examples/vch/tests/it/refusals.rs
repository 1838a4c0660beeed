//! Tests of what the command refuses, and of its error messages.

use crate::scene::Scene;

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
    let said = scene
        .vch(&[
            "create",
            "--cert",
            "vch-1/server-cert.pem",
            "--key",
            "vch-1/key.pem",
            "vch-2",
        ])
        .await
        .failed();
    assert!(
        said.stderr.contains("does not belong to the key"),
        "{said:#?}"
    );
    assert_eq!(scene.inventory().await, before);
}

#[tokio::test]
async fn wrong_options_are_named_each() {
    let scene = Scene::esxi().await;
    for (arguments, expected) in [
        (
            &["create", "--ops-user", "ada", "vch-1"][..],
            "--ops-user of vic-machine",
        ),
        (
            &["create", "--volume-store=ds://x:y", "vch-1"][..],
            "--volume-store of vic-machine",
        ),
        (
            &["create", "--public-network-ip", "10.0.0.7/24", "vch-1"][..],
            "--public-network-gateway <ADDRESS>",
        ),
        (
            &["create", "--client-network-ip", "lan", "vch-1"][..],
            "invalid IP address syntax",
        ),
        (
            &["create", "--dns-server", "lan", "vch-1"][..],
            "invalid IP address syntax",
        ),
        (
            &["create", "--client-network-gateway", "10.0.0.1", "vch-1"][..],
            "--client-network-ip",
        ),
        (
            &["create", "--cpu-shares", "most", "vch-1"][..],
            "is not low, normal, high or a number",
        ),
        (
            &[
                "create",
                "--cpu",
                "500",
                "--cpu-reservation",
                "600",
                "vch-1",
                "--no-tls",
            ][..],
            "pool.cpu of virtual container host \"vch-1\": the limit is below the reservation",
        ),
        (
            &["create", "--memory-shares", "0", "vch-1", "--no-tls"][..],
            "pool.memory of virtual container host \"vch-1\": custom shares must be",
        ),
        (
            &["create", "--timeout", "soon", "vch-1"][..],
            "is not a time",
        ),
        (
            &["create", "--appliance-cpu", "0", "vch-1", "--no-tls"][..],
            "invalid value for cpus",
        ),
        (
            &["create", "--no-tls", "not a name"][..],
            "invalid value for name",
        ),
        (
            &["create", "--no-tls", "--appliance-iso", "none.iso", "vch-1"][..],
            "invalid value for appliance_iso",
        ),
        (
            &["debug", "--enable-ssh", "vch-1"][..],
            "no shell and no SSH",
        ),
        (&["update", "firewall"][..], "--allow"),
        (&["ls", "-t", "http://esx"][..], "only https"),
    ] {
        let said = scene.vch(arguments).await.failed();
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains(expected), "{arguments:?}: {all}");
        assert!(!all.contains("panicked"), "{all}");
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
