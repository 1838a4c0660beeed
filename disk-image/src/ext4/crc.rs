//! CRC-32C as ext4 uses it, without inverting the value at the start or the end.

const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0x82f6_3b78
            } else {
                value >> 1
            };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut level = 1;
    while level < 8 {
        let mut index = 0;
        while index < 256 {
            let before = tables[level - 1][index];
            tables[level][index] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            index += 1;
        }
        level += 1;
    }
    tables
}

/// Continues the checksum `crc` over `data`. The first call starts from `!0`.
pub(crate) fn crc32c(crc: u32, data: &[u8]) -> u32 {
    let (chunks, rest) = data.as_chunks::<8>();
    let table = |level: usize, byte: u32| TABLES[level][(byte & 0xff) as usize];
    let mut crc = crc;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk);
        let (low, high) = (word as u32 ^ crc, (word >> 32) as u32);
        crc = table(7, low)
            ^ table(6, low >> 8)
            ^ table(5, low >> 16)
            ^ table(4, low >> 24)
            ^ table(3, high)
            ^ table(2, high >> 8)
            ^ table(1, high >> 16)
            ^ table(0, high >> 24);
    }
    for &byte in rest {
        crc = crc >> 8 ^ table(0, crc ^ u32::from(byte));
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_is_met() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        let data: Vec<u8> = (0..100).collect();
        assert_eq!(
            crc32c(crc32c(!0, &data[..37]), &data[37..]),
            crc32c(!0, &data)
        );
    }
}
