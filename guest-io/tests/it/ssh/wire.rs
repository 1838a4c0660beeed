//! What the ends send within SSH: control frames and names of subsystems.

use guest_io::ssh::{
    ArchiveDirection, ControlDecoder, ControlFrame, MAX_ID, MAX_PATH, ReloadFailed, ReloadReport,
    Subsystem,
};
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
    fn a_subsystem_is_parsed_as_it_was_requested(id in id(), path in "/[^\0]{0,80}") {
        let (into, out) = (ArchiveDirection::In, ArchiveDirection::Out);
        for subsystem in [
            Subsystem::VicAttach(&id),
            Subsystem::Attach(&id),
            Subsystem::ContainerIds,
            Subsystem::Version,
            Subsystem::Reload,
            Subsystem::VicArchive(into, &path),
            Subsystem::VicArchive(out, &path),
            Subsystem::Archive(into, &path),
            Subsystem::Archive(out, &path),
        ] {
            let name = subsystem.to_string();
            prop_assert_eq!(Subsystem::parse(&name), Some(subsystem));
        }
    }

    #[test]
    fn any_name_is_parsed_or_refused(
        name in "((vic-)?(attach|archive-(in|out))|container-ids|version|reload|\\PC{0,9})[ \t]{0,2}[/\0]?\\PC{0,300}",
    ) {
        if let Some(subsystem) = Subsystem::parse(&name) {
            let again = subsystem.to_string();
            prop_assert_eq!(Subsystem::parse(&again), Some(subsystem));
            if let Subsystem::VicAttach(id) | Subsystem::Attach(id) = subsystem {
                prop_assert!(Subsystem::is_id(id));
            }
            if let Subsystem::VicArchive(_, path) | Subsystem::Archive(_, path) = subsystem {
                prop_assert!(Subsystem::is_path(path));
            }
        }
    }

    /// What fits into a report is parsed as it was sent.
    #[test]
    fn a_report_is_parsed_as_it_was_sent(
        started in prop::collection::vec(id(), 0..5),
        refused in prop::collection::vec((id(), "\\PC{0,300}|(?s).{0,40}"), 0..5),
        omitted in prop::collection::vec(Just(" "), 0..3),
    ) {
        let mut report = ReloadReport::default();
        for id in &started {
            report.add_started(id);
        }
        for (id, reason) in &refused {
            report.add_refused(id, reason);
        }
        for id in &omitted {
            report.add_started(id);
        }
        prop_assert_eq!(&report.started, &started);
        prop_assert_eq!(report.omitted, omitted.len() as u64);
        let text = ReloadReport::encode(&Ok(report.clone()));
        prop_assert_eq!(ReloadReport::parse(&text), Some(Ok(report)));
    }

    /// Any text is parsed, within the limits, and what was parsed can be sent again.
    #[test]
    fn any_response_to_a_reload_is_parsed_or_refused(
        text in "(reloaded\n|failed )?((started|refused|omitted) (\\PC{0,9} ?){0,3}\n|(?s).{0,60}){0,20}",
    ) {
        if let Some(response) = ReloadReport::parse(&text) {
            let again = ReloadReport::encode(&response);
            prop_assert_eq!(ReloadReport::parse(&again), Some(response));
        }
    }
}

#[test]
fn a_report_of_too_many_sessions_is_bounded_and_says_how_many_are_missing() {
    let mut report = ReloadReport::default();
    let reason = "x\n".repeat(10_000);
    for number in 0..5_000 {
        report.add_refused(&format!("{number:0>256}"), &reason);
    }
    assert_eq!((report.refused.len(), report.omitted), (1024, 3976));
    let text = ReloadReport::encode(&Ok(report.clone()));
    assert!(text.len() < 1024 * 1024, "{}", text.len());
    assert_eq!(ReloadReport::parse(&text), Some(Ok(report)));

    let failed = ReloadFailed::new("two\nlines\x1b[31m");
    let text = ReloadReport::encode(&Err(failed.clone()));
    assert_eq!(text, "failed two lines [31m\n");
    assert_eq!(ReloadReport::parse(&text), Some(Err(failed)));
    for text in ["", "\n", "started a\n", "reloaded\nomitted x\n"] {
        assert_eq!(ReloadReport::parse(text), None, "{text:?}");
    }
}

#[test]
fn paths_that_no_archive_has_are_refused() {
    let long = format!("/{}", "x".repeat(MAX_PATH));
    for path in ["", "etc", "./etc", "/a\0b", &long] {
        for verb in [
            "archive-out",
            "archive-in",
            "vic-archive-out",
            "vic-archive-in",
        ] {
            assert_eq!(
                Subsystem::parse(&format!("{verb} {path}")),
                None,
                "{path:?}"
            );
        }
    }
    let path = "/a b/ c\n";
    let parsed = Subsystem::Archive(ArchiveDirection::In, path);
    assert_eq!(Subsystem::parse("archive-in /a b/ c\n"), Some(parsed));
    assert!(Subsystem::parse(&format!("archive-in {}", &long[..MAX_PATH])).is_some());
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
