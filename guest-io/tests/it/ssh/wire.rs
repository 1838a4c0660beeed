//! What the ends send within SSH: control frames and names of subsystems.

use guest_io::ssh::{ControlDecoder, ControlFrame, MAX_ID, Subsystem};
use proptest::prelude::*;

/// Decodes bytes that arrive in chunks of this size.
fn decode(bytes: &[u8], chunk: usize) -> Vec<ControlFrame> {
    let mut decoder = ControlDecoder::default();
    let mut frames = Vec::new();
    for chunk in bytes.chunks(chunk) {
        decoder.receive(chunk, |frame| frames.push(frame));
    }
    frames
}

/// A frame as it was sent, and its bytes; `None` for a frame of a kind that is not known yet.
fn frame() -> impl Strategy<Value = (Option<ControlFrame>, [u8; ControlFrame::LENGTH])> {
    let known = prop_oneof![
        any::<u32>().prop_map(ControlFrame::Grant),
        Just(ControlFrame::Unblock)
    ];
    let unknown = (3_u8.., any::<u32>()).prop_map(|(kind, number)| {
        let [a, b, c, d] = number.to_be_bytes();
        (None, [kind, a, b, c, d])
    });
    prop_oneof![
        4 => known.prop_map(|frame| (Some(frame), frame.encode())),
        1 => unknown,
    ]
}

fn id() -> impl Strategy<Value = String> {
    "\\PC{1,80}".prop_filter("no blanks", |id| Subsystem::is_id(id))
}

proptest! {
    /// Frames are decoded as they were sent, whatever the sizes of the chunks are.
    #[test]
    fn frames_are_decoded_as_they_were_sent(
        sent in prop::collection::vec(frame(), 0..50),
        chunk in 1_usize..20,
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(|(_, bytes)| *bytes).collect();
        let known: Vec<_> = sent.iter().filter_map(|(frame, _)| *frame).collect();
        prop_assert_eq!(decode(&bytes, chunk), known);
    }

    /// Any bytes are decoded, and what was decoded can be sent again.
    #[test]
    fn any_bytes_are_decoded_independent_of_their_chunks(
        bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..500),
        chunk in 1_usize..20,
    ) {
        let frames = decode(&bytes, chunk);
        prop_assert!(frames.len() <= bytes.len() / ControlFrame::LENGTH);
        prop_assert_eq!(&frames, &decode(&bytes, usize::MAX));
        let again: Vec<u8> = frames.iter().flat_map(|frame| frame.encode()).collect();
        prop_assert_eq!(decode(&again, chunk), frames);
    }

    #[test]
    fn a_subsystem_is_parsed_as_it_was_requested(id in id()) {
        for subsystem in [
            Subsystem::VicAttach(&id),
            Subsystem::Attach(&id),
            Subsystem::ContainerIds,
            Subsystem::Version,
        ] {
            let name = subsystem.to_string();
            prop_assert_eq!(Subsystem::parse(&name), Some(subsystem));
        }
    }

    #[test]
    fn any_name_is_parsed_or_refused(
        name in "((vic-)?attach|container-ids|version|\\PC{0,9})[ \t]{0,2}\\PC{0,300}",
    ) {
        if let Some(subsystem) = Subsystem::parse(&name) {
            let again = subsystem.to_string();
            prop_assert_eq!(Subsystem::parse(&again), Some(subsystem));
            if let Subsystem::VicAttach(id) | Subsystem::Attach(id) = subsystem {
                prop_assert!(Subsystem::is_id(id));
            }
        }
    }
}

#[test]
fn ids_that_no_session_has_are_refused() {
    let long = "x".repeat(MAX_ID + 1);
    for id in ["", " ", "a b", "a\tb", "a\u{2003}b", &long] {
        for verb in ["attach", "vic-attach"] {
            assert_eq!(Subsystem::parse(&format!("{verb} {id}")), None, "{id:?}");
        }
    }
    assert!(Subsystem::parse(&format!("attach {}", &long[1..])).is_some());
    for name in ["", "attach", "vic-attach", "shell", "Attach id"] {
        assert_eq!(Subsystem::parse(name), None, "{name:?}");
    }
}
