//! A kernel under QEMU mounts disks that we wrote, and writes to them; then `e2fsck` and
//! our own reader check them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::boot::{self, Kernel};
use super::built::Built;
use super::report::Report;
use crate::process::{capture, run};

const NAME: &str = "disk-image: a kernel mounts, reads, writes and unmounts our disks";

/// Loads the modules, runs the job, and powers off even if the job fails.
const INIT: &str = r"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do insmod $module; done
sh -e /job && echo JOB DONE
poweroff -f
";

/// The job for each disk: checks its content, and makes every kind of change that a file
/// system stores differently.
const JOB: &str = r#"
sums() {
    find . -type f ! -path './big/*' ! -name SUMS | sort | xargs sha256sum
}
for device in sda sdb; do
    n=0
    until [ -b /dev/$device ]; do n=$((n+1)); [ $n -lt 100 ]; usleep 100000; done
    mount -t ext4 -o errors=panic /dev/$device /mnt
    echo MOUNTED $device
    cd /mnt
    sums > /sums
    cmp /sums /sums.expected
    ls big > /names
    [ $(wc -l < /names) = 20000 ]
    while read name; do [ -f "big/$name" ]; done < /names
    [ $(stat -c %Y attributes) = -1000000001 ]
    [ $(stat -c %u:%a suid) = 3000000000:4755 ]
    [ $(stat -c %h d/file) = 3 ]
    [ $(stat -c %t:%T disk) = 103:11170 ]
    [ $(readlink short) = d/file ]
    echo READ $device

    mkdir kernel
    i=0; while [ $i -lt 1000 ]; do echo $i > kernel/file-$i; i=$((i+1)); done
    i=0; while [ $i -lt 1000 ]; do : > big/new-$i; i=$((i+1)); done
    rm big/000*
    echo more >> d/file
    dd if=/dev/zero of=d/fragments bs=4096 seek=1 count=1 conv=notrunc 2>/dev/null
    dd if=/dev/urandom of=kernel/data bs=65536 count=64 2>/dev/null
    truncate -s 16M kernel/hole
    echo end >> kernel/hole
    fallocate -l 1048576 kernel/unwritten
    ln kernel/data kernel/link
    ln -s data kernel/symlink
    mv third kernel/moved
    rm -r opaque
    mknod kernel/null c 1 3
    mkfifo kernel/fifo
    touch -d '1960-01-01 00:00:00' kernel/file-1
    touch -d '2039-01-01 00:00:00' kernel/file-2
    chown 70000:70001 kernel/data
    chmod 4711 kernel/data
    sums > /sums
    cp /sums SUMS
    cd /
    umount /mnt
    echo UNMOUNTED $device
done
"#;

/// Runs the check if QEMU is installed, and a kernel is in `folder` or can be downloaded.
pub(super) fn check(report: &mut Report, built: &Built, folder: &Path) {
    match Kernel::get(folder) {
        Err(reason) => report.not_run(NAME, &reason),
        Ok(kernel) => report.check(NAME, || mount(built, &kernel)),
    }
}

fn mount(built: &Built, kernel: &Kernel) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder for disks")?;
    let folder = folder.path();
    let test = |name: &str| -> Result<()> {
        let mut command = built.test("disk-image", "it")?;
        let name = format!("boot::{name}");
        run(command
            .args(["--ignored", "--exact", &name])
            .env("DISKS", folder))
    };
    test("disks_for_a_kernel_are_written")?;
    let mut initramfs = kernel.initramfs(&["vmw_pvscsi", "sd_mod"])?;
    initramfs.file("init", 0o755, INIT.as_bytes());
    initramfs.file("job", 0o644, JOB.as_bytes());
    let sums = fs::read(folder.join("sums")).context("read the sums that the test wrote")?;
    initramfs.file("sums.expected", 0o644, &sums);
    let path = folder.join("initramfs");
    initramfs.write(&path)?;
    let mut machine = kernel.machine(&path);
    boot::add_disk(&mut machine, 0, &folder.join("sparse.vmdk"), "vmdk");
    // Its parent is a streamOptimized disk.
    boot::add_disk(&mut machine, 1, &folder.join("child.vmdk"), "vmdk");
    let console = boot::boot(&mut machine)?;
    ensure!(
        console.contains("JOB DONE"),
        "the kernel's job failed; the console:\n{console}"
    );
    test("disks_of_a_kernel_are_sound")?;
    let parent = folder.join("stream.vmdk");
    let sum = |path: &Path| capture(std::process::Command::new("sha256sum").arg(path));
    let before = fs::read_to_string(folder.join("stream.sum")).context("read the parent's sum")?;
    ensure!(
        sum(&parent)?.starts_with(before.trim()),
        "the parent was changed through its child"
    );
    Ok(())
}
