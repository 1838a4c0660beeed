//! Any control frames, subsystem names and responses to reloads are decoded, and what was decoded
//! survives the wire.
#![no_main]

use guest_io::ssh::{ControlDecoder, ControlFrame, ReloadReport, Subsystem};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8], chunk: usize) -> Vec<ControlFrame> {
    let mut decoder = ControlDecoder::default();
    let mut frames = Vec::new();
    for chunk in bytes.chunks(chunk) {
        decoder.receive(chunk, |frame| frames.push(frame));
    }
    frames
}

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, bytes)) = data.split_first() else {
        return;
    };
    let chunk = usize::from(chunk).max(1);
    let frames = decode(bytes, chunk);
    assert!(frames.len() <= bytes.len() / ControlFrame::LENGTH);
    assert_eq!(frames, decode(bytes, usize::MAX));
    let again: Vec<u8> = frames.iter().flat_map(|frame| frame.encode()).collect();
    assert_eq!(decode(&again, chunk), frames);

    let name = String::from_utf8_lossy(bytes);
    if let Some(subsystem) = Subsystem::parse(&name) {
        assert_eq!(Subsystem::parse(&subsystem.to_string()), Some(subsystem));
        if let Subsystem::VicAttach(id) | Subsystem::Attach(id) = subsystem {
            assert!(Subsystem::is_id(id));
        }
        if let Subsystem::VicArchive(_, path) | Subsystem::Archive(_, path) = subsystem {
            assert!(Subsystem::is_path(path));
        }
    }

    if let Some(response) = ReloadReport::parse(&name) {
        let text = ReloadReport::encode(&response);
        assert!(text.len() <= 1 << 20);
        assert_eq!(ReloadReport::parse(&text), Some(response));
    }
});
