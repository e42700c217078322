//! Witness rules: what a signature may be used for. Mirrors `Payloads/WitnessRule.cs` and `Payloads/Conditions`.

use neo_crypto::secp256r1::PublicKey;
use shared_vendor::bytes::{Reader, Writer};

use crate::{
    codec::{self, DecodeError, Result, Wire},
    hash::UInt160,
};

/// Levels of conditions that a rule may have.
pub const MAX_NESTING: usize = 3;

/// Conditions below one `And` or `Or`.
const MAX_ITEMS: usize = 16;

/// What follows when the condition of a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// The signature does not count.
    Deny,
    /// The signature counts.
    Allow,
}

/// One rule of a signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessRule {
    /// What follows from a match.
    pub action: RuleAction,
    /// When the rule applies.
    pub condition: Condition,
}

/// A condition about the contract that asks for a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Always or never.
    Boolean(bool),
    /// The other condition does not match.
    Not(Box<Self>),
    /// All of 1 to 16 conditions match.
    And(Vec<Self>),
    /// One of 1 to 16 conditions matches.
    Or(Vec<Self>),
    /// The executing contract has this hash.
    ScriptHash(UInt160),
    /// The executing contract belongs to this group.
    Group(PublicKey),
    /// The executing contract is the entry script or was called by it.
    CalledByEntry,
    /// The calling contract has this hash.
    CalledByContract(UInt160),
    /// The calling contract belongs to this group.
    CalledByGroup(PublicKey),
}

impl Condition {
    /// The type byte of the wire form.
    #[must_use]
    pub fn type_byte(&self) -> u8 {
        match self {
            Self::Boolean(_) => 0x00,
            Self::Not(_) => 0x01,
            Self::And(_) => 0x02,
            Self::Or(_) => 0x03,
            Self::ScriptHash(_) => 0x18,
            Self::Group(_) => 0x19,
            Self::CalledByEntry => 0x20,
            Self::CalledByContract(_) => 0x28,
            Self::CalledByGroup(_) => 0x29,
        }
    }

    fn read_level(reader: &mut Reader<'_>, levels: usize) -> Result<Self> {
        let deeper =
            levels.checked_sub(1).ok_or(DecodeError::Invalid("witness condition is nested too deep"))?;
        Ok(match reader.u8()? {
            0x00 => Self::Boolean(codec::read_bool(reader)?),
            0x01 => Self::Not(Box::new(Self::read_level(reader, deeper)?)),
            0x02 => Self::And(Self::read_items(reader, deeper)?),
            0x03 => Self::Or(Self::read_items(reader, deeper)?),
            0x18 => Self::ScriptHash(Wire::read(reader)?),
            0x19 => Self::Group(Wire::read(reader)?),
            0x20 => Self::CalledByEntry,
            0x28 => Self::CalledByContract(Wire::read(reader)?),
            0x29 => Self::CalledByGroup(Wire::read(reader)?),
            _ => return Err(DecodeError::Invalid("unknown type of witness condition")),
        })
    }

    fn read_items(reader: &mut Reader<'_>, levels: usize) -> Result<Vec<Self>> {
        let count = codec::read_var_int(reader)?;
        match reader.count(count, MAX_ITEMS, 1)? {
            0 => Err(DecodeError::Invalid("witness condition has no items")),
            count => (0..count).map(|_| Self::read_level(reader, levels)).collect(),
        }
    }
}

impl Wire for Condition {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        Self::read_level(reader, MAX_NESTING)
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.type_byte());
        match self {
            Self::Boolean(value) => {
                writer.u8((*value).into());
            }
            Self::Not(condition) => condition.write(writer),
            Self::And(items) | Self::Or(items) => codec::write_list(writer, items),
            Self::ScriptHash(hash) | Self::CalledByContract(hash) => hash.write(writer),
            Self::Group(key) | Self::CalledByGroup(key) => key.write(writer),
            Self::CalledByEntry => {}
        }
    }
}

impl Wire for WitnessRule {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let action = match reader.u8()? {
            0 => RuleAction::Deny,
            1 => RuleAction::Allow,
            _ => return Err(DecodeError::Invalid("unknown action of a witness rule")),
        };
        Ok(Self { action, condition: Wire::read(reader)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(match self.action {
            RuleAction::Deny => 0,
            RuleAction::Allow => 1,
        });
        self.condition.write(writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_levels_are_read_and_a_fourth_is_refused() {
        let mut condition = Condition::Boolean(true);
        for level in 1..=4 {
            let read = Condition::from_bytes(&condition.to_bytes());
            assert_eq!(read == Ok(condition.clone()), level <= MAX_NESTING, "{level} levels");
            condition = Condition::Not(Box::new(condition));
        }
    }

    #[test]
    fn empty_and_long_lists_are_refused() {
        assert!(Condition::from_bytes(&[2, 0]).is_err());
        assert!(Condition::from_bytes(&[&[3, 16][..], &[0x20; 16]].concat()).is_ok());
        assert!(Condition::from_bytes(&[&[3, 17][..], &[0x20; 17]].concat()).is_err());
    }
}
