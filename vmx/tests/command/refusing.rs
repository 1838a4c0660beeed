//! An edit never makes a file worse, unless it is forced.

use std::fs;

use super::run;

const MACHINE: &[u8] =
    b"config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"other\"\nmemSize = \"64\"\n";

/// Checks that the edit is refused without output, and is made with `--force`.
#[track_caller]
fn refused(file: &[u8], arguments: &[&str], reason: &str) {
    let (text, errors, code) = run(&[&["set", "-"], arguments].concat(), file);
    assert_eq!((&*text, code), ("", 2), "{errors}");
    assert!(errors.contains(reason), "{errors}");
    assert!(
        errors.contains("--force") || errors.contains("no entry"),
        "{errors}"
    );
    let (text, errors, code) = run(&[&["set", "-", "--force"], arguments].concat(), file);
    assert_eq!(code, 0, "{errors}");
    assert!(!text.is_empty());
}

#[test]
fn values_that_are_not_of_their_type_or_range() {
    refused(
        MACHINE,
        &["memSize=abc"],
        "a setting that is not of its type",
    );
    refused(MACHINE, &["ethernet0.present=maybe"], "not of its type");
    refused(
        MACHINE,
        &["memSize=0"],
        "a memSize out of range, line 4; set 4 to",
    );
    refused(
        MACHINE,
        &["guestOS=dos 397"],
        "a guestOS that VMware does not know",
    );
    refused(
        MACHINE,
        &["--remove", "config.version"],
        "no config.version",
    );
    refused(MACHINE, &["--rename", "guestOS=guest"], "no guestOS");
    // A setting that is already invalid may be set again; that is up to the user.
    let (text, _, code) = run(&["set", "-", "memSize=def", "a=1"], b"memSize = \"abc\"\n");
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_is_not_there_is_neither_removed_nor_renamed() {
    let (text, errors, code) = run(&["set", "-", "--remove", "nothing"], MACHINE);
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("no entry `nothing` to remove"), "{errors}");
    let (text, errors, code) = run(&["set", "-", "--rename", "nothing=b"], MACHINE);
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("no entry `nothing`"), "{errors}");
}

#[test]
fn an_encoding_is_not_declared_over_other_bytes() {
    let file = [MACHINE, b"displayName = \"caf\xE9\"\n"].concat();
    let (text, errors, code) = run(&["set", "-", "annotation=\u{fc}"], &file);
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("`displayName` is not valid"), "{errors}");
    assert!(
        errors.contains("depends on the host's own encoding"),
        "{errors}"
    );
    assert!(!errors.contains("VMware does not open"), "{errors}");
    let output = super::vmx(
        &[
            "set",
            "-",
            "annotation=\u{fc}",
            "--encoding",
            "windows-1252",
        ],
        &file,
    );
    assert!(output.status.success());
    assert!(output.stdout.ends_with(b"annotation = \"\xFC\"\n"));
    // An edit in ASCII does not change that.
    assert!(
        super::vmx(&["set", "-", "memSize=128"], &file)
            .status
            .success()
    );
}

#[test]
fn entries_outside_of_encrypted_settings() {
    let file = b"displayName = \"x\"\nencryption.keySafe = \"k\"\nencryption.data = \"AAAA\"\n";
    refused(file, &["memSize=64"], "the settings are encrypted");
    refused(
        file,
        &["--rename", "displayName=name"],
        "the settings are encrypted",
    );
    assert_eq!(run(&["set", "-", "displayName=y"], file).2, 0);
    refused(
        file,
        &["--remove", "encryption.keySafe"],
        "encryption.keySafe",
    );
}

#[test]
fn a_file_that_vmware_has_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.vmx");
    let lock = folder.path().join("a.vmx.lck");
    fs::write(&path, MACHINE).unwrap();
    let set =
        |arguments: &[&str]| run(&[&["set", path.to_str().unwrap()], arguments].concat(), b"");
    for is_folder in [true, false] {
        if is_folder {
            fs::create_dir(&lock).unwrap();
        } else {
            fs::write(&lock, "").unwrap();
        }
        let (_, errors, code) = set(&["memSize=128"]);
        assert_eq!(code, 2);
        assert!(errors.contains("a.vmx.lck"), "{errors}");
        assert_eq!(fs::read(&path).unwrap(), MACHINE);
        // A dry run is allowed, because it writes nothing.
        assert_eq!(set(&["memSize=128", "--dry-run"]).2, 0);
        assert_eq!(set(&["memSize=64"]).2, 0);
        assert_eq!(set(&["memSize=128", "-o", "-"]).2, 0);
        assert_eq!(set(&["memSize=128", "--force"]).2, 0);
        assert_ne!(fs::read(&path).unwrap(), MACHINE);
        fs::write(&path, MACHINE).unwrap();
        if is_folder {
            fs::remove_dir(&lock).unwrap();
        } else {
            fs::remove_file(&lock).unwrap();
        }
    }
    #[cfg(unix)]
    {
        let link = folder.path().join("link.vmx");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        fs::write(&lock, "").unwrap();
        let (_, errors, code) = run(&["set", link.to_str().unwrap(), "memSize=128"], b"");
        assert_eq!(code, 2, "{errors}");
    }
}
