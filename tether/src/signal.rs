//! The names of signals.

/// Names and Linux numbers, which are the same on all supported architectures.
const NAMES: [(&str, i32); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Returns the name of a signal without `SIG`, or its number if it has no name.
#[cfg(feature = "ssh")]
pub(crate) fn signal_name(number: i32) -> String {
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => (*name).to_owned(),
        None => number.to_string(),
    }
}

/// Returns the Linux number of a signal, from a number, a name with or without `SIG` in
/// any case, `RTMIN+n` or `RTMAX-n`; `None` for anything else.
///
/// ```
/// use tether::signal_number;
///
/// assert_eq!(signal_number("SIGTERM"), Some(15));
/// assert_eq!(signal_number("usr1"), Some(10));
/// assert_eq!(signal_number("9"), Some(9));
/// assert_eq!(signal_number("RTMIN+3"), Some(37));
/// assert_eq!(signal_number("0"), None);
/// ```
#[must_use]
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |text: &str, sign: char| match text.strip_prefix(sign) {
        Some(digits) => digits.parse::<u8>().ok().map(i32::from),
        None => text.is_empty().then_some(0),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        REAL_TIME.start() + offset(rest, '+')?
    } else {
        REAL_TIME.end() - offset(name.strip_prefix("RTMAX")?, '-')?
    };
    REAL_TIME.contains(&number).then_some(number)
}
