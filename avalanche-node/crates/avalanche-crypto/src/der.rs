//! The few DER elements a staking certificate is read by: definite, minimal lengths of at most four bytes and
//! one-byte tags. Mirrors the parts of `golang.org/x/crypto/cryptobyte` that the reference uses.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OBJECT_ID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const CONTEXT_0: u8 = 0xa0;

const HIGH_TAG: u8 = 0x1f;

/// What is left of a DER input; each read moves it forward, or leaves it and answers None.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    /// Content of the next element, if it has this tag.
    pub(crate) fn read(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, after_tag) = self.0.split_first()?;
        let (&first, after_first) = after_tag.split_first()?;
        if found != tag || found & HIGH_TAG == HIGH_TAG {
            return None;
        }
        let (len, rest) = if first < 0x80 {
            (usize::from(first), after_first)
        } else {
            let (digits, rest) = after_first.split_at_checked(usize::from(first & 0x7f))?;
            if digits.is_empty() || digits.len() > 4 || digits.first() == Some(&0) {
                return None;
            }
            let len = digits.iter().fold(0_usize, |len, digit| (len << 8) | usize::from(*digit));
            if len < 0x80 {
                return None;
            }
            (len, rest)
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(content)
    }

    /// Skips the next element if it has this tag; false when it has the tag but is malformed.
    pub(crate) fn skip_optional(&mut self, tag: u8) -> bool {
        self.0.first() != Some(&tag) || self.read(tag).is_some()
    }

    /// Magnitude of a positive, minimally encoded integer, without leading zeros.
    pub(crate) fn positive_integer(&mut self) -> Option<&'a [u8]> {
        let bytes = self.read(INTEGER)?;
        match bytes {
            [] | [0] => None,
            [0, second, ..] if *second < 0x80 => None,
            [0, magnitude @ ..] => Some(magnitude),
            [first, ..] if *first >= 0x80 => None,
            _ => Some(bytes),
        }
    }

    /// A bit string, shifted right so that its last bit is the last bit of the last byte.
    pub(crate) fn right_aligned_bits(&mut self) -> Option<Vec<u8>> {
        let (&padding, bytes) = self.read(BIT_STRING)?.split_first()?;
        if padding > 7 || (bytes.is_empty() && padding != 0) {
            return None;
        }
        if bytes.last().is_some_and(|last| last & ((1 << padding) - 1) != 0) {
            return None;
        }
        if padding == 0 || bytes.is_empty() {
            return Some(bytes.to_vec());
        }
        let mut carry = 0;
        let shifted = bytes.iter().map(|byte| {
            let value = carry | (byte >> padding);
            carry = byte << (8 - padding);
            value
        });
        Some(shifted.collect())
    }
}
