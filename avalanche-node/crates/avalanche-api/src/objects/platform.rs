//! Transactions and blocks of the P-chain. Mirrors the JSON tags of `vms/platformvm/{txs,block,signer,stakeable}`.

use avalanche_ids::Id;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use platformvm::{
    block::{Block, Common},
    fx::{
        Auth, Credential, Input, LockIn, LockOut, LockedInput, LockedOutput, Output, Owner,
        ProofOfPossession, Signer,
    },
    txs::{
        AddAutoRenewedValidatorTx, AddPermissionlessDelegatorTx, AddPermissionlessValidatorTx,
        ConvertSubnetToL1Tx, ConvertSubnetToL1Validator, CreateChainTx, NamedTx, TransformSubnetTx, Tx,
        UnsignedTx, Validator,
    },
    warp::PChainOwner,
};
use serde_json::{Map, Value, json};

use super::{Objects, Part, fields, hex, signatures, signers, spends, text, with};

impl Part for Output {
    fn object(&self, objects: Objects<'_>) -> Value {
        match self {
            Self::Transfer(out) => Value::Object(objects.transfer(out)),
            Self::Locked(LockOut { locktime, out: LockedOutput::Transfer(out) }) => {
                json!({ "locktime": locktime, "output": objects.transfer(out) })
            }
        }
    }
}

impl Part for Input {
    fn object(&self, _: Objects<'_>) -> Value {
        match self {
            Self::Transfer(input) => spends(input),
            Self::Locked(LockIn { locktime, input: LockedInput::Transfer(input) }) => {
                json!({ "locktime": locktime, "input": spends(input) })
            }
        }
    }
}

fn auth(auth: &Auth) -> Value {
    signers(auth.input())
}

fn possession(proof: &ProofOfPossession) -> Value {
    json!({ "publicKey": hex(&proof.public_key), "proofOfPossession": hex(&proof.proof) })
}

fn signer(signer: &Signer) -> Value {
    match signer {
        Signer::Empty(_) => json!({}),
        Signer::Proof(proof) => possession(proof),
    }
}

fn period(validator: &Validator) -> Map<String, Value> {
    fields([
        ("nodeID", text(&validator.node_id)),
        ("start", json!(validator.start)),
        ("end", json!(validator.end)),
        ("weight", json!(validator.weight)),
    ])
}

fn common(common: &Common) -> [(&'static str, Value); 2] {
    [("parentID", text(&common.parent_id)), ("height", json!(common.height))]
}

fn l1_owner(owner: &PChainOwner) -> Value {
    let addresses: Vec<_> = owner.addresses.iter().map(ToString::to_string).collect();
    json!({ "threshold": owner.threshold, "addresses": addresses })
}

fn l1_validator(_: Objects<'_>, validator: &ConvertSubnetToL1Validator) -> Value {
    json!({
        "nodeID": hex(&validator.node_id),
        "weight": validator.weight,
        "balance": validator.balance,
        "signer": possession(&validator.signer),
        "remainingBalanceOwner": l1_owner(&validator.remaining_balance_owner),
        "deactivationOwner": l1_owner(&validator.deactivation_owner),
    })
}

impl Objects<'_> {
    fn owner(self, owner: &Owner) -> Value {
        let Owner::Secp256k1(owners) = owner;
        Value::Object(self.owners(owners))
    }

    /// A block.
    pub(crate) fn platform_block(self, id: Id, block: &Block) -> Value {
        let txs = |txs: &[Tx]| ("txs", self.list(txs, Self::platform_tx));
        let time = |time: u64| ("time", json!(time));
        let object = match block {
            Block::ApricotProposal(block) => {
                with(fields(common(&block.common)), [("tx", self.platform_tx(&block.tx))])
            }
            Block::ApricotAtomic(block) => {
                with(fields(common(&block.common)), [("tx", self.platform_tx(&block.tx))])
            }
            Block::ApricotAbort(block) | Block::ApricotCommit(block) => fields(common(&block.common)),
            Block::ApricotStandard(block) => with(fields(common(&block.common)), [txs(&block.txs)]),
            Block::BanffProposal(block) => {
                let tx = ("tx", self.platform_tx(&block.proposal.tx));
                with(fields(common(&block.proposal.common)), [time(block.time), txs(&block.txs), tx])
            }
            Block::BanffAbort(block) | Block::BanffCommit(block) => {
                with(fields(common(&block.common)), [time(block.time)])
            }
            Block::BanffStandard(block) => {
                with(fields(common(&block.common)), [time(block.time), txs(&block.txs)])
            }
        };
        Value::Object(with(object, [("id", text(&id))]))
    }

    /// A signed transaction.
    pub(crate) fn platform_tx(self, tx: &Tx) -> Value {
        json!({
            "unsignedTx": self.platform_unsigned(&tx.unsigned),
            "credentials": self.list(&tx.credentials, |_, Credential::Secp256k1(credential)| signatures(credential)),
            "id": text(&NamedTx::new(tx.clone()).id),
        })
    }

    fn platform_unsigned(self, tx: &UnsignedTx) -> Value {
        let base = tx.base().map(|base| self.base(base)).unwrap_or_default();
        Value::Object(match tx {
            UnsignedTx::Base(_) => base,
            UnsignedTx::AddValidator(tx) => with(
                base,
                [
                    ("validator", Value::Object(period(&tx.validator))),
                    ("stake", self.outputs(&tx.stake_outs)),
                    ("rewardsOwner", self.owner(&tx.rewards_owner)),
                    ("shares", json!(tx.delegation_shares)),
                ],
            ),
            UnsignedTx::AddSubnetValidator(tx) => {
                let subnet = [("subnetID", text(&tx.validator.subnet))];
                let validator = Value::Object(with(period(&tx.validator.validator), subnet));
                with(base, [("validator", validator), ("subnetAuthorization", auth(&tx.subnet_auth))])
            }
            UnsignedTx::AddDelegator(tx) => with(
                base,
                [
                    ("validator", Value::Object(period(&tx.validator))),
                    ("stake", self.outputs(&tx.stake_outs)),
                    ("rewardsOwner", self.owner(&tx.rewards_owner)),
                ],
            ),
            UnsignedTx::CreateChain(tx) => create_chain(base, tx),
            UnsignedTx::CreateSubnet(tx) => with(base, [("owner", self.owner(&tx.owner))]),
            UnsignedTx::Import(tx) => self.import(tx),
            UnsignedTx::Export(tx) => self.export(tx),
            UnsignedTx::AdvanceTime(tx) => fields([("time", json!(tx.time))]),
            UnsignedTx::RewardValidator(tx) => fields([("txID", text(&tx.tx_id))]),
            UnsignedTx::RemoveSubnetValidator(tx) => with(
                base,
                [
                    ("nodeID", text(&tx.node_id)),
                    ("subnetID", text(&tx.subnet)),
                    ("subnetAuthorization", auth(&tx.subnet_auth)),
                ],
            ),
            UnsignedTx::TransformSubnet(tx) => transform_subnet(base, tx),
            UnsignedTx::AddPermissionlessValidator(tx) => self.add_validator(base, tx),
            UnsignedTx::AddPermissionlessDelegator(tx) => self.add_delegator(base, tx),
            UnsignedTx::TransferSubnetOwnership(tx) => with(
                base,
                [
                    ("subnetID", text(&tx.subnet)),
                    ("subnetAuthorization", auth(&tx.subnet_auth)),
                    ("newOwner", self.owner(&tx.owner)),
                ],
            ),
            UnsignedTx::ConvertSubnetToL1(tx) => self.convert_subnet(base, tx),
            UnsignedTx::RegisterL1Validator(tx) => with(
                base,
                [
                    ("balance", json!(tx.balance)),
                    ("proofOfPossession", json!(tx.proof_of_possession.as_slice())),
                    ("message", hex(&tx.message)),
                ],
            ),
            UnsignedTx::SetL1ValidatorWeight(tx) => with(base, [("message", hex(&tx.message))]),
            UnsignedTx::IncreaseL1ValidatorBalance(tx) => {
                with(base, [("validationID", text(&tx.validation_id)), ("balance", json!(tx.balance))])
            }
            UnsignedTx::DisableL1Validator(tx) => with(
                base,
                [("validationID", text(&tx.validation_id)), ("disableAuthorization", auth(&tx.disable_auth))],
            ),
            UnsignedTx::AddAutoRenewedValidator(tx) => self.add_auto_renewed(base, tx),
            UnsignedTx::SetAutoRenewedValidatorConfig(tx) => with(
                base,
                [
                    ("txID", text(&tx.tx_id)),
                    ("auth", auth(&tx.auth)),
                    ("autoCompoundRewardShares", json!(tx.auto_compound_reward_shares)),
                    ("period", json!(tx.period)),
                ],
            ),
            UnsignedTx::RewardAutoRenewedValidator(tx) => {
                fields([("txID", text(&tx.tx_id)), ("timestamp", json!(tx.timestamp))])
            }
        })
    }

    fn add_validator(
        self,
        base: Map<String, Value>,
        tx: &AddPermissionlessValidatorTx,
    ) -> Map<String, Value> {
        with(
            base,
            [
                ("validator", Value::Object(period(&tx.validator))),
                ("subnetID", text(&tx.subnet)),
                ("signer", signer(&tx.signer)),
                ("stake", self.outputs(&tx.stake_outs)),
                ("validationRewardsOwner", self.owner(&tx.validator_rewards_owner)),
                ("delegationRewardsOwner", self.owner(&tx.delegator_rewards_owner)),
                ("shares", json!(tx.delegation_shares)),
            ],
        )
    }

    fn add_delegator(
        self,
        base: Map<String, Value>,
        tx: &AddPermissionlessDelegatorTx,
    ) -> Map<String, Value> {
        with(
            base,
            [
                ("validator", Value::Object(period(&tx.validator))),
                ("subnetID", text(&tx.subnet)),
                ("stake", self.outputs(&tx.stake_outs)),
                ("rewardsOwner", self.owner(&tx.rewards_owner)),
            ],
        )
    }

    fn convert_subnet(self, base: Map<String, Value>, tx: &ConvertSubnetToL1Tx) -> Map<String, Value> {
        with(
            base,
            [
                ("subnetID", text(&tx.subnet)),
                ("chainID", text(&tx.chain_id)),
                ("address", hex(&tx.address)),
                ("validators", self.list(&tx.validators, l1_validator)),
                ("subnetAuthorization", auth(&tx.subnet_auth)),
            ],
        )
    }

    fn add_auto_renewed(
        self,
        base: Map<String, Value>,
        tx: &AddAutoRenewedValidatorTx,
    ) -> Map<String, Value> {
        with(
            base,
            [
                ("nodeID", hex(&tx.node_id)),
                ("signer", signer(&tx.signer)),
                ("stake", self.outputs(&tx.stake_outs)),
                ("validationRewardsOwner", self.owner(&tx.validator_rewards_owner)),
                ("delegationRewardsOwner", self.owner(&tx.delegator_rewards_owner)),
                ("validatorAuthority", self.owner(&tx.validator_authority)),
                ("delegationShares", json!(tx.delegation_shares)),
                ("autoCompoundRewardShares", json!(tx.auto_compound_reward_shares)),
                ("period", json!(tx.period)),
            ],
        )
    }
}

fn create_chain(base: Map<String, Value>, tx: &CreateChainTx) -> Map<String, Value> {
    let fxs: Vec<_> = tx.fx_ids.iter().map(ToString::to_string).collect();
    with(
        base,
        [
            ("subnetID", text(&tx.subnet_id)),
            ("chainName", json!(String::from_utf8_lossy(tx.chain_name.as_bytes()))),
            ("vmID", text(&tx.vm_id)),
            ("fxIDs", json!(fxs)),
            ("genesisData", json!(STANDARD.encode(&tx.genesis_data))),
            ("subnetAuthorization", auth(&tx.subnet_auth)),
        ],
    )
}

fn transform_subnet(base: Map<String, Value>, tx: &TransformSubnetTx) -> Map<String, Value> {
    with(
        base,
        [
            ("subnetID", text(&tx.subnet)),
            ("assetID", text(&tx.asset_id)),
            ("initialSupply", json!(tx.initial_supply)),
            ("maximumSupply", json!(tx.maximum_supply)),
            ("minConsumptionRate", json!(tx.min_consumption_rate)),
            ("maxConsumptionRate", json!(tx.max_consumption_rate)),
            ("minValidatorStake", json!(tx.min_validator_stake)),
            ("maxValidatorStake", json!(tx.max_validator_stake)),
            ("minStakeDuration", json!(tx.min_stake_duration)),
            ("maxStakeDuration", json!(tx.max_stake_duration)),
            ("minDelegationFee", json!(tx.min_delegation_fee)),
            ("minDelegatorStake", json!(tx.min_delegator_stake)),
            ("maxValidatorWeightFactor", json!(tx.max_validator_weight_factor)),
            ("uptimeRequirement", json!(tx.uptime_requirement)),
            ("subnetAuthorization", auth(&tx.subnet_auth)),
        ],
    )
}
