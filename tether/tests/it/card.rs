//! Network cards of containers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use tether::sys::{CardSetup, Exit, Launch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use crate::container::{Directories, Running, output, start};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Returns a request of the peer 10.9.0.1 for the MAC address of 10.9.0.2.
fn arp_request() -> Vec<u8> {
    let mut frame = [[0xff; 6], PEER].concat();
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(PEER);
    frame.extend([10, 9, 0, 1]);
    frame.extend([0; 6]);
    frame.extend([10, 9, 0, 2]);
    frame
}

/// Reads frames until one is the response.
async fn arp_response(file: &AsyncFd<File>) -> Vec<u8> {
    loop {
        let mut bytes = vec![0; 2000];
        let read = file.async_io(Interest::READABLE, |mut file| file.read(&mut bytes));
        let length = read.await.expect("a frame");
        bytes.truncate(length);
        if bytes.get(12..22) == Some(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]) {
            return bytes;
        }
    }
}

#[tokio::test]
async fn a_card_has_its_configuration_and_carries_frames() {
    let directories = Directories::new();
    let mut setup = directories.setup_with_programs();
    let address: IpAddr = [10, 9, 0, 2].into();
    let mut card = CardSetup::new(MAC);
    card.mtu = Some(1400);
    card.addresses = vec![(address, 24)];
    card.routes = vec![(([0, 0, 0, 0].into(), 0), [10, 9, 0, 1].into())];
    setup.cards = vec![card, CardSetup::new([2, 0, 0, 0, 0, 8])];
    let Some(Running {
        supervisor, cards, ..
    }) = start(setup).await
    else {
        return;
    };
    let mut cards = cards.into_iter();
    let Some((0, file)) = cards.next() else {
        eprintln!("SKIPPED: this host does not allow tap devices");
        return;
    };
    // A card exists while its file is open.
    let (second, _open) = cards.next().expect("another card");
    assert_eq!(second, 1);
    let script = "grep -c 'eth[01]:' /proc/net/dev; \
                  grep -c '^eth0.00000000.0100090A' /proc/net/route";
    let launch = Launch::new("/bin/sh", ["-c".to_owned(), script.to_owned()]);
    let mut process = supervisor.launch(launch).await.expect("a start");
    let (out, err) = output(&mut process).await;
    assert_eq!(process.exit().await, Some(Exit::Code(0)), "{out}{err}");
    assert_eq!(out, "2\n1\n", "two cards and a default route: {err}");

    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; a File keeps its descriptor open, as it requires"
    )]
    let file = AsyncFd::new(File::from(file)).expect("a pollable file");
    file.get_ref().write_all(&arp_request()).expect("a write");
    let response = timeout(Duration::from_secs(20), arp_response(&file)).await;
    let response = response.expect("a response");
    assert_eq!(response[..12], [PEER, MAC].concat());
    assert_eq!(response[22..28], MAC);
}
