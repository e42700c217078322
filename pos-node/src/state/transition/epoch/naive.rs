//! The end of an epoch computed the slow, obvious way: one row per validator, one whole pass per rule, integers of 256
//! bits, no shortcuts and nothing shared with the fast version but the drawing of proposers. Compared with it on random
//! states.

use crate::{
    state::{AppWrites, Registration, State},
    types::{
        operation::Checkpoint,
        params::{Governed, Params},
        primitives::{Address, PublicKey},
    },
};
use ruint::aliases::U256;

const FAR: u64 = u64::MAX;

/// A validator with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    key: PublicKey,
    owner: Address,
    effective: u64,
    slashed: bool,
    eligible_at: u64,
    active_at: u64,
    exit_at: u64,
    withdrawable_at: u64,
    cap: u64,
    balance: u64,
    previous: u8,
    current: u8,
    score: u64,
    total_shares: u128,
    operator_shares: u128,
    commission: u16,
    accum: u64,
}

impl Row {
    fn active(&self, epoch: u64) -> bool {
        self.active_at <= epoch && epoch < self.exit_at
    }
}

/// The parts of a state that epochs change, as rows and plain lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naive {
    slot: u64,
    rows: Vec<Row>,
    bits: Vec<bool>,
    previous_justified: Checkpoint,
    current_justified: Checkpoint,
    finalized: Checkpoint,
    slashings: Vec<u64>,
    deposit_left: u64,
    exit_left: u64,
    exit_epoch: u64,
    deposits: Vec<(PublicKey, Address, u64, u64)>,
    unbondings: Vec<(u64, Address, u128, u64, u64)>,
}

impl Naive {
    pub(super) fn of(state: &State) -> Self {
        let rows = (0..state.validators.len())
            .map(|at| Row {
                key: state.validators.pubkey[at],
                owner: state.validators.owner[at],
                effective: state.validators.effective_balance[at],
                slashed: state.validators.slashed[at],
                eligible_at: state.validators.activation_eligibility_epoch[at],
                active_at: state.validators.activation_epoch[at],
                exit_at: state.validators.exit_epoch[at],
                withdrawable_at: state.validators.withdrawable_epoch[at],
                cap: state.validators.effective_cap[at],
                balance: state.balances[at],
                previous: state.previous_epoch_participation[at],
                current: state.current_epoch_participation[at],
                score: state.inactivity_scores[at],
                total_shares: state.pools[at].total_shares,
                operator_shares: state.pools[at].operator_shares,
                commission: state.pools[at].commission_bps,
                accum: state.reward_accum[at],
            })
            .collect();
        Self {
            slot: state.slot,
            rows,
            bits: state.finality.bits.to_vec(),
            previous_justified: state.finality.previous_justified,
            current_justified: state.finality.current_justified,
            finalized: state.finality.finalized,
            slashings: state.slashings.iter().copied().collect(),
            deposit_left: state.deposit_balance_to_consume,
            exit_left: state.exit_balance_to_consume,
            exit_epoch: state.earliest_exit_epoch,
            deposits: state
                .pending_deposits
                .iter()
                .map(|entry| (entry.pubkey, entry.delegator, entry.amount, entry.slot))
                .collect(),
            unbondings: state
                .unbondings
                .iter()
                .map(|entry| {
                    (entry.validator, entry.delegator, entry.shares, entry.release_epoch, entry.redelegate_to)
                })
                .collect(),
        }
    }

    fn total(&self, epoch: u64) -> u64 {
        self.sum(|row| row.active(epoch))
    }

    fn sum(&self, wanted: impl Fn(&Row) -> bool) -> u64 {
        let sum: u64 = self.rows.iter().filter(|row| wanted(row)).map(|row| row.effective).sum();
        sum.max(1_000_000_000)
    }

    fn churn(&self, params: &Params, state: &State, epoch: u64) -> u64 {
        let part = self.total(epoch) / params.churn_limit_quotient;
        let limit = part.max(params.min_per_epoch_churn_limit) / 1_000_000_000 * 1_000_000_000;
        limit.min(state.params.get(Governed::MaxChurn))
    }

    /// All steps of an epoch end but the rings of randomness and the proposers.
    pub(super) fn process(
        &mut self,
        params: &Params,
        state: &State,
        registrations: impl Fn(&PublicKey) -> Option<Registration>,
        writes: &mut AppWrites,
    ) {
        let epoch = self.slot / params.slots_per_epoch;
        self.justify(params, state, epoch);
        let lost = if epoch == 0 {
            vec![0; self.rows.len()]
        } else {
            self.score(epoch);
            self.rewards(epoch, writes)
        };
        self.registry(params, state, epoch);
        self.slashed(epoch, writes);
        self.commission(state, &lost);
        self.deposits(params, state, epoch, registrations, writes);
        self.unbondings(epoch, writes);
        for row in &mut self.rows {
            let (quarter, five_quarters) = (250_000_000, 1_250_000_000);
            if row.balance + quarter < row.effective || row.effective + five_quarters < row.balance {
                row.effective = (row.balance / 1_000_000_000 * 1_000_000_000).min(row.cap);
            }
        }
        let ring = self.slashings.len();
        self.slashings[usize::try_from(epoch + 1).expect("small") % ring] = 0;
        for row in &mut self.rows {
            (row.previous, row.current) = (row.current, 0);
        }
    }

    fn justify(&mut self, params: &Params, state: &State, epoch: u64) {
        if epoch < 2 {
            return;
        }
        let voted = |flags: u8| flags & 2 != 0;
        let total = self.total(epoch);
        let before = self.sum(|row| row.active(epoch - 1) && !row.slashed && voted(row.previous));
        let now = self.sum(|row| row.active(epoch) && !row.slashed && voted(row.current));
        let root = |epoch: u64| {
            let slot = epoch * params.slots_per_epoch % params.slots_per_historical_root;
            state.block_roots[usize::try_from(slot).expect("small")]
        };
        let (old_previous, old_current) = (self.previous_justified, self.current_justified);
        self.previous_justified = old_current;
        self.bits.insert(0, false);
        self.bits.truncate(4);
        if before * 3 >= total * 2 {
            self.current_justified = Checkpoint { epoch: epoch - 1, root: root(epoch - 1) };
            self.bits[1] = true;
        }
        if now * 3 >= total * 2 {
            self.current_justified = Checkpoint { epoch, root: root(epoch) };
            self.bits[0] = true;
        }
        let all = |range: std::ops::Range<usize>| self.bits[range].iter().all(|bit| *bit);
        let rules = [
            (all(1..4), old_previous, 3),
            (all(1..3), old_previous, 2),
            (all(0..3), old_current, 2),
            (all(0..2), old_current, 1),
        ];
        for (holds, checkpoint, distance) in rules {
            if holds && checkpoint.epoch + distance == epoch {
                self.finalized = checkpoint;
            }
        }
    }

    fn leaking(&self, epoch: u64) -> bool {
        (epoch - 1).saturating_sub(self.finalized.epoch) > 4
    }

    fn eligible(row: &Row, epoch: u64) -> bool {
        row.active(epoch - 1) || (row.slashed && epoch < row.withdrawable_at)
    }

    fn flagged(row: &Row, flag: u8, epoch: u64) -> bool {
        row.active(epoch - 1) && !row.slashed && row.previous & (1 << flag) != 0
    }

    fn score(&mut self, epoch: u64) {
        let leaking = self.leaking(epoch);
        for row in self.rows.iter_mut().filter(|row| Self::eligible(row, epoch)) {
            if Self::flagged(row, 1, epoch) {
                row.score -= row.score.min(1);
            } else {
                row.score += 4;
            }
            if !leaking {
                row.score -= row.score.min(16);
            }
        }
    }

    /// One list of rewards and one of penalties per flag, applied one flag after another, then inactivity.
    fn rewards(&mut self, epoch: u64, writes: &mut AppWrites) -> Vec<u64> {
        let total = self.total(epoch);
        let mut root = 0u64;
        for bit in (0..32).rev().map(|bit| 1u64 << bit) {
            if (root + bit) * (root + bit) <= total {
                root += bit;
            }
        }
        let per_increment = 64_000_000_000 / root;
        let leaking = self.leaking(epoch);
        let mut passes: Vec<Vec<(u64, u64)>> = Vec::new();
        for (flag, weight) in [(0u8, 14u64), (1, 26), (2, 14)] {
            let hit = self.sum(|row| Self::flagged(row, flag, epoch)) / 1_000_000_000;
            let pass = self.rows.iter().map(|row| {
                let base = row.effective / 1_000_000_000 * per_increment;
                if !Self::eligible(row, epoch) {
                    (0, 0)
                } else if Self::flagged(row, flag, epoch) {
                    let top = U256::from(base) * U256::from(weight) * U256::from(hit);
                    let reward: u64 = (top / U256::from(total / 1_000_000_000 * 64)).to();
                    (if leaking { 0 } else { reward }, 0)
                } else {
                    (0, if flag == 2 { 0 } else { base * weight / 64 })
                }
            });
            passes.push(pass.collect());
        }
        let inactivity = self.rows.iter().map(|row| {
            let absent = Self::eligible(row, epoch) && !Self::flagged(row, 1, epoch);
            let top = U256::from(row.effective) * U256::from(row.score) / U256::from(4u64 << 24);
            (0, if absent { top.to() } else { 0 })
        });
        passes.push(inactivity.collect());
        let mut lost = vec![0; self.rows.len()];
        for pass in passes {
            for (at, (reward, penalty)) in pass.into_iter().enumerate() {
                let row = &mut self.rows[at];
                row.balance += reward;
                row.accum += reward;
                writes.issued += u128::from(reward);
                let taken = penalty.min(row.balance);
                row.balance -= taken;
                lost[at] += taken;
                writes.burned += u128::from(taken);
            }
        }
        lost
    }

    fn registry(&mut self, params: &Params, state: &State, epoch: u64) {
        let churn = self.churn(params, state, epoch);
        for at in 0..self.rows.len() {
            let row = self.rows[at].clone();
            if row.eligible_at == FAR && row.effective >= 32_000_000_000 {
                self.rows[at].eligible_at = epoch + 1;
            } else if row.active(epoch) && row.effective <= 16_000_000_000 {
                if row.exit_at == FAR {
                    // fill epoch after epoch until the balance fits
                    if self.exit_epoch < epoch + 5 {
                        (self.exit_epoch, self.exit_left) = (epoch + 5, churn);
                    }
                    let mut rest = row.effective;
                    while rest > self.exit_left {
                        rest -= self.exit_left;
                        self.exit_epoch += 1;
                        self.exit_left = churn;
                    }
                    self.exit_left -= rest;
                    self.rows[at].exit_at = self.exit_epoch;
                    self.rows[at].withdrawable_at =
                        self.exit_epoch + params.min_validator_withdrawability_delay;
                }
            } else if row.eligible_at <= self.finalized.epoch && row.active_at == FAR {
                self.rows[at].active_at = epoch + 5;
            }
        }
    }

    fn slashed(&mut self, epoch: u64, writes: &mut AppWrites) {
        let total = self.total(epoch);
        let sum: u64 = self.slashings.iter().sum();
        let per_increment = total.min(sum * 3) / (total / 1_000_000_000);
        let half = u64::try_from(self.slashings.len() / 2).expect("small");
        for row in &mut self.rows {
            if row.slashed && row.withdrawable_at == epoch + half {
                let taken = (per_increment * (row.effective / 1_000_000_000)).min(row.balance);
                row.balance -= taken;
                writes.burned += u128::from(taken);
            }
        }
    }

    fn commission(&mut self, state: &State, lost: &[u64]) {
        let cap = state.params.get(Governed::CommissionCapBps);
        for (row, lost) in self.rows.iter_mut().zip(lost) {
            let net = row.accum.saturating_sub(*lost);
            row.accum = 0;
            let part = U256::from(net) * U256::from(cap.min(row.commission.into())) / U256::from(10_000);
            let part: u64 = part.to();
            let sound = row.total_shares > 0 && row.total_shares <= u128::from(row.balance) << 20;
            if part > 0 && !row.slashed && 2 * part <= row.balance && sound {
                let minted = U256::from(part) * U256::from(row.total_shares) / U256::from(row.balance - part);
                row.operator_shares += minted.to::<u128>();
                row.total_shares += minted.to::<u128>();
            }
        }
    }

    fn deposits(
        &mut self,
        params: &Params,
        state: &State,
        epoch: u64,
        registrations: impl Fn(&PublicKey) -> Option<Registration>,
        writes: &mut AppWrites,
    ) {
        let mut budget = self.deposit_left + self.churn(params, state, epoch);
        let (mut back, mut taken, mut stopped) = (Vec::new(), 0, false);
        for entry in self.deposits.clone() {
            let (key, delegator, amount, slot) = entry;
            if slot > self.finalized.epoch * params.slots_per_epoch
                || taken == params.max_pending_deposits_per_epoch
            {
                break;
            }
            let known = self.rows.iter().position(|row| row.key == key);
            let gone = known.is_some_and(|at| self.rows[at].withdrawable_at <= epoch);
            let leaving = known.is_some_and(|at| self.rows[at].exit_at != FAR);
            if leaving && !gone {
                back.push(entry);
            } else {
                if !gone {
                    if amount > budget {
                        stopped = true;
                        break;
                    }
                    budget -= amount;
                }
                self.deposit(known, key, delegator, amount, &registrations, writes);
            }
            taken += 1;
        }
        self.deposits.drain(..usize::try_from(taken).expect("small"));
        self.deposits.extend(back);
        self.deposit_left = if stopped { budget } else { 0 };
    }

    fn deposit(
        &mut self,
        known: Option<usize>,
        key: PublicKey,
        delegator: Address,
        amount: u64,
        registrations: impl Fn(&PublicKey) -> Option<Registration>,
        writes: &mut AppWrites,
    ) {
        let at = match (known, registrations(&key)) {
            (Some(at), _) => at,
            (None, None) => {
                writes.credits.push((delegator, amount));
                return;
            }
            (None, Some(registration)) => {
                self.rows.push(Row {
                    key,
                    owner: registration.owner,
                    effective: (amount / 1_000_000_000 * 1_000_000_000).min(registration.effective_cap),
                    slashed: false,
                    eligible_at: FAR,
                    active_at: FAR,
                    exit_at: FAR,
                    withdrawable_at: FAR,
                    cap: registration.effective_cap,
                    balance: 0,
                    previous: 0,
                    current: 0,
                    score: 0,
                    total_shares: 0,
                    operator_shares: 0,
                    commission: registration.commission_bps,
                    accum: 0,
                });
                self.rows.len() - 1
            }
        };
        let row = &mut self.rows[at];
        let minted: u128 = if row.total_shares == 0 {
            amount.into()
        } else if u128::from(row.balance) << 20 < row.total_shares {
            0
        } else {
            (U256::from(amount) * U256::from(row.total_shares) / U256::from(row.balance)).to()
        };
        if minted == 0 {
            writes.credits.push((delegator, amount));
            return;
        }
        row.balance += amount;
        row.total_shares += minted;
        if row.owner == delegator {
            row.operator_shares += minted;
        } else {
            writes.positions.push((u64::try_from(at).expect("small"), delegator, minted));
        }
    }

    fn unbondings(&mut self, epoch: u64, writes: &mut AppWrites) {
        let mut released = 0;
        let mut kept = Vec::new();
        for entry in std::mem::take(&mut self.unbondings) {
            let (validator, delegator, shares, release, to) = entry;
            let at = usize::try_from(validator).expect("small");
            let held = self.rows[at].slashed && self.rows[at].withdrawable_at > epoch + 1;
            if released == 1024 || release > epoch + 1 || held {
                kept.push(entry);
                continue;
            }
            released += 1;
            let row = &mut self.rows[at];
            let worth = U256::from(shares) * U256::from(row.balance) / U256::from(row.total_shares);
            let amount: u64 = worth.to();
            row.total_shares -= shares;
            row.balance -= amount;
            let target = usize::try_from(to).ok().and_then(|to| self.rows.get(to));
            match target.filter(|target| !target.slashed && target.exit_at == FAR) {
                _ if amount == 0 => {}
                Some(target) => self.deposits.push((target.key, delegator, amount, self.slot)),
                None => writes.credits.push((delegator, amount)),
            }
        }
        self.unbondings = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::{
            PendingDeposit, Pool, Unbonding,
            registry::Validator,
            transition::epoch::{self, resets},
        },
        types::{params::POS, primitives::Root, ssz::sha256},
    };
    use proptest::prelude::*;

    type Seeds = (u64, Vec<[u64; 8]>, Vec<[u64; 4]>, Vec<[u64; 5]>, [u64; 8], [bool; 4]);

    fn seeds() -> impl Strategy<Value = Seeds> {
        (
            0u64..100,
            proptest::collection::vec(any::<[u64; 8]>(), 1..24),
            proptest::collection::vec(any::<[u64; 4]>(), 0..24),
            proptest::collection::vec(any::<[u64; 5]>(), 0..12),
            any::<[u64; 8]>(),
            any::<[bool; 4]>(),
        )
    }

    fn key(number: u64) -> PublicKey {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(&sha256(&number.to_le_bytes()));
        PublicKey(bytes)
    }

    /// Keys from 100 to 119 are registered, above they are not.
    fn registration(pubkey: &PublicKey) -> Option<Registration> {
        let number = (100..120).find(|number| key(*number) == *pubkey)?;
        Some(Registration {
            owner: Address([1; 32]),
            commission_bps: u16::try_from(number * 10).expect("small"),
            max_commission_bps: 10_000,
            effective_cap: 32 * POS * (number - 99),
            fee_recipient: Address::ZERO,
        })
    }

    /// An epoch near `epoch`, or never.
    fn near(epoch: u64, seed: u64, back: u64, ahead: u64) -> u64 {
        match seed % (back + ahead + 3) {
            0..=2 => FAR,
            distance => (epoch + distance).saturating_sub(back),
        }
    }

    fn validator(epoch: u64, number: u64, seed: &[u64; 8]) -> (Validator, u64, Pool, [u64; 3]) {
        let [stake, times, exit, flags, score, shares, accum, odd] = *seed;
        let cap = 32 * POS * (1 + stake % 64);
        let balance = match odd % 8 {
            0 => stake % (40 * POS),
            1 => 0,
            _ => (32 * POS).saturating_add(stake % cap),
        };
        let exit_at = near(epoch, exit, 3, 8);
        let slashed = odd.is_multiple_of(5) && exit_at != FAR;
        let delay = [256, 32, 0, 1][usize::try_from(times % 4).expect("small")];
        let row = Validator {
            pubkey: key(number),
            owner: Address([u8::try_from(number % 2).expect("a bit"); 32]),
            effective_balance: (balance / POS * POS).saturating_add(stake % 2 * POS).min(cap),
            slashed,
            activation_eligibility_epoch: near(epoch, times, 8, 2),
            activation_epoch: if times.is_multiple_of(3) { near(epoch, times / 3, 8, 4) } else { 0 },
            exit_epoch: exit_at,
            withdrawable_epoch: exit_at.saturating_add(delay),
            effective_cap: cap,
        };
        let total_shares = match shares % 6 {
            0 => 0,
            1 => u128::from(balance) << 21,
            _ => u128::from(balance.saturating_add(shares % (16 * POS))),
        };
        let pool = Pool {
            total_shares,
            operator_shares: total_shares / 3,
            commission_bps: u16::try_from(shares % 10_001).expect("small"),
            max_commission_bps: 10_000,
            ..Pool::default()
        };
        let full_score = if score.is_multiple_of(7) { score >> 24 } else { score % 64 };
        (row, balance, pool, [flags, full_score, accum % (POS / 4)])
    }

    fn state(params: &Params, (epoch, validators, deposits, unbondings, scalars, bits): &Seeds) -> State {
        let epoch = *epoch;
        let mut state = State::empty(params);
        state.slot = epoch * params.slots_per_epoch + params.slots_per_epoch - 1;
        for (number, seed) in (0..).zip(validators) {
            let (row, balance, pool, [flags, score, accum]) = validator(epoch, number, seed);
            state.push_validator(&row, balance, pool);
            let [previous, current] =
                [flags, flags >> 8].map(|flags| u8::try_from(flags % 8).expect("three bits"));
            *state.previous_epoch_participation.at_mut(number).expect("pushed") = previous;
            *state.current_epoch_participation.at_mut(number).expect("pushed") = current;
            *state.inactivity_scores.at_mut(number).expect("pushed") = score;
            *state.reward_accum.at_mut(number).expect("pushed") = accum;
        }
        let count = u64::try_from(validators.len()).expect("small");
        for [who, delegator, amount, slot] in deposits {
            let number = if who.is_multiple_of(4) { 100 + who / 4 % 25 } else { who % count };
            state.pending_deposits.push(PendingDeposit {
                pubkey: key(number),
                delegator: Address([u8::try_from(delegator % 3).expect("small"); 32]),
                amount: 1 + amount % (80 * POS),
                slot: slot % (state.slot + 2),
            });
        }
        for [validator, delegator, shares, release, to] in unbondings {
            let validator = validator % count;
            let pool = state.pools.at_mut(validator).expect("pushed");
            let shares = u128::from(*shares).min(pool.total_shares / 4);
            if shares == 0 {
                continue;
            }
            pool.total_shares += shares;
            state.unbondings.push(Unbonding {
                validator,
                delegator: Address([u8::try_from(delegator % 3).expect("small"); 32]),
                shares,
                release_epoch: epoch + release % 4,
                redelegate_to: if to.is_multiple_of(2) { FAR } else { to % (count + 1) },
            });
        }
        let [a, b, c, d, e, f, g, h] = *scalars;
        let checkpoint = |back: u64| {
            let epoch = epoch.saturating_sub(back);
            Checkpoint { epoch, root: Root([u8::try_from(epoch).expect("small"); 32]) }
        };
        state.finality.bits = *bits;
        state.finality.current_justified = checkpoint(1 + a % 2);
        state.finality.previous_justified = checkpoint(2 + b % 2);
        state.finality.finalized = checkpoint(2 + c % 6);
        state.deposit_balance_to_consume = d % (128 * POS);
        state.exit_balance_to_consume = e % (64 * POS);
        state.earliest_exit_epoch = (epoch + f % 16).saturating_sub(4);
        for at in 0..3 {
            *state.slashings.at_mut((g >> (8 * at)) % 64).expect("within the ring") = h % (3000 * POS);
        }
        state.block_roots.update(|at, _| Root([u8::try_from(at).expect("small"); 32]));
        state
    }

    fn wealth(state: &State, writes: &AppWrites) -> i128 {
        let balances: u128 = state.balances.iter().map(|amount| u128::from(*amount)).sum();
        let pending: u128 = state.pending_deposits.iter().map(|entry| u128::from(entry.amount)).sum();
        let credits: u128 = writes.credits.iter().map(|(_, amount)| u128::from(*amount)).sum();
        let signed = |amount: u128| i128::try_from(amount).expect("below the supply bound");
        signed(balances + pending + credits + writes.burned) - signed(writes.issued)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2500))]
        #[test]
        fn fast_and_naive_epochs_end_equal_and_no_amount_appears_or_vanishes(seeds in seeds()) {
            let params = Params::minimal();
            let mut fast = state(&params, &seeds);
            let mut naive = Naive::of(&fast);
            for _ in 0..4 {
                let (mut fast_writes, mut naive_writes) = (AppWrites::default(), AppWrites::default());
                naive.process(&params, &fast, registration, &mut naive_writes);
                let before = wealth(&fast, &fast_writes);
                epoch::process(&mut fast, &params, &registration, &mut fast_writes);
                prop_assert_eq!(&Naive::of(&fast), &naive);
                prop_assert_eq!(&fast_writes, &naive_writes);
                prop_assert_eq!(wealth(&fast, &fast_writes), before);
                let epoch = fast.current_epoch(&params);
                let next = resets::epoch_proposers(&fast, &params, epoch + 2);
                prop_assert_eq!(fast.proposer_lookahead.iter().skip(8).copied().collect::<Vec<_>>(), next);
                fast.slot += params.slots_per_epoch;
                naive.slot = fast.slot;
            }
        }
    }
}
