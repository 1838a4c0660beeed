//! Checks that the tables in `FAILURES.md` name existing tests.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_row_of_the_tables_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let text: String = files
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let tables = std::fs::read_to_string(root.join("FAILURES.md")).unwrap();
    let mut rows = 0;
    for row in tables.lines().filter(|line| line.starts_with("| ")) {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        if matches!(tests.trim(), "tests" | "---") {
            continue;
        }
        let mut names = 0;
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(text.contains(&format!("fn {name}(")), "{name} in {row}");
            names += 1;
        }
        assert!(names > 0, "{row}");
        rows += 1;
    }
    assert!(rows > 30, "{rows}");
}
