//! Two nodes on loopback: one serves the recorded chain, the other finds it over UDP and syncs; restarts and kills.

use serde_json::json;
use shared_vendor::testing::node::TempDir;

use crate::nodes::{TIP, height, import, logged, rpc, start, verb, wait};

fn port_of(p2p: &str) -> &str {
    p2p.rsplit_once('@').map_or(p2p, |(_, address)| address)
}

#[test]
fn a_node_finds_another_over_udp_syncs_from_it_and_answers() {
    let (a, b) = (TempDir::new(), TempDir::new());
    import(a.path());
    let mut server = start(a.path(), &[]);
    let p2p = logged(&mut server, "p2p");
    let mut client = start(b.path(), &["--p2p-bootnodes", port_of(&p2p)]);
    let (ours, theirs) = (logged(&mut client, "rpc"), logged(&mut server, "rpc"));
    wait("the tip", || height(&ours).filter(|height| *height == TIP));
    let latest = json!(["latest", false]);
    assert_eq!(rpc(&ours, "eth_getBlockByNumber", &latest), rpc(&theirs, "eth_getBlockByNumber", &latest));
    assert_eq!(rpc(&ours, "eth_syncing", &json!([])), Some(json!(false)));
    wait("the count of peers", || {
        rpc(&ours, "net_peerCount", &json!([])).filter(|count| *count == json!("0x1"))
    });
    assert_eq!(client.signal("TERM").exit_code(), 0);
    assert_eq!(server.signal("TERM").exit_code(), 0);
    let (code, _, stderr) = verb(b.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn ten_kills_in_the_middle_of_a_sync_lose_nothing() {
    let (a, b) = (TempDir::new(), TempDir::new());
    import(a.path());
    let mut server = start(a.path(), &["--no-p2p-discovery"]);
    let p2p = logged(&mut server, "p2p");
    for round in 0..10 {
        let mut client = start(b.path(), &["--p2p-peers", &p2p, "--no-p2p-discovery"]);
        let rpc = logged(&mut client, "rpc");
        // Killed at once, or after the first chunks, or later: wherever it is.
        if round > 0 {
            let goal = (TIP * round / 10).min(TIP);
            wait("some progress", || height(&rpc).filter(|height| *height >= goal));
        }
        client.kill();
        let (code, stdout, stderr) = verb(b.path(), &["db", "verify"]);
        assert_eq!(code, 0, "round {round}: {stdout}{stderr}");
    }
    let mut client = start(b.path(), &["--p2p-peers", &p2p, "--no-p2p-discovery"]);
    let (ours, theirs) = (logged(&mut client, "rpc"), logged(&mut server, "rpc"));
    wait("the tip", || height(&ours).filter(|height| *height == TIP));
    let latest = json!(["latest", false]);
    assert_eq!(rpc(&ours, "eth_getBlockByNumber", &latest), rpc(&theirs, "eth_getBlockByNumber", &latest));
    assert_eq!(client.signal("TERM").exit_code(), 0);
    let (code, _, stderr) = verb(b.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{stderr}");
}
