//! Bytes of strangers: no decoder panics, and whatever a decoder takes it gives back byte for byte.

#[path = "hostile/bodies.rs"]
mod bodies;

use std::path::Path;

use avalanche_ids::Id;
use avalanche_node::genesis::NetworkGenesis;
use platformvm::block::{BanffStandard, Block, Common};
use proptest::{collection::vec, prelude::*};

/// A network with one staker.
const NETWORK: &str = r#"{
    "networkID": 7, "startTime": 10, "initialStakeDuration": 90, "initialStakeDurationOffset": 0,
    "allocations": [{
        "ethAddr": "0xb3d82b1367d362de99ab59a658165aff520cbd4d",
        "avaxAddr": "X-local18jma8ppw3nhx5r4ap8clazz0dps7rv5u00z96u",
        "initialAmount": 5, "unlockSchedule": [{ "amount": 3, "locktime": 50 }, { "amount": 4 }]
    }],
    "initialStakedFunds": ["X-local18jma8ppw3nhx5r4ap8clazz0dps7rv5u00z96u"],
    "initialStakers": [{
        "nodeID": "NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg",
        "rewardAddress": "X-local18jma8ppw3nhx5r4ap8clazz0dps7rv5u00z96u", "delegationFee": 20000
    }],
    "cChainGenesis": "{}", "message": "hello"
}"#;

/// A block with that network's first transactions.
fn sample_block() -> Vec<u8> {
    let genesis =
        NetworkGenesis::from_json(NETWORK.as_bytes()).expect("the description is complete").platform;
    let txs = genesis.validators.into_iter().chain(genesis.chains).collect();
    let common = Common { parent_id: Id::hash_of(b"parent"), height: 1 };
    Block::BanffStandard(BanffStandard { time: 11, common, txs }).bytes()
}

/// Name of a fuzz target, and its body.
type Target = (&'static str, fn(&[u8]));

fn feed(bytes: &[u8]) {
    bodies::block(bytes);
    bodies::message(bytes);
    bodies::certificate(bytes);
}

#[test]
fn the_seeds_of_the_fuzz_targets_are_refused_or_given_back() {
    let targets: [Target; 3] =
        [("block", bodies::block), ("message", bodies::message), ("certificate", bodies::certificate)];
    for (name, body) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let seeds: Vec<_> = std::fs::read_dir(folder).expect("the corpus is there").collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            let bytes = std::fs::read(seed.expect("it is listed").path()).expect("it is readable");
            body(&bytes);
            for end in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
                body(&bytes[..end]);
            }
        }
    }
}

#[test]
fn an_undamaged_block_is_given_back() {
    let bytes = sample_block();
    assert!(bytes.len() > 700);
    assert!(Block::parse(&bytes).is_ok_and(|block| block.txs().count() == 3));
    feed(&bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_given_back(bytes in vec(any::<u8>(), 0..512)) {
        feed(&bytes);
        // Behind a version and a type id more of the decoders get to work.
        for kind in 0_u8..43 {
            feed(&[&[0, 0, 0, 0, 0, kind], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn damaged_blocks_are_refused_or_given_back(at in 0_usize..700, byte in any::<u8>(), cut in 0_usize..900) {
        let mut bytes = sample_block();
        if let Some(found) = bytes.get_mut(at) {
            *found = byte;
        }
        feed(&bytes);
        bytes.truncate(cut);
        feed(&bytes);
    }
}
