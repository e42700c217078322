//! A status document as a person reads it in a terminal: the page of `ops::page` in text.

use serde_json::Value;

use crate::{
    exit::escape,
    ops::page::{bytes, duration},
};

/// Cells of the progress bar.
const BAR: usize = 40;
/// Rows of a table that are shown.
const ROWS: usize = 20;
/// Characters of a cell that are shown.
const CELL: usize = 48;

/// The document as lines of text, without colours and without cursor movements.
pub(super) fn view(status: &Value) -> String {
    let text = |name: &str| status.get(name).and_then(Value::as_str).map(escape).unwrap_or_default();
    let number = |name: &str| status.get(name).and_then(Value::as_u64);
    let real = |name: &str| status.get(name).and_then(Value::as_f64);
    let mut lines =
        vec![format!("{} {} on {}: {}", text("daemon"), text("version"), text("network"), text("sentence"))];
    if let Some(percent) = real("percent").filter(|_| text("phase") == "syncing") {
        lines.push(bar(percent));
    }
    let figures = [
        ("height", number("height").map(|height| height.to_string())),
        ("target", number("target").map(|target| target.to_string())),
        ("rate", real("rate").map(|rate| format!("{rate:.0} {}/s", text("unit")))),
        ("time left", number("eta_seconds").map(duration)),
        ("tip", Some(text("tip")).filter(|tip| !tip.is_empty())),
        ("age of the tip", number("tip_age_seconds").map(duration)),
        ("peers in / out", number("peers_in").zip(number("peers_out")).map(|(a, b)| format!("{a} / {b}"))),
        ("disk used", number("disk_used_bytes").map(bytes)),
        ("disk free", number("disk_free_bytes").map(bytes)),
        ("memory", number("memory_bytes").map(bytes)),
        ("running for", number("uptime_seconds").map(duration)),
    ];
    lines.extend(figures.into_iter().filter_map(|(name, value)| Some(format!("  {name:<15} {}", value?))));
    for warning in list(status, "warnings") {
        let part = |name: &str| warning.get(name).and_then(Value::as_str).map(escape).unwrap_or_default();
        lines.push(format!("warning: {}\n    do:  {}", part("what"), part("advice")));
    }
    for section in list(status, "sections") {
        lines.push(section.get("title").and_then(Value::as_str).map(escape).unwrap_or_default());
        lines.extend(table(section));
    }
    lines.join("\n") + "\n"
}

/// `[####....]  41.2 %`.
fn bar(percent: f64) -> String {
    // A share of the bar: 0 to BAR.
    let done = (percent.clamp(0.0, 100.0) / 100.0 * BAR as f64) as usize;
    format!("  [{}{}] {percent:5.1} %", "#".repeat(done), ".".repeat(BAR - done))
}

/// Rows in columns as wide as their widest cell.
fn table(section: &Value) -> Vec<String> {
    let head = list(section, "columns");
    let rows = list(section, "rows").iter().filter_map(Value::as_array).map(Vec::as_slice);
    let cells: Vec<Vec<String>> = Some(head)
        .filter(|head| !head.is_empty())
        .into_iter()
        .chain(rows)
        .take(ROWS)
        .map(|row| row.iter().map(|cell| cut(&escape(cell.as_str().unwrap_or_default()))).collect())
        .collect();
    let width = |column: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let padded: Vec<String> =
            row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at))).collect();
        format!("  {}", padded.join("  ").trim_end())
    };
    if cells.is_empty() { vec!["  none".to_owned()] } else { cells.iter().map(line).collect() }
}

fn cut(cell: &str) -> String {
    match cell.char_indices().nth(CELL) {
        Some((at, _)) => format!("{}\u{2026}", &cell[..at]),
        None => cell.to_owned(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_syncs_shows_a_bar_its_figures_and_tables_in_columns() {
        let text = view(&json!({
            "daemon": "sample", "version": "1.0", "network": "main", "sentence": "Syncing blocks", "phase": "syncing",
            "unit": "blocks", "height": 5, "target": 10, "percent": 50.0, "rate": 2.4, "eta_seconds": 120, "peers_in": 1,
            "peers_out": 2, "warnings": [{ "what": "no \u{1b}[31m peers", "advice": "check" }],
            "sections": [{ "title": "Peers", "columns": ["address", "ms"], "rows": [["127.0.0.1:1", "7"], ["::1", "12"]] }],
        }));
        assert!(text.starts_with("sample 1.0 on main: Syncing blocks\n"), "{text}");
        assert!(text.contains(&format!("[{}{}]  50.0 %", "#".repeat(20), ".".repeat(20))), "{text}");
        assert!(text.contains("time left       2 min"), "{text}");
        assert!(text.contains("  address      ms\n  127.0.0.1:1  7\n  ::1          12\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn long_cells_are_cut_and_absent_values_are_left_out() {
        let text = view(&json!({ "sections": [{ "title": "T", "rows": [["x".repeat(100)]] }] }));
        assert!(text.contains(&format!("{}\u{2026}", "x".repeat(CELL))), "{text}");
        assert!(!text.contains("height"), "{text}");
    }
}
