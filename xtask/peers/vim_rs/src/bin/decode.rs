//! Prints how long vim_rs takes to decode and to encode, the best of five.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let xml = decode_vim_rs::payload()?;
    let (mut decoding, mut encoding) = (f64::MAX, f64::MAX);
    let mut disks = 0;
    let mut written = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let page = decode_vim_rs::decode(black_box(&xml))?;
        decoding = decoding.min(start.elapsed().as_secs_f64());
        disks = decode_vim_rs::disks(&page);
        let start = Instant::now();
        let body = vim_rs::xml::ser::to_xml(black_box(&page), "returnval");
        encoding = encoding.min(start.elapsed().as_secs_f64());
        written = body.len();
    }
    println!("disks={disks}");
    println!("decode_seconds={decoding}");
    println!("encode_seconds={encoding}");
    println!("encoded_bytes={written}");
    Ok(())
}
