//! Seeds are the encodings of the values below; `FUZZ_SEEDS=1` writes them anew when a layout changes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    consensus::{chain::Chain, finality::SignerSet},
    network::request::BlockChunk,
    state::{
        app::keys,
        tree::{Child, Leaf, WIDTH},
        verifier::BatchVerifier,
    },
    storage::{Database as _, MemoryDatabase},
    types::{
        operation::{BlockHeader, SignedHeader},
        primitives::{Address, Bitlist, List},
        transaction::{Action, Auth, TxBody},
    },
};

fn tx(action: Action) -> Tx {
    let body = TxBody { chain_id: 1, nonce: 2, valid_until: 3, gas_limit: 4, max_fee: 5, tip: 1, action };
    Tx { auth: Auth::Single { pubkey: [1; 32], signature: [2; 64] }, body }
}

fn transfer() -> Tx {
    tx(Action::Transfer { to: Address([3; 32]), amount: 4 })
}

fn several() -> Tx {
    let to_two = List::new(vec![(Address([3; 32]), 4), (Address([5; 32]), 6)]).expect("in bounds");
    let auth = Auth::Multi {
        k: 1,
        keys: List::new(vec![[1; 32], [2; 32]]).expect("in bounds"),
        signatures: List::new(vec![(1, [3; 64])]).expect("in bounds"),
    };
    Tx { auth, ..tx(Action::MultiTransfer { transfers: to_two }) }
}

fn signed_block() -> SignedBlock {
    let ids = List::new(vec![transfer().id(), several().id()]).expect("in bounds");
    let body = Body { tx_ids: ids, ..Body::default() };
    let header = BlockHeader { slot: 9, body_root: Root(body.tree_root()), ..BlockHeader::default() };
    SignedBlock { header: SignedHeader { header, ..SignedHeader::default() }, body }
}

fn genesis_text() -> String {
    let plan = genesis::Devnet { validators: 1, slot_ms: 1000, genesis_time: 9, chain_id: 1, accounts: 2 };
    genesis::devnet(plan).expect("keys exist")
}

fn chosen(choice: usize, bytes: Vec<u8>) -> Vec<u8> {
    [vec![u8::try_from(choice).expect("few")], bytes].concat()
}

/// By target and name.
fn seeds() -> BTreeMap<(&'static str, String), Vec<u8>> {
    let mut seeds = BTreeMap::new();
    for (at, topic) in Topic::ALL.into_iter().enumerate() {
        let bytes = match topic {
            Topic::Block => encode(&signed_block()),
            Topic::Tx => encode(&List::<Tx, 1024>::new(vec![transfer(), several()]).expect("in bounds")),
            _ => vec![
                0;
                (1..4096).find(|len| Gossip::decode(topic, &vec![0; *len]).is_ok()).expect("a length")
            ],
        };
        seeds.insert(("gossip", topic.name().to_owned()), chosen(at, bytes));
    }
    let roots = List::new(vec![Root([7; 32])]).expect("in bounds");
    let requests = [
        Request::Status(Box::default()),
        Request::BlocksByRange { start_slot: 1, count: 64, with_txs: true },
        Request::BlocksByRoot(roots),
        Request::StateChunk { app_root: Root([1; 32]), start: Root([2; 32]), max_bytes: 1 << 20 },
    ];
    let place = |of: Protocol| Protocol::ALL.into_iter().position(|protocol| protocol == of).expect("listed");
    for request in requests {
        let protocol = request.protocol();
        seeds.insert(
            ("request", format!("ask_{}", protocol.name())),
            chosen(place(protocol), request.encode()),
        );
    }
    let chunk = BlockChunk { block: signed_block(), txs: List::new(vec![transfer(), several()]) };
    let start = genesis::parse(&genesis_text()).expect("valid").build().expect("valid");
    let config = Arc::new(genesis::parse(&genesis_text()).expect("valid").config);
    let verifier = Arc::new(BatchVerifier::new([0; 32]));
    let chain = Chain::create(config, start.clone(), MemoryDatabase::default(), verifier).expect("works");
    let snapshot = chain.db().snapshot().expect("works");
    let piece = StatePiece::read(&snapshot, &[0; 32], 100).expect("works");
    let answers = [
        (Protocol::Status, Answer::Status(Box::default())),
        (Protocol::BlocksByRange, Answer::Blocks(vec![chunk])),
        (Protocol::TxsById, Answer::Txs(vec![transfer()])),
        (Protocol::StateManifest, Answer::Manifest(Box::default())),
        (Protocol::StateChunk, Answer::StateChunk(Box::new(piece.clone()))),
        (Protocol::FinalityCerts, Answer::FinalityCerts(vec![vec![1, 2], vec![3]])),
    ];
    for (protocol, answer) in answers {
        let name = format!("answer_{}", protocol.name());
        seeds.insert(("request", name), chosen(place(protocol), answer.encode()));
    }
    let receipt = Receipt {
        tx_id: transfer().id(),
        status: 0,
        gas_used: 1,
        fee_paid: 2,
        return_data: List::empty(),
        events: List::empty(),
    };
    let leaf = Leaf { key_hash: [1; 32], value_hash: [2; 32] };
    let mut children = Box::new([None; WIDTH]);
    children[3] = Some(Child { hash: [4; 32], is_leaf: true });
    let account = keys::account(&genesis::devnet_address(0));
    let entry = chain.prove(&chain.head(), &account).expect("a state");
    let absent = chain.prove(&chain.head(), &keys::account(&Address([9; 32]))).expect("a state");
    let members = SignerSet::of(&start.state, &chain.config().params, 0).list;
    let cert = FinalityCert {
        vote: Default::default(),
        bits: Bitlist::from_bools(&[true, false, true]).expect("in bounds"),
        signature: Default::default(),
    };
    let block = signed_block();
    let in_block = TxProof::new(block.header.header, &block.body, 1).expect("in range");
    let anchor = chain.export().expect("works").expect("genesis is folded");
    seeds.extend([
        (("block", "block".to_owned()), encode(&block)),
        (("block", "body".to_owned()), encode(&block.body)),
        (("block", "transfer".to_owned()), encode(&transfer())),
        (("block", "several".to_owned()), encode(&several())),
        (("block", "receipt".to_owned()), encode(&receipt)),
        (("state", "state".to_owned()), encode(&start.state)),
        (("state", "checkpoint".to_owned()), encode(&anchor)),
        (("state", "leaf".to_owned()), encode(&Node::Leaf(leaf))),
        (("state", "inner".to_owned()), encode(&Node::Inner(children))),
        (("proof", "account".to_owned()), encode(&entry)),
        (("proof", "absent".to_owned()), encode(&absent)),
        (("proof", "transaction".to_owned()), encode(&in_block)),
        (("proof", "piece".to_owned()), encode(&piece)),
        (("proof", "certificate".to_owned()), encode(&cert)),
        (("proof", "signers".to_owned()), encode(&members)),
        (("text", "genesis".to_owned()), genesis_text().into_bytes()),
        (("text", "keystore".to_owned()), KEYSTORE.as_bytes().to_vec()),
        (("text", "interchange".to_owned()), INTERCHANGE.as_bytes().to_vec()),
        (
            ("text", "address".to_owned()),
            address::to_text(&Address([7; 32]), address::MAINNET_PREFIX).into_bytes(),
        ),
        (("text", "checkpoint".to_owned()), format!("{}:7", Root([7; 32])).into_bytes()),
        (("text", "range".to_owned()), b"0..4".to_vec()),
    ]);
    seeds
}

const KEYSTORE: &str = r#"{"crypto":{"kdf":{"function":"scrypt","params":{"dklen":32,"n":262144,"p":1,"r":8,"salt":"00"},"message":""},"checksum":{"function":"sha256","params":{},"message":"00"},"cipher":{"function":"aes-128-ctr","params":{"iv":"00"},"message":"00"}},"pubkey":"00","path":"m/12381/3600/0/0/0","uuid":"00000000-0000-4000-8000-000000000000","version":4}"#;

const INTERCHANGE: &str = r#"{"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x0000000000000000000000000000000000000000000000000000000000000001"},"data":[{"pubkey":"0x000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001","signed_blocks":[{"slot":"1"}],"signed_attestations":[{"source_epoch":"1","target_epoch":"2"}]}]}"#;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

#[test]
fn the_seeds_are_values_of_every_kind() {
    for ((target, name), bytes) in seeds() {
        let path = folder().join(target).join(name);
        if std::env::var_os("FUZZ_SEEDS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, &bytes).expect("written");
        }
        assert!(std::fs::read(&path).is_ok_and(|found| found == bytes), "{}", path.display());
    }
}

#[test]
fn the_seed_corpora_pass_broken_off_anywhere_and_with_a_byte_changed() {
    for (name, body) in TARGETS {
        let files: Vec<_> = std::fs::read_dir(folder().join(name)).expect("a folder").flatten().collect();
        assert!(!files.is_empty(), "{name} has seeds");
        for file in files {
            let bytes = std::fs::read(file.path()).expect("a file");
            body(&bytes);
            let step = (bytes.len() / 128).max(1);
            for at in (0..bytes.len()).step_by(step) {
                body(&bytes[..at]);
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    body(&changed);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_pass(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..300),
    ) {
        for (_, body) in TARGETS {
            body(&bytes);
        }
    }
}
