//! `docker save`: the archives are loaded again, here, by skopeo and by a real engine, and their
//! images run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::command::{Docker, FrontEnd};
use super::engine::Engine;
use super::image;
use crate::interop::report::Report;
use crate::peers::Peer;
use crate::process::{capture, on_path, run};

pub(super) const NAME: &str =
    "docker save and load: real images, several in one archive, by a pipe";
pub(super) const SKOPEO: &str = "skopeo reads an archive of docker save";
const ENGINE: &str = "a real engine loads and runs an archive of docker save";

const HELLO: &str = "Hello from an archive\n";
const OTHER: &str = "Another image\n";

pub(super) fn check(report: &mut Report, program: &Path) {
    if image::RUNS_HERE {
        report.check(NAME, || saved(program));
    } else {
        report.not_run(NAME, image::ELSEWHERE);
    }
    if on_path("skopeo") {
        report.check(SKOPEO, || skopeo(program));
    } else {
        report.not_run(SKOPEO, "there is no skopeo command");
    }
}

/// Returns the names of the checks with a real engine.
pub(super) fn names() -> [&'static str; 1] {
    [ENGINE]
}

pub(super) fn check_engine(report: &mut Report, program: &Path, engine: &Peer) {
    let missing = Engine::missing(engine);
    match (missing, engine) {
        (None, _) if !image::RUNS_HERE => report.not_run(ENGINE, image::ELSEWHERE),
        (
            None,
            Peer::Had {
                program: dockerd, ..
            },
        ) => report.check(ENGINE, || on_engine(program, dockerd)),
        (reason, _) => report.not_run(ENGINE, &reason.unwrap_or_default()),
    }
}

/// Starts a front end with the images `hello`, which has two names, and `other`.
fn start(program: &Path) -> Result<FrontEnd> {
    let front_end = FrontEnd::start(program, tempfile::tempdir()?, &[], 1)?;
    let docker = front_end.docker();
    image::import(&docker, "hello", &image::prints(HELLO))?;
    docker.ok(["tag", "hello", "lab:5000/hello:also"])?.is("")?;
    image::import(&docker, "other", &image::prints(OTHER))?;
    Ok(front_end)
}

/// Saves these images to a file in the front end's directory.
fn save(front_end: &FrontEnd, names: &[&str]) -> Result<PathBuf> {
    let archive = front_end.directory().join("saved.tar");
    let path = archive.display().to_string();
    let save = ["save", "-o", &path];
    front_end.docker().ok(save.iter().chain(names))?.is("")?;
    Ok(archive)
}

fn id(docker: &Docker, name: &str) -> Result<String> {
    let inspected = docker.ok(["image", "inspect", "--format", "{{.Id}}", name])?;
    Ok(inspected.out.trim().to_owned())
}

fn saved(program: &Path) -> Result<()> {
    let front_end = start(program)?;
    let docker = front_end.docker();
    let before = id(&docker, "hello")?;
    let archive = save(&front_end, &["hello", "lab:5000/hello:also", "other"])?;
    docker
        .ok(["rmi", "hello", "lab:5000/hello:also", "other"])?
        .has("Deleted: sha256:")?;
    docker.ok(["images", "-aq"])?.is("")?;

    docker
        .ok(["load".as_ref(), "-i".as_ref(), archive.as_os_str()])?
        .has("Loaded image: hello:latest")?
        .has("Loaded image: lab:5000/hello:also")?
        .has("Loaded image: other:latest")?;
    docker.ok(["run", "--rm", "hello"])?.is(HELLO)?;
    docker.ok(["run", "--rm", "other"])?.is(OTHER)?;
    let after = id(&docker, "hello")?;
    ensure!(after != before, "the identity is still {before}");
    ensure!(
        id(&docker, "lab:5000/hello:also")? == after,
        "the two names of one image name two"
    );
    docker
        .ok([
            "image",
            "inspect",
            "--format",
            "{{len .RootFS.Layers}}",
            "hello",
        ])?
        .is("1\n")?;
    docker
        .ok(["history", "--no-trunc", "--format", "{{.Comment}}", "hello"])?
        .has(&format!("the layers of {before} merged into one"))?;

    // By a pipe, into the same front end: the image was saved before, so it is the same one.
    let mut save = docker
        .command(["save", "hello"])
        .stdout(Stdio::piped())
        .spawn()?;
    let piped = save.stdout.take().context("the output of docker save")?;
    let loaded = docker.command(["load"]).stdin(piped).output()?;
    ensure!(save.wait()?.success(), "docker save failed");
    let loaded = String::from_utf8_lossy(&loaded.stdout).into_owned();
    ensure!(loaded.contains("Loaded image: hello:latest"), "{loaded}");
    ensure!(id(&docker, "hello")? == after, "the identity changed again");

    let nowhere = front_end.directory().join("nowhere.tar");
    docker
        .run(["save", "-o", &nowhere.display().to_string(), "nosuch"])?
        .code(1)?
        .has("No such image: nosuch")?;
    ensure!(!nowhere.exists(), "a failed save leaves a file");
    Ok(())
}

fn skopeo(program: &Path) -> Result<()> {
    let front_end = start(program)?;
    let archive = save(&front_end, &["hello", "other"])?;
    let inspect = |name: &str| -> Result<Value> {
        let from = format!("docker-archive:{}:{name}", archive.display());
        let text = capture(Command::new("skopeo").args(["inspect", &from]))?;
        Ok(serde_json::from_str(&text)?)
    };
    for name in ["hello:latest", "other:latest"] {
        let found = inspect(name)?;
        let layers = found["Layers"].as_array().map(Vec::len);
        ensure!(layers == Some(1), "{name}: {found:#}");
        ensure!(found["Os"] == "linux", "{name}: {found:#}");
    }
    // A copy verifies the digests of configuration and layer.
    let from = format!("docker-archive:{}:hello:latest", archive.display());
    let to = format!("dir:{}", front_end.directory().join("copied").display());
    run(Command::new("skopeo").args(["copy", "--insecure-policy", "-q", &from, &to]))?;
    // An archive with one image is also an OCI layout that needs no name.
    let one = save(&front_end, &["other"])?;
    let from = format!("oci-archive:{}", one.display());
    let text = capture(Command::new("skopeo").args(["inspect", "--config", &from]))?;
    let config: Value = serde_json::from_str(&text)?;
    ensure!(config["config"]["Cmd"][0] == "/hello", "{config:#}");
    Ok(())
}

fn on_engine(program: &Path, dockerd: &Path) -> Result<()> {
    let front_end = start(program)?;
    let archive = save(&front_end, &["hello", "other"])?;
    let engine = Engine::start(dockerd, None)?;
    let docker = engine.docker();
    docker
        .ok(["load".as_ref(), "-i".as_ref(), archive.as_os_str()])?
        .has("Loaded image: hello:latest")?
        .has("Loaded image: other:latest")?;
    docker.ok(["run", "--rm", "hello"])?.is(HELLO)?;
    docker.ok(["run", "--rm", "other"])?.is(OTHER)?;
    // The engine's archive of the same image is the same image here.
    let of_engine = id(&docker, "hello")?;
    let back = front_end.directory().join("back.tar");
    docker
        .ok([
            "save".as_ref(),
            "-o".as_ref(),
            back.as_os_str(),
            "hello".as_ref(),
        ])?
        .is("")?;
    let docker = front_end.docker();
    docker
        .ok(["load".as_ref(), "-i".as_ref(), back.as_os_str()])?
        .has("Loaded image: hello:latest")?;
    ensure!(id(&docker, "hello")? == of_engine, "another image");
    docker.ok(["run", "--rm", "hello"])?.is(HELLO)?;
    Ok(())
}
