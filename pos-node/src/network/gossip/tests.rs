//! The table of rejections and ignored messages, line by line, on a small chain with real signatures: each case takes a
//! message that is accepted and breaks one rule.

use std::sync::Arc;

use super::*;
use crate::{
    consensus::chain::Event,
    crypto::{bls::SecretKey, derive::interop_key},
    state::{
        Registration,
        genesis::{Genesis, GenesisValidator, Start},
        verifier::BatchVerifier,
    },
    storage::MemoryDatabase,
    types::{
        domain::domain,
        operation::{
            BlockHeader, DepositMessage, ProposerSlashing, SignedHeader, SignedVoluntaryExit, VoluntaryExit,
        },
        params::{POS, Params},
        primitives::{Address, Root, Signature, ValidatorIndex},
        ssz::TreeHash,
    },
};

const VALIDATORS: u64 = 8;
const BAD: Signature = Signature([0xc0; 96]);
/// Blocks are imported up to the slot before.
const NOW: Slot = 4;

type Net = Chain<MemoryDatabase>;

pub(crate) fn key(index: ValidatorIndex) -> SecretKey {
    interop_key(index).unwrap()
}

pub(crate) fn verifier() -> Arc<dyn Verifier> {
    Arc::new(BatchVerifier::new([1; 32]))
}

/// A chain of eight validators whose keys everybody knows.
pub(crate) fn genesis(accounts: Vec<(Address, u64)>) -> (Config, Start) {
    let config = Config {
        params: Params::minimal(),
        chain_id: 7,
        genesis_fork_version: [0, 0, 0, 1],
        genesis_time: 1_000,
    };
    let entry = |index| {
        let (owner, amount, secret) = (Address([9; 32]), 32 * POS, key(index));
        let message = DepositMessage { pubkey: secret.public_key(), owner: Root(owner.0), amount };
        let domain = domain(DomainType::Deposit.bytes(), config.genesis_fork_version, Root::ZERO);
        let registration = Registration {
            owner,
            commission_bps: 0,
            max_commission_bps: 0,
            effective_cap: amount,
            fee_recipient: owner,
        };
        let proof = secret.sign(&signing_root(&message, domain));
        GenesisValidator { pubkey: secret.public_key(), proof, amount, registration }
    };
    let validators = (0..VALIDATORS).map(entry).collect();
    let genesis = Genesis { config: config.clone(), accounts, validators };
    let start = genesis.build().unwrap();
    (config, start)
}

fn empty_chain() -> Net {
    let (config, start) = genesis(Vec::new());
    Chain::create(Arc::new(config), start, MemoryDatabase::default(), verifier()).unwrap()
}

fn at(chain: &Net, slot: Slot) -> u64 {
    slot_start_ms(chain.config(), slot)
}

fn sign(chain: &Net, block: &mut SignedBlock) {
    block.header.header.body_root = Root(block.body.tree_root());
    sign_header(chain, &mut block.header);
}

fn sign_header(chain: &Net, header: &mut SignedHeader) {
    let domain = chain.domain(DomainType::Proposer, 0);
    header.signature = key(header.header.proposer_index).sign(&signing_root(&header.header, domain));
}

fn propose(chain: &mut Net, slot: Slot) -> SignedBlock {
    let proposer = chain.proposer(slot).unwrap();
    let reveal = key(proposer).sign(&signing_root(&0u64, chain.domain(DomainType::Randao, 0)));
    let proposal = chain.propose(slot, reveal, [0; 32], []).unwrap();
    let header = SignedHeader { header: proposal.header, signature: BAD };
    let mut block = SignedBlock { header, body: proposal.body };
    sign(chain, &mut block);
    block
}

/// A chain with a block in every slot before [`NOW`].
fn chain() -> Net {
    let mut chain = empty_chain();
    for slot in 1..NOW {
        chain.on_tick(at(&chain, slot)).unwrap();
        let block = propose(&mut chain, slot);
        chain.import(&block, &[]).unwrap();
    }
    chain.on_tick(at(&chain, NOW)).unwrap();
    chain
}

fn vote(chain: &mut Net, slot: Slot) -> SingleAttestation {
    let committees = chain.head_committees(0).unwrap();
    let voter = committees.at(&chain.config().params, slot)[0];
    let data = chain.attestation_data(slot).unwrap();
    let mut vote = SingleAttestation { attester_index: voter, data, signature: BAD };
    sign_vote(chain, &mut vote);
    vote
}

fn sign_vote(chain: &Net, vote: &mut SingleAttestation) {
    let domain = chain.domain(DomainType::Attester, vote.data.target.epoch);
    vote.signature = key(vote.attester_index).sign(&signing_root(&vote.data, domain));
}

/// A block of the next slot that is invalid, and is known to be.
fn invalid_block(chain: &mut Net) -> SignedBlock {
    let mut block = propose(chain, NOW);
    block.header.header.state_root = Root([7; 32]);
    sign(chain, &mut block);
    chain.import(&block, &[]).unwrap_err();
    assert!(chain.is_invalid(&block.root()));
    block
}

type BlockCase = (&'static str, fn(&mut Net, &mut SignedBlock), Verdict);

#[test]
fn blocks_line_by_line() {
    use Verdict::{Accept, Ignore, Reject};
    let cases: [BlockCase; 11] = [
        ("good", |_, _| {}, Accept),
        ("signature", |_, block| block.header.signature = BAD, Reject(Rejection::BlockSignature)),
        (
            "proposer",
            |chain, block| {
                block.header.header.proposer_index = (block.header.header.proposer_index + 1) % VALIDATORS;
                sign(chain, block);
            },
            Reject(Rejection::BlockProposer),
        ),
        (
            "body root",
            |chain, block| {
                block.header.header.body_root = Root::ZERO;
                sign_header(chain, &mut block.header);
            },
            Reject(Rejection::BlockBody),
        ),
        (
            "count of transactions",
            |chain, block| {
                block.body.exec.tx_count = 1;
                sign(chain, block);
            },
            Reject(Rejection::BlockBody),
        ),
        (
            "gas",
            |chain, block| {
                block.body.exec.gas_used = block.body.exec.gas_limit + 1;
                sign(chain, block);
            },
            Reject(Rejection::BlockBody),
        ),
        (
            "slot of the parent",
            |chain, block| {
                block.header.header.slot = NOW - 1;
                sign(chain, block);
            },
            Reject(Rejection::BlockSlot),
        ),
        ("refused before", |chain, block| *block = invalid_block(chain), Reject(Rejection::BlockInvalid)),
        (
            "parent refused",
            |chain, block| {
                block.header.header.parent_root = invalid_block(chain).root();
                sign(chain, block);
            },
            Reject(Rejection::BlockParent),
        ),
        (
            "parent unknown",
            |chain, block| {
                block.header.header.parent_root = Root([5; 32]);
                sign(chain, block);
            },
            Ignore(Reason::BlockParentUnknown),
        ),
        ("at the final slot", |_, block| block.header.header.slot = 0, Ignore(Reason::BlockOld)),
    ];
    for (name, spoil, expected) in cases {
        let mut chain = chain();
        let mut block = propose(&mut chain, NOW);
        spoil(&mut chain, &mut block);
        let now = at(&chain, NOW);
        let verdict = check_block(&mut chain, &mut Seen::default(), verifier().as_ref(), now, &block);
        assert_eq!(verdict, expected, "{name}");
    }
}

#[test]
fn blocks_may_be_half_a_second_early_and_pass_once() {
    let mut chain = chain();
    let block = propose(&mut chain, NOW);
    let mut seen = Seen::default();
    let (now, verifier) = (at(&chain, NOW), verifier());
    let mut check =
        |now, block: &SignedBlock| check_block(&mut chain, &mut seen, verifier.as_ref(), now, block);
    assert_eq!(check(now - 501, &block), Verdict::Ignore(Reason::BlockFuture));
    assert_eq!(check(now - 500, &block), Verdict::Accept);
    assert_eq!(check(now, &block), Verdict::Ignore(Reason::BlockKnown));
}

#[test]
fn a_second_block_of_a_proposer_is_evidence_when_it_is_well_signed() {
    let mut chain = chain();
    let (block, now, verifier) = (propose(&mut chain, NOW), at(&chain, NOW), verifier());
    let mut seen = Seen::default();
    assert_eq!(check_block(&mut chain, &mut seen, verifier.as_ref(), now, &block), Verdict::Accept);
    let mut second = block;
    second.body.graffiti = [1; 32];
    sign(&chain, &mut second);
    let verdict = check_block(&mut chain, &mut seen, verifier.as_ref(), now, &second);
    assert_eq!(verdict, Verdict::Ignore(Reason::BlockSecond));
    second.header.signature = BAD;
    let verdict = check_block(&mut chain, &mut seen, verifier.as_ref(), now, &second);
    assert_eq!(verdict, Verdict::Reject(Rejection::BlockSignature));
}

type VoteCase = (&'static str, fn(&mut Net, &mut SingleAttestation), Verdict);

#[test]
fn votes_line_by_line() {
    use Verdict::{Accept, Ignore, Reject};
    let cases: [VoteCase; 11] = [
        ("good", |_, _| {}, Accept),
        ("signature", |_, vote| vote.signature = BAD, Reject(Rejection::VoteSignature)),
        (
            "committee",
            |chain, vote| {
                vote.attester_index = self::vote(chain, NOW + 1).attester_index;
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteCommittee),
        ),
        (
            "index",
            |chain, vote| {
                vote.data.index = 1;
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteIndex),
        ),
        (
            "epoch of the target",
            |chain, vote| {
                vote.data.slot = 8;
                chain.on_tick(at(chain, 9)).unwrap();
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteTarget),
        ),
        (
            "root of the target",
            |chain, vote| {
                vote.data.target.root = chain.head();
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteTarget),
        ),
        (
            "block after the slot",
            |chain, vote| {
                vote.data.slot = NOW - 2;
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteTarget),
        ),
        (
            "refused block",
            |chain, vote| {
                vote.data.beacon_block_root = invalid_block(chain).root();
                sign_vote(chain, vote);
            },
            Reject(Rejection::VoteBlock),
        ),
        (
            "unknown block",
            |chain, vote| {
                vote.data.beacon_block_root = Root([5; 32]);
                sign_vote(chain, vote);
            },
            Ignore(Reason::VoteBlockUnknown),
        ),
        (
            "future slot",
            |chain, vote| {
                vote.data.slot = NOW + 1;
                sign_vote(chain, vote);
            },
            Ignore(Reason::VoteTime),
        ),
        ("two epochs old", |chain, _| chain.on_tick(at(chain, 16)).unwrap(), Ignore(Reason::VoteTime)),
    ];
    for (name, spoil, expected) in cases {
        let mut chain = chain();
        let mut vote = vote(&mut chain, NOW - 1);
        spoil(&mut chain, &mut vote);
        assert_eq!(take_vote(&mut chain, &mut Seen::default(), &vote), expected, "{name}");
    }
}

#[test]
fn a_second_vote_is_not_passed_on_but_is_evidence() {
    let mut chain = chain();
    let mut seen = Seen::default();
    let mut vote = vote(&mut chain, NOW - 1);
    assert_eq!(take_vote(&mut chain, &mut seen, &vote), Verdict::Accept);
    assert_eq!(take_vote(&mut chain, &mut seen, &vote), Verdict::Ignore(Reason::VoteSeen));
    chain.take_events();
    vote.data.beacon_block_root = vote.data.target.root;
    sign_vote(&chain, &mut vote);
    assert_eq!(take_vote(&mut chain, &mut seen, &vote), Verdict::Ignore(Reason::VoteSeen));
    assert!(chain.take_events().iter().any(|event| matches!(event, Event::AttesterOffence(_))));
    vote.data.source.root = Root([3; 32]);
    assert_eq!(take_vote(&mut chain, &mut seen, &vote), Verdict::Ignore(Reason::VoteSeen), "not looked at");
}

#[test]
fn evidence_and_exits_line_by_line() {
    let mut chain = chain();
    let header = |chain: &Net, state_root, good: bool| {
        let header = BlockHeader { slot: 2, proposer_index: 3, state_root, ..BlockHeader::default() };
        let mut signed = SignedHeader { header, signature: BAD };
        if good {
            sign_header(chain, &mut signed);
        }
        signed
    };
    let first = header(&chain, Root([1; 32]), true);
    let two = |signed_header_2| ProposerSlashing { signed_header_1: first, signed_header_2 };
    let forged = two(header(&chain, Root([2; 32]), false));
    let good = two(header(&chain, Root([2; 32]), true));
    let invalid = |error| Verdict::Reject(Rejection::Operation(error));
    let mut check = |evidence| operation_verdict(chain.on_proposer_slashing(&evidence));
    assert_eq!(check(two(first)), invalid(OperationError::NoOffence));
    assert_eq!(check(forged), invalid(OperationError::Signature));
    assert_eq!(check(good), Verdict::Accept);
    assert_eq!(check(good), Verdict::Ignore(Reason::OperationKnown));

    let exit = |validator_index| SignedVoluntaryExit {
        exit: VoluntaryExit { epoch: 0, validator_index },
        signature: BAD,
    };
    let mut check = |validator| operation_verdict(chain.on_exit(&exit(validator)));
    assert_eq!(check(99), invalid(OperationError::UnknownValidator(99)));
    assert_eq!(check(1), invalid(OperationError::NotActiveLongEnough));
    let late = EvidenceError::Invalid(OperationError::AlreadyExiting);
    assert_eq!(operation_verdict(Err(late)), Verdict::Ignore(Reason::OperationKnown));
}

#[test]
fn every_answer_of_the_chain_to_a_vote_has_its_verdict() {
    let time = Verdict::Ignore(Reason::VoteTime);
    assert_eq!(vote_verdict(VoteError::Place(VoteRefusal::TooEarly)), time);
    assert_eq!(vote_verdict(VoteError::Future), time);
    assert_eq!(vote_verdict(VoteError::NoState), Verdict::Ignore(Reason::VoteBlockUnknown));
}
