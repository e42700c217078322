//! Bytes of strangers: no decoder panics, and whatever a decoder takes it gives back byte for byte.

use avalanche_codec::{Wire, marshal, unmarshal};
use avalanche_crypto::staking::Certificate;
use avalanche_ids::Id;
use avalanche_net::{frame, message};
use avalanche_node::genesis::NetworkGenesis;
use avalanche_utils::bloom::Filter;
use platformvm::{
    block::{BanffStandard, Block, Common},
    genesis::Genesis,
    txs::Tx,
    warp,
};
use proposervm::block::ParsedBlock;
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

fn gives_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = unmarshal::<T>(bytes) {
        assert_eq!(marshal(&value), bytes);
    }
}

fn feed(bytes: &[u8]) {
    gives_back::<Block>(bytes);
    gives_back::<Tx>(bytes);
    gives_back::<Genesis>(bytes);
    gives_back::<avm::block::Block>(bytes);
    gives_back::<avm::txs::Tx>(bytes);
    gives_back::<avm::genesis::Genesis>(bytes);
    gives_back::<warp::Payload>(bytes);
    gives_back::<warp::PChainMessage>(bytes);
    if let Ok(message) = warp::Message::parse(bytes) {
        assert_eq!(message.bytes(), bytes);
    }
    if let Ok(vertex) = avm::vertex::Vertex::parse(bytes) {
        assert_eq!(vertex.bytes(), bytes);
    }
    if let Ok(wrapper) = ParsedBlock::parse_without_verification(bytes) {
        assert_eq!(wrapper.block().bytes(), bytes);
    }
    if let Ok(filter) = Filter::parse(bytes) {
        assert_eq!(filter.to_bytes(), bytes);
    }
    let _ = Certificate::parse(bytes);
    let _ = frame::split(bytes);
    if let Ok(body) = message::decode(bytes) {
        assert_eq!(message::decode(&message::encode(body.clone())).ok(), Some(body));
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
