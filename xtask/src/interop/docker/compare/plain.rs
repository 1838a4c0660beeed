//! Replaces the parts of an output that differ in each run: identities, times, addresses, and
//! the widths of columns.

/// Returns the text with identities, times and addresses replaced by placeholders.
pub(super) fn plain(text: &str) -> String {
    // A pull prints these lines only if it takes long enough.
    let lines = text
        .lines()
        .filter(|line| !line.contains("Verifying Checksum"));
    let lines = lines.map(|line| {
        let line = replace_words(line.trim_end_matches('\r'));
        durations(&columns(&line))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces the words of a line. A word consists of letters, digits, `.`, `:`, `-` and `_`.
fn replace_words(line: &str) -> String {
    let mut plain = String::new();
    let mut word = String::new();
    for next in line.chars().map(Some).chain([None]) {
        match next {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_') => {
                word.push(c);
            }
            other => {
                plain.push_str(&replaced(&word));
                word.clear();
                plain.extend(other);
            }
        }
    }
    plain
}

fn replaced(word: &str) -> String {
    let (bare, end) = match word.strip_suffix([':', '.']) {
        Some(bare) => (bare, &word[bare.len()..]),
        None => (word, ""),
    };
    if let Some(digest) = bare.strip_prefix("sha256:")
        && is_id(digest)
    {
        return format!("sha256:<id>{end}");
    }
    let kind = if is_id(bare) {
        "<id>"
    } else if is_time(bare) {
        "<time>"
    } else if is_address(bare) {
        "<address>"
    } else {
        return word.to_owned();
    };
    format!("{kind}{end}")
}

fn is_id(word: &str) -> bool {
    matches!(word.len(), 12 | 64) && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether a word is a time in the format of RFC 3339.
fn is_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    word.len() >= 20
        && word.starts_with("20")
        && bytes.get(10) == Some(&b'T')
        && word.ends_with('Z')
}

/// Returns whether a word is an Ethernet address, or an IPv4 address other than loopback and
/// unspecified ones.
fn is_address(word: &str) -> bool {
    let ip: Option<std::net::Ipv4Addr> = word.parse().ok();
    let is_ethernet = word.len() == 17
        && word
            .split(':')
            .all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok());
    is_ethernet || ip.is_some_and(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Separates columns by two spaces, because their widths depend on the widest cell.
fn columns(line: &str) -> String {
    let mut plain = String::new();
    for part in line
        .split("  ")
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        if !plain.is_empty() {
            plain.push_str("  ");
        }
        plain.push_str(part);
    }
    plain
}

/// Replaces durations in seconds.
fn durations(line: &str) -> String {
    let mut plain = line.replace("Less than a second", "<while>");
    for unit in [" seconds", " second"] {
        while let Some(end) = plain.find(unit) {
            let from = plain[..end]
                .rfind(|c: char| !c.is_ascii_digit())
                .map_or(0, |before| before + 1);
            if from == end {
                return plain;
            }
            plain.replace_range(from..end + unit.len(), "<while>");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn the_parts_that_differ_in_each_run_are_replaced() {
        for (text, expected) in [
            (
                "def1d6f6a0c0   box      2 seconds ago",
                "<id>  box  <while> ago",
            ),
            (
                "Exited (0) Less than a second ago",
                "Exited (0) <while> ago",
            ),
            ("Up 1 second", "Up <while>"),
            ("2026-11-26T08:10:36.044628758Z out", "<time> out"),
            (
                "at 172.17.0.2:80, 127.0.0.1:80",
                "at 172.17.0.2:80, 127.0.0.1:80",
            ),
            ("[172.17.0.2] 02:42:ac:11:00:02", "[<address>] <address>"),
            (
                "a container: sha256:aaaaaaaaaaaa.",
                "a container: sha256:<id>.",
            ),
            ("seconds", "seconds"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
