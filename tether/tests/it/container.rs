//! Starts containers with a supervisor, without a simulator.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tether::sys::{Bind, ContainerSetup, Isolation, RootDirectory};
use tether::{Process, Supervisor};
use tokio::io::AsyncReadExt as _;

/// A temporary directory with an image and the other directories of a container.
pub(crate) struct Directories(TempDir);

/// A running container, and the process of its supervisor.
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) child: Child,
    pub(crate) cards: Vec<(u32, OwnedFd)>,
}

impl Directories {
    /// Creates an image with the programs `/hello` and `/fail`, and links to `/usr`.
    pub(crate) fn new() -> Self {
        let directories = Self(TempDir::new().expect("a temporary directory"));
        for name in ["lower", "upper", "work", "root", "stage"] {
            fs::create_dir(directories.path().join(name)).expect("a directory");
        }
        let lower = directories.path().join("lower");
        for (name, text, status) in [("hello", "Hello from a file\n", 0), ("fail", "no\n", 3)] {
            let path = lower.join(name);
            let machine = guest_programs::Machine::here().expect("programs for this processor");
            let program = guest_programs::prints(machine, text, status).expect("a short text");
            fs::write(&path, program).expect("a program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(Path::new("usr").join(name), lower.join(name)).expect("a link");
        }
        directories
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn setup(&self) -> ContainerSetup {
        let root = RootDirectory::Overlay {
            lower: "lower".into(),
            upper: "upper".into(),
            work: "work".into(),
        };
        let mut setup = ContainerSetup::new(self.path(), root, "root", "stage");
        setup.hostname = "box".to_owned();
        setup
    }

    /// Returns the setup with the host's programs in `/usr`.
    pub(crate) fn setup_with_programs(&self) -> ContainerSetup {
        let mut setup = self.setup();
        setup.binds.push(Bind {
            source: "/usr".into(),
            target: "/usr".to_owned(),
            read_only: true,
        });
        setup
    }
}

/// Creates a container; returns `None`, and prints the reason, if this host cannot.
pub(crate) async fn start(setup: ContainerSetup) -> Option<Running> {
    let chroot = setup.isolation == Isolation::Chroot;
    let (ours, theirs) = tether::sys::pair().expect("sockets");
    let supervisor = Supervisor::new(ours).expect("a supervisor");
    let child = Command::new(env!("CARGO_BIN_EXE_tether"))
        .arg0("tether-supervisor")
        .stdin(Stdio::from(theirs))
        .spawn()
        .expect("a helper");
    match supervisor.set_up(setup).await {
        Ok(created) => {
            for note in created.notes {
                eprintln!("note: {note}");
            }
            let cards = created.cards;
            Some(Running {
                supervisor,
                child,
                cards,
            })
        }
        Err(error) => {
            assert!(!chroot, "{error}");
            eprintln!("SKIPPED: containers cannot be created on this host: {error}");
            None
        }
    }
}

/// Reads the output of a process until its end.
pub(crate) async fn output(process: &mut Process) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    process
        .stdout
        .read_to_end(&mut out)
        .await
        .expect("standard output");
    if let Some(stderr) = &mut process.stderr {
        stderr.read_to_end(&mut err).await.expect("standard error");
    }
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(out), text(err))
}
