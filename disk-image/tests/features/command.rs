//! The command `disk-image`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
