//! The full (uncompressed) form of a header, and the extension that versions 1 and 2 keep beside it (RSKIP-351).
//!
//! Blocks, uncle lists and `rsk_getRawBlockHeaderBy*` use the full form, headers messages and hashes the compressed
//! one, in which bloom, edges and base event are replaced by the extension's hash. Mirrors `BlockFactory`,
//! `BlockHeaderV1`, `BlockHeaderV2`, `BlockHeaderExtensionV1` and `V2` in `org/ethereum/core`.

use super::{
    header::{DecodeError, Result, decode_header},
    keccak::keccak256,
    rlp::{self, Encoder, Items},
};
use crate::{
    params::{BASE_EVENT_RECOVERY_END, Network, Params, Rskip},
    types::{BlockNumber, Header},
};

const BLOOM_LEN: usize = 256;
const MAX_BASE_EVENT_LEN: usize = 128;
const BLOOM_FIELD: usize = 6;
const NUMBER_FIELD: usize = 8;
/// Parent hash to uncle count.
const COMMON_FIELDS: usize = 16;
const MINING_FIELDS: usize = 3;

/// What the header of version 1 or 2 commits to by a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// 1 or 2.
    pub version: u8,
    /// The 256-byte bloom filter of the block's logs.
    pub logs_bloom: Vec<u8>,
    /// Bytes of the bridge's event, at most 128 (version 2 only, there it may be empty).
    pub base_event: Vec<u8>,
    /// Ends of the parallel execution lists (RSKIP-144); `None` where the rule change is not in force.
    pub edges: Option<Vec<u16>>,
}

impl Extension {
    /// Decodes the form that travels in a body response: version, and the fields as a string.
    ///
    /// # Errors
    /// The bytes are not an extension of version 1 or 2.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut outer = Items::of_list(bytes)?;
        let version = match outer.string()? {
            [version @ (1 | 2)] => *version,
            _ => return Err(DecodeError::ExtensionData),
        };
        let mut fields = Items::of_list(outer.string()?)?;
        outer.finish()?;
        let logs_bloom = bloom(fields.string()?)?;
        let base_event = if version == 2 { base_event(fields.string()?)? } else { Vec::new() };
        let edges = if fields.is_empty() { None } else { Some(edges(fields.string()?)?) };
        fields.finish()?;
        Ok(Self { version, logs_bloom, base_event, edges })
    }

    /// The form that travels in a body response.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let fields = self.fields(&self.logs_bloom);
        rlp::encode_list(|list| {
            list.u64(u64::from(self.version)).string(&fields);
        })
    }

    /// What the header commits to.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&[&self.fields(&keccak256(&[&self.logs_bloom]))])
    }

    /// The header's extension data: version and hash.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        rlp::encode_list(|list| {
            list.u64(u64::from(self.version)).string(&self.hash());
        })
    }

    fn fields(&self, bloom_or_its_hash: &[u8]) -> Vec<u8> {
        rlp::encode_list(|list| {
            list.string(bloom_or_its_hash);
            if self.version == 2 {
                list.string(&self.base_event);
            }
            if let Some(edges) = &self.edges {
                list.string(&edge_bytes(edges));
            }
        })
    }
}

/// Decodes the full form: the header in its compressed form, and its extension when it is of version 1 or 2.
///
/// # Errors
/// The bytes are not a header of the network that `params` describes.
pub fn decode_full(params: &Params, bytes: &[u8]) -> Result<(Header, Option<Extension>)> {
    let mut items = Items::of_list(bytes)?;
    let mut fields = Vec::new();
    while !items.is_empty() {
        fields.push(items.string()?);
    }
    let number = stated_number(&fields)?;
    if !params.is_active(Rskip::R351, number) {
        return Ok((decode_header(params, bytes.to_vec().into())?, None));
    }
    let wrong_count = DecodeError::FieldCount { count: fields.len(), number };
    let layout = Layout::at(params, number);
    let short = layout.may_lack_base_event && layout.counts().iter().any(|count| fields.len() + 1 == *count);
    if !short && !layout.counts().contains(&fields.len()) {
        return Err(wrong_count);
    }
    let (base, after) =
        fields.split_at_checked(COMMON_FIELDS + usize::from(layout.umm)).ok_or(wrong_count)?;
    let (version, mut after) = match after {
        [[version @ (1 | 2), ..], after @ ..] => (*version, after),
        _ => return Err(DecodeError::ExtensionData),
    };
    let mut take = |present: bool| match after {
        [field, rest @ ..] if present => {
            after = rest;
            Some(*field)
        }
        _ => None,
    };
    let edges = take(layout.edges).map(edges).transpose()?;
    let base_event = take(layout.base_event && !short).map_or_else(|| Ok(Vec::new()), base_event)?;
    let extension = Extension {
        version,
        logs_bloom: bloom(base.get(BLOOM_FIELD).copied().unwrap_or_default())?,
        base_event: if version == 2 { base_event } else { Vec::new() },
        edges,
    };
    let data = extension.data();
    let wire = rlp::encode_list(|list| {
        for (index, field) in base.iter().enumerate() {
            list.string(if index == BLOOM_FIELD { &data } else { field });
        }
        for field in after {
            list.string(field);
        }
    });
    Ok((decode_header(params, wire.into())?, Some(extension)))
}

/// The full form of a header; `None` when the header needs an extension and `extension` is not the one it commits to.
#[must_use]
pub fn encode_full(header: &Header, extension: Option<&Extension>) -> Option<Vec<u8>> {
    uncompressed(header, extension, MINING_FIELDS)
}

/// The full form without Merkle proof and coinbase from orchid on, as `rsk_getRawBlockHeaderBy*` answers; `None` as
/// for [`encode_full`].
#[must_use]
pub fn encode_raw_header(params: &Params, header: &Header, extension: Option<&Extension>) -> Option<Vec<u8>> {
    let kept = if params.is_active(Rskip::R92, header.number()) { 1 } else { MINING_FIELDS };
    uncompressed(header, extension, kept)
}

fn uncompressed(header: &Header, extension: Option<&Extension>, mining_kept: usize) -> Option<Vec<u8>> {
    let extension = match header.extension_data() {
        Some(data) => Some(extension.filter(|extension| extension.data() == data)?),
        None => None,
    };
    let mut out = Encoder::new();
    let mut base = Items::new(header.bytes(header.fields().base));
    let mut index = 0_usize;
    while let Ok(field) = base.string() {
        match extension {
            Some(extension) if index == BLOOM_FIELD => out.string(&extension.logs_bloom),
            _ => out.string(field),
        };
        index = index.saturating_add(1);
    }
    if let Some(extension) = extension {
        out.u64(u64::from(extension.version));
        if let Some(edges) = &extension.edges {
            out.string(&edge_bytes(edges));
        }
        if extension.version == 2 {
            out.string(&extension.base_event);
        }
    }
    if let Some(mining) = header.fields().mining {
        let fields = [mining.bitcoin_header, mining.merkle_proof, mining.coinbase_transaction];
        for span in fields.into_iter().take(mining_kept) {
            out.string(header.bytes(span));
        }
    }
    let mut list = Encoder::new();
    list.list_of(out.as_slice());
    Some(list.into_vec())
}

/// Which optional fields the full form has at a height from RSKIP-351 on.
struct Layout {
    umm: bool,
    edges: bool,
    base_event: bool,
    may_lack_base_event: bool,
}

impl Layout {
    fn at(params: &Params, number: BlockNumber) -> Self {
        let base_event = params.is_active(Rskip::R535, number);
        Self {
            umm: params.is_active(Rskip::Umm, number),
            edges: params.is_active(Rskip::R144, number),
            base_event,
            may_lack_base_event: base_event
                && params.network == Network::Testnet
                && number.0 < BASE_EVENT_RECOVERY_END,
        }
    }

    /// Accepted numbers of fields: without and with the merged-mining ones.
    fn counts(&self) -> [usize; 2] {
        let version = 1;
        let optional = [self.umm, self.edges, self.base_event].into_iter().filter(|present| *present).count();
        let without = COMMON_FIELDS + version + optional;
        [without, without + MINING_FIELDS]
    }
}

fn stated_number(fields: &[&[u8]]) -> Result<BlockNumber> {
    let content = fields.get(NUMBER_FIELD).copied().unwrap_or_default();
    if fields.len() < COMMON_FIELDS {
        return Err(DecodeError::FieldCount { count: fields.len(), number: BlockNumber(0) });
    }
    if content.len() > 8 || content.first() == Some(&0) {
        return Err(DecodeError::IntegerForm { field: "number" });
    }
    Ok(BlockNumber(content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
}

fn bloom(content: &[u8]) -> Result<Vec<u8>> {
    if content.len() == BLOOM_LEN {
        Ok(content.to_vec())
    } else {
        Err(DecodeError::FieldLength { field: "logs bloom", len: content.len() })
    }
}

fn base_event(content: &[u8]) -> Result<Vec<u8>> {
    if content.len() <= MAX_BASE_EVENT_LEN {
        Ok(content.to_vec())
    } else {
        Err(DecodeError::FieldLength { field: "base event", len: content.len() })
    }
}

fn edges(content: &[u8]) -> Result<Vec<u16>> {
    let (pairs, []) = content.as_chunks::<2>() else {
        return Err(DecodeError::FieldLength { field: "edges", len: content.len() });
    };
    Ok(pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
}

fn edge_bytes(edges: &[u16]) -> Vec<u8> {
    edges.iter().flat_map(|edge| edge.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_reads_back_in_both_versions() {
        for (version, base_event, edges) in [
            (1, vec![], None),
            (1, vec![], Some(vec![3, 300])),
            (2, vec![], Some(vec![])),
            (2, vec![9; 128], Some(vec![7])),
        ] {
            let extension = Extension { version, logs_bloom: vec![5; 256], base_event, edges };
            assert_eq!(Extension::decode(&extension.encode()).as_ref(), Ok(&extension));
        }
    }

    #[test]
    fn a_base_event_above_128_bytes_is_refused() {
        let extension =
            Extension { version: 2, logs_bloom: vec![0; 256], base_event: vec![0; 129], edges: None };
        let refused = Err(DecodeError::FieldLength { field: "base event", len: 129 });
        assert_eq!(Extension::decode(&extension.encode()), refused);
    }

    #[test]
    fn a_header_without_its_own_extension_has_no_full_form() {
        let params = Params::regtest();
        let extension =
            Extension { version: 2, logs_bloom: vec![0; 256], base_event: vec![], edges: Some(vec![]) };
        let full = rlp::encode_list(|list| {
            for len in [32, 32, 20, 32, 32, 32, 256] {
                list.string(&vec![1; len]);
            }
            list.string(&[1])
                .u64(5)
                .string(&[1])
                .u64(0)
                .u64(1)
                .string(&[])
                .u64(0)
                .string(&[0])
                .u64(0)
                .string(&[]);
            list.u64(2).string(&[]).string(&[]);
        });
        let (header, found) = decode_full(&params, &full).unwrap();
        assert_eq!(encode_full(&header, found.as_ref()), Some(full));
        assert_eq!(encode_full(&header, Some(&extension)), None);
        assert_eq!(encode_full(&header, None), None);
    }
}
