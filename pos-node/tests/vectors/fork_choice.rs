//! `fork_choice/` and `fast_confirmation/`: whole scenarios of time, blocks and votes.

use crate::{
    functions::checkpoint,
    support::{int, ints, list, root, usize_of},
};
use pos_node::{
    consensus::{
        fast_confirmation::{FastConfirmation, HeadState},
        fork_choice::{Balances, CheckpointStates, ForkChoice},
        tree::Block,
    },
    types::{
        operation::{AttestationData, Checkpoint},
        params::Params,
        primitives::{Root, ValidatorIndex},
    },
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};
use std::{collections::BTreeMap, sync::Arc};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    list(json.get("steps")?);
    if json.get("justified_balances").is_some() {
        return Some(Claim::Run(fork_choice));
    }
    json.get("balance_sets").is_some().then_some(Claim::Run(fast_confirmation))
}

/// Balances by checkpoint, with others for checkpoints that are not listed.
#[derive(Default)]
struct Known {
    by_checkpoint: BTreeMap<Checkpoint, Arc<Balances>>,
    by_epoch: BTreeMap<u64, Arc<Balances>>,
}

impl CheckpointStates for Known {
    fn balances(&self, checkpoint: &Checkpoint) -> Option<Arc<Balances>> {
        let listed = self.by_checkpoint.get(checkpoint);
        listed.or_else(|| self.by_epoch.range(..=checkpoint.epoch).next_back().map(|(_, set)| set)).cloned()
    }
}

struct Head {
    balances: Arc<Balances>,
    committees: BTreeMap<u64, Vec<ValidatorIndex>>,
}

impl HeadState for Head {
    fn pulled_up_balances(&self) -> Arc<Balances> {
        Arc::clone(&self.balances)
    }

    fn committee(&self, slot: u64) -> Vec<ValidatorIndex> {
        self.committees.get(&slot).cloned().unwrap_or_default()
    }
}

fn start(json: &Value) -> ForkChoice {
    let anchor = &json["anchor"];
    let parent = anchor.get("parent_root").map(root).unwrap_or_default();
    let params = Arc::new(Params::minimal());
    ForkChoice::new(params, int(&json["genesis_time"]), root(&anchor["root"]), parent, int(&anchor["slot"]))
}

fn fork_choice(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let mut states = Known::default();
    for (key, set) in json["justified_balances"].as_object().expect("sets") {
        let (epoch, root) = key.split_once(':').expect("epoch:root");
        let checkpoint =
            Checkpoint { epoch: epoch.parse().expect("epoch"), root: root.parse().expect("root") };
        let balances = Balances {
            active: ints(&set["effective_balance"]),
            slashed: set.get("slashed").map(ints).unwrap_or_default().into_iter().collect(),
            total_active: int(&set["total_active_balance"]),
        };
        states.by_checkpoint.insert(checkpoint, Arc::new(balances));
    }
    let mut choice = start(&json);
    for (at, step) in list(&json["steps"]).iter().enumerate() {
        if !common(at, step, &mut choice, &states, out) {
            panic!("unknown step {step}");
        }
    }
}

/// Runs a step that both kinds of scenario have.
fn common(at: usize, step: &Value, choice: &mut ForkChoice, states: &Known, out: &mut Cases) -> bool {
    let valid = step.get("valid") != Some(&Value::Bool(false));
    if let Some(time) = step.get("tick") {
        choice.on_tick(int(time) * 1000);
    } else if let Some(block) = step.get("block") {
        on_block(at, block, valid, choice, states, out);
    } else if let Some(vote) = step.get("attestation") {
        let result = choice.on_attestation(&data(vote), &ints(&vote["attesting_indices"]), false);
        let accepted = valid && vote.get("accepted") != Some(&Value::Bool(false));
        out.equal(format!("step {at} vote {result:?}"), &result.is_ok(), &accepted);
    } else if let Some(slashing) = step.get("attester_slashing") {
        choice.on_equivocation(ints(&slashing["indices"]));
    } else if let Some(checks) = step.get("checks") {
        check(at, checks, choice, states, out);
    } else {
        return false;
    }
    true
}

fn on_block(at: usize, block: &Value, valid: bool, choice: &mut ForkChoice, states: &Known, out: &mut Cases) {
    let point = |field: &str| block.get(field).map(checkpoint).unwrap_or_default();
    let known = Block {
        root: root(&block["root"]),
        parent_root: root(&block["parent_root"]),
        slot: int(&block["slot"]),
        proposer_index: block.get("proposer_index").map_or(0, int),
        justified: point("justified"),
        finalized: point("finalized"),
        unrealized_justified: point("unrealized_justified"),
        unrealized_finalized: point("unrealized_finalized"),
    };
    let result = choice.on_block(known, states);
    out.equal(format!("step {at} block {result:?}"), &result.is_ok(), &valid);
    if !valid {
        return;
    }
    if let Some(timely) = block.get("timely").and_then(Value::as_bool) {
        let node = choice.tree().get(&known.root).expect("just added");
        out.equal(format!("step {at} timely"), &node.timely, &timely);
    }
    for vote in block.get("attestations").map(list).unwrap_or_default() {
        let result = choice.on_attestation(&data(vote), &ints(&vote["attesting_indices"]), true);
        let accepted = vote.get("accepted") != Some(&Value::Bool(false));
        out.equal(format!("step {at} vote in block {result:?}"), &result.is_ok(), &accepted);
    }
    for indices in block.get("slashed_indices").map(list).unwrap_or_default() {
        choice.on_equivocation(ints(indices));
    }
}

fn data(vote: &Value) -> AttestationData {
    AttestationData {
        slot: int(&vote["slot"]),
        index: 0,
        beacon_block_root: root(&vote["beacon_block_root"]),
        source: Checkpoint::default(),
        target: checkpoint(&vote["target"]),
    }
}

fn check(at: usize, checks: &Value, choice: &mut ForkChoice, states: &Known, out: &mut Cases) {
    let head = choice.head(states).expect("balances");
    for (field, expected) in checks.as_object().expect("checks") {
        let name = format!("step {at} {field}");
        match field.as_str() {
            "head" => {
                let slot = choice.tree().get(&head).expect("in the tree").block.slot;
                out.equal(name, &(head, slot), &(root(&expected["root"]), int(&expected["slot"])));
            }
            "justified_checkpoint" => out.equal(name, &choice.justified(), &checkpoint(expected)),
            "finalized_checkpoint" => out.equal(name, &choice.finalized(), &checkpoint(expected)),
            "proposer_boost_root" => out.equal(name, &choice.boost(), &root(expected)),
            "weights" => {
                for (block, weight) in expected.as_object().expect("weights") {
                    let block: Root = block.parse().expect("root");
                    let actual = choice.tree().get(&block).expect("in the tree").weight;
                    out.equal(format!("{name} of {block}"), &actual, &int(weight));
                }
            }
            "get_proposer_head" => {
                let slot = choice.current_slot();
                let actual = choice.proposer_head(slot, &[], states).expect("balances");
                out.equal(name, &actual, &root(expected));
            }
            "viable_for_head_roots_and_weights" => panic!("{field} needs a runner"),
            "time" | "genesis_time" => {}
            // compared with the rule's memory by the caller
            "confirmed_root"
            | "previous_slot_head"
            | "current_slot_head"
            | "previous_epoch_observed_justified_checkpoint"
            | "current_epoch_observed_justified_checkpoint"
            | "previous_epoch_greatest_unrealized_checkpoint" => {}
            other => panic!("unknown check {other}"),
        }
    }
}

fn fast_confirmation(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let sets: Vec<Arc<Balances>> = list(&json["balance_sets"])
        .iter()
        .map(|set| {
            Arc::new(Balances {
                active: ints(&set["active_effective_balance"]),
                slashed: ints(&set["slashed"]).into_iter().collect(),
                total_active: int(&set["total_active_balance"]),
            })
        })
        .collect();
    let mut states = Known::default();
    for (set, balances) in list(&json["balance_sets"]).iter().zip(&sets) {
        states.by_epoch.insert(int(&set["epoch"]), Arc::clone(balances));
    }
    let mut choice = start(&json);
    let mut rule = FastConfirmation::new(&choice);
    let mut committees = BTreeMap::new();
    for (at, step) in list(&json["steps"]).iter().enumerate() {
        if let Some(inputs) = step.get("on_fast_confirmation") {
            for (slot, members) in inputs["committees_changed"].as_object().expect("committees") {
                committees.insert(slot.parse().expect("slot"), ints(members));
            }
            let set = |field: &str| Arc::clone(&sets[usize_of(&inputs[field])]);
            let head = Head { balances: set("head_pulled_up_balances"), committees: committees.clone() };
            // which checkpoints the rule will ask for is known before it runs
            let (previous, current) = upcoming(&rule, &choice);
            states.by_checkpoint.insert(previous, set("previous_balance_source"));
            states.by_checkpoint.insert(current, set("current_balance_source"));
            rule.on_slot(&mut choice, &states, &head).expect("balances");
        } else {
            assert!(common(at, step, &mut choice, &states, out), "unknown step {step}");
            for (field, expected) in step.get("checks").and_then(Value::as_object).into_iter().flatten() {
                memory(&format!("step {at} {field}"), field, expected, &rule, out);
            }
        }
    }
}

/// The observed checkpoints as they will be after this slot's update.
fn upcoming(rule: &FastConfirmation, choice: &ForkChoice) -> (Checkpoint, Checkpoint) {
    if choice.current_slot().is_multiple_of(choice.params().slots_per_epoch) {
        (rule.current_observed, rule.previous_greatest_unrealized)
    } else {
        (rule.previous_observed, rule.current_observed)
    }
}

fn memory(name: &str, field: &str, expected: &Value, rule: &FastConfirmation, out: &mut Cases) {
    match field {
        "confirmed_root" => out.equal(name, &rule.confirmed, &root(expected)),
        "previous_slot_head" => out.equal(name, &rule.previous_slot_head, &root(expected)),
        "current_slot_head" => out.equal(name, &rule.current_slot_head, &root(expected)),
        "previous_epoch_observed_justified_checkpoint" => {
            out.equal(name, &rule.previous_observed, &checkpoint(expected));
        }
        "current_epoch_observed_justified_checkpoint" => {
            out.equal(name, &rule.current_observed, &checkpoint(expected));
        }
        "previous_epoch_greatest_unrealized_checkpoint" => {
            out.equal(name, &rule.previous_greatest_unrealized, &checkpoint(expected));
        }
        _ => {}
    }
}
