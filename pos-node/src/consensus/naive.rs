//! The head of the chain computed the slow, obvious way, for comparison with the fast one.

use super::{
    fork_choice::{Balances, ForkChoice, Vote},
    tree::Node,
};
use crate::types::primitives::{Root, ValidatorIndex};

/// A naive reading of the head of a fork choice's inputs.
pub(super) struct Naive<'a> {
    choice: &'a ForkChoice,
    balances: &'a Balances,
    votes: Vec<(ValidatorIndex, Vote)>,
}

impl<'a> Naive<'a> {
    pub(super) fn new(choice: &'a ForkChoice, balances: &'a Balances) -> Self {
        let votes = choice.votes().map(|(index, vote)| (index, *vote)).collect();
        Self { choice, balances, votes }
    }

    fn node(&self, root: &Root) -> &'a Node {
        self.choice.tree().iter().find(|node| node.block.root == *root).expect("known block")
    }

    fn ancestor_at(&self, root: &Root, slot: u64) -> Root {
        let node = self.node(root);
        if node.block.slot <= slot { *root } else { self.ancestor_at(&node.block.parent_root, slot) }
    }

    fn supports(&self, root: &Root, ancestor: &Root) -> bool {
        self.ancestor_at(root, self.node(ancestor).block.slot) == *ancestor
    }

    fn children(&self, root: &Root) -> Vec<Root> {
        let nodes = self.choice.tree().iter().filter(|node| node.block.parent_root == *root);
        nodes.map(|node| node.block.root).collect()
    }

    fn is_viable(&self, root: &Root) -> bool {
        if self.children(root).iter().any(|child| self.is_viable(child)) {
            return true;
        }
        let (justified, finalized) = (self.choice.justified(), self.choice.finalized());
        let source = self.choice.voting_source(root).expect("known block").epoch;
        let final_slot = self.choice.params().start_slot(finalized.epoch);
        let right_source =
            justified.epoch == 0 || source == justified.epoch || source + 2 >= self.choice.current_epoch();
        right_source && (finalized.epoch == 0 || self.ancestor_at(root, final_slot) == finalized.root)
    }

    pub(super) fn weight(&self, root: &Root) -> u64 {
        let votes = self.votes.iter().filter(|(_, vote)| self.supports(&vote.root, root));
        let sum: u64 = votes.map(|(index, _)| self.balances.vote_weight(*index)).sum();
        let boost = self.choice.boost();
        if boost != Root::ZERO && self.supports(&boost, root) {
            sum + self
                .balances
                .committee_fraction(self.choice.params(), self.choice.params().proposer_score_boost)
        } else {
            sum
        }
    }

    pub(super) fn head(&self) -> Root {
        let mut head = self.choice.justified().root;
        loop {
            let viable = self.children(&head).into_iter().filter(|child| self.is_viable(child));
            match viable.max_by_key(|child| (self.weight(child), *child)) {
                Some(child) => head = child,
                None => return head,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::{fork_choice::CheckpointStates, tree::Block},
        types::{
            operation::{AttestationData, Checkpoint},
            params::Params,
            ssz::sha256,
        },
    };
    use proptest::prelude::*;
    use std::{collections::BTreeSet, sync::Arc};

    struct Same(Arc<Balances>);

    impl CheckpointStates for Same {
        fn balances(&self, _: &Checkpoint) -> Option<Arc<Balances>> {
            Some(Arc::clone(&self.0))
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Tick(u64),
        Block { parent: usize, ahead: u64, justified: u64, unrealized: u64, salt: u8 },
        Vote { block: usize, voter: u64, lag: u64 },
        Equivocation(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (1u64..20_000).prop_map(Event::Tick),
            4 => (0usize..6, 1u64..12, 0u64..3, 0u64..3, any::<u8>()).prop_map(
                |(parent, ahead, justified, unrealized, salt)| {
                    Event::Block { parent, ahead, justified, unrealized, salt }
                }
            ),
            8 => (0usize..6, 0u64..24, 0u64..10).prop_map(|(block, voter, lag)| {
                Event::Vote { block, voter, lag }
            }),
            1 => (0u64..24).prop_map(Event::Equivocation),
        ]
    }

    /// One of the youngest blocks.
    fn recent(choice: &ForkChoice, back: usize) -> Block {
        let len = choice.tree().len();
        *choice.tree().at(len - 1 - back % len).expect("in range").block
    }

    /// A checkpoint of the chain of `from`, `back` epochs before `epoch`.
    fn checkpoint_back(choice: &ForkChoice, from: &Root, epoch: u64, back: u64) -> Checkpoint {
        let epoch = epoch.saturating_sub(back);
        let start = choice.params().start_slot(epoch);
        let root = choice.tree().ancestor_root(from, start).unwrap_or(*from);
        Checkpoint { epoch, root }
    }

    fn apply(event: &Event, choice: &mut ForkChoice, states: &Same, now: &mut u64) {
        match *event {
            Event::Tick(ms) => {
                *now += ms;
                choice.on_tick(*now);
            }
            Event::Block { parent, ahead, justified, unrealized, salt } => {
                let parent = recent(choice, parent);
                let slot = (parent.slot + ahead).min(choice.current_slot());
                let epoch = choice.params().epoch_of(slot);
                let unrealized = checkpoint_back(choice, &parent.root, epoch, unrealized);
                let realized = checkpoint_back(choice, &parent.root, epoch, justified + 1);
                let older =
                    |checkpoint: Checkpoint| checkpoint_back(choice, &parent.root, checkpoint.epoch, 1);
                let block = Block {
                    root: Root(sha256(&[&parent.root.0[..], &[salt], &slot.to_le_bytes()].concat())),
                    parent_root: parent.root,
                    slot,
                    proposer_index: salt.into(),
                    justified: realized,
                    finalized: older(realized),
                    unrealized_justified: unrealized,
                    unrealized_finalized: older(unrealized),
                };
                let before = choice.tree().len();
                let result = choice.on_block(block, states);
                assert!(result.is_ok() || choice.tree().len() == before, "a refused block was added");
            }
            Event::Vote { block, voter, lag } => {
                let block = recent(choice, block);
                let slot = choice.current_slot().saturating_sub(lag);
                let epoch = choice.params().epoch_of(slot);
                let data = AttestationData {
                    slot,
                    beacon_block_root: block.root,
                    target: checkpoint_back(choice, &block.root, epoch, 0),
                    ..AttestationData::default()
                };
                let _ = choice.on_attestation(&data, &[voter], false); // refused votes are part of the game
            }
            Event::Equivocation(index) => choice.on_equivocation([index]),
        }
    }

    /// The votes of a block justify a checkpoint, and a block on it, of the same epoch, holds evidence against some of those
    /// who voted: their votes count no more, so that branch does not justify it. Then nothing but the first block leads to
    /// what is justified; were it passed over for its child, no block could ever be head again.
    #[test]
    fn a_block_stays_viable_when_its_child_takes_back_what_it_justified() {
        let params = Arc::new(Params::minimal());
        let (slots, slot_ms) = (params.slots_per_epoch, params.slot_ms);
        let balances = Balances { active: vec![1; 4], slashed: BTreeSet::new(), total_active: 4 };
        let states = Same(Arc::new(balances.clone()));
        let genesis = Checkpoint { epoch: 0, root: Root([1; 32]) };
        let mut choice = ForkChoice::new(params, 0, genesis.root, Root::ZERO, 0);
        let add = |choice: &mut ForkChoice, mark: u8, parent: u8, slot, justified, unrealized| {
            choice.on_tick(slot * slot_ms);
            let block = Block {
                root: Root([mark; 32]),
                parent_root: Root([parent; 32]),
                slot,
                proposer_index: 0,
                justified,
                finalized: genesis,
                unrealized_justified: unrealized,
                unrealized_finalized: genesis,
            };
            choice.on_block(block, &states).expect("a good block");
        };
        let second = Checkpoint { epoch: 2, root: Root([2; 32]) };
        add(&mut choice, 2, 1, 2 * slots, genesis, genesis);
        add(&mut choice, 3, 2, 3 * slots - 2, genesis, second);
        add(&mut choice, 4, 3, 3 * slots - 1, genesis, genesis);
        let at = |epoch: u64, choice: &mut ForkChoice| {
            choice.on_tick(epoch * slots * slot_ms);
            let head = choice.head(&states).expect("balances");
            assert_eq!(head, Naive::new(choice, &balances).head());
            head
        };
        assert_eq!(at(2, &mut choice), Root([4; 32]), "nothing is justified before the epoch ends");
        for epoch in 3..9 {
            assert_eq!(at(epoch, &mut choice), Root([3; 32]));
            assert_eq!(choice.justified(), second);
        }
        // the epoch of the first block has ended in whatever is built on it now
        add(&mut choice, 5, 3, 9 * slots, second, second);
        assert_eq!(choice.head(&states), Ok(Root([5; 32])));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_fast_head_and_weights_equal_the_naive_ones(
            events in proptest::collection::vec(event(), 1..240),
            stake in proptest::collection::vec(1u64..5, 24),
            prune in any::<bool>(),
        ) {
            let active: Vec<u64> = stake.iter().map(|units| units * 1_000_000_000).collect();
            let total_active = active.iter().sum();
            let balances = Balances { active, slashed: [3].into(), total_active };
            let states = Same(Arc::new(balances.clone()));
            let params = Arc::new(Params::minimal());
            let mut choice = ForkChoice::new(params, 0, Root([1; 32]), Root::ZERO, 0);
            let mut now = 0;
            for event in &events {
                apply(event, &mut choice, &states, &mut now);
                let head = choice.head(&states).expect("balances");
                let naive = Naive::new(&choice, &balances);
                prop_assert_eq!(head, naive.head());
                for node in choice.tree().iter() {
                    prop_assert_eq!(node.weight, naive.weight(&node.block.root));
                }
            }
            if prune {
                let before = choice.head(&states);
                choice.prune();
                prop_assert_eq!(choice.head(&states), before);
            }
        }
    }
}
