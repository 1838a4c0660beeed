//! Any file is decoded to its end from chunks of any size, and searched with bounded reads.
#![no_main]

use guest_io::log::{BLOCK, Decoder, End, Format, Item, Seek, Step, Tail};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&piece, file)) = data.split_first() else {
        return;
    };
    for format in [Format::Records, Format::Raw] {
        let mut decoder = Decoder::new(format);
        let mut bytes = 0;
        let mut count = |item| match item {
            Item::Record(record) => bytes += record.data.len() as u64,
            Item::End(_) => {}
            Item::Skipped(skipped) => bytes += skipped,
        };
        for piece in file.chunks(usize::from(piece).max(1)) {
            decoder.push(piece);
            while let Some(item) = decoder.next() {
                count(item);
            }
        }
        while let Some(item) = decoder.finish() {
            count(item);
        }
        assert_eq!(decoder.consumed(), file.len() as u64);
        assert!(bytes <= file.len() as u64);

        let mut tail = Tail::new(format, file.len() as u64, piece.into());
        while let Step::Read(range) = tail.step() {
            assert!(range.start < range.end && range.end - range.start <= BLOCK);
            tail.supply(&file[range.start as usize..range.end as usize]);
        }
    }
    let last = file.len().saturating_sub(BLOCK as usize);
    let _ = End::at_end(&file[last..], last == 0);
    let mut seek = Seek::new(file.len() as u64, i64::from(piece) << 50);
    while let Step::Read(range) = seek.step() {
        assert!(range.start < range.end && range.end - range.start <= BLOCK);
        seek.supply(&file[range.start as usize..range.end as usize]);
    }
});
