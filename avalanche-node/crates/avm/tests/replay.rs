//! Blocks that live avalanchego networks made, executed here: every id, UTXO, validator set and number must be what those
//! networks reported. `tests/data/replay/README.md` says how the files were recorded.

#![allow(clippy::unwrap_used)] // tests

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use avalanche_db::{Database, Memory};
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::chain::{BlockContext, ChainVm, Phase, ValidatorState};
use avm::vm::Avm;
use platformvm::{CHAIN_ID, config::Config, genesis::Genesis, state::State, txs::UnsignedTx, vm::PlatformVm};
use serde_json::Value;
use shared_vendor::{clock::Wall, hex};

const AVM_ID: Id = Id::from_name("avm");

struct Recording {
    json: Value,
    genesis: Genesis,
    config: Config,
}

impl Recording {
    fn read(name: &str) -> Self {
        let path = format!("{}/tests/data/replay/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let genesis = Genesis::parse(&hex::decode(json["p_genesis"].as_str().unwrap()).unwrap()).unwrap();
        let network_id = u32::try_from(json["network_id"].as_u64().unwrap()).unwrap();
        let avax_asset_id = json["avax_asset_id"].as_str().unwrap().parse().unwrap();
        let mut config = Config::of_network(network_id, avax_asset_id);
        config.staking.min_stake_duration = 20;
        config.staking.helicon_min_stake_duration = 20;
        if json["helicon"] == true {
            config.upgrades = config.upgrades.with(Fork::Helicon, config.upgrades.time(Fork::Granite));
        }
        Self { json, genesis, config }
    }

    fn blocks(&self, key: &str) -> Vec<Vec<u8>> {
        self.json[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| hex::decode(text.as_str().unwrap()).unwrap())
            .collect()
    }

    fn expected(&self, key: &str) -> &Value {
        &self.json["expected"][key]
    }

    fn open(&self, store: &Arc<dyn Database>) -> (PlatformVm, Avm) {
        let platform = PlatformVm::open(Arc::clone(store), self.config, &self.genesis.bytes()).unwrap();
        let x_chain = self.genesis.chain_id(AVM_ID).unwrap();
        let created = self.genesis.chains.iter().find_map(|tx| match &tx.unsigned {
            UnsignedTx::CreateChain(chain) if chain.vm_id == AVM_ID => Some(&chain.genesis_data),
            _ => None,
        });
        let Config { network_id, avax_asset_id, .. } = self.config;
        let config = avm::config::Config::of_network(network_id, x_chain, avax_asset_id);
        let validators = Arc::new(platform.clone());
        let avm = Avm::open(Arc::clone(store), config, created.unwrap(), validators).unwrap();
        (platform, avm)
    }

    /// The P-chain height that warp messages of a block were judged at.
    fn context_height(&self, height: u64) -> u64 {
        self.json["contexts"][height.to_string()].as_u64().unwrap_or(0)
    }

    /// Executes the next blocks of both chains until neither goes on.
    fn play(&self, platform: &PlatformVm, avm: &Avm, phase: Phase, limit: usize) {
        let (p_blocks, x_blocks) = (self.blocks("p_blocks"), self.blocks("x_blocks"));
        platform.set_phase(phase).unwrap();
        avm.set_phase(phase).unwrap();
        let mut played = 0;
        loop {
            let p_next = usize::try_from(platform.last_accepted().unwrap().height).unwrap();
            let x_next = usize::try_from(avm.last_accepted().unwrap().height).unwrap() + 1;
            if played == limit || (p_next == p_blocks.len() && x_next == x_blocks.len()) {
                return;
            }
            // A chain that imports what is not exported yet lets the other go first.
            let p_error = p_blocks.get(p_next).map(|bytes| self.step(platform, bytes));
            if p_error != Some(None) {
                let x_error = x_blocks.get(x_next).map(|bytes| self.step(avm, bytes));
                assert_eq!(x_error, Some(None), "neither chain goes on; the P-chain: {p_error:?}");
            }
            played += 1;
        }
    }

    /// Executes a block; the error, if there is one.
    fn step(&self, vm: &dyn ChainVm, bytes: &[u8]) -> Option<String> {
        let block = vm.parse(bytes).unwrap();
        assert_eq!(&*block.bytes, bytes);
        let now = Wall::from_secs(u64::try_from(block.timestamp).unwrap());
        let p_chain_height = Some(self.context_height(block.height));
        if let Err(error) = vm.verify(&block, &BlockContext { now, p_chain_height }) {
            let mut text = format!("block {} at {}: {error}", block.id, block.height);
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            return Some(text);
        }
        vm.accept(block.id).unwrap();
        None
    }

    fn check(&self, platform: &PlatformVm, avm: &Avm) {
        let owner: ShortId = self.owner();
        let owners = BTreeSet::from([owner]);
        platform.read(|state| self.check_state(state, &owners));
        let texts = |utxos: Vec<Vec<u8>>| -> BTreeSet<String> {
            utxos.iter().map(|utxo| format!("0x{}", hex::encode(utxo))).collect()
        };
        let x_utxos = avm.read(|state| state.utxos_of(&owners, None, 9999).unwrap()).utxos;
        assert_eq!(texts(x_utxos.iter().map(avalanche_codec::marshal).collect()), self.texts("x_utxos"));
        let x_chain = avm.config().chain_id;
        let from_p = avm.memory().of_owners(CHAIN_ID, &owners, None, 9999).unwrap().0;
        assert_eq!(texts(from_p), self.texts("x_from_p"));
        let from_x = platform.memory().of_owners(x_chain, &owners, None, 9999).unwrap().0;
        assert_eq!(texts(from_x), self.texts("p_from_x"));
        self.check_sets(platform);
    }

    fn owner(&self) -> ShortId {
        let text = self.json["owner"].as_str().unwrap();
        avalanche_crypto::address::parse_bech32(text).unwrap().1
    }

    fn texts(&self, key: &str) -> BTreeSet<String> {
        let values = self.expected(key).as_array().unwrap();
        values.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    fn check_state(&self, state: &State, owners: &BTreeSet<ShortId>) {
        let draft = state.draft();
        let supply = draft.supply(CHAIN_ID).unwrap().to_string();
        assert_eq!(supply, self.expected("supply").as_str().unwrap());
        let utxos: BTreeSet<_> = state
            .utxos_of(owners, None, 9999)
            .unwrap()
            .utxos
            .iter()
            .map(|utxo| format!("0x{}", hex::encode(avalanche_codec::marshal(utxo))))
            .collect();
        assert_eq!(utxos, self.texts("p_utxos"));
        let fees = self.expected("fee_state");
        assert_eq!(state.scalars().fee_state.capacity.to_string(), fees["capacity"].to_string());
        assert_eq!(state.scalars().fee_state.excess.to_string(), fees["excess"].to_string());
        let fees = self.expected("validator_fee_state");
        assert_eq!(state.scalars().l1_excess.to_string(), fees["excess"].to_string());
        for (tx, rewards) in self.expected("rewards").as_object().unwrap() {
            let found: BTreeSet<_> = state
                .reward_utxos(&tx.parse().unwrap())
                .unwrap()
                .iter()
                .map(|utxo| format!("0x{}", hex::encode(avalanche_codec::marshal(utxo))))
                .collect();
            let wanted: BTreeSet<_> =
                rewards.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
            assert_eq!(found, wanted, "rewards of {tx}");
        }
        for validator in self.expected("current").as_array().unwrap() {
            let node: NodeId = validator["nodeID"].as_str().unwrap().parse().unwrap();
            let staker = draft.current_validator(CHAIN_ID, node).unwrap();
            let number = |value: u64| Value::String(value.to_string());
            assert_eq!(number(staker.weight), validator["weight"]);
            assert_eq!(number(staker.start), validator["startTime"]);
            assert_eq!(number(staker.end), validator["endTime"]);
            assert_eq!(number(staker.potential_reward), validator["potentialReward"]);
            assert_eq!(staker.tx_id.to_string(), validator["txID"].as_str().unwrap());
            let info = draft.staking_info(CHAIN_ID, node).unwrap();
            assert_eq!(number(info.delegatee_reward), validator["accruedDelegateeReward"]);
        }
        let count = self.expected("current").as_array().unwrap().len();
        assert_eq!(state.primary_validators().count(), count);
        let Some(l1) = self.expected("l1").as_object() else { return };
        for (id, wanted) in l1 {
            let found = draft.l1_validator(id.parse().unwrap());
            let Some(found) = found else {
                assert!(wanted["error"].is_string(), "{id} is missing");
                continue;
            };
            assert_eq!(found.weight.to_string(), wanted["weight"].as_str().unwrap());
            assert_eq!(found.min_nonce.to_string(), wanted["minNonce"].as_str().unwrap());
            assert_eq!(found.start.to_string(), wanted["startTime"].as_str().unwrap());
            let balance = found.end_accumulated_fee.saturating_sub(state.scalars().accrued_fees);
            assert_eq!(balance.to_string(), wanted["balance"].as_str().unwrap(), "balance of {id}");
        }
    }

    /// Every validator set at every height.
    fn check_sets(&self, platform: &PlatformVm) {
        for (subnet, heights) in self.expected("sets").as_object().unwrap() {
            let subnet: Id = subnet.parse().unwrap();
            for (height, wanted) in heights.as_array().unwrap().iter().enumerate() {
                let set = platform.validators_at(u64::try_from(height).unwrap(), subnet).unwrap();
                let found: BTreeMap<_, _> = set
                    .iter()
                    .map(|(node, found)| {
                        let key = found.public_key.map(|key| format!("0x{}", hex::encode(key.to_bytes())));
                        (node.to_string(), (found.weight.to_string(), key))
                    })
                    .collect();
                let wanted: BTreeMap<_, _> = wanted
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(node, value)| {
                        let text = |name: &str| value[name].as_str().map(str::to_owned);
                        (node.clone(), (text("weight").unwrap(), text("publicKey")))
                    })
                    .collect();
                assert_eq!(found, wanted, "{subnet} at {height}");
            }
        }
    }
}

fn replay(name: &str, phase: Phase) {
    let recording = Recording::read(name);
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let (platform, avm) = recording.open(&store);
    recording.play(&platform, &avm, phase, usize::MAX);
    recording.check(&platform, &avm);
    drop((platform, avm));
    let (platform, avm) = recording.open(&store);
    recording.check(&platform, &avm);
}

#[test]
fn a_granite_network_is_reproduced_while_bootstrapping() {
    replay("granite", Phase::Bootstrapping);
}

#[test]
fn a_granite_network_is_reproduced_with_every_signature_checked() {
    replay("granite", Phase::Normal);
}

#[test]
fn a_network_beyond_helicon_is_reproduced() {
    replay("helicon", Phase::Bootstrapping);
    replay("helicon", Phase::Normal);
}
