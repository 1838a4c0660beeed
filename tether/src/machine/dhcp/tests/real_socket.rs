//! The client's socket with a server in another network namespace. Ignored, because it needs
//! `unshare` and `ip`, and half a minute: no server can make a client extend its lease sooner.

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::machine::dhcp::message::tests::MAC;

const NAME: &str =
    "machine::dhcp::tests::real_socket::a_lease_is_obtained_and_renewed_over_a_real_socket";
/// The environment variable with the role of a process of this test.
const ROLE: &str = "DHCP_TEST_ROLE";

/// Creates a cable between two namespaces, and runs the server at one end and the client at the other
/// one.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs tmpfs /run
ip netns add server
ip link add card0 address 52:54:00:12:34:56 type veth peer name card1 netns server
ip link set card0 up
ip -n server address add 10.0.2.2/24 dev card1
ip -n server link set card1 up
ip -n server route add 255.255.255.255 dev card1
DHCP_TEST_ROLE=server ip netns exec server "$0" "$@" &
DHCP_TEST_ROLE=client "$0" "$@"
wait $!
"#;

#[test]
#[ignore = "needs network namespaces and half a minute"]
fn a_lease_is_obtained_and_renewed_over_a_real_socket() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(_) => {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            let limit = Duration::from_secs(100);
            runtime.block_on(async { tokio::time::timeout(limit, renew()).await.unwrap() });
        }
        Err(_) => {
            let program = std::env::current_exe().unwrap();
            let ran = Command::new("unshare")
                .args("--user --map-root-user --net --mount -- sh -c".split(' '))
                .arg(SCRIPT)
                .arg(program)
                .args(["--ignored", "--exact", "--nocapture", NAME])
                .stdin(Stdio::null())
                .status()
                .unwrap();
            assert!(ran.success(), "{ran}");
        }
    }
}

/// Obtains a lease, and keeps it until the server changes its terms.
async fn renew() {
    let client = Client::new(Socket::open("card0").unwrap(), MAC, "jovial".to_owned());
    let lease = client.acquire().await;
    assert_eq!(lease.net().to_string(), "10.0.2.15/24");
    let added = Command::new("ip")
        .args("address add 10.0.2.15/24 dev card0".split(' '))
        .status()
        .unwrap();
    assert!(added.success(), "{added}");
    let begun = Instant::now();
    let Change::Changed(lease) = client.keep(lease).await else {
        panic!("the lease was lost");
    };
    // In the middle of the lease of a minute, not when it expires.
    let elapsed = begun.elapsed();
    let expected = Duration::from_secs(29)..Duration::from_secs(50);
    assert!(expected.contains(&elapsed), "{elapsed:?}");
    let leased = lease.change("lan".to_owned()).leased.unwrap();
    let servers: [std::net::IpAddr; 1] = [[10, 0, 2, 4].into()];
    assert_eq!(leased.nameservers, servers);
}

/// Serves a lease, and one renewal with another name server.
fn serve() {
    let socket = UdpSocket::bind("0.0.0.0:67").unwrap();
    socket.set_broadcast(true).unwrap();
    let limit = Some(Duration::from_secs(60));
    socket.set_read_timeout(limit).unwrap();
    let grant = |kind: u8, transaction: u32, name_server: u8| {
        let options: [(u8, &[u8]); 4] = [
            (54, &SERVER),
            (51, &60_u32.to_be_bytes()),
            (1, &[255, 255, 255, 0]),
            (6, &[10, 0, 2, name_server]),
        ];
        reply(kind, transaction, [10, 0, 2, 15].into(), &options)
    };
    let mut buffer = [0; 2000];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let message = &buffer[..length];
        let transaction = u32::from_be_bytes(message[4..8].try_into().unwrap());
        assert_eq!(from.port(), 68);
        if message[12..16] == [10, 0, 2, 15] {
            // A renewal comes from the leased address.
            assert_eq!(from.ip().to_string(), "10.0.2.15");
            socket.send_to(&grant(5, transaction, 4), from).unwrap();
            return;
        }
        assert!(from.ip().is_unspecified(), "{from}");
        let kind = if message[240..243] == [53, 1, 1] {
            2
        } else {
            5
        };
        socket
            .send_to(&grant(kind, transaction, 3), "255.255.255.255:68")
            .unwrap();
    }
}
