//! `chain_*`: blocks, finality, constants.

use std::sync::Arc;

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Spec};

use super::{
    Context, View, ask, data, failed, not_found, number,
    params::{BlockId, whole},
    tx,
};
use crate::{
    storage::{CertificateRow, Database as _, StoredBlock},
    types::{
        codec::encode,
        operation::{Checkpoint, SignedHeader},
        params::Governed,
        primitives::Root,
    },
};

pub(super) const BLOCK: &[ParamDoc] = &[ParamDoc {
    name: "block",
    help: "Slot, root, or head, confirmed, justified, finalized, genesis; the head when left out",
    optional: true,
}];

const FROM: &[ParamDoc] =
    &[ParamDoc { name: "epoch", help: "The first epoch; 0 when left out", optional: true }];
/// Most certificates of one answer.
const MAX_CERTIFICATES: u32 = 64;

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_async(Spec::open("chain_head", "The head of the chain", &[]), |ctx, _| async move {
        ask(&ctx, |view| {
            let root = view.chain.head();
            Ok(json!({ "root": root.to_string(), "slot": number(view.chain.head_slot()) }))
        })
        .await
    });
    methods.add_async(
        Spec::open("chain_finality", "Justified, final and confirmed", &[]),
        |ctx, _| async move {
            ask(&ctx, |view| {
                Ok(json!({
                    "justified": checkpoint(view.chain.justified()),
                    "finalized": checkpoint(view.chain.finalized()),
                    "confirmed": view.chain.confirmed().to_string(),
                }))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("chain_getHeader", "The header of a block", BLOCK),
        |ctx, params| async move {
            let id = BlockId::read(&params, 0)?;
            ask(&ctx, move |view| {
                let (root, stored) = stored(view, id)?;
                Ok(header(&root, &stored.block.header))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("chain_getBlock", "A block: header, operations counted, ids of transactions", BLOCK),
        |ctx, params| async move {
            let id = BlockId::read(&params, 0)?;
            ask(&ctx, move |view| {
                let (root, stored) = stored(view, id)?;
                Ok(block(&root, &stored))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("chain_getBlockTxs", "The transactions of a block", BLOCK),
        |ctx, params| async move {
            let id = BlockId::read(&params, 0)?;
            ask(&ctx, move |view| {
                let (_, stored) = stored(view, id)?;
                Ok(stored.txs.iter().map(tx::describe).collect::<Value>())
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("chain_getReceipts", "The receipts of a block", BLOCK),
        |ctx, params| async move {
            let id = BlockId::read(&params, 0)?;
            ask(&ctx, move |view| {
                let (_, stored) = stored(view, id)?;
                Ok(stored.receipts.iter().map(tx::receipt).collect::<Value>())
            })
            .await
        },
    );
    methods.add_async(Spec::open("chain_specs", "Constants of the network", &[]), |ctx, _| async move {
        ask(&ctx, |view| {
            let config = view.chain.config();
            let params = &config.params;
            Ok(json!({
                "chainId": number(config.chain_id),
                "configHash": config.hash().to_string(),
                "genesisForkVersion": data(config.genesis_fork_version),
                "genesisTime": number(config.genesis_time),
                "slotMs": number(params.slot_ms),
                "slotsPerEpoch": number(params.slots_per_epoch),
                "minActivationBalance": number(params.min_activation_balance),
                "maxEffectiveBalance": number(params.max_effective_balance),
                "minValidatorWithdrawabilityDelay": number(params.min_validator_withdrawability_delay),
                "maxTxsPerBlock": number(params.max_txs_per_block),
                "maxBlockTxBytes": number(params.max_block_tx_bytes),
            }))
        })
        .await
    });
    methods.add_async(
        Spec::open("chain_genesis", "The genesis block and what signatures bind to", &[]),
        |ctx, _| async move {
            ask(&ctx, |view| {
                let root = BlockId::Genesis.root(view)?;
                let state = view.chain.state(&view.chain.head()).ok_or_else(failed)?;
                Ok(json!({
                    "root": root.to_string(),
                    "validatorsRoot": state.genesis_validators_root.to_string(),
                    "time": number(view.chain.config().genesis_time),
                    "forkVersion": data(view.chain.config().genesis_fork_version),
                }))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("chain_certificates", "Finality certificates with the sets that signed them", FROM),
        |ctx, params| async move {
            let from = if params.value(0).is_some() { whole(&params, 0, "epoch")? } else { 0 };
            ask(&ctx, move |view| {
                let rows = view.chain.db().certificates(from, MAX_CERTIFICATES).map_err(|_| failed())?;
                let line = |row: CertificateRow| {
                    json!({
                        "epoch": number(row.epoch),
                        "certificate": data(row.certificate),
                        "signersRoot": row.signers_root.to_string(),
                        "signers": data(row.signers),
                    })
                };
                Ok(rows.into_iter().map(line).collect::<Value>())
            })
            .await
        },
    );
    methods.add_async(Spec::open("gov_params", "Governed parameters in force", &[]), |ctx, _| async move {
        ask(&ctx, |view| {
            let state = view.chain.state(&view.chain.head()).ok_or_else(failed)?;
            let get = |key| number(state.params.get(key));
            Ok(json!({
                "blockGasLimit": get(Governed::BlockGasLimit),
                "minBaseFee": get(Governed::MinBaseFee),
                "gasTx": get(Governed::GasTx),
                "gasSignature": get(Governed::GasSignature),
                "gasByte": get(Governed::GasByte),
                "gasAccountWrite": get(Governed::GasAccountWrite),
                "gasAccountCreate": get(Governed::GasAccountCreate),
                "gasStakeAction": get(Governed::GasStakeAction),
                "gasRegister": get(Governed::GasRegister),
                "maxChurn": get(Governed::MaxChurn),
                "commissionCapBps": get(Governed::CommissionCapBps),
            }))
        })
        .await
    });
}

/// A block with what belongs to it.
pub(super) fn stored(view: &View<'_>, id: BlockId) -> Result<(Root, Arc<StoredBlock>), Error> {
    let root = id.root(view)?;
    let stored = view.chain.db().block(&root).map_err(|_| failed())?;
    Ok((root, stored.ok_or_else(|| not_found("block"))?))
}

pub(super) fn checkpoint(checkpoint: Checkpoint) -> Value {
    json!({ "epoch": number(checkpoint.epoch), "root": checkpoint.root.to_string() })
}

pub(super) fn header(root: &Root, signed: &SignedHeader) -> Value {
    let header = &signed.header;
    json!({
        "root": root.to_string(),
        "slot": number(header.slot),
        "proposer": number(header.proposer_index),
        "parent": header.parent_root.to_string(),
        "stateRoot": header.state_root.to_string(),
        "bodyRoot": header.body_root.to_string(),
        "signature": signed.signature.to_string(),
    })
}

fn block(root: &Root, stored: &StoredBlock) -> Value {
    let body = &stored.block.body;
    json!({
        "header": header(root, &stored.block.header),
        "graffiti": data(body.graffiti),
        "protocolVersion": number(body.protocol_version),
        "attestations": number(body.attestations.len()),
        "votes": number(body.attestations.iter().map(|vote| vote.aggregation_bits.count_ones()).sum::<usize>()),
        "proposerSlashings": number(body.proposer_slashings.len()),
        "attesterSlashings": number(body.attester_slashings.len()),
        "finalitySlashings": number(body.finality_slashings.len()),
        "voluntaryExits": number(body.voluntary_exits.len()),
        "baseFee": number(body.exec.base_fee),
        "gasUsed": number(body.exec.gas_used),
        "gasLimit": number(body.exec.gas_limit),
        "feeRecipient": body.exec.fee_recipient.to_string(),
        "txIds": body.tx_ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "bytes": number(encode(&stored.block).len()),
    })
}
