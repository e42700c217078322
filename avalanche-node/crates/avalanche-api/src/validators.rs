//! `platform.getCurrentValidators` and its kin: who validates, with whom, since when. Mirrors the validator methods of
//! `vms/platformvm/service.go` and the types of `vms/platformvm/api`.

use std::collections::{BTreeMap, BTreeSet};

use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId};
use avalanche_vm::chain::{Validator, ValidatorSet, ValidatorState as _};
use platformvm::{
    fx::{Owner, Signer},
    state::{L1Validator, Priority, Staker, State},
    txs::{NamedTx, UnsignedTx},
    warp::CanonicalSet,
};
use serde_json::{Map, Value, json};
use shared_vendor::rpc::{Error, ParamDoc};

use crate::{
    Context,
    args::{Args, doc},
    failure,
    format::{decimal, number, plain_hex},
};

pub(crate) const CURRENT: &[ParamDoc] = &[
    doc("subnetID", "subnet; the primary network when left out"),
    doc("nodeIDs", "nodes; all when left out"),
];
pub(crate) const L1: &[ParamDoc] = &[doc("validationID", "the validation")];
pub(crate) const ALL_AT: &[ParamDoc] = &[doc("height", "height, or `proposed`")];
pub(crate) const AT: &[ParamDoc] =
    &[doc("height", "height, or `proposed`"), doc("subnetID", "subnet; the primary network when left out")];

/// Millionths in a whole.
const MILLIONTHS: f64 = 1e6;

fn common(staker: &Staker) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("txID".to_owned(), json!(staker.tx_id.to_string()));
    object.insert("startTime".to_owned(), number(staker.start));
    object.insert("endTime".to_owned(), number(staker.end));
    object.insert("weight".to_owned(), number(staker.weight));
    object.insert("nodeID".to_owned(), json!(staker.node_id.to_string()));
    object
}

struct Terms<'a> {
    validation: &'a Owner,
    delegation: &'a Owner,
    shares: u32,
    signer: Option<&'a Signer>,
}

fn terms(tx: &NamedTx) -> Option<Terms<'_>> {
    match &tx.tx.unsigned {
        UnsignedTx::AddValidator(tx) => Some(Terms {
            validation: &tx.rewards_owner,
            delegation: &tx.rewards_owner,
            shares: tx.delegation_shares,
            signer: None,
        }),
        UnsignedTx::AddPermissionlessValidator(tx) => Some(Terms {
            validation: &tx.validator_rewards_owner,
            delegation: &tx.delegator_rewards_owner,
            shares: tx.delegation_shares,
            signer: Some(&tx.signer),
        }),
        UnsignedTx::AddAutoRenewedValidator(tx) => Some(Terms {
            validation: &tx.validator_rewards_owner,
            delegation: &tx.delegator_rewards_owner,
            shares: tx.delegation_shares,
            signer: Some(&tx.signer),
        }),
        _ => None,
    }
}

fn reward_owner(tx: &NamedTx) -> Option<&Owner> {
    match &tx.tx.unsigned {
        UnsignedTx::AddDelegator(tx) => Some(&tx.rewards_owner),
        UnsignedTx::AddPermissionlessDelegator(tx) => Some(&tx.rewards_owner),
        _ => None,
    }
}

pub(crate) fn current(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    let wanted: BTreeSet<NodeId> = args.nodes("nodeIDs")?.into_iter().collect();
    let now = context.clock.wall().as_secs();
    let is_l1 = context.platform.read(|state| state.draft().conversion(subnet).is_some());
    if is_l1 {
        return Ok(json!({ "validators": l1_validators(context, subnet, &wanted) }));
    }
    context.platform.read_with_uptimes(|state, uptimes| {
        let up = |staker: &Staker| {
            uptimes.part_since(state, staker.node_id, staker.start, now).unwrap_or_default()
        };
        let draft = state.draft();
        let mut delegators: BTreeMap<NodeId, Vec<(u64, Value)>> = BTreeMap::new();
        let mut validators = Vec::new();
        let stakers = draft.current_stakers().filter(|staker| {
            staker.subnet == subnet && (wanted.is_empty() || wanted.contains(&staker.node_id))
        });
        for staker in stakers {
            match staker.priority {
                Priority::PrimaryValidatorCurrent | Priority::PermissionlessValidatorCurrent => {
                    validators.push((staker.node_id, validator(context, state, staker, &up)?, true));
                }
                Priority::PrimaryDelegatorCurrent | Priority::PermissionlessDelegatorCurrent => {
                    let mut object = common(staker);
                    if wanted.len() == 1 {
                        let tx = load(state, staker.tx_id)?;
                        if let Some(Owner::Secp256k1(owner)) = reward_owner(&tx) {
                            object.insert("rewardOwner".to_owned(), context.owners(owner));
                        }
                    }
                    object.insert("potentialReward".to_owned(), number(staker.potential_reward));
                    delegators
                        .entry(staker.node_id)
                        .or_default()
                        .push((staker.weight, Value::Object(object)));
                }
                _ => validators.push((staker.node_id, common(staker), false)),
            }
        }
        let validators: Vec<_> = validators
            .into_iter()
            .map(|(node, mut object, earns)| {
                if earns {
                    let own = delegators.remove(&node).unwrap_or_default();
                    let weight = own.iter().fold(0_u64, |sum, (weight, _)| sum.saturating_add(*weight));
                    let count = u64::try_from(own.len()).unwrap_or(u64::MAX);
                    object.insert("delegatorCount".to_owned(), number(count));
                    object.insert("delegatorWeight".to_owned(), number(weight));
                    if wanted.len() == 1 {
                        let own = own.into_iter().map(|(_, delegator)| delegator).collect();
                        object.insert("delegators".to_owned(), Value::Array(own));
                    }
                }
                Value::Object(object)
            })
            .collect();
        Ok(json!({ "validators": validators }))
    })
}

fn load(state: &State, tx: Id) -> Result<std::sync::Arc<NamedTx>, Error> {
    let found = state.tx(&tx).map_err(|err| failure(err.to_string()))?;
    found.map(|(tx, _)| tx).ok_or_else(|| failure("not found"))
}

fn validator(
    context: &Context,
    state: &State,
    staker: &Staker,
    up: &dyn Fn(&Staker) -> f64,
) -> Result<Map<String, Value>, Error> {
    let mut object = common(staker);
    let tx = load(state, staker.tx_id)?;
    let terms = terms(&tx).ok_or_else(|| failure("unexpected staker tx type"))?;
    let (Owner::Secp256k1(validation), Owner::Secp256k1(delegation)) = (terms.validation, terms.delegation);
    object.insert("validationRewardOwner".to_owned(), context.owners(validation));
    object.insert("delegationRewardOwner".to_owned(), context.owners(delegation));
    object.insert("potentialReward".to_owned(), number(staker.potential_reward));
    let info = state.draft().staking_info(staker.subnet, staker.node_id).unwrap_or_default();
    object.insert("accruedDelegateeReward".to_owned(), number(info.delegatee_reward));
    object.insert("delegationFee".to_owned(), decimal(100.0 * f64::from(terms.shares) / MILLIONTHS));
    if let UnsignedTx::AddAutoRenewedValidator(add) = &tx.tx.unsigned {
        let Owner::Secp256k1(authority) = &add.validator_authority;
        object.insert("validatorAuthority".to_owned(), context.owners(authority));
        object.insert("nextPeriod".to_owned(), number(info.next_period));
        let shares = number(u64::from(info.auto_compound_reward_shares));
        object.insert("autoCompoundRewardShares".to_owned(), shares);
    }
    if staker.subnet == Id::EMPTY {
        object.insert("uptime".to_owned(), decimal(up(staker) * 100.0));
        object.insert("connected".to_owned(), json!(context.node.is_connected(staker.node_id)));
    }
    if let Some(Signer::Proof(proof)) = terms.signer {
        let signer = json!({
            "publicKey": plain_hex(&proof.public_key),
            "proofOfPossession": plain_hex(&proof.proof),
        });
        object.insert("signer".to_owned(), signer);
    }
    Ok(object)
}

fn l1_object(context: &Context, validator: &L1Validator, accrued: u64) -> Map<String, Value> {
    let owner = |owner: &platformvm::warp::PChainOwner| {
        let addresses: Vec<_> = owner.addresses.iter().map(|owner| context.address("P", owner)).collect();
        json!({ "locktime": number(0), "threshold": number(u64::from(owner.threshold)), "addresses": addresses })
    };
    let key = bls::PublicKey::from_uncompressed(&validator.public_key).map(|key| plain_hex(&key.to_bytes()));
    let balance =
        if validator.is_active() { validator.end_accumulated_fee.saturating_sub(accrued) } else { 0 };
    let members = [
        ("nodeID", json!(validator.node_id.to_string())),
        ("weight", number(validator.weight)),
        ("startTime", number(validator.start)),
        ("validationID", json!(validator.validation_id.to_string())),
        ("publicKey", json!(key.unwrap_or_default())),
        ("remainingBalanceOwner", owner(&validator.remaining_balance_owner)),
        ("deactivationOwner", owner(&validator.deactivation_owner)),
        ("minNonce", number(validator.min_nonce)),
        ("balance", number(balance)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn l1_validators(context: &Context, subnet: Id, wanted: &BTreeSet<NodeId>) -> Vec<Value> {
    let is_wanted = |node: &NodeId| wanted.is_empty() || wanted.contains(node);
    context.platform.read(|state| {
        let draft = state.draft();
        let stakers =
            draft.current_stakers().filter(|staker| staker.subnet == subnet && is_wanted(&staker.node_id));
        let mut all: Vec<_> = stakers.map(|staker| Value::Object(common(staker))).collect();
        let accrued = state.scalars().accrued_fees;
        let mut l1: Vec<_> =
            state.l1_validators(Some(subnet)).filter(|validator| is_wanted(&validator.node_id)).collect();
        l1.sort_by_key(|validator| validator.node_id);
        all.extend(l1.into_iter().map(|validator| Value::Object(l1_object(context, validator, accrued))));
        all
    })
}

pub(crate) fn l1_validator(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = args.id("validationID")?;
    context.platform.read(|state| {
        let validator = state.draft().l1_validator(id);
        let validator =
            validator.ok_or_else(|| failure(format!("fetching L1 validator \"{id}\" failed: not found")))?;
        let mut object = l1_object(context, &validator, state.scalars().accrued_fees);
        object.insert("subnetID".to_owned(), json!(validator.subnet.to_string()));
        object.insert("height".to_owned(), number(state.height()));
        Ok(Value::Object(object))
    })
}

fn asked_height(context: &Context, args: &Args<'_>) -> Result<u64, Error> {
    match args.value("height") {
        Some(Value::String(text)) if text == "proposed" => {
            context.platform.minimum_height(context.clock.wall()).map_err(|err| failure(err.to_string()))
        }
        _ => args.number("height"),
    }
}

/// The validators of all subnets as warp messages are checked against them.
pub(crate) fn all_at(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let height = asked_height(context, args)?;
    context.platform.read(|state| {
        let current = state.height();
        if height > current {
            return Err(failure(format!(
                "failed to get validator sets at {height}: failed to fetch validator set at unfinalized height: current P-chain height ({current}) < requested P-Chain height ({height})"
            )));
        }
        let mut sets = Map::new();
        for subnet in std::iter::once(&Id::EMPTY).chain(state.subnets()) {
            let set = state
                .set_at(*subnet, height)
                .map_err(|err| failure(format!("failed to get validator sets at {height}: {err}")))?;
            if !set.is_empty() {
                sets.extend(warp_set(&set).map(|set| (subnet.to_string(), set)));
            }
        }
        Ok(json!({ "validatorSets": sets }))
    })
}

/// The canonical set, with the nodes of each key; none when its weight overflows.
fn warp_set(set: &ValidatorSet) -> Option<Value> {
    let canonical =
        CanonicalSet::new(set.values().map(|validator| (validator.public_key, validator.weight))).ok()?;
    let validators = canonical.validators.iter().map(|merged| {
        let is_of_key = |(_, validator): &(&NodeId, &Validator)| validator.public_key == Some(merged.public_key);
        let nodes: Vec<_> = set.iter().filter(is_of_key).map(|(node, _)| node.to_string()).collect();
        json!({ "publicKey": plain_hex(&merged.public_key.to_bytes()), "weight": number(merged.weight), "nodeIDs": nodes })
    });
    let validators: Vec<_> = validators.collect();
    Some(json!({ "validators": validators, "totalWeight": number(canonical.total_weight) }))
}

pub(crate) fn at(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let (subnet, height) = (args.id("subnetID")?, asked_height(context, args)?);
    let current = context.platform.read(State::height);
    if height > current {
        return Err(failure(format!(
            "failed to get validator set at {height}: failed to fetch validator set at unfinalized height with SubnetID = {subnet}: current P-chain height ({current}) < requested P-Chain height ({height})"
        )));
    }
    let set = context
        .platform
        .validators_at(height, subnet)
        .map_err(|err| failure(format!("failed to get validator set at {height}: {err}")))?;
    let members = set.iter().map(|(node, validator)| {
        let key = validator.public_key.map(|key| plain_hex(&key.to_bytes()));
        (node.to_string(), json!({ "publicKey": key, "weight": number(validator.weight) }))
    });
    Ok(Value::Object(members.collect()))
}
