//! Parameters of consensus and their constraints. Mirrors `snow/consensus/snowball/parameters.go`.

use std::time::Duration;

/// Which decision rule the instances of a tree follow. The network runs [`Flavor::Snowflake`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// Prefers the choice of the last successful poll.
    Snowflake,
    /// Prefers the choice with most successful polls.
    Snowball,
}

/// Parameters of one chain's consensus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Validators sampled by one poll.
    pub k: u32,
    /// Votes that move the preference.
    pub alpha_preference: u32,
    /// Votes that raise the confidence.
    pub alpha_confidence: u32,
    /// Consecutive successful polls that decide.
    pub beta: u32,
    /// Polls kept open while anything processes.
    pub concurrent_repolls: u32,
    /// Processing blocks above which building slows down.
    pub optimal_processing: u32,
    /// Processing blocks above which the chain is unhealthy.
    pub max_outstanding_items: u32,
    /// Time in processing above which the chain is unhealthy.
    pub max_item_processing_time: Duration,
}

/// Which constraint the parameters break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// `alpha_preference` is not above `k / 2`.
    #[error("k/2 < alphaPreference does not hold")]
    PreferenceTooLow,
    /// `alpha_confidence` is below `alpha_preference`.
    #[error("alphaPreference <= alphaConfidence does not hold")]
    ConfidenceTooLow,
    /// `alpha_confidence` is above `k`.
    #[error("alphaConfidence <= k does not hold")]
    ConfidenceTooHigh,
    /// No concurrent polls, or more than `beta`.
    #[error("0 < concurrentRepolls <= beta does not hold")]
    Repolls,
    /// A limit is zero.
    #[error("{0} is zero")]
    Zero(&'static str),
}

impl Default for Params {
    fn default() -> Self {
        Self {
            k: 20,
            alpha_preference: 15,
            alpha_confidence: 15,
            beta: 20,
            concurrent_repolls: 4,
            optimal_processing: 10,
            max_outstanding_items: 256,
            max_item_processing_time: Duration::from_secs(30),
        }
    }
}

impl Params {
    /// Checks the constraints.
    ///
    /// # Errors
    /// The first one that is broken.
    pub fn verify(&self) -> Result<(), ParamsError> {
        if self.alpha_preference <= self.k / 2 {
            Err(ParamsError::PreferenceTooLow)
        } else if self.alpha_confidence < self.alpha_preference {
            Err(ParamsError::ConfidenceTooLow)
        } else if self.k < self.alpha_confidence {
            Err(ParamsError::ConfidenceTooHigh)
        } else if self.concurrent_repolls == 0 || self.concurrent_repolls > self.beta {
            Err(ParamsError::Repolls)
        } else if self.optimal_processing == 0 {
            Err(ParamsError::Zero("optimalProcessing"))
        } else if self.max_outstanding_items == 0 {
            Err(ParamsError::Zero("maxOutstandingItems"))
        } else if self.max_item_processing_time.is_zero() {
            Err(ParamsError::Zero("maxItemProcessingTime"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constraint_is_checked() {
        let good = Params::default();
        assert_eq!(good.verify(), Ok(()));
        let cases = [
            (Params { alpha_preference: 10, ..good }, ParamsError::PreferenceTooLow),
            (Params { alpha_confidence: 14, ..good }, ParamsError::ConfidenceTooLow),
            (Params { alpha_confidence: 21, ..good }, ParamsError::ConfidenceTooHigh),
            (Params { concurrent_repolls: 21, ..good }, ParamsError::Repolls),
            (Params { concurrent_repolls: 0, ..good }, ParamsError::Repolls),
            (Params { optimal_processing: 0, ..good }, ParamsError::Zero("optimalProcessing")),
            (Params { max_outstanding_items: 0, ..good }, ParamsError::Zero("maxOutstandingItems")),
            (
                Params { max_item_processing_time: Duration::ZERO, ..good },
                ParamsError::Zero("maxItemProcessingTime"),
            ),
        ];
        for (params, error) in cases {
            assert_eq!(params.verify(), Err(error));
        }
    }
}
