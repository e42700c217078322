//! The genesis state of the P-chain: its encoding, and how it is built from allocations, stakers and chains.
//! Mirrors `vms/platformvm/genesis` and `txs/txheap`.

use avalanche_codec::{CodecError, MAX_SLICE_LEN, Text, VERSION, marshal, unmarshal_versioned, wire_struct};
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_vm::{
    avax,
    secp256k1fx::{self, OutputOwners},
};

use crate::{
    CHAIN_ID,
    fx::{
        Auth, BaseTx, LockOut, LockedOutput, Output, Owner, ProofOfPossession, Signer, TransferableOutput,
        Utxo,
    },
    txs::{AddPermissionlessValidatorTx, AddValidatorTx, CreateChainTx, Tx, UnsignedTx, Validator},
};

/// The state the chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Spendable from the start, or once unlocked.
    pub utxos: Vec<GenesisUtxo>,
    /// The first validators, in the order of a heap by end time.
    pub validators: Vec<Tx>,
    /// The first chains.
    pub chains: Vec<Tx>,
    /// The chain's first time, Unix seconds.
    pub timestamp: u64,
    /// nAVAX that exist.
    pub initial_supply: u64,
    /// Words of the founders.
    pub message: Text,
}
wire_struct!(Genesis { utxos, validators, chains, timestamp, initial_supply, message });

/// A UTXO with a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisUtxo {
    /// The UTXO.
    pub utxo: Utxo,
    /// The owner's Ethereum address.
    pub message: Vec<u8>,
}
wire_struct!(GenesisUtxo { utxo, message });

/// Coins of one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allocation {
    /// Unix time in seconds; spendable from the start when not after it.
    pub locktime: u64,
    /// nAVAX.
    pub amount: u64,
    /// Who owns it.
    pub address: ShortId,
}

/// A validator the network begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staker {
    /// The node.
    pub node_id: NodeId,
    /// End of the stake, Unix seconds.
    pub end_time: u64,
    /// Who gets the reward.
    pub reward_address: ShortId,
    /// Share of delegators' rewards, in millionths.
    pub delegation_fee: u32,
    /// What it stakes.
    pub staked: Vec<Allocation>,
    /// Its key, if it has one.
    pub signer: Option<ProofOfPossession>,
}

/// A chain the network begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: Text,
    /// Its virtual machine.
    pub vm_id: Id,
    /// Its fxs.
    pub fx_ids: Vec<Id>,
    /// Its genesis.
    pub genesis_data: Vec<u8>,
}

/// Why a genesis cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// An allocation of nothing (`errUTXOHasNoValue`).
    #[error("genesis UTXO has no value")]
    EmptyUtxo,
    /// A validator that stakes nothing (`errValidatorHasNoWeight`).
    #[error("validator has no weight")]
    NoWeight,
    /// A validator that stakes too much (`errStakeOverflow`).
    #[error("validator stake overflows")]
    StakeOverflow,
    /// A validator whose stake is over (`errValidatorAlreadyExited`).
    #[error("validator would have already exited")]
    AlreadyExited,
    /// More UTXOs than indices.
    #[error("too many UTXOs")]
    TooManyUtxos,
}

/// What a genesis is built from.
#[derive(Debug, Clone)]
pub struct Builder {
    /// The asset that is staked.
    pub avax_asset_id: Id,
    /// The network.
    pub network_id: u32,
    /// UTXOs and their notes.
    pub allocations: Vec<(Allocation, Vec<u8>)>,
    /// The first validators.
    pub stakers: Vec<Staker>,
    /// The first chains, in order.
    pub chains: Vec<Chain>,
    /// The chain's first time, Unix seconds.
    pub time: u64,
    /// nAVAX that exist.
    pub initial_supply: u64,
    /// Words of the founders.
    pub message: Text,
}

impl Builder {
    /// Builds the genesis.
    ///
    /// # Errors
    /// As [`GenesisError`] says.
    pub fn build(self) -> Result<Genesis, GenesisError> {
        let mut utxos = Vec::with_capacity(self.allocations.len());
        for ((allocation, message), index) in self.allocations.iter().zip(0_u64..) {
            if allocation.amount == 0 {
                return Err(GenesisError::EmptyUtxo);
            }
            let output_index = u32::try_from(index).map_err(|_| GenesisError::TooManyUtxos)?;
            utxos.push(GenesisUtxo {
                utxo: Utxo {
                    id: avax::UtxoId { tx_id: Id::EMPTY, output_index },
                    asset_id: self.avax_asset_id,
                    out: self.output(allocation),
                },
                message: message.clone(),
            });
        }
        let mut validators = EndTimeHeap::default();
        for staker in &self.stakers {
            validators.push(staker.end_time, self.validator(staker)?);
        }
        let chains = self.chains.iter().map(|chain| self.chain(chain)).collect();
        Ok(Genesis {
            utxos,
            validators: validators.into_array(),
            chains,
            timestamp: self.time,
            initial_supply: self.initial_supply,
            message: self.message,
        })
    }

    fn output(&self, allocation: &Allocation) -> Output {
        let out =
            secp256k1fx::TransferOutput { amount: allocation.amount, owners: owner(allocation.address) };
        if allocation.locktime > self.time {
            Output::Locked(LockOut { locktime: allocation.locktime, out: LockedOutput::Transfer(out) })
        } else {
            Output::Transfer(out)
        }
    }

    fn base(&self) -> BaseTx {
        BaseTx {
            network_id: self.network_id,
            blockchain_id: CHAIN_ID,
            outs: Vec::new(),
            ins: Vec::new(),
            memo: Vec::new(),
        }
    }

    fn validator(&self, staker: &Staker) -> Result<Tx, GenesisError> {
        let mut staked = staker.staked.clone();
        staked.sort();
        let weight = staked
            .iter()
            .try_fold(0_u64, |sum, allocation| sum.checked_add(allocation.amount))
            .ok_or(GenesisError::StakeOverflow)?;
        if weight == 0 {
            return Err(GenesisError::NoWeight);
        }
        if staker.end_time <= self.time {
            return Err(GenesisError::AlreadyExited);
        }
        let base = self.base();
        let validator = Validator { node_id: staker.node_id, start: self.time, end: staker.end_time, weight };
        let stake_outs = staked
            .iter()
            .map(|allocation| TransferableOutput {
                asset_id: self.avax_asset_id,
                out: self.output(allocation),
            })
            .collect();
        let owner = Owner::Secp256k1(owner(staker.reward_address));
        let delegation_shares = staker.delegation_fee;
        let unsigned = match &staker.signer {
            None => UnsignedTx::AddValidator(Box::new(AddValidatorTx {
                base,
                validator,
                stake_outs,
                rewards_owner: owner,
                delegation_shares,
            })),
            Some(proof) => UnsignedTx::AddPermissionlessValidator(Box::new(AddPermissionlessValidatorTx {
                base,
                validator,
                subnet: CHAIN_ID,
                signer: Signer::Proof(Box::new(proof.clone())),
                stake_outs,
                validator_rewards_owner: owner.clone(),
                delegator_rewards_owner: owner,
                delegation_shares,
            })),
        };
        Ok(Tx { unsigned, credentials: Vec::new() })
    }

    fn chain(&self, chain: &Chain) -> Tx {
        let unsigned = UnsignedTx::CreateChain(Box::new(CreateChainTx {
            base: self.base(),
            subnet_id: CHAIN_ID,
            chain_name: chain.name.clone(),
            vm_id: chain.vm_id,
            fx_ids: chain.fx_ids.clone(),
            genesis_data: chain.genesis_data.clone(),
            subnet_auth: Auth::Secp256k1(secp256k1fx::Input::default()),
        }));
        Tx { unsigned, credentials: Vec::new() }
    }
}

impl Genesis {
    /// Reads a genesis.
    ///
    /// # Errors
    /// The bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        unmarshal_versioned(VERSION, bytes, MAX_SLICE_LEN)
    }

    /// The encoding, whose hash names the network's beginning.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// The id of the chain that runs a virtual machine.
    #[must_use]
    pub fn chain_id(&self, vm_id: Id) -> Option<Id> {
        let runs = |tx: &&Tx| matches!(&tx.unsigned, UnsignedTx::CreateChain(chain) if chain.vm_id == vm_id);
        self.chains.iter().find(runs).map(Tx::id)
    }
}

fn owner(address: ShortId) -> OutputOwners {
    OutputOwners { locktime: 0, threshold: 1, addrs: vec![address] }
}

/// A binary min-heap whose array order is part of the genesis bytes.
#[derive(Debug, Default)]
struct EndTimeHeap(Vec<(u64, Tx)>);

impl EndTimeHeap {
    fn push(&mut self, end: u64, tx: Tx) {
        self.0.push((end, tx));
        let mut at = self.0.len() - 1;
        while let Some(parent) = at.checked_sub(1).map(|above| above / 2)
            && self.0[at].0 < self.0[parent].0
        {
            self.0.swap(at, parent);
            at = parent;
        }
    }

    fn into_array(self) -> Vec<Tx> {
        self.0.into_iter().map(|(_, tx)| tx).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stake_is_refused() {
        let allocation = Allocation { locktime: 0, amount: 0, address: ShortId::EMPTY };
        let staker = Staker {
            node_id: NodeId::EMPTY,
            end_time: 10,
            reward_address: ShortId::EMPTY,
            delegation_fee: 0,
            staked: vec![allocation],
            signer: None,
        };
        let builder = Builder {
            avax_asset_id: Id::EMPTY,
            network_id: 7,
            allocations: Vec::new(),
            stakers: vec![staker.clone()],
            chains: Vec::new(),
            time: 10,
            initial_supply: 0,
            message: Text::default(),
        };
        assert_eq!(builder.clone().build(), Err(GenesisError::NoWeight));
        let full = Allocation { amount: u64::MAX, ..allocation };
        let with = |staked| Builder { stakers: vec![Staker { staked, ..staker.clone() }], ..builder.clone() };
        assert_eq!(with(vec![full]).build(), Err(GenesisError::AlreadyExited));
        assert_eq!(with(vec![full, full]).build(), Err(GenesisError::StakeOverflow));
        let empty = Builder { allocations: vec![(allocation, Vec::new())], ..builder.clone() };
        assert_eq!(empty.build(), Err(GenesisError::EmptyUtxo));
    }
}
