//! Rows of fluxnodes, of their delegates, and of what takes a block's changes of them back. A private format.

use fluxd_fluxnode::{Node, Tier, Undo, state::Before};
use fluxd_primitives::{
    Amount, Codec, OutPoint, PublicKey, Script,
    codec::{
        MAX_SIZE, Reader, Writer, compact_size, list, put_compact_size, put_list, put_var_bytes, var_bytes,
    },
    transaction::fluxnode::Owner,
};

use crate::error::RowError;

/// Which list of nodes a row belongs to; the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeList {
    /// Started, not confirmed.
    Started,
    /// Not confirmed in time.
    Dos,
    /// Confirmed.
    Confirmed,
}

impl NodeList {
    pub(crate) fn selector(self) -> u8 {
        match self {
            Self::Started => 0,
            Self::Dos => 1,
            Self::Confirmed => 2,
        }
    }

    pub(crate) fn of_selector(selector: u8) -> Result<Self, RowError> {
        match selector {
            0 => Ok(Self::Started),
            1 => Ok(Self::Dos),
            2 => Ok(Self::Confirmed),
            other => Err(RowError::Selector(other)),
        }
    }
}

pub(crate) fn node_row(node: &Node) -> Vec<u8> {
    let mut writer = Writer::new();
    put_node(&mut writer, node);
    writer.into_vec()
}

pub(crate) fn read_node(row: &[u8]) -> Result<Node, RowError> {
    whole(row, node)
}

pub(crate) fn delegates_row(keys: &[PublicKey]) -> Vec<u8> {
    let mut writer = Writer::new();
    put_list(&mut writer, keys);
    writer.into_vec()
}

pub(crate) fn read_delegates(row: &[u8]) -> Result<Vec<PublicKey>, RowError> {
    whole(row, |reader| Ok(list(reader)?))
}

pub(crate) fn undo_row(undo: &Undo) -> Vec<u8> {
    let mut writer = Writer::new();
    put_compact_size(&mut writer, undo.0.len());
    for (outpoint, before) in &undo.0 {
        outpoint.encode(&mut writer);
        for node in [&before.started, &before.dos, &before.confirmed] {
            put_optional(&mut writer, node.as_ref(), put_node);
        }
        put_optional(&mut writer, before.delegates.as_ref(), |writer, keys| put_list(writer, keys));
    }
    writer.into_vec()
}

pub(crate) fn read_undo(row: &[u8]) -> Result<Undo, RowError> {
    whole(row, |reader| {
        let claimed = compact_size(reader)?;
        let count = reader.count(claimed, MAX_SIZE, OutPoint::MIN_BYTES + 4)?;
        let entry = |reader: &mut Reader<'_>| {
            let outpoint = OutPoint::decode(reader)?;
            let before = Before {
                started: optional(reader, node)?,
                dos: optional(reader, node)?,
                confirmed: optional(reader, node)?,
                delegates: optional(reader, |reader| Ok(list(reader)?))?,
            };
            Ok((outpoint, before))
        };
        (0..count).map(|_| entry(reader)).collect::<Result<_, RowError>>().map(Undo)
    })
}

fn put_node(writer: &mut Writer, node: &Node) {
    match &node.owner {
        Owner::Key(key) => {
            writer.u8(0);
            key.encode(writer);
        }
        Owner::RedeemScript(script) => {
            writer.u8(1);
            script.encode(writer);
        }
    }
    put_optional(writer, node.collateral_script.as_ref(), |writer, script| script.encode(writer));
    node.node_key.encode(writer);
    writer.u8(node.tier.number().unsigned_abs());
    node.collateral.encode(writer);
    writer.u32_le(node.added).u32_le(node.confirmed).u32_le(node.last_confirmed).u32_le(node.last_paid);
    put_var_bytes(writer, &node.ip);
}

fn node(reader: &mut Reader<'_>) -> Result<Node, RowError> {
    let owner = match reader.u8()? {
        0 => Owner::Key(PublicKey::decode(reader)?),
        1 => Owner::RedeemScript(Script::decode(reader)?),
        other => return Err(RowError::Selector(other)),
    };
    let collateral_script = optional(reader, |reader| Ok(Script::decode(reader)?))?;
    let node_key = PublicKey::decode(reader)?;
    let number = reader.u8()?;
    let tier = Tier::ALL.into_iter().find(|tier| tier.number().unsigned_abs() == number);
    Ok(Node {
        owner,
        collateral_script,
        node_key,
        tier: tier.ok_or(RowError::Selector(number))?,
        collateral: Amount::decode(reader)?,
        added: reader.u32_le()?,
        confirmed: reader.u32_le()?,
        last_confirmed: reader.u32_le()?,
        last_paid: reader.u32_le()?,
        ip: var_bytes(reader)?,
    })
}

fn put_optional<T>(writer: &mut Writer, value: Option<&T>, put: impl Fn(&mut Writer, &T)) {
    writer.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(writer, value);
    }
}

fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, RowError>,
) -> Result<Option<T>, RowError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        other => Err(RowError::Selector(other)),
    }
}

fn whole<T>(row: &[u8], read: impl Fn(&mut Reader<'_>) -> Result<T, RowError>) -> Result<T, RowError> {
    let mut reader = Reader::new(row);
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use fluxd_primitives::{COIN, TxId};
    use proptest::prelude::*;

    use super::*;

    /// A node whose every field is its own.
    pub(crate) fn sample(script: bool) -> Node {
        let key = |byte| PublicKey::from_serialized(&[&[2][..], &[byte; 32]].concat());
        Node {
            owner: if script { Owner::RedeemScript(Script(vec![81, 82])) } else { Owner::Key(key(1)) },
            collateral_script: script.then(|| Script(vec![83])),
            node_key: key(3),
            tier: if script { Tier::Stratus } else { Tier::Cumulus },
            collateral: Amount::from_zat(1000 * COIN),
            added: 1,
            confirmed: 2,
            last_confirmed: 3,
            last_paid: 4,
            ip: b"203.0.113.7:16127".to_vec(),
        }
    }

    #[test]
    fn nodes_and_undo_data_come_back() {
        let (key_node, script_node) = (sample(false), sample(true));
        for node in [&key_node, &script_node] {
            assert_eq!(read_node(&node_row(node)).as_ref(), Ok(node));
        }
        let before = Before {
            started: Some(key_node.clone()),
            confirmed: Some(script_node),
            delegates: Some(vec![key_node.node_key]),
            ..Before::default()
        };
        let outpoint = |byte| OutPoint { txid: TxId([byte; 32]), index: 9 };
        let undo = Undo(BTreeMap::from([(outpoint(1), before), (outpoint(2), Before::default())]));
        assert_eq!(read_undo(&undo_row(&undo)), Ok(undo));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..200)) {
            let _ = read_node(&bytes);
            let _ = read_undo(&bytes);
            let _ = read_delegates(&bytes);
        }
    }
}
