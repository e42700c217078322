//! A small chain of real blocks with real signatures: what one side proposes, the other executes.

use super::*;
use crate::{
    crypto::{bls::SecretKey, derive::interop_key},
    state::{
        Registration,
        app::MemoryStore,
        genesis::{Genesis, GenesisError, GenesisValidator},
        verifier::BatchVerifier,
    },
    types::{
        address,
        domain::{DomainType, domain, signing_root},
        operation::{
            Attestation, AttestationData, DepositMessage, FinalitySlashing, FinalityVote, ProposerSlashing,
            SignedFinalityVote, SignedHeader,
        },
        params::{POS, Params},
        primitives::{Bitlist, Nano, Signature, Slot},
        transaction::{Action, Auth, TxBody},
    },
};

const VALIDATORS: u64 = 8;
const ALICE: [u8; 32] = [1; 32];
const BOB: [u8; 32] = [2; 32];

fn account(seed: &[u8; 32]) -> Address {
    address::single(&ed25519::public_key(seed))
}

fn secret(index: ValidatorIndex) -> SecretKey {
    interop_key(index).expect("in range")
}

fn config() -> Config {
    Config { params: Params::minimal(), chain_id: 7, genesis_fork_version: [0, 0, 0, 1], genesis_time: 0 }
}

fn proof(secret: &SecretKey, owner: Address, amount: Nano) -> Signature {
    let message = DepositMessage { pubkey: secret.public_key(), owner: Root(owner.0), amount };
    let domain = domain(DomainType::Deposit.bytes(), config().genesis_fork_version, Root::ZERO);
    secret.sign(&signing_root(&message, domain))
}

fn registration(owner: Address) -> Registration {
    Registration {
        owner,
        commission_bps: 500,
        max_commission_bps: 2000,
        effective_cap: 64 * POS,
        fee_recipient: Address([9; 32]),
    }
}

fn genesis() -> Genesis {
    let validators = (0..VALIDATORS).map(|index| {
        let (secret, amount) = (secret(index), 32 * POS);
        let owner = account(&ALICE);
        let proof = proof(&secret, owner, amount);
        GenesisValidator { pubkey: secret.public_key(), proof, amount, registration: registration(owner) }
    });
    Genesis {
        config: config(),
        accounts: vec![(account(&ALICE), 1000 * POS), (account(&BOB), 100 * POS)],
        validators: validators.collect(),
    }
}

/// A chain that proposes with everybody's keys and executes what it proposed.
struct Chain {
    config: Config,
    state: State,
    store: MemoryStore,
    receipts: Vec<Receipt>,
}

impl Chain {
    fn new() -> Self {
        let genesis = genesis();
        let start = genesis.build().expect("valid genesis");
        assert_eq!(start.block.root(), {
            let mut state = start.state.clone();
            let mut app = Overlay::new(&start.store);
            state.advance_to(&genesis.config.params, 1, &mut app);
            state.latest_block_root()
        });
        Self { config: genesis.config, state: start.state, store: start.store, receipts: Vec::new() }
    }

    fn sign<T: TreeHash>(
        &self,
        index: ValidatorIndex,
        message: &T,
        kind: DomainType,
        epoch: u64,
    ) -> Signature {
        secret(index).sign(&signing_root(message, self.state.domain(kind, epoch)))
    }

    /// Everybody's vote for the last block, from the slot of that block.
    fn votes(&self) -> Vec<Attestation> {
        let params = &self.config.params;
        let slot = self.state.slot;
        let mut view = self.state.clone();
        view.advance_to(params, slot + 1, &mut Overlay::new(&self.store));
        let epoch = params.epoch_of(slot);
        let committees = Committees::new(&self.state, params, epoch);
        let committee = committees.at(params, slot);
        let data = AttestationData {
            slot,
            index: 0,
            beacon_block_root: view.block_root_at_slot(params, slot).expect("recent"),
            source: self.state.finality.current_justified,
            target: view.checkpoint(params, epoch).expect("recent"),
        };
        let signatures: Vec<_> =
            committee.iter().map(|member| self.sign(*member, &data, DomainType::Attester, epoch)).collect();
        if signatures.is_empty() {
            return Vec::new();
        }
        vec![Attestation {
            aggregation_bits: Bitlist::from_bools(&vec![true; committee.len()]).expect("bounded"),
            data,
            signature: crate::crypto::bls::aggregate(&signatures).expect("not empty"),
        }]
    }

    fn build(&self, slot: Slot, mut body: Body, txs: &[Tx]) -> Result<SignedBlock, BlockError> {
        let mut state = self.state.clone();
        let mut app = Overlay::new(&self.store);
        state.advance_to(&self.config.params, slot, &mut app);
        let proposer = state.proposer(&self.config.params, slot).expect("within the lookahead");
        let epoch = self.config.params.epoch_of(slot);
        body.randao_reveal = self.sign(proposer, &epoch, DomainType::Randao, epoch);
        let (header, body, taken) = propose(&mut state, &mut app, &self.config, body, txs.to_vec())?;
        assert_eq!(taken, txs);
        let signature = self.sign(proposer, &header, DomainType::Proposer, epoch);
        Ok(SignedBlock { header: SignedHeader { header, signature }, body })
    }

    fn import(&mut self, block: &SignedBlock, txs: &[Tx]) -> Result<(), BlockError> {
        let mut state = self.state.clone();
        let mut app = Overlay::new(&self.store);
        let verifier = BatchVerifier::new([5; 32]);
        let context = BlockContext { config: &self.config, verifier: Some(&verifier) };
        self.receipts = process(&mut state, &mut app, &context, block, txs)?.receipts;
        let changes = app.into_changes();
        self.store.apply(changes);
        self.state = state;
        Ok(())
    }

    fn extend_with(&mut self, body: Body, txs: &[Tx]) {
        let block = self.build(self.state.slot + 1, body, txs).expect("valid parts");
        self.import(&block, txs).expect("valid block");
    }

    fn extend(&mut self, txs: &[Tx]) {
        let attestations = List::new(self.votes()).expect("bounded");
        self.extend_with(Body { attestations, ..Body::default() }, txs);
    }

    fn balance(&self, seed: &[u8; 32]) -> Nano {
        Overlay::new(&self.store).account(&account(seed)).balance
    }

    fn tx(&self, seed: &[u8; 32], action: Action) -> Tx {
        let nonce = Overlay::new(&self.store).account(&account(seed)).nonce;
        self.tx_with(seed, action, nonce, 4_000_000)
    }

    fn tx_with(&self, seed: &[u8; 32], action: Action, nonce: u64, gas_limit: u64) -> Tx {
        let valid_until = self.state.slot + 100;
        let body = TxBody { chain_id: 7, nonce, valid_until, gas_limit, max_fee: 1000, tip: 10, action };
        let message =
            body.signing_message(self.config.genesis_fork_version, self.state.genesis_validators_root);
        let auth =
            Auth::Single { pubkey: ed25519::public_key(seed), signature: ed25519::sign(seed, &message) };
        Tx { auth, body }
    }

    /// Everything owned, plus what was destroyed, less what was created.
    fn wealth(&self) -> u128 {
        let app = Overlay::new(&self.store);
        let accounts = self.store.entries().filter(|(key, _)| key.first() == Some(&0)).map(|(_, value)| {
            crate::types::codec::decode::<crate::state::app::Account>(value, 56).expect("an account").balance
        });
        let pending = self.state.pending_deposits.iter().map(|entry| entry.amount);
        let all = accounts.chain(pending).chain(self.state.balances.iter().copied());
        let supply = app.supply();
        all.map(u128::from).sum::<u128>() + supply.burned - supply.issued
    }
}

#[test]
fn full_participation_finalizes_and_keeps_every_amount() {
    let mut chain = Chain::new();
    let wealth = chain.wealth();
    for _ in 0..34 {
        let to = account(&[chain.state.slot as u8 % 5; 32]);
        let tx = chain.tx(&ALICE, Action::Transfer { to, amount: POS });
        chain.extend(&[tx]);
        assert_eq!(chain.receipts[0].status, 0);
        assert_eq!(chain.wealth(), wealth);
    }
    assert_eq!(chain.state.current_epoch(&chain.config.params), 4);
    assert_eq!(chain.state.finality.current_justified.epoch, 3);
    assert_eq!(chain.state.finality.finalized.epoch, 2);
    assert!(Overlay::new(&chain.store).account(&Address([9; 32])).balance > 0, "tips were paid");
    assert!(chain.state.balances.iter().all(|balance| *balance > 32 * POS), "votes were rewarded");
}

#[test]
fn delegations_count_earn_and_come_back() {
    let mut chain = Chain::new();
    let wealth = chain.wealth();
    let delegate = chain.tx(&BOB, Action::Delegate { validator: 3, amount: 20 * POS });
    chain.extend(&[delegate]);
    assert_eq!(chain.state.pending_deposits.len(), 1);
    while chain.state.pending_deposits.len() == 1 {
        chain.extend(&[]);
    }
    let shares = Overlay::new(&chain.store).position(3, &account(&BOB));
    assert!(shares > 0 && shares < u128::from(20 * POS), "shares cost more than at the start: {shares}");
    let undelegate = chain.tx(&BOB, Action::Undelegate { validator: 3, shares });
    chain.extend(&[undelegate]);
    assert_eq!(chain.receipts[0].status, 0);
    assert_eq!(Overlay::new(&chain.store).position(3, &account(&BOB)), 0);
    let release = chain.state.unbondings[0].release_epoch;
    assert_eq!(release, chain.state.earliest_exit_epoch + 256);
    let before = chain.balance(&BOB);
    // nobody votes while time passes, so the pool loses stake and the delegator with it
    let params = chain.config.params.clone();
    let mut app = Overlay::new(&chain.store);
    chain.state.advance_to(&params, params.start_slot(release), &mut app);
    let changes = app.into_changes();
    chain.store.apply(changes);
    let returned = chain.balance(&BOB) - before;
    assert!(returned > 0 && returned < 20 * POS, "{returned}");
    assert_eq!(chain.wealth(), wealth);
}

#[test]
fn failed_and_exhausted_transactions_pay_and_change_nothing_else() {
    let mut chain = Chain::new();
    let root = |chain: &Chain| chain.state.pools.clone();
    let pools = root(&chain);
    let before = chain.balance(&BOB);
    let foreign = chain.tx(&BOB, Action::ExitValidator { validator: 0 });
    let fresh = Address([0x77; 32]);
    let poor = chain.tx_with(&BOB, Action::Transfer { to: fresh, amount: POS }, 1, 40_000);
    chain.extend(&[foreign, poor]);
    let statuses: Vec<u8> = chain.receipts.iter().map(|receipt| receipt.status).collect();
    assert_eq!(statuses, [1, 2]);
    assert_eq!(chain.receipts[1].gas_used, 40_000);
    let paid: u64 = chain.receipts.iter().map(|receipt| receipt.fee_paid).sum();
    assert_eq!(chain.balance(&BOB), before - paid);
    assert_eq!(root(&chain), pools);
    assert!(!Overlay::new(&chain.store).has_account(&fresh));
}

#[test]
fn a_new_validator_joins_by_transaction() {
    let mut chain = Chain::new();
    let secret = secret(100);
    let (amount, owner) = (40 * POS, account(&ALICE));
    let register = |proof| Action::RegisterValidator {
        pubkey: secret.public_key(),
        proof,
        amount,
        commission_bps: 100,
        max_commission_bps: 1000,
        effective_cap: 64 * POS,
        fee_recipient: owner,
    };
    let bad = chain.tx_with(&ALICE, register(proof(&secret, owner, amount + 1)), 0, 4_000_000);
    let good = chain.tx_with(&ALICE, register(proof(&secret, owner, amount)), 1, 4_000_000);
    let again = chain.tx_with(&ALICE, register(proof(&secret, owner, amount)), 2, 4_000_000);
    chain.extend(&[bad, good, again]);
    let statuses: Vec<u8> = chain.receipts.iter().map(|receipt| receipt.status).collect();
    assert_eq!(statuses, [1, 0, 1]);
    while chain.state.validators.len() == usize::try_from(VALIDATORS).expect("small") {
        chain.extend(&[]);
    }
    let validator = chain.state.validators.get(VALIDATORS).expect("appended");
    assert_eq!((validator.owner, validator.effective_balance), (owner, amount));
    assert_eq!(chain.state.pools[8].operator_shares, u128::from(amount));
}

#[test]
fn two_finality_votes_or_two_blocks_are_slashed() {
    let mut chain = Chain::new();
    for _ in 0..3 {
        chain.extend(&[]);
    }
    let vote = |root: u8| {
        let vote = FinalityVote { epoch: 0, block_root: Root([root; 32]), ..FinalityVote::default() };
        let signature = chain.sign(5, &vote, DomainType::FinalityVote, 0);
        SignedFinalityVote { validator_index: 5, vote, signature }
    };
    let finality = FinalitySlashing { vote_1: vote(1), vote_2: vote(2) };
    let header = |root: u8| {
        let header =
            BlockHeader { slot: 2, proposer_index: 6, body_root: Root([root; 32]), ..BlockHeader::default() };
        SignedHeader { header, signature: chain.sign(6, &header, DomainType::Proposer, 0) }
    };
    let blocks = ProposerSlashing { signed_header_1: header(1), signed_header_2: header(2) };
    let wealth = chain.wealth();
    let body = Body {
        finality_slashings: List::new(vec![finality]).expect("one"),
        proposer_slashings: List::new(vec![blocks]).expect("one"),
        ..Body::default()
    };
    let mut forged = body.clone();
    let mut bad = finality;
    bad.vote_2.signature = bad.vote_1.signature;
    forged.finality_slashings = List::new(vec![bad]).expect("one");
    let block = chain.build(chain.state.slot + 1, forged, &[]).expect("checked but for signatures");
    assert!(matches!(chain.import(&block, &[]), Err(BlockError::ValidatorSignature(_))));
    chain.extend_with(body, &[]);
    for offender in [5, 6] {
        assert_eq!(chain.state.validators.slashed.at(offender), Some(&true));
    }
    assert_eq!(chain.wealth(), wealth);
}

#[test]
fn every_part_of_a_block_is_bound() {
    let mut chain = Chain::new();
    let tx = chain.tx(&ALICE, Action::Transfer { to: account(&BOB), amount: 1 });
    let other = chain.tx(&ALICE, Action::Transfer { to: account(&BOB), amount: 2 });
    let block = chain.build(1, Body::default(), std::slice::from_ref(&tx)).expect("valid parts");
    let mut refused = |change: &dyn Fn(&mut SignedBlock), txs: &[Tx]| {
        let mut block = block.clone();
        change(&mut block);
        chain.import(&block, txs).expect_err("a changed block was accepted")
    };
    let txs = std::slice::from_ref(&tx);
    assert_eq!(refused(&|block| block.body.graffiti = [1; 32], txs), BlockError::BodyRoot);
    assert_eq!(refused(&|_| {}, &[]), BlockError::TxIds);
    assert_eq!(refused(&|_| {}, std::slice::from_ref(&other)), BlockError::TxIds);
    let operation = |err| BlockError::Operation(err);
    let wrong = |change: &dyn Fn(&mut BlockHeader)| refused(&|block| change(&mut block.header.header), txs);
    let mut wrong = wrong;
    assert_eq!(
        wrong(&|header| header.proposer_index = (header.proposer_index + 1) % VALIDATORS),
        operation(OperationError::HeaderProposer)
    );
    assert_eq!(wrong(&|header| header.parent_root = Root([3; 32])), operation(OperationError::HeaderParent));
    assert_eq!(wrong(&|header| header.state_root = Root([3; 32])), BlockError::ValidatorSignature(0));
    let unsigned =
        Tx { auth: Auth::Single { pubkey: ed25519::public_key(&ALICE), signature: [0; 64] }, ..tx };
    let block = chain.build(1, Body::default(), std::slice::from_ref(&unsigned)).expect("valid parts");
    assert_eq!(chain.import(&block, std::slice::from_ref(&unsigned)), Err(BlockError::TxSignature(0)));
}

#[test]
fn transactions_that_may_not_be_in_a_block_are_named() {
    let chain = Chain::new();
    let good = chain.tx(&BOB, Action::Transfer { to: account(&ALICE), amount: POS });
    let refused = |change: &dyn Fn(&mut TxBody)| {
        let mut tx = good.clone();
        change(&mut tx.body);
        let mut state = chain.state.clone();
        let mut app = Overlay::new(&chain.store);
        state.advance_to(&chain.config.params, 1, &mut app);
        match process_txs(&mut state, &mut app, &chain.config, &[Prepared::new(&tx)], Address::ZERO) {
            Err(BlockError::Tx { position: 0, source }) => source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|body| body.chain_id = 8), TxError::ChainId(8));
    assert_eq!(refused(&|body| body.valid_until = 0), TxError::ValidUntil(0));
    assert_eq!(refused(&|body| body.valid_until = 8194), TxError::ValidUntil(8194));
    assert_eq!(refused(&|body| body.nonce = 1), TxError::Nonce { found: 1, expected: 0 });
    assert_eq!(refused(&|body| body.max_fee = 0), TxError::MaxFee);
    assert_eq!(refused(&|body| body.tip = 1001), TxError::Tip);
    assert_eq!(refused(&|body| body.gas_limit = 32_679), TxError::IntrinsicGas(32_680));
    assert_eq!(refused(&|body| body.gas_limit = 2_000_000_001), TxError::BlockGas);
    let all = 100 * POS;
    assert_eq!(
        refused(&|body| body.action = Action::Transfer { to: Address::ZERO, amount: all }),
        TxError::Balance
    );
    assert_eq!(
        refused(&|body| body.action = Action::Undelegate { validator: 0, shares: 0 }),
        TxError::Range("shares")
    );
    assert_eq!(refused(&|body| body.action = Action::CancelProposal { proposal: 0 }), TxError::Disabled);
}

#[test]
fn a_genesis_that_breaks_a_rule_is_refused() {
    let broken = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis = genesis();
        change(&mut genesis);
        genesis.build().expect_err("accepted")
    };
    let key = secret(0).public_key();
    let alice = account(&ALICE);
    assert_eq!(broken(&|genesis| genesis.accounts.push((alice, 0))), GenesisError::DuplicateAccount(alice));
    assert_eq!(broken(&|genesis| genesis.accounts[0].1 = 1 << 60), GenesisError::Supply);
    assert_eq!(
        broken(&|genesis| genesis.validators.push(genesis.validators[0])),
        GenesisError::DuplicateValidator(key)
    );
    assert_eq!(broken(&|genesis| genesis.validators[0].amount += 1), GenesisError::Proof(key));
    assert_eq!(
        broken(&|genesis| genesis.validators[0].registration.effective_cap += 1),
        GenesisError::Registration(key)
    );
    assert_eq!(broken(&|genesis| genesis.validators.clear()), GenesisError::NobodyActive);
}
