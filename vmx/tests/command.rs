//! The command, from the point of view of a user.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "command/refusing.rs"]
mod refusing;
#[path = "command/replacing.rs"]
mod replacing;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn vmx(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vmx"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Runs the command; returns standard output, standard error and the exit status.
fn run(arguments: &[&str], input: &[u8]) -> (String, String, i32) {
    let output = vmx(arguments, input);
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

#[test]
fn show_prints_a_table_without_control_characters() {
    let file = "a = \"1|0A\u{1B}\"\nguestinfo.b=2\n";
    assert_eq!(
        run(&["show"], file.as_bytes()),
        (
            "LINE  NAME         VALUE\n1     a            1\\n\\u{1b}\n2     guestinfo.b  2\n"
                .into(),
            "".into(),
            0
        )
    );
    let (table, _, _) = run(&["show", "-", "--prefix", "GUESTINFO."], file.as_bytes());
    assert_eq!(table, "LINE  NAME         VALUE\n2     guestinfo.b  2\n");
    let (table, _, _) = run(&["show", "container.vmx", "--extra-config"], b"");
    assert!(table.contains("guestinfo./repo") && !table.contains("memSize"));
}

#[test]
fn show_gives_the_bytes_of_what_is_not_text() {
    let (json, errors, code) = run(
        &["show", "--json"],
        b".encoding = \"UTF-8\"\na = \"\xFF\"\n",
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kind"], "dictionary");
    assert_eq!(json["entries"][1]["bytes"], "ff");
    assert_eq!(json["entries"][1]["value"], serde_json::Value::Null);
    assert_eq!(json["problems"][0]["position"]["line"], 2);
    assert!(
        errors.contains("VMware does not open this file"),
        "{errors}"
    );
    assert_eq!(code, 0);
}

#[test]
fn get_prints_values_and_says_what_is_missing() {
    let (text, _, code) = run(&["get", "gbk.vmx", "DISPLAYNAME", "memsize"], b"");
    assert_eq!((&*text, code), ("Windows 10 x64 位\n2048\n", 0));
    let (json, errors, code) = run(&["get", "--json", "gbk.vmx", "memsize", "nothing"], b"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["memsize"]["value"], "2048");
    assert_eq!(json["nothing"], serde_json::Value::Null);
    assert_eq!((&*errors, code), ("gbk.vmx: no entry `nothing`\n", 1));
}

#[cfg(unix)]
#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.vmx");
    fs::write(&path, b"b\xFF = \"1\"\na = \"2\"\n").unwrap();
    let name = std::ffi::OsStr::from_bytes(b"B\xFF");
    let vmx = || Command::new(env!("CARGO_BIN_EXE_vmx"));
    let output = vmx().arg("get").arg(&path).arg(name).output().unwrap();
    assert_eq!(output.stdout, b"1\n");
    let set = vmx()
        .arg("set")
        .arg(&path)
        .arg("--remove")
        .arg(name)
        .status();
    assert!(set.unwrap().success());
    assert_eq!(fs::read(&path).unwrap(), b"a = \"2\"\n");
}

#[test]
fn set_edits_standard_input_to_standard_output() {
    let (text, errors, code) = run(
        &[
            "set",
            "-",
            "memSize=64",
            "b=x=y",
            "--remove",
            "gone",
            "--rename",
            "old=new",
        ],
        b"memsize=32 # small\ngone = \"1\"\nold = \"2\"\n",
    );
    assert_eq!(errors, "");
    assert_eq!(
        (&*text, code),
        ("memsize = \"64\"\nnew = \"2\"\n\nb = \"x=y\"\n", 0)
    );

    let (text, errors, code) = run(&["set", "-", "a b=1"], b"x=1\n");
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("name `a b` holds a space"), "{errors}");

    let (text, errors, code) = run(&["set", "-", "--remove", ".Encoding"], b".encoding = GBK\n");
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("change it with --transcode"), "{errors}");
}

#[test]
fn set_replaces_the_file_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.vmx");
    fs::write(&path, ".encoding = \"windows-1252\"\na = \"1\"\n").unwrap();
    let name = path.to_str().unwrap();

    let (_, errors, code) = run(&["set", name, "a=λ"], b"");
    assert_eq!(code, 2);
    assert!(errors.contains("windows-1252 cannot hold"), "{errors}");
    assert_eq!(run(&["set", name, "a=λ", "--upgrade"], b"").2, 0);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        ".encoding = \"UTF-8\"\na = \"λ\"\n"
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left over"
    );

    let other = folder.path().join("b.vmx");
    assert_eq!(
        run(&["set", name, "a=2", "-o", other.to_str().unwrap()], b"").2,
        0
    );
    assert_eq!(
        fs::read_to_string(&other).unwrap(),
        ".encoding = \"UTF-8\"\na = \"2\"\n"
    );
    assert!(fs::read_to_string(&path).unwrap().contains('λ'));
}

#[test]
fn set_repairs_duplicates() {
    let (text, errors, code) = run(
        &["set", "two-casings.vmx", "--remove-duplicates", "-o", "-"],
        b"",
    );
    assert_eq!(code, 0);
    assert!(
        errors.contains("`msg.autoAnswer` is defined twice, first on line 5"),
        "{errors}"
    );
    assert!(text.contains("msg.autoanswer") && !text.contains("msg.autoAnswer"));
    assert_eq!(run(&["check"], text.as_bytes()).2, 0, "{text}");
}

#[test]
fn diff_tells_by_its_status() {
    let (table, _, code) = run(&["diff", "-", "gbk.vmx"], b"memsize = \"4096\"\n");
    assert_eq!(code, 1);
    assert!(
        table.contains("changed  memsize") && table.contains("added"),
        "{table}"
    );
    assert_eq!(
        run(&["diff", "gbk.vmx", "gbk.vmx"], b""),
        ("".into(), "".into(), 0)
    );
    assert_eq!(run(&["diff", "-", "-"], b"").2, 2);
}

#[test]
fn check_explains_with_a_caret() {
    let (text, _, code) = run(&["check", "prose.vmx"], b"");
    assert_eq!(code, 1);
    assert!(
        text.starts_with("error: `=` must follow the name"),
        "{text}"
    );
    assert!(text.contains("--> prose.vmx:4:6"), "{text}");
    assert!(!text.contains("libvirt"), "{text}");

    let (json, _, code) = run(
        &["check", "--json", "--for", "libvirt", "container.vmx"],
        b"",
    );
    assert_eq!(code, 0, "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["findings"][0]["reader"], "libvirt");
    assert_eq!(json["findings"][0]["effect"], "refuses");
    let remedy = json["findings"][0]["remedy"].as_str().unwrap();
    assert_eq!(remedy, "keep such names out of files that libvirt reads");

    let (text, _, _) = run(&["check", "--for", "all"], b"a = x\na = 2\n");
    let (findings, remedies) = text.split_once("REMEDY").unwrap();
    assert_eq!(findings.matches("a value without quotes").count(), 3);
    assert_eq!(remedies.matches("put the value in quotes").count(), 1);
    assert!(remedies.contains("set --remove-duplicates"), "{text}");
}

#[test]
fn check_says_whether_a_machine_opens_and_powers_on() {
    for (file, expected) in [
        (&b""[..], 1),
        (b"\n\n", 1),
        (b"\0\0\0\0", 1),
        (b"displayName = \"x\"\n", 1),
        (b"encryption.data = \"AAAA\"\n", 1),
        (b"encryption.keySafe = \"x\"\nencryption.data = \"AAAA\"\n", 0),
        (
            b"config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"dos 397\"\n",
            1,
        ),
        (
            b"config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"dos\"\n",
            0,
        ),
        (
            b"config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"dos\"\na = \"\xE9\"\n",
            0,
        ),
    ] {
        let (text, errors, code) = run(&["check"], file);
        assert_eq!((code, &*errors), (expected, ""), "{file:?}: {text}");
    }
}

#[test]
fn check_takes_several_files() {
    let (text, errors, code) = run(&["check", "container.vmx", "prose.vmx", "none.vmx"], b"");
    assert_eq!(code, 2);
    assert!(errors.contains("cannot read none.vmx"), "{errors}");
    assert!(text.starts_with("container.vmx:\n"), "{text}");
    assert!(text.contains("\nprose.vmx:\n"), "{text}");
    assert_eq!(run(&["check", "container.vmx", "prose.vmx"], b"").2, 1);
    let (json, _, code) = run(&["check", "--json", "container.vmx", "gbk.vmx"], b"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["file"], "container.vmx");
    assert_eq!((json.as_array().unwrap().len(), code), (2, 0));
}

#[test]
fn check_tells_of_other_programs_on_request_and_of_files_that_they_read() {
    let (text, _, _) = run(&["check", "hand-made.vmx"], b"");
    assert!(!text.contains("Packer"), "{text}");
    let (text, _, _) = run(&["check", "hand-made.vmx", "--for", "packer"], b"");
    assert!(
        text.contains("Packer") && !text.contains("Vagrant"),
        "{text}"
    );
    let (text, _, _) = run(&["check", "hand-made.vmx", "--for", "xen-orchestra"], b"");
    assert!(text.contains("Xen Orchestra"), "{text}");
    let (text, _, code) = run(&["check", "one-snapshot.vmsd", "--for", "all"], b"");
    assert!(!text.contains("Packer") && code == 0, "{text}");
    assert_eq!(run(&["check", "--for", "emacs"], b"").2, 2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.vmsd");
    fs::write(&path, "").unwrap();
    assert_eq!(run(&["check", path.to_str().unwrap()], b"").2, 0);
}

#[test]
fn many_problems_are_summed_up() {
    let file = "prose\n".repeat(100);
    let (text, _, _) = run(&["check"], file.as_bytes());
    assert!(text.contains("and 80 more problems"), "{text}");
    let (_, errors, _) = run(&["show"], file.as_bytes());
    assert!(
        errors.contains("standard input: and 80 more problems"),
        "{errors}"
    );
    assert_eq!(errors.lines().count(), 22);
}

#[test]
fn devices_name_their_classes() {
    let (table, _, code) = run(&["devices", "container.vmx"], b"");
    assert_eq!(code, 0);
    assert!(table.contains("ParaVirtualSCSIController") && table.contains("tcp://10.10.1.5:8080"));
    assert!(!table.contains("floppy0"));
    let (json, _, _) = run(&["devices", "--json", "--all", "container.vmx"], b"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 6);
}

#[test]
fn what_is_no_dictionary_is_refused() {
    let (_, errors, code) = run(&["show", "web-01.vmxf"], b"");
    assert_eq!(code, 2);
    assert!(errors.contains("web-01.vmxf is XML"), "{errors}");
    let (_, errors, code) = run(&["show", "no-such.vmx"], b"");
    assert_eq!(code, 2);
    assert!(
        errors.starts_with("error: cannot read no-such.vmx: "),
        "{errors}"
    );
}

#[test]
fn what_is_of_no_machine_has_no_devices() {
    let (_, errors, code) = run(&["devices", "one-snapshot.vmsd"], b"");
    assert_eq!(code, 2);
    assert!(
        errors.contains("not the file of a machine: it contains snapshots"),
        "{errors}"
    );
    let (_, errors, code) = run(&["devices"], b"a = \"1\"\n");
    assert_eq!(code, 0);
    assert!(
        errors.contains("this may not be the file of a machine"),
        "{errors}"
    );
}

#[test]
fn what_is_binary_or_a_folder_is_said_once() {
    for command in ["show", "check", "devices"] {
        let (_, errors, code) = run(&[command], b"\x7FELF\x02\0\0\n\x01\n\x02\n");
        assert_eq!((errors.lines().count(), code), (1, 2), "{errors}");
        assert!(errors.contains("standard input is binary"), "{errors}");
    }
    let (_, errors, code) = run(&["show", "."], b"");
    assert_eq!(code, 2);
    assert!(errors.starts_with("error: cannot read .: "), "{errors}");
}

#[test]
fn an_encrypted_machine_is_said_to_be_one() {
    let (table, errors, code) = run(&["show", "encrypted.vmx"], b"");
    assert_eq!(code, 0);
    assert!(table.contains("encryption.data"));
    assert!(errors.contains("the settings are encrypted"), "{errors}");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let file = "guestinfo.key = \"value\"\n".repeat(20_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.vmx");
    fs::write(&path, file).unwrap();
    for arguments in [&["show"][..], &["show", "--json"], &["check", "--json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vmx"))
            .args(arguments)
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
}
