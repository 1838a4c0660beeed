//! Containers of a simulator that does not run as root, but has subordinate ids.
//!
//! Root adds them for a user, in a mount namespace in which other files replace `/etc/subuid` and
//! `/etc/subgid`, so that the host is not changed.

#[cfg(feature = "ssh")]
mod whole_path;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::sync::Arc;

use disk_image::vmdk::{CreateType, FlatDisk};
use disk_image::{FsOptions, LayerDigests, Limits, Merge, Monitor};
use portlayer::exec::Command;
use portlayer::vsphere::Dialect;
use portlayer::{ErrorKind, ExitStatus, State};
use tar::{Archive, Builder, EntryType, Header};
use uuid::Uuid;

use crate::machine::Endpoint;

const PROGRAMS: [&str; 2] = ["newuidmap", "newgidmap"];
/// The subordinate ids of the user, as first id and number.
const RANGE: [&str; 2] = ["100000", "65536"];
/// Runs the arguments, after the file with the ranges, as the user with them.
const SCRIPT: &str =
    "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid || exit 125
                      exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";

/// Returns the path of a program, which may be outside of `PATH`.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
    let mut programs = directories.map(|directory| directory.join(program));
    programs.find(|path| path.exists())
}

/// Runs a test of this file as a user with subordinate ids.
fn with_sub_ids(test: &str) {
    let test = format!("sub_ids::{test}");
    let not_run = |reason: &str| eprintln!("NOT RUN: {test}: {reason}");
    if !fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0) {
        return not_run("only root can add subordinate ids for the test");
    }
    if let Some(missing) = PROGRAMS.iter().find(|name| found(name).is_none()) {
        return not_run(&format!("{missing} is missing"));
    }
    let ranges = tempfile::NamedTempFile::new().expect("a file");
    let [first, count] = RANGE;
    fs::write(ranges.path(), format!("65534:{first}:{count}\n")).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(ranges.path(), mode).expect("a mode");
    let program = std::env::current_exe().expect("a program");
    let ran = process::Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT])
        .arg(ranges.path())
        .arg(program)
        .args(["--ignored", "--exact", "--nocapture", &test])
        .output();
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return not_run(&format!("unshare: {error}")),
    };
    let out = String::from_utf8_lossy(&ran.stdout);
    let err = String::from_utf8_lossy(&ran.stderr);
    // The files cannot be replaced, or the user cannot execute the program.
    if let Some(125..=127) = ran.status.code() {
        return not_run(err.trim());
    }
    let passed = ran.status.success() && out.contains("1 passed");
    assert!(passed, "{out}{err}");
    for line in err.lines().filter(|line| line.starts_with("SKIPPED")) {
        not_run(line);
    }
}

#[test]
fn processes_run_as_other_users() {
    with_sub_ids("users");
}

#[tokio::test]
#[ignore = "is run by another test, as a user with subordinate ids"]
async fn users() {
    let Some(endpoint) = Endpoint::start_with(Dialect::Vic1, false).await else {
        return;
    };
    let limitations = endpoint.guest.limitations();
    let users = "containers have no users above 65536, no groups above 65536";
    assert!(
        limitations.iter().any(|text| text.contains(users)),
        "{limitations:?}"
    );
    for user in ["0", "1000", "65536"] {
        let command = Command::new("/hello").user(user);
        let ran = endpoint.run(command).await.expect("a run");
        let exit = ExitStatus::Code(0);
        assert_eq!(ran, State::Stopped { exit }, "{user}");
    }
    let own = Command::new("/root-only").user("0");
    endpoint.run(own).await.expect("root's own program");
    for (program, user, wanted) in [
        ("/root-only", "1000", "permission denied"),
        ("/hello", "65537", "has sub-ids for them"),
    ] {
        let command = Command::new(program).user(user);
        let error = endpoint.run(command).await.expect_err("a refusal");
        let ErrorKind::GuestFailed { reason } = error.kind() else {
            panic!("{error:?}");
        };
        assert!(reason.contains(wanted), "{reason}");
    }
    endpoint.simulator.shutdown().await;
}

#[test]
fn files_of_other_users_are_unpacked_read_and_deleted() {
    with_sub_ids("files");
}

/// Runs the helper's work on files.
fn job(kind: &str, paths: &[&Path]) {
    let ran = process::Command::new(env!("CARGO_BIN_EXE_simulator-guest"))
        .arg0("vsphere-simulator-guest")
        .args(PROGRAMS.map(|name| found(name).expect("a program")))
        .args(RANGE)
        .args(RANGE)
        .arg(kind)
        .args(paths)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("a run");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{kind}: {}: {err}", ran.status);
}

const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Creates a disk with files of several owners.
fn disk(path: &Path) {
    const SIZE: u64 = 16 << 20;
    let mut tar = Builder::new(Vec::new());
    for (name, kind, owner, mode) in [
        ("home", EntryType::Directory, 1_000, 0o700),
        ("home/secret", EntryType::Regular, 1_000, 0o600),
        ("set-id", EntryType::Regular, 33, 0o4755),
        ("beyond", EntryType::Regular, 70_000, 0o644),
        ("full", EntryType::Char, 0, 0o666),
    ] {
        let content = if kind == EntryType::Regular { name } else { "" };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_device_major(1).expect("a number");
        header.set_device_minor(7).expect("a number");
        if name == "set-id" {
            let attribute = ("SCHILY.xattr.security.capability", CAPABILITY);
            tar.append_pax_extensions([attribute]).expect("an entry");
        }
        tar.append_data(&mut header, name, content.as_bytes())
            .expect("an entry");
    }
    let layer: Arc<[u8]> = tar.into_inner().expect("a layer").into();
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    merge
        .layer(Arc::new(layer), LayerDigests::none(), &monitor)
        .expect("a layer");
    let options = FsOptions::new(SIZE, Uuid::from_u128(7)).label("container");
    let mut disk = FlatDisk::create(path, CreateType::Vmfs, SIZE, 1).expect("a disk");
    let plan = merge.plan(&options, &monitor).expect("a plan");
    plan.write(&mut disk, &monitor).expect("a disk");
}

#[test]
#[ignore = "is run by another test, as a user with subordinate ids"]
fn files() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name);
    let (image, tree, upper, spool) = (
        path("image.vmdk"),
        path("tree"),
        path("upper"),
        path("spool"),
    );
    disk(&image);

    fs::create_dir(&tree).expect("a directory");
    job("unpack", &[&tree, &image]);
    let owner = |name: &str| {
        let data = fs::symlink_metadata(tree.join(name)).expect("a file");
        (data.uid(), data.gid(), data.mode() & 0o7777)
    };
    // The first id of the range is 1 in containers.
    assert_eq!(owner("home"), (100_999, 101_000, 0o700));
    assert_eq!(owner("set-id"), (100_032, 100_033, 0o4755));
    assert_eq!(owner("beyond"), (65_534, 65_534, 0o644), "the caller's");
    assert!(!tree.join("full").exists(), "the system refuses devices");

    job("copy", &[&tree, &upper]);
    let denied = fs::read_dir(upper.join("home")).expect_err("of another user");
    assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
    job("collect-copy", &[&spool, &upper, &image]);
    let mut changes = Archive::new(File::open(spool.join("changes.tar")).expect("a layer"));
    let mut found = HashMap::new();
    for entry in changes.entries().expect("a layer") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let records = entry.pax_extensions().expect("records");
        let has_capability = records.into_iter().flatten().any(|record| {
            let record = record.expect("a record");
            record.key() == Ok("SCHILY.xattr.security.capability")
                && record.value_bytes() == CAPABILITY
        });
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("the content");
        let header = entry.header();
        let (uid, gid) = (header.uid().expect("an id"), header.gid().expect("an id"));
        let mode = header.mode().expect("a mode") & 0o7777;
        let name = name
            .trim_start_matches("./")
            .trim_end_matches('/')
            .to_owned();
        found.insert(name, ((uid, gid, mode), text, has_capability));
    }
    let wanted = |owner: u64, mode, text: &str, has_capability| {
        Some(((owner, owner + 1, mode), text.to_owned(), has_capability))
    };
    assert_eq!(found.remove("home"), wanted(1_000, 0o700, "", false));
    let secret = wanted(1_000, 0o600, "home/secret", false);
    assert_eq!(found.remove("home/secret"), secret);
    assert_eq!(found.remove("set-id"), wanted(33, 0o4755, "set-id", true));
    // What the system refused is that of the image.
    assert_eq!(
        found.remove("beyond"),
        wanted(70_000, 0o644, "beyond", false)
    );
    assert_eq!(found.remove("full"), wanted(0, 0o666, "", false));

    for directory in [&tree, &upper] {
        fs::remove_dir_all(directory).expect_err("contains files of another user");
        job("remove", &[directory]);
        assert!(!directory.exists());
    }
}
