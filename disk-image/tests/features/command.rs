//! The command `disk-image`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::tempdir;

use crate::tar;

fn start(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_disk-image"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs the command, and returns what it printed.
fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = start(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn disks_of_every_form_are_made_checked_listed_and_extracted() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(
        folder.join("a.tar"),
        tar(&[("d/file", b"1"), ("gone", b"")]),
    )
    .unwrap();
    fs::write(
        folder.join("b.tar"),
        tar(&[("new", b"22"), (".wh.gone", b"")]),
    )
    .unwrap();
    for form in ["stream", "sparse", "flat", "vmfs", "raw"] {
        let disk = if form == "raw" {
            "disk.img".to_owned()
        } else {
            format!("{form}.vmdk")
        };
        let make = ["make", "--size", "16", "--form", form, "-o", &disk];
        run(folder, &[&make, &["a.tar", "b.tar"][..]].concat());
        assert!(run(folder, &["check", &disk]).contains("no damage found"));
        let list = run(folder, &["list", &disk]);
        let names: Vec<&str> = list
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["/", "/d", "/d/file", "/new"]);
        run(folder, &["convert", "--form", "raw", "-o", "again", &disk]);
        let raw = fs::read(folder.join("again")).unwrap();
        let first = fs::read(folder.join("first")).unwrap_or_else(|_| {
            fs::write(folder.join("first"), &raw).unwrap();
            raw.clone()
        });
        assert!(raw == first, "{form}: another content");
    }
    run(folder, &["extract", "stream.vmdk", "files"]);
    assert_eq!(fs::read(folder.join("files/new")).unwrap(), b"22");
    run(folder, &["tar", "--start", "/d", "-o", "d.tar", "disk.img"]);
    let layer = fs::read(folder.join("d.tar")).unwrap();
    let mut archive = tar::Archive::new(&layer[..]);
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.contains(&"file".to_owned()), "{names:?}");
}

#[test]
fn changes_are_listed_and_written_as_a_layer() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.tar"), tar(&[("same", b"1"), ("gone", b"")])).unwrap();
    fs::write(
        folder.join("b.tar"),
        tar(&[("new", b"22"), (".wh.gone", b"")]),
    )
    .unwrap();
    for (disk, layers) in [("a.vmdk", &["a.tar"][..]), ("b.vmdk", &["a.tar", "b.tar"])] {
        let make = ["make", "--size", "16", "-o", disk];
        run(folder, &[&make, layers].concat());
    }
    let list = run(folder, &["changes", "a.vmdk", "b.vmdk"]);
    assert_eq!(list.lines().collect::<Vec<_>>(), ["D /gone", "A /new"]);
    run(folder, &["changes", "-o", "c.tar", "a.vmdk", "b.vmdk"]);
    let make = ["make", "--size", "16", "-o", "c.vmdk"];
    run(folder, &[&make, &["a.tar", "c.tar"][..]].concat());
    assert_eq!(run(folder, &["changes", "b.vmdk", "c.vmdk"]), "");
}

#[test]
fn failures_name_the_file_and_the_reason() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.tar"), [b'x'; 1024]).unwrap();
    fs::write(folder.join("bad.vmdk"), b"no disk").unwrap();
    for (arguments, file) in [
        (&["make", "-o", "disk", "bad.tar"][..], "bad.tar"),
        (&["make", "-o", "disk", "none.tar"], "none.tar"),
        (&["check", "bad.vmdk"], "bad.vmdk"),
    ] {
        let output = start(folder, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(errors.contains(file), "{errors}");
        assert!(errors.contains("Caused by"), "{errors}");
    }
    assert!(!folder.join("disk").exists());
}

/// Returns the names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_conversion_that_fails_leaves_nothing_and_no_input_is_lost() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.tar"), tar(&[("file", b"1")])).unwrap();
    run(folder, &["make", "--size", "16", "-o", "a.vmdk", "a.tar"]);
    // A file can be converted into itself.
    let stream = fs::read(folder.join("a.vmdk")).unwrap();
    run(folder, &["convert", "-o", "a.vmdk", "a.vmdk"]);
    assert_ne!(fs::read(folder.join("a.vmdk")).unwrap(), b"");
    run(folder, &["check", "a.vmdk"]);
    // The first grain follows 64 KiB of header and descriptor.
    let mut damaged = stream;
    damaged[(64 << 10) + 20..][..8].fill(0xff);
    fs::write(folder.join("damaged"), damaged).unwrap();
    fs::write(folder.join("old"), b"kept").unwrap();
    let before = names(folder);
    for (form, name) in [
        ("stream", "new"),
        ("sparse", "new"),
        ("flat", "new"),
        ("vmfs", "new"),
        ("raw", "new"),
        ("stream", "old"),
        ("raw", "old"),
        ("sparse", "old"),
        ("flat", "old"),
    ] {
        let output = start(folder, &["convert", "--form", form, "-o", name, "damaged"]);
        assert!(!output.status.success(), "{form}");
        assert_eq!(names(folder), before, "{form}");
        assert_eq!(fs::read(folder.join("old")).unwrap(), b"kept", "{form}");
    }
    for arguments in [
        &["tar", "-o", "new", "damaged"][..],
        &["changes", "-o", "new", "a.vmdk", "damaged"],
        &["check", "damaged"],
    ] {
        let output = start(folder, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("damaged"), "{errors}");
        assert_eq!(names(folder), before);
    }
}

#[test]
fn a_disk_is_converted_from_a_pipe_and_never_from_nothing() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.tar"), tar(&[("file", b"1")])).unwrap();
    for form in ["stream", "raw"] {
        run(
            folder,
            &["make", "--size", "16", "--form", form, "-o", form, "a.tar"],
        );
    }
    let convert = |input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_disk-image"))
            .current_dir(folder)
            .args(["convert", "--form", "raw", "-o", "again", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // The command may stop reading before the end.
        _ = std::io::Write::write_all(&mut pipe, input);
        drop(pipe);
        child.wait_with_output().unwrap()
    };
    let stream = fs::read(folder.join("stream")).unwrap();
    let output = convert(&stream);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let raw = fs::read(folder.join("raw")).unwrap();
    assert!(fs::read(folder.join("again")).unwrap() == raw);
    fs::remove_file(folder.join("again")).unwrap();
    for input in [&stream[..stream.len() - 600], &raw, b""] {
        assert!(!convert(input).status.success());
        assert!(!folder.join("again").exists());
    }
}

#[test]
fn a_size_that_overflows_is_refused() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    // 2^44 + 1 MiB would be 1 MiB.
    for size in ["17592186044417", "18446744073709551615", "65011713"] {
        let output = start(folder, &["make", "--size", size, "-o", "disk"]);
        assert!(!output.status.success(), "{size}");
        assert_eq!(names(folder), [""; 0]);
    }
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("a.tar"), tar(&[("file", b"1")])).unwrap();
    run(folder, &["make", "--size", "16", "-o", "a.vmdk", "a.tar"]);
    run(folder, &["make", "--size", "16", "-o", "b.vmdk"]);
    for arguments in [
        &["list", "a.vmdk"][..],
        &["check", "a.vmdk"],
        &["changes", "a.vmdk", "b.vmdk"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_disk-image"));
        let command = command.current_dir(folder).args(arguments).stdout(writer);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }
}
