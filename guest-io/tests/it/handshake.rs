//! The handshake, compared with VIC's byte by byte.

use guest_io::handshake::{
    ACK, Client, Dialect, HandshakeError, LOSSINESS_TEST, MAX_NOISE, NAK, SYN, Server,
};
use proptest::prelude::*;

/// Passes the output of each end to the other, often enough for a handshake.
fn pass(client: &mut Client, server: &mut Server) {
    for _ in 0..8 {
        let out = client.take_output();
        server.receive(&out).expect("no noise");
        let out = server.take_output();
        client.receive(&out).expect("no noise");
    }
}

#[test]
fn the_bytes_are_those_of_vic_1() {
    let mut server = Server::new(Dialect::Vic1, 0);
    assert_eq!(server.receive(&[SYN, 41]).unwrap(), 2);
    let answer = server.take_output();
    assert_eq!(answer[..2], [ACK, 42]);
    let token = answer[2];
    assert_eq!(server.receive(&[ACK, token.wrapping_add(1)]).unwrap(), 2);
    assert_eq!(server.take_output(), [ACK]);
    assert!(server.is_done());

    let mut client = Client::new(255);
    assert_eq!(client.take_output(), [SYN, 255]);
    assert_eq!(client.receive(&[ACK, 0, 77]).unwrap(), 3);
    assert_eq!(client.take_output(), [ACK, 78]);
    // The payload may be in the same read as the last step.
    assert_eq!(client.receive(b"\x06SSH-2.0-Go\r\n").unwrap(), 1);
    assert_eq!(client.dialect(), Some(Dialect::Vic1));
}

#[test]
fn the_bytes_are_those_of_vic_04() {
    assert_eq!(LOSSINESS_TEST.len(), 23);
    let mut client = Client::new(9);
    let mut server = Server::new(Dialect::Vic04, 3);
    server.receive(&client.take_output()).unwrap();
    client.receive(&server.take_output()).unwrap();
    server.receive(&client.take_output()).unwrap();
    let test = server.take_output();
    assert_eq!(test, LOSSINESS_TEST);
    client.receive(&test).unwrap();
    assert!(!client.is_done() && !server.is_done());
    let echo = client.take_output();
    assert_eq!(echo, LOSSINESS_TEST);
    server.receive(&echo).unwrap();
    assert!(server.is_done());
    client.receive(&server.take_output()).unwrap();
    assert_eq!(client.dialect(), Some(Dialect::Vic04));
}

#[test]
fn a_line_that_changes_bytes_fails_the_test_and_a_retry_succeeds() {
    let mut client = Client::new(9);
    let mut server = Server::new(Dialect::Vic04, 3);
    server.receive(&client.take_output()).unwrap();
    client.receive(&server.take_output()).unwrap();
    server.receive(&client.take_output()).unwrap();
    // The line turns \n into \r\n, so the client has received 23 bytes before the end of the test.
    let mut test = server.take_output();
    test.insert(test.len() - 1, b'\r');
    client.receive(&test).unwrap();
    server.receive(&client.take_output()).unwrap();
    assert!(!server.is_done());
    let refusal = server.take_output();
    assert_eq!(refusal, [NAK]);
    client.receive(&refusal).unwrap();
    assert!(!client.is_done());

    client.restart();
    pass(&mut client, &mut server);
    assert!(client.is_done() && server.is_done());
}

#[test]
fn a_response_to_an_older_attempt_is_not_accepted() {
    let mut client = Client::new(1);
    let _lost = client.take_output();
    client.restart();
    let syn = client.take_output();
    assert_ne!(syn, [SYN, 1]);
    client.receive(&[ACK, 2, 50]).unwrap();
    assert!(client.take_output().is_empty());
    client.receive(&[ACK, syn[1].wrapping_add(1), 60]).unwrap();
    assert_eq!(client.take_output(), [ACK, 61]);
}

#[test]
fn endless_noise_ends_the_handshake() {
    let mut client = Client::new(1);
    let mut server = Server::new(Dialect::Vic1, 1);
    let noise = vec![b'x'; MAX_NOISE + 1];
    assert_eq!(client.receive(&noise), Err(HandshakeError::TooMuchNoise));
    assert_eq!(server.receive(&noise), Err(HandshakeError::TooMuchNoise));
    assert!(client.take_output().len() + server.take_output().len() <= 3);
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Vic04), Just(Dialect::Vic1)]
}

proptest! {
    /// After any noise, both ends agree on the start of the payload.
    #[test]
    fn the_handshake_succeeds_after_noise(
        dialect in dialect(),
        position: u8,
        token: u8,
        to_server in prop::collection::vec(any::<u8>(), 0..200),
        // An ACK in the noise could be mistaken for a response.
        to_client in prop::collection::vec(any::<u8>().prop_filter("ACK", |b| *b != ACK), 0..200),
    ) {
        let mut client = Client::new(position);
        let mut server = Server::new(dialect, token);
        server.receive(&to_server).unwrap();
        client.receive(&to_client).unwrap();
        let mut rounds = 0;
        while !(client.is_done() && server.is_done()) {
            pass(&mut client, &mut server);
            client.restart();
            rounds += 1;
            prop_assert!(rounds < 50);
        }
    }

    /// The handshake does not depend on the sizes of the reads, and no byte of the payload is lost.
    #[test]
    fn the_payload_begins_after_the_last_step(
        dialect in dialect(),
        position: u8,
        token: u8,
        chunk in 1_usize..8,
        payload in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut client = Client::new(position);
        let mut server = Server::new(dialect, token);
        let mut rest: Vec<u8> = Vec::new();
        while !client.is_done() {
            for piece in client.take_output().chunks(chunk) {
                prop_assert_eq!(server.receive(piece).unwrap(), piece.len());
            }
            let mut out = server.take_output();
            if server.is_done() {
                out.extend(&payload);
            }
            for piece in out.chunks(chunk) {
                let used = client.receive(piece).unwrap();
                rest.extend(&piece[used..]);
            }
        }
        prop_assert_eq!(rest, payload);
    }

    /// No input from a peer causes a panic.
    #[test]
    fn no_input_causes_a_panic(input in prop::collection::vec(any::<u8>(), 0..2000)) {
        for dialect in [Dialect::Vic04, Dialect::Vic1] {
            let mut server = Server::new(dialect, 7);
            let _ = server.receive(&input);
        }
        let _ = Client::new(7).receive(&input);
    }
}
