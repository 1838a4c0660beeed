//! The power button of a machine under QEMU, with which the host requests a shutdown.

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::*;

/// Sends a command to QEMU's monitor, and waits until it has been carried out.
async fn command(monitor: &mut BufReader<UnixStream>, name: &str) {
    let text = format!("{{\"execute\": \"{name}\"}}\n");
    monitor.write_all(text.as_bytes()).await.expect("a monitor");
    let mut line = String::new();
    // The greeting and events come in between.
    while !line.contains("\"return\"") {
        assert!(!line.contains("\"error\""), "{line}");
        line.clear();
        let read = timeout(PATIENCE, monitor.read_line(&mut line)).await;
        assert_ne!(read.expect("an answer").expect("a monitor"), 0);
    }
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel, busybox and the agent's static binary"]
async fn the_power_button_of_a_machine_stops_its_program_and_powers_off() {
    let mut machine = Machine::running("/busybox", |config| {
        let session = config.sessions.get_mut("main").expect("a session");
        let script = "trap 'echo asked; exit 9' TERM; echo up; while :; do /busybox sleep 1; done";
        session.command.args = ["busybox", "sh", "-c", script].map(str::to_owned).to_vec();
    });
    machine.has_monitor = true;
    make_disk(machine.folder.path());
    let listen = |name: &str| UnixListener::bind(machine.path(name)).expect("a socket");
    let (_control, port, monitor) = (listen("control"), listen("keys"), listen("monitor"));
    let qemu = machine.start(true);
    let (monitor, _) = monitor.accept().await.expect("a monitor");
    let (port, _) = port.accept().await.expect("a port");
    tokio::spawn(serve_keys(port, Arc::clone(&machine.keys)));
    let is_up = async {
        while machine.stdout() != "up\n" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let is_up = timeout(PATIENCE, is_up).await;
    assert!(is_up.is_ok(), "{}", machine.console());

    let mut monitor = BufReader::new(monitor);
    command(&mut monitor, "qmp_capabilities").await;
    command(&mut monitor, "system_powerdown").await;
    machine.off(qemu).await;
    let session = &machine.config().sessions["main"];
    assert_eq!(session.exit_status, Some(9), "{}", machine.console());
    assert_eq!(machine.stdout(), "up\nasked\n");
}
