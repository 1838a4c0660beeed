//! The log: records are read as they were written, from any position.

use std::cell::Cell;
use std::sync::LazyLock;

use guest_io::Stream;
use guest_io::log::{BLOCK, Decoder, Format, Item, Record, Seek, Start, Step, Tail, encode};
use proptest::prelude::*;

/// A file that counts the bytes that are read.
struct File {
    bytes: Vec<u8>,
    read: Cell<u64>,
}

impl File {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            read: Cell::new(0),
        }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn range(&self, range: std::ops::Range<u64>) -> &[u8] {
        assert!(range.start < range.end && range.end - range.start <= BLOCK);
        self.read.set(self.read.get() + range.end - range.start);
        &self.bytes[range.start as usize..range.end as usize]
    }

    fn tail(&self, format: Format, lines: u64) -> Start {
        let mut tail = Tail::new(format, self.len(), lines);
        loop {
            match tail.step() {
                Step::Read(range) => tail.supply(self.range(range)),
                Step::Done(start) => return start,
            }
        }
    }

    fn seek(&self, time: i64) -> u64 {
        let mut seek = Seek::new(self.len(), time);
        loop {
            match seek.step() {
                Step::Read(range) => seek.supply(self.range(range)),
                Step::Done(offset) => return offset,
            }
        }
    }

    fn records(&self, format: Format, offset: u64) -> Vec<Record> {
        decode(format, &self.bytes[offset as usize..], usize::MAX)
            .into_iter()
            .map(|item| match item {
                Item::Record(record) => record,
                item => panic!("{item:?}"),
            })
            .collect()
    }
}

fn decode(format: Format, bytes: &[u8], piece: usize) -> Vec<Item> {
    let mut decoder = Decoder::new(format);
    let mut items = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        decoder.push(piece);
        while let Some(item) = decoder.next() {
            items.push(item);
        }
    }
    while let Some(item) = decoder.finish() {
        items.push(item);
    }
    assert_eq!(decoder.consumed(), bytes.len() as u64);
    items
}

fn text(records: &[Record], stream: Stream) -> Vec<u8> {
    records
        .iter()
        .filter(|record| record.stream == stream)
        .flat_map(|record| record.data.to_vec())
        .collect()
}

/// 20,000 lines, one per millisecond.
fn long() -> File {
    static LOG: LazyLock<Vec<u8>> = LazyLock::new(long_log);
    File::new(LOG.clone())
}

fn long_log() -> Vec<u8> {
    let mut log = Vec::new();
    for n in 0..20_000_i64 {
        let stream = if n % 3 == 0 {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        let line = format!("line {n} {}\n", "x".repeat((n % 97) as usize));
        encode(stream, n * 1_000_000, line.as_bytes(), &mut log);
    }
    log
}

#[test]
fn the_last_lines_are_found_without_reading_the_whole_file() {
    let file = long();
    let start = file.tail(Format::Records, 10);
    let records = file.records(Format::Records, start.offset);
    assert_eq!(records.len(), 10);
    assert!(records[0].data.starts_with(b"line 19990 "));
    assert!(file.read.get() <= BLOCK);

    // Across several blocks.
    let start = file.tail(Format::Records, 5_000);
    assert!(
        file.records(Format::Records, start.offset)[0]
            .data
            .starts_with(b"line 15000 ")
    );
    // More lines than the file has.
    assert_eq!(file.tail(Format::Records, 50_000).offset, 0);
    assert_eq!(file.tail(Format::Records, 0).offset, file.len());
}

#[test]
fn a_time_is_found_without_reading_the_whole_file() {
    let file = long();
    for line in [0_i64, 1, 9_999, 15_001, 19_999] {
        file.read.set(0);
        let offset = file.seek(line * 1_000_000);
        let records = file.records(Format::Records, offset);
        let found = records
            .iter()
            .position(|record| record.time >= Some(line * 1_000_000))
            .unwrap();
        let wanted = format!("line {line} ");
        assert!(records[found].data.starts_with(wanted.as_bytes()));
        assert!(found < 2_000, "{found} records before it");
        assert!(file.read.get() < 3 * BLOCK);
    }
    assert!(file.seek(i64::MAX) >= file.len() - BLOCK);
}

#[test]
fn an_unfinished_last_line_is_one_line() {
    let mut log = Vec::new();
    encode(Stream::Stdout, 1, b"one\ntwo\n", &mut log);
    encode(Stream::Stdout, 2, b"thr", &mut log);
    encode(Stream::Stdout, 3, b"ee", &mut log);
    let file = File::new(log);
    let start = file.tail(Format::Records, 2);
    let records = file.records(Format::Records, start.offset);
    assert_eq!(text(&records, Stream::Stdout), b"two\nthree");
    let start = file.tail(Format::Records, 1);
    let records = file.records(Format::Records, start.offset);
    assert_eq!(text(&records, Stream::Stdout), b"three");
}

#[test]
fn several_lines_in_a_record_are_counted() {
    // VIC could write several lines in one record.
    let mut log = Vec::new();
    encode(Stream::Stdout, 1, b"abcdef\n", &mut log);
    log[16..].copy_from_slice(b"a\nb\nc\n\n");
    let file = File::new(log);
    let start = file.tail(Format::Records, 2);
    assert_eq!((start.offset, start.skip_lines), (0, 2));
}

#[test]
fn a_raw_log_is_read_and_recognized() {
    assert_eq!(
        Format::recognize(b"Hello from Docker!\n"),
        Some(Format::Raw)
    );
    assert_eq!(Format::recognize(b"short"), None);
    assert_eq!(
        Format::recognize(&long().bytes[..16]),
        Some(Format::Records)
    );

    let file = File::new(b"one\ntwo\nthree".to_vec());
    let start = file.tail(Format::Raw, 2);
    assert_eq!(start.offset, 4);
    let records = file.records(Format::Raw, start.offset);
    assert_eq!(text(&records, Stream::Stdout), b"two\nthree");
    assert_eq!(records[0].time, None);
}

#[test]
fn an_incomplete_record_is_returned_at_the_end() {
    let mut log = Vec::new();
    encode(Stream::Stderr, 7, b"whole\n", &mut log);
    encode(Stream::Stderr, 8, b"cut off\n", &mut log);
    log.truncate(log.len() - 5);
    let file = File::new(log);
    let records = file.records(Format::Records, 0);
    assert_eq!(text(&records, Stream::Stderr), b"whole\ncut");
    // The next run appends to it.
    let mut log = file.bytes;
    for n in 0..3 {
        encode(Stream::Stdout, 9 + n, b"next run\n", &mut log);
    }
    let last = decode(Format::Records, &log, 7).pop();
    let Some(Item::Record(last)) = last else {
        panic!("{last:?}");
    };
    assert_eq!(&last.data[..], b"next run\n");
    // The lines of the next run are found despite the damage before them.
    assert!(File::new(log).tail(Format::Records, 2).offset > 0);
}

fn outputs() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let output = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..200),
        "[a-z\n]{1,300}".prop_map(String::into_bytes),
        (1..9_000_usize).prop_map(|n| vec![b'y'; n]),
    ];
    prop::collection::vec((any::<bool>(), output), 0..40)
}

fn stream(stderr: bool) -> Stream {
    if stderr {
        Stream::Stderr
    } else {
        Stream::Stdout
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_are_decoded_from_chunks_of_any_size(outputs in outputs(), piece in 1_usize..6_000) {
        let mut log = Vec::new();
        for (time, (stderr, data)) in outputs.iter().enumerate() {
            encode(stream(*stderr), time as i64, data, &mut log);
        }
        let items = decode(Format::Records, &log, piece);
        let records: Vec<Record> = items
            .into_iter()
            .map(|item| match item {
                Item::Record(record) => record,
                item => panic!("nothing is damaged: {item:?}"),
            })
            .collect();
        for stderr in [false, true] {
            let written: Vec<u8> = outputs
                .iter()
                .filter(|(e, _)| *e == stderr)
                .flat_map(|(_, data)| data.clone())
                .collect();
            prop_assert_eq!(text(&records, stream(stderr)), written);
        }
        prop_assert!(records.iter().all(|r| r.data.len() <= 4095 && !r.data.is_empty()));
        prop_assert!(records.is_sorted_by_key(|record| record.time));
    }

    #[test]
    fn a_tail_has_the_requested_number_of_lines(outputs in outputs(), lines in 0_u64..60) {
        let mut log = Vec::new();
        let mut written = Vec::new();
        for (time, (_, data)) in outputs.iter().enumerate() {
            encode(Stream::Stdout, time as i64, data, &mut log);
            written.extend_from_slice(data);
        }
        let file = File::new(log);
        let start = file.tail(Format::Records, lines);
        prop_assert_eq!(start.skip_lines, 0);
        let records = file.records(Format::Records, start.offset);
        let all: Vec<&[u8]> = written.split_inclusive(|b| *b == b'\n').collect();
        let expected = all[all.len().saturating_sub(lines as usize)..].concat();
        prop_assert_eq!(text(&records, Stream::Stdout), expected);
    }

    /// Damage loses only the damaged records and at most the one before them.
    #[test]
    fn a_reader_continues_after_damage(
        noise in prop::collection::vec(any::<u8>(), 1..300),
        at in 0_usize..200,
    ) {
        let file = long();
        let mut log = file.bytes[..60_000].to_vec();
        let at = at * 100;
        log.splice(at..at + 10, noise);
        let items = decode(Format::Records, &log, 1_000);
        // The log ends within a header.
        let tail = items.iter().rev().take(51);
        let whole = tail.filter(|item| matches!(item, Item::Record(_))).count();
        prop_assert_eq!(whole, 50);
    }

    #[test]
    fn no_file_causes_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..3_000), lines: u64, time: i64) {
        for format in [Format::Records, Format::Raw] {
            decode(format, &bytes, 100);
            File::new(bytes.clone()).tail(format, lines);
        }
        File::new(bytes).seek(time);
    }
}
