//! Archives of running containers, and reloads of their keys.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tether::Supervisor;
use tether::sys::{Archive, ArchiveDirection, ContainerSetup, Exit, Isolation, RootDirectory};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::container::{Directories, start};

const LIMIT: Duration = Duration::from_secs(20);

/// Copies a path out of a container. Returns the archive, the text and the exit.
async fn out(supervisor: &Supervisor, path: &str) -> (Vec<u8>, String, Exit) {
    let archive = Archive::new(ArchiveDirection::Out, path);
    let mut process = supervisor.archive(archive).await.expect("a process");
    let (mut tar, mut text) = (Vec::new(), String::new());
    let stderr = process.stderr.as_mut().expect("a stream");
    let (read, said) = tokio::join!(
        process.stdout.read_to_end(&mut tar),
        stderr.read_to_string(&mut text)
    );
    read.and(said).expect("streams");
    (tar, text, process.exit().await.expect("an exit"))
}

/// Copies an archive into a container. Returns the text and the exit.
async fn into(supervisor: &Supervisor, path: &str, tar: &[u8]) -> (String, Exit) {
    let archive = Archive::new(ArchiveDirection::In, path);
    let mut process = supervisor.archive(archive).await.expect("a process");
    let mut stdin = process.stdin.take().expect("a pipe");
    // Fails if the process has already ended, which its exit explains.
    let _ = stdin.write_all(tar).await;
    drop(stdin);
    let mut text = String::new();
    let stderr = process.stderr.as_mut().expect("a stream");
    stderr.read_to_string(&mut text).await.expect("a stream");
    (text, process.exit().await.expect("an exit"))
}

/// Returns the content of the files and the targets of links in an archive, by name.
pub(crate) fn listed(tar: &[u8]) -> BTreeMap<String, String> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = Vec::new();
        match entry.link_name().expect("a link") {
            Some(link) => text.extend(link.as_os_str().as_encoded_bytes()),
            None => drop(entry.read_to_end(&mut text).expect("data")),
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        (name.trim_end_matches('/').to_owned(), text)
    });
    entries.collect()
}

/// Returns an archive with these files.
pub(crate) fn archive_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).expect("a file");
    }
    tar.into_inner().expect("an archive")
}

async fn paths_are_those_of_the_container(directories: &Directories, setup: ContainerSetup) {
    let is_chroot = setup.isolation == Isolation::Chroot;
    let lower = directories.path().join("lower");
    fs::create_dir_all(lower.join("data")).expect("a directory");
    fs::write(lower.join("data/kept"), "kept").expect("a file");
    for (name, target) in [("up", "../../../../../.."), ("abs", "/"), ("to", "/data")] {
        symlink(target, lower.join(name)).expect("a link");
    }
    let Some(running) = start(setup).await else {
        return;
    };
    let supervisor = &running.supervisor;
    for path in ["/up/data", "/abs/data", "/../../data", "/to/"] {
        let (tar, text, exit) = out(supervisor, path).await;
        assert_eq!((exit, &*text), (Exit::Code(0), ""), "{path}");
        let files: Vec<_> = listed(&tar).into_values().collect();
        assert_eq!(files, ["", "kept"], "{path}");
    }
    let (tar, text, exit) = out(supervisor, "/").await;
    assert_eq!(exit, Exit::Code(0), "{text}");
    let names = listed(&tar);
    for name in [".", "hello", "data/kept", "up"] {
        assert!(names.contains_key(name), "{name}: {:?}", names.keys());
    }
    let mounted = |name: &str| names.keys().any(|key| key.starts_with(name));
    assert!(!mounted("proc/") && !mounted("sys/") && !mounted("dev/"));

    let host = directories.path().join("stage").display().to_string();
    for path in [&*host, "/proc/1/root", "/proc/self/root/data", "/none"] {
        let (_, text, exit) = out(supervisor, path).await;
        assert_eq!(exit, Exit::Code(1), "{path}: {text}");
        let is_named = text.starts_with(&format!("{path:?}: "));
        assert!(is_named || text.starts_with("\"root\": "), "{path}: {text}");
    }

    let tar = archive_of([("new/file", &b"new"[..]), ("kept", b"changed")]);
    let (text, exit) = into(supervisor, "/up/abs/to", &tar).await;
    assert_eq!(exit, Exit::Code(0), "{text}");
    let (tar, ..) = out(supervisor, "/data").await;
    let files = listed(&tar);
    assert_eq!(files["data/new/file"], "new");
    assert_eq!(files["data/kept"], "changed");
    if !is_chroot {
        let image = fs::read_to_string(lower.join("data/kept")).expect("a file");
        assert_eq!(image, "kept", "the image is not written to");
    }
    let tar = archive_of([("to/through", &b"x"[..])]);
    let (text, exit) = into(supervisor, "/", &tar).await;
    assert_eq!(exit, Exit::Code(1));
    assert!(text.contains("through a symbolic link"), "{text}");
    let (text, exit) = into(supervisor, "/hello", &tar).await;
    assert_eq!(
        (&*text, exit),
        ("\"/hello\": not a directory\n", Exit::Code(1))
    );
}

#[tokio::test]
async fn paths_of_archives_are_those_of_the_container() {
    let directories = Directories::new();
    let setup = directories.setup();
    paths_are_those_of_the_container(&directories, setup).await;
}

#[tokio::test]
async fn paths_of_archives_are_those_of_a_container_without_namespaces() {
    if !is_root() {
        eprintln!("NOT RUN: a container without namespaces requires root");
        return;
    }
    let directories = Directories::new();
    let mut setup = directories.setup();
    setup.root = RootDirectory::Plain("lower".into());
    setup.isolation = Isolation::Chroot;
    paths_are_those_of_the_container(&directories, setup).await;
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

#[tokio::test]
async fn an_archive_that_ends_early_is_refused_and_its_process_ends() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup()).await else {
        return;
    };
    let archive = archive_of([("file", &[7; 100_000][..])]);
    let (text, exit) = into(&running.supervisor, "/", &archive[..50_000]).await;
    assert_eq!((&*text, exit), ("the archive ends early\n", Exit::Code(1)));
    let (_, text, _) = out(&running.supervisor, "/file").await;
    assert!(text.contains("no such file"), "{text}");
    // A process that writes ends when nobody reads.
    let archive = Archive::new(ArchiveDirection::Out, "/");
    let process = running.supervisor.archive(archive).await;
    drop(process.expect("a process"));
}

#[cfg(feature = "ssh")]
mod ssh {
    use std::sync::Arc;

    use bytes::Bytes;
    use guest_io::ssh::PrivateKey;
    use guest_io::ssh::client::{ArchiveCause, Connector, Session};
    use guestinfo::Dialect;
    use guestinfo::vic::{ExecutorConfig, Redacted, SessionConfig, Started};
    use tether::{Agent, AgentError, ReloadError, Reloader};
    use tokio::task::JoinHandle;

    use super::{LIMIT, archive_of, listed, timeout};
    use crate::agent::{Keys, Wires, container, machine};
    use crate::container::Directories;

    struct Attached {
        _place: Directories,
        keys: Keys,
        reloader: Reloader,
        client: Session,
        agent: JoinHandle<Result<(), AgentError>>,
    }

    /// Starts an agent, and connects to its control line.
    async fn attached(script: &str) -> Option<Attached> {
        let (place, machine) = machine().await?;
        let (host_key, client_key) = (PrivateKey::generate(), PrivateKey::generate());
        let (host_key, client_key) = (host_key.expect("a key"), client_key.expect("a key"));
        let mut config: ExecutorConfig = container(script);
        config.key = Redacted(host_key.to_openssh().expect("text").into_bytes());
        config.client_key = Some(client_key.public().to_string());
        let keys = Keys::new(&config, Dialect::Vic1);
        let (line, ours) = tokio::io::duplex(1 << 12);
        let agent = Agent::new(machine, Arc::new(Wires::with_control(line)), keys.clone());
        let reloader = agent.reloader();
        let agent = tokio::spawn(agent.run());
        let connector = Connector::new(client_key);
        let client = connector.connect(ours, |_| std::future::ready(true));
        Some(Attached {
            _place: place,
            keys,
            reloader,
            client: client.await.expect("a connection"),
            agent,
        })
    }

    #[tokio::test]
    async fn archives_pass_the_control_line_both_ways() {
        let Some(attached) = attached("while [ ! -e /done ]; do sleep 0.01; done").await else {
            return;
        };
        let client = &attached.client;
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let tar = archive_of([("a/large", &*content), ("a/small", b"x")]);
        let mut archive = client.archive_in("/").await.expect("an archive");
        for chunk in tar.chunks(100_000) {
            let chunk = Bytes::copy_from_slice(chunk);
            archive.send(chunk).await.expect("it is read");
        }
        let notes = archive.finish().await.expect("a complete archive");
        assert_eq!(notes, [""; 0]);

        let mut archive = client.archive_out("/a").await.expect("an archive");
        let mut tar = Vec::new();
        while let Some(chunk) = archive.next().await.expect("a complete archive") {
            tar.extend_from_slice(&chunk);
        }
        let files = listed(&tar);
        assert_eq!(files["a/small"], "x");
        assert!(files["a/large"] == String::from_utf8_lossy(&content));
        let is_large = tar.windows(content.len()).any(|window| window == content);
        assert!(is_large, "the bytes are the same");

        let mut archive = client.archive_out("/none").await.expect("an archive");
        let error = archive.next().await.expect_err("no such path");
        let reason = "\"/none\": no such file or directory".to_owned();
        assert_eq!(error.cause, ArchiveCause::Guest { reason });
        let mut archive = client.archive_in("/a").await.expect("an archive");
        let hostile = Bytes::from(vec![1; 10_000]);
        let error = loop {
            if let Err(error) = archive.send(hostile.clone()).await {
                break error;
            }
        };
        let reason = "the data is not a tar archive, or the archive is damaged".to_owned();
        assert_eq!(error.cause, ArchiveCause::Guest { reason });

        // A client that does not read to the end leaves nothing behind.
        let mut archive = client.archive_out("/a").await.expect("an archive");
        archive.next().await.expect("data").expect("data");
        drop(archive);
        let archive = client.archive_in("/").await.expect("an archive");
        drop(archive);
        let done = archive_of([("done", &b""[..])]);
        let mut archive = client.archive_in("/").await.expect("an archive");
        archive.send(done.into()).await.expect("it is read");
        archive.finish().await.expect("a complete archive");
        let ended = timeout(LIMIT, attached.agent).await.expect("an end");
        ended.expect("a task").expect("the agent succeeds");
    }

    #[tokio::test]
    async fn a_reload_reads_the_keys_again_and_refuses_new_processes_by_name() {
        let script = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
        let Some(attached) = attached(script).await else {
            return;
        };
        let report = attached.client.reload().await.expect("a report");
        assert!(report.started.is_empty() && report.refused.is_empty());
        attached.keys.change(|config| {
            let session = SessionConfig::default();
            config.execs.insert("probe".to_owned(), session.clone());
            config.sessions.insert("second".to_owned(), session);
        });
        for _ in 0..2 {
            let report = attached.client.reload().await.expect("a report");
            let refused: Vec<_> = report
                .refused
                .iter()
                .map(|refusal| (&*refusal.id, &*refusal.reason))
                .collect();
            assert_eq!(
                refused,
                [
                    (
                        "probe",
                        "this agent does not start processes in a running container"
                    ),
                    (
                        "second",
                        "sessions are started only when the machine starts"
                    ),
                ]
            );
        }
        let exec = &attached.keys.config().execs["probe"];
        let Started::Failed(reason) = &exec.started else {
            panic!("{:?}", exec.started);
        };
        assert!(reason.contains("running container"), "{reason}");
        // The report of the running session is not affected.
        assert_eq!(attached.keys.session("main").started, Started::Yes);

        attached.agent.abort();
        assert!(attached.agent.await.is_err());
        let ended = attached.reloader.reload().await;
        assert_eq!(ended, Err(ReloadError::Ended));
    }
}
