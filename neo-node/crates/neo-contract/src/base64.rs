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
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut symbols, mut padding) = (0_u32, 0_usize, 0_usize);
    for byte in text.bytes() {
        match VALUES[usize::from(byte)] {
            BLANK => {}
            PAD => padding = padding.saturating_add(1),
            NONE => return None,
            _ if padding > 0 => return None,
            value => {
                group = (group << 6) | u32::from(value);
                symbols = symbols.wrapping_add(1);
                if symbols.is_multiple_of(4) {
                    let [_, bytes @ ..] = group.to_be_bytes();
                    out.extend_from_slice(&bytes);
                }
            }
        }
    }
    if padding > 2 || !symbols.wrapping_add(padding).is_multiple_of(4) {
        return None;
    }
    let [_, first, second, _] = (group << (6 * padding)).to_be_bytes();
    out.extend([first, second].into_iter().take(3 - padding).filter(|_| padding > 0));
    Some(out)
}

const BLANK: u8 = 0xfd;
const PAD: u8 = 0xfe;
const NONE: u8 = 0xff;

/// What each byte stands for.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut at = 0;
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values[b' ' as usize] = BLANK;
    values[b'\t' as usize] = BLANK;
    values[b'\r' as usize] = BLANK;
    values[b'\n' as usize] = BLANK;
    values[b'=' as usize] = PAD;
    values
};

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
