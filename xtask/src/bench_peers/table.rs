//! The table of results: for a terminal and as Markdown.

use super::figures::{Figures, Row};

const HEADINGS: [&str; 9] = [
    "program",
    "decode MB/s",
    "VM/s",
    "encode MB/s",
    "allocations per VM",
    "per element",
    "times ours",
    "stripped MB",
    "build s",
];

/// Formats the table for a terminal.
pub(super) fn text(figures: &Figures) -> String {
    columns(&HEADINGS, figures.rows.iter().map(cells))
}

/// Formats the table as Markdown.
pub(super) fn markdown(figures: &Figures) -> String {
    pipes(&HEADINGS, figures.rows.iter().map(cells))
}

fn cells(row: &Row) -> [String; 9] {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    [
        row.program.clone(),
        number(row.decode.map(|rate| rate.median), 1),
        number(row.machines, 0),
        number(row.encode, 0),
        number(row.allocations_per_machine, 1),
        number(row.allocations_per_element, 3),
        number(row.times_ours.map(|times| times.median), 2),
        number(row.stripped_bytes.map(|bytes| bytes as f64 / 1e6), 1),
        number(row.build_seconds, 0),
    ]
}

/// Formats cells in columns, the first one left-aligned and the others right-aligned,
/// with a line below the headings.
pub(super) fn columns<const N: usize>(
    headings: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut all = vec![headings.map(str::to_owned)];
    all.extend(rows);
    let mut widths = [0; N];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (line, row) in all.iter().enumerate() {
        let padded: Vec<String> = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(at, (cell, width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
        if line == 0 {
            let total = widths.iter().sum::<usize>() + 2 * (N - 1);
            text.push_str(&"-".repeat(total));
            text.push('\n');
        }
    }
    text
}

/// Formats cells as a Markdown table.
pub(super) fn pipes<const N: usize>(
    headings: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("| {} |\n|", headings.join(" | "));
    for at in 0..N {
        text.push_str(if at == 0 { " --- |" } else { " ---: |" });
    }
    text.push('\n');
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench_peers::figures::Spread;

    fn rows() -> Vec<[String; 2]> {
        vec![
            ["vim25".to_owned(), "270.0".to_owned()],
            ["a longer name".to_owned(), "-".to_owned()],
        ]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            columns(&["program", "MB/s"], rows()),
            "program         MB/s\n\
             --------------------\n\
             vim25          270.0\n\
             a longer name      -\n"
        );
    }

    #[test]
    fn markdown_has_a_line_per_row() {
        assert_eq!(
            pipes(&["program", "MB/s"], rows()),
            "| program | MB/s |\n| --- | ---: |\n| vim25 | 270.0 |\n| a longer name | - |\n"
        );
    }

    #[test]
    fn what_is_not_known_of_a_program_is_a_dash() {
        let row = Row {
            program: "pyvmomi".to_owned(),
            decode: Some(Spread::exact(2.54)),
            stripped_bytes: Some(1_536_968),
            ..Row::default()
        };
        assert_eq!(
            cells(&row),
            ["pyvmomi", "2.5", "-", "-", "-", "-", "-", "1.5", "-"].map(str::to_owned)
        );
    }
}
