//! Polls that wait for answers. One is finished when no answer that is missing can change its outcome for any block or
//! any shared prefix of competing blocks; finished polls come out oldest first.
//! Mirrors `snow/consensus/snowman/poll/{set,early_term_traversal,graph,prefix}.go`.

use std::collections::{BTreeMap, HashMap};

use avalanche_ids::{
    Id, NodeId,
    bits::{NUM_BITS, first_difference},
};
use avalanche_utils::Bag;

use crate::consensus::Params;

/// Polls by the number of their request.
#[derive(Debug, Default)]
pub struct Polls {
    open: BTreeMap<u32, Poll>,
}

#[derive(Debug)]
struct Poll {
    waiting: Bag<NodeId>,
    votes: Bag<Id>,
    finished: bool,
}

impl Polls {
    /// Polls that have not come out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True without polls.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Opens a poll; false when the number is taken.
    pub fn open(&mut self, request: u32, sample: Bag<NodeId>) -> bool {
        let free = !self.open.contains_key(&request);
        if free {
            self.open.insert(request, Poll { waiting: sample, votes: Bag::new(), finished: false });
        }
        free
    }

    /// Counts a node's answer, or that there is none. Answers the votes of all polls that come out by it, oldest first.
    pub fn answer(
        &mut self,
        request: u32,
        node: NodeId,
        vote: Option<Id>,
        params: &Params,
        parent: impl Fn(Id) -> Option<Id>,
    ) -> Vec<Bag<Id>> {
        let Some(poll) = self.open.get_mut(&request) else { return Vec::new() };
        let count = poll.waiting.count(node);
        poll.waiting.retain(|other| other != node);
        if let Some(vote) = vote {
            poll.votes.add_count(vote, count);
        }
        poll.finished = poll.finished || is_decided(&poll.votes, poll.waiting.len(), params, parent);
        let mut results = Vec::new();
        while let Some(oldest) = self.open.first_entry()
            && oldest.get().finished
        {
            results.push(oldest.remove().votes);
        }
        results
    }
}

/// True when `remaining` more votes cannot change what the poll does to any instance of the decision trees.
fn is_decided(votes: &Bag<Id>, remaining: u32, params: &Params, parent: impl Fn(Id) -> Option<Id>) -> bool {
    if remaining == 0 || votes.len().saturating_add(remaining) < params.alpha_preference {
        return true;
    }
    let settled = |count: u32| {
        let most = count.saturating_add(remaining);
        most < params.alpha_preference
            || (count >= params.alpha_preference && most < params.alpha_confidence)
            || count >= params.alpha_confidence
    };
    let vertices = transitive_votes(votes, parent);
    if vertices.is_empty() || !vertices.values().all(|vertex| settled(vertex.votes)) {
        return false;
    }
    let mut siblings: HashMap<Id, Vec<(Id, u32)>> = HashMap::new();
    for (id, vertex) in &vertices {
        if let Some(parent) = vertex.parent {
            siblings.entry(parent).or_default().push((*id, vertex.votes));
        }
    }
    siblings.values_mut().all(|children| prefixes_settled(children, &settled))
}

struct Vertex {
    votes: u32,
    parent: Option<Id>,
}

/// Votes for blocks and for all their undecided ancestors.
fn transitive_votes(votes: &Bag<Id>, parent: impl Fn(Id) -> Option<Id>) -> HashMap<Id, Vertex> {
    let mut vertices: HashMap<Id, Vertex> = HashMap::new();
    for (id, count) in votes.iter() {
        let mut next = Some(id);
        while let Some(id) = next {
            let vertex = vertices.entry(id).or_insert_with(|| Vertex { votes: 0, parent: parent(id) });
            vertex.votes = vertex.votes.saturating_add(count);
            next = vertex.parent;
        }
    }
    vertices
}

/// Checks the votes for each prefix that two or more of these ids share, except the empty one.
fn prefixes_settled(ids: &mut [(Id, u32)], settled: &impl Fn(u32) -> bool) -> bool {
    let Some(((first, _), others)) = ids.split_first() else { return true };
    let Some(bit) = others.iter().filter_map(|(other, _)| first_difference(0, NUM_BITS, first, other)).min()
    else {
        return true;
    };
    let total = ids.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
    if bit > 0 && !settled(total) {
        return false;
    }
    ids.sort_unstable_by_key(|(id, _)| id.bit(bit));
    let middle = ids.partition_point(|(id, _)| !id.bit(bit));
    let (zeros, ones) = ids.split_at_mut(middle);
    prefixes_settled(zeros, settled) && prefixes_settled(ones, settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: Params = Params {
        k: 5,
        alpha_preference: 3,
        alpha_confidence: 4,
        beta: 1,
        concurrent_repolls: 1,
        optimal_processing: 1,
        max_outstanding_items: 1,
        max_item_processing_time: std::time::Duration::from_secs(1),
    };

    fn node(number: u8) -> NodeId {
        NodeId([number; 20])
    }

    fn polls(numbers: &[u32]) -> Polls {
        let mut polls = Polls::default();
        for number in numbers {
            assert!(polls.open(*number, (0..5).map(node).collect()));
        }
        polls
    }

    fn parent(id: Id) -> Option<Id> {
        // 1 is the last accepted block; 2 and 3 compete above it, 4 builds on 3.
        match id.0[0] {
            2 | 3 => Some(Id([1; 32])),
            4 => Some(Id([3; 32])),
            _ => None,
        }
    }

    fn vote(polls: &mut Polls, request: u32, voter: u8, block: Option<u8>) -> usize {
        polls.answer(request, node(voter), block.map(|byte| Id([byte; 32])), &PARAMS, parent).len()
    }

    #[test]
    fn a_poll_ends_when_confidence_is_reached_for_everything_that_was_voted_for() {
        let mut polls = polls(&[1]);
        for voter in 0..3 {
            assert_eq!(vote(&mut polls, 1, voter, Some(2)), 0);
        }
        assert_eq!(vote(&mut polls, 1, 3, Some(2)), 1);
        assert_eq!(vote(&mut polls, 1, 4, Some(2)), 0, "it is out");
    }

    #[test]
    fn a_poll_ends_when_no_choice_can_win_any_more() {
        let mut polls = polls(&[1]);
        assert_eq!(vote(&mut polls, 1, 0, None), 0);
        assert_eq!(vote(&mut polls, 1, 1, None), 0);
        assert_eq!(vote(&mut polls, 1, 2, None), 1, "two voters cannot make three votes");
    }

    #[test]
    fn votes_count_for_ancestors_so_a_poll_waits_while_one_of_them_could_still_win() {
        let mut polls = polls(&[1]);
        assert_eq!(vote(&mut polls, 1, 0, Some(4)), 0);
        assert_eq!(vote(&mut polls, 1, 1, Some(4)), 0);
        assert_eq!(vote(&mut polls, 1, 2, Some(3)), 0);
        assert_eq!(vote(&mut polls, 1, 3, Some(2)), 0, "block 4 has two votes and could reach preference");
        assert_eq!(vote(&mut polls, 1, 4, Some(3)), 1);
    }

    #[test]
    fn a_second_answer_of_a_node_does_not_count_and_finished_polls_wait_for_older_ones() {
        let mut polls = polls(&[1, 2]);
        for _ in 0..9 {
            assert_eq!(vote(&mut polls, 2, 0, Some(2)), 0);
        }
        for voter in 1..4 {
            assert_eq!(vote(&mut polls, 2, voter, Some(2)), 0);
        }
        assert_eq!(polls.len(), 2, "the second waits for the first");
        for voter in 0..3 {
            assert_eq!(vote(&mut polls, 1, voter, Some(2)), 0);
        }
        assert_eq!(vote(&mut polls, 1, 3, Some(2)), 2);
    }
}
