//! The supervisor, and the processes that it starts.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::time::Duration;

use tether::SupervisorError;
use tether::sys::{Exit, Launch, Limit, TerminalSize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::container::{Directories, Running, output, start};

/// The signal after an access to memory that is not there.
const SIGSEGV: i32 = 11;

fn shell(script: &str) -> Launch {
    Launch::new("/bin/sh", ["-c".to_owned(), script.to_owned()])
}

async fn run(running: &Running, launch: Launch) -> (Exit, String, String) {
    let mut process = running.supervisor.launch(launch).await.expect("it starts");
    let (out, err) = output(&mut process).await;
    (process.exit().await.expect("an exit"), out, err)
}

/// Ends a container and waits until its supervisor has ended.
fn end(running: Running) {
    let Running {
        supervisor,
        mut child,
        ..
    } = running;
    drop(supervisor);
    child.wait().expect("the helper ends");
}

#[tokio::test]
async fn a_static_program_runs_in_an_empty_image() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup()).await else {
        return;
    };
    let hello = run(&running, Launch::new("/hello", [])).await;
    assert_eq!(
        hello,
        (
            Exit::Code(0),
            "Hello from a file\n".to_owned(),
            String::new()
        )
    );
    let fail = run(&running, Launch::new("/fail", [])).await;
    assert_eq!(fail.0, Exit::Code(3));
    end(running);
    // Changes are in the upper directory, not in the image.
    assert!(!directories.path().join("lower/proc").exists());
}

#[tokio::test]
async fn a_container_has_its_own_host_name_processes_and_network() {
    let directories = Directories::new();
    let mut setup = directories.setup_with_programs();
    setup.files = vec![("/etc/hosts".to_owned(), b"127.0.0.1 me\n".to_vec())];
    setup.addresses = vec![(Ipv4Addr::new(172, 16, 0, 2).into(), 16)];
    let Some(running) = start(setup).await else {
        return;
    };
    let script = "hostname; cat /etc/hosts; echo $$; id -u; ls /proc | grep -c '^[0-9]'; \
                  cat /proc/net/dev | grep -c :; echo x > /made; ls /dev/pts /usr/bin/env; \
                  echo $HOME $HOSTNAME; pwd; touch /usr/x || echo refused";
    let (exit, out, err) = run(&running, shell(script)).await;
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(exit, Exit::Code(0), "{out}{err}");
    assert_eq!(lines[..2], ["box", "127.0.0.1 me"]);
    assert!(lines[2].parse::<u32>().is_ok_and(|pid| pid < 10), "{out}");
    assert_eq!(lines[3], "0");
    assert!(
        lines[4].parse::<u32>().is_ok_and(|count| count < 8),
        "{out}"
    );
    assert_eq!(lines[5], "1", "only the loopback device: {out}");
    assert!(out.contains("/root box\n/\nrefused"), "{out}{err}");
    end(running);
    assert!(directories.path().join("upper/made").exists());
}

#[tokio::test]
async fn a_file_of_the_setup_is_replaced_and_no_other_is() {
    let directories = Directories::new();
    let mut setup = directories.setup_with_programs();
    let resolver = "/etc/resolv.conf".to_owned();
    setup.files = vec![(resolver.clone(), b"nameserver 10.0.0.53\n".to_vec())];
    let Some(running) = start(setup).await else {
        return;
    };
    let supervisor = &running.supervisor;
    let script = "cat /etc/resolv.conf; echo ready; read line; cat /etc/resolv.conf";
    let mut launch = shell(script);
    launch.open_stdin = true;
    let mut process = supervisor.launch(launch).await.expect("it starts");
    let mut seen = [0; 27];
    process.stdout.read_exact(&mut seen).await.expect("output");
    assert_eq!(&seen, b"nameserver 10.0.0.53\nready\n");
    let content = b"nameserver 10.0.0.1\n".to_vec();
    let written = supervisor.write_file(&resolver, content).await;
    written.expect("a file");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(b"go on\n").await.expect("input");
    assert_eq!(output(&mut process).await.0, "nameserver 10.0.0.1\n");
    let other = supervisor.write_file("/etc/passwd", Vec::new()).await;
    let reason = other.expect_err("a file of the image").to_string();
    assert_eq!(reason, "write /etc/passwd: it is a file of the image");
    end(running);
}

#[tokio::test]
async fn a_failed_start_is_reported_with_its_reason() {
    let directories = Directories::new();
    let lower = directories.path().join("lower");
    fs::write(lower.join("text"), "hello").expect("a file");
    fs::create_dir(lower.join("etc")).expect("a directory");
    fs::write(lower.join("etc/passwd"), "me:x:0:0::/home:\n").expect("a file");
    let Some(running) = start(directories.setup()).await else {
        return;
    };
    let mut nobody = Launch::new("/hello", []);
    nobody.user = "nobody".to_owned();
    let mut nowhere = Launch::new("/hello", []);
    nowhere.dir = "/hello/x".to_owned();
    for (launch, reason) in [
        (
            Launch::new("/nothing", []),
            "exec \"/nothing\": no such file or directory",
        ),
        (
            Launch::new("nothing", []),
            "exec \"nothing\": executable file not found in $PATH",
        ),
        (
            Launch::new("/text", []),
            "exec \"/text\": permission denied",
        ),
        (
            Launch::new("/etc", []),
            "exec \"/etc\": is a directory: permission denied",
        ),
        (Launch::new("", []), "exec: no command is given"),
        (
            nobody,
            "unable to find user nobody: no matching entries in passwd file",
        ),
        (
            nowhere,
            "chdir to the working directory \"/hello/x\": not a directory",
        ),
    ] {
        let error = running.supervisor.launch(launch).await.expect_err(reason);
        assert_eq!(error.to_string(), reason);
    }
    end(running);
}

#[tokio::test]
async fn a_process_has_its_limits_and_its_children_inherit_them() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let limit = |name: &str, soft, hard| Limit {
        name: name.to_owned(),
        soft: Some(soft),
        hard: Some(hard),
    };
    let mut launch =
        shell("ulimit -Sn; ulimit -Hn; sh -c 'ulimit -c'; ulimit -n 31 || echo refused");
    launch.limits = vec![limit("nofile", 20, 30), limit("core", 0, 0)];
    let (exit, out, err) = run(&running, launch).await;
    assert_eq!(
        (exit, &*out),
        (Exit::Code(0), "20\n30\n0\nrefused\n"),
        "{err}"
    );
    // Neither the supervisor nor the next process has them.
    let (_, out, _) = run(&running, shell("ulimit -Sn")).await;
    assert_ne!(out, "20\n");
    for (limit, reason) in [
        (
            limit("files", 1, 1),
            "set the limit files: there is no such limit",
        ),
        (
            limit("nofile", 2, 1),
            "set the limit nofile: invalid argument",
        ),
    ] {
        let mut launch = Launch::new("/hello", []);
        launch.limits = vec![limit];
        let error = running.supervisor.launch(launch).await.expect_err(reason);
        assert_eq!(error.to_string(), reason);
    }
    end(running);
}

/// The kernel has already replaced the program when it finds that there is no memory for the new one,
/// so this is an end by a signal and not a failed start.
#[tokio::test]
async fn a_program_for_which_the_limit_of_memory_is_too_small_is_ended_by_the_kernel() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let mut launch = shell("exit 0");
    launch.limits = vec![Limit {
        name: "as".to_owned(),
        soft: Some(64 * 1024),
        hard: Some(64 * 1024),
    }];
    let ended = tokio::time::timeout(Duration::from_secs(60), run(&running, launch)).await;
    let (exit, _, _) = ended.expect("an end");
    assert_eq!(exit, Exit::Signal(SIGSEGV));
    // The next process has its memory.
    let (exit, _, err) = run(&running, shell("exit 0")).await;
    assert_eq!(exit, Exit::Code(0), "{err}");
    end(running);
}

#[tokio::test]
async fn a_process_has_a_terminal_with_a_size() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let mut launch = shell("tty; stty size; read line; stty size; echo got $line; exit 7");
    let (columns, rows) = (100, 30);
    launch.terminal = Some(TerminalSize { columns, rows });
    let mut process = running.supervisor.launch(launch).await.expect("it starts");
    let mut stdin = process.stdin.take().expect("a terminal");
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains("30 100") {
        let length = process.stdout.read(&mut buffer).await.expect("output");
        assert_ne!(length, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    stdin.write_all(b"words\n").await.expect("input");
    let (rest, _) = output(&mut process).await;
    assert!(rest.contains("got words"), "{rest}");
    assert_eq!(process.exit().await, Some(Exit::Code(7)));
    // Ctrl-C on the terminal.
    let mut launch = shell("trap 'exit 66' INT; echo ready; while :; do sleep 0.01; done");
    launch.terminal = Some(TerminalSize::default());
    let mut process = running.supervisor.launch(launch).await.expect("it starts");
    let mut stdin = process.stdin.take().expect("a terminal");
    let length = process.stdout.read(&mut buffer).await.expect("output");
    assert!(buffer[..length].starts_with(b"ready"));
    stdin.write_all(&[3]).await.expect("input");
    assert_eq!(process.exit().await, Some(Exit::Code(66)));
    end(running);
}

#[tokio::test]
async fn input_is_read_and_closed() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let mut launch = shell("cat; echo end >&2");
    launch.open_stdin = true;
    let mut process = running.supervisor.launch(launch).await.expect("it starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(b"one two").await.expect("input");
    drop(stdin);
    assert_eq!(
        output(&mut process).await,
        ("one two".to_owned(), "end\n".to_owned())
    );
    assert_eq!(process.exit().await, Some(Exit::Code(0)));
    // Without `open_stdin`, input is empty.
    let (exit, out, _) = run(&running, shell("cat; echo done")).await;
    assert_eq!((exit, out.as_str()), (Exit::Code(0), "done\n"));
    end(running);
}

#[tokio::test]
async fn signals_reach_one_process_or_all() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let supervisor = &running.supervisor;
    let mut process = supervisor.launch(shell(script)).await.expect("it starts");
    let mut ready = [0; 6];
    process.stdout.read_exact(&mut ready).await.expect("output");
    supervisor.signal(process.pid, 15).await.expect("a signal");
    assert_eq!(process.exit().await, Some(Exit::Code(9)));
    assert!(supervisor.signal(process.pid, 15).await.is_err());
    // An orphan keeps the output open until all processes are killed.
    let mut process = supervisor
        .launch(shell("sleep 100 & echo left"))
        .await
        .expect("it starts");
    assert_eq!(process.exit().await, Some(Exit::Code(0)));
    supervisor.signal(0, 9).await.expect("a signal");
    assert_eq!(output(&mut process).await.0, "left\n");
    end(running);
}

#[tokio::test]
async fn all_processes_end_with_the_supervisor() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let script = "trap '' TERM HUP INT; (trap '' TERM HUP; sleep 1000) & echo up; sleep 1000";
    let mut process = running
        .supervisor
        .launch(shell(script))
        .await
        .expect("it starts");
    let mut up = [0; 3];
    process.stdout.read_exact(&mut up).await.expect("output");
    let Running {
        supervisor,
        mut child,
        ..
    } = running;
    drop(supervisor);
    let ended = tokio::task::spawn_blocking(move || child.wait());
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    ended.expect("in time").expect("a task").expect("an end");
    // The output ends because no process is left that has the pipe open.
    assert_eq!(output(&mut process).await.0, "");
}

#[tokio::test]
async fn links_of_an_image_do_not_point_outside_of_it() {
    let directories = Directories::new();
    let lower = directories.path().join("lower");
    let outside = directories.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    for name in ["proc", "etc", "sys"] {
        symlink(&outside, lower.join(name)).expect("a link");
    }
    symlink("../../../../../..", lower.join("dev")).expect("a link");
    let mut setup = directories.setup();
    setup.files = vec![("/etc/hosts".to_owned(), b"".to_vec())];
    // The container may fail to start, but it must not write outside of its root.
    if let Some(running) = start(setup).await {
        end(running);
    }
    assert_eq!(fs::read_dir(&outside).expect("the directory").count(), 0);
}

async fn dial(running: &Running, at: SocketAddr) -> Result<TcpStream, SupervisorError> {
    running.supervisor.dial(at).await?.connected().await
}

#[tokio::test]
async fn a_server_in_the_container_is_reached_over_tcp() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    assert!(dial(&running, at).await.is_err(), "nobody listens yet");
    let server = "import socket; s = socket.create_server(('', 8080)); print('up', flush=True); \
                  c, _ = s.accept(); c.sendall(b'<' + c.recv(100) + b'>')";
    let launch = Launch::new("/usr/bin/python3", ["-c".to_owned(), server.to_owned()]);
    let mut process = match running.supervisor.launch(launch).await {
        Ok(process) => process,
        Err(error) => {
            eprintln!("SKIPPED: no program that listens: {error}");
            return end(running);
        }
    };
    let mut up = [0; 3];
    process.stdout.read_exact(&mut up).await.expect("output");
    let mut stream = dial(&running, at).await.expect("a connection");
    stream.write_all(b"words").await.expect("a write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert_eq!(answer, "<words>");
    end(running);
}

#[tokio::test]
async fn a_server_in_the_container_is_reached_over_udp() {
    let directories = Directories::new();
    let Some(running) = start(directories.setup_with_programs()).await else {
        return;
    };
    let server = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); \
                  s.bind(('127.0.0.1', 8080)); print('up', flush=True); \
                  d, a = s.recvfrom(100); s.sendto(b'<' + d + b'>', a)";
    let launch = Launch::new("/usr/bin/python3", ["-c".to_owned(), server.to_owned()]);
    let mut process = match running.supervisor.launch(launch).await {
        Ok(process) => process,
        Err(error) => {
            eprintln!("SKIPPED: no program that listens: {error}");
            return end(running);
        }
    };
    let mut up = [0; 3];
    process.stdout.read_exact(&mut up).await.expect("output");
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let socket = running.supervisor.dial_udp(at).await.expect("a socket");
    socket.send(b"words").await.expect("a datagram");
    let mut answer = [0; 100];
    let length = socket.recv(&mut answer).await.expect("an answer");
    assert_eq!(&answer[..length], b"<words>");
    end(running);
}
