//! The operations server: every metric that the dashboard and the alerts use exists.

use std::collections::BTreeSet;

use shared_vendor::testing::node::TempDir;

use crate::nodes::{logged, rpc, start};

fn metric_names(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !part(c))
        .filter(|word| word.starts_with("rustock_") || word.starts_with("process_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    let (address, rpc_address) = (logged(&mut node, "ops"), logged(&mut node, "rpc"));
    assert_eq!(rpc(&rpc_address, "net_version", &serde_json::json!([])), Some("33".into()));
    let scraped =
        ureq::get(format!("http://{address}/metrics")).call().unwrap().body_mut().read_to_string().unwrap();
    let exported: BTreeSet<String> = scraped
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    let missing: Vec<_> =
        used.iter().flat_map(|text| metric_names(text)).filter(|name| !exported.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {exported:?}");
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn the_parity_table_lists_every_method_that_is_served() {
    let readme = include_str!("../../README.md");
    let table = readme.split("| RPC method |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let listed: BTreeSet<&str> =
        table.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
    let methods = rustock::rpc::methods();
    let served: BTreeSet<&str> = methods.names().collect();
    assert_eq!(
        listed.difference(&served).copied().filter(|name| *name != "two_nodes").collect::<Vec<_>>(),
        [""; 0]
    );
    assert_eq!(served.difference(&listed).collect::<Vec<_>>(), [&""; 0]);
}
