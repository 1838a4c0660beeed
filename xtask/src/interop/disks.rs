//! e2fsprogs, QEMU and umoci check our disks, and we read theirs. The checks are ignored
//! tests of `disk-image`.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::built::Built;
use super::report::Report;
use crate::process::{is_root, on_path, run};

/// The tests, and the programs that each needs.
const CHECKS: &[(&str, &[&str])] = &[
    ("e2fsck_finds_nothing_to_mend", &["e2fsck"]),
    ("debugfs_sees_what_was_written", &["debugfs"]),
    ("file_systems_of_mke2fs_are_read", &["mke2fs"]),
    ("qemu_reads_every_form_as_we_wrote_it", &["qemu-img"]),
    ("disks_of_qemu_are_read_as_it_wrote_them", &["qemu-img"]),
    ("umoci_unpacks_the_same_files", &["umoci"]),
];

/// The Debian packages that contain the programs.
const PACKAGES: &[(&str, &str)] = &[
    ("e2fsck", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("qemu-img", "qemu-utils"),
    ("umoci", "umoci"),
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("qemu-system-x86_64", "qemu-system-x86"),
];

/// Runs every check whose programs are installed.
pub(super) fn checks(report: &mut Report, built: &Built) {
    install_missing();
    for (test, programs) in CHECKS {
        let name = format!("disk-image: {}", test.replace('_', " "));
        match programs.iter().find(|program| !on_path(program)) {
            Some(missing) => report.not_run(&name, &format!("{missing} is not installed")),
            // Without root, umoci cannot create device nodes or set owners.
            None if *test == "umoci_unpacks_the_same_files" && !is_root() => {
                report.not_run(&name, "only root can set owners and create device nodes");
            }
            None => report.check(&name, || run_test(built, test)),
        }
    }
}

fn run_test(built: &Built, test: &str) -> Result<()> {
    let name = format!("peers::{test}");
    let mut command = built.test("disk-image", "it")?;
    run(command.args(["--ignored", "--exact", &name]))
}

/// Installs missing programs, but only as root in a disposable container, which `CI` in
/// the environment indicates. Elsewhere nothing is installed.
fn install_missing() {
    let mut packages: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() || !is_root() || !on_path("apt-get") || std::env::var_os("CI").is_none()
    {
        return;
    }
    println!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    // A check whose program could not be installed reports that.
    let install = ["install", "-y", "-q", "--no-install-recommends"];
    if apt(&["update", "-q"]) {
        for package in packages {
            apt(&[&install, &[package][..]].concat());
        }
    }
}
