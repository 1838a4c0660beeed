//! Our part of `cargo xtask bench-peers`, which runs third-party programs on
//! the same payload.
//!
//! `peers payload MACHINES FILE` writes the payload; `peers measure FILE`
//! prints, as lines of `name=value`, the best of five rounds of each
//! measurement; each round runs all of them.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]

mod events;
mod payload;
mod whole;

use std::hint::black_box;
use std::time::Instant;

use vim25::soap;

const TURNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["payload", machines, file] => {
            let machines = machines.parse().expect("a number of machines");
            std::fs::write(file, payload::reply(machines)).expect("a file to write");
        }
        ["measure", file] => measure(&std::fs::read_to_string(file).expect("the payload")),
        _ => println!("run by `cargo xtask bench-peers`"),
    }
}

/// The shortest times so far, in seconds.
struct Best {
    events: f64,
    document: f64,
    structs: f64,
    whole: f64,
    encode: f64,
}

fn measure(xml: &str) {
    let call = payload::call();
    let mut best = Best {
        events: f64::MAX,
        document: f64::MAX,
        structs: f64::MAX,
        whole: f64::MAX,
        encode: f64::MAX,
    };
    let (mut disks, mut written) = (0, 0);
    for _ in 0..TURNS {
        let start = Instant::now();
        black_box(events::count(black_box(xml)));
        take(&mut best.events, start);

        let start = Instant::now();
        let page = payload::document(&call, black_box(xml));
        take(&mut best.document, start);
        drop(page);

        let start = Instant::now();
        let page = payload::document(&call, black_box(xml));
        disks = payload::structs(&page);
        take(&mut best.structs, start);

        let start = Instant::now();
        let message = soap::encode_response("RetrievePropertiesEx", black_box(&page));
        take(&mut best.encode, start);
        written = message.expect("what was decoded can be encoded").len();
        drop(page);

        let start = Instant::now();
        let page = payload::document(&call, black_box(xml));
        whole::convert(&page);
        take(&mut best.whole, start);
    }
    println!("disks={disks}");
    println!("events_seconds={}", best.events);
    println!("document_seconds={}", best.document);
    println!("structs_seconds={}", best.structs);
    println!("whole_seconds={}", best.whole);
    println!("encode_seconds={}", best.encode);
    println!("encoded_bytes={written}");
}

fn take(best: &mut f64, start: Instant) {
    *best = best.min(start.elapsed().as_secs_f64());
}
