//! `epoch/`, `rewards/` and `finality/`: steps of the epoch transition, each alone.

use crate::{
    state::{OWNER, bits_of, build, checkpoint, compare, no_key},
    support::{array, cases, int, ints, list},
};
use pos_node::{
    state::{
        AppWrites, Finality, Registration, State,
        transition::epoch::{
            justification::{self, Weights},
            pools, registry, resets, rewards,
        },
    },
    types::{
        params::Params,
        primitives::{Address, PublicKey},
    },
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let first = cases(&json).first()?;
    if first.get("epoch_transitions").is_some() {
        return Some(Claim::Run(finality));
    }
    if first.get("source_deltas").is_some() {
        return Some(Claim::Run(deltas));
    }
    match json.get("handler")?.as_str()? {
        "proposer_lookahead" => Some(Claim::Run(lookahead)),
        "pending_deposits" => Some(Claim::Run(deposits)),
        handler => step(handler).map(|_| Claim::Run(steps)),
    }
}

fn step(handler: &str) -> Option<fn(&mut State, &Params)> {
    Some(match handler {
        "justification_and_finalization" => justification::process,
        "inactivity_updates" => rewards::process_inactivity,
        "rewards_and_penalties" => |state, params| {
            rewards::process(state, params, &mut AppWrites::default());
        },
        "registry_updates" => registry::process,
        "slashings" => |state, params| registry::process_slashings(state, params, &mut AppWrites::default()),
        "effective_balance_updates" => resets::process_effective_balances,
        "slashings_reset" => resets::process_slashings_reset,
        "participation_flag_updates" => |state, _| resets::process_participation(state),
        _ => return None,
    })
}

fn steps(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let step = step(json["handler"].as_str().expect("handler")).expect("claimed");
    let params = Params::minimal();
    for case in cases(&json) {
        let name = case["case"].as_str().expect("name");
        let mut state = build(&case["pre"], &params, no_key);
        if let Some(roots) = case.get("epoch_boundary_roots") {
            let epoch = state.current_epoch(&params);
            for (epoch, root) in [(epoch.saturating_sub(1), &roots["previous"]), (epoch, &roots["current"])] {
                let at = params.start_slot(epoch) % params.slots_per_historical_root;
                *state.block_roots.at_mut(at).expect("within the ring") = crate::support::root(root);
            }
        }
        step(&mut state, &params);
        compare(name, &state, &case["pre"], &case["post"], out);
    }
}

fn deposits(file: &File<'_>, out: &mut Cases) {
    let params = Params::minimal();
    for case in cases(&file.json()) {
        let name = case["case"].as_str().expect("name");
        if case.get("applies") == Some(&Value::Bool(false)) {
            out.skip(name);
            continue;
        }
        let keys: Vec<PublicKey> =
            list(&case["pre_pubkeys"]).iter().map(|key| PublicKey(array(key))).collect();
        let mut state = build(&case["pre"], &params, |at| keys[at]);
        let post = &case["post"];
        let known = keys.len();
        let cap = |key: &PublicKey| {
            let at = list(&case["post_pubkeys_appended"])
                .iter()
                .position(|appended| PublicKey(array(appended)) == *key)?;
            Some(int(&post["effective_cap"][known + at]))
        };
        let registrations = |key: &PublicKey| {
            Some(Registration {
                owner: OWNER,
                commission_bps: 0,
                max_commission_bps: 0,
                effective_cap: cap(key)?,
                fee_recipient: Address::ZERO,
            })
        };
        let mut writes = AppWrites::default();
        pools::process_pending_deposits(&mut state, &params, &registrations, &mut writes);
        compare(name, &state, &case["pre"], post, out);
        let appended: Vec<_> =
            state.validators.pubkey.iter().skip(known).map(|key| Value::from(key.to_string())).collect();
        out.equal(format!("{name} keys"), &Value::from(appended), &case["post_pubkeys_appended"]);
        out.equal(format!("{name} app"), &writes, &AppWrites::default());
        let shares_follow = state
            .pools
            .iter()
            .zip(state.balances.iter())
            .all(|(pool, balance)| pool.total_shares == u128::from(*balance));
        out.check(format!("{name} shares"), shares_follow, || "shares differ from balances".into());
    }
}

fn lookahead(file: &File<'_>, out: &mut Cases) {
    let params = Params::minimal();
    for case in cases(&file.json()) {
        let name = case["case"].as_str().expect("name");
        let effective = ints(&case["effective_balance"]);
        let drawn = resets::draw_proposers(
            &params,
            int(&case["new_epoch"]),
            &array(&case["seed"]),
            &ints(&case["active_indices"]),
            |index| effective[usize::try_from(index).expect("small")],
        );
        let kept = ints(&case["pre_lookahead"]).split_off(drawn.len());
        let actual: Vec<u64> = kept.into_iter().chain(drawn).collect();
        out.equal(name, &actual, &ints(&case["post_lookahead"]));
    }
}

fn deltas(file: &File<'_>, out: &mut Cases) {
    let params = Params::minimal();
    for case in cases(&file.json()) {
        let name = case["case"].as_str().expect("name");
        let state = build(&case["pre"], &params, no_key);
        let context = rewards::RewardContext::new(&state, &params);
        let epoch = state.current_epoch(&params);
        let sums = (
            state.total_active_balance(&params, epoch),
            context.base_reward_per_increment(),
            state.is_in_inactivity_leak(&params),
        );
        let expected_sums = (
            int(&case["total_active_balance"]),
            int(&case["base_reward_per_increment"]),
            case["is_in_inactivity_leak"].as_bool().expect("flag"),
        );
        out.equal(format!("{name} sums"), &sums, &expected_sums);
        let all: Vec<_> =
            (0..).take(state.validators.len()).map(|index| context.deltas(&state, &params, index)).collect();
        let kinds = ["source_deltas", "target_deltas", "head_deltas", "inactivity_penalty_deltas"];
        for (kind, field) in kinds.into_iter().enumerate() {
            let actual: (Vec<u64>, Vec<u64>) =
                all.iter().map(|deltas| (deltas[kind].reward, deltas[kind].penalty)).unzip();
            let expected = (ints(&case[field]["rewards"]), ints(&case[field]["penalties"]));
            out.equal(format!("{name} {field}"), &actual, &expected);
        }
    }
}

fn finality(file: &File<'_>, out: &mut Cases) {
    let params = Params::minimal();
    for case in cases(&file.json()) {
        let name = case["case"].as_str().expect("name");
        let mut followed: Option<Finality> = None;
        for transition in list(&case["epoch_transitions"]) {
            let at = |prefix: &str| Finality {
                bits: bits_of(&transition[format!("{prefix}_bits")]),
                previous_justified: checkpoint(&transition[format!("{prefix}_previous_justified")]),
                current_justified: checkpoint(&transition[format!("{prefix}_current_justified")]),
                finalized: checkpoint(&transition[format!("{prefix}_finalized")]),
            };
            let epoch = params.epoch_of(int(&transition["slot"]));
            let before = at("pre");
            if let Some(followed) = followed {
                out.equal(format!("{name} enters epoch {epoch}"), &followed, &before);
            }
            let point = |epoch, field: &str| pos_node::types::operation::Checkpoint {
                epoch,
                root: crate::support::root(&transition["boundary_roots"][field]),
            };
            let after = if epoch <= 1 {
                before
            } else {
                let weights = Weights {
                    total: int(&transition["total_active_balance"]),
                    previous_target: int(&transition["previous_target_balance"]),
                    current_target: int(&transition["current_target_balance"]),
                };
                let (previous, current) = (point(epoch - 1, "previous"), point(epoch, "current"));
                justification::weigh(&before, epoch, previous, current, &weights)
            };
            out.equal(format!("{name} leaves epoch {epoch}"), &after, &at("post"));
            followed = Some(after);
        }
    }
}
