//! A follower that is killed at any moment while it bootstraps from a validator and follows it: it resumes, and has the
//! validator's blocks. `KILLS` sets how often it is killed.

use std::{io::Write as _, path::Path, time::Duration};

use serde_json::Value;
use shared_vendor::testing::node::{TempDir, TestNode};

use crate::{daemon, source};

/// Blocks that are there before anybody is started.
const BLOCKS: u64 = 2_000;

fn validator(dir: &Path) -> TestNode {
    let file = |name: &str| dir.join("net").join(name).display().to_string();
    let args = [
        "--network-id=99999".to_owned(),
        format!("--genesis-file={}", file("genesis.json")),
        format!("--staking-tls-cert-file={}", file("1/staker.crt")),
        format!("--staking-tls-key-file={}", file("1/staker.key")),
        format!("--staking-signer-key-file={}", file("1/signer.key")),
        "--snow-sample-size=1".to_owned(),
        "--snow-quorum-size=1".to_owned(),
        "--local-transfers=1s".to_owned(),
        "--proposervm-min-block-delay=0s".to_owned(),
    ];
    let mut node =
        TestNode::start(daemon::BINARY, &dir.join("validator"), &args.each_ref().map(String::as_str));
    node.ready();
    node
}

fn follower(dir: &Path, validator: &TestNode) -> TestNode {
    let id = std::fs::read_to_string(dir.join("net/1/id")).unwrap();
    let args = [
        "--network-id=99999".to_owned(),
        format!("--genesis-file={}", dir.join("net/genesis.json").display()),
        format!("--bootstrap-ids={}", id.trim()),
        format!("--bootstrap-ips={}", validator.address("p2p")),
        "--snow-sample-size=1".to_owned(),
        "--snow-quorum-size=1".to_owned(),
    ];
    TestNode::start(daemon::BINARY, &dir.join("follower"), &args.each_ref().map(String::as_str))
}

fn address(node: &TestNode) -> String {
    node.address("rpc").to_string()
}

/// The follower has the validator's blocks, at heights all over its chain.
fn assert_same_blocks(kill: u64, ours: &TestNode, theirs: &TestNode) -> u64 {
    let (ours, theirs) = (address(ours), address(theirs));
    let height = daemon::height(&ours).unwrap();
    for at in [height, height.saturating_sub(1), height / 2, height / 3, 1 + kill % height.max(1)] {
        let at = at.min(height);
        let (own, expected): (Value, Value) = (daemon::block(&ours, at), daemon::block(&theirs, at));
        assert!(own.is_string() && own == expected, "kill {kill}: another block at height {at}");
    }
    height
}

#[test]
fn a_follower_that_is_killed_while_it_bootstraps_and_follows_resumes_and_never_forks() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let dir = TempDir::new();
    daemon::make(dir.path());
    source::write(&dir.path().join("validator/custom/db"), &dir.path().join("net"), BLOCKS);
    let validator = validator(dir.path());
    let (mut bootstrapping, mut following, mut height) = (0, 0, 0);
    for kill in 0..kills {
        let mut node = follower(dir.path(), &validator);
        if kill % 3 == 2 {
            node.ready();
            let now = assert_same_blocks(kill, &node, &validator);
            assert!(now >= height, "kill {kill}: height {now} after {height}");
            height = now;
        }
        std::thread::sleep(Duration::from_millis(20 + kill * 131 % 900));
        node.kill();
        if node.log().contains("chain=P") && node.log().contains("consensus begins") {
            following += 1;
            // Now and then all begins anew.
            if following % 4 == 0 {
                std::fs::remove_dir_all(dir.path().join("follower")).unwrap();
                height = 0;
            }
        } else {
            bootstrapping += 1;
        }
    }
    let mut node = follower(dir.path(), &validator);
    node.wait_for("consensus begins");
    let last = assert_same_blocks(kills, &node, &validator);
    daemon::wait_for_height(&address(&node), last + 1);
    assert!(last >= BLOCKS);
    for at in 0..=last {
        let (own, expected) = (daemon::block(&address(&node), at), daemon::block(&address(&validator), at));
        assert_eq!(own, expected, "another block at height {at}");
    }
    let counts =
        format!("killed {bootstrapping} times while bootstrapping, {following} times in consensus\n");
    std::io::stderr().write_all(counts.as_bytes()).unwrap();
}
