//! Patterns for inventory paths.

use crate::escape::unescape_name;

/// A pattern for inventory paths.
///
/// Each segment matches a name: `*` matches any text, `?` one character, and a backslash
/// escapes either. The segment `...` matches any number of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// An unescaped name.
    Literal(String),
    /// A name with wildcards.
    Glob(Vec<Piece>),
    /// Any number of names.
    Deep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Many,
}

impl Pattern {
    /// Parses a pattern. Without a leading slash it matches the end of a path.
    pub(super) fn new(text: &str) -> Self {
        let mut segments = Vec::new();
        if !text.starts_with('/') {
            segments.push(Segment::Deep);
        }
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(Segment::new(segment));
        }
        segments.dedup_by(|one, before| *one == Segment::Deep && *before == Segment::Deep);
        Self { segments }
    }

    /// Returns the escaped path if the pattern contains no wildcards.
    pub(super) fn literal(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(name) = segment else {
                return None;
            };
            path.push('/');
            path.push_str(&crate::escape::escape_name(name));
        }
        Some(path)
    }

    /// Returns whether the names on the path from the root to an object match.
    pub(super) fn matches(&self, names: &[impl AsRef<str>]) -> bool {
        // `reachable[i]`: the segments so far match the first `i` names.
        let mut reachable = vec![false; names.len() + 1];
        if let Some(start) = reachable.first_mut() {
            *start = true;
        }
        for segment in &self.segments {
            let mut next = vec![false; names.len() + 1];
            match segment {
                Segment::Deep => {
                    let mut open = false;
                    for (after, before) in next.iter_mut().zip(&reachable) {
                        open |= before;
                        *after = open;
                    }
                }
                one => {
                    let fitting = names.iter().zip(&reachable).zip(next.iter_mut().skip(1));
                    for ((name, before), after) in fitting {
                        *after = *before && one.fits(name.as_ref());
                    }
                }
            }
            reachable = next;
        }
        reachable.last().copied().unwrap_or(false)
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        if text == "..." {
            return Self::Deep;
        }
        let mut pieces = Vec::new();
        let mut chars = unescape_name(text)
            .into_owned()
            .chars()
            .collect::<Vec<_>>()
            .into_iter()
            .peekable();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::Many,
                '?' => Piece::One,
                '\\' => match chars.next_if(|next| matches!(next, '*' | '?' | '\\')) {
                    Some(escaped) => Piece::Char(escaped),
                    None => Piece::Char('\\'),
                },
                c => Piece::Char(c),
            });
        }
        let literal = pieces.iter().map(|piece| match piece {
            Piece::Char(c) => Some(*c),
            Piece::One | Piece::Many => None,
        });
        match literal.collect::<Option<String>>() {
            Some(name) => Self::Literal(name),
            None => Self::Glob(pieces),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Glob(pieces) => glob(pieces, name),
            Self::Deep => true,
        }
    }
}

/// Returns whether a name matches. Matching backtracks only to the last `*`, so the time is
/// bounded by the product of both lengths.
fn glob(pieces: &[Piece], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut piece, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match pieces.get(piece) {
            Some(Piece::Many) => {
                star = Some((piece, at));
                piece += 1;
            }
            Some(Piece::One) => {
                piece += 1;
                at += 1;
            }
            Some(Piece::Char(c)) if name.get(at) == Some(c) => {
                piece += 1;
                at += 1;
            }
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    piece = back + 1;
                    at = from + 1;
                }
                None => return false,
            },
        }
    }
    pieces.iter().skip(piece).all(|piece| *piece == Piece::Many)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        Pattern::new(pattern).matches(&names)
    }

    #[test]
    fn segments_fit_names_and_dots_any_number_of_them() {
        for (pattern, path, expected) in [
            ("/DC0/vm/web", "/DC0/vm/web", true),
            ("/DC0/vm/web", "/DC0/vm/web/1", false),
            ("/DC0/vm/*", "/DC0/vm/web", true),
            ("/DC0/vm/*", "/DC0/vm/a/web", false),
            ("/DC0/vm/.../web", "/DC0/vm/web", true),
            ("/DC0/vm/.../web", "/DC0/vm/a/b/web", true),
            ("/DC0/...", "/DC0", true),
            ("/...", "/", true),
            ("/DC?/vm/w*b-?", "/DC0/vm/web-1", true),
            ("/DC?/vm/w*b-?", "/DC0/vm/web-12", false),
            // A pattern without a leading slash matches the end of a path.
            ("web", "/DC0/vm/a/web", true),
            ("vm/web", "/DC0/vm/web", true),
            ("m/web", "/DC0/vm/web", false),
            (".../web", "/DC0/vm/web", true),
            ("*", "/DC0", true),
            ("", "/DC0", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} and {path}");
        }
    }

    #[test]
    fn escapes_stand_for_the_characters_themselves() {
        let pattern = Pattern::new("/DC0/network/DHCP%2f24");
        assert!(pattern.matches(&["DC0", "network", "DHCP/24"]));
        assert_eq!(pattern.literal().as_deref(), Some("/DC0/network/DHCP%2f24"));
        let pattern = Pattern::new(r"/DC0/vm/what\?");
        assert!(pattern.matches(&["DC0", "vm", "what?"]));
        assert!(!pattern.matches(&["DC0", "vm", "whats"]));
        assert_eq!(pattern.literal().as_deref(), Some("/DC0/vm/what?"));
        assert_eq!(Pattern::new("/DC0/vm/*").literal(), None);
        assert_eq!(Pattern::new("web").literal(), None);
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = format!("/{}b", "*a".repeat(40));
        let name = "a".repeat(4_000);
        assert!(!Pattern::new(&pattern).matches(&[name.as_str()]));
    }
}
