//! Rows of the indexes that follow the chain. Keys begin with what is asked for, so that every answer is one range.

use fluxd_primitives::{
    Amount, BlockHash, Codec, Hash160, OutPoint, Script, TxId,
    codec::{Reader, Writer},
};

use crate::{
    Result,
    batch::Batch,
    error::RowError,
    read::View,
    schema::{Table, number_key},
};

/// Where an index stands: the block up to which it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexTip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
}

/// What a locking script pays, as the address indexes tell it apart: nothing else is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKey {
    /// Pay to public key hash: type 1.
    PubkeyHash(Hash160),
    /// Pay to script hash: type 2.
    ScriptHash(Hash160),
}

impl AddressKey {
    /// The number of the type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::PubkeyHash(_) => 1,
            Self::ScriptHash(_) => 2,
        }
    }

    /// The hash that the script names.
    #[must_use]
    pub fn hash(&self) -> Hash160 {
        match self {
            Self::PubkeyHash(hash) | Self::ScriptHash(hash) => *hash,
        }
    }

    fn of(kind: u8, hash: Hash160) -> std::result::Result<Self, RowError> {
        match kind {
            1 => Ok(Self::PubkeyHash(hash)),
            2 => Ok(Self::ScriptHash(hash)),
            other => Err(RowError::Selector(other)),
        }
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind());
        self.hash().encode(writer);
    }

    fn decode(reader: &mut Reader<'_>) -> std::result::Result<Self, RowError> {
        let kind = reader.u8()?;
        Self::of(kind, Hash160::decode(reader)?)
    }

    fn prefix(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_vec()
    }
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxPlace {
    /// Its block.
    pub block: BlockHash,
    /// Its place in the block.
    pub number: u32,
}

/// Who spent an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentRow {
    /// The spending transaction.
    pub txid: TxId,
    /// The spending input.
    pub input: u32,
    /// Height of its block.
    pub height: u32,
    /// The value that was spent.
    pub value: Amount,
    /// Whom the output paid, where the address indexes know it.
    pub address: Option<AddressKey>,
}

/// A change of an address's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressDelta {
    /// Height of the block.
    pub height: u32,
    /// Place of the transaction in the block.
    pub number: u32,
    /// The transaction.
    pub txid: TxId,
    /// The input or output.
    pub index: u32,
    /// True for an input, whose value is negative.
    pub spending: bool,
    /// The change.
    pub value: Amount,
}

/// An unspent output of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressUtxo {
    /// The output.
    pub outpoint: OutPoint,
    /// Its value.
    pub value: Amount,
    /// Its locking script.
    pub script: Script,
}

/// A fluxnode transaction of a collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeEvent {
    /// Height of its block.
    pub height: u32,
    /// Place in the block.
    pub number: u32,
    /// Raw type byte: 2 START, 4 CONFIRM.
    pub kind: i8,
    /// Its id.
    pub txid: TxId,
}

impl Batch {
    /// Moves the tip of an index, or forgets that the index was ever kept.
    pub fn set_index_tip(&mut self, name: &str, tip: Option<&IndexTip>) {
        let row = tip.map(|tip| [&tip.hash.0[..], &number_key(tip.height)].concat());
        self.set(Table::Meta, &index_key(name), row);
    }

    /// Sets where a transaction is.
    pub fn set_tx_place(&mut self, txid: &TxId, place: Option<&TxPlace>) {
        let row = place.map(|place| [&place.block.0[..], &number_key(place.number)].concat());
        self.set(Table::TxIndex, &txid.0, row);
    }

    /// Sets who spent an output.
    pub fn set_spent(&mut self, outpoint: &OutPoint, spent: Option<&SpentRow>) {
        self.set(Table::SpentIndex, &outpoint.to_bytes(), spent.map(spent_row));
    }

    /// Adds a change of an address's balance, or takes it away.
    pub fn set_address_delta(&mut self, address: &AddressKey, delta: &AddressDelta, present: bool) {
        let row = present.then(|| delta.value.to_bytes());
        self.set(Table::AddressDeltas, &delta_key(address, delta), row);
    }

    /// Adds an unspent output of an address.
    pub fn put_address_utxo(&mut self, address: &AddressKey, utxo: &AddressUtxo) {
        let mut writer = Writer::new();
        utxo.value.encode(&mut writer);
        writer.put(&utxo.script.0);
        self.put(Table::AddressUtxos, &utxo_key(address, &utxo.outpoint), writer.into_vec());
    }

    /// Takes an unspent output of an address away.
    pub fn remove_address_utxo(&mut self, address: &AddressKey, outpoint: &OutPoint) {
        self.set(Table::AddressUtxos, &utxo_key(address, outpoint), None);
    }

    /// Sets the logical time of a block: later than its parent's, whatever its header says.
    pub fn put_block_time(&mut self, hash: &BlockHash, time: u32) {
        self.put(Table::BlockTimes, &hash.0, number_key(time).to_vec());
        self.put(Table::Timestamps, &[&number_key(time)[..], &hash.0].concat(), Vec::new());
    }

    /// Adds a fluxnode transaction of a collateral, or takes it away.
    pub fn set_node_event(&mut self, collateral: &OutPoint, event: &NodeEvent, present: bool) {
        let key = [&collateral.to_bytes()[..], &number_key(event.height), &number_key(event.number)].concat();
        let row = present.then(|| [&event.kind.to_le_bytes()[..], &event.txid.0].concat());
        self.set(Table::NodeHistory, &key, row);
    }

    /// Takes away a row of any table.
    pub fn remove_raw(&mut self, table: Table, key: &[u8]) {
        self.set(table, key, None);
    }

    /// Sets a row of any table as it lay in another store.
    pub fn put_raw(&mut self, table: Table, key: &[u8], row: &[u8]) {
        self.put(table, key, row.to_vec());
    }
}

impl View {
    /// Where an index stands; `None` when it was never kept.
    ///
    /// # Errors
    /// See [`View`].
    pub fn index_tip(&self, name: &str) -> Result<Option<IndexTip>> {
        self.row(Table::Meta, &index_key(name), |row| {
            let mut reader = Reader::new(row);
            let tip = IndexTip { hash: BlockHash::decode(&mut reader)?, height: reader.u32_be()? };
            reader.finish()?;
            Ok(tip)
        })
    }

    /// Where a transaction is.
    ///
    /// # Errors
    /// See [`View`].
    pub fn tx_place(&self, txid: &TxId) -> Result<Option<TxPlace>> {
        self.row(Table::TxIndex, &txid.0, |row| {
            let mut reader = Reader::new(row);
            let place = TxPlace { block: BlockHash::decode(&mut reader)?, number: reader.u32_be()? };
            reader.finish()?;
            Ok(place)
        })
    }

    /// Who spent an output.
    ///
    /// # Errors
    /// See [`View`].
    pub fn spent(&self, outpoint: &OutPoint) -> Result<Option<SpentRow>> {
        self.row(Table::SpentIndex, &outpoint.to_bytes(), read_spent)
    }

    /// The changes of an address's balance in blocks of these heights, in their order.
    ///
    /// # Errors
    /// See [`View`].
    pub fn address_deltas(
        &self,
        address: &AddressKey,
        heights: std::ops::RangeInclusive<u32>,
    ) -> Result<Vec<AddressDelta>> {
        let prefix = address.prefix();
        let from = [&prefix[..], &number_key(*heights.start())].concat();
        let to = match heights.end().checked_add(1) {
            Some(end) => [&prefix[..], &number_key(end)].concat(),
            None => [&prefix[..], &[0xff; 5]].concat(),
        };
        self.range(Table::AddressDeltas, &from, &to, read_delta)
    }

    /// The unspent outputs of an address, in the order of their outpoints.
    ///
    /// # Errors
    /// See [`View`].
    pub fn address_utxos(&self, address: &AddressKey) -> Result<Vec<AddressUtxo>> {
        let prefix = address.prefix();
        let to = [&prefix[..], &[0xff; 37]].concat();
        self.range(Table::AddressUtxos, &prefix, &to, read_utxo)
    }

    /// The logical time of a block.
    ///
    /// # Errors
    /// See [`View`].
    pub fn block_time(&self, hash: &BlockHash) -> Result<Option<u32>> {
        self.row(Table::BlockTimes, &hash.0, crate::schema::read_number)
    }

    /// The blocks with logical times `from <= time < to`, in the order of time.
    ///
    /// # Errors
    /// See [`View`].
    pub fn blocks_by_time(&self, from: u32, to: u32) -> Result<Vec<(u32, BlockHash)>> {
        self.range(Table::Timestamps, &number_key(from), &number_key(to), |key, _| {
            let mut reader = Reader::new(key);
            let found = (reader.u32_be()?, BlockHash::decode(&mut reader)?);
            reader.finish()?;
            Ok(found)
        })
    }

    /// The fluxnode transactions of a collateral, oldest first.
    ///
    /// # Errors
    /// See [`View`].
    pub fn node_history(&self, collateral: &OutPoint) -> Result<Vec<NodeEvent>> {
        let prefix = collateral.to_bytes();
        let to = [&prefix[..], &[0xff; 9]].concat();
        self.range(Table::NodeHistory, &prefix, &to, |key, row| {
            let mut reader = Reader::new(key);
            OutPoint::decode(&mut reader)?;
            let (height, number) = (reader.u32_be()?, reader.u32_be()?);
            reader.finish()?;
            let mut reader = Reader::new(row);
            let [kind] = reader.array::<1>()?.map(|byte| i8::from_le_bytes([byte]));
            let txid = TxId::decode(&mut reader)?;
            reader.finish()?;
            Ok(NodeEvent { height, number, kind, txid })
        })
    }
}

fn index_key(name: &str) -> Vec<u8> {
    [b"index:", name.as_bytes()].concat()
}

fn delta_key(address: &AddressKey, delta: &AddressDelta) -> Vec<u8> {
    let mut writer = Writer::with_capacity(66);
    address.encode(&mut writer);
    writer.u32_be(delta.height).u32_be(delta.number);
    delta.txid.encode(&mut writer);
    writer.u32_be(delta.index).u8(u8::from(delta.spending));
    writer.into_vec()
}

fn read_delta(key: &[u8], row: &[u8]) -> std::result::Result<AddressDelta, RowError> {
    let mut reader = Reader::new(key);
    AddressKey::decode(&mut reader)?;
    let (height, number) = (reader.u32_be()?, reader.u32_be()?);
    let txid = TxId::decode(&mut reader)?;
    let index = reader.u32_be()?;
    let spending = reader.u8()? != 0;
    reader.finish()?;
    Ok(AddressDelta { height, number, txid, index, spending, value: Amount::from_bytes(row)? })
}

fn utxo_key(address: &AddressKey, outpoint: &OutPoint) -> Vec<u8> {
    let mut writer = Writer::with_capacity(57);
    address.encode(&mut writer);
    outpoint.txid.encode(&mut writer);
    writer.u32_be(outpoint.index);
    writer.into_vec()
}

fn read_utxo(key: &[u8], row: &[u8]) -> std::result::Result<AddressUtxo, RowError> {
    let mut reader = Reader::new(key);
    AddressKey::decode(&mut reader)?;
    let outpoint = OutPoint { txid: TxId::decode(&mut reader)?, index: reader.u32_be()? };
    reader.finish()?;
    let mut reader = Reader::new(row);
    let value = Amount::decode(&mut reader)?;
    let script = Script(reader.rest().to_vec());
    Ok(AddressUtxo { outpoint, value, script })
}

fn spent_row(spent: &SpentRow) -> Vec<u8> {
    let mut writer = Writer::with_capacity(69);
    spent.txid.encode(&mut writer);
    writer.u32_be(spent.input).u32_be(spent.height);
    spent.value.encode(&mut writer);
    if let Some(address) = &spent.address {
        address.encode(&mut writer);
    }
    writer.into_vec()
}

fn read_spent(row: &[u8]) -> std::result::Result<SpentRow, RowError> {
    let mut reader = Reader::new(row);
    let txid = TxId::decode(&mut reader)?;
    let (input, height) = (reader.u32_be()?, reader.u32_be()?);
    let value = Amount::decode(&mut reader)?;
    let address = if reader.is_empty() { None } else { Some(AddressKey::decode(&mut reader)?) };
    reader.finish()?;
    Ok(SpentRow { txid, input, height, value, address })
}
