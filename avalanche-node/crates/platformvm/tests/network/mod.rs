//! A network with one validator and one rich key, and the making of transactions and blocks on it.

#![allow(clippy::unwrap_used, dead_code)] // helpers of tests, not all of them used by each

use std::sync::Arc;

use avalanche_codec::Text;
use avalanche_crypto::{bls, secp256k1::PrivateKey};
use avalanche_db::Database;
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_vm::{
    avax::UtxoId,
    chain::{Block, BlockContext, ChainVm, Phase},
    secp256k1fx::{self, OutputOwners, TransferInput, TransferOutput},
};
use platformvm::{
    CHAIN_ID,
    config::Config,
    fx::{
        Auth, BaseTx, Credential, Input, Output, Owner, ProofOfPossession, TransferableInput,
        TransferableOutput,
    },
    genesis::{Allocation, Builder, Genesis, Staker},
    txs::{NamedTx, Tx, UnsignedTx},
    vm::PlatformVm,
};
use shared_vendor::clock::Wall;

pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const YEAR: u64 = 365 * 24 * 3600;
pub(crate) const NETWORK: u32 = 7777;
pub(crate) const AVAX: Id = Id([7; 32]);
pub(crate) const UNIT: u64 = 1_000_000_000;
pub(crate) const NODE: NodeId = NodeId([1; 20]);

pub(crate) fn key(byte: u8) -> PrivateKey {
    PrivateKey::from_bytes([byte; 32]).unwrap()
}

pub(crate) fn address(byte: u8) -> ShortId {
    key(byte).public_key().address()
}

pub(crate) fn owners(byte: u8) -> OutputOwners {
    OutputOwners { locktime: 0, threshold: 1, addrs: vec![address(byte)] }
}

pub(crate) fn owner(byte: u8) -> Owner {
    Owner::Secp256k1(owners(byte))
}

pub(crate) fn proof(byte: u8) -> ProofOfPossession {
    let mut secret = [0; 32];
    secret[31] = byte;
    let key = bls::SecretKey::from_bytes(&secret).unwrap();
    let public_key = key.public_key().to_bytes();
    ProofOfPossession { public_key, proof: key.sign_possession(&public_key).to_bytes() }
}

/// `count` UTXOs of 10,000 AVAX for the first key, and one validator that stakes 2,000 AVAX for a year.
pub(crate) fn genesis(count: usize) -> Genesis {
    let allocation = Allocation { locktime: 0, amount: 10_000 * UNIT, address: address(1) };
    Builder {
        avax_asset_id: AVAX,
        network_id: NETWORK,
        allocations: vec![(allocation, Vec::new()); count],
        stakers: vec![Staker {
            node_id: NODE,
            end_time: START + YEAR,
            reward_address: address(1),
            delegation_fee: 20_000,
            staked: vec![Allocation { amount: 2_000 * UNIT, ..allocation }],
            signer: Some(proof(1)),
        }],
        chains: Vec::new(),
        time: START,
        initial_supply: 400_000_000 * UNIT,
        message: Text::default(),
    }
    .build()
    .unwrap()
}

pub(crate) fn config() -> Config {
    Config::of_network(NETWORK, AVAX)
}

pub(crate) fn open(store: Arc<dyn Database>, count: usize) -> PlatformVm {
    let vm = PlatformVm::open(store, config(), &genesis(count).bytes()).unwrap();
    vm.set_phase(Phase::Normal).unwrap();
    vm
}

pub(crate) fn output(amount: u64, to: u8) -> TransferableOutput {
    TransferableOutput {
        asset_id: AVAX,
        out: Output::Transfer(TransferOutput { amount, owners: owners(to) }),
    }
}

pub(crate) fn input(utxo_id: UtxoId, amount: u64) -> TransferableInput {
    let input = TransferInput { amount, input: secp256k1fx::Input { sig_indices: vec![0] } };
    TransferableInput { utxo_id, asset_id: AVAX, input: Input::Transfer(input) }
}

/// What spends a genesis UTXO, keeps all but `spent` nAVAX, and makes nothing else.
pub(crate) fn base(index: u32, spent: u64) -> BaseTx {
    let utxo = UtxoId { tx_id: Id::EMPTY, output_index: index };
    BaseTx {
        network_id: NETWORK,
        blockchain_id: CHAIN_ID,
        outs: vec![output(10_000 * UNIT - spent, 1)],
        ins: vec![input(utxo, 10_000 * UNIT)],
        memo: Vec::new(),
    }
}

pub(crate) fn auth() -> Auth {
    Auth::Secp256k1(secp256k1fx::Input { sig_indices: vec![0] })
}

/// Signs everything with one key.
pub(crate) fn sign(unsigned: UnsignedTx, with: u8) -> NamedTx {
    let tx = Tx { unsigned, credentials: Vec::new() };
    let signature = key(with).sign(&tx.signing_hash());
    let count = tx.unsigned.inputs().count() + usize::from(tx.unsigned.auth().is_some());
    let credential = Credential::Secp256k1(secp256k1fx::Credential { sigs: vec![signature] });
    NamedTx::new(Tx { unsigned: tx.unsigned, credentials: vec![credential; count] })
}

pub(crate) fn context(time: u64) -> BlockContext {
    BlockContext { now: Wall::from_secs(time), p_chain_height: None }
}

/// Builds a block on the preferred one, verifies and accepts it.
pub(crate) fn step(vm: &PlatformVm, time: u64) -> Block {
    let block = vm.build(&context(time)).unwrap();
    vm.verify(&block, &context(time)).unwrap();
    vm.accept(block.id).unwrap();
    vm.set_preference(block.id).unwrap();
    block
}

/// A chain of `count` blocks with one transfer each, one second apart.
pub(crate) fn transfers(vm: &PlatformVm, count: u64) -> Vec<Block> {
    let mut spend = (UtxoId { tx_id: Id::EMPTY, output_index: 0 }, 10_000 * UNIT);
    (1..=count)
        .map(|number| {
            let left = spend.1 - 10_000;
            let unsigned = UnsignedTx::Base(Box::new(BaseTx {
                outs: vec![output(left, 1)],
                ins: vec![input(spend.0, spend.1)],
                ..base(0, 0)
            }));
            let tx = sign(unsigned, 1);
            spend = (UtxoId { tx_id: tx.id, output_index: 0 }, left);
            vm.issue(tx, Wall::from_secs(START + number)).unwrap();
            step(vm, START + number)
        })
        .collect()
}
