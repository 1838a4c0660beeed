//! Frames between cards whose files are sockets instead of tap devices: both preserve the bounds of
//! messages.

use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::*;
use crate::switch::frame::Mac;

const BROADCAST: Mac = [0xff; 6];
const PATIENCE: Duration = Duration::from_secs(20);

fn mac(last: u8) -> Mac {
    [2, 0, 0, 0, 0, last]
}

/// Returns a card in `segment`, and the inner end of it.
fn card(switch: &Arc<Switch>, last: u8, segment: Option<&str>) -> (Card, UnixDatagram) {
    let (inner, outer) = UnixDatagram::pair().expect("sockets");
    let outer: OwnedFd = outer.into_std().expect("a socket").into();
    let card = Card::new(switch, outer, mac(last), None).expect("a card");
    card.plug_into(segment);
    (card, inner)
}

fn frame(from: u8, to: Mac, payload: &[u8]) -> Vec<u8> {
    [&to[..], &mac(from), &[0x88, 0xb5], payload].concat()
}

async fn receive(card: &UnixDatagram) -> Vec<u8> {
    let mut bytes = vec![0; 70_000];
    let length = timeout(PATIENCE, card.recv(&mut bytes)).await;
    bytes.truncate(length.expect("a frame").expect("a read"));
    bytes
}

/// Asserts that a card received nothing before this frame.
async fn receives_next(card: &UnixDatagram, wanted: &[u8]) {
    assert_eq!(receive(card).await, wanted);
}

#[tokio::test]
async fn frames_stay_in_their_segment_and_unicast_reaches_one_card() {
    let switch = Arc::new(Switch::default());
    let (_one, a) = card(&switch, 1, Some("lan"));
    let (_two, b) = card(&switch, 2, Some("lan"));
    let (_three, c) = card(&switch, 3, Some("lan"));
    let (_other, d) = card(&switch, 4, Some("dmz"));
    let (_fifth, e) = card(&switch, 5, Some("dmz"));
    let direct = frame(1, mac(2), b"direct");
    let abroad = frame(1, mac(4), b"unknown here");
    let all = frame(1, BROADCAST, b"all");
    for sent in [&direct, &abroad, &all] {
        a.send(sent).await.expect("a write");
    }
    receives_next(&b, &direct).await;
    receives_next(&b, &abroad).await;
    receives_next(&b, &all).await;
    receives_next(&c, &abroad).await;
    receives_next(&c, &all).await;
    // The other segment received nothing before its own frame.
    let own = frame(5, BROADCAST, b"own");
    e.send(&own).await.expect("a write");
    receives_next(&d, &own).await;
    // The sender's frames did not come back.
    let back = frame(2, mac(1), b"back");
    b.send(&back).await.expect("a write");
    receives_next(&a, &back).await;
}

#[tokio::test]
async fn a_card_that_is_disconnected_or_gone_neither_sends_nor_receives() {
    let switch = Arc::new(Switch::default());
    let (_one, a) = card(&switch, 1, Some("lan"));
    let (two, b) = card(&switch, 2, None);
    let (_three, c) = card(&switch, 3, Some("lan"));
    let lost = frame(2, BROADCAST, b"lost");
    b.send(&lost).await.expect("a write");
    a.send(&frame(1, BROADCAST, b"first"))
        .await
        .expect("a write");
    receives_next(&c, &frame(1, BROADCAST, b"first")).await;
    two.plug_into(Some("lan"));
    let second = frame(1, mac(2), b"second");
    a.send(&second).await.expect("a write");
    receives_next(&b, &second).await;
    two.plug_into(Some("dmz"));
    a.send(&frame(1, BROADCAST, b"third"))
        .await
        .expect("a write");
    receives_next(&c, &frame(1, BROADCAST, b"third")).await;
    two.plug_into(Some("lan"));
    let fourth = frame(1, mac(2), b"fourth");
    a.send(&fourth).await.expect("a write");
    receives_next(&b, &fourth).await;
    assert_eq!(switch.ports(), 3);
    drop(two);
    assert_eq!(switch.ports(), 2, "its port is free");
    // Its end of the device closes.
    let closed = async {
        while b.try_send(&lost).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("an end");
}

#[tokio::test]
async fn frames_that_are_too_long_or_too_short_are_dropped() {
    let switch = Arc::new(Switch::default());
    let (_one, a) = card(&switch, 1, Some("lan"));
    let (_two, b) = card(&switch, 2, Some("lan"));
    let longest = frame(1, mac(2), &[7; 1504]);
    for sent in [
        frame(1, mac(2), &[7; 1505]),
        frame(1, mac(2), &[7; 60_000]),
        b"short".to_vec(),
        longest.clone(),
    ] {
        a.send(&sent).await.expect("a write");
    }
    receives_next(&b, &longest).await;
}

#[tokio::test]
async fn a_card_that_does_not_read_loses_frames_and_the_others_do_not_wait() {
    let switch = Arc::new(Switch::default());
    let (_one, a) = card(&switch, 1, Some("lan"));
    let (_two, deaf) = card(&switch, 2, Some("lan"));
    let (_three, c) = card(&switch, 3, Some("lan"));
    for number in 0..10_000_u32 {
        let sent = frame(1, BROADCAST, &number.to_be_bytes());
        a.send(&sent).await.expect("a write");
        receives_next(&c, &sent).await;
    }
    // Only as many as fit into the queue of the card were kept.
    let mut kept = 0;
    while deaf.try_recv(&mut [0; 64]).is_ok() {
        kept += 1;
    }
    assert!((1..10_000).contains(&kept), "{kept}");
}
