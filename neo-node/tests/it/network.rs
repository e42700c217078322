//! Two nodes on loopback: one makes blocks, the other finds it, follows, and has the same state; kills and restarts.

use serde_json::{Value, json};
use shared_vendor::testing::{
    node::TempDir,
    socket::{Received, Socket},
};

use crate::nodes::{call, follower, height, reach, result, validator, wait};

#[test]
fn a_node_follows_another_and_has_the_same_blocks_and_state_roots() {
    let (a, b) = (TempDir::new(), TempDir::new());
    let mut maker = validator(a.path(), &[]);
    let (p2p, theirs) = (maker.address("p2p").to_string(), maker.address("rpc"));
    reach(theirs, 5);
    let mut node = follower(b.path(), &["--p2p-seeds", &p2p]);
    let ours = node.address("rpc");
    reach(ours, 12);
    for index in 0..=12 {
        for method in ["getblock", "getstateroot"] {
            assert_eq!(
                result(ours, method, &json!([index])),
                result(theirs, method, &json!([index])),
                "{method} {index}"
            );
        }
    }
    wait("the count of peers", || (result(ours, "getconnectioncount", &json!([])) == 1).then_some(()));
    let transfer = json!([{"type": "Integer", "value": 3}]);
    let answer = result(ours, "invokefunction", &json!(["StdLib", "itoa", transfer]));
    assert_eq!((&answer["state"], &answer["stack"][0]["value"]), (&json!("HALT"), &json!("Mw==")));
    let unknown = call(ours, "getblock", &json!([1_000_000])).unwrap();
    assert_eq!(
        (&unknown["error"]["code"], &unknown["error"]["message"]),
        (&json!(-109), &json!("Unknown height"))
    );
    assert_eq!(node.signal("TERM").exit_code(), 0);
    assert_eq!(maker.signal("TERM").exit_code(), 0);
}

#[test]
fn a_killed_follower_goes_on_where_it_was() {
    let (a, b) = (TempDir::new(), TempDir::new());
    let maker = validator(a.path(), &[]);
    let p2p = maker.address("p2p").to_string();
    let mut last = 0;
    for _ in 0..3 {
        let mut node = follower(b.path(), &["--p2p-seeds", &p2p]);
        let rpc = node.address("rpc");
        let before = height(rpc);
        assert!(before >= last, "{before} after {last}");
        reach(rpc, before + 3);
        last = height(rpc);
        node.kill();
    }
    let node = follower(b.path(), &["--p2p-seeds", &p2p]);
    let (ours, theirs) = (node.address("rpc"), maker.address("rpc"));
    for index in 0..=last {
        assert_eq!(
            result(ours, "getstateroot", &json!([index])),
            result(theirs, "getstateroot", &json!([index]))
        );
    }
}

#[test]
fn a_validator_that_is_killed_makes_blocks_again() {
    let dir = TempDir::new();
    let mut maker = validator(dir.path(), &[]);
    reach(maker.address("rpc"), 3);
    let before = height(maker.address("rpc"));
    maker.kill();
    let maker = validator(dir.path(), &[]);
    reach(maker.address("rpc"), before + 3);
}

#[test]
fn clients_hear_of_blocks_over_a_socket_until_they_have_heard_enough() {
    let dir = TempDir::new();
    let maker = validator(dir.path(), &[]);
    let mut socket = Socket::connect(maker.address("rpc"), "/ws").unwrap();
    let receive = |socket: &mut Socket| match socket.receive().unwrap() {
        Received::Json(value) => value,
        other => panic!("{other:?}"),
    };
    socket
        .send(r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":["header_of_added_block"]}"#)
        .unwrap();
    assert_eq!(receive(&mut socket), json!({"jsonrpc": "2.0", "id": 1, "result": "0"}));
    let mut previous: Option<Value> = None;
    for _ in 0..3 {
        let event = receive(&mut socket);
        assert_eq!(event["method"], "header_of_added_block");
        let header = event["params"][0].clone();
        if let Some(previous) = previous {
            assert_eq!(header["previousblockhash"], previous["hash"]);
        }
        previous = Some(header);
    }
    socket.send(r#"{"jsonrpc":"2.0","id":2,"method":"unsubscribe","params":["0"]}"#).unwrap();
    let answer = loop {
        let value = receive(&mut socket);
        if value["id"] == 2 {
            break value;
        }
    };
    assert_eq!(answer["result"], true);
}
