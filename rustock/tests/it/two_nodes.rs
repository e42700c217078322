//! Two nodes on loopback: one serves the recorded chain, the other finds it over UDP and syncs; restarts and kills.

use serde_json::{Value, json};
use shared_vendor::testing::{
    node::TempDir,
    socket::{Received, Socket},
};

use crate::nodes::{TIP, height, import, logged, narrow_line, rpc, start, stored, verb, wait};

/// Bytes: all that goes before the first 192 headers, and some of these.
const PART_OF_A_CHUNK: usize = 30_000;
/// Bytes: all that goes before, one such chunk of the seven, and most of another.
const A_CHUNK: usize = 200_000;

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
    // This and the count of peers come from a sample a second.
    wait("the end of syncing", || {
        rpc(&ours, "eth_syncing", &json!([])).filter(|syncing| *syncing == json!(false))
    });
    wait("the count of peers", || {
        rpc(&ours, "net_peerCount", &json!([])).filter(|count| *count == json!("0x1"))
    });
    assert_eq!(client.signal("TERM").exit_code(), 0);
    assert_eq!(server.signal("TERM").exit_code(), 0);
    let (code, _, stderr) = verb(b.path(), &["db", "verify"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn clients_are_told_new_blocks_over_a_socket_and_by_filters() {
    let (a, b) = (TempDir::new(), TempDir::new());
    import(a.path());
    let mut client = start(b.path(), &["--rpc-ws-addr", "127.0.0.1:0", "--no-p2p-discovery"]);
    let (p2p, http, ws) = (logged(&mut client, "p2p"), logged(&mut client, "rpc"), logged(&mut client, "ws"));
    let filter = rpc(&http, "eth_newBlockFilter", &json!([])).unwrap();
    let mut sockets = [(&http, "/websocket"), (&ws, "/")]
        .map(|(address, path)| Socket::connect(address.parse().unwrap(), path).unwrap());
    for socket in &mut sockets {
        socket.send(r#"{"jsonrpc":"2.0","id":5,"method":"eth_subscribe","params":["newHeads"]}"#).unwrap();
        let id = json!("0x00000000000000000000000000000000");
        let answer = json!({ "jsonrpc": "2.0", "id": 5, "result": id });
        assert_eq!(socket.receive().unwrap(), Received::Json(answer));
    }
    let mut server = start(a.path(), &["--p2p-peers", &p2p, "--no-p2p-discovery"]);
    for socket in &mut sockets {
        let mut last: Option<Value> = None;
        while last.as_ref().is_none_or(|head| head["number"] != json!("0x513")) {
            let Received::Json(told) = socket.receive().unwrap() else { panic!("closed after {last:?}") };
            let head = told["params"]["result"].clone();
            let number =
                |head: &Value| u64::from_str_radix(&head["number"].as_str().unwrap()[2..], 16).unwrap();
            if let Some(last) = last.replace(head.clone()) {
                // Of more than 256 new blocks at once only the newest are told.
                assert!(number(&head) > number(&last), "{head} after {last}");
                assert!(number(&head) > number(&last) + 1 || head["parentHash"] == last["hash"]);
            }
        }
        let block = rpc(&http, "eth_getBlockByNumber", &json!(["0x513", false])).unwrap();
        let last = last.unwrap();
        let told = last.as_object().unwrap().iter().filter(|(key, _)| *key != "baseEvent");
        told.for_each(|(key, value)| assert_eq!(*value, block[key], "{key}"));
    }
    let changes = rpc(&http, "eth_getFilterChanges", &json!([filter])).unwrap();
    let latest = rpc(&http, "eth_getBlockByNumber", &json!(["latest", false])).unwrap();
    assert_eq!((changes.as_array().unwrap().len(), &changes[255]), (256, &latest["hash"]));
    assert_eq!(rpc(&http, "eth_getFilterChanges", &json!([filter])), Some(json!([])));
    assert_eq!(rpc(&http, "eth_uninstallFilter", &json!([filter])), Some(json!(true)));
    assert_eq!(rpc(&http, "eth_uninstallFilter", &json!([filter])), Some(json!(false)));
    assert_eq!(client.signal("TERM").exit_code(), 0);
    assert_eq!(server.signal("TERM").exit_code(), 0);
}

#[test]
fn ten_kills_in_the_middle_of_a_sync_lose_nothing() {
    let (a, b) = (TempDir::new(), TempDir::new());
    import(a.path());
    let mut server = start(a.path(), &["--no-p2p-discovery"]);
    let p2p = logged(&mut server, "p2p");
    let (id, address) = p2p.rsplit_once('@').unwrap();
    let (mut reached, mut in_the_middle) = (0, 0);
    for round in 0..10 {
        // A chunk of 192 headers takes about half a second through the narrow line; in every other round none passes. In
        // the others no more than two do, however late the kill is, until the last ones bring the rest.
        let most = if round % 2 == 0 {
            PART_OF_A_CHUNK
        } else if round < 4 {
            A_CHUNK
        } else {
            usize::MAX
        };
        let narrow = format!("{id}@{}", narrow_line(address.parse().unwrap(), most));
        let mut client = start(b.path(), &["--p2p-peers", &narrow, "--no-p2p-discovery"]);
        let rpc = logged(&mut client, "rpc");
        if round % 2 == 1 {
            // Just after a chunk was stored; the other rounds are killed while one is on its way.
            wait("the next chunk", || height(&rpc).filter(|height| *height > reached || *height == TIP));
        }
        client.kill();
        let (code, stdout, stderr) = verb(b.path(), &["db", "verify"]);
        assert_eq!(code, 0, "round {round}: {stdout}{stderr}");
        let stored = stored(b.path()).0;
        assert!(stored >= reached, "round {round}: {stored} headers are left of {reached}");
        in_the_middle += u32::from(stored < TIP);
        reached = stored;
    }
    assert!(in_the_middle >= 3 && reached > 0, "{in_the_middle} kills before the tip, the last at {reached}");
    let mut client = start(b.path(), &["--p2p-peers", &p2p, "--no-p2p-discovery"]);
    let (ours, theirs) = (logged(&mut client, "rpc"), logged(&mut server, "rpc"));
    wait("the tip", || height(&ours).filter(|height| *height == TIP));
    let latest = json!(["latest", false]);
    assert_eq!(rpc(&ours, "eth_getBlockByNumber", &latest), rpc(&theirs, "eth_getBlockByNumber", &latest));
    assert_eq!(client.signal("TERM").exit_code(), 0);
    let (code, _, stderr) = verb(b.path(), &["db", "verify", "--deep"]);
    assert_eq!(code, 0, "{stderr}");
}
