//! Containers of a simulator that does not run as root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process;

use portlayer::exec::Command;
use portlayer::vsphere::Dialect;
use portlayer::{ErrorKind, ExitStatus, State};
use tether::sys::{Archive, ArchiveDirection, ContainerSetup, RefusedFile, RootDirectory};
use tether::{Supervisor, SupervisorError};
use tokio::io::AsyncReadExt as _;

use crate::machine::Endpoint;

/// A user that is not root and has no files.
const NOBODY: u32 = 65_534;

#[test]
fn another_user_requires_root_or_the_option_to_run_as_the_caller() {
    without_root("unprivileged::a_user_is_refused_or_ignored");
}

#[test]
fn archives_of_a_running_container_show_the_owners_of_the_image() {
    without_root("unprivileged::archived");
}

/// Runs an ignored test as another user, if this one is root.
pub(crate) fn without_root(test: &str) {
    let is_root = fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    let program = std::env::current_exe().expect("a program");
    let mut command = process::Command::new(&program);
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

#[tokio::test]
#[ignore = "is run by another test, without privileges"]
async fn archived() {
    let base = tempfile::tempdir().expect("a directory");
    for name in ["image/home", "root", "stage"] {
        fs::create_dir_all(base.path().join(name)).expect("a directory");
    }
    for name in ["home/kept", "home/new"] {
        fs::write(base.path().join("image").join(name), name).expect("a file");
    }
    let owned = |path: &str| {
        let data = fs::metadata(base.path().join("image").join(path)).expect("a file");
        RefusedFile {
            path: path.into(),
            uid: 1_000,
            gid: 1_001,
            mode: data.mode(),
            device: (0, 0),
        }
    };
    let device = |path: &str, mode| RefusedFile {
        path: path.into(),
        uid: 1_000,
        gid: 1_001,
        mode,
        device: (7, 300),
    };
    let table = RefusedFile::encode(&[
        owned("home"),
        owned("home/kept"),
        device("home/block", 0o060_640),
        device("home/char", 0o020_666),
        // There is another file at its path.
        device("home/new", 0o020_666),
        // Another file system is mounted there.
        device("dev/own", 0o020_666),
        device("nowhere/char", 0o020_666),
    ]);
    fs::write(base.path().join("owners"), table).expect("a file");

    let (ours, theirs) = tether::sys::pair().expect("sockets");
    let mut helper = process::Command::new(env!("CARGO_BIN_EXE_simulator-guest"))
        .arg0("vsphere-simulator-guest")
        .stdin(process::Stdio::from(theirs))
        .spawn()
        .expect("the helper");
    let supervisor = Supervisor::new(ours).expect("a supervisor");
    let root = RootDirectory::Plain("image".into());
    let mut setup = ContainerSetup::new(base.path(), root, "root", "stage");
    setup.owners = Some("owners".into());
    match supervisor.set_up(setup).await {
        Ok(_) => {}
        Err(SupervisorError::Refused(reason)) => {
            eprintln!("SKIPPED: {reason}");
            drop(supervisor);
            helper.wait().expect("the end");
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let archived = async |path: &str| {
        let archive = Archive::new(ArchiveDirection::Out, path);
        let mut process = supervisor.archive(archive).await.expect("an archive");
        let mut bytes = Vec::new();
        let read = process.stdout.read_to_end(&mut bytes).await;
        read.expect("an archive");
        bytes
    };
    for (path, start) in [("/home", "home"), ("/", "home")] {
        let bytes = archived(path).await;
        let mut found = BTreeMap::new();
        let mut devices = Vec::new();
        for entry in tar::Archive::new(&*bytes).entries().expect("an archive") {
            let entry = entry.expect("an entry");
            let name = entry.path().expect("a name").to_string_lossy().into_owned();
            let (uid, gid) = (entry.header().uid(), entry.header().gid());
            let owner = (uid.expect("an id"), gid.expect("an id"));
            let name = name.trim_start_matches("./").trim_end_matches('/');
            found.insert(name.to_owned(), owner);
            if let Some(facts) = device_of(entry.header()) {
                devices.push((name.to_owned(), facts));
            }
        }
        let image = (1_000, 1_001);
        for (name, owner) in [
            ("", image),
            ("/kept", image),
            ("/new", (0, 0)),
            ("/block", image),
            ("/char", image),
        ] {
            let name = format!("{start}{name}");
            assert_eq!(found.get(&name), Some(&owner), "{name}: {found:?}");
        }
        devices.sort();
        devices.retain(|(name, _)| name.starts_with(start));
        let wanted = [
            (format!("{start}/block"), (true, 0o640, 7, 300)),
            (format!("{start}/char"), (false, 0o666, 7, 300)),
        ];
        assert_eq!(devices, wanted);
        let others = ["dev/own", "nowhere", "nowhere/char"];
        assert!(others.iter().all(|name| !found.contains_key(*name)));
    }
    let alone = archived("/home/char").await;
    let mut entries = tar::Archive::new(&*alone);
    let mut entries = entries.entries().expect("an archive");
    let entry = entries.next().expect("an entry").expect("an entry");
    assert_eq!(device_of(entry.header()), Some((false, 0o666, 7, 300)));
    assert_eq!(archived("/home/none").await, b"", "it does not exist");
    drop(supervisor);
    assert!(helper.wait().expect("the end").success());
}

/// Returns whether an entry is a block device, its permissions and its number; `None` if it is not a
/// device node.
fn device_of(header: &tar::Header) -> Option<(bool, u32, u32, u32)> {
    let is_block = match header.entry_type() {
        tar::EntryType::Block => true,
        tar::EntryType::Char => false,
        _ => return None,
    };
    let number = |number: io::Result<Option<u32>>| number.ok().flatten();
    let (major, minor) = (
        number(header.device_major())?,
        number(header.device_minor())?,
    );
    Some((is_block, header.mode().ok()? & 0o7777, major, minor))
}
