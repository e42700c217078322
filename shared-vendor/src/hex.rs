//! Hexadecimal text, over the `hex` crate: plain and reversed (display) byte order, fixed-size arrays.

pub use hex::{FromHexError as HexError, encode};

/// Decodes hexadecimal text of even length; a leading `0x` is accepted.
///
/// # Errors
/// Odd length, or a character that is not a hexadecimal digit.
pub fn decode(text: &str) -> Result<Vec<u8>, HexError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text))
}

/// Decodes exactly `N` bytes; a leading `0x` is accepted.
///
/// # Errors
/// Another length than `2 * N` digits, or a character that is not a hexadecimal digit.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut out = [0; N];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut out)?;
    Ok(out)
}

/// Text of the bytes in reverse order, as explorers display little-endian hashes.
#[must_use]
pub fn encode_reversed(bytes: &[u8]) -> String {
    let mut reversed = bytes.to_vec();
    reversed.reverse();
    hex::encode(reversed)
}

/// The inverse of [`encode_reversed`] for exactly `N` bytes.
///
/// # Errors
/// As [`decode_array`].
pub fn decode_array_reversed<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut out = decode_array::<N>(text)?;
    out.reverse();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_decode_with_and_without_prefix_and_refuse_other_lengths() {
        assert_eq!(decode_array::<2>("0x0aFf"), Ok([0x0a, 0xff]));
        assert_eq!(decode_array::<2>("0aff"), Ok([0x0a, 0xff]));
        assert!(decode_array::<2>("0aff00").is_err());
        assert!(decode_array::<2>("0axx").is_err());
    }

    #[test]
    fn reversed_forms_are_inverse() {
        assert_eq!(encode_reversed(&[1, 2, 3]), "030201");
        assert_eq!(decode_array_reversed::<3>("030201"), Ok([1, 2, 3]));
    }
}
