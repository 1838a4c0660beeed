//! Containers of a simulator that does not run as root.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process;

use portlayer::exec::Command;
use portlayer::vsphere::Dialect;
use portlayer::{ErrorKind, ExitStatus, State};

use crate::machine::Endpoint;

/// A user that is not root and has no files.
const NOBODY: u32 = 65_534;

#[test]
fn another_user_requires_root_or_the_option_to_run_as_the_caller() {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    let program = std::env::current_exe().expect("a program");
    let mut command = process::Command::new(&program);
    let test = "unprivileged::a_user_is_refused_or_ignored";
    command.args(["--ignored", "--exact", "--nocapture", test]);
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let ran = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let program = program.display();
            eprintln!("NOT RUN: {test}: another user cannot be used for {program}: {error}");
            return;
        }
        ran => ran.expect("a run"),
    };
    let out = String::from_utf8_lossy(&ran.stdout);
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && out.contains("1 passed"),
        "{out}{err}"
    );
    for line in err.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("NOT RUN: {test}: {line}");
    }
}

#[tokio::test]
#[ignore = "is run by another test, without privileges"]
async fn a_user_is_refused_or_ignored() {
    let command = || Command::new("/hello").user("1000");
    let Some(endpoint) = Endpoint::start_with(Dialect::Vic1, false).await else {
        return;
    };
    let limitations = endpoint.guest.limitations();
    assert!(
        limitations
            .iter()
            .any(|text| text.contains("does not run as root")),
        "{limitations:?}"
    );
    let error = endpoint.run(command()).await.expect_err("no such user");
    let ErrorKind::GuestFailed { reason } = error.kind() else {
        panic!("{error:?}");
    };
    let expected = "requires a simulator that runs as root or has sub-ids for them, or its option to \
                    run all processes as the caller (";
    assert!(reason.contains(expected), "{reason}");
    // What is missing is named.
    let missing = ["newuidmap", "newgidmap", "/etc/subuid", "/etc/subgid"];
    assert!(missing.iter().any(|name| reason.contains(name)), "{reason}");
    endpoint.simulator.shutdown().await;

    let endpoint = Endpoint::start_with(Dialect::Vic1, true).await;
    let endpoint = endpoint.expect("the same host");
    let exit = ExitStatus::Code(0);
    let ran = endpoint.run(command()).await.expect("a run");
    assert_eq!(ran, State::Stopped { exit });
    endpoint.simulator.shutdown().await;
}
