//! The job runner, with an image that the test generates.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]
#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped says so where people look"
)]

use std::path::Path;
use std::process::{Command, Output};

use examples::hello_image;
use simulator_guests::ProcessGuest;

fn job(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_job"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Saves the image like `docker save`.
async fn save(path: &Path) {
    let image = hello_image::hello_world(hello_image::processor().unwrap()).unwrap();
    let reference = hello_image::REFERENCE.parse().unwrap();
    image_source::save(path, vec![(image, vec![reference])])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_returns_the_output_and_the_exit_status_of_its_command() {
    let guest = ProcessGuest::builder().helper(env!("CARGO_BIN_EXE_job"));
    if let Err(reason) = guest.start().await {
        eprintln!("skipped: this system cannot run containers: {reason}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("hello.tar");
    save(&archive).await;
    let archive = archive.to_str().unwrap();
    let ended = job(&[archive]);
    let output = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(
        (ended.status.code(), output.as_ref()),
        (Some(0), hello_image::GREETING),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let failed = job(&[archive, "/nosuch"]);
    assert_ne!(failed.status.code(), Some(0));
    let reason = String::from_utf8_lossy(&failed.stderr).to_lowercase();
    assert!(reason.contains("no such file"), "{reason}");
}
