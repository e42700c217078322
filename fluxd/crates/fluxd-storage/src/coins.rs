//! The unspent outputs of one transaction, in the form the C++ node stores. Mirrors `CCoins` of `src/coins.h`.
//!
//! One row per transaction, not per output: undo data says where an output came from only when it was the last, and
//! the rule against a second transaction of the same id asks for the transaction.

use fluxd_primitives::{
    Transaction, TxOut,
    codec::{Reader, Writer},
};
use fluxd_script::opcode;

use crate::{
    compact::{output, put_output, put_varint, varint, varint_u32},
    error::RowError,
    undo::{InputUndo, Origin},
};

/// Longer scripts cannot be spent.
const MAX_SCRIPT_SIZE: usize = 10_000;
/// Most outputs that a row may speak of: more than a transaction of the largest size has.
const MAX_OUTPUTS: usize = 1 << 18;

/// The unspent outputs of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coins {
    /// Where they came from.
    pub origin: Origin,
    /// By index; spent ones are `None`, and the last is not.
    outputs: Vec<Option<TxOut>>,
}

/// Undo data that does not fit the coins it should be given back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The output is not spent.
    #[error("an output to be restored is not spent")]
    NotSpent,
    /// The transaction has no unspent output left, and the undo data does not say where it came from.
    #[error("an output to be restored belongs to a transaction that is gone")]
    OriginMissing,
    /// The undo data says that the transaction was gone, but it has unspent outputs.
    #[error("an output to be restored was not the last of its transaction")]
    OriginUnexpected,
    /// No transaction has so many outputs.
    #[error("an output to be restored has an index that no transaction reaches")]
    IndexTooLarge,
}

impl Coins {
    /// The outputs that a transaction creates at a height, without those that nobody can spend; `None` when none is
    /// left.
    #[must_use]
    pub fn of_transaction(tx: &Transaction, height: u32) -> Option<Self> {
        let origin = Origin { height, coinbase: tx.is_coinbase(), version: tx.version };
        let outputs = tx.outputs.iter().map(|out| is_spendable(out).then(|| out.clone())).collect();
        let mut coins = Self { origin, outputs };
        coins.trim();
        (!coins.is_spent()).then_some(coins)
    }

    /// An output, unless it is spent or never was.
    #[must_use]
    pub fn output(&self, index: u32) -> Option<&TxOut> {
        self.outputs.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// All unspent outputs with their indices.
    pub fn outputs(&self) -> impl Iterator<Item = (u32, &TxOut)> {
        (0..).zip(&self.outputs).filter_map(|(index, output)| Some((index, output.as_ref()?)))
    }

    /// True when nothing is left; such coins have no row.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Takes an output away and returns what gives it back; `None` when it is not there.
    pub fn spend(&mut self, index: u32) -> Option<InputUndo> {
        let output = self.outputs.get_mut(usize::try_from(index).ok()?)?.take()?;
        self.trim();
        Some(InputUndo { output, origin: self.is_spent().then_some(self.origin) })
    }

    /// Gives a spent output back. `coins` are those of its transaction, if any are left. Mirrors `ApplyTxInUndo`.
    ///
    /// # Errors
    /// The undo data is not that of the last spend.
    pub fn restore(coins: Option<Self>, index: u32, undo: InputUndo) -> Result<Self, RestoreError> {
        let mut coins = match (coins.filter(|coins| !coins.is_spent()), undo.origin) {
            (Some(coins), None) => coins,
            (None, Some(origin)) => Self { origin, outputs: Vec::new() },
            (None, None) => return Err(RestoreError::OriginMissing),
            (Some(_), Some(_)) => return Err(RestoreError::OriginUnexpected),
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= MAX_OUTPUTS {
            return Err(RestoreError::IndexTooLarge);
        }
        if coins.outputs.len() <= index {
            coins.outputs.resize(index.saturating_add(1), None);
        }
        match coins.outputs.get_mut(index) {
            Some(slot @ None) => *slot = Some(undo.output),
            _ => return Err(RestoreError::NotSpent),
        }
        Ok(coins)
    }

    /// The row. Coins of which nothing is left have none; their bytes do not read back.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (first_two, others) = self.outputs.split_at(self.outputs.len().min(2));
        let masks: Vec<u8> = others.chunks(8).map(mask).collect();
        let filled = masks.iter().filter(|mask| **mask != 0).count();
        let two = mask(first_two);
        let filled = if two == 0 { filled.saturating_sub(1) } else { filled };
        let code = u64::try_from(filled).unwrap_or(u64::MAX).saturating_mul(8)
            | u64::from(two) << 1
            | u64::from(self.origin.coinbase);

        let mut writer = Writer::new();
        put_varint(&mut writer, u64::from(self.origin.version));
        put_varint(&mut writer, code);
        writer.put(&masks);
        for output in self.outputs.iter().flatten() {
            put_output(&mut writer, output);
        }
        put_varint(&mut writer, u64::from(self.origin.height));
        writer.into_vec()
    }

    /// Reads the row.
    ///
    /// # Errors
    /// The bytes are not a row.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RowError> {
        let mut reader = Reader::new(bytes);
        let version = varint_u32(&mut reader)?;
        let code = varint(&mut reader)?;
        let mut unspent = vec![code & 2 != 0, code & 4 != 0];
        let mut filled = (code / 8).saturating_add(u64::from(code & 6 == 0));
        while filled > 0 {
            let mask = reader.u8()?;
            unspent.extend((0..8).map(|bit| mask & (1 << bit) != 0));
            if unspent.len() > MAX_OUTPUTS {
                return Err(RowError::Number);
            }
            filled -= u64::from(mask != 0);
        }
        let outputs = unspent
            .into_iter()
            .map(|unspent| unspent.then(|| output(&mut reader)).transpose())
            .collect::<Result<_, _>>()?;
        let origin = Origin { height: varint_u32(&mut reader)?, coinbase: code & 1 != 0, version };
        reader.finish()?;
        let mut coins = Self { origin, outputs };
        coins.trim();
        Ok(coins)
    }

    fn trim(&mut self) {
        while self.outputs.last().is_some_and(Option::is_none) {
            self.outputs.pop();
        }
    }
}

fn is_spendable(output: &TxOut) -> bool {
    let script = &output.script_pubkey.0;
    script.first() != Some(&opcode::RETURN) && script.len() <= MAX_SCRIPT_SIZE
}

/// One bit per unspent output, lowest first.
fn mask(outputs: &[Option<TxOut>]) -> u8 {
    outputs.iter().rev().fold(0, |mask, output| mask << 1 | u8::from(output.is_some()))
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{Address, Amount, Hash160, Script};
    use fluxd_script::instruction::pay_to;
    use proptest::prelude::*;
    use shared_vendor::hex;

    use super::*;

    fn pay(zat: i64, hash: &str) -> TxOut {
        let hash = Hash160(hex::decode_array(hash).expect("twenty bytes"));
        TxOut { value: Amount::from_zat(zat), script_pubkey: pay_to(&Address::PubkeyHash(hash)) }
    }

    fn coins(origin: Origin, present: &[bool]) -> Coins {
        let outputs = present
            .iter()
            .zip(1..)
            .map(|(present, n)| {
                present.then(|| TxOut { value: Amount::from_zat(n), script_pubkey: Script(vec![81]) })
            })
            .collect();
        let mut coins = Coins { origin, outputs };
        coins.trim();
        coins
    }

    #[test]
    fn the_examples_of_the_reference_read_and_write_the_same_bytes() {
        let one = "0104835800816115944e077fe7c803cfa57f29b36bf87c1d358bb85e";
        let two = concat!(
            "0109044086ef97d5790061b01caab50f1b8e9c50a5057eb43c2d9563a4eebbd123008c988f1a4a4de2161e0f50aac7f17e7f9555ca",
            "a486af3b"
        );
        let expected = [
            (
                one,
                Origin { height: 203_998, coinbase: false, version: 1 },
                vec![(1, pay(60_000_000_000, "816115944e077fe7c803cfa57f29b36bf87c1d35"))],
            ),
            (
                two,
                Origin { height: 120_891, coinbase: true, version: 1 },
                vec![
                    (4, pay(234_925_952, "61b01caab50f1b8e9c50a5057eb43c2d9563a4ee")),
                    (16, pay(110_397, "8c988f1a4a4de2161e0f50aac7f17e7f9555caa4")),
                ],
            ),
        ];
        for (text, origin, outputs) in expected {
            let coins = Coins::from_bytes(&hex::decode(text).expect("hex")).expect("a row");
            assert_eq!(coins.origin, origin);
            assert!(coins.outputs().eq(outputs.iter().map(|(index, output)| (*index, output))));
            assert_eq!(hex::encode(coins.to_bytes()), text);
        }
    }

    #[test]
    fn outputs_that_nobody_can_spend_are_no_coins() {
        let script = |bytes: Vec<u8>| TxOut { value: Amount::ZERO, script_pubkey: Script(bytes) };
        let mut tx = Transaction {
            version: 1,
            outputs: vec![script(vec![opcode::RETURN]), script(vec![0; 10_001])],
            ..Transaction::default()
        };
        assert_eq!(Coins::of_transaction(&tx, 7), None);
        tx.outputs.insert(1, script(vec![]));
        let coins = Coins::of_transaction(&tx, 7).expect("one is left");
        assert_eq!(coins.outputs().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn undo_data_that_does_not_fit_is_refused() {
        let origin = Origin { height: 5, coinbase: false, version: 4 };
        let two = coins(origin, &[true, true]);
        let mut one = two.clone();
        let inner = one.spend(0).expect("unspent");
        assert_eq!(Coins::restore(Some(two), 0, inner.clone()), Err(RestoreError::NotSpent));
        assert_eq!(Coins::restore(None, 0, inner), Err(RestoreError::OriginMissing));
        let last = one.clone().spend(1).expect("unspent");
        assert_eq!(Coins::restore(None, u32::MAX, last.clone()), Err(RestoreError::IndexTooLarge));
        assert_eq!(Coins::restore(Some(one), 0, last), Err(RestoreError::OriginUnexpected));
    }

    proptest! {
        #[test]
        fn rows_come_back_and_spends_can_be_taken_back(
            present in proptest::collection::vec(any::<bool>(), 1..40),
            height in 1_u32..4_000_000,
            coinbase in any::<bool>(),
            order in any::<u64>(),
        ) {
            let before = coins(Origin { height, coinbase, version: 4 }, &present);
            prop_assume!(!before.is_spent());
            prop_assert_eq!(Coins::from_bytes(&before.to_bytes()), Ok(before.clone()));

            let mut indices: Vec<u32> = before.outputs().map(|(index, _)| index).collect();
            let len = u64::try_from(indices.len()).expect("few");
            indices.rotate_left(usize::try_from(order % len).expect("few"));
            let mut left = before.clone();
            let undo: Vec<_> = indices.iter().map(|index| left.spend(*index).expect("unspent")).collect();
            prop_assert!(left.is_spent());
            let mut restored = None;
            for (index, undo) in indices.into_iter().zip(undo).rev() {
                restored = Some(Coins::restore(restored, index, undo).expect("fits"));
            }
            prop_assert_eq!(restored, Some(before));
        }

        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Coins::from_bytes(&bytes);
        }
    }
}
