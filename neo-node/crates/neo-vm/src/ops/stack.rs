//! Stack order and slots. Mirrors `JumpTable.Stack.cs` and `JumpTable.Slot.cs`.

use crate::{
    engine::{Engine, Host},
    fault::{Fault, Result},
    item::StackItem,
};

impl<H: Host> Engine<H> {
    pub(super) fn remove_at(&mut self, depth: usize) -> Result<()> {
        let stack = self.stack_mut();
        let index = stack.len().checked_sub(depth.saturating_add(1)).ok_or(Fault::StackUnderflow)?;
        let item = stack.remove(index);
        self.heap.remove_reference(&item);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        let items = std::mem::take(self.stack_mut());
        items.iter().for_each(|item| self.heap.remove_reference(item));
    }

    pub(super) fn pick(&mut self, depth: usize) -> Result<()> {
        let item = self.peek(depth)?.clone();
        self.push(item);
        Ok(())
    }

    pub(super) fn tuck(&mut self) -> Result<()> {
        let item = self.peek(0)?.clone();
        self.heap.add_reference(&item);
        let stack = self.stack_mut();
        let index = stack.len().checked_sub(2).ok_or(Fault::StackUnderflow)?;
        stack.insert(index, item);
        Ok(())
    }

    pub(super) fn swap(&mut self) -> Result<()> {
        match self.stack_mut().as_mut_slice() {
            [.., a, b] => std::mem::swap(a, b),
            _ => return Err(Fault::StackUnderflow),
        }
        Ok(())
    }

    pub(super) fn roll(&mut self, depth: usize) -> Result<()> {
        let stack = self.stack_mut();
        let index = stack.len().checked_sub(depth.saturating_add(1)).ok_or(Fault::StackUnderflow)?;
        let top = stack.get_mut(index..).ok_or(Fault::StackUnderflow)?;
        top.rotate_left(1);
        Ok(())
    }

    pub(super) fn reverse(&mut self, count: usize) -> Result<()> {
        let stack = self.stack_mut();
        let index = stack.len().checked_sub(count).ok_or(Fault::StackUnderflow)?;
        stack.get_mut(index..).ok_or(Fault::StackUnderflow)?.reverse();
        Ok(())
    }

    pub(super) fn init_statics(&mut self, count: u8) -> Result<()> {
        if count == 0 || self.frame().statics.is_some() {
            return Err(Fault::Slots);
        }
        self.frame_mut().statics = Some(vec![StackItem::Null; count.into()]);
        self.heap.adjust(count.into());
        Ok(())
    }

    pub(super) fn init_slots(&mut self, locals: u8, arguments: u8) -> Result<()> {
        let context = self.context();
        if context.locals.is_some() || context.arguments.is_some() || (locals == 0 && arguments == 0) {
            return Err(Fault::Slots);
        }
        if locals > 0 {
            self.context_mut().locals = Some(vec![StackItem::Null; locals.into()]);
            self.heap.adjust(locals.into());
        }
        if arguments > 0 {
            let stack = self.stack_mut();
            let start = stack.len().checked_sub(arguments.into()).ok_or(Fault::StackUnderflow)?;
            let mut items = stack.split_off(start);
            items.reverse();
            self.context_mut().arguments = Some(items);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn load_static(&mut self, index: u8) -> Result<()> {
        let item = load(self.frame().statics.as_ref(), index)?;
        self.push(item);
        Ok(())
    }

    #[inline]
    pub(super) fn load_local(&mut self, index: u8) -> Result<()> {
        let item = load(self.context().locals.as_ref(), index)?;
        self.push(item);
        Ok(())
    }

    #[inline]
    pub(super) fn load_argument(&mut self, index: u8) -> Result<()> {
        let item = load(self.context().arguments.as_ref(), index)?;
        self.push(item);
        Ok(())
    }

    #[inline]
    pub(super) fn store_static(&mut self, index: u8) -> Result<()> {
        let item = self.pop_counted()?;
        let old = store(self.frame_mut().statics.as_mut(), index, item)?;
        self.heap.remove_reference(&old);
        Ok(())
    }

    #[inline]
    pub(super) fn store_local(&mut self, index: u8) -> Result<()> {
        let item = self.pop_counted()?;
        let old = store(self.context_mut().locals.as_mut(), index, item)?;
        self.heap.remove_reference(&old);
        Ok(())
    }

    #[inline]
    pub(super) fn store_argument(&mut self, index: u8) -> Result<()> {
        let item = self.pop_counted()?;
        let old = store(self.context_mut().arguments.as_mut(), index, item)?;
        self.heap.remove_reference(&old);
        Ok(())
    }
}

#[inline]
fn load(slots: Option<&Vec<StackItem>>, index: u8) -> Result<StackItem> {
    slots.and_then(|slots| slots.get(usize::from(index))).cloned().ok_or(Fault::Slots)
}

/// Puts an item, which keeps its count, into a slot and gives back the one before.
#[inline]
fn store(slots: Option<&mut Vec<StackItem>>, index: u8, item: StackItem) -> Result<StackItem> {
    let slot = slots.and_then(|slots| slots.get_mut(usize::from(index))).ok_or(Fault::Slots)?;
    Ok(std::mem::replace(slot, item))
}
