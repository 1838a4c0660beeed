//! The command on a terminal: it draws progress bars, and asks questions.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::Child;

use crate::scene::Scene;

/// A run of the command on a pseudo-terminal.
struct Session {
    child: Child,
    /// The other side of the terminal; `None` while a thread reads from it.
    terminal: Option<File>,
    /// What the command has written so far.
    seen: String,
}

impl Session {
    fn start(scene: &Scene, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let name = name.to_str().unwrap();
        let inner = File::options().read(true).write(true).open(name).unwrap();
        let mut command = scene.bare_command(arguments, variables);
        let child = command
            .env("TERM", "xterm")
            .stdin(Stdio::from(inner.try_clone().unwrap()))
            .stdout(Stdio::from(inner.try_clone().unwrap()))
            .stderr(Stdio::from(inner))
            .spawn()
            .unwrap();
        Self {
            child,
            terminal: Some(File::from(terminal)),
            seen: String::new(),
        }
    }

    /// Reads until the output has this text. `None`: until the command ends.
    async fn until(&mut self, text: Option<&'static str>) {
        let mut terminal = self.terminal.take().unwrap();
        let mut seen = std::mem::take(&mut self.seen);
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = [0; 4096];
            while !text.is_some_and(|text| seen.contains(text)) {
                // Reading fails when nobody has the inner side of the terminal anymore.
                match terminal.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => seen.push_str(&String::from_utf8_lossy(&buffer[..read])),
                }
            }
            (terminal, seen)
        });
        let (terminal, seen) = read.await.unwrap();
        if let Some(text) = text {
            assert!(seen.contains(text), "{text:?} is not in {seen:?}");
        }
        self.terminal = Some(terminal);
        self.seen = seen;
    }

    fn answer(&mut self, text: &str) {
        let terminal = self.terminal.as_mut().unwrap();
        terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Reads the rest of the output, and returns whether the command succeeded.
    async fn end(&mut self) -> bool {
        self.until(None).await;
        self.child.wait().await.unwrap().success()
    }
}

/// Returns what a line shows at the end: the text after the last return or clearing of the line.
fn shown(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or_default();
    line.rsplit("\u{1b}[2K").next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bars_are_drawn_again_below_whole_lines_of_the_log() {
    let scene = Scene::esxi().await;
    for image in ["appliance.iso", "bootstrap.iso"] {
        std::fs::write(scene.directory.path().join(image), vec![7; 48 << 20]).unwrap();
    }
    let server = scene.server();
    let mut session = Session::start(
        &scene,
        &[
            "create",
            "--no-tls",
            "--target",
            &server,
            "--thumbprint",
            scene.simulator.thumbprint(),
            "vch-1",
        ],
        &[
            ("GOVC_USERNAME", scene.simulator.user()),
            ("GOVC_PASSWORD", scene.simulator.password()),
        ],
    );
    let success = session.end().await;
    assert!(success, "{}", session.seen);
    // Both files have a bar, and each is drawn with several positions.
    for file in ["appliance.iso", "bootstrap.iso"] {
        let mut positions: Vec<_> = session
            .seen
            .split(file)
            .skip(1)
            .filter_map(|drawn| drawn.split_once(" MiB/48.00 MiB"))
            .filter_map(|(before, _)| before.rsplit(' ').next())
            .collect();
        positions.dedup();
        assert!(positions.len() > 1, "{file}: {:?}", session.seen);
    }
    // No line of the log has a part of a bar before or behind it.
    let lines: Vec<_> = session.seen.split('\n').map(shown).collect();
    for text in [
        "Uploading images for container",
        "\t\"appliance.iso\"",
        "\t\"bootstrap.iso\"",
        "Waiting for IP information",
        "Installer completed successfully",
    ] {
        let found = lines
            .iter()
            .any(|line| line.starts_with("INFO[") && line.ends_with(text.trim_start()));
        assert!(found, "{text:?} is not a line of {lines:#?}");
    }
}

#[tokio::test]
async fn without_a_terminal_there_are_lines_with_times_and_no_bars() {
    let scene = Scene::esxi().await;
    let said = scene.vch(&["create", "--no-tls", "vch-1"]).await.ok();
    assert!(!said.stdout.contains(['\r', '\u{1b}']), "{said:#?}");
    assert_eq!(said.stderr, "");
    for line in said.stdout.lines() {
        let time = line.split_once('[').and_then(|(level, rest)| {
            assert!(["INFO", "WARN"].contains(&level), "{line}");
            rest.split_once(']')
        });
        let (time, _) = time.unwrap_or_else(|| panic!("{line:?} has no time"));
        assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
    }
}

#[tokio::test]
async fn the_password_and_the_certificate_are_asked_for() {
    let scene = Scene::esxi().await;
    let (server, user) = (scene.server(), scene.simulator.user());
    for (answer, accepted) in [("yes\n", true), ("no\n", false)] {
        let arguments = ["ls", "--target", &server];
        let mut session = Session::start(&scene, &arguments, &[("GOVC_USERNAME", user)]);
        session.until(Some("Password of ")).await;
        let asked = format!("{user}@{server}: ");
        assert!(session.seen.contains(&asked), "{:?}", session.seen);
        session.answer(&format!("{}\n", scene.simulator.password()));
        session.until(Some("(yes/no)? ")).await;
        for part in [
            "The authenticity of host '127.0.0.1' can't be established.",
            scene.simulator.thumbprint(),
        ] {
            assert!(session.seen.contains(part), "{part}: {:?}", session.seen);
        }
        session.answer(answer);
        assert_eq!(session.end().await, accepted, "{:?}", session.seen);
        let seen = &session.seen;
        assert_eq!(seen.contains("NAME"), accepted, "{seen:?}");
        assert_eq!(seen.contains("was not accepted"), !accepted, "{seen:?}");
        assert!(!seen.contains(scene.simulator.password()), "{seen:?}");
    }
}
