//! The fork monitor: proofs of work that were seen of blocks that are not on our chain, and whether they commit to it.
//! They come from blocks that peers push, and from whoever watches Bitcoin and hands in the tags of its coinbases.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Time,
    http::Access,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use super::{Blocks, Context, params, quantity};
use crate::{
    codec::hash_for_merged_mining,
    params::{FORK_DETECTION_WINDOW, Params as Network},
    types::{BlockNumber, ForkDetectionData, Hash32},
    verify::{
        fork_detection::Mark,
        fork_monitor::{Comparison, compare, number_of},
    },
};

/// What a coinbase marks a merged-mined block with, before 32 bytes.
const TAG: &[u8] = b"RSKBLOCK:";
/// Bytes of a merged-mining hash that stand for the block; fork-detection data follows.
const PREFIX: usize = 20;
/// A sighting is an alarm for so long.
const ALARM: std::time::Duration = std::time::Duration::from_secs(6 * 3600);
const KEPT: usize = 32;

const MARK: ParamDoc =
    ParamDoc { name: "tag", help: "The 32 bytes after RSKBLOCK: in a Bitcoin coinbase", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    let spec = Spec {
        name: "rustock_checkMergedMiningTag",
        help: "Whether a Bitcoin block was mined on our chain; what it shows goes to the fork monitor",
        params: &[MARK],
        access: Access::Full,
    };
    methods.add_blocking(spec, check);
}

/// A proof of work of a block that we do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When it was seen.
    pub time: Time,
    /// The hash for merged mining.
    pub tag: Hash32,
    /// What it says of our chain.
    pub found: Comparison,
}

/// What was seen lately.
#[derive(Debug, Default)]
pub struct ForkMonitor(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    compared: u64,
    departed: VecDeque<Sighting>,
}

impl ForkMonitor {
    /// Takes note of a proof of work; true when it is one of a long branch that nobody shows us.
    pub fn see(&self, time: Time, tag: Hash32, found: Comparison) -> bool {
        let mut seen = self.0.lock();
        seen.compared = seen.compared.saturating_add(u64::from(found != Comparison::Unknown));
        if found.length() == 0 || seen.departed.iter().any(|sighting| sighting.tag == tag) {
            return false;
        }
        if seen.departed.len() >= KEPT {
            seen.departed.pop_front();
        }
        seen.departed.push_back(Sighting { time, tag, found });
        found.is_alarming()
    }

    /// Proofs of work that were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.0.lock().compared
    }

    /// Sightings of other branches, oldest first.
    #[must_use]
    pub fn departed(&self) -> Vec<Sighting> {
        self.0.lock().departed.iter().copied().collect()
    }

    /// The longest hidden branch of the last hours.
    #[must_use]
    pub fn alarm(&self, now: Time) -> Option<Sighting> {
        let seen = self.0.lock();
        let alarming = seen.departed.iter().filter(|sighting| sighting.found.is_alarming());
        alarming
            .filter(|sighting| now.since(sighting.time) < ALARM)
            .max_by_key(|sighting| sighting.found.length())
            .copied()
    }
}

/// Compares a hash for merged mining with our chain; `None` when it is the one of our block at that height.
#[must_use]
pub fn compare_tag(network: &Network, blocks: &dyn Blocks, tag: &Hash32) -> Option<Comparison> {
    let (own, data) = tag.0.split_at(PREFIX);
    let data = ForkDetectionData::try_from(data).unwrap_or_default();
    let ours = blocks.by_number(number_of(&data));
    let ours = ours.and_then(|block| hash_for_merged_mining(network, &block.header));
    if ours.is_some_and(|hash| hash.0.starts_with(own)) {
        return None;
    }
    let byte =
        |number: BlockNumber| blocks.by_number(number).map(|block| Mark::of(&block.header).bitcoin_hash_byte);
    Some(compare(&data, byte))
}

fn check(ctx: &Context, given: &Params) -> Result<Value, Error> {
    params::count(given, 1..=1)?;
    let bytes = params::prefixed_bytes(given, 0)?;
    let bytes = bytes.strip_prefix(TAG).unwrap_or(&bytes);
    let tag = bytes.try_into().map(Hash32).map_err(|_| Error::invalid_params("a tag has 32 bytes"))?;
    let data = tag.0.last_chunk::<12>().copied().unwrap_or_default();
    if number_of(&data).0 < FORK_DETECTION_WINDOW {
        return Err(Error::invalid_params("the tag's height is below those that have fork-detection data"));
    }
    let number = quantity(number_of(&data).0);
    let Some(found) = compare_tag(&ctx.network, &*ctx.blocks, &tag) else {
        return Ok(json!({ "number": number, "verdict": "known" }));
    };
    let alarming = ctx.forks.see(ctx.clock.now(), tag, found);
    Ok(match found {
        Comparison::Agrees => json!({ "number": number, "verdict": "agrees" }),
        Comparison::Unknown => json!({ "number": number, "verdict": "unknown" }),
        Comparison::Departs { at, .. } => json!({
            "number": number, "verdict": "departs", "atOrBelow": quantity(at.0),
            "length": quantity(found.length()), "alarming": alarming,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_hidden_branch_is_an_alarm_for_some_hours_and_counted_once() {
        let monitor = ForkMonitor::default();
        let departs = |number: u64| Comparison::Departs { number: BlockNumber(number), at: BlockNumber(640) };
        let at = |hours: u64| Time::from_millis(hours * 3_600_000);
        assert!(!monitor.see(at(0), Hash32([0; 32]), Comparison::Agrees));
        assert!(!monitor.see(at(0), Hash32([1; 32]), departs(645)), "short branches are natural");
        assert_eq!(monitor.alarm(at(0)), None);
        assert!(monitor.see(at(1), Hash32([2; 32]), departs(800)));
        assert!(!monitor.see(at(2), Hash32([2; 32]), departs(800)), "the same again");
        assert_eq!(monitor.alarm(at(2)).map(|seen| seen.found.length()), Some(161));
        assert_eq!(monitor.alarm(at(8)), None);
        assert_eq!((monitor.compared(), monitor.departed().len()), (4, 2));
    }
}
