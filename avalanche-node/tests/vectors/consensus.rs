//! Traces of the Go consensus packages, replayed step by step.

use std::collections::BTreeMap;

use avalanche_ids::Id;
use avalanche_snow::consensus::{Decision, Flavor, Params, Topological, Tree, instance::Rule};
use avalanche_utils::Bag;
use serde::Deserialize;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use crate::{Shape, basics::id};

pub(crate) fn claim(file: &File<'_>, shape: &Shape) -> Option<Claim> {
    if !file.path.starts_with("consensus/") {
        return None;
    }
    if shape.is_list_of(&["factory", "initial", "steps"]) {
        Some(Claim::Run(trees))
    } else if shape.is_list_of(&["genesis", "steps"]) {
        Some(Claim::Run(snowman))
    } else {
        None
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceParams {
    k: u32,
    alpha_preference: u32,
    alpha_confidence: u32,
    beta: u32,
}

impl TraceParams {
    fn rule(&self, flavor: Flavor) -> Rule {
        let Self { k, alpha_preference, alpha_confidence, beta } = *self;
        let params = Params {
            k,
            alpha_preference,
            alpha_confidence,
            beta,
            concurrent_repolls: 1,
            ..Params::default()
        };
        Rule { flavor, params }
    }
}

#[derive(Deserialize)]
struct TreeTrace {
    factory: String,
    initial: String,
    params: TraceParams,
    steps: Vec<TreeStep>,
}

#[derive(Deserialize)]
struct TreeStep {
    op: String,
    id: Option<String>,
    votes: Option<BTreeMap<String, u32>>,
    successful: Option<bool>,
    preference: String,
    finalized: bool,
    tree: String,
}

fn trees(file: &File<'_>, cases: &mut Cases) {
    for (number, trace) in file.parse::<Vec<TreeTrace>>().into_iter().enumerate() {
        let flavor = if trace.factory == "snowball" { Flavor::Snowball } else { Flavor::Snowflake };
        cases.case(format!("tree {number}"), || replay_tree(&trace, flavor));
    }
}

fn replay_tree(trace: &TreeTrace, flavor: Flavor) -> Result<(), String> {
    let mut tree = Tree::new(trace.params.rule(flavor), id(&trace.initial));
    for (number, step) in trace.steps.iter().enumerate() {
        let mut successful = None;
        match step.op.as_str() {
            "add" => tree.add(id(step.id.as_ref().expect("add has an id"))),
            "poll" => {
                let mut votes: Vec<_> =
                    step.votes.iter().flatten().map(|(choice, count)| (id(choice), *count)).collect();
                successful = Some(tree.record_poll(&mut votes));
            }
            _ => tree.record_unsuccessful_poll(),
        }
        let actual = (tree.preference(), tree.finalized(), tree.to_string());
        let expected = (id(&step.preference), step.finalized, step.tree.clone());
        if actual != expected {
            return Err(format!("step {number} {}\n{actual:#?}\ninstead of\n{expected:#?}", step.op));
        }
        if step.successful.is_some() && step.op == "poll" && successful != step.successful {
            return Err(format!("step {number}: successful {successful:?}, expected {:?}", step.successful));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct SnowmanTrace {
    genesis: String,
    params: TraceParams,
    steps: Vec<SnowmanStep>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnowmanStep {
    op: String,
    id: Option<String>,
    parent: Option<String>,
    height: Option<u64>,
    votes: Option<BTreeMap<String, u32>>,
    #[serde(rename = "accepted")]
    accepted: Vec<String>,
    #[serde(rename = "rejected_sorted")]
    rejected: Vec<String>,
    #[serde(rename = "preferred_sorted")]
    preferred: Vec<String>,
    preference: String,
    last_accepted: String,
    last_accepted_height: u64,
    num_processing: usize,
}

fn snowman(file: &File<'_>, cases: &mut Cases) {
    for (number, trace) in file.parse::<Vec<SnowmanTrace>>().into_iter().enumerate() {
        cases.case(format!("trace {number}"), || replay_snowman(&trace));
    }
}

fn replay_snowman(trace: &SnowmanTrace) -> Result<(), String> {
    let rule = trace.params.rule(Flavor::Snowflake);
    let mut snowman = Topological::new(rule, id(&trace.genesis), 0).map_err(|error| error.to_string())?;
    for (number, step) in trace.steps.iter().enumerate() {
        let decisions = match step.op.as_str() {
            "add" => {
                let block = |text: &Option<String>| id(text.as_ref().expect("add has ids"));
                let height = step.height.expect("add has a height");
                snowman
                    .add(block(&step.id), block(&step.parent), height)
                    .map_err(|error| format!("step {number}: {error}"))?;
                Vec::new()
            }
            "poll" => {
                let mut votes = Bag::new();
                for (choice, count) in step.votes.iter().flatten() {
                    votes.add_count(id(choice), *count);
                }
                snowman.record_poll(&votes)
            }
            other => return Err(format!("step {number}: unknown operation {other}")),
        };
        let accepted: Vec<Id> = decisions
            .iter()
            .filter_map(|decision| if let Decision::Accept(id) = decision { Some(*id) } else { None })
            .collect();
        let mut rejected: Vec<Id> = decisions
            .iter()
            .filter_map(|decision| if let Decision::Reject(id) = decision { Some(*id) } else { None })
            .collect();
        rejected.sort();
        let mut preferred: Vec<Id> = snowman.preferred_branch().collect();
        let tip = preferred.last().copied().unwrap_or(snowman.last_accepted().0);
        preferred.sort();
        let ids = |texts: &[String]| texts.iter().map(|text| id(text)).collect::<Vec<_>>();
        let mut expected_preferred = ids(&step.preferred);
        expected_preferred.sort();
        let mut expected_rejected = ids(&step.rejected);
        expected_rejected.sort();
        let actual = (
            accepted,
            rejected,
            preferred,
            snowman.preference(),
            snowman.last_accepted(),
            snowman.num_processing(),
        );
        let expected = (
            ids(&step.accepted),
            expected_rejected,
            expected_preferred,
            id(&step.preference),
            (id(&step.last_accepted), step.last_accepted_height),
            step.num_processing,
        );
        if actual != expected || tip != snowman.preference() {
            return Err(format!("step {number} {}\n{actual:#?}\ninstead of\n{expected:#?}", step.op));
        }
    }
    Ok(())
}
