//! Every rule is provoked by one change to a transaction that is otherwise well formed.

use avalanche_codec::Text;
use avalanche_crypto::bls::SecretKey;
use avalanche_vm::{avax::UtxoId, secp256k1fx::OutputOwners};

use super::*;
use crate::{
    fx::{Empty, LockIn, LockOut, LockedInput, LockedOutput, ProofOfPossession},
    txs::{
        AddAutoRenewedValidatorTx, AddPermissionlessDelegatorTx, AddSubnetValidatorTx, AddValidatorTx,
        ConvertSubnetToL1Validator, CreateSubnetTx, ImportTx, IncreaseL1ValidatorBalanceTx,
        RemoveSubnetValidatorTx, RewardAutoRenewedValidatorTx, SetAutoRenewedValidatorConfigTx,
        SubnetValidator, TransferSubnetOwnershipTx, Validator,
    },
};

const AVAX: Id = Id([9; 32]);
const SUBNET: Id = Id([8; 32]);
const CONTEXT: Context = Context { network_id: 7, avax_asset_id: AVAX };

type Rule = (SyntacticError, fn(&mut UnsignedTx));

fn owners() -> OutputOwners {
    OutputOwners { locktime: 0, threshold: 1, addrs: vec![ShortId([1; 20]), ShortId([2; 20])] }
}

fn transfer(amount: u64) -> secp256k1fx::TransferOutput {
    secp256k1fx::TransferOutput { amount, owners: owners() }
}

fn output(amount: u64) -> TransferableOutput {
    TransferableOutput { asset_id: AVAX, out: Output::Transfer(transfer(amount)) }
}

fn input(output_index: u32) -> TransferableInput {
    let input =
        secp256k1fx::TransferInput { amount: 5, input: secp256k1fx::Input { sig_indices: vec![0, 1] } };
    TransferableInput {
        utxo_id: UtxoId { tx_id: Id([3; 32]), output_index },
        asset_id: AVAX,
        input: Input::Transfer(input),
    }
}

fn base() -> BaseTx {
    BaseTx {
        network_id: 7,
        blockchain_id: CHAIN_ID,
        outs: vec![output(1), output(2)],
        ins: vec![input(0), input(1)],
        memo: vec![0; MAX_MEMO_LEN],
    }
}

fn owner() -> Owner {
    Owner::Secp256k1(owners())
}

fn auth() -> Auth {
    Auth::Secp256k1(secp256k1fx::Input { sig_indices: vec![0] })
}

fn validator() -> Validator {
    Validator { node_id: NodeId([4; 20]), start: 0, end: 10, weight: 3 }
}

fn proof() -> ProofOfPossession {
    let key = SecretKey::from_bytes(&[5; 32]).unwrap();
    let public_key = key.public_key().to_bytes();
    ProofOfPossession { public_key, proof: key.sign_possession(&public_key).to_bytes() }
}

/// The well-formed transaction passes; each change breaks its rule.
fn check(good: &UnsignedTx, rules: &[Rule]) {
    assert_eq!(verify(good, &CONTEXT), Ok(()));
    for (error, change) in rules {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(verify(&bad, &CONTEXT), Err(*error));
    }
}

macro_rules! change {
    ($kind:ident, $tx:ident => $change:expr) => {
        |any| {
            if let UnsignedTx::$kind($tx) = any {
                $change;
            }
        }
    };
}

#[test]
fn common_fields() {
    use SyntacticError as E;
    fn out(tx: &mut UnsignedTx) -> &mut secp256k1fx::TransferOutput {
        match tx {
            UnsignedTx::Base(tx) => match &mut tx.outs[0].out {
                Output::Transfer(out) => out,
                Output::Locked(_) => unreachable!("the first output is not locked"),
            },
            _ => unreachable!("a base transaction"),
        }
    }
    check(
        &UnsignedTx::Base(Box::new(base())),
        &[
            (E::WrongNetwork, change!(Base, tx => tx.network_id = 1)),
            (E::WrongChain, change!(Base, tx => tx.blockchain_id = SUBNET)),
            (E::MemoTooLarge(257), change!(Base, tx => tx.memo.push(0))),
            (E::EmptyAssetId, change!(Base, tx => tx.outs[0].asset_id = Id::EMPTY)),
            (E::EmptyAssetId, change!(Base, tx => tx.ins[0].asset_id = Id::EMPTY)),
            (E::OutputsNotSorted, change!(Base, tx => tx.outs.reverse())),
            (E::InputsNotSortedUnique, change!(Base, tx => tx.ins.reverse())),
            (E::InputsNotSortedUnique, change!(Base, tx => tx.ins[1] = tx.ins[0].clone())),
            (E::NoValueOutput, |tx| out(tx).amount = 0),
            (E::OutputUnspendable, |tx| out(tx).owners.threshold = 3),
            (E::OutputUnoptimized, |tx| out(tx).owners.threshold = 0),
            (E::AddrsNotSortedUnique, |tx| out(tx).owners.addrs.reverse()),
            (E::AddrsNotSortedUnique, |tx| out(tx).owners.addrs = vec![ShortId([1; 20]); 2]),
            (
                E::InvalidLocktime,
                change!(Base, tx => {
                    let out = LockedOutput::Transfer(transfer(1));
                    tx.outs[0].out = Output::Locked(LockOut { locktime: 0, out });
                }),
            ),
            (
                E::InvalidLocktime,
                change!(Base, tx => {
                    let input = LockedInput::Transfer(tx.ins[0].input.transfer().clone());
                    tx.ins[0].input = Input::Locked(LockIn { locktime: 0, input });
                }),
            ),
            (
                E::NoValueInput,
                change!(Base, tx => tx.ins[0].input = Input::Transfer(secp256k1fx::TransferInput::default())),
            ),
            (
                E::InputIndicesNotSortedUnique,
                change!(Base, tx => tx.ins[0].input = Input::Transfer(secp256k1fx::TransferInput {
                    amount: 1,
                    input: secp256k1fx::Input { sig_indices: vec![1, 1] },
                })),
            ),
        ],
    );
}

#[test]
fn imports_and_exports() {
    use SyntacticError as E;
    let import = ImportTx { base: base(), source_chain: SUBNET, imported_inputs: vec![input(0), input(1)] };
    check(
        &UnsignedTx::Import(Box::new(import)),
        &[
            (E::NoImportInputs, change!(Import, tx => tx.imported_inputs.clear())),
            (E::InputsNotSortedUnique, change!(Import, tx => tx.imported_inputs.reverse())),
        ],
    );
    let export =
        ExportTx { base: base(), destination_chain: SUBNET, exported_outputs: vec![output(1), output(2)] };
    check(
        &UnsignedTx::Export(Box::new(export)),
        &[
            (E::NoExportOutputs, change!(Export, tx => tx.exported_outputs.clear())),
            (E::OutputsNotSorted, change!(Export, tx => tx.exported_outputs.reverse())),
            (
                E::LockedExport,
                change!(Export, tx => {
                    let out = LockedOutput::Transfer(transfer(1));
                    tx.exported_outputs[0].out = Output::Locked(LockOut { locktime: 1, out });
                }),
            ),
        ],
    );
}

#[test]
fn staking() {
    use SyntacticError as E;
    let tx = AddValidatorTx {
        base: base(),
        validator: validator(),
        stake_outs: vec![output(1), output(2)],
        rewards_owner: owner(),
        delegation_shares: 1_000_000,
    };
    check(
        &UnsignedTx::AddValidator(Box::new(tx)),
        &[
            (E::TooManyShares, change!(AddValidator, tx => tx.delegation_shares += 1)),
            (E::WeightTooSmall, change!(AddValidator, tx => tx.validator.weight = 0)),
            (E::WeightMismatch { weight: 4, stake: 3 }, change!(AddValidator, tx => tx.validator.weight = 4)),
            (E::StakeMustBeAvax, change!(AddValidator, tx => tx.stake_outs[0].asset_id = SUBNET)),
            (E::OutputsNotSorted, change!(AddValidator, tx => tx.stake_outs.reverse())),
            (E::StakeOverflow, change!(AddValidator, tx => tx.stake_outs[1] = output(u64::MAX))),
        ],
    );
    let tx = AddPermissionlessDelegatorTx {
        base: base(),
        validator: validator(),
        subnet: SUBNET,
        stake_outs: vec![output(1), output(2)],
        rewards_owner: owner(),
    };
    check(
        &UnsignedTx::AddPermissionlessDelegator(Box::new(tx)),
        &[
            (E::NoStake, change!(AddPermissionlessDelegator, tx => tx.stake_outs.clear())),
            (
                E::MultipleStakedAssets,
                change!(AddPermissionlessDelegator, tx => tx.stake_outs[0].asset_id = SUBNET),
            ),
        ],
    );
    let tx = AddPermissionlessValidatorTx {
        base: base(),
        validator: validator(),
        subnet: CHAIN_ID,
        signer: Signer::Proof(Box::new(proof())),
        stake_outs: vec![output(3)],
        validator_rewards_owner: owner(),
        delegator_rewards_owner: owner(),
        delegation_shares: 0,
    };
    check(
        &UnsignedTx::AddPermissionlessValidator(Box::new(tx)),
        &[
            (E::EmptyNodeId, change!(AddPermissionlessValidator, tx => tx.validator.node_id = NodeId::EMPTY)),
            (
                E::InvalidSigner,
                change!(AddPermissionlessValidator, tx => tx.signer = Signer::Empty(Empty {})),
            ),
            (E::InvalidSigner, change!(AddPermissionlessValidator, tx => tx.subnet = SUBNET)),
            (
                E::ProofOfPossession,
                change!(AddPermissionlessValidator, tx => {
                    let wrong = ProofOfPossession { proof: [0; 96], ..proof() };
                    tx.signer = Signer::Proof(Box::new(wrong));
                }),
            ),
        ],
    );
}

#[test]
fn renewed_validators() {
    use SyntacticError as E;
    let tx = AddAutoRenewedValidatorTx {
        base: base(),
        node_id: vec![4; 20],
        signer: Signer::Proof(Box::new(proof())),
        stake_outs: vec![output(3)],
        validator_rewards_owner: owner(),
        delegator_rewards_owner: owner(),
        validator_authority: owner(),
        delegation_shares: 0,
        auto_compound_reward_shares: 1_000_000,
        period: 1,
    };
    check(
        &UnsignedTx::AddAutoRenewedValidator(Box::new(tx)),
        &[
            (
                E::TooManyAutoCompoundShares,
                change!(AddAutoRenewedValidator, tx => tx.auto_compound_reward_shares += 1),
            ),
            (E::MissingPeriod, change!(AddAutoRenewedValidator, tx => tx.period = 0)),
            (E::NodeIdLength(19), change!(AddAutoRenewedValidator, tx => tx.node_id.truncate(19))),
            (E::EmptyNodeId, change!(AddAutoRenewedValidator, tx => tx.node_id = vec![0; 20])),
            (E::MissingSigner, change!(AddAutoRenewedValidator, tx => tx.signer = Signer::Empty(Empty {}))),
            (E::StakeMustBeAvax, change!(AddAutoRenewedValidator, tx => tx.stake_outs[0].asset_id = SUBNET)),
        ],
    );
    let tx = SetAutoRenewedValidatorConfigTx {
        base: base(),
        tx_id: Id([1; 32]),
        auth: auth(),
        auto_compound_reward_shares: 0,
        period: 0,
    };
    check(
        &UnsignedTx::SetAutoRenewedValidatorConfig(Box::new(tx)),
        &[(E::MissingTxId, change!(SetAutoRenewedValidatorConfig, tx => tx.tx_id = Id::EMPTY))],
    );
    check(
        &UnsignedTx::RewardAutoRenewedValidator(RewardAutoRenewedValidatorTx {
            tx_id: Id([1; 32]),
            timestamp: 1,
        }),
        &[
            (E::MissingTxId, change!(RewardAutoRenewedValidator, tx => tx.tx_id = Id::EMPTY)),
            (E::MissingTimestamp, change!(RewardAutoRenewedValidator, tx => tx.timestamp = 0)),
        ],
    );
}

#[test]
fn subnets() {
    use SyntacticError as E;
    let subnet_validator = SubnetValidator { validator: validator(), subnet: SUBNET };
    check(
        &UnsignedTx::AddSubnetValidator(Box::new(AddSubnetValidatorTx {
            base: base(),
            validator: subnet_validator,
            subnet_auth: auth(),
        })),
        &[(E::PrimaryNetwork, change!(AddSubnetValidator, tx => tx.validator.subnet = CHAIN_ID))],
    );
    check(&UnsignedTx::CreateSubnet(Box::new(CreateSubnetTx { base: base(), owner: owner() })), &[]);
    let remove = RemoveSubnetValidatorTx {
        base: base(),
        node_id: NodeId([4; 20]),
        subnet: SUBNET,
        subnet_auth: auth(),
    };
    check(
        &UnsignedTx::RemoveSubnetValidator(Box::new(remove)),
        &[(E::PrimaryNetwork, change!(RemoveSubnetValidator, tx => tx.subnet = CHAIN_ID))],
    );
    let transfer =
        TransferSubnetOwnershipTx { base: base(), subnet: SUBNET, subnet_auth: auth(), owner: owner() };
    check(
        &UnsignedTx::TransferSubnetOwnership(Box::new(transfer)),
        &[(E::PrimaryNetwork, change!(TransferSubnetOwnership, tx => tx.subnet = CHAIN_ID))],
    );
    let chain = CreateChainTx {
        base: base(),
        subnet_id: SUBNET,
        chain_name: Text::new("My chain 1").unwrap(),
        vm_id: Id([1; 32]),
        fx_ids: vec![Id([1; 32]), Id([2; 32])],
        genesis_data: vec![0; MAX_CHAIN_GENESIS_LEN],
        subnet_auth: auth(),
    };
    check(
        &UnsignedTx::CreateChain(Box::new(chain)),
        &[
            (E::PrimaryNetwork, change!(CreateChain, tx => tx.subnet_id = CHAIN_ID)),
            (
                E::NameTooLong(129),
                change!(CreateChain, tx => tx.chain_name = Text::new(vec![b'a'; 129]).unwrap()),
            ),
            (E::IllegalNameCharacter, change!(CreateChain, tx => tx.chain_name = Text::new("a-b").unwrap())),
            (E::InvalidVmId, change!(CreateChain, tx => tx.vm_id = Id::EMPTY)),
            (E::FxIdsNotSortedAndUnique, change!(CreateChain, tx => tx.fx_ids.reverse())),
            (
                E::GenesisTooLong(MAX_CHAIN_GENESIS_LEN + 1),
                change!(CreateChain, tx => tx.genesis_data.push(0)),
            ),
        ],
    );
}

#[test]
fn permissionless_subnets() {
    let rule = SyntacticError::Transform;
    let tx = TransformSubnetTx {
        base: base(),
        subnet: SUBNET,
        asset_id: Id([1; 32]),
        initial_supply: 10,
        maximum_supply: 20,
        min_consumption_rate: 1,
        max_consumption_rate: 1_000_000,
        min_validator_stake: 2,
        max_validator_stake: 20,
        min_stake_duration: 1,
        max_stake_duration: 2,
        min_delegation_fee: 1_000_000,
        min_delegator_stake: 1,
        max_validator_weight_factor: 1,
        uptime_requirement: 1_000_000,
        subnet_auth: auth(),
    };
    check(
        &UnsignedTx::TransformSubnet(Box::new(tx)),
        &[
            (SyntacticError::PrimaryNetwork, change!(TransformSubnet, tx => tx.subnet = CHAIN_ID)),
            (rule("asset id is empty"), change!(TransformSubnet, tx => tx.asset_id = Id::EMPTY)),
            (rule("asset cannot be AVAX"), change!(TransformSubnet, tx => tx.asset_id = AVAX)),
            (rule("initial supply is zero"), change!(TransformSubnet, tx => tx.initial_supply = 0)),
            (
                rule("initial supply is above the maximum"),
                change!(TransformSubnet, tx => tx.initial_supply = 21),
            ),
            (
                rule("min consumption rate is above the max"),
                change!(TransformSubnet, tx => tx.min_consumption_rate = 1_000_001),
            ),
            (
                rule("max consumption rate is above 100 %"),
                change!(TransformSubnet, tx => tx.max_consumption_rate = 1_000_001),
            ),
            (rule("min validator stake is zero"), change!(TransformSubnet, tx => tx.min_validator_stake = 0)),
            (
                rule("min validator stake is above the initial supply"),
                change!(TransformSubnet, tx => tx.min_validator_stake = 11),
            ),
            (
                rule("min validator stake is above the max"),
                change!(TransformSubnet, tx => tx.max_validator_stake = 1),
            ),
            (
                rule("max validator stake is above the maximum supply"),
                change!(TransformSubnet, tx => tx.max_validator_stake = 21),
            ),
            (rule("min stake duration is zero"), change!(TransformSubnet, tx => tx.min_stake_duration = 0)),
            (
                rule("min stake duration is above the max"),
                change!(TransformSubnet, tx => tx.min_stake_duration = 3),
            ),
            (
                rule("min delegation fee is above 100 %"),
                change!(TransformSubnet, tx => tx.min_delegation_fee = 1_000_001),
            ),
            (rule("min delegator stake is zero"), change!(TransformSubnet, tx => tx.min_delegator_stake = 0)),
            (
                rule("max validator weight factor is zero"),
                change!(TransformSubnet, tx => tx.max_validator_weight_factor = 0),
            ),
            (
                rule("uptime requirement is above 100 %"),
                change!(TransformSubnet, tx => tx.uptime_requirement = 1_000_001),
            ),
        ],
    );
}

#[test]
fn l1s() {
    use SyntacticError as E;
    let p_chain_owner = || PChainOwner { threshold: 1, addresses: vec![ShortId([1; 20])] };
    let validator = |node: u8| ConvertSubnetToL1Validator {
        node_id: vec![node; 20],
        weight: 1,
        balance: 0,
        signer: proof(),
        remaining_balance_owner: p_chain_owner(),
        deactivation_owner: p_chain_owner(),
    };
    let tx = ConvertSubnetToL1Tx {
        base: base(),
        subnet: SUBNET,
        chain_id: Id([1; 32]),
        address: vec![0; MAX_SUBNET_ADDRESS_LEN],
        validators: vec![validator(1), validator(2)],
        subnet_auth: auth(),
    };
    check(
        &UnsignedTx::ConvertSubnetToL1(Box::new(tx)),
        &[
            (E::PrimaryNetwork, change!(ConvertSubnetToL1, tx => tx.subnet = CHAIN_ID)),
            (E::AddressTooLong(4097), change!(ConvertSubnetToL1, tx => tx.address.push(0))),
            (E::NoValidators, change!(ConvertSubnetToL1, tx => tx.validators.clear())),
            (E::ValidatorsNotSortedUnique, change!(ConvertSubnetToL1, tx => tx.validators.reverse())),
            (E::ZeroWeight, change!(ConvertSubnetToL1, tx => tx.validators[0].weight = 0)),
            (E::NodeIdLength(1), change!(ConvertSubnetToL1, tx => tx.validators[0].node_id = vec![1])),
            (E::ProofOfPossession, change!(ConvertSubnetToL1, tx => tx.validators[1].signer.proof = [0; 96])),
            (
                E::OutputUnspendable,
                change!(ConvertSubnetToL1, tx => tx.validators[0].deactivation_owner.threshold = 2),
            ),
        ],
    );
    let increase = IncreaseL1ValidatorBalanceTx { base: base(), validation_id: Id([1; 32]), balance: 1 };
    check(
        &UnsignedTx::IncreaseL1ValidatorBalance(Box::new(increase)),
        &[(E::ZeroBalance, change!(IncreaseL1ValidatorBalance, tx => tx.balance = 0))],
    );
}
