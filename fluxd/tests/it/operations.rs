//! The operations server: every metric that the dashboard and the alerts use exists.

use shared_vendor::testing::{metrics, node::TempDir};

use crate::nodes::{logged, start};

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &[]);
    let address = logged(&mut node, "ops");
    let used = [include_str!("../../ops/grafana.json"), include_str!("../../ops/alerts.yml")];
    metrics::assert_exported(address, "fluxd_", &used);
    assert_eq!(node.signal("TERM").exit_code(), 0);
}
