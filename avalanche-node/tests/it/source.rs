//! Writes the P-chain of a network of one validator into a store, without running the node: one transfer of the test key
//! in each block, a few blocks a second of the chain's time. A node started on that store serves the chain.

use std::{path::Path, sync::Arc};

use avalanche_crypto::staking::{Certificate, PrivateKey};
use avalanche_db::{Database, Rocks};
use avalanche_ids::Id;
use avalanche_node::{genesis::NetworkGenesis, node::transfers};
use avalanche_vm::chain::{BlockContext, ChainVm, Phase, ValidatorState};
use platformvm::vm::PlatformVm;
use proposervm::vm::{Config, ProposerVm};
use ring::rand::SystemRandom;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use shared_vendor::clock::Wall;

/// Blocks in a second of the chain's time: their gas stays below the target, so that fees stay at their least.
pub(crate) const BLOCKS_PER_SECOND: u64 = 4;

/// Extends the chain in the store `db` to the height `blocks`. `network` is a folder of `local-net create`, whose genesis
/// must be `blocks / BLOCKS_PER_SECOND` seconds old.
pub(crate) fn write(db: &Path, network: &Path, blocks: u64) {
    let json = std::fs::read(network.join("genesis.json")).expect("the genesis is there");
    let genesis = NetworkGenesis::from_json(&json).expect("the genesis is complete");
    let certificate =
        CertificateDer::from_pem_file(network.join("1/staker.crt")).expect("the certificate is PEM");
    let key = PrivateKeyDer::from_pem_file(network.join("1/staker.key")).expect("the key is PEM");
    let key = PrivateKey::from_der(key.secret_der(), &SystemRandom::new()).expect("the key is usable");
    let me = Certificate::parse(&certificate).expect("the certificate is readable").node_id();

    let store: Arc<dyn Database> = Arc::new(Rocks::open(db).expect("the store opens"));
    let config = platformvm::config::Config::of_network(genesis.network_id, genesis.avax_asset_id);
    let upgrades = config.upgrades;
    let platform = PlatformVm::open(Arc::clone(&store), config, &genesis.platform.bytes()).expect("it opens");
    let proposer = Config {
        chain_id: Id::EMPTY,
        subnet: Id::EMPTY,
        me,
        certificate: certificate.to_vec(),
        sign: Arc::new(move |bytes: &[u8]| key.sign(bytes, &SystemRandom::new()).ok()),
        upgrades,
        min_block_delay: std::time::Duration::ZERO,
    };
    let state: Arc<dyn ValidatorState> = Arc::new(platform.clone());
    let vm = ProposerVm::open(Arc::new(platform.clone()), state, store, proposer).expect("it opens");
    vm.set_phase(Phase::Normal).expect("the store is sound");
    let first = vm.last_accepted().expect("there is a block").height + 1;
    for height in first..=blocks {
        let now = Wall::from_secs(genesis.platform.timestamp + 1 + height / BLOCKS_PER_SECOND);
        let context = BlockContext { now, p_chain_height: None };
        transfers::issue(&platform, now).expect("the key is usable").expect("the transfer is taken");
        let block = vm.build(&context).expect("it is our turn");
        vm.verify(&block, &context).expect("our block is valid");
        vm.accept(block.id).expect("the store is sound");
        vm.set_preference(block.id).expect("it is known");
    }
    let now = Wall::from_secs(genesis.platform.timestamp + 1 + blocks / BLOCKS_PER_SECOND);
    platform.stop(now).expect("the store is sound");
}
