//! Arithmetic, logic and comparison. Mirrors `JumpTable.Numeric.cs` and `JumpTable.Bitwisee.cs`.

use std::cmp::Ordering;

use neo_base::Int;

use crate::{
    engine::{Engine, Era, Host},
    fault::{Fault, Result},
    item::StackItem,
    limits::MAX_SHIFT,
};

impl<H: Host> Engine<H> {
    #[inline]
    pub(super) fn unary(&mut self, compute: impl FnOnce(&Int) -> Int) -> Result<()> {
        let x = self.pop_int()?;
        self.push_int(compute(&x))
    }

    #[inline]
    pub(super) fn binary(&mut self, compute: impl FnOnce(&Int, &Int) -> Option<Int>) -> Result<()> {
        let b = self.pop_int()?;
        let a = self.pop_int()?;
        let value = compute(&a, &b).ok_or(Fault::NoSuchNumber)?;
        self.push_int(value)
    }

    /// The modulus is on top.
    pub(super) fn ternary(&mut self, compute: impl FnOnce(&Int, &Int, &Int) -> Option<Int>) -> Result<()> {
        let modulus = self.pop_int()?;
        let b = self.pop_int()?;
        let a = self.pop_int()?;
        let value = compute(&a, &b, &modulus).ok_or(Fault::NoSuchNumber)?;
        self.push_int(value)
    }

    pub(super) fn pow(&mut self) -> Result<()> {
        let exponent = self.pop_shift()?;
        self.unary(|x| x.pow(exponent))
    }

    /// Before Gorgon a shift by zero leaves the operand as it is, whatever its type.
    pub(super) fn shift(&mut self, compute: impl FnOnce(&Int, u32) -> Int) -> Result<()> {
        let bits = self.pop_shift()?;
        if bits == 0 && self.era < Era::Gorgon {
            return Ok(());
        }
        self.unary(|x| compute(x, bits))
    }

    fn pop_shift(&mut self) -> Result<u32> {
        let shift = u32::try_from(self.pop_i32()?).map_err(|_| Fault::OutOfRange)?;
        if shift > MAX_SHIFT { Err(Fault::OutOfRange) } else { Ok(shift) }
    }

    pub(super) fn logic(&mut self, compute: impl FnOnce(bool, bool) -> bool) -> Result<()> {
        let b = self.pop_bool()?;
        let a = self.pop_bool()?;
        self.push_bool(compute(a, b));
        Ok(())
    }

    #[inline]
    pub(super) fn compare(&mut self, wanted: impl FnOnce(Ordering) -> bool) -> Result<()> {
        let b = self.pop_int()?;
        let a = self.pop_int()?;
        self.push_bool(wanted(a.cmp(&b)));
        Ok(())
    }

    /// False when one of them is null.
    pub(super) fn compare_nullable(&mut self, wanted: impl FnOnce(Ordering) -> bool) -> Result<()> {
        let b = self.pop()?;
        let a = self.pop()?;
        let null = matches!(a, StackItem::Null) || matches!(b, StackItem::Null);
        let result = !null && wanted(a.to_int()?.cmp(&b.to_int()?));
        self.push_bool(result);
        Ok(())
    }

    pub(super) fn equal(&mut self, wanted: bool) -> Result<()> {
        let b = self.pop()?;
        let a = self.pop()?;
        let equal = self.heap.equals(&a, &b)?;
        self.push_bool(equal == wanted);
        Ok(())
    }

    /// True when `low <= x < high`; `high` is on top.
    pub(super) fn within(&mut self) -> Result<()> {
        let high = self.pop_int()?;
        let low = self.pop_int()?;
        let x = self.pop_int()?;
        self.push_bool(low <= x && x < high);
        Ok(())
    }
}
