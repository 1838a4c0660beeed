//! No input makes either end panic, and a handshake after it succeeds.
#![no_main]

use guest_io::handshake::{Client, Dialect, Server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::Vic04, Dialect::Vic1] {
        let mut server = Server::new(dialect, 7);
        let Ok(used) = server.receive(data) else {
            continue;
        };
        assert!(used <= data.len());
        let _lost = server.take_output();
        let mut client = Client::new(9);
        for _ in 0..8 {
            if server.is_done() {
                break;
            }
            for _ in 0..4 {
                let _ = server.receive(&client.take_output());
                let _ = client.receive(&server.take_output());
            }
            if !client.is_done() {
                client.restart();
            }
        }
        assert!(server.is_done());
    }
    let _ = Client::new(9).receive(data);
});
