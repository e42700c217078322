//! State validators on a simulated network, some of them missing or lying: whatever they do, nobody keeps another root than
//! the chain's, and roots go on being signed. `SIM_SEEDS` says how many seeds each scenario runs (default 2).

use std::{collections::BTreeSet, env, time::Duration};

use neo_base::{
    UInt256, account,
    codec::Wire,
    ledger::{Extensible, Witness, sign_data},
};
use neo_crypto::{
    hash::sha256,
    secp256r1::{PrivateKey, PublicKey},
};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
    testing::sim::{Node, Outcome, Sim, Weather},
};

use super::{Effect, Input, Settings, Voting};
use crate::{
    commit::StateRoot,
    state_root::message::{CATEGORY, Message, Vote, push},
};

const NETWORK: u32 = 56753;
const BLOCK_TIME: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Honest,
    /// Says nothing.
    Silent,
    /// Votes for another root, and sends it as if all had signed it.
    Liar,
    /// Votes in the name of all others, with garbage and with their votes on other roots.
    Impostor,
}

#[derive(Debug)]
struct Validator {
    fault: Fault,
    key: PrivateKey,
    validators: Vec<PublicKey>,
    voting: Voting,
    height: u32,
    next_block: Time,
    kept: BTreeSet<u32>,
}

enum In {
    Heard(Box<Extensible>),
    Tick,
}

impl From<Tick> for In {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

fn key(place: usize) -> PrivateKey {
    PrivateKey::from_bytes(&[u8::try_from(place + 1).unwrap(); 32]).unwrap()
}

fn root(height: u32) -> StateRoot {
    StateRoot { index: height, root: UInt256(sha256(&height.to_le_bytes())), witness: None }
}

/// Checks a signed root as the ledger does: enough signatures, in the order of the keys.
fn is_good(root: &StateRoot, validators: &[PublicKey]) -> bool {
    let threshold = account::bft_threshold(validators.len());
    let Some(witness) = &root.witness else { return false };
    let data = sign_data(NETWORK, &root.hash());
    let mut keys = validators.iter();
    Some(&witness.verification) == account::multisig_script(threshold, validators).as_ref()
        && witness.invocation.len() == threshold * 66
        && witness.invocation.chunks(66).all(|pushed| {
            let signature: [u8; 64] = pushed[2..].try_into().unwrap();
            keys.any(|key| key.verify(&data, &signature))
        })
}

impl Validator {
    fn new(place: usize, n: usize, fault: Fault) -> Self {
        let mut keys: Vec<_> = (0..n).map(key).collect();
        keys.sort_by_key(PrivateKey::public_key);
        let validators = keys.iter().map(PrivateKey::public_key).collect();
        let key = keys.swap_remove(place);
        let voting = Voting::new(Settings { network: NETWORK, keys: vec![key.clone()] });
        let late = Duration::from_millis(u64::try_from(place).unwrap() * 70);
        let next_block = Time::ZERO.after(BLOCK_TIME + late);
        Self { fault, key, validators, voting, height: 0, next_block, kept: BTreeSet::new() }
    }

    fn feed(&mut self, now: Time, input: Input, out: &mut Vec<Outcome<Extensible>>) {
        let mut effects = Vec::new();
        self.voting.step(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Keep(root) => self.keep(now, &root, out),
                Effect::Broadcast(payload) => self.say(*payload, out),
                Effect::Note(_) => {}
            }
        }
    }

    fn keep(&mut self, now: Time, signed: &StateRoot, out: &mut Vec<Outcome<Extensible>>) {
        let own = root(signed.index);
        if signed.index <= self.height && is_good(signed, &self.validators) {
            assert_eq!(signed.root, own.root, "the validators have signed another root");
            if self.kept.insert(signed.index) {
                out.push(Outcome::Log(format!("root {}", signed.index)));
            }
            self.feed(now, Input::Validated(signed.index), out);
        }
    }

    fn say(&self, payload: Extensible, out: &mut Vec<Outcome<Extensible>>) {
        match self.fault {
            Fault::Honest => out.push(Outcome::Broadcast(payload)),
            Fault::Silent => {}
            Fault::Liar => {
                let mut false_root = root(payload.valid_block_start);
                false_root.root = UInt256([0xee; 32]);
                let signature = self.key.sign(&sign_data(NETWORK, &false_root.hash()));
                self.vote_as(self.place(), payload.valid_block_start, signature, out);
                let threshold = account::bft_threshold(self.validators.len());
                false_root.witness = Some(Witness {
                    invocation: push(&signature).repeat(threshold),
                    verification: account::multisig_script(threshold, &self.validators).unwrap(),
                });
                let lie = Message::Root(false_root).payload(&self.key, NETWORK);
                out.push(Outcome::Broadcast(lie));
            }
            Fault::Impostor => {
                let Ok(Message::Vote(vote)) = Message::from_bytes(&payload.data) else { return };
                for place in 0..self.validators.len() {
                    self.vote_as(place, vote.height, [0x5a; 64], out);
                    self.vote_as(place, vote.height + 1, vote.signature, out);
                }
                let nobody = Vote { validator: -1, ..vote };
                out.push(Outcome::Broadcast(Message::Vote(nobody).payload(&self.key, NETWORK)));
            }
        }
    }

    fn place(&self) -> usize {
        self.validators.iter().position(|key| *key == self.key.public_key()).unwrap()
    }

    fn vote_as(&self, place: usize, height: u32, signature: [u8; 64], out: &mut Vec<Outcome<Extensible>>) {
        let vote = Vote { validator: i32::try_from(place).unwrap(), height, signature };
        out.push(Outcome::Broadcast(Message::Vote(vote).payload(&self.key, NETWORK)));
    }
}

impl Machine for Validator {
    type Input = In;
    type Effect = Outcome<Extensible>;

    fn step(&mut self, now: Time, input: In, out: &mut Vec<Outcome<Extensible>>) {
        match input {
            In::Heard(payload) if payload.category == CATEGORY => {
                match Message::from_bytes(&payload.data).unwrap() {
                    Message::Vote(vote) => self.feed(now, Input::Vote(vote), out),
                    Message::Root(root) => self.keep(now, &root, out),
                }
            }
            In::Heard(_) => {}
            In::Tick => {
                if self.next_block <= now {
                    self.height += 1;
                    self.next_block = self.next_block.after(BLOCK_TIME);
                    let (root, validators) = (root(self.height), self.validators.clone());
                    self.feed(now, Input::Persisted { root, validators, block_time: BLOCK_TIME }, out);
                }
                self.feed(now, Input::Tick, out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.voting.deadline().map_or(self.next_block, |deadline| deadline.min(self.next_block)))
    }
}

impl Node for Validator {
    type Message = Extensible;

    fn receive(_: usize, message: Extensible) -> In {
        In::Heard(Box::new(message))
    }

    fn outcome(effect: Outcome<Extensible>) -> Outcome<Extensible> {
        effect
    }
}

/// Runs validators for so many blocks; the roots that each has kept, and the digest of the run.
fn run(seed: u64, faults: &[Fault], weather: Weather, blocks: u32) -> (Vec<BTreeSet<u32>>, u64) {
    let n = faults.len();
    let nodes = faults.iter().enumerate().map(|(place, fault)| Validator::new(place, n, *fault));
    let mut sim = Sim::new(seed, nodes, weather);
    sim.run_until(Time::ZERO.after(BLOCK_TIME * (blocks + 15)));
    let kept = (0..n).map(|place| sim.node(place).unwrap().kept.clone()).collect();
    (kept, sim.digest())
}

fn seeds() -> std::ops::Range<u64> {
    0..env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// The honest ones keep signed roots, and never is there a hole of ten blocks without one.
fn goes_on(faults: &[Fault], loss: f64, blocks: u32) {
    for seed in seeds() {
        let (kept, _) = run(seed, faults, Weather { loss, ..Weather::default() }, blocks);
        for (place, kept) in kept.iter().enumerate().filter(|(place, _)| faults[*place] == Fault::Honest) {
            let mut last = 0;
            for height in kept.iter().copied().chain([blocks]) {
                assert!(
                    height - last.min(height) <= 10,
                    "seed {seed}, validator {place}: none from {last} to {height}"
                );
                last = height;
            }
        }
    }
}

use Fault::{Honest, Impostor, Liar, Silent};

#[test]
fn honest_validators_sign_every_root_and_a_run_repeats() {
    for n in [1, 2, 4, 7] {
        let (kept, digest) = run(7, &vec![Honest; n], Weather::default(), 12);
        for kept in &kept {
            assert!((1..=12).all(|height| kept.contains(&height)), "{n} validators: {kept:?}");
        }
        assert_eq!(run(7, &vec![Honest; n], Weather::default(), 12).1, digest);
    }
}

#[test]
fn roots_are_signed_while_a_third_is_silent() {
    goes_on(&[Honest, Silent, Honest, Honest], 0.0, 16);
    goes_on(&[Silent, Honest, Honest, Honest, Honest, Silent, Honest], 0.0, 16);
}

#[test]
fn lies_and_votes_in_the_name_of_others_change_nothing() {
    goes_on(&[Honest, Liar, Honest, Honest], 0.0, 16);
    goes_on(&[Impostor, Honest, Honest, Honest], 0.0, 16);
    goes_on(&[Liar, Honest, Honest, Impostor, Honest, Honest, Honest], 0.0, 16);
}

#[test]
fn votes_that_are_lost_are_sent_again() {
    goes_on(&[Honest; 4], 0.15, 24);
}

#[test]
fn no_root_is_signed_when_more_than_a_third_is_missing() {
    let (kept, _) = run(1, &[Honest, Silent, Honest, Liar], Weather::default(), 12);
    assert!(kept.iter().enumerate().all(|(place, kept)| place != 0 && place != 2 || kept.is_empty()));
}
