//! When each network upgrade activates, by network. Mirrors `upgrade/upgrade.go`. Times are Unix seconds.

/// A time beyond all plans: 9999-12-01 00:00 UTC.
pub const UNSCHEDULED: i64 = 253_399_622_400;
/// When everything is active on networks other than mainnet and fuji: 2020-12-05 05:00 UTC.
pub const INITIALLY_ACTIVE: i64 = 1_607_144_400;

/// The upgrades, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the names are those of the network
pub enum Fork {
    ApricotPhase1,
    ApricotPhase2,
    ApricotPhase3,
    ApricotPhase4,
    ApricotPhase5,
    ApricotPhasePre6,
    ApricotPhase6,
    ApricotPhasePost6,
    Banff,
    Cortina,
    Durango,
    Etna,
    Fortuna,
    Granite,
    Helicon,
}

impl Fork {
    const fn place(self) -> usize {
        match self {
            Self::ApricotPhase1 => 0,
            Self::ApricotPhase2 => 1,
            Self::ApricotPhase3 => 2,
            Self::ApricotPhase4 => 3,
            Self::ApricotPhase5 => 4,
            Self::ApricotPhasePre6 => 5,
            Self::ApricotPhase6 => 6,
            Self::ApricotPhasePost6 => 7,
            Self::Banff => 8,
            Self::Cortina => 9,
            Self::Durango => 10,
            Self::Etna => 11,
            Self::Fortuna => 12,
            Self::Granite => 13,
            Self::Helicon => 14,
        }
    }
}

/// The upgrades of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upgrades {
    /// Lowest P-chain height that a wrapped block may state (Apricot phase 4).
    pub apricot_phase_4_min_p_chain_height: u64,
    /// Length of an epoch since Granite, in seconds.
    pub granite_epoch_duration: i64,
    times: [i64; 15],
}

impl Upgrades {
    /// Of the network with this id.
    #[must_use]
    pub const fn of_network(network_id: u32) -> Self {
        match network_id {
            1 => Self {
                apricot_phase_4_min_p_chain_height: 793_005,
                granite_epoch_duration: 300,
                times: [
                    1_617_199_200, // 2021-03-31 14:00
                    1_620_644_400, // 2021-05-10 11:00
                    1_629_813_600, // 2021-08-24 14:00
                    1_632_344_400, // 2021-09-22 21:00
                    1_638_468_000, // 2021-12-02 18:00
                    1_662_341_400, // 2022-09-05 01:30
                    1_662_494_400, // 2022-09-06 20:00
                    1_662_519_600, // 2022-09-07 03:00
                    1_666_108_800, // 2022-10-18 16:00
                    1_682_434_800, // 2023-04-25 15:00
                    1_709_740_800, // 2024-03-06 16:00
                    1_734_368_400, // 2024-12-16 17:00
                    1_744_124_400, // 2025-04-08 15:00
                    1_763_568_000, // 2025-11-19 16:00
                    UNSCHEDULED,
                ],
            },
            5 => Self {
                apricot_phase_4_min_p_chain_height: 47_437,
                granite_epoch_duration: 300,
                times: [
                    1_616_767_200, // 2021-03-26 14:00
                    1_620_223_200, // 2021-05-05 14:00
                    1_629_140_400, // 2021-08-16 19:00
                    1_631_826_000, // 2021-09-16 21:00
                    1_637_766_000, // 2021-11-24 15:00
                    1_662_494_400, // 2022-09-06 20:00
                    1_662_494_400, // 2022-09-06 20:00
                    1_662_530_400, // 2022-09-07 06:00
                    1_664_805_600, // 2022-10-03 14:00
                    1_680_793_200, // 2023-04-06 15:00
                    1_707_840_000, // 2024-02-13 16:00
                    1_732_550_400, // 2024-11-25 16:00
                    1_741_878_000, // 2025-03-13 15:00
                    1_761_750_000, // 2025-10-29 15:00
                    UNSCHEDULED,
                ],
            },
            _ => {
                let mut times = [INITIALLY_ACTIVE; 15];
                times[14] = UNSCHEDULED;
                Self { apricot_phase_4_min_p_chain_height: 0, granite_epoch_duration: 30, times }
            }
        }
    }

    /// When an upgrade activates.
    #[must_use]
    pub const fn time(&self, fork: Fork) -> i64 {
        self.times[fork.place()]
    }

    /// The same with another time of one upgrade.
    #[must_use]
    pub const fn with(mut self, fork: Fork, time: i64) -> Self {
        self.times[fork.place()] = time;
        self
    }

    /// True from an upgrade's time on.
    #[must_use]
    pub const fn is_active(&self, fork: Fork, time: i64) -> bool {
        time >= self.time(fork)
    }
}
