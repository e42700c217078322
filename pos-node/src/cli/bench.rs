//! `bench load`: transfers at a steady rate through the RPC of running nodes, and what the chain made of them. It uses the
//! publicly known accounts of development networks, so it can load nothing else.

use std::{collections::BTreeMap, thread, time::Duration};

use clap::{Args, Subcommand};
use rayon::prelude::*;
use serde_json::{Value, json};
use shared_vendor::{
    app::Loaded,
    cli,
    clock::{Clock, Time},
    exit::{self, Code, Exit, Report},
    hex,
};

use super::{
    PosNode,
    remote::{Node, number, text},
};
use crate::{
    crypto::ed25519,
    node::genesis::{devnet_account, devnet_address},
    types::{
        codec::encode,
        primitives::{Address, Root},
        transaction::{Action, Auth, Tx, TxBody},
    },
};

/// The chain did not keep up with the load.
pub(super) const LOAD_NOT_SUSTAINED: Code = Code {
    id: "E0901",
    exit: Exit::Failed,
    title: "the load was not sustained",
    text: "A slot of the measured time has no block, or fewer transactions were included than were to be sent.",
};

/// Gas of a transfer to an account that exists.
const TRANSFER_GAS: u64 = 40_000;
/// Most a transfer pays, in nano per 1000 gas: far above what a network under load asks.
const MAX_FEE: u64 = 1_000_000;
/// Time between two calls to one node.
const CALL_EVERY: Duration = Duration::from_millis(100);
/// Pause after a call that was not answered.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Slots that a transaction may wait for.
const VALID_FOR: u64 = 4096;
/// Part of what was sent that must be included while it is measured, in percent: the last transactions still wait then.
const INCLUDED_PERCENT: u64 = 98;

/// What can be measured on running nodes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send transfers at a steady rate and count what is included
    Load(Load),
}

/// How to load a network.
#[derive(Debug, Args)]
pub struct Load {
    /// RPC of a node, as http://127.0.0.1:29471; the load is divided among all that are named
    #[arg(long = "url", required = true)]
    urls: Vec<String>,
    /// Transfers per second
    #[arg(long, default_value_t = 3000)]
    rate: u64,
    /// Seconds of load
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seconds of load before the measurement begins
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Accounts that send; as many as the genesis file was made with
    #[arg(long, default_value_t = 16)]
    accounts: u32,
}

pub(super) fn run(command: &Command, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    match command {
        Command::Load(load) => run_load(load, &*loaded.clock),
    }
}

/// What a signature binds to.
struct Identity {
    chain_id: u64,
    version: [u8; 4],
    validators_root: Root,
}

fn identity(node: &Node) -> Result<Identity, Report> {
    let (specs, genesis) = (node.known("chain_specs", &json!([]))?, node.known("chain_genesis", &json!([]))?);
    let malformed = || Report::new(exit::RPC_FAILED, "chain_genesis is not as expected").at(node.url());
    Ok(Identity {
        chain_id: number(&specs, "chainId"),
        version: hex::decode_array(text(&genesis, "forkVersion")).map_err(|_| malformed())?,
        validators_root: text(&genesis, "validatorsRoot").parse().map_err(|_| malformed())?,
    })
}

/// An account that sends through one node.
struct Sender {
    seed: [u8; 32],
    key: [u8; 32],
    next: u64,
    to: Address,
}

impl Sender {
    fn transfer(&self, nonce: u64, identity: &Identity, slot: u64) -> String {
        let body = TxBody {
            chain_id: identity.chain_id,
            nonce,
            valid_until: slot.saturating_add(VALID_FOR),
            gas_limit: TRANSFER_GAS,
            max_fee: MAX_FEE,
            tip: 1,
            action: Action::Transfer { to: self.to, amount: 1 },
        };
        let message = body.signing_message(identity.version, identity.validators_root);
        let signature = ed25519::sign(&self.seed, &message);
        let tx = Tx { auth: Auth::Single { pubkey: self.key, signature }, body };
        format!("0x{}", hex::encode(encode(&tx)))
    }
}

/// What became of the transfers sent through one node.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    accepted: u64,
    refused: u64,
    /// Calls that were not answered.
    failed: u64,
}

/// Sends `rate` transfers a second through one node until `until`; each sender's in the order of nonces.
fn send(
    node: &Node,
    mut senders: Vec<Sender>,
    identity: &Identity,
    rate: u64,
    (slot, until): (u64, Time),
    clock: &dyn Clock,
) -> Sent {
    let begun = clock.now();
    let (mut sent, mut count, mut turn) = (Sent::default(), 0u64, 0usize);
    while clock.now() < until {
        let due =
            u64::try_from(clock.now().since(begun).as_millis()).unwrap_or(u64::MAX).saturating_mul(rate)
                / 1000;
        let wanted = usize::try_from(due.saturating_sub(count)).unwrap_or(0).min(1024);
        let mut plan: Vec<(usize, u64)> = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let at = turn % senders.len();
            turn = turn.wrapping_add(1);
            if let Some(sender) = senders.get_mut(at) {
                plan.push((at, sender.next));
                sender.next = sender.next.saturating_add(1);
            }
        }
        count = count.saturating_add(u64::try_from(wanted).unwrap_or(0));
        if plan.is_empty() {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let texts: Vec<String> = plan
            .par_iter()
            .filter_map(|(at, nonce)| Some(senders.get(*at)?.transfer(*nonce, identity, slot)))
            .collect();
        let Ok(answer) = node.known("tx_submitBatch", &json!([texts])) else {
            // whether it took them is not known: they are offered again
            sent.failed = sent.failed.saturating_add(1);
            count = count.saturating_sub(u64::try_from(plan.len()).unwrap_or(0));
            for (at, nonce) in plan {
                if let Some(sender) = senders.get_mut(at) {
                    sender.next = sender.next.min(nonce);
                }
            }
            thread::sleep(AFTER_FAILURE);
            continue;
        };
        for ((at, nonce), line) in plan.iter().zip(answer.as_array().into_iter().flatten()) {
            if line.get("id").is_some() {
                sent.accepted = sent.accepted.saturating_add(1);
                continue;
            }
            sent.refused = sent.refused.saturating_add(1);
            // for want of room: it is sent again, with what comes after it; what is known or included is not
            let reason = line.get("error").and_then(Value::as_str).unwrap_or_default();
            if let Some(sender) = senders.get_mut(*at)
                && !reason.starts_with("known")
                && !reason.starts_with("invalid")
            {
                sender.next = sender.next.min(*nonce);
            }
        }
        if wanted < 1024 {
            thread::sleep(CALL_EVERY);
        }
    }
    sent
}

/// The blocks of some slots: transactions by slot, for slots with a block.
fn blocks(node: &Node, slots: std::ops::RangeInclusive<u64>) -> Result<BTreeMap<u64, u64>, Report> {
    let mut found = BTreeMap::new();
    for slot in slots {
        if let Ok(block) = node.ask("chain_getBlock", &json!([slot.to_string()]))? {
            let txs = block.get("txIds").and_then(Value::as_array).map_or(0, Vec::len);
            found.insert(slot, u64::try_from(txs).unwrap_or(0));
        }
    }
    Ok(found)
}

fn run_load(load: &Load, clock: &dyn Clock) -> Result<(), Report> {
    let nodes: Vec<Node> = load.urls.iter().map(|url| Node::new(url)).collect();
    let Some(first) = nodes.first() else {
        return Err(Report::new(exit::BAD_USAGE, "no node is named"));
    };
    let identity = identity(first)?;
    let slot_ms = number(&first.known("chain_specs", &json!([]))?, "slotMs").max(1);
    let head = |node: &Node| Ok::<_, Report>(number(&node.known("chain_head", &json!([]))?, "slot"));
    let mut senders: Vec<Vec<Sender>> = nodes.iter().map(|_| Vec::new()).collect();
    for (index, turn) in (0..load.accounts).zip((0..nodes.len()).cycle()) {
        let seed = devnet_account(index);
        let asked = first.known("account_nonce", &json!([devnet_address(index).to_string()]))?;
        let next = asked.as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let to = devnet_address(index.wrapping_add(1).checked_rem(load.accounts).unwrap_or(0));
        if let Some(senders) = senders.get_mut(turn) {
            senders.push(Sender { seed, key: ed25519::public_key(&seed), next, to });
        }
    }
    let slot = head(first)?;
    let begun = clock.now();
    let until = begun.after(Duration::from_secs(load.warm_up.saturating_add(load.seconds)));
    let share = load.rate / u64::try_from(nodes.len()).unwrap_or(1);
    cli::print(&format!(
        "{} transfers a second through {} nodes from slot {slot} on\n",
        load.rate,
        nodes.len()
    ))?;
    let (from, to, sent) = thread::scope(|scope| {
        let sending: Vec<_> = nodes
            .iter()
            .zip(senders)
            .map(|(node, senders)| {
                let identity = &identity;
                scope.spawn(move || send(node, senders, identity, share, (slot, until), clock))
            })
            .collect();
        thread::sleep(Duration::from_secs(load.warm_up));
        let from = head(first)?;
        thread::sleep(until.since(clock.now()));
        let to = head(first)?;
        let mut sent = Sent::default();
        for thread in sending {
            let part = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.accepted = sent.accepted.saturating_add(part.accepted);
            sent.refused = sent.refused.saturating_add(part.refused);
            sent.failed = sent.failed.saturating_add(part.failed);
        }
        Ok::<_, Report>((from, to, sent))
    })?;
    report(load, first, (from, to), slot_ms, sent)
}

/// What was included in the slots after the first and up to the last one.
fn report(load: &Load, node: &Node, (from, to): (u64, u64), slot_ms: u64, sent: Sent) -> Result<(), Report> {
    let found = blocks(node, from.saturating_add(1)..=to)?;
    let slots = to.saturating_sub(from);
    let included: u64 = found.values().sum();
    let missed: Vec<u64> = (from.saturating_add(1)..=to).filter(|slot| !found.contains_key(slot)).collect();
    let per_second = included.saturating_mul(1000).checked_div(slots.saturating_mul(slot_ms)).unwrap_or(0);
    let finality = node.known("chain_finality", &json!([]))?;
    let epoch = finality.get("finalized").map_or(0, |of| number(of, "epoch"));
    cli::print(&format!(
        "{slots} slots of {slot_ms} ms: {included} transactions included, {per_second} a second; largest block {}; {} slots without a block {missed:?}; accepted {}, refused {}, unanswered calls {}; epoch {epoch} is final\n",
        found.values().max().copied().unwrap_or(0),
        missed.len(),
        sent.accepted,
        sent.refused,
        sent.failed,
    ))?;
    let enough = per_second.saturating_mul(100) >= load.rate.saturating_mul(INCLUDED_PERCENT);
    if missed.is_empty() && enough {
        Ok(())
    } else {
        Err(Report::new(LOAD_NOT_SUSTAINED, LOAD_NOT_SUSTAINED.title))
    }
}
