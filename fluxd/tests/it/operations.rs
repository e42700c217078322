//! The operations server: every metric that the dashboard and the alerts use exists.

use std::collections::BTreeSet;

use shared_vendor::testing::node::TempDir;

use crate::nodes::{logged, start, wait};

fn metric_names(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !part(c))
        .filter(|word| word.starts_with("fluxd_") || word.starts_with("process_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &[]);
    let address = logged(&mut node, "ops");
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    let used: BTreeSet<String> = used.iter().flat_map(|text| metric_names(text)).collect();
    // Some are sampled by a timer, so they are there a moment after the node is ready.
    wait("every metric that is used", || {
        let scraped =
            ureq::get(format!("http://{address}/metrics")).call().ok()?.body_mut().read_to_string().ok()?;
        let exported: BTreeSet<String> = scraped
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
            .collect();
        used.is_subset(&exported).then_some(())
    });
    assert_eq!(node.signal("TERM").exit_code(), 0);
}
