//! How `set` replaces files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::run;

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.vmx");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn set(path: &Path, arguments: &[&str]) -> (String, String, i32) {
    run(&[&["set", path.to_str().unwrap()], arguments].concat(), b"")
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_trial_prints_what_would_change_and_writes_nothing() {
    let (_folder, path) = file("a = \"1\"\nb = \"2\"\n");
    let (table, _, code) = set(&path, &["a=3", "--remove", "b", "--dry-run"]);
    assert_eq!(code, 0);
    assert_eq!(
        table,
        "CHANGE   NAME  OLD  NEW\nchanged  a     1    3\nremoved  b     2    -\n"
    );
    let (json, _, _) = set(&path, &["a=3", "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["new"]["value"], "3");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a = \"1\"\nb = \"2\"\n");
}

#[test]
fn a_refused_edit_leaves_the_file_and_its_folder_alone() {
    let (folder, path) = file("a = \"1\"\n");
    assert_eq!(set(&path, &["a=2", "b c=3"]).2, 2);
    assert_eq!(set(&path, &["a=2", "-o", "no/such/folder/b.vmx"]).2, 2);
    assert_eq!(
        set(&path, &["a=2", "-o", folder.path().to_str().unwrap()]).2,
        2
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "a = \"1\"\n");
    assert_eq!(names(folder.path()), ["a.vmx"]);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn mode_and_owner_stay() {
        let (_folder, path) = file("a = \"1\"\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Only the superuser can change the owner.
        let given = std::os::unix::fs::chown(&path, Some(1234), Some(4321)).is_ok();
        let old = path.metadata().unwrap();
        assert_eq!(set(&path, &["a=2"]).2, 0);
        let new = path.metadata().unwrap();
        assert_eq!(new.mode(), old.mode());
        assert_eq!((new.uid(), new.gid()), (old.uid(), old.gid()));
        assert!(!given || new.uid() == 1234);
        assert_ne!(new.ino(), old.ino(), "it was replaced in one step");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = \"2\"\n");
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let (folder, path) = file("a = \"1\"\n");
        let link = folder.path().join("link.vmx");
        symlink("a.vmx", &link).unwrap();
        assert_eq!(set(&link, &["a=2"]).2, 0);
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = \"2\"\n");
        assert_eq!(names(folder.path()), ["a.vmx", "link.vmx"]);

        let dangling = folder.path().join("dangling.vmx");
        symlink("gone.vmx", &dangling).unwrap();
        assert_eq!(set(&dangling, &["a=2"]).2, 2);
        assert_eq!(set(&path, &["a=3", "-o", dangling.to_str().unwrap()]).2, 2);
    }

    #[test]
    fn a_pipe_is_written_into_and_never_replaced() {
        let (folder, path) = file("a = \"1\"\n");
        let pipe = folder.path().join("pipe");
        if !Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .is_ok_and(|s| s.success())
        {
            return;
        }
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        let output = pipe.to_str().unwrap();
        assert_eq!(set(&path, &["a=2", "-o", output]).2, 0);
        assert_eq!(reader.join().unwrap(), "a = \"2\"\n");

        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, "a = \"1\"\n").unwrap()
        });
        let (_, errors, code) = set(&pipe, &["a=2"]);
        writer.join().unwrap();
        assert_eq!(code, 2);
        assert!(errors.contains("not a regular file"), "{errors}");
        assert!(pipe.metadata().unwrap().file_type().is_fifo());

        let (_, _, code) = set(&path, &["a=2", "-o", "/dev/null"]);
        assert_eq!(code, 0);
        assert!(!Path::new("/dev/null").is_file());
        let (text, errors, code) = set(&path, &["a=2", "-o", "/dev/stdout"]);
        assert_eq!((&*text, code), ("a = \"2\"\n", 0), "{errors}");
    }

    #[test]
    fn a_file_that_may_not_be_written_is_not_replaced() {
        let (_folder, path) = file("a = \"1\"\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        if fs::OpenOptions::new().write(true).open(&path).is_ok() {
            // The superuser may write it.
            assert_eq!(set(&path, &["a=2"]).2, 0);
        } else {
            let (_, errors, code) = set(&path, &["a=2"]);
            assert_eq!(code, 2);
            assert!(errors.contains("cannot write"), "{errors}");
        }
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o400);
    }
}
