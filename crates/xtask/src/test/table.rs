//! Tables, for terminals and in markdown.

use std::fmt::Write as _;

/// Side on which the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a title.
#[derive(Debug)]
pub struct Table {
    title: String,
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Table without rows.
    pub fn new(title: impl Into<String>, columns: &[(&'static str, Align)]) -> Self {
        Self {
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Formats for a terminal; columns are as wide as their widest cell.
    pub fn plain(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        let header: Vec<String> = self.columns.iter().map(|(n, _)| (*n).to_owned()).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells = row.iter().zip(&self.columns).enumerate();
            let line: Vec<String> = cells
                .map(|(at, (cell, (name, align)))| pad(cell, *align, self.width(at, name)))
                .collect();
            let _ = writeln!(text, "  {}", line.join("  ").trim_end());
        }
        text
    }

    /// Formats as markdown.
    pub fn markdown(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let aligns = self.columns.iter().map(|(_, align)| match align {
            Align::Left => "---",
            Align::Right => "---:",
        });
        let aligns: Vec<&str> = aligns.collect();
        let mut text = format!("## {}\n\n", self.title);
        let _ = writeln!(text, "| {} |", names.join(" | "));
        let _ = writeln!(text, "| {} |", aligns.join(" | "));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }

    fn width(&self, column: usize, name: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.chars().count());
        widths.chain([name.chars().count()]).max().unwrap_or(0)
    }
}

fn pad(cell: &str, align: Align, width: usize) -> String {
    match align {
        Align::Left => format!("{cell:<width$}"),
        Align::Right => format!("{cell:>width$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Times", &[("s", Align::Right), ("name", Align::Left)]);
        table.row(["1.5".to_owned(), "a".to_owned()]);
        table.row(["10.0".to_owned(), "longer name".to_owned()]);
        table
    }

    #[test]
    fn numbers_are_aligned_on_the_right() {
        let expected = "\nTimes\n     s  name\n   1.5  a\n  10.0  longer name\n";
        assert_eq!(table().plain(), expected);
    }

    #[test]
    fn markdown_has_the_same_cells() {
        let expected =
            "## Times\n\n| s | name |\n| ---: | --- |\n| 1.5 | a |\n| 10.0 | longer name |\n";
        assert_eq!(table().markdown(), expected);
    }
}
