//! The table from instructions to what they do; one module for each group. Mirrors `JumpTable/*.cs`.

mod compound;
mod numeric;
mod splice;
mod stack;
mod types;

use crate::{
    engine::{Engine, Host},
    fault::{Fault, Result},
    item::{Pointer, StackItem},
    limits::MAX_ITEM_SIZE,
    opcode::OpCode as Op,
    script::{Instruction, i8_at, i32_at},
};

impl<H: Host> Engine<H> {
    #[inline]
    pub(crate) fn dispatch(&mut self, at: Instruction) -> Result<()> {
        match at.op {
            Op::PUSHINT8
            | Op::PUSHINT16
            | Op::PUSHINT32
            | Op::PUSHINT64
            | Op::PUSHINT128
            | Op::PUSHINT256 => {
                let value = neo_base::Int::from_bytes(self.operand(at));
                self.push_int(value)
            }
            Op::PUSHT => self.done(|engine| engine.push_bool(true)),
            Op::PUSHF => self.done(|engine| engine.push_bool(false)),
            Op::PUSHA => self.push_pointer(i32_at(self.operand(at), 0)),
            Op::PUSHNULL => self.done(|engine| engine.push(StackItem::Null)),
            Op::PUSHDATA1 | Op::PUSHDATA2 | Op::PUSHDATA4 => {
                let bytes = self.operand(at);
                if bytes.len() > MAX_ITEM_SIZE {
                    return Err(Fault::ItemTooLarge(bytes.len()));
                }
                let item = StackItem::bytes(bytes);
                self.push(item);
                Ok(())
            }
            Op::PUSHM1 => self.push_int(-1),
            Op::PUSH0 => self.push_int(0),
            Op::PUSH1 => self.push_int(1),
            Op::PUSH2 => self.push_int(2),
            Op::PUSH3 => self.push_int(3),
            Op::PUSH4 => self.push_int(4),
            Op::PUSH5 => self.push_int(5),
            Op::PUSH6 => self.push_int(6),
            Op::PUSH7 => self.push_int(7),
            Op::PUSH8 => self.push_int(8),
            Op::PUSH9 => self.push_int(9),
            Op::PUSH10 => self.push_int(10),
            Op::PUSH11 => self.push_int(11),
            Op::PUSH12 => self.push_int(12),
            Op::PUSH13 => self.push_int(13),
            Op::PUSH14 => self.push_int(14),
            Op::PUSH15 => self.push_int(15),
            Op::PUSH16 => self.push_int(16),

            Op::NOP => Ok(()),
            Op::JMP => self.jump(i8_at(self.operand(at), 0)),
            Op::JMP_L => self.jump(i32_at(self.operand(at), 0)),
            Op::JMPIF => self.jump_if(i8_at(self.operand(at), 0), true),
            Op::JMPIF_L => self.jump_if(i32_at(self.operand(at), 0), true),
            Op::JMPIFNOT => self.jump_if(i8_at(self.operand(at), 0), false),
            Op::JMPIFNOT_L => self.jump_if(i32_at(self.operand(at), 0), false),
            Op::JMPEQ => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_eq()),
            Op::JMPEQ_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_eq()),
            Op::JMPNE => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_ne()),
            Op::JMPNE_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_ne()),
            Op::JMPGT => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_gt()),
            Op::JMPGT_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_gt()),
            Op::JMPGE => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_ge()),
            Op::JMPGE_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_ge()),
            Op::JMPLT => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_lt()),
            Op::JMPLT_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_lt()),
            Op::JMPLE => self.jump_compare(i8_at(self.operand(at), 0), |order| order.is_le()),
            Op::JMPLE_L => self.jump_compare(i32_at(self.operand(at), 0), |order| order.is_le()),
            Op::CALL => self.call(self.target(i8_at(self.operand(at), 0))?),
            Op::CALL_L => self.call(self.target(i32_at(self.operand(at), 0))?),
            Op::CALLA => self.call_pointer(),
            Op::CALLT => {
                let token = self.operand(at).first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
                H::call_token(self, token)
            }
            Op::ABORT => Err(Fault::Aborted(String::new())),
            Op::ABORTMSG => {
                let message = self.pop()?;
                Err(Fault::Aborted(self.message(&message)?))
            }
            Op::ASSERT => match self.pop_bool()? {
                true => Ok(()),
                false => Err(Fault::Aborted(String::new())),
            },
            Op::ASSERTMSG => {
                let message = self.pop()?;
                let message = self.message(&message)?;
                if self.pop_bool()? { Ok(()) } else { Err(Fault::Aborted(message)) }
            }
            Op::THROW => {
                let exception = self.pop()?;
                self.throw(exception)
            }
            Op::TRY => self.begin_try(i8_at(self.operand(at), 0), i8_at(self.operand(at), 1)),
            Op::TRY_L => self.begin_try(i32_at(self.operand(at), 0), i32_at(self.operand(at), 4)),
            Op::ENDTRY => self.end_try(i8_at(self.operand(at), 0)),
            Op::ENDTRY_L => self.end_try(i32_at(self.operand(at), 0)),
            Op::ENDFINALLY => self.end_finally(),
            Op::RET => self.ret(),
            Op::SYSCALL => {
                let id = self.operand(at).first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                H::syscall(self, id)
            }

            Op::DEPTH => self.push_int(self.stack_len()),
            Op::DROP => self.pop().map(drop),
            Op::NIP => self.remove_at(1),
            Op::XDROP => {
                let depth = self.pop_index()?;
                self.remove_at(depth)
            }
            Op::CLEAR => self.done(Self::clear),
            Op::DUP => self.pick(0),
            Op::OVER => self.pick(1),
            Op::PICK => {
                let depth = self.pop_index()?;
                self.pick(depth)
            }
            Op::TUCK => self.tuck(),
            Op::SWAP => self.swap(),
            Op::ROT => self.roll(2),
            Op::ROLL => {
                let depth = self.pop_index()?;
                self.roll(depth)
            }
            Op::REVERSE3 => self.reverse(3),
            Op::REVERSE4 => self.reverse(4),
            Op::REVERSEN => {
                let count = self.pop_index()?;
                self.reverse(count)
            }

            Op::INITSSLOT => self.init_statics(self.operand_byte(at, 0)),
            Op::INITSLOT => self.init_slots(self.operand_byte(at, 0), self.operand_byte(at, 1)),
            Op::LDSFLD0 => self.load_static(0),
            Op::LDSFLD1 => self.load_static(1),
            Op::LDSFLD2 => self.load_static(2),
            Op::LDSFLD3 => self.load_static(3),
            Op::LDSFLD4 => self.load_static(4),
            Op::LDSFLD5 => self.load_static(5),
            Op::LDSFLD6 => self.load_static(6),
            Op::LDSFLD => self.load_static(self.operand_byte(at, 0)),
            Op::STSFLD0 => self.store_static(0),
            Op::STSFLD1 => self.store_static(1),
            Op::STSFLD2 => self.store_static(2),
            Op::STSFLD3 => self.store_static(3),
            Op::STSFLD4 => self.store_static(4),
            Op::STSFLD5 => self.store_static(5),
            Op::STSFLD6 => self.store_static(6),
            Op::STSFLD => self.store_static(self.operand_byte(at, 0)),
            Op::LDLOC0 => self.load_local(0),
            Op::LDLOC1 => self.load_local(1),
            Op::LDLOC2 => self.load_local(2),
            Op::LDLOC3 => self.load_local(3),
            Op::LDLOC4 => self.load_local(4),
            Op::LDLOC5 => self.load_local(5),
            Op::LDLOC6 => self.load_local(6),
            Op::LDLOC => self.load_local(self.operand_byte(at, 0)),
            Op::STLOC0 => self.store_local(0),
            Op::STLOC1 => self.store_local(1),
            Op::STLOC2 => self.store_local(2),
            Op::STLOC3 => self.store_local(3),
            Op::STLOC4 => self.store_local(4),
            Op::STLOC5 => self.store_local(5),
            Op::STLOC6 => self.store_local(6),
            Op::STLOC => self.store_local(self.operand_byte(at, 0)),
            Op::LDARG0 => self.load_argument(0),
            Op::LDARG1 => self.load_argument(1),
            Op::LDARG2 => self.load_argument(2),
            Op::LDARG3 => self.load_argument(3),
            Op::LDARG4 => self.load_argument(4),
            Op::LDARG5 => self.load_argument(5),
            Op::LDARG6 => self.load_argument(6),
            Op::LDARG => self.load_argument(self.operand_byte(at, 0)),
            Op::STARG0 => self.store_argument(0),
            Op::STARG1 => self.store_argument(1),
            Op::STARG2 => self.store_argument(2),
            Op::STARG3 => self.store_argument(3),
            Op::STARG4 => self.store_argument(4),
            Op::STARG5 => self.store_argument(5),
            Op::STARG6 => self.store_argument(6),
            Op::STARG => self.store_argument(self.operand_byte(at, 0)),

            Op::NEWBUFFER => self.new_buffer(),
            Op::MEMCPY => self.memcpy(),
            Op::CAT => self.cat(),
            Op::SUBSTR => self.substr(),
            Op::LEFT => self.left(),
            Op::RIGHT => self.right(),

            Op::INVERT => self.unary(|x| x.not()),
            Op::AND => self.binary(|a, b| Some(a.and(b))),
            Op::OR => self.binary(|a, b| Some(a.or(b))),
            Op::XOR => self.binary(|a, b| Some(a.xor(b))),
            Op::EQUAL => self.equal(true),
            Op::NOTEQUAL => self.equal(false),
            Op::SIGN => self.unary(|x| x.signum()),
            Op::ABS => self.unary(|x| x.abs()),
            Op::NEGATE => self.unary(|x| x.neg()),
            Op::INC => self.unary(|x| x.add(&neo_base::Int::ONE)),
            Op::DEC => self.unary(|x| x.sub(&neo_base::Int::ONE)),
            Op::ADD => self.binary(|a, b| Some(a.add(b))),
            Op::SUB => self.binary(|a, b| Some(a.sub(b))),
            Op::MUL => self.binary(|a, b| Some(a.mul(b))),
            Op::DIV => self.binary(neo_base::Int::div),
            Op::MOD => self.binary(neo_base::Int::rem),
            Op::POW => self.pow(),
            Op::SQRT => {
                let root = self.pop_int()?.sqrt().ok_or(Fault::NoSuchNumber)?;
                self.push_int(root)
            }
            Op::MODMUL => self.ternary(neo_base::Int::mod_mul),
            Op::MODPOW => self.ternary(neo_base::Int::mod_pow),
            Op::SHL => self.shift(neo_base::Int::shl),
            Op::SHR => self.shift(neo_base::Int::shr),
            Op::NOT => {
                let value = self.pop_bool()?;
                self.done(|engine| engine.push_bool(!value))
            }
            Op::BOOLAND => self.logic(|a, b| a && b),
            Op::BOOLOR => self.logic(|a, b| a || b),
            Op::NZ => {
                let value = self.pop_int()?;
                self.done(|engine| engine.push_bool(!value.is_zero()))
            }
            Op::NUMEQUAL => self.compare(|order| order.is_eq()),
            Op::NUMNOTEQUAL => self.compare(|order| order.is_ne()),
            Op::LT => self.compare_nullable(|order| order.is_lt()),
            Op::LE => self.compare_nullable(|order| order.is_le()),
            Op::GT => self.compare_nullable(|order| order.is_gt()),
            Op::GE => self.compare_nullable(|order| order.is_ge()),
            Op::MIN => self.binary(|a, b| Some(a.min(b).clone())),
            Op::MAX => self.binary(|a, b| Some(a.max(b).clone())),
            Op::WITHIN => self.within(),

            Op::PACKMAP => self.pack_map(),
            Op::PACKSTRUCT => self.pack(true),
            Op::PACK => self.pack(false),
            Op::UNPACK => self.unpack(),
            Op::NEWARRAY0 => self.new_list(false, StackItem::Null, Some(0)),
            Op::NEWARRAY => self.new_list(false, StackItem::Null, None),
            Op::NEWARRAY_T => self.new_typed_array(self.operand_byte(at, 0)),
            Op::NEWSTRUCT0 => self.new_list(true, StackItem::Null, Some(0)),
            Op::NEWSTRUCT => self.new_list(true, StackItem::Null, None),
            Op::NEWMAP => self.new_map(),
            Op::SIZE => self.size(),
            Op::HASKEY => self.has_key(),
            Op::KEYS => self.keys(),
            Op::VALUES => self.values(),
            Op::PICKITEM => self.pick_item(),
            Op::APPEND => self.append(),
            Op::SETITEM => self.set_item(),
            Op::REVERSEITEMS => self.reverse_items(),
            Op::REMOVE => self.remove_item(),
            Op::CLEARITEMS => self.clear_items(),
            Op::POPITEM => self.pop_item(),

            Op::ISNULL => {
                let item = self.pop()?;
                self.done(|engine| engine.push_bool(matches!(item, StackItem::Null)))
            }
            Op::ISTYPE => self.is_type(self.operand_byte(at, 0)),
            Op::CONVERT => self.convert(self.operand_byte(at, 0)),
        }
    }

    #[inline]
    fn operand(&self, at: Instruction) -> &[u8] {
        at.operand(self.frame().script.bytes())
    }

    #[inline]
    fn operand_byte(&self, at: Instruction, index: usize) -> u8 {
        self.operand(at).get(index).copied().unwrap_or_default()
    }

    #[inline]
    fn done(&mut self, act: impl FnOnce(&mut Self)) -> Result<()> {
        act(self);
        Ok(())
    }

    fn push_pointer(&mut self, offset: i64) -> Result<()> {
        let position = self.target(offset)?;
        let script = self.frame().script.clone();
        let position = usize::try_from(position)
            .ok()
            .filter(|position| *position <= script.len())
            .ok_or(Fault::OutOfScript(position))?;
        self.push(StackItem::Pointer(Pointer { script, position }));
        Ok(())
    }

    #[inline]
    fn jump_if(&mut self, offset: i64, wanted: bool) -> Result<()> {
        if self.pop_bool()? == wanted { self.jump(offset) } else { Ok(()) }
    }

    #[inline]
    fn jump_compare(&mut self, offset: i64, wanted: impl FnOnce(std::cmp::Ordering) -> bool) -> Result<()> {
        let b = self.pop_int()?;
        let a = self.pop_int()?;
        if wanted(a.cmp(&b)) { self.jump(offset) } else { Ok(()) }
    }

    /// The text of a message, which must be UTF-8 or null.
    fn message(&self, item: &StackItem) -> Result<String> {
        match item {
            StackItem::Null => Ok(String::new()),
            other => String::from_utf8(self.heap.bytes_of(other)?).map_err(|_| Fault::NotText),
        }
    }
}
