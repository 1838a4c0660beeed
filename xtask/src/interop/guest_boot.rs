//! The agent's binary, linked statically, runs as the first process of a machine under QEMU. The
//! checks are ignored tests of `simulator/guests`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::boot::Kernel;
use super::built::{Built, UNIT};
use super::debian::Package;
use super::report::Report;
use crate::process::{capture, cargo, on_path, run};

const CHECKS: [&str; 10] = [
    "a_machine_runs_its_program_is_attached_to_and_powers_off",
    "a_machine_without_its_disk_says_so_and_powers_off",
    "a_machine_without_a_fixed_address_obtains_one_by_dhcp",
    "a_machine_whose_program_cannot_start_says_why_and_powers_off",
    "a_machine_whose_boot_fails_powers_off_without_a_report",
    "failures::a_boot_that_hangs_under_qemu_ends_the_start_with_the_reason",
    "failures::a_boot_that_panics_under_qemu_ends_the_start_with_the_reason",
    "power_button::the_power_button_of_a_machine_stops_its_program_and_powers_off",
    "a_process_that_uses_all_memory_is_reported_as_out_of_memory",
    MEMORY,
];

const MEMORY: &str = "the_agent_takes_less_than_ten_megabytes_of_its_machine";

/// The drivers of the machine's disk, network card, power button, and of the serial port for its
/// keys.
const MODULES: [&str; 7] = [
    "virtio_pci",
    "virtio_console",
    "vmw_pvscsi",
    "sd_mod",
    "vmxnet3",
    "button",
    "evdev",
];

const OPENSSH: [&str; 2] = [
    "openssh_attaches_to_a_pinned_machine_and_receives_all_output_and_the_exit",
    "openssh_copies_archives_out_of_a_container_and_into_it",
];

const RENEWAL: &str = "a_lease_is_obtained_and_renewed_over_a_real_socket";

/// Runs the checks if QEMU is installed, and a kernel is in `folder` or can be downloaded, attaches
/// with OpenSSH's client, which is also downloaded if necessary, and renews a DHCP lease between two
/// network namespaces.
pub(super) fn checks(report: &mut Report, built: &Built, folder: &Path) {
    let client = Package::openssh(folder);
    for check in OPENSSH {
        let name = format!("tether: {}", check.replace('_', " "));
        match &client {
            Err(reason) => report.not_run(&name, reason),
            Ok(client) => report.check(&name, || {
                let test = format!("openssh::{check}");
                run_one(client.on_path(&mut built.test("tether", "it")?), &test)
            }),
        }
    }
    let name = format!("tether: {}", RENEWAL.replace('_', " "));
    match namespaces() {
        Err(reason) => report.not_run(&name, &reason),
        Ok(()) => report.check(&name, || {
            let test = format!("machine::dhcp::tests::real_socket::{RENEWAL}");
            run_one(&mut built.test("tether", UNIT)?, &test)
        }),
    }
    let kernel = Kernel::get(folder);
    let mut initramfs = None;
    for check in CHECKS {
        let title = check.rsplit("::").next().unwrap_or(check);
        let name = format!("tether: {}", title.replace('_', " "));
        match &kernel {
            Err(reason) => report.not_run(&name, reason),
            Ok(_) if cfg!(not(target_arch = "x86_64")) => {
                report.not_run(&name, "the machine of this check is an x86-64");
            }
            Ok(kernel) => report.check(&name, || {
                if initramfs.is_none() {
                    initramfs = Some(make_initramfs(kernel)?);
                }
                let path = initramfs.as_ref().context("make an initramfs")?.path();
                let mut command = built.test("guests", "it")?;
                let test = format!("boot::{check}");
                if check == MEMORY {
                    // It prints the figure.
                    command.arg("--nocapture");
                }
                run(command
                    .args(["--ignored", "--exact", &test])
                    .env("TETHER_KERNEL", kernel.image())
                    .env("TETHER_BUSYBOX", kernel.busybox())
                    .env("TETHER_INITRAMFS", path.join("initramfs")))
            }),
        }
    }
}

/// Runs one ignored test, which must exist.
fn run_one(command: &mut Command, test: &str) -> Result<()> {
    let ran = capture(command.args(["--ignored", "--exact", test]))?;
    ensure!(ran.contains("1 passed"), "the test does not exist: {ran}");
    Ok(())
}

/// Returns the reason why this user cannot create network namespaces and devices, if so.
fn namespaces() -> Result<(), String> {
    for program in ["unshare", "ip"] {
        if !on_path(program) {
            return Err(format!("{program} is not installed"));
        }
    }
    let script = "mount -t tmpfs tmpfs /run && ip netns add a && ip link add type veth";
    let mut command = Command::new("unshare");
    command.args("--user --map-root-user --net --mount -- sh -c".split(' '));
    capture(command.arg(script))
        .map(drop)
        .map_err(|error| format!("network namespaces cannot be created: {error:#}"))
}

/// Builds the agent's binary as its documentation says, and packs it as `/init`.
fn make_initramfs(kernel: &Kernel) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir().context("create a folder for an initramfs")?;
    let mut build = cargo(["rustc", "-p", "tether", "--bin", "tether"]);
    build.args(["--features", "ssh", "--profile", "tether", "--target-dir"]);
    build.arg(target()?.join("static"));
    build.args(["--", "-C", "target-feature=+crt-static"]);
    run(&mut build)?;
    let program = target()?.join("static/tether/tether");
    let program = fs::read(&program).with_context(|| format!("read {}", program.display()))?;
    let mut initramfs = kernel.initramfs(&MODULES)?;
    initramfs.file("init", 0o755, &program);
    initramfs.write(&folder.path().join("initramfs"))?;
    Ok(folder)
}

fn target() -> Result<std::path::PathBuf> {
    Ok(crate::workspace::metadata()?
        .target_directory
        .into_std_path_buf())
}
