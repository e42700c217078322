//! Hardforks and the heights from which they are active. Mirrors `Hardfork.cs` and `ProtocolSettings.cs`.

/// A change of rules at a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hardfork {
    /// Account prices, random numbers, flags of deployment.
    Aspidochelone,
    /// Strict scripts, notifications checked against manifests.
    Basilisk,
    /// Native contracts that change, Keccak-256.
    Cockatrice,
    /// Permissions of the executing contract.
    Domovoi,
    /// Notary, stored block time.
    Echidna,
    /// Fee factor with decimals, Treasury, whitelisted fees.
    Faun,
    /// Shifts and indexes of the virtual machine, strict signatures.
    Gorgon,
}

impl Hardfork {
    /// All of them in order.
    pub const ALL: [Self; 7] = [
        Self::Aspidochelone,
        Self::Basilisk,
        Self::Cockatrice,
        Self::Domovoi,
        Self::Echidna,
        Self::Faun,
        Self::Gorgon,
    ];

    /// Name as in configurations and answers of nodes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aspidochelone => "Aspidochelone",
            Self::Basilisk => "Basilisk",
            Self::Cockatrice => "Cockatrice",
            Self::Domovoi => "Domovoi",
            Self::Echidna => "Echidna",
            Self::Faun => "Faun",
            Self::Gorgon => "Gorgon",
        }
    }

    fn position(self) -> usize {
        Self::ALL.iter().position(|fork| *fork == self).unwrap_or_default()
    }
}

/// Why a configuration of heights is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HardforkError {
    /// A fork between two configured ones is missing.
    #[error("no height for {0:?}, which lies between configured hardforks")]
    Gap(Hardfork),
    /// A fork comes before the one it follows.
    #[error("{0:?} is lower than the hardfork before it")]
    Order(Hardfork),
}

/// Heights of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardforks([Option<u32>; 7]);

/// All forks from block 0.
impl Default for Hardforks {
    fn default() -> Self {
        Self([Some(0); 7])
    }
}

impl Hardforks {
    /// The heights of a configuration. Forks before the first configured one are active from block 0, forks after
    /// the last never; without any configured fork all are active from block 0.
    ///
    /// # Errors
    /// A gap, or heights that go down.
    pub fn new(configured: &[(Hardfork, u32)]) -> Result<Self, HardforkError> {
        let mut heights = [None; 7];
        for (fork, height) in configured {
            if let Some(slot) = heights.get_mut(fork.position()) {
                *slot = Some(*height);
            }
        }
        let Some(first) = heights.iter().position(Option::is_some) else { return Ok(Self([Some(0); 7])) };
        let mut last: Option<u32> = None;
        let mut missing = None;
        for (index, fork) in Hardfork::ALL.into_iter().enumerate() {
            let Some(slot) = heights.get_mut(index) else { continue };
            if index < first {
                *slot = Some(0);
            }
            match *slot {
                None => missing = missing.or(Some(fork)),
                Some(_) if missing.is_some() => return Err(HardforkError::Gap(missing.unwrap_or(fork))),
                Some(height) if last.is_some_and(|last| height < last) => {
                    return Err(HardforkError::Order(fork));
                }
                height => last = height,
            }
        }
        Ok(Self(heights))
    }

    /// The height from which a fork is active; `None`: never.
    #[must_use]
    pub fn height(&self, fork: Hardfork) -> Option<u32> {
        self.0.get(fork.position()).copied().flatten()
    }

    /// The configured forks and their heights, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Hardfork, u32)> + '_ {
        Hardfork::ALL.into_iter().filter_map(|fork| Some((fork, self.height(fork)?)))
    }

    /// True when the fork is active in the block of this height.
    #[must_use]
    pub fn is_active(&self, fork: Hardfork, height: u32) -> bool {
        self.height(fork).is_some_and(|from| from <= height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Hardfork::{Aspidochelone, Basilisk, Cockatrice, Echidna, Gorgon};

    #[test]
    fn forks_before_the_first_are_active_and_after_the_last_are_not() {
        let forks = Hardforks::new(&[(Basilisk, 10), (Cockatrice, 20)]).expect("valid");
        assert!(forks.is_active(Aspidochelone, 0));
        assert!(!forks.is_active(Basilisk, 9) && forks.is_active(Basilisk, 10));
        assert!(!forks.is_active(Echidna, u32::MAX));
        assert!(Hardforks::new(&[]).expect("valid").is_active(Gorgon, 0));
    }

    #[test]
    fn gaps_and_falling_heights_are_refused() {
        let gap = Hardforks::new(&[(Aspidochelone, 1), (Cockatrice, 2)]);
        assert_eq!(gap, Err(HardforkError::Gap(Basilisk)));
        let falling = Hardforks::new(&[(Aspidochelone, 5), (Basilisk, 4)]);
        assert_eq!(falling, Err(HardforkError::Order(Basilisk)));
    }
}
