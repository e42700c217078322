//! Every rule that a block can break against the state before it, provoked; what that says about the sender; and which of two
//! chains wins.

use std::sync::Arc;

use fluxd_chainstate::{
    AcceptError, ChainEvent, ConnectError, Invalid, Options, check_confirm, check_confirms,
};
use fluxd_consensus::check::{BlockError, CheckedBlock, HeaderError, PayoutError, TxError};
use fluxd_fluxnode::{NodeError, Tier, collateral::CollateralError};
use fluxd_miner::testing::{Key, Lab, collateral, confirm, outpoint, outputs, params, start};
use fluxd_pon::{PonError, pon_hash};
use fluxd_primitives::{
    Amount, Block, BlockHash, COIN, Hash256, OutPoint, Proof, Transaction, TxId,
    block::merkle_root,
    transaction::{
        fluxnode::{Confirm, FluxnodeTx},
        shielded::SaplingSpend,
    },
};
use tempfile::TempDir;

struct Bench {
    lab: Lab,
    purse: OutPoint,
    collaterals: Vec<OutPoint>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let mut lab = Lab::in_memory(dir.path(), Options::default());
        lab.mine_to(101);
        let first = lab.chain.index().at_height(1).expect("mined");
        let premine = outpoint(lab.chain.body(first).expect("stored").txids()[0], 0);
        let owners: Vec<Key> = (100..104).map(Key::number).collect();
        let payments: Vec<_> = owners.iter().map(|key| (collateral(Tier::Cumulus), key)).collect();
        let split = lab.pay(premine, outputs(&payments));
        let txid = split.txid();
        lab.mine(vec![split]);
        lab.mine_to(202);
        let collaterals = (1..=4).map(|index| outpoint(txid, index)).collect();
        Self { lab, purse: outpoint(txid, 0), collaterals, _dir: dir }
    }

    fn time(&self) -> u32 {
        u32::try_from(self.lab.now).expect("this century")
    }

    /// Why a block of these transactions, changed like this, is refused.
    fn refusal(&mut self, transactions: Vec<Transaction>, edit: impl FnOnce(&mut Block)) -> Invalid {
        let mut block = self.lab.assemble(transactions).block().clone();
        edit(&mut block);
        let ids: Vec<TxId> = block.transactions.iter().map(Transaction::txid).collect();
        block.header.merkle_root = merkle_root(&ids).root;
        let checked = match CheckedBlock::new(Arc::new(block)) {
            Ok(checked) => Arc::new(checked),
            Err(error) => return error.into(),
        };
        let now = self.lab.now;
        self.lab.chain.test_block(&checked, true, now).expect("a store").expect_err("a broken rule")
    }
}

fn connect(error: ConnectError) -> Invalid {
    Invalid::Connect(error)
}

#[test]
fn every_rule_of_coins_and_coinbases_refuses_its_block() {
    let mut bench = Bench::new();
    let purse = bench.purse;
    let pay = |bench: &Bench| bench.lab.pay(purse, outputs(&[(Amount::from_zat(COIN), &Key::number(50))]));
    let payment = pay(&bench);

    let mut missing = payment.clone();
    missing.inputs[0].prevout.index = 77;
    assert_eq!(bench.refusal(vec![missing], |_| {}), connect(ConnectError::MissingInput));
    let twice = bench.lab.pay(purse, Vec::new());
    assert_eq!(bench.refusal(vec![payment.clone(), twice], |_| {}), connect(ConnectError::MissingInput));
    let mut generous = payment.clone();
    generous.outputs[1].value = Amount::from_zat(400_000_000 * COIN / 2);
    assert_eq!(bench.refusal(vec![generous], |_| {}), connect(ConnectError::InputsBelowOutputs));
    let mut unsigned = payment.clone();
    unsigned.inputs[0].script_sig.0[20] ^= 1;
    let invalid = bench.refusal(vec![unsigned], |_| {});
    assert!(matches!(invalid, Invalid::Connect(ConnectError::Script(_))), "{invalid:?}");
    assert_eq!((invalid.dos(), invalid.code(), invalid.is_about_bytes()), (100, 0x10, false));
    let mut spend = payment.clone();
    spend.spends.push(SaplingSpend {
        cv: [0; 32],
        anchor: Hash256([9; 32]),
        nullifier: Hash256([8; 32]),
        rk: [0; 32],
        proof: [0; 192],
        spend_auth_sig: [0; 64],
    });
    assert_eq!(bench.refusal(vec![spend], |_| {}), connect(ConnectError::ShieldedRequirements));

    let tip = bench.lab.chain.index().at_height(190).expect("active");
    let young = bench.lab.chain.body(tip).expect("stored").txids()[0];
    let mut early = payment.clone();
    early.inputs[0].prevout = outpoint(young, 0);
    assert_eq!(bench.refusal(vec![early], |_| {}), connect(ConnectError::ImmatureCoinbase));
    let many = |block: &mut Block| block.transactions[1].outputs[1].script_pubkey.0 = vec![0xac; 20_001];
    assert_eq!(bench.refusal(vec![payment], many), Invalid::Block(BlockError::SigOps));

    let more = |block: &mut Block| {
        let value = &mut block.transactions[0].outputs[0].value;
        *value = Amount::from_zat(value.zat() + 1);
    };
    assert_eq!(bench.refusal(Vec::new(), more), connect(ConnectError::CoinbaseAmount));
    let less = |block: &mut Block| block.transactions[0].outputs[0].value = Amount::ZERO;
    let invalid = bench.refusal(Vec::new(), less);
    let rule = TxError::MissingDevFunding;
    assert_eq!(invalid, Invalid::Block(BlockError::Transaction { index: 0, rule }));
    assert_eq!(invalid.reason(), "tx-coinbase-missing-dev-funding");
    let root = |block: &mut Block| block.header.sapling_root.0[0] ^= 1;
    assert_eq!(bench.refusal(Vec::new(), root), connect(ConnectError::SaplingRoot));
    let height = |block: &mut Block| block.transactions[0].inputs[0].script_sig.0[1] ^= 1;
    assert_eq!(bench.refusal(Vec::new(), height), Invalid::Block(BlockError::CoinbaseHeight));
}

#[test]
fn every_rule_of_fluxnodes_refuses_its_block() {
    let mut bench = Bench::new();
    let (owner, node) = (Key::number(100), Key::number(900));
    let now = bench.time();
    let (first, second) = (bench.collaterals[0], bench.collaterals[1]);
    let node_rule = |error| connect(ConnectError::Node(error));

    let stranger = start(first, &Key::number(7), &node, now);
    assert_eq!(
        bench.refusal(vec![stranger], |_| {}),
        connect(ConnectError::Owner(CollateralError::OtherKey))
    );
    let nothing = start(outpoint(TxId([5; 32]), 0), &owner, &node, now);
    assert_eq!(bench.refusal(vec![nothing], |_| {}), connect(ConnectError::MissingCollateral));
    let mut forged = start(first, &owner, &node, now);
    if let Some(fluxd_primitives::transaction::fluxnode::FluxnodeTx::Start(start)) =
        forged.fluxnode.as_deref_mut()
    {
        start.claim.as_mut().expect("a claim").signature[5] ^= 1;
    }
    let invalid = bench.refusal(vec![forged], |_| {});
    assert_eq!(invalid, connect(ConnectError::NodeSignature));
    assert!(invalid.is_about_bytes(), "the id does not cover the signature");
    let unknown = confirm(first, &node, false, "192.0.2.1", now);
    assert_eq!(bench.refusal(vec![unknown], |_| {}), node_rule(NodeError::UnknownNode));
    let other = start(first, &owner, &node, now + 1);
    let both = |block: &mut Block| block.transactions.push(other);
    assert_eq!(
        bench.refusal(vec![start(first, &owner, &node, now)], both),
        Invalid::Block(BlockError::FluxnodeMultiple)
    );
    let fresh = bench.lab.pay(bench.purse, outputs(&[(collateral(Tier::Cumulus), &owner)]));
    let too_young = start(outpoint(fresh.txid(), 1), &owner, &node, now);
    assert_eq!(
        bench.refusal(vec![fresh, too_young], |_| {}),
        connect(ConnectError::Collateral(CollateralError::TooYoung))
    );

    let block = bench.lab.assemble(vec![start(first, &owner, &node, now)]);
    bench.lab.add(&block);
    let again = start(first, &owner, &node, now + 1);
    assert_eq!(bench.refusal(vec![again], |_| {}), node_rule(NodeError::AlreadyStarted));
    let wrong_key = confirm(first, &Key::number(901), false, "192.0.2.1", now);
    let invalid = bench.refusal(vec![wrong_key], |_| {});
    assert_eq!(invalid, connect(ConnectError::ConfirmSignature));
    assert!(invalid.is_about_bytes());
    let update = confirm(first, &node, true, "192.0.2.1", now);
    assert_eq!(bench.refusal(vec![update], |_| {}), node_rule(NodeError::NotConfirmed));

    let block = bench.lab.assemble(vec![confirm(first, &node, false, "192.0.2.1", now)]);
    bench.lab.add(&block);
    let again = confirm(first, &node, false, "192.0.2.1", now + 1);
    assert_eq!(bench.refusal(vec![again], |_| {}), node_rule(NodeError::NotStarted));
    let soon = confirm(first, &node, true, "192.0.2.1", now + 1);
    assert_eq!(bench.refusal(vec![soon], |_| {}), node_rule(NodeError::TooSoon));
    let restart = start(first, &owner, &node, now + 9);
    assert_eq!(bench.refusal(vec![restart], |_| {}), node_rule(NodeError::AlreadyConfirmed));

    let unpaid = |block: &mut Block| block.transactions[0].outputs[1].value = Amount::from_zat(1);
    assert_eq!(
        bench.refusal(Vec::new(), unpaid),
        connect(ConnectError::Payout(PayoutError::Node(Tier::Cumulus)))
    );
    let by = |collateral: OutPoint, signature: Vec<u8>| {
        move |block: &mut Block| block.header.proof = Proof::Node { collateral, signature }
    };
    assert_eq!(
        bench.refusal(Vec::new(), by(first, vec![0; 70])),
        connect(ConnectError::ProofOfNode(PonError::BadSignature))
    );
    let invalid = bench.refusal(Vec::new(), by(second, vec![0; 70]));
    assert_eq!(invalid, connect(ConnectError::ProofOfNode(PonError::UnknownNode)));
    assert!(!invalid.is_about_bytes(), "the hash covers the collateral");
}

#[test]
fn headers_without_parents_before_their_time_or_of_failed_blocks_are_refused() {
    let mut bench = Bench::new();
    let now = bench.lab.now;
    let block = bench.lab.assemble(Vec::new());
    let mut header = block.block().header.clone();
    header.prev = BlockHash([3; 32]);
    assert_eq!(bench.lab.chain.accept_header(&header, now), Err(Invalid::UnknownParent));
    let early = bench.lab.chain.accept_header(&block.block().header, i64::from(header.time) - 8000);
    assert_eq!(early, Err(Invalid::Header(HeaderError::TimeTooNew)));
    let mut broken = block.block().clone();
    broken.transactions[0].outputs[0].value = Amount::from_zat(15 * COIN);
    let ids: Vec<TxId> = broken.transactions.iter().map(Transaction::txid).collect();
    broken.header.merkle_root = merkle_root(&ids).root;
    let broken = Arc::new(CheckedBlock::new(Arc::new(broken)).expect("by itself"));
    let events = bench.lab.add(&broken);
    assert!(matches!(&events[..], [ChainEvent::Rejected { hash, invalid }]
        if *hash == broken.hash() && *invalid == connect(ConnectError::CoinbaseAmount)));
    let now = bench.lab.now;
    let again = bench.lab.chain.accept_block(&broken, true, now);
    assert!(matches!(again, Err(AcceptError::Invalid(Invalid::KnownInvalid))));
    let mut child = block.block().header.clone();
    (child.prev, child.time) = (broken.hash(), child.time + 30);
    assert_eq!(bench.lab.chain.accept_header(&child, now), Err(Invalid::InvalidParent));
    let deep = bench.lab.chain.index().height() - 41;
    let parent = bench.lab.chain.index().at_height(deep).expect("active");
    let mut fork = block.block().header.clone();
    fork.prev = bench.lab.chain.index().entry(parent).hash();
    assert_eq!(bench.lab.chain.accept_header(&fork, now), Err(Invalid::Header(HeaderError::ForkTooDeep)));
    bench.lab.mine(Vec::new());
}

#[test]
fn of_two_blocks_of_one_height_the_smaller_proof_of_node_hash_wins_whichever_came_first() {
    let mut bench = Bench::new();
    let one = bench.lab.assemble(Vec::new());
    let two = bench.lab.assemble(Vec::new());
    let hash = |block: &CheckedBlock| {
        let header = &block.block().header;
        let Proof::Node { collateral, .. } = &header.proof else { panic!("proof of node") };
        pon_hash(collateral, &header.prev, bench.lab.chain.params().pon.slot(header.time))
    };
    assert_ne!(hash(&one), hash(&two));
    let winner = if hash(&one) < hash(&two) { one.hash() } else { two.hash() };
    for order in [[&one, &two], [&two, &one]] {
        for block in order {
            bench.lab.add(block);
        }
        assert_eq!(bench.lab.chain.tip().hash, winner);
        assert_eq!(bench.lab.chain.index().leaves().len(), 2);
        // Both are forgotten by a chain state that never saw them.
        bench = Bench::new();
    }
}

/// Makes a CONFIRM wrong.
type Spoil = fn(&mut Confirm);

#[test]
fn confirms_checked_together_fail_at_the_first_wrong_one_as_alone() {
    let (node, params) = (Key::number(900), params());
    let confirms = |spoilt: &[(usize, Spoil)]| -> Vec<Confirm> {
        let number = |number: u32| outpoint(TxId([5; 32]), number);
        let made = (0..20).map(|place| confirm(number(place), &node, true, "192.0.2.1", place));
        let mut all: Vec<Confirm> = made
            .filter_map(|tx| match *tx.fluxnode? {
                FluxnodeTx::Confirm(confirm) => Some(confirm),
                _ => None,
            })
            .collect();
        for (place, spoil) in spoilt {
            spoil(&mut all[*place]);
        }
        all
    };
    let of_node: Spoil = |confirm| confirm.sig_time ^= 1;
    let of_benchmark: Spoil = |confirm| confirm.benchmark_signature.truncate(64);
    for (spoilt, first) in [
        (vec![], None),
        (vec![(19, of_node)], Some((19, ConnectError::ConfirmSignature))),
        (vec![(9, of_node), (7, of_benchmark)], Some((7, ConnectError::NodeSignature))),
        (vec![(0, of_node), (0, of_benchmark)], Some((0, ConnectError::NodeSignature))),
    ] {
        let confirms = confirms(&spoilt);
        let keyed: Vec<_> = confirms.iter().map(|confirm| (confirm, &node.public)).collect();
        assert_eq!(check_confirms(&keyed, &params).err(), first);
        let alone = confirms.iter().map(|confirm| check_confirm(confirm, &node.public, &params).err());
        assert_eq!(alone.enumerate().find_map(|(place, error)| Some((place, error?))), first);
    }
}
