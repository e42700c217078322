//! Epochs: spans of time that share one P-chain height (ACP-181). Mirrors `vms/proposervm/acp181`.

use avalanche_codec::wire_struct;

/// An epoch; all zero before Granite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epoch {
    /// The P-chain height that validators are looked up at.
    pub p_chain_height: u64,
    /// Counts from one.
    pub number: u64,
    /// Unix time in seconds.
    pub start_time: i64,
}
wire_struct!(Epoch { p_chain_height, number, start_time });

impl Epoch {
    /// The epoch of a child after Granite, from what its parent states. `duration` is in seconds; the number saturates.
    #[must_use]
    pub fn of_child(self, parent_p_chain_height: u64, parent_time: i64, duration: i64) -> Self {
        let first = self == Self::default();
        if !first && parent_time < self.start_time.saturating_add(duration) {
            return self;
        }
        let number = if first { 1 } else { self.number.saturating_add(1) };
        Self { p_chain_height: parent_p_chain_height, number, start_time: parent_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_with_the_first_parent_at_or_after_its_end() {
        let first = Epoch::default().of_child(7, 100, 30);
        assert_eq!(first, Epoch { p_chain_height: 7, number: 1, start_time: 100 });
        assert_eq!(first.of_child(8, 129, 30), first);
        assert_eq!(first.of_child(8, 130, 30), Epoch { p_chain_height: 8, number: 2, start_time: 130 });
    }
}
