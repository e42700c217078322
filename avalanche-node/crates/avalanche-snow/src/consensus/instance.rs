//! One decision: over a single choice (unary) or between two (binary), by Snowflake or Snowball.
//! Mirrors `snow/consensus/snowball/{unary,binary}_{snowflake,snowball}.go`.

use std::fmt;

use super::params::{Flavor, Params};

/// Parameters and rule of a tree's instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Which rule.
    pub flavor: Flavor,
    /// Its thresholds.
    pub params: Params,
}

/// Confidence in one choice. It does not stop counting once final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unary {
    confidence: u32,
    finalized: bool,
    strength: u32,
}

impl Unary {
    /// Counts a poll with `count` votes, at least `alpha_preference`.
    pub fn record_poll(&mut self, rule: &Rule, count: u32) {
        if count >= rule.params.alpha_preference {
            self.strength = self.strength.saturating_add(1);
        }
        if count < rule.params.alpha_confidence {
            self.confidence = 0;
            return;
        }
        self.confidence = self.confidence.saturating_add(1);
        self.finalized |= self.confidence >= rule.params.beta;
    }

    /// Forgets the confidence.
    pub const fn record_unsuccessful_poll(&mut self) {
        self.confidence = 0;
    }

    /// True once the choice is decided.
    #[must_use]
    pub const fn finalized(&self) -> bool {
        self.finalized
    }

    /// The decision between `choice`, so far the only one, and its opposite.
    #[must_use]
    pub const fn extend(&self, choice: bool) -> Binary {
        let strength = if choice { [0, self.strength] } else { [self.strength, 0] };
        Binary {
            slush: choice,
            confidence: self.confidence,
            finalized: self.finalized,
            strongest: choice,
            strength,
        }
    }

    pub(super) fn dump(&self, rule: &Rule, out: &mut String) -> fmt::Result {
        use fmt::Write;
        let Self { confidence, finalized, strength } = self;
        let snowflake = format!("SF(Confidence = [{confidence}], Finalized = {finalized})");
        match rule.flavor {
            Flavor::Snowflake => out.write_str(&snowflake),
            Flavor::Snowball => write!(out, "SB(PreferenceStrength = {strength}, {snowflake})"),
        }
    }
}

/// A decision between the choices `false` and `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary {
    slush: bool,
    confidence: u32,
    finalized: bool,
    strongest: bool,
    strength: [u32; 2],
}

impl Binary {
    /// Counts a poll with `count` votes for `choice`.
    pub fn record_poll(&mut self, rule: &Rule, count: u32, choice: bool) {
        if count >= rule.params.alpha_preference {
            self.strengthen(choice);
        }
        if self.finalized {
            return;
        }
        if count < rule.params.alpha_preference {
            self.confidence = 0;
            return;
        }
        // Under both rules a poll is compared with the choice of the last successful one.
        if choice != self.slush {
            self.confidence = 0;
        }
        self.slush = choice;
        if count < rule.params.alpha_confidence {
            self.confidence = 0;
            return;
        }
        self.confidence = self.confidence.saturating_add(1);
        self.finalized = self.confidence >= rule.params.beta;
    }

    /// Forgets the confidence.
    pub const fn record_unsuccessful_poll(&mut self) {
        self.confidence = 0;
    }

    /// The choice that is preferred now.
    #[must_use]
    pub fn preference(&self, rule: &Rule) -> bool {
        match rule.flavor {
            Flavor::Snowball if !self.finalized => self.strongest,
            _ => self.slush,
        }
    }

    /// True once the choice is decided.
    #[must_use]
    pub const fn finalized(&self) -> bool {
        self.finalized
    }

    fn strengthen(&mut self, choice: bool) {
        let [zero, one] = &mut self.strength;
        let (chosen, other) = if choice { (one, *zero) } else { (zero, *one) };
        *chosen = chosen.saturating_add(1);
        if *chosen > other {
            self.strongest = choice;
        }
    }

    pub(super) fn dump(&self, rule: &Rule, out: &mut String) -> fmt::Result {
        use fmt::Write;
        let Self { slush, confidence, finalized, strongest, strength: [zero, one] } = self;
        let (slush, strongest) = (u8::from(*slush), u8::from(*strongest));
        let snowflake =
            format!("SF(Confidence = [{confidence}], Finalized = {finalized}, SL(Preference = {slush}))");
        match rule.flavor {
            Flavor::Snowflake => out.write_str(&snowflake),
            Flavor::Snowball => write!(
                out,
                "SB(Preference = {strongest}, PreferenceStrength[0] = {zero}, PreferenceStrength[1] = {one}, {snowflake})"
            ),
        }
    }
}
