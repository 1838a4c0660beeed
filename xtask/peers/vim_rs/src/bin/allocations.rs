//! Prints how often vim_rs allocates while decoding. A separate program, so that
//! counting does not affect time measurements.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let xml = decode_vim_rs::payload()?;
    let mut disks = 0;
    let counted = allocation_counter::measure(|| {
        disks = decode_vim_rs::decode(&xml).map_or(0, |page| decode_vim_rs::disks(&page));
    });
    println!("disks={disks}");
    println!("allocations={}", counted.count_total);
    Ok(())
}
