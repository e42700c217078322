//! `platform.*`: the P-chain. Mirrors `vms/platformvm/service.go`.

use std::collections::BTreeSet;

use avalanche_codec::marshal;
use avalanche_ids::{Id, NodeId};
use avalanche_utils::{prng::Mt19937_64, sampler::WeightedSampler};
use avalanche_vm::chain::ValidatorState as _;
use platformvm::{
    block::Block,
    fx::Owner,
    state::{Priority, State, TxStatus},
    txs::{NamedTx, UnsignedTx, parse},
};
use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc};

use crate::{
    Context, Row, add_all,
    args::{Args, doc, malformed},
    balances, blocks, failure,
    format::{number, plain_hex, time, unpacked},
    objects::Objects,
    utxos::{self, stored},
    validators,
};

/// Most addresses in one question for stake.
const MAX_STAKE_ADDRESSES: usize = 256;

const NONE: &[ParamDoc] = &[];
const SUBNET: &[ParamDoc] = &[doc("subnetID", "subnet; the primary network when left out")];
const SUBNETS: &[ParamDoc] = &[doc("ids", "subnets; all when left out")];
const CHAIN: &[ParamDoc] = &[doc("blockchainID", "alias or id of a chain")];
const TX: &[ParamDoc] = &[doc("tx", "signed transaction"), doc("encoding", "hex or hexnc")];
const TX_ID: &[ParamDoc] = &[
    doc("txID", "transaction"),
    doc("encoding", "hex, hexnc or json"),
    doc("includeReason", "of old clients, without effect"),
];
const SAMPLE: &[ParamDoc] = &[doc("size", "how many"), doc("subnetID", "subnet")];
const STAKE: &[ParamDoc] = &[
    doc("addresses", "owners"),
    doc("validatorsOnly", "without delegators"),
    doc("encoding", "hex or hexnc"),
];

pub(crate) fn add(methods: &mut Methods<Context>) {
    let table: [Row; 31] = [
        ("platform.getHeight", "height of the last accepted block", NONE, height),
        ("platform.getProposedHeight", "P-chain height that new blocks state", NONE, proposed_height),
        ("platform.getBalance", "what addresses own", balances::DOCS, balances::balance),
        ("platform.getUTXOs", "UTXOs of addresses", utxos::DOCS, page),
        ("platform.getSubnet", "a subnet", SUBNET, subnet),
        ("platform.getSubnets", "subnets", SUBNETS, subnets),
        ("platform.getStakingAssetID", "what a subnet stakes", SUBNET, staking_asset),
        ("platform.getCurrentValidators", "validators of a subnet", validators::CURRENT, validators::current),
        ("platform.getL1Validator", "a validator of an L1", validators::L1, validators::l1_validator),
        ("platform.getCurrentSupply", "coins there are at most", SUBNET, supply),
        ("platform.sampleValidators", "some validators", SAMPLE, sample),
        ("platform.getBlockchainStatus", "what a chain is doing here", CHAIN, blockchain_status),
        ("platform.validatedBy", "the subnet of a chain", CHAIN, validated_by),
        ("platform.validates", "the chains of a subnet", SUBNET, validates),
        ("platform.getBlockchains", "all chains", NONE, blockchains),
        ("platform.issueTx", "hands in a transaction", TX, issue),
        ("platform.getTx", "a transaction", TX_ID, tx),
        ("platform.getTxStatus", "what became of a transaction", TX_ID, tx_status),
        ("platform.getStake", "what addresses stake", STAKE, stake),
        ("platform.getMinStake", "least stake", SUBNET, min_stake),
        ("platform.getTotalStake", "weight of all validators", SUBNET, total_stake),
        ("platform.getRewardUTXOs", "rewards of a staker", TX_ID, reward_utxos),
        ("platform.getTimestamp", "the chain's time", NONE, timestamp),
        ("platform.getValidatorsAt", "validators at a height", validators::AT, validators::at),
        ("platform.getAllValidatorsAt", "all validators at a height", validators::ALL_AT, validators::all_at),
        ("platform.getBlock", "a block", blocks::BY_ID, block),
        ("platform.getBlockByHeight", "the accepted block at a height", blocks::BY_HEIGHT, block_by_height),
        ("platform.getFeeConfig", "the market of gas", NONE, fee_config),
        ("platform.getFeeState", "the price of gas", NONE, fee_state),
        ("platform.getValidatorFeeConfig", "the fee of L1 validators", NONE, validator_fee_config),
        ("platform.getValidatorFeeState", "the price of an L1 validator's second", NONE, validator_fee_state),
    ];
    add_all(methods, table);
}

fn err(err: impl std::fmt::Display) -> Error {
    failure(err.to_string())
}

fn height(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    Ok(json!({ "height": number(context.platform.read(State::height)) }))
}

fn proposed_height(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let height = context.platform.minimum_height(context.clock.wall()).map_err(err)?;
    Ok(json!({ "height": number(height) }))
}

fn page(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    utxos::page(
        context,
        ("P", Id::EMPTY),
        args,
        |owners, start, limit| {
            let page = context.platform.read(|state| state.utxos_of(owners, start, limit)).map_err(stored)?;
            Ok((page.utxos.iter().map(marshal).collect(), page.end))
        },
        |peer, owners, start, limit| {
            context.platform.memory().of_owners(peer, owners, start, limit).map_err(stored)
        },
    )
}

fn subnet(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = args.id("subnetID")?;
    if id == Id::EMPTY {
        return Err(failure("the primary network isn't a subnet"));
    }
    context.platform.read(|state| {
        let draft = state.draft();
        let Owner::Secp256k1(owner) = draft.subnet_owner(id).ok_or_else(|| failure("not found"))?;
        let keys: Vec<_> = owner.addrs.iter().map(|key| context.address("P", key)).collect();
        let (transformation, conversion) = (draft.transformation(id), draft.conversion(id));
        let text = |id: Option<Id>| json!(id.unwrap_or_default().to_string());
        let manager = conversion.as_ref().map(|conversion| plain_hex(&conversion.address));
        Ok(json!({
            "isPermissioned": transformation.is_none() && conversion.is_none(),
            "controlKeys": keys,
            "threshold": number(u64::from(owner.threshold)),
            "locktime": number(owner.locktime),
            "subnetTransformationTxID": text(transformation.map(|tx| tx.id)),
            "conversionID": text(conversion.as_ref().map(|conversion| conversion.conversion_id)),
            "managerChainID": text(conversion.as_ref().map(|conversion| conversion.chain_id)),
            "managerAddress": manager,
        }))
    })
}

fn subnets(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let wanted = args.ids("ids")?;
    context.platform.read(|state| {
        let draft = state.draft();
        let open = |id: Id| json!({ "id": id.to_string(), "controlKeys": [], "threshold": number(0) });
        let one = |id: Id| {
            if id == Id::EMPTY || draft.transformation(id).is_some() {
                return Some(open(id));
            }
            let Owner::Secp256k1(owner) = draft.subnet_owner(id)?;
            let keys: Vec<_> = owner.addrs.iter().map(|key| context.address("P", key)).collect();
            let threshold = number(u64::from(owner.threshold));
            Some(json!({ "id": id.to_string(), "controlKeys": keys, "threshold": threshold }))
        };
        let mut seen = BTreeSet::new();
        let found: Vec<_> = if wanted.is_empty() {
            newest_first(state).chain([Id::EMPTY]).filter_map(one).collect()
        } else {
            wanted.iter().filter(|id| seen.insert(**id)).filter_map(|id| one(*id)).collect()
        };
        let found = if found.is_empty() { Value::Null } else { Value::Array(found) };
        Ok(json!({ "subnets": found }))
    })
}

/// Subnets in the order of the reference, whose list grows at its head.
fn newest_first(state: &State) -> impl Iterator<Item = Id> + '_ {
    state.subnets().iter().rev().copied()
}

fn staking_asset(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    if subnet == Id::EMPTY {
        return Ok(json!({ "assetID": context.platform.config().avax_asset_id.to_string() }));
    }
    transformation(context, subnet, |tx| json!({ "assetID": tx.asset_id.to_string() }))
}

fn transformation(
    context: &Context,
    subnet: Id,
    read: impl Fn(&platformvm::txs::TransformSubnetTx) -> Value,
) -> Result<Value, Error> {
    let found = context.platform.read(|state| state.draft().transformation(subnet));
    match found.as_ref().map(|tx| &tx.tx.unsigned) {
        Some(UnsignedTx::TransformSubnet(tx)) => Ok(read(tx)),
        _ => Err(failure(format!("failed fetching subnet transformation for {subnet}: not found"))),
    }
}

fn supply(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    let (supply, height) = context.platform.read(|state| (state.draft().supply(subnet), state.height()));
    let supply = supply.ok_or_else(|| failure("fetching current supply failed: not found"))?;
    Ok(json!({ "supply": number(supply), "height": number(height) }))
}

fn sample(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let (size, subnet) = (args.number("size")?, args.id("subnetID")?);
    let size = u16::try_from(size).map_err(|_| malformed())?;
    let set = context.platform.read(|state| state.current_set(subnet));
    let nodes: Vec<NodeId> = set.keys().copied().collect();
    let sampler = WeightedSampler::new(set.values().map(|validator| validator.weight)).map_err(err)?;
    // Which validators a client looks at needs no more chance than the clock has.
    let mut source = Mt19937_64::new(context.clock.wall().as_nanos());
    let drawn = sampler.sample(&mut source, usize::from(size));
    let drawn =
        drawn.ok_or_else(|| failure(format!("sampling {subnet} errored with insufficient validators")))?;
    let mut drawn: Vec<NodeId> = drawn.into_iter().filter_map(|index| nodes.get(index).copied()).collect();
    drawn.sort_unstable();
    let drawn: Vec<_> = drawn.iter().map(ToString::to_string).collect();
    Ok(json!({ "validators": drawn }))
}

fn blockchain_status(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let text = args.text("blockchainID")?;
    if text.is_empty() {
        return Err(failure("argument 'blockchainID' not given"));
    }
    let id = match context.alias(text) {
        Some(id) => id,
        None => {
            text.parse().map_err(|err| failure(format!("problem parsing blockchainID {text:?}: {err}")))?
        }
    };
    if context.node.is_bootstrapped(id).is_some() {
        let validates = context.platform.read(|state| state.weight_of(Id::EMPTY, context.facts.node) > 0);
        return Ok(json!({ "status": if validates { "Validating" } else { "Syncing" } }));
    }
    let is_chain =
        |tx: Option<&NamedTx>| tx.is_some_and(|tx| matches!(tx.tx.unsigned, UnsignedTx::CreateChain(_)));
    let accepted = context.platform.read(|state| state.tx(&id)).map_err(err)?;
    if is_chain(accepted.as_ref().map(|(tx, _)| &**tx)) {
        return Ok(json!({ "status": "Created" }));
    }
    let preferred = context.platform.read_preferred(|draft| draft.tx(&id)).map_err(err)?;
    let status = if is_chain(preferred.as_ref().map(|(tx, _)| &**tx)) { "Preferred" } else { "Unknown" };
    Ok(json!({ "status": status }))
}

fn validated_by(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = args.id("blockchainID")?;
    let subnet = context.platform.subnet_of(id).map_err(err)?;
    let subnet =
        subnet.ok_or_else(|| failure(format!("problem retrieving blockchain \"{id}\": not found")))?;
    Ok(json!({ "subnetID": subnet.to_string() }))
}

fn validates(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    context.platform.read(|state| {
        if subnet != Id::EMPTY {
            let tx = state.tx(&subnet).map_err(err)?;
            let Some((tx, _)) = tx else {
                return Err(failure(format!("problem retrieving subnet \"{subnet}\": not found")));
            };
            if !matches!(tx.tx.unsigned, UnsignedTx::CreateSubnet(_)) {
                return Err(failure(format!("\"{subnet}\" is not a subnet")));
            }
        }
        let chains: Vec<_> = state.chains(subnet).iter().rev().map(Id::to_string).collect();
        Ok(json!({ "blockchainIDs": chains }))
    })
}

fn blockchains(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    context.platform.read(|state| {
        let mut all = Vec::new();
        for subnet in newest_first(state).chain([Id::EMPTY]) {
            for id in state.chains(subnet).iter().rev() {
                let Some((tx, _)) = state.tx(id).map_err(err)? else { continue };
                if let UnsignedTx::CreateChain(chain) = &tx.tx.unsigned {
                    all.push(json!({
                        "id": id.to_string(),
                        "name": String::from_utf8_lossy(chain.chain_name.as_bytes()),
                        "subnetID": subnet.to_string(),
                        "vmID": chain.vm_id.to_string(),
                    }));
                }
            }
        }
        Ok(json!({ "blockchains": all }))
    })
}

fn issue(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let bytes = args.encoding()?.decode(args.text("tx")?)?;
    let tx = parse(&bytes).map_err(|err| {
        failure(format!("couldn't parse tx: couldn't parse tx: {}", unpacked(&bytes, &err)))
    })?;
    let id = context
        .platform
        .issue(NamedTx::new(tx), context.clock.wall())
        .map_err(|err| failure(format!("couldn't issue tx: {}", shared_vendor::log::Chain(&err))))?;
    Ok(json!({ "txID": id.to_string() }))
}

fn tx(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let (id, encoding) = (args.id("txID")?, args.encoding()?);
    let found = context.platform.read(|state| state.tx(&id)).map_err(err)?;
    let (tx, _) = found.ok_or_else(|| failure("couldn't get tx: not found"))?;
    encoding.reply("tx", &tx.bytes, || Ok(Objects::new(context, "P").platform_tx(&tx.tx)))
}

fn tx_status(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id = args.id("txID")?;
    let status = |status: &str| Ok(json!({ "status": status }));
    match context.platform.read(|state| state.tx(&id)).map_err(err)? {
        Some((_, TxStatus::Committed)) => return status("Committed"),
        Some((_, TxStatus::Aborted)) => return status("Aborted"),
        None => {}
    }
    let preferred = context.platform.read_preferred(|draft| draft.tx(&id)).map_err(err)?.is_some();
    if preferred || context.platform.read_mempool(|mempool| mempool.get(&id).is_some()) {
        return status("Processing");
    }
    match context.platform.read_mempool(|mempool| mempool.drop_reason(&id).map(str::to_owned)) {
        Some(reason) => Ok(json!({ "status": "Dropped", "reason": reason })),
        None => status("Unknown"),
    }
}

fn stake(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let addresses = args.texts("addresses")?;
    if addresses.len() > MAX_STAKE_ADDRESSES {
        let given = addresses.len();
        let text =
            format!("{given} addresses provided but this method can take at most {MAX_STAKE_ADDRESSES}");
        return Err(failure(text));
    }
    let owners = addresses
        .into_iter()
        .map(|text| context.owner(Id::EMPTY, text))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let (only_validators, encoding) = (args.flag("validatorsOnly")?, args.encoding()?);
    context.platform.read(|state| {
        let draft = state.draft();
        let (mut sums, mut outs) = (std::collections::BTreeMap::<Id, u64>::new(), Vec::new());
        for staker in draft.current_stakers().chain(draft.pending_stakers()) {
            if only_validators && is_delegator(staker.priority) {
                continue;
            }
            let Some((tx, _)) = state.tx(&staker.tx_id).map_err(err)? else { continue };
            for out in tx.tx.unsigned.stake() {
                let transfer = out.out.transfer();
                if transfer.owners.addrs.iter().any(|owner| owners.contains(owner)) {
                    let sum = sums.entry(out.asset_id).or_default();
                    *sum = sum.saturating_add(transfer.amount);
                    let encoded = encoding.encode(&marshal(out));
                    outs.push(encoded.map_err(|err| {
                        let text = format!(
                            "couldn't encode output {} as {}: {}",
                            out.asset_id,
                            encoding.name(),
                            err.message
                        );
                        failure(text)
                    })?);
                }
            }
        }
        let avax = context.platform.config().avax_asset_id;
        let stakeds: serde_json::Map<_, _> =
            sums.iter().map(|(asset, sum)| (asset.to_string(), number(*sum))).collect();
        Ok(json!({
            "staked": number(sums.get(&avax).copied().unwrap_or_default()),
            "stakeds": stakeds,
            "stakedOutputs": outs,
            "encoding": encoding.name(),
        }))
    })
}

const fn is_delegator(priority: Priority) -> bool {
    matches!(
        priority,
        Priority::PrimaryDelegatorApricotPending
            | Priority::PrimaryDelegatorBanffPending
            | Priority::PermissionlessDelegatorPending
            | Priority::PermissionlessDelegatorCurrent
            | Priority::PrimaryDelegatorCurrent
    )
}

fn min_stake(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    let reply = |validator, delegator| json!({ "minValidatorStake": number(validator), "minDelegatorStake": number(delegator) });
    if subnet == Id::EMPTY {
        let staking = &context.platform.config().staking;
        return Ok(reply(staking.min_validator_stake, staking.min_delegator_stake));
    }
    transformation(context, subnet, |tx| reply(tx.min_validator_stake, tx.min_delegator_stake))
}

fn total_stake(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let subnet = args.id("subnetID")?;
    let set = context.platform.read(|state| state.current_set(subnet));
    let weight = number(set.values().fold(0_u64, |sum, validator| sum.saturating_add(validator.weight)));
    Ok(json!({ "stake": weight, "weight": weight }))
}

fn reward_utxos(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let (id, encoding) = (args.id("txID")?, args.encoding()?);
    let utxos = context.platform.read(|state| state.reward_utxos(&id)).map_err(err)?;
    let texts = utxos.iter().map(|utxo| encoding.encode(&marshal(utxo))).collect::<Result<Vec<_>, _>>()?;
    let count = number(u64::try_from(texts.len()).unwrap_or(u64::MAX));
    Ok(json!({ "numFetched": count, "utxos": texts, "encoding": encoding.name() }))
}

fn timestamp(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    Ok(json!({ "timestamp": time(context.platform.read(|state| state.scalars().timestamp)) }))
}

fn block(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let find = |id: &Id| context.platform.read(|state| state.block(id));
    blocks::by_id(args, find, |bytes| block_object(context, bytes))
}

fn block_by_height(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let find = |height| {
        let found = context.platform.read(|state| {
            let id = state.block_id_at(height)?;
            id.map(|id| state.block(&id)).transpose()
        });
        found.map(Option::flatten)
    };
    blocks::by_height(args, find, |bytes| block_object(context, bytes))
}

fn block_object(context: &Context, bytes: &[u8]) -> Result<Value, Error> {
    let block = Block::parse(bytes).map_err(err)?;
    Ok(Objects::new(context, "P").platform_block(Id::hash_of(bytes), &block))
}

fn fee_config(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let gas = &context.platform.config().gas;
    Ok(json!({
        "weights": [gas.weights.bandwidth, gas.weights.db_read, gas.weights.db_write, gas.weights.compute],
        "maxCapacity": gas.max_capacity,
        "maxPerSecond": gas.max_per_second,
        "targetPerSecond": gas.target_per_second,
        "minPrice": gas.min_price,
        "excessConversionConstant": gas.excess_conversion_constant,
    }))
}

fn fee_state(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let scalars = context.platform.read(|state| *state.scalars());
    let fee = scalars.fee_state;
    Ok(json!({
        "capacity": fee.capacity,
        "excess": fee.excess,
        "price": context.platform.config().gas.price(fee.excess),
        "timestamp": time(scalars.timestamp),
    }))
}

fn validator_fee_config(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let fee = &context.platform.config().validator_fee;
    Ok(json!({
        "capacity": fee.capacity,
        "target": fee.target,
        "minPrice": fee.min_price,
        "excessConversionConstant": fee.excess_conversion_constant,
    }))
}

fn validator_fee_state(context: &Context, _: &Args<'_>) -> Result<Value, Error> {
    let scalars = context.platform.read(|state| *state.scalars());
    let fee = &context.platform.config().validator_fee;
    Ok(json!({
        "excess": scalars.l1_excess,
        "price": avalanche_vm::gas::price(fee.min_price, scalars.l1_excess, fee.excess_conversion_constant),
        "timestamp": time(scalars.timestamp),
    }))
}
