//! The half-MD4 hash that orders the entries of large directories.

/// Returns the hash of a name, and the minor hash that orders names with equal hashes.
pub(crate) fn half_md4(name: &[u8], seed: &[u32; 4]) -> (u32, u32) {
    let mut state = *seed;
    if state == [0; 4] {
        state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    }
    let mut rest = name;
    loop {
        transform(&mut state, &words(rest));
        match rest.get(32..) {
            Some(next) if !next.is_empty() => rest = next,
            _ => break,
        }
    }
    // The highest value is reserved: the kernel's readdir uses it as an end marker.
    let hash = state[1] & !1;
    (
        if hash == 0xffff_fffe {
            0xffff_fffc
        } else {
            hash
        },
        state[2],
    )
}

/// Returns the next 32 bytes as words, padded with the length of the remaining input.
fn words(rest: &[u8]) -> [u32; 8] {
    let length = rest.len() as u32;
    let pad = length | length << 8;
    let pad = pad | pad << 16;
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes
            .iter()
            .fold(pad, |value, &byte| u32::from(byte).wrapping_add(value << 8));
    }
    words
}

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    const K2: u32 = 0x5a82_7999;
    const K3: u32 = 0x6ed9_eba1;
    type Mix = fn(u32, u32, u32) -> u32;
    let f: Mix = |x, y, z| z ^ (x & (y ^ z));
    let g: Mix = |x, y, z| (x & y).wrapping_add((x ^ y) & z);
    let h: Mix = |x, y, z| x ^ y ^ z;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (f, 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (g, K2, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (h, K3, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in rounds {
        for (index, &word) in order.iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(input[word])
                .wrapping_add(constant);
            let rotated = sum.rotate_left(shifts[index % 4]);
            (a, b, c, d) = (d, rotated, b, c);
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are from debugfs of e2fsprogs 1.47.0: `dx_hash -h half_md4 NAME`.
    #[test]
    fn hashes_are_those_of_e2fsprogs() {
        for (name, hash, minor) in HASHES {
            assert_eq!(half_md4(name.as_bytes(), &[0; 4]), (hash, minor), "{name}");
        }
    }

    const HASHES: [(&str, u32, u32); 3] = [
        ("a", 0xd5fa_7d7a, 0xacb4_8187),
        ("file-000001", 0x3f28_a580, 0xb29b_69ef),
        (
            "a-name-of-more-than-thirty-two-bytes-so-two-rounds",
            0xb81d_9668,
            0x60ad_aede,
        ),
    ];
}
