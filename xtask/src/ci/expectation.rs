//! Compares a program's output with a file that marks the parts that may differ.
//!
//! In the file, `[..]` matches any text within its line. A word in brackets and capitals,
//! such as `[ID]`, matches a run of letters, digits and `_ - . :`, and must match the
//! same text wherever the word occurs. A line of `...` matches any number of lines. Every
//! run of blanks matches any other run of blanks, because the width of a column depends
//! on its content.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// The placeholders seen so far, each with the text that it matched.
type Bindings<'t> = BTreeMap<String, &'t str>;

/// Checks `printed` against `expected`.
///
/// # Errors
/// Fails with the first line that differs, as printed and as expected.
pub(super) fn compare(expected: &str, printed: &str) -> Result<()> {
    let expected: Vec<String> = expected.lines().map(squeeze).collect();
    let printed: Vec<String> = printed.lines().map(squeeze).collect();
    let mut furthest = 0;
    if lines(&expected, &printed, &Bindings::new(), 0, &mut furthest) {
        return Ok(());
    }
    let none = "(no more lines)".to_owned();
    bail!(
        "line {} differs\nexpected, at the latest here: {}\nprinted: {}",
        furthest + 1,
        expected.get(furthest).or(expected.last()).unwrap_or(&none),
        printed.get(furthest).unwrap_or(&none)
    )
}

/// Replaces each run of blanks in a line with one blank, and removes trailing blanks.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether `printed[at..]` matches `expected`. `furthest` is set to the last line
/// that was compared.
fn lines<'t>(
    expected: &[String],
    printed: &'t [String],
    bound: &Bindings<'t>,
    at: usize,
    furthest: &mut usize,
) -> bool {
    *furthest = (*furthest).max(at);
    let Some((first, rest)) = expected.split_first() else {
        return at == printed.len();
    };
    if first == "..." {
        return (at..=printed.len()).any(|next| lines(rest, printed, bound, next, furthest));
    }
    let Some(line) = printed.get(at) else {
        return false;
    };
    let mut bound = bound.clone();
    text(first, line, &mut bound) && lines(rest, printed, &bound, at + 1, furthest)
}

/// Returns whether `text` matches `pattern`; if it does, extends `bound`.
fn text<'t>(pattern: &str, text: &'t str, bound: &mut Bindings<'t>) -> bool {
    let Some((plain, name, rest)) = placeholder(pattern) else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(plain) else {
        return false;
    };
    let limit = match name {
        ".." => text.len(),
        _ => text
            .find(|c: char| !(c.is_ascii_alphanumeric() || "_-.:".contains(c)))
            .unwrap_or(text.len()),
    };
    let shortest = usize::from(name != "..");
    // The longest match is tried first, because a placeholder usually extends to the end
    // of a word.
    for end in (shortest..=limit)
        .rev()
        .filter(|end| text.is_char_boundary(*end))
    {
        let (word, after) = text.split_at(end);
        let mut trial = bound.clone();
        if name != ".." && *trial.entry(name.to_owned()).or_insert(word) != word {
            continue;
        }
        if self::text(rest, after, &mut trial) {
            *bound = trial;
            return true;
        }
    }
    false
}

/// Splits `pattern` at its first placeholder: the text before it, its name, the text
/// after it.
fn placeholder(pattern: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + pattern.get(from..)?.find('[')?;
        let close = open + pattern.get(open..)?.find(']')?;
        let name = pattern.get(open + 1..close)?;
        if name == ".." || (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            return Some((pattern.get(..open)?, name, pattern.get(close + 1..)?));
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::compare;

    #[test]
    fn equal_texts_pass_whatever_their_column_widths() {
        compare("NAME  STATE\na  [x] b", "NAME      STATE\na [x]  b\n").unwrap();
    }

    #[test]
    fn a_named_word_must_stay_the_same() {
        compare(
            "start [ID] in [..]\nstop [ID].",
            "start 4f2a in 12 ms\nstop 4f2a.",
        )
        .unwrap();
        let error = compare("start [ID]\nstop [ID]", "start 4f2a\nstop 4f2b")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line 2 differs") && error.contains("printed: stop 4f2b"),
            "{error}"
        );
    }

    #[test]
    fn dots_stand_for_any_number_of_lines() {
        compare("a\n...\nz", "a\nz").unwrap();
        compare("a\n...\nz", "a\nb\nc\nz").unwrap();
        compare("a\n...\nz", "a\nb").unwrap_err();
    }

    #[test]
    fn a_missing_and_an_added_line_are_errors() {
        assert!(
            compare("a\nb", "a")
                .unwrap_err()
                .to_string()
                .contains("(no more lines)")
        );
        compare("a", "a\nb").unwrap_err();
    }
}
