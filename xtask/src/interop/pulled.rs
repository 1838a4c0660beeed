//! An image that skopeo pushed to Debian's registry is pulled and imported, and its disk is compared
//! with what umoci unpacks. The check is an ignored test of `image-source`.

use super::built::Built;
use super::report::Report;
use crate::process::{is_root, on_path, run};

/// The programs that the test runs.
const PROGRAMS: [&str; 6] = [
    "docker-registry",
    "skopeo",
    "umoci",
    "e2fsck",
    "qemu-img",
    "dpkg-query",
];

/// Runs the check if the programs are installed.
pub(super) fn check(report: &mut Report, built: &Built) {
    let name = "image-source: a pulled image has the files that umoci unpacks";
    if let Some(missing) = PROGRAMS.iter().find(|program| !on_path(program)) {
        report.not_run(name, &format!("{missing} is not installed"));
    } else if !is_root() {
        report.not_run(name, "only root can set owners and create device nodes");
    } else {
        report.check(name, || {
            let mut command = built.test("image-source", "pulled")?;
            run(command.arg("--ignored"))
        });
    }
}
