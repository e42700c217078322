//! `validator_*`: the registry and who is due when.

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Spec};

use super::{Context, View, ask, not_found, number, params};
use crate::{
    state::{State, registry::Validator},
    types::primitives::{Epoch, FAR_FUTURE, PublicKey, ValidatorIndex},
};

const INDEX: &[ParamDoc] = &[ParamDoc { name: "index", help: "Index of the validator", optional: false }];
const PUBKEY: &[ParamDoc] = &[ParamDoc { name: "pubkey", help: "Its BLS key", optional: false }];
const EPOCH: &[ParamDoc] =
    &[ParamDoc { name: "epoch", help: "Epoch; the current one when left out", optional: true }];
const SLOT: &[ParamDoc] = &[ParamDoc { name: "slot", help: "Slot", optional: false }];
const RANGE: &[ParamDoc] = &[
    ParamDoc { name: "from", help: "First index, 0 when left out", optional: true },
    ParamDoc { name: "count", help: "Most of them, 100 when left out, at most 1000", optional: true },
];

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_async(Spec::open("validator_list", "Validators in order", RANGE), |ctx, params| async move {
        let from = if params.value(0).is_some() { params::whole(&params, 0, "from")? } else { 0 };
        let count = if params.value(1).is_some() { params::whole(&params, 1, "count")? } else { 100 };
        ask(&ctx, move |view| {
            let state = head_state(view)?;
            let last = from.saturating_add(count.min(1000));
            Ok((from..last).map_while(|index| describe(view, &state, index)).collect::<Value>())
        })
        .await
    });
    methods.add_async(Spec::open("validator_get", "A validator", INDEX), |ctx, params| async move {
        let index = params::whole(&params, 0, "index")?;
        ask(&ctx, move |view| {
            let state = head_state(view)?;
            describe(view, &state, index).ok_or_else(|| not_found("validator"))
        })
        .await
    });
    methods.add_async(
        Spec::open("validator_byPubkey", "A validator by its key", PUBKEY),
        |ctx, params| async move {
            let text: String = params.required(0, "pubkey")?;
            let key: PublicKey =
                text.parse().map_err(|_| Error::invalid_params("pubkey: 48 bytes in hexadecimal"))?;
            ask(&ctx, move |view| {
                let state = head_state(view)?;
                let index = state.validators.index_of(&key).ok_or_else(|| not_found("validator"))?;
                describe(view, &state, index).ok_or_else(|| not_found("validator"))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("validator_proposers", "Proposers of the slots of an epoch, current or next", EPOCH),
        |ctx, params| async move {
            let epoch = epoch(&params)?;
            ask(&ctx, move |view| {
                let epoch = epoch.unwrap_or_else(|| view.chain.fork_choice().current_epoch());
                let first = view.chain.config().params.start_slot(epoch);
                let last = first.saturating_add(view.chain.config().params.slots_per_epoch);
                let line = |slot| {
                    let proposer = view.chain.proposer(slot)?;
                    Some(json!({ "slot": number(slot), "validator": number(proposer) }))
                };
                let lines: Option<Vec<Value>> = (first..last).map(line).collect();
                lines
                    .map(Value::from)
                    .ok_or_else(|| Error::invalid_params("epoch: not the current or next one"))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("validator_committee", "Who votes in a slot", SLOT),
        |ctx, params| async move {
            let slot = params::whole(&params, 0, "slot")?;
            ask(&ctx, move |view| {
                let epoch = view.chain.config().params.epoch_of(slot);
                if epoch > view.chain.fork_choice().current_epoch().saturating_add(1) {
                    return Err(Error::invalid_params("slot: not of a current or next epoch"));
                }
                let committees = view.chain.head_committees(epoch).ok_or_else(|| not_found("committee"))?;
                let members = committees.at(&view.chain.config().params, slot);
                Ok(members.iter().map(|member| number(*member)).collect::<Value>())
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("validator_queue", "Stake that waits to be counted", &[]),
        |ctx, _| async move {
            ask(&ctx, |view| {
                let state = head_state(view)?;
                let line = |deposit: &crate::state::PendingDeposit| {
                    json!({
                        "pubkey": deposit.pubkey.to_string(),
                        "delegator": deposit.delegator.to_string(),
                        "amount": number(deposit.amount),
                        "slot": number(deposit.slot),
                    })
                };
                Ok(state.pending_deposits.iter().take(1000).map(line).collect::<Value>())
            })
            .await
        },
    );
}

fn epoch(params: &shared_vendor::rpc::Params) -> Result<Option<Epoch>, Error> {
    params.value(0).is_some().then(|| params::whole(params, 0, "epoch")).transpose()
}

fn head_state(view: &View<'_>) -> Result<std::sync::Arc<State>, Error> {
    view.chain.state(&view.chain.head()).ok_or_else(|| not_found("state"))
}

fn describe(view: &View<'_>, state: &State, index: ValidatorIndex) -> Option<Value> {
    let validator = state.validators.get(index)?;
    let pool = state.pools.at(index)?;
    let now = state.current_epoch(&view.chain.config().params);
    let epoch = |epoch: Epoch| (epoch != FAR_FUTURE).then(|| number(epoch));
    Some(json!({
        "index": number(index),
        "pubkey": validator.pubkey.to_string(),
        "owner": validator.owner.to_string(),
        "status": status(&validator, now),
        "balance": number(state.balances.at(index)?),
        "effectiveBalance": number(validator.effective_balance),
        "effectiveCap": number(validator.effective_cap),
        "slashed": validator.slashed,
        "activationEpoch": epoch(validator.activation_epoch),
        "exitEpoch": epoch(validator.exit_epoch),
        "withdrawableEpoch": epoch(validator.withdrawable_epoch),
        "totalShares": number(pool.total_shares),
        "operatorShares": number(pool.operator_shares),
        "commissionBps": number(pool.commission_bps),
        "feeRecipient": pool.fee_recipient.to_string(),
        "inactivityScore": number(state.inactivity_scores.at(index)?),
    }))
}

const fn status(validator: &Validator, now: Epoch) -> &'static str {
    if validator.activation_epoch > now {
        "pending"
    } else if validator.exit_epoch > now {
        if validator.slashed {
            "slashed"
        } else if validator.exit_epoch != FAR_FUTURE {
            "exiting"
        } else {
            "active"
        }
    } else if validator.withdrawable_epoch > now {
        "exited"
    } else {
        "withdrawable"
    }
}
