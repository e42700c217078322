//! Base64 as .NET's `Convert` reads and writes it: padded, white space between symbols ignored.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Text of the bytes, padded.
#[must_use]
pub fn encode(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len().div_ceil(3).saturating_mul(4));
    for chunk in data.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = (a << 16) | (b << 8) | c;
        for (at, shift) in [18u32, 12, 6, 0].into_iter().enumerate() {
            let symbol = usize::try_from((bits >> shift) & 63).ok().and_then(|index| ALPHABET.get(index));
            out.push(match symbol {
                Some(symbol) if at <= chunk.len() => char::from(*symbol),
                _ => '=',
            });
        }
    }
    out
}

/// Bytes of the text; `None` when it is not Base64. Space, tab, carriage return and line feed are ignored, the
/// number of other characters must be a multiple of four, and bits that no byte uses are ignored.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> =
        text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take_while(|symbol| **symbol == b'=').count();
    let payload = symbols.get(..symbols.len().checked_sub(padding)?)?;
    if padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(payload.len());
    for chunk in payload.chunks(4) {
        let mut bits = 0u32;
        for at in 0..4 {
            bits = (bits << 6) | chunk.get(at).map_or(Some(0), |symbol| value(*symbol))?;
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend(bytes.iter().take(chunk.len().saturating_sub(1)));
    }
    Some(out)
}

fn value(symbol: u8) -> Option<u32> {
    let value = match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_reads_back(data in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&data)), Some(data));
        }
    }

    #[test]
    fn white_space_is_ignored_and_broken_padding_refused() {
        assert_eq!(decode(" Y W\r\nE =\t"), Some(b"aa".to_vec()));
        for text in ["YWE", "YW=E", "YWE==", "Y===", "====", "YW-_"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
