//! One chain driven by all validators at once, with real signatures.

use super::{
    checkpoint::{Anchor, CheckpointError, StatePiece},
    import::{Import, ImportError},
    produce::Proposal,
    votes::VoteError,
    *,
};
use crate::{
    consensus::{
        finality::{CertError, FinalityVoteError, SignerList, SignerSet},
        fork_choice::VoteRefusal,
        light::{EntryProof, FollowError, LightError, Trust},
    },
    crypto::{bls::SecretKey, derive::interop_key, ed25519},
    state::{
        Registration,
        app::{Overlay, keys},
        genesis::{Genesis, GenesisValidator},
        transition::slot::Application,
        verifier::BatchVerifier,
    },
    storage::MemoryDatabase,
    types::{
        address,
        block::SignedBlock,
        codec::{decode, encode},
        domain::{DomainType, domain, signing_root},
        operation::{AttestationData, DepositMessage, FinalityVote, SignedFinalityVote, SingleAttestation},
        params::{POS, Params},
        primitives::{Address, Signature},
        ssz::TreeHash,
        transaction::{Action, Auth, Tx, TxBody},
    },
};

const VALIDATORS: u64 = 16;

pub(super) fn config() -> Arc<Config> {
    let params = Params::minimal();
    Arc::new(Config { params, chain_id: 7, genesis_fork_version: [0, 0, 0, 1], genesis_time: 1000 })
}

fn secret(index: ValidatorIndex) -> SecretKey {
    interop_key(index).expect("in range")
}

fn account(seed: u8) -> Address {
    address::single(&ed25519::public_key(&[seed; 32]))
}

pub(super) fn start() -> Start {
    let config = config();
    let validators = (0..VALIDATORS).map(|index| {
        let (secret, amount, owner) = (secret(index), 32 * POS, account(1));
        let message = DepositMessage { pubkey: secret.public_key(), owner: Root(owner.0), amount };
        let domain = domain(DomainType::Deposit.bytes(), config.genesis_fork_version, Root::ZERO);
        let registration = Registration {
            owner,
            commission_bps: 0,
            max_commission_bps: 0,
            effective_cap: 64 * POS,
            fee_recipient: account(9),
        };
        let proof = secret.sign(&signing_root(&message, domain));
        GenesisValidator { pubkey: secret.public_key(), proof, amount, registration }
    });
    let accounts = vec![(account(1), 1000 * POS), (account(2), 1000 * POS)];
    let genesis = Genesis { config: Config::clone(&config), accounts, validators: validators.collect() };
    genesis.build().expect("valid genesis")
}

pub(super) fn verifier() -> Arc<dyn Verifier> {
    Arc::new(BatchVerifier::new([5; 32]))
}

pub(super) struct Net {
    pub(super) chain: Chain<MemoryDatabase>,
}

impl Net {
    pub(super) fn new() -> Self {
        let db = MemoryDatabase::default();
        Self { chain: Chain::create(config(), start(), db, verifier()).expect("memory") }
    }

    fn tick(&mut self, slot: Slot, ms: u64) {
        let slot_ms = self.chain.config.params.slot_ms;
        self.chain.on_tick(1_000_000 + slot * slot_ms + ms).expect("memory");
    }

    fn sign<T: TreeHash>(
        &self,
        index: ValidatorIndex,
        message: &T,
        kind: DomainType,
        slot: Slot,
    ) -> Signature {
        let epoch = self.chain.config.params.epoch_of(slot);
        secret(index).sign(&signing_root(message, self.chain.domain(kind, epoch)))
    }

    fn proposal(&mut self, slot: Slot, graffiti: u8, txs: Vec<Tx>) -> (SignedBlock, Vec<Tx>) {
        let proposer = self.chain.proposer(slot).expect("a proposer");
        let epoch = self.chain.config.params.epoch_of(slot);
        let reveal = self.sign(proposer, &epoch, DomainType::Randao, slot);
        let Proposal { header, body, txs } =
            self.chain.propose(slot, reveal, [graffiti; 32], txs).expect("a block");
        let signature = self.sign(proposer, &header, DomainType::Proposer, slot);
        (SignedBlock { header: SignedHeader { header, signature }, body }, txs)
    }

    fn vote(&self, index: ValidatorIndex, data: AttestationData) -> SingleAttestation {
        let signature = self.sign(index, &data, DomainType::Attester, data.slot);
        SingleAttestation { attester_index: index, data, signature }
    }

    fn votes(&mut self, slot: Slot) -> Vec<SingleAttestation> {
        let data = self.chain.attestation_data(slot).expect("a head");
        let params = self.chain.config.params.clone();
        let committees = self.chain.head_committees(params.epoch_of(slot)).expect("known");
        committees.at(&params, slot).iter().map(|member| self.vote(*member, data)).collect()
    }

    /// A slot in which everybody does what he should.
    pub(super) fn slot(&mut self, slot: Slot, txs: Vec<Tx>) -> Root {
        self.tick(slot, 0);
        let (block, txs) = self.proposal(slot, 0, txs);
        let Import::Imported(root) = self.chain.import(&block, &txs).expect("valid") else {
            panic!("not imported")
        };
        self.tick(slot, 2000);
        for verdict in {
            let votes = self.votes(slot);
            self.chain.on_attestations(&votes)
        } {
            verdict.expect("a good vote");
        }
        root
    }

    pub(super) fn transfer(&self, from: u8, amount: u64) -> Tx {
        let view = self.chain.app(&self.chain.head()).expect("head");
        let nonce = Overlay::new(&view).account(&account(from)).nonce;
        let action = Action::Transfer { to: account(77), amount };
        let body = TxBody {
            chain_id: 7,
            nonce,
            valid_until: self.chain.current_slot() + 50,
            gas_limit: 200_000,
            max_fee: 1000,
            tip: 1,
            action,
        };
        let root = self.chain.folded.1.genesis_validators_root;
        let message = body.signing_message([0, 0, 0, 1], root);
        let seed = [from; 32];
        let auth =
            Auth::Single { pubkey: ed25519::public_key(&seed), signature: ed25519::sign(&seed, &message) };
        Tx { auth, body }
    }
}

fn balance(chain: &Chain<MemoryDatabase>, seed: u8) -> u64 {
    let view = chain.app(&chain.head()).expect("head");
    Overlay::new(&view).account(&account(seed)).balance
}

#[test]
fn everybody_honest_finalizes_in_two_epochs_confirms_at_once_and_survives_a_restart() {
    let mut net = Net::new();
    let mut sent = 0;
    for slot in 1..=42 {
        let tx = net.transfer(1, POS);
        sent += POS;
        let root = net.slot(slot, vec![tx]);
        assert_eq!(net.chain.head(), root);
    }
    assert_eq!(net.chain.finalized().epoch, 3);
    assert_eq!(net.chain.justified().epoch, 4);
    net.tick(43, 0);
    assert_eq!(net.chain.confirmed(), net.chain.head(), "confirmed one slot later");
    assert_eq!(balance(&net.chain, 77), sent);
    let finalized = net.chain.take_events().into_iter().filter(|event| matches!(event, Event::Finalized(_)));
    assert_eq!(finalized.count(), 2);
    let head = net.chain.head();
    for (seed, present) in [(1, true), (77, true), (78, false)] {
        let key = keys::account(&account(seed));
        let proof = net.chain.prove(&head, &key).expect("in the tree");
        assert_eq!(proof.value.is_some(), present);
        assert_eq!(proof.verify(&head, &key), Ok(()));
        assert_eq!(proof.verify(&Root::ZERO, &key), Err(LightError::Header));
        assert!(proof.verify(&head, &keys::account(&account(79))).is_err() || !present);
        let forged = EntryProof { app_root: Root::ZERO, ..proof };
        assert_eq!(forged.verify(&head, &key), Err(LightError::StateRoot));
    }
    let (head, justified, final_before) = (net.chain.head(), net.chain.justified(), net.chain.finalized());
    let root_before = net.chain.app(&head).map(|view| Overlay::new(&view).root());
    let mut db = net.chain.into_db();
    db.sync();
    db.crash();
    assert_eq!(
        db.tx_place(&db.block(&head).unwrap().unwrap().block.body.tx_ids[0], 0).unwrap().unwrap().block,
        head
    );
    let mut chain = Chain::open(config(), db, verifier()).expect("a chain");
    chain.on_tick(1_000_000 + 43 * 6000).expect("memory");
    assert_eq!((chain.head(), chain.justified(), chain.finalized()), (head, justified, final_before));
    assert_eq!(chain.app(&head).map(|view| Overlay::new(&view).root()), root_before);
    let mut net = Net { chain };
    for slot in 43..=60 {
        net.slot(slot, Vec::new());
    }
    assert_eq!(net.chain.finalized().epoch, 5);
    assert_eq!(balance(&net.chain, 77), sent);
    while net.chain.fold_next().expect("memory") {}
    assert!(net.chain.layers.len() <= 20, "folded layers are gone");
}

#[test]
fn folding_that_was_cut_short_is_finished_at_the_next_start() {
    let db = MemoryDatabase::with_history();
    let mut net = Net { chain: Chain::create(config(), start(), db, verifier()).expect("memory") };
    for slot in 1..=34 {
        let tx = net.transfer(2, POS);
        net.slot(slot, vec![tx]);
    }
    assert!(!net.chain.to_fold.is_empty(), "in the middle of folding");
    let (head, amount) = (net.chain.head(), balance(&net.chain, 77));
    let mut chain = Chain::open(config(), net.chain.into_db(), verifier()).expect("a chain");
    chain.on_tick(1_000_000 + 34 * 6000 + 2000).expect("memory");
    assert_eq!((chain.head(), balance(&chain, 77)), (head, amount));
}

#[test]
fn a_block_with_more_votes_replaces_the_head_and_gives_its_transactions_back() {
    let mut net = Net::new();
    for slot in 1..=3 {
        net.slot(slot, Vec::new());
    }
    let tx = net.transfer(1, POS);
    net.tick(4, 0);
    let (with, txs) = net.proposal(4, 0, vec![tx]);
    let base = net.chain.head();
    net.tick(4, 3000); // too late for the boost
    net.chain.import(&with, &txs).expect("valid");
    assert_eq!(balance(&net.chain, 77), POS);
    // the committee of slot 4 voted for the parent: slot 5's proposer builds on that
    let params = net.chain.config.params.clone();
    let members = net.chain.head_committees(0).expect("known").at(&params, 4).to_vec();
    let data = AttestationData { beacon_block_root: base, ..net.chain.attestation_data(4).expect("a head") };
    for member in members {
        let vote = net.vote(member, data);
        net.chain.on_attestation(&vote).expect("good");
    }
    net.tick(5, 0);
    let (other, txs) = net.proposal(5, 0, Vec::new());
    assert_eq!(other.header.header.parent_root, base, "the late head is re-organised");
    let Import::Imported(root) = net.chain.import(&other, &txs).expect("valid") else { panic!("no") };
    assert_eq!(net.chain.head(), root);
    assert_eq!(balance(&net.chain, 77), 0);
    let events = net.chain.take_events();
    let last = events.iter().rev().find_map(|event| match event {
        Event::Head { old, new, common, .. } => Some((*old, *new, *common)),
        _ => None,
    });
    assert_eq!(last, Some((with.root(), root, base)));
    assert_eq!(net.chain.db().canonical(4).unwrap(), None);
    assert_eq!(net.chain.db().tx_place(&with.body.tx_ids[0], 0).unwrap(), None);
}

#[test]
fn contradictions_are_found_put_into_blocks_and_punished() {
    let mut net = Net::new();
    for slot in 1..=9 {
        net.slot(slot, Vec::new());
    }
    net.tick(10, 0);
    let (first, txs) = net.proposal(10, 1, Vec::new());
    let (second, _) = net.proposal(10, 2, Vec::new());
    let culprit = first.header.header.proposer_index;
    net.chain.import(&first, &txs).expect("valid");
    net.chain.import(&second, &txs).expect("valid by itself");
    let double = net.votes(10).into_iter().find(|vote| vote.attester_index != culprit).expect("two members");
    let other = if double.data.beacon_block_root == first.root() { second.root() } else { first.root() };
    let twin = net.vote(double.attester_index, AttestationData { beacon_block_root: other, ..double.data });
    for vote in [&double, &twin] {
        net.chain.on_attestation(vote).expect("good by itself");
    }
    assert_eq!(net.chain.on_attestation(&double), Err(VoteError::Known));
    let events = net.chain.take_events();
    assert!(events.iter().any(|event| matches!(event, Event::ProposerOffence(_))));
    assert!(events.iter().any(|event| matches!(event, Event::AttesterOffence(_))));
    let burned = |net: &Net| {
        let view = net.chain.app(&net.chain.head()).expect("head");
        Overlay::new(&view).supply().burned
    };
    let before = burned(&net);
    let proposer = net.chain.proposer(11).expect("one");
    let mut slot = 11;
    if proposer == culprit {
        slot = 12; // a slashed proposer's block would be refused after its own slashing
    }
    net.slot(slot, Vec::new());
    let state = net.chain.state(&net.chain.head()).expect("head");
    for offender in [culprit, double.attester_index] {
        assert_eq!(state.validators.slashed.at(offender), Some(&true), "{offender}");
    }
    assert!(burned(&net) - before >= 2 * u128::from(32 * POS / 4096), "stake was burnt");
}

#[test]
fn what_does_not_fit_is_told_apart() {
    let mut net = Net::new();
    net.slot(1, Vec::new());
    net.tick(2, 0);
    let (block, _) = net.proposal(2, 0, Vec::new());
    let refused = |net: &mut Net, change: &dyn Fn(&mut SignedBlock)| {
        let mut block = block.clone();
        change(&mut block);
        net.chain.import(&block, &[])
    };
    assert!(matches!(
        refused(&mut net, &|block| block.header.header.parent_root = Root([9; 32])),
        Ok(Import::Orphan { parent: Root([9, ..]) })
    ));
    assert!(matches!(refused(&mut net, &|block| block.header.header.slot = 3), Ok(Import::Future)));
    let unsigned = refused(&mut net, &|block| block.header.signature = Signature::ZERO).expect_err("forged");
    assert!(!unsigned.is_invalid_block());
    let body = refused(&mut net, &|block| block.body.graffiti = [7; 32]).expect_err("other body");
    assert!(!body.is_invalid_block());
    let tx = net.transfer(1, 1);
    assert!(!net.chain.import(&block, &[tx]).expect_err("other transactions").is_invalid_block());
    assert!(matches!(net.chain.import(&block, &[]), Ok(Import::Imported(_))), "nothing of this sticks");
    assert!(matches!(net.chain.import(&block, &[]), Ok(Import::Known(_))));
    let bad =
        refused(&mut net, &|block| block.header.header.proposer_index += 1).expect_err("wrong proposer");
    assert!(bad.is_invalid_block());
    let child = |block: &mut SignedBlock| {
        let mut parent = block.header.header;
        parent.proposer_index += 1;
        block.header.header.parent_root = Root(parent.tree_root());
    };
    assert!(matches!(refused(&mut net, &child), Err(ImportError::InvalidParent)));
    let vote = net.votes(2).remove(0);
    let mut future = vote.clone();
    future.data.slot = 3;
    assert_eq!(net.chain.on_attestation(&future), Err(VoteError::Future));
    let mut unknown = vote.clone();
    unknown.data.beacon_block_root = Root([3; 32]);
    assert_eq!(net.chain.on_attestation(&unknown), Err(VoteError::Place(VoteRefusal::UnknownBlock)));
    let mut stranger = vote.clone();
    stranger.attester_index = VALIDATORS;
    assert_eq!(net.chain.on_attestation(&stranger), Err(VoteError::NotInCommittee));
    let mut forged = vote.clone();
    forged.signature = Signature::ZERO;
    let verdicts = net.chain.on_attestations(&[forged, vote]);
    assert_eq!(verdicts, [Err(VoteError::Signature), Ok(())]);
}

#[test]
fn a_new_node_starts_from_provable_pieces_of_a_final_state_and_follows() {
    let mut net = Net::new();
    for slot in 1..=34 {
        let tx = net.transfer(1, POS);
        net.slot(slot, vec![tx]);
    }
    while net.chain.fold_next().expect("memory") {}
    let (block, state) = net.chain.folded().expect("memory");
    let checkpoint = net.chain.finalized();
    assert_eq!(block.root(), checkpoint.root);
    let snapshot = net.chain.db.snapshot().expect("memory");
    let app_root = {
        let layers = Layers::default();
        let view = layers.view(&net.chain.db, &Root::ZERO);
        Overlay::new(&view).root()
    };
    assert_eq!(state.combined_root(&config().params, &app_root), block.header.header.state_root);
    let (mut entries, mut next, mut pieces) = (Vec::new(), Some([0; 32]), 0);
    while let Some(first) = next {
        let piece = StatePiece::read(&snapshot, &first, 300).expect("memory");
        next = piece.verify(&app_root, &first).expect("a good piece");
        assert!(piece.verify(&Root::ZERO, &first).is_err());
        entries.extend(piece.entries.into_vec());
        pieces += 1;
    }
    assert!(pieces > 5, "{pieces} pieces");
    let anchor = Anchor { checkpoint, block, state: State::clone(&state), entries };
    let exported = net.chain.export().expect("memory").expect("folded");
    assert_eq!(exported, anchor);
    let file = encode(&anchor);
    assert_eq!(decode::<Anchor>(&file, usize::MAX), Ok(exported));
    assert!(decode::<Anchor>(&file[..file.len() - 1], usize::MAX).is_err());
    let start = |anchor| Chain::from_checkpoint(config(), anchor, MemoryDatabase::default(), verifier());
    let mut short = anchor.clone();
    short.entries.pop();
    assert!(matches!(start(short), Err(CheckpointError::StateRoot)));
    let mut other = anchor.clone();
    other.checkpoint.root = Root::ZERO;
    assert!(matches!(start(other), Err(CheckpointError::Block)));
    let mut fresh = start(anchor).expect("everything fits");
    for root in net.chain.db.roots_after(fresh.head_slot()).expect("memory") {
        let stored = net.chain.db.block(&root).expect("memory").expect("known");
        fresh.on_tick(1_000_000 + stored.block.header.header.slot * 6000).expect("memory");
        fresh.import(&stored.block, &stored.txs).expect("valid");
    }
    fresh.on_tick(1_000_000 + 34 * 6000 + 2000).expect("memory");
    assert_eq!(fresh.head(), net.chain.head());
    assert_eq!(balance(&fresh, 77), balance(&net.chain, 77));
    fresh.verify_database().expect("sound");
}

#[test]
fn certificates_prove_finality_to_somebody_who_knows_only_the_first_set() {
    let mut net = Net::new();
    let genesis = start();
    let mut signers = SignerSet::of(&genesis.state, &config().params, 0).list;
    let root = genesis.state.genesis_validators_root;
    let limit = usize::try_from(config().params.validator_registry_limit).expect("small");
    let mut certified = Vec::new();
    let mut sets = BTreeMap::new();
    for slot in 1..=60 {
        net.slot(slot, Vec::new());
        let events = net.chain.take_events();
        for event in events {
            let Event::SignFinality(Due { vote, set }) = event else { continue };
            sets.insert(vote.epoch, set.list.clone());
            assert_eq!(net.chain.finality().due(vote.epoch).map(|due| due.vote), Some(vote));
            let signed = |net: &Net, index: ValidatorIndex, vote: FinalityVote| {
                let signature = net.sign(index, &vote, DomainType::FinalityVote, vote.epoch * 8);
                SignedFinalityVote { validator_index: index, vote, signature }
            };
            for index in &set.indices[..11] {
                let vote = signed(&net, *index, vote);
                net.chain.on_finality_vote(&vote).expect("good");
                let again = net.chain.on_finality_vote(&vote);
                assert_eq!(again, Err(FinalityVoteError::Known));
                if *index < 10 {
                    assert!(net.chain.finality().cert(vote.vote.epoch).is_none(), "not two thirds yet");
                }
            }
            certified.push(vote.epoch);
            let mut other = vote;
            other.block_root = Root([1; 32]);
            let double = signed(&net, set.indices[0], other);
            net.chain.on_finality_vote(&double).expect("an offence is taken in");
            assert!(
                net.chain
                    .take_events()
                    .iter()
                    .any(|event| matches!(event, Event::FinalityOffence(_)) || vote.epoch > certified[0])
            );
            let stranger = SignedFinalityVote { validator_index: 99, ..double };
            assert_eq!(net.chain.on_finality_vote(&stranger), Err(FinalityVoteError::NotInSet));
            let forged = SignedFinalityVote { validator_index: set.indices[12], ..double };
            assert_eq!(net.chain.on_finality_vote(&forged), Err(FinalityVoteError::Signature));
            let early = signed(&net, set.indices[0], FinalityVote { epoch: 50, ..vote });
            assert_eq!(net.chain.on_finality_vote(&early), Err(FinalityVoteError::NotFinal));
        }
    }
    assert_eq!(certified, [2, 3, 4, 5]);
    // epoch 2 is signed by the set of genesis, and each certificate names a set that signs later ones
    net.chain.settle(None).expect("works");
    let rows = net.chain.db.certificates(0, 9).expect("works");
    assert_eq!(rows.iter().map(|row| row.epoch).collect::<Vec<_>>(), certified);
    let mut trust = Trust::in_signers(&config(), root, signers.root(limit));
    for row in rows {
        let cert: FinalityCert = decode(&row.certificate, usize::MAX).expect("as written");
        signers = decode(&row.signers, usize::MAX).expect("as written");
        assert_eq!(signers, sets[&cert.vote.epoch]);
        assert_eq!(row.signers_root, signers.root(limit));
        let before = trust.clone();
        let mut forged = cert.clone();
        forged.vote.block_root = Root::ZERO;
        assert_eq!(trust.follow(&forged, &signers), Err(FollowError::Cert(CertError::Signature)));
        let mut few = cert.clone();
        few.bits = crate::types::primitives::Bitlist::zeros(signers.members.len()).expect("small");
        assert_eq!(trust.follow(&few, &signers), Err(FollowError::Cert(CertError::TooFew)));
        few.bits = crate::types::primitives::Bitlist::zeros(3).expect("small");
        assert_eq!(trust.follow(&few, &signers), Err(FollowError::Cert(CertError::OtherSet)));
        assert_eq!(trust.follow(&cert, &SignerList::default()), Err(FollowError::Signers));
        assert_eq!(trust, before);
        assert_eq!(trust.follow(&cert, &signers), Ok(()));
        assert_eq!(trust.last(), Some(&cert.vote));
    }
}
