//! What a front end stores: it survives a restart, and a full disk is reported.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::command::FrontEnd;
use super::image;
use crate::interop::report::Report;
use crate::process::{is_root, on_path};

pub(super) const RESTART: &str = "docker ps -a, images, logs, networks after a restart";
pub(super) const FULL: &str =
    "docker import and load without space: for the archive, for the disk, on the datastore";

/// The size of a file system that a test fills.
const SMALL: &str = "3m";
const LARGER: usize = 8 << 20;
/// The size of an image that the small file system can store once, but not twice.
const HALF: usize = 7 << 18;

pub(super) fn check(report: &mut Report, program: &Path) {
    if image::RUNS_HERE {
        report.check(RESTART, || restarted(program));
    } else {
        report.not_run(RESTART, image::ELSEWHERE);
    }
    if is_root() && on_path("unshare") {
        report.check(FULL, || {
            full(program, "temporary", &["--scripted"], LARGER, "space").context("the archive")?;
            // The archive fits, but not the compressed disk that is made of it.
            full(program, "temporary", &[], HALF, "no space in the directory")
                .context("the disk")?;
            full(program, "datastore", &[], LARGER, "no space on datastore")
                .context("the datastore")
        });
    } else {
        report.not_run(FULL, "mounting a small file system needs root and unshare");
    }
}

fn restarted(program: &Path) -> Result<()> {
    const TEXT: &str = "Hello\n";
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &[], 1)?;
    let docker = front_end.docker();
    image::import(&docker, "hello", &image::prints(TEXT))?;
    docker
        .ok(["network", "create", "--label", "a=b", "back"])?
        .lines(1)?;
    docker
        .ok(["run", "--name", "ended", "--label", "a=b", "hello"])?
        .is(TEXT)?;
    let create = ["create", "--name", "new", "--network", "back"];
    let published = ["-p", "127.0.0.1:0:80", "hello"];
    docker.ok(create.iter().chain(&published))?.lines(1)?;
    let format = "{{.ID}}|{{.Image}}|{{.Command}}|{{.CreatedAt}}|{{.State}}|{{.Names}}|{{.Labels}}";
    let shown = |front_end: &FrontEnd| -> Result<Vec<String>> {
        let lists: [&[&str]; 4] = [
            &["ps", "-a", "--no-trunc", "--format", format],
            &[
                "images",
                "--no-trunc",
                "--format",
                "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}",
            ],
            &[
                "network",
                "ls",
                "--no-trunc",
                "--format",
                "{{.ID}} {{.Name}} {{.Labels}}",
            ],
            &[
                "inspect",
                "--format",
                "{{json .Config}} {{json .HostConfig}}",
                "ended",
                "new",
            ],
        ];
        let docker = front_end.docker();
        let lists = lists.into_iter();
        lists.map(|list| Ok(docker.ok(list)?.out)).collect()
    };
    let before = shown(&front_end)?;
    let front_end = FrontEnd::start(program, front_end.stop(), &[], 1)?;
    let after = shown(&front_end)?;
    ensure!(before == after, "it was\n{before:#?}\nand is\n{after:#?}");
    let docker = front_end.docker();
    docker.ok(["logs", "ended"])?.is(TEXT)?;
    docker.ok(["start", "-a", "new"])?.is(TEXT)?;
    docker.ok(["rm", "ended", "new"])?.lines(2)
}

/// Starts a front end whose temporary directory or datastore is on a small file system, and
/// imports an image of this size, for which there is no space. The reason must contain a text.
fn full(program: &Path, what: &str, arguments: &[&str], size: usize, reason: &str) -> Result<()> {
    const MOUNT: &str = "mount -t tmpfs -o size=\"$0\" none \"$1\" && shift && exec \"$@\"";
    let directory = tempfile::tempdir()?;
    let small = directory.path().join(what);
    std::fs::create_dir(&small)?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", MOUNT, SMALL])
        .arg(&small)
        .arg(program)
        .args(arguments);
    if what == "temporary" {
        command.env("TMPDIR", &small);
    }
    let front_end = FrontEnd::spawn(command, directory, 1)?;
    let docker = front_end.docker();
    let archive = tempfile::NamedTempFile::new()?;
    std::fs::write(archive.path(), image::tar("hello", &image::noise(size))?)?;
    let import =
        |archive: &Path| docker.run(["import".as_ref(), archive.as_os_str(), "big".as_ref()]);
    import(archive.path())?.code(1)?.has(reason)?;
    if size == LARGER && what == "temporary" {
        docker
            .run(["load".as_ref(), "-i".as_ref(), archive.path().as_os_str()])?
            .code(1)?
            .has("space")?;
    }
    docker.ok(["images", "-aq"])?.is("")?;
    // Nothing of the failed import is left, so a small image fits.
    image::import(&docker, "hello", &image::prints("Hello\n"))?;
    docker.ok(["images", "-q"])?.lines(1)
}
