//! The status page: one HTML document without script or external request.

use std::fmt::{Display, Write};

use super::status::{Phase, Status};

/// Nothing may be loaded; the page's own style is inline.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--fill:#1f6feb;--ok:#1a7f37;--warn:#9a6700;--paper:#fff;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--fill:#4493f8;--ok:#3fb950;--warn:#d29922;--paper:#0d1117;--card:#151b23}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem}header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.75rem 0 .5rem}header p,small{color:var(--soft);margin:0}
.state{font-size:1.2rem;margin:1rem 0 .5rem}.state b{color:var(--fill)}.synced b{color:var(--ok)}
progress{width:100%;height:.75rem;accent-color:var(--fill)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:.75rem;margin:1rem 0}
dl div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem;min-width:0}
dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.95rem}th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
td:first-child,th{overflow-wrap:normal}th{color:var(--soft);font-weight:500}.scroll{overflow-x:auto}
.warning{border-left:.25rem solid var(--warn);background:var(--card);padding:.5rem .8rem;margin:.5rem 0}
svg{display:block;width:100%;height:3rem}polyline{fill:none;stroke:var(--fill);stroke-width:2;vector-effect:non-scaling-stroke}";

/// Renders the page. `history` holds heights of the last hour, oldest first.
pub(super) fn render(status: &Status, history: &[u64]) -> String {
    let mut out = String::with_capacity(8 * 1024);
    // Writing to a String cannot fail.
    let _ = document(&mut out, status, history);
    out
}

fn document(out: &mut String, status: &Status, history: &[u64]) -> std::fmt::Result {
    let (daemon, network) = (status.daemon, Text(&status.network));
    write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{daemon} {network}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta http-equiv=\"refresh\" content=\"10\">\
         <style>{STYLE}</style></head><body><main><header><h1>{daemon}</h1><p>{network}</p><p>version {}</p></header>",
        Text(&status.version)
    )?;
    let synced = if status.phase == Phase::Synced { " synced" } else { "" };
    write!(out, "<p class=\"state{synced}\"><b>\u{25cf}</b> {}</p>", Text(&status.sentence))?;
    if let Some(percent) = status.percent.filter(|_| status.phase == Phase::Syncing) {
        write!(
            out,
            "<progress max=\"100\" value=\"{percent:.1}\" aria-label=\"synchronised\">{percent:.1} %</progress>"
        )?;
    }
    for warning in &status.warnings {
        write!(
            out,
            "<p class=\"warning\" role=\"status\">{}<br><small>{}</small></p>",
            Text(&warning.what),
            Text(&warning.advice)
        )?;
    }
    numbers(out, status)?;
    if let Some(points) = sparkline(history) {
        write!(
            out,
            "<h2>Last hour</h2><svg viewBox=\"0 0 59 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"height, once a minute\">\
             <polyline points=\"{points}\"/></svg>"
        )?;
    }
    for section in &status.sections {
        table(out, &section.title, &section.columns, &section.rows)?;
    }
    let addresses: Vec<Vec<String>> =
        status.addresses.iter().map(|(name, address)| vec![(*name).to_owned(), address.clone()]).collect();
    table(out, "Addresses", &[], &addresses)?;
    write!(
        out,
        "<p><small>Data in {}. The same as <a href=\"/status.json\">JSON</a>; <a href=\"/metrics\">metrics</a>, \
         <a href=\"/healthz\">health</a>, <a href=\"/openrpc.json\">RPC methods</a>.</small></p></main></body></html>",
        Text(&status.data_dir)
    )
}

fn numbers(out: &mut String, status: &Status) -> std::fmt::Result {
    out.push_str("<dl>");
    let mut cell = |name: &str, value: Option<String>| match value {
        Some(value) => write!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(&value)),
        None => Ok(()),
    };
    cell("Height", Some(status.height.to_string()))?;
    cell("Target", status.target.map(|target| target.to_string()))?;
    cell("Rate", status.rate.map(|rate| format!("{rate:.0} {}/s", status.unit)))?;
    cell("Time left", status.eta_seconds.map(duration))?;
    cell("Age of the tip", status.tip_age_seconds.map(duration))?;
    cell("Peers in / out", Some(format!("{} / {}", status.peers_in, status.peers_out)))?;
    cell("Disk used", status.disk_used_bytes.map(bytes))?;
    cell("Disk free", status.disk_free_bytes.map(bytes))?;
    cell("Memory", status.memory_bytes.map(bytes))?;
    cell("Running for", Some(duration(status.uptime_seconds)))?;
    out.push_str("</dl>");
    Ok(())
}

fn table(out: &mut String, title: &str, columns: &[String], rows: &[Vec<String>]) -> std::fmt::Result {
    write!(out, "<h2>{}</h2><div class=\"scroll\" tabindex=\"0\"><table>", Text(title))?;
    if !columns.is_empty() {
        out.push_str("<tr>");
        for column in columns {
            write!(out, "<th scope=\"col\">{}</th>", Text(column))?;
        }
        out.push_str("</tr>");
    }
    if rows.is_empty() {
        out.push_str("<tr><td>none</td></tr>");
    }
    for row in rows.iter().take(50) {
        out.push_str("<tr>");
        for cell in row {
            write!(out, "<td>{}</td>", Text(cell))?;
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
    Ok(())
}

/// Points in a box of 59 by 20, or nothing while there are fewer than two.
fn sparkline(history: &[u64]) -> Option<String> {
    let (low, high) = (history.iter().min()?, history.iter().max()?);
    let span = high.saturating_sub(*low).max(1);
    let point = |(at, height): (usize, &u64)| {
        format!("{at},{}", 19 - height.saturating_sub(*low).saturating_mul(18) / span)
    };
    (history.len() > 1).then(|| history.iter().enumerate().map(point).collect::<Vec<_>>().join(" "))
}

/// Seconds in the largest two units.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A size in binary units.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut rest, mut unit) = (count, 0, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (whole, rest, unit) = (whole / 1024, whole % 1024, unit + 1);
    }
    let tenth = rest * 10 / 1024;
    if unit == 0 { format!("{whole} B") } else { format!("{whole}.{tenth} {}", UNITS[unit]) }
}

/// Text between tags or in a quoted attribute: markup and control characters are escaped.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3661), "1 h 1 min");
        assert_eq!(duration(90_000), "1 d 1 h");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn a_flat_hour_is_a_flat_line() {
        assert_eq!(sparkline(&[5]), None);
        assert_eq!(sparkline(&[5, 5]).unwrap(), "0,19 1,19");
        assert_eq!(sparkline(&[0, 10, 20]).unwrap(), "0,19 1,10 2,1");
    }
}
