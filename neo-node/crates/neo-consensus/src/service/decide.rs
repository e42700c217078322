//! What this node concludes from what it knows, and what it sends. Mirrors `ConsensusService.Check.cs` and
//! `ConsensusContext.MakePayload.cs`.

use std::{collections::BTreeMap, sync::Arc};

use neo_base::{
    UInt256,
    ledger::{Attribute, Extensible, Transaction},
};
use shared_vendor::clock::Time;

use super::{Effect, Note, Rejection, Service, doubled};
use crate::{
    message::{
        Body, ChangeReason, ChangeViewForm, CompactChangeView, CompactCommit, CompactPreparation, Message,
        Proposal, Recovery,
    },
    recovery_log,
    round::{Judgement, Round, Signed, at, put},
};

impl Service {
    /// Signs a message of this node; `None` when it only watches.
    fn sign(&self, body: Body) -> Option<Signed> {
        let round = self.round.as_ref()?;
        let (_, key) = self.identity(&round.tip.validators)?;
        round.sign(body, key, self.settings.network)
    }

    /// Validators from whom nothing has come for this height or the one before.
    fn failed(&self, round: &Round) -> usize {
        let Some(seen) = &self.last_seen else { return 0 };
        let least = round.index.saturating_sub(1);
        round.tip.validators.iter().filter(|key| seen.get(key).is_none_or(|height| *height < least)).count()
    }

    /// More than `f` have committed or are gone: another view cannot be agreed on.
    fn too_late_to_change(&self, round: &Round) -> bool {
        round.committed().saturating_add(self.failed(round)) > round.f()
    }

    /// This node has asked for another view and takes nothing of the present one any more.
    pub(super) fn refuses_messages(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.view_changing() && !self.too_late_to_change(round))
    }

    pub(super) fn request_recovery(&self, now: Time, out: &mut Vec<Effect>) {
        let request = self.sign(Body::RecoveryRequest { timestamp: self.wall(now) });
        if let (Some(request), Some(round)) = (request, &self.round) {
            out.push(Effect::Note(Note::RecoveryAsked { height: round.index }));
            broadcast(request.payload, out);
        }
    }

    /// Asks for the next view, or for recovery when a change cannot succeed.
    pub(super) fn request_change(
        &mut self,
        now: Time,
        reason: ChangeReason,
        rejected: Vec<UInt256>,
        out: &mut Vec<Effect>,
    ) {
        let Some(round) = self.round.as_ref().filter(|round| !round.watches()) else { return };
        let view = round.view.saturating_add(1);
        let delay = doubled(round.tip.block_time, view.saturating_add(1));
        let (hopeless, height) = (self.too_late_to_change(round), round.index);
        self.set_timer(now, delay);
        if hopeless {
            self.request_recovery(now, out);
            return;
        }
        out.push(Effect::Note(Note::ChangeAsked { height, view, reason }));
        self.send_change(now, reason, rejected, out);
        self.check_view(now, view, out);
    }

    fn send_change(
        &mut self,
        now: Time,
        reason: ChangeReason,
        rejected: Vec<UInt256>,
        out: &mut Vec<Effect>,
    ) {
        let named = self.settings.change_view_form == ChangeViewForm::WithRejected;
        let rejected = (named && reason.names_transactions()).then_some(rejected);
        let signed = self.sign(Body::ChangeView { timestamp: self.wall(now), reason, rejected });
        if let (Some(signed), Some(round)) = (signed, &mut self.round) {
            broadcast(signed.payload.clone(), out);
            let me = signed.message.validator;
            put(&mut round.change_views, Some(signed), me);
        }
    }

    /// Enters a view that enough validators want.
    pub(super) fn check_view(&mut self, now: Time, view: u8, out: &mut Vec<Effect>) {
        let Some(round) = self.round.as_ref().filter(|round| round.view < view) else { return };
        let wanted = round.change_views.iter().flatten().filter(|change| change.new_view() >= view).count();
        if wanted < round.m() {
            return;
        }
        let own = round.me.map(|me| at(&round.change_views, me).map_or(0, Signed::new_view));
        if own.is_some_and(|own| own < view) {
            self.send_change(now, ChangeReason::Agreement, Vec::new(), out);
        }
        self.start_view(now, view, out);
    }

    /// The pool's transactions for our block have come: propose it.
    pub(super) fn on_selected(
        &mut self,
        now: Time,
        asked: (u32, u8),
        transactions: Vec<Arc<Transaction>>,
        out: &mut Vec<Effect>,
    ) {
        let Some(round) = &self.round else { return };
        let stale = (round.index, round.view) != asked || !round.is_primary() || round.has_request();
        if stale || round.block_sent || self.refuses_messages() {
            return;
        }
        let chosen = self.within_limits(round, transactions);
        let hashes: Vec<_> = chosen.iter().map(|tx| tx.hash()).collect();
        let timestamp = self.wall(now).max(round.tip.timestamp.saturating_add(1));
        let nonce = self.nonce(now);
        let previous = round.tip.hash;
        let proposal = Proposal { version: 0, previous, timestamp, nonce, hashes: hashes.clone() };
        let Some(signed) = self.sign(Body::PrepareRequest(proposal)) else { return };
        let Some(round) = &mut self.round else { return };
        (round.timestamp, round.nonce, round.judgement) = (timestamp, nonce, Judgement::Good);
        round.transactions = chosen.into_iter().map(|tx| (tx.hash(), tx)).collect();
        round.hashes = Some(hashes.clone());
        broadcast(signed.payload.clone(), out);
        let primary = round.primary;
        put(&mut round.preparations, Some(signed), primary);
        let (block_time, view, alone) = (round.tip.block_time, round.view, round.n() == 1);
        let mut delay = doubled(block_time, view.saturating_add(1));
        if view == 0 {
            delay = delay.saturating_sub(block_time);
        }
        self.set_timer(now, delay);
        if alone {
            self.check_preparations(now, out);
        } else if !hashes.is_empty() {
            out.push(Effect::Announce(hashes));
        }
    }

    /// The first transactions that fit into a block, without those that more than `f` validators reject.
    fn within_limits(&self, round: &Round, transactions: Vec<Arc<Transaction>>) -> Vec<Arc<Transaction>> {
        let (mut size, mut fee) = (round.empty_block_size(transactions.len()), 0_i64);
        let refused = |tx: &Transaction| self.rejected.get(&tx.hash()).is_some_and(|by| by.len() > round.f());
        let mut chosen = Vec::new();
        for tx in transactions.into_iter().filter(|tx| !refused(tx)).take(round.tip.max_transactions) {
            size = size.saturating_add(tx.size());
            fee = fee.saturating_add(tx.body().system_fee);
            if size > self.settings.max_block_size || fee > self.settings.max_block_system_fee {
                break;
            }
            chosen.push(tx);
        }
        chosen
    }

    /// Looks at the transactions of the proposal once all have come.
    pub(super) fn check_transactions(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(round) = &mut self.round else { return };
        if round.judgement != Judgement::Open || round.hashes.is_none() || !round.missing().is_empty() {
            return;
        }
        let transactions = round.ordered();
        if let Some(hash) = conflict(&round.transactions) {
            self.request_change(now, ChangeReason::TransactionInvalid, vec![hash], out);
            return;
        }
        let costly = transactions.iter().find(|tx| tx.body().system_fee > self.settings.max_block_system_fee);
        if let Some(tx) = costly {
            self.request_change(now, ChangeReason::TransactionRejectedByPolicy, vec![tx.hash()], out);
            return;
        }
        let size = transactions
            .iter()
            .fold(round.empty_block_size(transactions.len()), |size, tx| size.saturating_add(tx.size()));
        let fee = transactions.iter().fold(0_i64, |fee, tx| fee.saturating_add(tx.body().system_fee));
        if size > self.settings.max_block_size || fee > self.settings.max_block_system_fee {
            self.request_change(now, ChangeReason::BlockRejectedByPolicy, Vec::new(), out);
            return;
        }
        if transactions.is_empty() {
            round.judgement = Judgement::Good;
            self.accept(now, out);
        } else {
            round.judgement = Judgement::Asked;
            out.push(Effect::Judge { height: round.index, view: round.view, transactions });
        }
    }

    pub(super) fn on_judged(
        &mut self,
        now: Time,
        asked: (u32, u8),
        verdict: Result<(), Rejection>,
        out: &mut Vec<Effect>,
    ) {
        let Some(round) = &mut self.round else { return };
        if (round.index, round.view) != asked || round.judgement != Judgement::Asked || round.block_sent {
            return;
        }
        match verdict {
            Ok(()) => {
                round.judgement = Judgement::Good;
                self.accept(now, out);
            }
            Err(Rejection::OnChain) => {
                let (height, validator) = (round.index, round.primary);
                round.forget_proposal();
                put(&mut round.preparations, None, validator);
                let reason = "a transaction of the proposal, or one in conflict with it, is on the chain";
                out.push(Effect::Note(Note::Refused { height, validator, reason }));
            }
            Err(Rejection::Invalid(hash)) => {
                self.request_change(now, ChangeReason::TransactionInvalid, vec![hash], out);
            }
            Err(Rejection::Policy(hash)) => {
                self.request_change(now, ChangeReason::TransactionRejectedByPolicy, vec![hash], out);
            }
        }
    }

    /// The proposal is good: says so, if that is this node's part.
    fn accept(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        if round.watches() || round.is_primary() {
            self.check_preparations(now, out);
            return;
        }
        if !round.response_sent() && !self.refuses_messages() {
            let Some(request) = at(&round.preparations, round.primary) else { return };
            let Some(signed) = self.sign(Body::PrepareResponse(request.hash)) else { return };
            self.extend_timer(now, 2);
            let Some(round) = &mut self.round else { return };
            broadcast(signed.payload.clone(), out);
            let me = signed.message.validator;
            put(&mut round.preparations, Some(signed), me);
        }
        self.check_preparations(now, out);
    }

    /// Commits when enough have accepted; sends the same commit again when it has committed before.
    pub(super) fn check_preparations(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        if !round.is_complete() {
            return;
        }
        if round.preparations.iter().flatten().count() < round.m() || round.watches() {
            self.check_commits(out);
            return;
        }
        let sent = round.me.and_then(|me| at(&round.commits, me)).cloned();
        let signed = sent.or_else(|| {
            let (_, key) = self.identity(&round.tip.validators)?;
            self.sign(Body::Commit(key.sign(&round.sign_data(self.settings.network)?)))
        });
        let (Some(signed), block_time) = (signed, round.tip.block_time) else { return };
        let Some(round) = &mut self.round else { return };
        let me = signed.message.validator;
        put(&mut round.commits, Some(signed.clone()), me);
        out.push(Effect::Save(recovery_log::save(round)));
        broadcast(signed.payload, out);
        self.set_timer(now, block_time);
        self.check_commits(out);
    }

    /// Puts the block together when enough have committed.
    pub(super) fn check_commits(&mut self, out: &mut Vec<Effect>) {
        let Some(round) = self.round.as_mut().filter(|round| !round.block_sent) else { return };
        if let Some(block) = round.block() {
            round.block_sent = true;
            self.block_made = Some(round.index);
            self.timer = None;
            out.push(Effect::Block(Box::new(block)));
        }
    }

    /// Tells everybody what this node knows of the height.
    pub(super) fn send_recovery(&self, out: &mut Vec<Effect>) {
        let recovery = self.round.as_ref().map(recovery);
        if let Some(signed) = recovery.and_then(|recovery| self.sign(Body::Recovery(Box::new(recovery)))) {
            broadcast(signed.payload, out);
        }
    }
}

fn broadcast(payload: Extensible, out: &mut Vec<Effect>) {
    out.push(Effect::Broadcast(Box::new(payload)));
}

/// A transaction of the proposal that another one excludes.
fn conflict(transactions: &BTreeMap<UInt256, Arc<Transaction>>) -> Option<UInt256> {
    transactions.values().find_map(|tx| {
        let excluded = |attribute: &Attribute| matches!(attribute, Attribute::Conflicts(hash) if transactions.contains_key(hash));
        tx.body().attributes.iter().any(excluded).then(|| tx.hash())
    })
}

fn recovery(round: &Round) -> Recovery {
    let change_views = round.last_change_views.iter().flatten().take(round.m()).filter_map(|signed| {
        let Body::ChangeView { timestamp, .. } = signed.message.body else { return None };
        let Message { validator, view, .. } = signed.message;
        Some(CompactChangeView { validator, original_view: view, timestamp, invocation: signed.invocation() })
    });
    let proposal = round.hashes.as_ref().map(|hashes| {
        let (previous, timestamp, nonce) = (round.tip.hash, round.timestamp, round.nonce);
        let proposal = Proposal { version: 0, previous, timestamp, nonce, hashes: hashes.clone() };
        ((round.index, round.primary, round.view), proposal)
    });
    let preparation = if proposal.is_none() { most_accepted(round) } else { None };
    let preparations = round.preparations.iter().flatten().map(|signed| CompactPreparation {
        validator: signed.message.validator,
        invocation: signed.invocation(),
    });
    let commits = round.commits.iter().flatten().filter_map(|signed| {
        let Body::Commit(signature) = signed.message.body else { return None };
        let Message { validator, view, .. } = signed.message;
        Some(CompactCommit { view, validator, signature, invocation: signed.invocation() })
    });
    Recovery {
        change_views: change_views.collect(),
        proposal,
        preparation,
        preparations: preparations.collect(),
        commits: if round.commit_sent() { commits.collect() } else { Vec::new() },
    }
}

/// The proposal that most have accepted; the first of them on a tie.
fn most_accepted(round: &Round) -> Option<UInt256> {
    let accepted = |signed: &Signed| match signed.message.body {
        Body::PrepareResponse(hash) => Some(hash),
        _ => None,
    };
    let all: Vec<_> = round.preparations.iter().flatten().filter_map(accepted).collect();
    let votes = |hash: &UInt256| all.iter().filter(|other| *other == hash).count();
    all.iter().rev().max_by_key(|hash| votes(hash)).copied()
}
