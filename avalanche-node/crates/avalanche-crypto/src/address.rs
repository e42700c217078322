//! Text form of addresses: `<chain alias>-<bech32 of the owner id>` with the network's human-readable part.
//! Mirrors `utils/formatting/address` and `utils/constants/network_ids.go`.

use avalanche_ids::ShortId;
use bech32::{Bech32, Hrp};

/// Characters of a Bech32 checksum.
const CHECKSUM_LEN: usize = 6;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `-` between chain alias and address.
    #[error("no separator found in address")]
    NoSeparator,
    /// The last `1`, at this place, leaves no room for the human-readable part or the checksum.
    #[error("invalid separator index {0}")]
    Separator(usize),
    /// Not a classic Bech32 text.
    #[error("not a Bech32 text")]
    Bech32,
    /// Another number of bytes than 20.
    #[error("{0} bytes instead of 20")]
    Length(usize),
}

/// The human-readable part of a network's addresses.
#[must_use]
pub const fn hrp(network_id: u32) -> &'static str {
    match network_id {
        1 => "avax",
        2 => "cascade",
        3 => "denali",
        4 => "everest",
        5 => "fuji",
        10 => "testing",
        12345 => "local",
        _ => "custom",
    }
}

/// Text of an owner id. `hrp` is one of those of [`hrp`]; any other valid part works too, an invalid one gives an empty
/// address part.
#[must_use]
pub fn format(chain_alias: &str, hrp: &str, owner: &ShortId) -> String {
    let encoded = Hrp::parse(hrp)
        .ok()
        .and_then(|hrp| bech32::encode::<Bech32>(hrp, owner.as_bytes()).ok())
        .unwrap_or_default();
    format!("{chain_alias}-{encoded}")
}

/// Chain alias, human-readable part and owner id of a text.
///
/// # Errors
/// As [`AddressError`] says.
pub fn parse(text: &str) -> Result<(String, String, ShortId), AddressError> {
    let (alias, encoded) = text.split_once('-').ok_or(AddressError::NoSeparator)?;
    let (hrp, owner) = parse_bech32(encoded)?;
    Ok((alias.to_owned(), hrp, owner))
}

/// Human-readable part and owner id of an address without chain alias.
///
/// # Errors
/// As [`AddressError`] says.
pub fn parse_bech32(text: &str) -> Result<(String, ShortId), AddressError> {
    if let Some(at) = text.rfind('1').filter(|at| *at < 1 || at.saturating_add(CHECKSUM_LEN) >= text.len()) {
        return Err(AddressError::Separator(at));
    }
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text)
        .map_err(|_| AddressError::Bech32)?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let len = bytes.len();
    let owner = bytes.try_into().map_err(|_| AddressError::Length(len))?;
    Ok((checked.hrp().to_lowercase(), ShortId(owner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_and_other_lengths_are_refused() {
        let owner = ShortId([3; 20]);
        let text = format("P", hrp(5), &owner);
        assert_eq!(parse(&text), Ok(("P".into(), "fuji".into(), owner)));
        assert_eq!(parse("local18jma8ppw"), Err(AddressError::NoSeparator));
        assert_eq!(parse("X-local18jma8ppw"), Err(AddressError::Bech32));
        assert_eq!(parse("X-local18jma"), Err(AddressError::Separator(5)));
        let short = bech32::encode::<Bech32>(Hrp::parse("fuji").unwrap(), &[1, 2]).unwrap();
        assert_eq!(parse_bech32(&short), Err(AddressError::Length(2)));
    }
}
