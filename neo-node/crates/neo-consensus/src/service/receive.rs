//! What messages and transactions change. Mirrors `ConsensusService.OnMessage.cs`.

use std::sync::Arc;

use neo_base::ledger::{Extensible, Transaction};
use shared_vendor::clock::Time;

use super::{Effect, MAX_KNOWN, MAX_REJECTED, Note, Service};
use crate::{
    message::{Body, ChangeReason, Message, Proposal, Recovery},
    round::{Signed, at, put},
};

/// How far ahead of our clock a block may be, in block times.
const MAX_AHEAD: u32 = 8;

impl Service {
    /// A payload from the network or rebuilt from a recovery.
    pub(super) fn on_payload(&mut self, now: Time, payload: Extensible, out: &mut Vec<Effect>) {
        let Some(round) = self.round.as_ref().filter(|round| !round.block_sent) else { return };
        let Some(signed) = Signed::read(payload) else { return };
        let Message { height, validator, .. } = signed.message;
        if height != round.index {
            if height > round.index {
                out.push(Effect::Note(Note::Behind { height }));
            }
            return;
        }
        if usize::from(signed.message.largest_validator()) >= round.n() {
            return;
        }
        if !round.is_signed(&signed, self.settings.network) {
            return;
        }
        if let (Some(seen), Some(key)) =
            (&mut self.last_seen, round.tip.validators.get(usize::from(validator)))
        {
            seen.insert(*key, height);
        }
        match signed.message.body.clone() {
            Body::PrepareRequest(proposal) => self.on_proposal(now, signed, proposal, out),
            Body::PrepareResponse(_) => self.on_response(now, signed, out),
            Body::ChangeView { .. } => self.on_change(now, signed, out),
            Body::Commit(_) => self.on_commit(now, signed, out),
            Body::RecoveryRequest { .. } => self.on_recovery_request(&signed, out),
            Body::Recovery(recovery) => {
                self.recovering = true;
                self.on_recovery(now, &signed.message, *recovery, out);
                self.recovering = false;
            }
        }
    }

    fn on_proposal(&mut self, now: Time, signed: Signed, proposal: Proposal, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        let Message { validator, view, .. } = signed.message;
        let expected = validator == round.primary
            && view == round.view
            && proposal.version == 0
            && proposal.previous == round.tip.hash
            && proposal.hashes.len() <= round.tip.max_transactions;
        if round.has_request() || !expected || self.refuses_messages() {
            return;
        }
        let ahead = round.tip.block_time.saturating_mul(MAX_AHEAD).as_millis();
        let latest = self.wall(now).saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX));
        if proposal.timestamp <= round.tip.timestamp || proposal.timestamp > latest {
            let reason = "the timestamp of the proposal is out of range";
            out.push(Effect::Note(Note::Refused { height: round.index, validator, reason }));
            return;
        }
        self.extend_timer(now, 2);
        let network = self.settings.network;
        let Some(round) = &mut self.round else { return };
        self.request_received = Some((round.index, now));
        round.forget_proposal();
        (round.timestamp, round.nonce) = (proposal.timestamp, proposal.nonce);
        for place in &mut round.preparations {
            let accepts = |other: &Signed| matches!(other.message.body, Body::PrepareResponse(hash) if hash == signed.hash);
            *place = place.take().filter(accepts);
        }
        put(&mut round.preparations, Some(signed), validator);
        round.hashes = Some(proposal.hashes.clone());
        // Commits that came before the proposal can be checked now.
        if let Some(data) = round.sign_data(network) {
            let bad: Vec<usize> = round
                .commits_here()
                .filter(|(place, signature)| {
                    !round.tip.validators.get(*place).is_some_and(|key| key.verify(&data, signature))
                })
                .map(|(place, _)| place)
                .collect();
            for place in bad {
                if let Some(commit) = round.commits.get_mut(place) {
                    *commit = None;
                }
            }
        }
        if proposal.hashes.is_empty() {
            self.check_transactions(now, out);
        } else {
            out.push(Effect::Fetch(proposal.hashes));
        }
    }

    pub(super) fn on_transactions(
        &mut self,
        now: Time,
        transactions: Vec<Arc<Transaction>>,
        out: &mut Vec<Effect>,
    ) {
        let refuses = self.refuses_messages();
        let Some(round) = &mut self.round else { return };
        if round.block_sent || refuses {
            return;
        }
        let before = round.transactions.len();
        for tx in transactions {
            if round.hashes.iter().flatten().any(|hash| *hash == tx.hash()) {
                round.transactions.insert(tx.hash(), tx);
            }
        }
        if round.transactions.len() > before {
            self.check_transactions(now, out);
        }
    }

    fn on_response(&mut self, now: Time, signed: Signed, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        let Message { validator, view, .. } = signed.message;
        let Body::PrepareResponse(hash) = signed.message.body else { return };
        let taken = at(&round.preparations, validator).is_some();
        // The proposal itself stands for the acceptance of the primary.
        if view != round.view || taken || validator == round.primary || self.refuses_messages() {
            return;
        }
        if at(&round.preparations, round.primary).is_some_and(|request| request.hash != hash) {
            return;
        }
        self.extend_timer(now, 2);
        let Some(round) = &mut self.round else { return };
        put(&mut round.preparations, Some(signed), validator);
        if !round.watches() && !round.commit_sent() && round.has_request() {
            self.check_preparations(now, out);
        }
    }

    fn on_change(&mut self, now: Time, signed: Signed, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        let (validator, wanted) = (signed.message.validator, signed.new_view());
        if wanted <= round.view {
            self.on_recovery_request(&signed, out);
        }
        let Some(round) = &mut self.round else { return };
        let before = at(&round.change_views, validator).map_or(0, Signed::new_view);
        if round.commit_sent() || wanted <= before {
            return;
        }
        if let Body::ChangeView { reason, rejected: Some(hashes), .. } = &signed.message.body
            && reason.names_transactions()
            && let Some(key) = round.tip.validators.get(usize::from(validator))
        {
            for hash in hashes {
                if self.rejected.len() < MAX_REJECTED || self.rejected.contains_key(hash) {
                    self.rejected.entry(*hash).or_default().insert(*key);
                }
            }
        }
        put(&mut round.change_views, Some(signed), validator);
        self.check_view(now, wanted, out);
    }

    fn on_commit(&mut self, now: Time, signed: Signed, out: &mut Vec<Effect>) {
        let Some(round) = &self.round else { return };
        let Message { validator, view, .. } = signed.message;
        let Body::Commit(signature) = signed.message.body else { return };
        if let Some(before) = at(&round.commits, validator) {
            if before.hash != signed.hash {
                let reason = "a second commit for the same height";
                out.push(Effect::Note(Note::Refused { height: round.index, validator, reason }));
            }
            return;
        }
        let here = view == round.view;
        if here {
            self.extend_timer(now, 4);
        }
        let network = self.settings.network;
        let Some(round) = &mut self.round else { return };
        let data = if here { round.sign_data(network) } else { None };
        let key = round.tip.validators.get(usize::from(validator));
        if let (Some(data), Some(key)) = (&data, key)
            && !key.verify(data, &signature)
        {
            let reason = "a commit that does not sign the block";
            out.push(Effect::Note(Note::Refused { height: round.index, validator, reason }));
            return;
        }
        put(&mut round.commits, Some(signed), validator);
        if data.is_some() {
            self.check_commits(out);
        }
    }

    /// Answers once to each request: those who follow the asker, and everybody who has committed.
    fn on_recovery_request(&mut self, signed: &Signed, out: &mut Vec<Effect>) {
        if self.known.len() >= MAX_KNOWN || !self.known.insert(signed.hash) {
            return;
        }
        let Some(round) = &self.round else { return };
        let Some(me) = round.me else { return };
        let n = round.n().max(1);
        let distance =
            usize::from(me).saturating_add(n).saturating_sub(usize::from(signed.message.validator)) % n;
        let chosen = (1..=round.f().saturating_add(1)).contains(&distance);
        if round.commit_sent() || chosen {
            self.send_recovery(out);
        }
    }

    fn on_recovery(&mut self, now: Time, outer: &Message, recovery: Recovery, out: &mut Vec<Effect>) {
        let Message { height, view, .. } = *outer;
        let rebuild = |service: &Self, validator, view, body, invocation| {
            let message = Message { height, validator, view, body };
            service.round.as_ref().and_then(|round| round.payload(&message, invocation))
        };
        let present = self.round.as_ref().map_or(0, |round| round.view);
        if view > present {
            if self.round.as_ref().is_some_and(|round| round.commit_sent()) {
                return;
            }
            for item in recovery.change_views {
                let body = Body::ChangeView {
                    timestamp: item.timestamp,
                    reason: ChangeReason::Timeout,
                    rejected: None,
                };
                let payload = rebuild(self, item.validator, item.original_view, body, item.invocation);
                self.on_rebuilt(now, payload, out);
            }
        }
        let (same, has_request, primary, open) =
            self.round.as_ref().map_or((false, true, 0, false), |round| {
                (round.view == view, round.has_request(), round.primary, !round.commit_sent())
            });
        if same && open && !self.refuses_messages() {
            if !has_request
                && let Some(((_, validator, proposed_in), proposal)) = recovery.proposal
                && let Some(item) = recovery.preparations.iter().find(|item| item.validator == primary)
            {
                let body = Body::PrepareRequest(proposal);
                let payload = rebuild(self, validator, proposed_in, body, item.invocation.clone());
                self.on_rebuilt(now, payload, out);
            }
            let known = self
                .round
                .as_ref()
                .and_then(|round| at(&round.preparations, primary))
                .map(|signed| signed.hash);
            if let Some(hash) = recovery.preparation.or(known) {
                for item in recovery.preparations.into_iter().filter(|item| item.validator != primary) {
                    let body = Body::PrepareResponse(hash);
                    let payload = rebuild(self, item.validator, view, body, item.invocation);
                    self.on_rebuilt(now, payload, out);
                }
            }
        }
        if self.round.as_ref().is_some_and(|round| view <= round.view) {
            for item in recovery.commits {
                let payload =
                    rebuild(self, item.validator, item.view, Body::Commit(item.signature), item.invocation);
                self.on_rebuilt(now, payload, out);
            }
        }
    }

    /// A rebuilt payload is judged like one from the network; recoveries inside recoveries cannot be built.
    fn on_rebuilt(&mut self, now: Time, payload: Option<Extensible>, out: &mut Vec<Effect>) {
        if let Some(payload) = payload {
            self.on_payload(now, payload, out);
        }
    }
}
