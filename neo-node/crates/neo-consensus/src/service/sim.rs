//! Validators on a simulated network: no two honest ones ever have different blocks at a height, whatever happens to
//! the network and whatever up to `f` of them do; and once the network is whole again, blocks come.
//! `SIM_SEEDS` says how many seeds each scenario runs (default 3).

use std::{collections::BTreeSet, env, sync::Arc, time::Duration};

use neo_base::{
    UInt160, UInt256, account,
    codec::Wire,
    ledger::{
        Block, Extensible, Scopes, Signer, Transaction, TransactionBody, Witness, merkle_root, sign_data,
    },
};
use neo_crypto::secp256r1::{PrivateKey, PublicKey};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
    testing::sim::{Node, Outcome, Sim, Weather},
};

use super::{Effect, Input, Note, Service, Settings};
use crate::{
    message::{Body, ChangeReason, ChangeViewForm, Message},
    round::{CATEGORY, Tip},
};

const NETWORK: u32 = 56754;
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// Wall-clock time when a simulation starts.
const BORN: u64 = 1_700_000_000_000;

/// What a validator does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    Honest,
    /// Says nothing.
    Silent,
    /// Proposes one block to some and another to the rest, accepts both, commits to both.
    Equivocator,
    /// Accepts, and keeps its commit to itself.
    Withholder,
    /// Asks for another view all the time.
    ViewChanger,
    /// Signs anything but the block in its commits.
    Garbler,
    /// Says everything it has heard again.
    Replayer,
    /// Proposes transactions that nobody else accepts.
    BadProposer,
}

#[derive(Debug)]
struct Validator {
    fault: Fault,
    key: PrivateKey,
    validators: Vec<PublicKey>,
    service: Service,
    chain: Vec<Block>,
    log: Option<Vec<u8>>,
    heard: Vec<Extensible>,
    booted: bool,
    /// Asks others for blocks it may have missed.
    poll: Time,
}

#[derive(Debug, Clone)]
enum Talk {
    Payload(Box<Extensible>),
    Block(Arc<Block>),
    Ask(u32),
}

enum In {
    Talk(usize, Talk),
    Tick,
}

impl From<Tick> for In {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

fn key(seed: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[u8::try_from(seed + 1).unwrap(); 32]).unwrap()
}

/// Transactions that are in every pool at a height; odd heights have none.
fn pool(height: u32) -> Vec<Arc<Transaction>> {
    (0..if height.is_multiple_of(2) { 3 } else { 0 })
        .map(|number| transaction(height * 10 + number))
        .collect()
}

fn transaction(nonce: u32) -> Arc<Transaction> {
    let signer = Signer::new(UInt160([7; 20]), Scopes::NONE);
    let body = TransactionBody {
        nonce,
        system_fee: 1,
        network_fee: 1,
        valid_until_block: 1000,
        signers: vec![signer],
        attributes: Vec::new(),
        script: vec![0x11],
    };
    Arc::new(Transaction::new(body, vec![Witness::default()]))
}

/// A transaction that only a bad proposer thinks valid.
const BAD: u32 = 1_000_000;

impl Validator {
    fn new(place: usize, n: usize, fault: Fault) -> Self {
        let mut validators: Vec<_> = (0..n).map(|place| key(place).public_key()).collect();
        validators.sort_unstable();
        Self::with(place, validators, fault, Vec::new(), None)
    }

    fn with(
        place: usize,
        validators: Vec<PublicKey>,
        fault: Fault,
        chain: Vec<Block>,
        log: Option<Vec<u8>>,
    ) -> Self {
        let settings = Settings {
            network: NETWORK,
            keys: vec![key(place)],
            max_block_size: 1 << 20,
            max_block_system_fee: 1_000_000,
            change_view_form: ChangeViewForm::WithRejected,
            seed: [u8::try_from(place).unwrap(); 32],
        };
        let service = Service::new(settings);
        Self {
            fault,
            key: key(place),
            validators,
            service,
            chain,
            log,
            heard: Vec::new(),
            booted: false,
            poll: Time::ZERO,
        }
    }

    fn tip(&self, now: Time) -> Box<Tip> {
        let bft = account::multisig_script(account::bft_threshold(self.validators.len()), &self.validators)
            .unwrap();
        Box::new(Tip {
            height: u32::try_from(self.chain.len()).unwrap(),
            hash: self.chain.last().map_or(UInt256::ZERO, |block| block.header.hash()),
            timestamp: self.chain.last().map_or(BORN, |block| block.header.body().timestamp),
            validators: self.validators.clone(),
            next_consensus: account::script_hash(&bft),
            validators_changed: false,
            block_time: BLOCK_TIME,
            max_transactions: 100,
            wall: BORN + now.as_nanos() / 1_000_000,
        })
    }

    fn feed(&mut self, now: Time, input: Input, out: &mut Vec<Outcome<Talk>>) {
        let mut effects = Vec::new();
        self.service.step(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Save(log) => self.log = Some(log),
                Effect::Broadcast(payload) => self.say(*payload, out),
                Effect::Announce(_) => {}
                Effect::Select { height, view, .. } => {
                    let mut transactions = pool(height);
                    if self.fault == Fault::BadProposer {
                        transactions.push(transaction(BAD + height));
                    }
                    self.feed(now, Input::Selected { height, view, transactions }, out);
                }
                Effect::Fetch(hashes) => {
                    let height = u32::try_from(self.chain.len()).unwrap() + 1;
                    let known = pool(height).into_iter().chain([transaction(BAD + height)]);
                    let found = known.filter(|tx| hashes.contains(&tx.hash())).collect();
                    self.feed(now, Input::Transactions(found), out);
                }
                Effect::Judge { height, view, transactions } => {
                    let bad = transactions.iter().find(|tx| tx.body().nonce >= BAD).map(|tx| tx.hash());
                    let verdict = bad.map_or(Ok(()), |hash| Err(super::Rejection::Invalid(hash)));
                    self.feed(now, Input::Judged { height, view, verdict }, out);
                }
                Effect::Block(block) => {
                    out.push(Outcome::Broadcast(Talk::Block(Arc::new((*block).clone()))));
                    self.append(now, *block, out);
                }
                Effect::Note(Note::Behind { .. }) => out.push(Outcome::Broadcast(Talk::Ask(self.next()))),
                Effect::Note(_) => {}
            }
        }
    }

    fn next(&self) -> u32 {
        u32::try_from(self.chain.len()).unwrap() + 1
    }

    /// Sends what the service says, as far as the fault lets it.
    fn say(&mut self, payload: Extensible, out: &mut Vec<Outcome<Talk>>) {
        let message = Message::from_data(&payload.data).expect("own message");
        let all = |payload: Extensible| Outcome::Broadcast(Talk::Payload(Box::new(payload)));
        match (self.fault, &message.body) {
            (Fault::Silent, _) | (Fault::Withholder, Body::Commit(_) | Body::Recovery(_)) => {}
            (Fault::Garbler, Body::Commit(_)) => out.push(all(self.sign(&message, Body::Commit([9; 64])))),
            (Fault::Garbler, Body::Recovery(_)) => {}
            (Fault::Equivocator, Body::PrepareRequest(proposal)) => {
                let mut other = proposal.clone();
                other.nonce = !other.nonce;
                let other = self.sign(&message, Body::PrepareRequest(other));
                let half = self.validators.len() / 2;
                for to in 0..self.validators.len() {
                    let twin = if to < half { &payload } else { &other };
                    out.push(Outcome::Send(to, Talk::Payload(Box::new(twin.clone()))));
                }
            }
            (Fault::ViewChanger, _) => {
                let body = Body::ChangeView { timestamp: 5, reason: ChangeReason::Timeout, rejected: None };
                out.push(all(self.sign(&message, body)));
            }
            (Fault::Replayer, _) => {
                out.extend(self.heard.iter().rev().take(20).cloned().map(all));
                out.push(all(payload));
            }
            _ => out.push(all(payload)),
        }
    }

    /// The message with another body.
    fn sign(&self, message: &Message, body: Body) -> Extensible {
        let validator = self.validators.binary_search(&self.key.public_key()).unwrap();
        let data =
            Message { body, validator: u8::try_from(validator).unwrap(), ..message.clone() }.to_bytes();
        let verification = account::signature_script(&self.key.public_key());
        let mut payload = Extensible {
            category: CATEGORY.to_owned(),
            valid_block_start: 0,
            valid_block_end: message.height,
            sender: account::script_hash(&verification),
            data,
            witness: Witness { invocation: Vec::new(), verification },
        };
        let signature = self.key.sign(&sign_data(NETWORK, &payload.hash()));
        payload.witness.invocation = [&[0x0c, 64][..], &signature].concat();
        payload
    }

    fn append(&mut self, now: Time, block: Block, out: &mut Vec<Outcome<Talk>>) {
        if block.header.body().index != self.next() {
            return;
        }
        self.check(&block);
        out.push(Outcome::Log(format!("{} {}", self.next(), block.header.hash())));
        self.chain.push(block);
        let tip = self.tip(now);
        self.feed(now, Input::Persisted(tip), out);
    }

    /// The rules of the chain that an honest node may rely on.
    fn check(&self, block: &Block) {
        let body = block.header.body();
        assert_eq!(body.previous, self.chain.last().map_or(UInt256::ZERO, |last| last.header.hash()));
        let hashes: Vec<_> = block.transactions.iter().map(|tx| tx.hash()).collect();
        assert_eq!(body.merkle_root, merkle_root(&hashes));
        assert!(block.transactions.iter().all(|tx| tx.body().nonce < BAD), "a bad transaction is in a block");
        let (m, keys) = account::parse_multisig_script(&block.header.witness().verification).unwrap();
        assert_eq!((m, &keys), (account::bft_threshold(self.validators.len()), &self.validators));
        let data = sign_data(NETWORK, &block.header.hash());
        let mut keys = keys.iter();
        for signature in block.header.witness().invocation.chunks(66) {
            let signature: &[u8; 64] = signature[2..].try_into().unwrap();
            assert!(keys.any(|key| key.verify(&data, signature)), "a signature of the block is bad");
        }
    }
}

/// The one way in which the protocol itself can stand still, with honest validators only: more than `f` have committed
/// in a view, one of them after it had asked for the next, and the others have gone there with its help. The reference
/// has the same rule; restarts make it likely enough to be seen.
fn is_locked(sim: &Sim<Validator>) -> bool {
    let rounds: Vec<_> = (0..4).filter_map(|place| sim.node(place)?.service.round.as_ref()).collect();
    let highest = rounds.iter().map(|round| round.view).max().unwrap_or_default();
    rounds.iter().filter(|round| round.commit_sent() && round.view < highest).count() > 1
}

impl Machine for Validator {
    type Input = In;
    type Effect = Outcome<Talk>;

    fn step(&mut self, now: Time, input: In, out: &mut Vec<Outcome<Talk>>) {
        match input {
            In::Tick if !self.booted => {
                self.booted = true;
                self.poll = now.after(BLOCK_TIME * 5);
                let (tip, log) = (self.tip(now), self.log.clone());
                self.feed(now, Input::Start(tip, log), out);
            }
            In::Tick => {
                if self.poll <= now {
                    self.poll = now.after(BLOCK_TIME * 5);
                    out.push(Outcome::Broadcast(Talk::Ask(self.next())));
                }
                self.feed(now, Input::Tick, out);
            }
            In::Talk(_, Talk::Payload(payload)) => {
                if self.fault == Fault::Replayer {
                    self.heard.push((*payload).clone());
                }
                if self.fault == Fault::Equivocator
                    && let Ok(message) = Message::from_data(&payload.data)
                    && matches!(message.body, Body::PrepareRequest(_))
                {
                    let response = self.sign(&message, Body::PrepareResponse(payload.hash()));
                    out.push(Outcome::Broadcast(Talk::Payload(Box::new(response))));
                }
                self.feed(now, Input::Payload(payload), out);
            }
            In::Talk(_, Talk::Block(block)) => self.append(now, (*block).clone(), out),
            In::Talk(from, Talk::Ask(height)) => {
                let index = usize::try_from(height).unwrap().saturating_sub(1);
                for block in self.chain.iter().skip(index) {
                    out.push(Outcome::Send(from, Talk::Block(Arc::new(block.clone()))));
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        if !self.booted {
            return Some(Time::ZERO);
        }
        Some(self.service.deadline().unwrap_or(self.poll).min(self.poll))
    }
}

impl Node for Validator {
    type Message = Talk;

    fn receive(from: usize, message: Talk) -> In {
        In::Talk(from, message)
    }

    fn outcome(effect: Outcome<Talk>) -> Outcome<Talk> {
        effect
    }
}

fn network(seed: u64, faults: &[Fault], weather: Weather) -> Sim<Validator> {
    let n = faults.len();
    Sim::new(seed, faults.iter().enumerate().map(|(place, fault)| Validator::new(place, n, *fault)), weather)
}

fn seeds() -> std::ops::Range<u64> {
    0..env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// No two honest validators have different blocks at a height.
fn assert_agreement(sim: &Sim<Validator>, faults: &[Fault], seed: u64) {
    let mut decided = std::collections::BTreeMap::new();
    for (_, node, text) in &sim.decisions {
        if faults[*node] == Fault::Honest {
            let (height, hash) = text.split_once(' ').unwrap();
            let before = decided.entry(height.to_owned()).or_insert_with(|| hash.to_owned());
            assert_eq!(before, hash, "two blocks at height {height}, seed {seed}");
        }
    }
}

/// The lowest height that an honest validator has.
fn least_height(sim: &Sim<Validator>, faults: &[Fault]) -> usize {
    let honest = (0..faults.len()).filter(|node| faults[*node] == Fault::Honest);
    honest.map(|node| sim.node(node).map_or(0, |node| node.chain.len())).min().unwrap()
}

/// Runs one network with faults; it must agree, and make blocks in time.
fn run(faults: &[Fault], blocks: usize) {
    for seed in seeds() {
        let mut sim = network(seed, faults, Weather::default());
        sim.run_while(Time::from_millis(400_000), |sim| least_height(sim, faults) < blocks);
        assert_agreement(&sim, faults, seed);
        let height = least_height(&sim, faults);
        assert!(height >= blocks, "{faults:?}, seed {seed}: only {height} blocks at {:?}", sim.now());
    }
}

use Fault::{BadProposer, Equivocator, Garbler, Honest, Replayer, Silent, ViewChanger, Withholder};

#[test]
fn honest_validators_make_a_block_in_each_block_time() {
    for n in [1, 4, 7] {
        let faults = vec![Honest; n];
        let mut sim = network(1, &faults, Weather::default());
        sim.run_until(Time::from_millis(20_500));
        let height = least_height(&sim, &faults);
        assert!((15..=20).contains(&height), "{n} validators made {height} blocks in 20 seconds");
        let views = sim.node(0).and_then(|node| node.service.position()).map(|(_, view, _)| view);
        assert_eq!(views, Some(0), "{n} validators changed the view");
        let with_transactions = sim.node(0).map(|node| node.chain[1].transactions.len());
        assert_eq!(with_transactions, Some(3));
    }
}

#[test]
fn the_same_seed_repeats_a_run() {
    let faults = [Honest, Honest, Equivocator, Honest];
    let digest = |seed| {
        let mut sim = network(seed, &faults, Weather { loss: 0.1, ..Weather::default() });
        sim.run_until(Time::from_millis(15_000));
        sim.digest()
    };
    assert_eq!(digest(3), digest(3));
}

#[test]
fn one_of_four_may_be_silent() {
    run(&[Honest, Silent, Honest, Honest], 8);
}

#[test]
fn one_of_four_may_equivocate() {
    run(&[Honest, Honest, Equivocator, Honest], 8);
}

#[test]
fn one_of_four_may_withhold_or_garble_its_commits() {
    run(&[Withholder, Honest, Honest, Honest], 8);
    run(&[Honest, Honest, Honest, Garbler], 8);
}

#[test]
fn one_of_four_may_want_other_views_all_the_time() {
    run(&[Honest, Honest, ViewChanger, Honest], 8);
}

#[test]
fn one_of_four_may_repeat_what_it_hears_or_propose_what_is_invalid() {
    run(&[Honest, Replayer, Honest, Honest], 8);
    run(&[Honest, Honest, Honest, BadProposer], 8);
}

#[test]
fn two_of_seven_may_fail_in_different_ways() {
    run(&[Honest, Equivocator, Honest, Silent, Honest, Honest, Honest], 5);
    run(&[Garbler, Honest, Honest, ViewChanger, Honest, Honest, Honest], 5);
}

#[test]
fn loss_never_splits_the_chain() {
    for seed in seeds() {
        let faults = [Honest; 4];
        let mut sim = network(seed, &faults, Weather { loss: 0.4, ..Weather::default() });
        sim.run_until(Time::from_millis(60_000));
        assert_agreement(&sim, &faults, seed);
    }
}

#[test]
fn a_partition_stops_the_chain_and_blocks_come_again_after_it_heals() {
    for seed in seeds() {
        let faults = [Honest; 4];
        let mut sim = network(seed, &faults, Weather::default());
        sim.run_until(Time::from_millis(3_300));
        sim.partition([BTreeSet::from([0, 1]), BTreeSet::from([2, 3])]);
        sim.run_until(Time::from_millis(12_000));
        let before = least_height(&sim, &faults);
        sim.run_until(Time::from_millis(20_000));
        assert!(least_height(&sim, &faults) <= before + 1, "half of the validators made blocks");
        sim.heal();
        let done = sim.run_while(Time::from_millis(200_000), |sim| least_height(sim, &faults) < before + 4);
        assert_agreement(&sim, &faults, seed);
        assert!(done || is_locked(&sim), "seed {seed}: no blocks after healing");
    }
}

#[test]
fn a_validator_that_restarts_with_its_log_goes_on_with_its_commit() {
    for seed in seeds() {
        let faults = [Honest; 4];
        let mut sim = network(seed, &faults, Weather::default());
        for round in 0_u64..6 {
            sim.run_until(Time::from_millis(1_030 + seed * 13 + round * 2_600));
            let place = usize::try_from(round).unwrap() % 4;
            let held = sim.crash(place).unwrap();
            sim.run_until(Time::from_millis(1_900 + seed * 13 + round * 2_600));
            sim.restart(place, Validator::with(place, held.validators, Honest, held.chain, held.log));
        }
        let before = least_height(&sim, &faults);
        let done = sim.run_while(Time::from_millis(300_000), |sim| least_height(sim, &faults) < before + 4);
        assert_agreement(&sim, &faults, seed);
        assert!(done || is_locked(&sim), "seed {seed}: no blocks after the restarts");
    }
}

#[test]
fn a_node_without_a_validators_key_watches_and_says_nothing() {
    let validators: Vec<_> = Validator::new(0, 4, Honest).validators;
    let places = [0, 1, 2, 3, 99];
    let nodes = places.map(|place| Validator::with(place, validators.clone(), Honest, Vec::new(), None));
    let mut sim = Sim::new(5, nodes, Weather::default());
    sim.run_until(Time::from_millis(10_000));
    let watcher = sim.node(4).unwrap();
    assert!(watcher.chain.len() >= 5);
    assert!(matches!(watcher.service.position(), Some((_, 0, super::Role::Watcher))));
    assert!(watcher.service.deadline().is_none());
    let said = |line: &str| line.contains(" 4>") && line.contains("Payload");
    assert!(!sim.log().lines().any(said));
}
