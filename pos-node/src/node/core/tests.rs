//! The rest of the table of verdicts, line by line, as a whole node gives them: transactions, finality votes, evidence,
//! exits, and messages that are kept. Peers of another chain are sent away with the reason.

use super::*;
use crate::{
    consensus::finality::Due,
    crypto::ed25519,
    network::{
        gossip::{
            Reason, Rejection,
            tests::{genesis, key, verifier},
        },
        message::TxBatch,
    },
    slashing_protection::rules::{Protection, Rule},
    storage::MemoryDatabase,
    types::{
        address,
        domain::{DomainType, signing_root},
        operation::{FinalitySlashing, FinalityVote, SignedVoluntaryExit, VoluntaryExit},
        params::POS,
        primitives::{Address, Signature},
        transaction::{Action, Auth, TxBody},
    },
    validator::vault::{Keys as _, LocalKeys},
};

const PEER: Peer = 7;
const ACCOUNT: [u8; 32] = [5; 32];
const GENESIS_MS: u64 = 1_000_000;
/// Validators 0 to 5 are this node's, 6 and 7 are outside.
const OURS: u64 = 6;
const BAD: Signature = Signature([0xc0; 96]);

struct Lone {
    core: Core<MemoryDatabase>,
    now: Time,
    handle: Handle,
    seen: Vec<Effect>,
}

impl Lone {
    fn new() -> Self {
        let owner = address::single(&ed25519::public_key(&ACCOUNT));
        let (config, start) = genesis(vec![(owner, 100 * POS)]);
        let record = Protection::new(Rule::Complete, start.state.genesis_validators_root);
        let chain = Chain::create(Arc::new(config), start, MemoryDatabase::default(), verifier());
        let keys = LocalKeys::new((0..OURS).map(key));
        let duties = Duties::new(keys.list(), None);
        let core = Core::new(Parts {
            chain: chain.expect("a new chain"),
            verifier: verifier(),
            vault: Vault::new(Box::new(keys), Box::new(record)),
            duties,
            base_ms: GENESIS_MS,
            graffiti: [0; 32],
            serve_states: false,
        });
        Self { core, now: Time::ZERO, handle: 0, seen: Vec::new() }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.core.step(self.now, input, &mut effects);
        effects
    }

    /// Runs to a slot, doing what is due on the way.
    fn run_to(&mut self, slot: Slot) {
        let end = Time::from_millis(slot * self.core.chain.config().params.slot_ms);
        while let Some(at) = self.core.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let effects = self.step(Input::Tick);
            self.seen.extend(effects);
        }
        self.now = end;
        let effects = self.step(Input::Tick);
        self.seen.extend(effects);
    }

    /// The verdict on a message, if it comes at once.
    fn verdict(&mut self, message: Gossip) -> Option<Verdict> {
        self.handle += 1;
        let handle = self.handle;
        let effects = self.step(Input::Gossip { peer: PEER, handle, message: Arc::new(message) });
        let verdict = effects.iter().find_map(|effect| match effect {
            Effect::Verdict { handle: of, peer: PEER, verdict } if *of == handle => Some(*verdict),
            _ => None,
        });
        self.seen.extend(effects);
        verdict
    }

    fn txs(&mut self, txs: Vec<Tx>) -> Option<Verdict> {
        self.verdict(Gossip::Txs(TxBatch::new(txs).expect("in bounds")))
    }

    fn due(&self) -> Due {
        let due = self.seen.iter().rev().find_map(|effect| match effect {
            Effect::Chain(event) => match event.as_ref() {
                Event::SignFinality(due) => Some(due.clone()),
                _ => None,
            },
            _ => None,
        });
        due.expect("something is final")
    }

    fn finality_vote(&self, validator_index: ValidatorIndex, vote: FinalityVote) -> SignedFinalityVote {
        let domain = self.core.chain.domain(DomainType::FinalityVote, vote.epoch);
        let signature = key(validator_index).sign(&signing_root(&vote, domain));
        SignedFinalityVote { validator_index, vote, signature }
    }

    /// Evidence of two finality votes of a validator.
    fn finality_offence(&self, validator: ValidatorIndex) -> FinalitySlashing {
        let vote = |mark| FinalityVote { epoch: 1, block_root: Root([mark; 32]), ..FinalityVote::default() };
        FinalitySlashing {
            vote_1: self.finality_vote(validator, vote(1)),
            vote_2: self.finality_vote(validator, vote(2)),
        }
    }
}

fn body(nonce: u64) -> TxBody {
    TxBody {
        chain_id: 7,
        nonce,
        valid_until: 60,
        gas_limit: 40_000,
        max_fee: 1_000,
        tip: 1,
        action: Action::Transfer { to: Address([9; 32]), amount: 1 },
    }
}

fn signed(lone: &Lone, seed: [u8; 32], body: TxBody) -> Tx {
    let chain = &lone.core.chain;
    let root = chain.state(&chain.head()).expect("a head").genesis_validators_root;
    let message = body.signing_message(chain.config().genesis_fork_version, root);
    let signature = ed25519::sign(&seed, &message);
    Tx { auth: Auth::Single { pubkey: ed25519::public_key(&seed), signature }, body }
}

const IGNORED: Option<Verdict> = Some(Verdict::Ignore(Reason::TxsNotNew));

#[test]
fn transactions_line_by_line() {
    let mut lone = Lone::new();
    let lone = &mut lone;
    let reject = |why| Some(Verdict::Reject(why));
    let tx = |lone: &Lone, nonce| signed(lone, ACCOUNT, body(nonce));
    assert_eq!(lone.txs(Vec::new()), reject(Rejection::TxsEmpty));
    let foreign = signed(lone, ACCOUNT, TxBody { chain_id: 8, ..body(0) });
    assert_eq!(lone.txs(vec![foreign]), reject(Rejection::TxChain));
    let mut forged = tx(lone, 0);
    forged.body.nonce = 1;
    assert_eq!(lone.txs(vec![forged.clone()]), reject(Rejection::TxSignature));
    let good = tx(lone, 0);
    assert_eq!(lone.txs(vec![tx(lone, 1), forged]), reject(Rejection::TxSignature), "one bad among good");
    assert_eq!(lone.txs(vec![good.clone()]), Some(Verdict::Accept));
    assert_eq!(lone.txs(vec![good.clone()]), IGNORED, "known");
    assert_eq!(lone.txs(vec![good.clone(), tx(lone, 2)]), Some(Verdict::Accept), "one new among known");
    let poor = signed(lone, [6; 32], body(0));
    assert_eq!(lone.txs(vec![poor]), IGNORED, "cannot be paid");
    let cheaper = signed(lone, ACCOUNT, TxBody { tip: 0, ..body(0) });
    assert_eq!(lone.txs(vec![cheaper]), IGNORED, "replacement pays less");
    let late = signed(lone, ACCOUNT, TxBody { valid_until: 1, ..body(3) });
    lone.run_to(2);
    assert_eq!(lone.txs(vec![late]), IGNORED, "too late");
    assert_eq!(lone.txs(vec![good]), IGNORED, "included, or its nonce is used");
}

#[test]
fn finality_votes_exits_and_evidence_line_by_line() {
    let mut lone = Lone::new();
    lone.run_to(40);
    let due = lone.due();
    let lone = &mut lone;
    let gossip = |lone: &mut Lone, vote| lone.verdict(Gossip::FinalityVote(vote));
    let good = lone.finality_vote(6, due.vote);
    let reject = Some(Verdict::Reject(Rejection::FinalityVote));
    assert_eq!(gossip(lone, SignedFinalityVote { signature: BAD, ..good }), reject, "signature");
    assert_eq!(
        gossip(lone, SignedFinalityVote { validator_index: 7, ..good }),
        reject,
        "another's signature"
    );
    assert_eq!(gossip(lone, SignedFinalityVote { validator_index: 99, ..good }), reject, "not in the set");
    let early = lone.finality_vote(6, FinalityVote { epoch: due.vote.epoch + 1, ..due.vote });
    assert_eq!(gossip(lone, early), Some(Verdict::Ignore(Reason::FinalityVoteEarly)));
    assert_eq!(gossip(lone, good), Some(Verdict::Accept));
    assert_eq!(gossip(lone, good), Some(Verdict::Ignore(Reason::FinalityVoteSeen)));
    // a second one for the epoch is evidence, and is told to others as such
    let second = lone.finality_vote(6, FinalityVote { block_root: Root([9; 32]), ..due.vote });
    gossip(lone, second);
    let told = lone.seen.iter().any(|effect| {
        matches!(effect, Effect::Publish(message) if matches!(**message, Gossip::FinalitySlashing(_)))
    });
    assert!(told);

    let offence = lone.finality_offence(7);
    let gossip = |lone: &mut Lone, offence| lone.verdict(Gossip::FinalitySlashing(Box::new(offence)));
    let forged =
        FinalitySlashing { vote_2: SignedFinalityVote { signature: BAD, ..offence.vote_2 }, ..offence };
    let same = FinalitySlashing { vote_2: offence.vote_1, ..offence };
    let rejected = |verdict| matches!(verdict, Some(Verdict::Reject(Rejection::Operation(_))));
    assert!(rejected(gossip(lone, forged)) && rejected(gossip(lone, same)));
    assert_eq!(gossip(lone, offence), Some(Verdict::Accept));
    assert_eq!(gossip(lone, offence), Some(Verdict::Ignore(Reason::OperationKnown)));

    let exit = VoluntaryExit { epoch: 0, validator_index: 7 };
    let exit = SignedVoluntaryExit { exit, signature: BAD };
    assert!(rejected(lone.verdict(Gossip::VoluntaryExit(exit))));
}

#[test]
fn an_early_finality_vote_counts_when_its_checkpoint_is_final() {
    let mut lone = Lone::new();
    lone.run_to(40);
    let vote = lone.due().vote;
    let mut late = Lone::new();
    late.run_to(20);
    let early = late.finality_vote(6, vote);
    assert_eq!(late.verdict(Gossip::FinalityVote(early)), Some(Verdict::Ignore(Reason::FinalityVoteEarly)));
    late.run_to(40);
    assert_eq!(late.due().vote, vote, "the same chain");
    assert_eq!(
        late.verdict(Gossip::FinalityVote(early)),
        Some(Verdict::Ignore(Reason::FinalityVoteSeen)),
        "it was taken in when its time had come"
    );
}

#[test]
fn a_vote_of_the_next_slot_waits_for_its_verdict() {
    let mut lone = Lone::new();
    lone.run_to(3);
    let slot = (4..12).find(|slot| {
        let epoch = lone.core.chain.config().params.epoch_of(*slot);
        let committees = lone.core.chain.head_committees(epoch).expect("committees");
        committees.at(&lone.core.chain.config().params, *slot).iter().any(|voter| *voter >= OURS)
    });
    let slot = slot.expect("everybody votes in an epoch");
    lone.run_to(slot - 1);
    let params = lone.core.chain.config().params.clone();
    let committees = lone.core.chain.head_committees(params.epoch_of(slot)).expect("committees");
    let voter = *committees.at(&params, slot).iter().find(|voter| **voter >= OURS).expect("one");
    let data = lone.core.chain.attestation_data(slot).expect("data");
    let domain = lone.core.chain.domain(DomainType::Attester, data.target.epoch);
    let signature = key(voter).sign(&signing_root(&data, domain));
    let vote = SingleAttestation { attester_index: voter, data, signature };
    let start = Time::from_millis(slot * params.slot_ms);
    lone.now = Time::from_nanos(start.as_nanos() - 600_000_000);
    assert_eq!(
        lone.verdict(Gossip::Attestation(vote.clone())),
        Some(Verdict::Ignore(Reason::VoteTime)),
        "more than half a second early"
    );
    lone.now = Time::from_nanos(start.as_nanos() - 400_000_000);
    assert_eq!(lone.verdict(Gossip::Attestation(vote)), None);
    let handle = lone.handle;
    lone.run_to(slot);
    let accepted = lone.seen.iter().any(|effect| {
        matches!(effect, Effect::Verdict { handle: of, verdict: Verdict::Accept, .. } if *of == handle)
    });
    assert!(accepted);
}

#[test]
fn a_block_that_came_before_its_parent_is_imported_after_it() {
    let mut ahead = Lone::new();
    ahead.run_to(4);
    let stored = |slot| {
        let root = ahead.core.chain.db().canonical(slot).expect("memory");
        let root = root.expect("a block");
        ahead.core.chain.db().block(&root).expect("memory").expect("stored").block.clone()
    };
    let blocks: Vec<_> = (1..=4)
        .filter(|slot| ahead.core.chain.db().canonical(*slot).expect("memory").is_some())
        .map(stored)
        .collect();
    let [first, second, ..] = blocks.as_slice() else { panic!("two blocks in four slots") };
    let mut lone = Lone::new();
    lone.core.duties = Duties::new(Vec::new(), None);
    lone.run_to(5);
    lone.step(Input::Connected(PEER));
    let verdict = lone.verdict(Gossip::Block(Box::new(second.clone())));
    assert_eq!(verdict, Some(Verdict::Ignore(Reason::BlockParentUnknown)));
    let asked = lone.seen.iter().any(|effect| {
        matches!(effect, Effect::Ask { request: Request::BlocksByRoot(roots), .. } if roots.contains(&first.root()))
    });
    assert!(asked, "the parent is asked for");
    assert_eq!(lone.verdict(Gossip::Block(Box::new(first.clone()))), Some(Verdict::Accept));
    assert!(lone.core.chain.contains(&second.root()));
}

#[test]
fn transactions_of_a_rival_block_are_found_in_the_head_that_took_them_out_of_the_pool() {
    let mut lone = Lone::new();
    let tx = signed(&lone, ACCOUNT, body(0));
    lone.txs(vec![tx.clone()]);
    let has_some = |lone: &Lone| {
        let chain = &lone.core.chain;
        chain.db().block(&chain.head()).expect("memory").filter(|stored| !stored.txs.is_empty())
    };
    let stored = (1..20).find_map(|slot| {
        lone.run_to(slot);
        has_some(&lone)
    });
    let head = stored.expect("included").block.clone();
    let ids: Vec<Root> = head.body.tx_ids.iter().copied().collect();
    assert_eq!((lone.core.mempool.len(), ids.as_slice()), (0, [tx.id()].as_slice()));
    let at_hand = |parent| {
        let mut rival = head.clone();
        rival.header.header.parent_root = parent;
        lone.core.txs_at_hand(&rival).into_values().collect::<Vec<_>>()
    };
    assert_eq!(at_hand(head.header.header.parent_root), std::slice::from_ref(&tx));
    assert_eq!(at_hand(head.root()), [], "on its own chain they could not be once more");
    assert_eq!(lone.core.known_txs(&[ids, vec![Root([1; 32])]].concat()), [tx], "for peers");
}

#[test]
fn nobody_is_late_while_this_node_itself_stood_still() {
    let mut lone = Lone::new();
    lone.run_to(1);
    let status = lone.core.status();
    let ask_of = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Ask { ask, request: Request::Status(_), .. } => Some(*ask),
            _ => None,
        })
    };
    let blamed = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Fault(PEER, Fault::Timeout)))
    };
    let effects = lone.step(Input::Connected(PEER));
    let ask = ask_of(&effects).expect("asked for its status");
    lone.now = lone.now.after(Duration::from_secs(25));
    let answer = Some(Answer::Status(Box::new(status)));
    let effects = lone.step(Input::Answered { ask, answer });
    assert!(!blamed(&effects));
    assert_eq!(lone.core.peers().get(&PEER), Some(&Some(status)));

    let effects = lone.step(Input::Connected(8));
    assert!(ask_of(&effects).is_some());
    lone.run_to(10);
    let late = |effect: &Effect| matches!(effect, Effect::Fault(8, Fault::Timeout));
    assert!(lone.seen.iter().any(late), "while it runs, who does not answer is late");
}

#[test]
fn a_peer_of_another_chain_is_sent_away_with_the_reason() {
    let mut lone = Lone::new();
    lone.run_to(3);
    let ours = lone.core.status();
    let cases = [
        (Status { config_hash: Root([1; 32]), ..ours }, Foreign::Config),
        (Status { fork_digest: [1; 4], ..ours }, Foreign::Genesis),
        (
            Status { finalized: Checkpoint { root: Root([1; 32]), ..ours.finalized }, ..ours },
            Foreign::Finality(ours.finalized.epoch),
        ),
    ];
    for (theirs, expected) in cases {
        lone.step(Input::Connected(PEER));
        let request = Request::Status(Box::new(theirs));
        let effects = lone.step(Input::Asked { peer: PEER, handle: 0, request });
        let reasons = effects.iter().filter_map(|effect| match effect {
            Effect::Part(PEER, reason) => Some(*reason),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), [expected]);
        assert!(!lone.core.peers().contains_key(&PEER));
        lone.step(Input::Gone(PEER));
    }
    let request = Request::Status(Box::new(ours));
    lone.step(Input::Connected(PEER));
    lone.step(Input::Asked { peer: PEER, handle: 0, request });
    assert_eq!(lone.core.peers().get(&PEER), Some(&Some(ours)), "one of our chain stays");
}

#[test]
fn a_head_in_the_future_is_not_believed() {
    let mut lone = Lone::new();
    lone.run_to(3);
    let theirs = Status { head_slot: u64::MAX, head_root: Root([1; 32]), ..lone.core.status() };
    lone.step(Input::Connected(PEER));
    lone.step(Input::Asked { peer: PEER, handle: 0, request: Request::Status(Box::new(theirs)) });
    assert_eq!(lone.core.sync_target(), None, "validators go on with their duties");
}
