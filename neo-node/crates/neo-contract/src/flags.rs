//! What a call may do. Mirrors `CallFlags.cs`.

use std::fmt;

/// A set of permissions of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallFlags(u8);

impl CallFlags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Read storage.
    pub const READ_STATES: Self = Self(1);
    /// Write storage.
    pub const WRITE_STATES: Self = Self(2);
    /// Call other contracts.
    pub const ALLOW_CALL: Self = Self(4);
    /// Send notifications.
    pub const ALLOW_NOTIFY: Self = Self(8);
    /// Read and write storage.
    pub const STATES: Self = Self(3);
    /// Read storage and call.
    pub const READ_ONLY: Self = Self(5);
    /// Read and write storage and notify.
    pub const STATES_NOTIFY: Self = Self(11);
    /// Everything.
    pub const ALL: Self = Self(15);

    /// The set of these bits; `None` for unknown bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits <= 15 { Some(Self(bits)) } else { None }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// True when all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Names as .NET prints the enumeration: one name where there is one, else several with commas.
impl fmt::Display for CallFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "None",
            1 => "ReadStates",
            2 => "WriteStates",
            3 => "States",
            4 => "AllowCall",
            5 => "ReadOnly",
            6 => "WriteStates, AllowCall",
            7 => "WriteStates, ReadOnly",
            8 => "AllowNotify",
            9 => "ReadStates, AllowNotify",
            10 => "WriteStates, AllowNotify",
            11 => "States, AllowNotify",
            12 => "AllowCall, AllowNotify",
            13 => "ReadOnly, AllowNotify",
            14 => "WriteStates, AllowCall, AllowNotify",
            _ => "All",
        })
    }
}
