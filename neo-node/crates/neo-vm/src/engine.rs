//! The engine: contexts, the loop, exceptions, unloading. Mirrors `ExecutionEngine.cs`, `ExecutionContext.cs` and
//! `JumpTable.Control.cs`.
//!
//! Contexts made by `CALL` share stack, static fields and host state with the context they come from. They always
//! lie directly above it, so the shared parts form a stack of their own ([`Frame`]s).

use crate::{
    fault::{Fault, Result},
    heap::Heap,
    item::{Bytes, Interop, StackItem},
    limits::{MAX_INVOCATION_DEPTH, MAX_STACK_SIZE, MAX_TRY_NESTING},
    opcode::OpCode,
    script::{Instruction, Script},
};

/// Whether and how execution has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Instructions are left.
    Running,
    /// Not started yet, or stopped by a debugger.
    Break,
    /// Ended normally; the results are on the result stack.
    Halt,
    /// Ended by a fault.
    Fault,
}

/// The three behaviours of instructions that hardforks left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    /// Before Echidna. Observably equal to `Echidna`: the old `SUBSTR` adds without overflow check, and then faults
    /// on the slice.
    Genesis,
    /// From Echidna: shifts by zero leave the operand as it is, whatever its type; indexes are 32-bit numbers.
    Echidna,
    /// From Gorgon.
    Gorgon,
}

/// What the engine asks of its surroundings.
pub trait Host: Sized {
    /// State of the host for each loaded script, shared by the contexts that `CALL` makes.
    type State;

    /// Called before each instruction; charges for it.
    ///
    /// # Errors
    /// The instruction may not run.
    fn before(&mut self, state: &Self::State, op: OpCode) -> Result<()>;

    /// Runs an interop service.
    ///
    /// # Errors
    /// It does not exist or fails.
    fn syscall(engine: &mut Engine<Self>, id: u32) -> Result<()>;

    /// Calls a method token of the executing contract.
    ///
    /// # Errors
    /// It does not exist or the call fails.
    fn call_token(engine: &mut Engine<Self>, token: u16) -> Result<()>;

    /// Called after a script is unloaded, by return or by an exception ([`Engine::uncaught`] is set).
    ///
    /// # Errors
    /// Execution must end.
    fn unloaded(engine: &mut Engine<Self>, script: Unloaded<Self::State>) -> Result<()>;

    /// Names the items that the host holds, so that they are not freed.
    fn trace(&self, mark: &mut dyn FnMut(&StackItem));
}

/// A script that has just been unloaded.
#[derive(Debug)]
pub struct Unloaded<S> {
    /// State of the host for it.
    pub state: S,
    /// Items that were on its stack; on return they are now on the stack of the caller.
    pub items: usize,
}

/// No surroundings: nothing is charged, no services exist.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    type State = ();

    fn before(&mut self, (): &(), _: OpCode) -> Result<()> {
        Ok(())
    }

    fn syscall(_: &mut Engine<Self>, id: u32) -> Result<()> {
        Err(Fault::UnknownSyscall(id))
    }

    fn call_token(_: &mut Engine<Self>, token: u16) -> Result<()> {
        Err(Fault::UnknownToken(token))
    }

    fn unloaded(_: &mut Engine<Self>, _: Unloaded<()>) -> Result<()> {
        Ok(())
    }

    fn trace(&self, _: &mut dyn FnMut(&StackItem)) {}
}

/// Where execution is in one call.
#[derive(Debug)]
pub struct Context {
    pub(crate) position: usize,
    /// Items that a loaded script must return; `None`: any number.
    pub(crate) returns: Option<usize>,
    pub(crate) locals: Option<Vec<StackItem>>,
    pub(crate) arguments: Option<Vec<StackItem>>,
    tries: Vec<Try>,
    /// True for the first context of a frame.
    owns_frame: bool,
}

impl Context {
    /// Offset of the next instruction.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Local variables, once initialised.
    #[must_use]
    pub fn locals(&self) -> Option<&[StackItem]> {
        self.locals.as_deref()
    }

    /// Arguments, once initialised.
    #[must_use]
    pub fn arguments(&self) -> Option<&[StackItem]> {
        self.arguments.as_deref()
    }
}

/// What the contexts of one loaded script share.
#[derive(Debug)]
pub(crate) struct Frame<S> {
    pub(crate) script: Script,
    pub(crate) stack: Vec<StackItem>,
    pub(crate) statics: Option<Vec<StackItem>>,
    state: S,
}

/// What can be seen of a loaded script from outside.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// The script.
    pub script: &'a Script,
    /// Its stack; the last item is the top.
    pub stack: &'a [StackItem],
    /// Its static fields, once initialised.
    pub statics: Option<&'a [StackItem]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TryState {
    Try,
    Catch,
    Finally,
}

/// One `TRY` block. Positions are checked when they are used.
#[derive(Debug)]
struct Try {
    catch: Option<i64>,
    finally: Option<i64>,
    end: i64,
    state: TryState,
}

/// Runs scripts.
#[derive(Debug)]
pub struct Engine<H: Host> {
    /// The surroundings.
    pub host: H,
    /// Memory of the items.
    pub heap: Heap,
    /// Items that a host needs to keep while it runs instructions of its own accord.
    pub pinned: Vec<StackItem>,
    pub(crate) contexts: Vec<Context>,
    pub(crate) frames: Vec<Frame<H::State>>,
    pub(crate) results: Vec<StackItem>,
    pub(crate) era: Era,
    /// Set when an instruction has set the position itself.
    pub(crate) jumped: bool,
    uncaught: Option<StackItem>,
    state: State,
    fault: Option<Fault>,
}

/// Outside view.
impl<H: Host> Engine<H> {
    /// An engine without scripts, stopped before the first instruction.
    #[must_use]
    pub fn new(host: H, era: Era) -> Self {
        Self {
            host,
            heap: Heap::default(),
            pinned: Vec::new(),
            contexts: Vec::new(),
            frames: Vec::new(),
            results: Vec::new(),
            era,
            jumped: false,
            uncaught: None,
            state: State::Break,
            fault: None,
        }
    }

    /// Loads a script above the others. It must return exactly `returns` items, if that is a number.
    ///
    /// # Errors
    /// Too many contexts, or `position` is outside the script.
    pub fn load(
        &mut self,
        script: Script,
        returns: Option<usize>,
        position: usize,
        state: H::State,
    ) -> Result<()> {
        if position > script.len() {
            return Err(out_of_script(position));
        }
        self.push_context(position, returns, true)?;
        self.frames.push(Frame { script, stack: Vec::new(), statics: None, state });
        Ok(())
    }

    /// Runs until execution ends.
    pub fn run(&mut self) -> State {
        if self.state == State::Break {
            self.state = State::Running;
        }
        while self.state == State::Running {
            self.step();
        }
        self.state
    }

    /// Runs one instruction.
    pub fn step(&mut self) {
        if self.contexts.is_empty() {
            self.state = State::Halt;
        } else if let Err(fault) = self.execute() {
            self.state = State::Fault;
            self.fault = Some(fault);
        }
    }

    /// Whether execution has ended.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Marks a running engine as stopped by a debugger, or the reverse.
    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// Why execution ended in a fault.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The exception that is being passed on.
    #[must_use]
    pub fn uncaught(&self) -> Option<&StackItem> {
        self.uncaught.as_ref()
    }

    /// What the scripts returned; the last is the top.
    #[must_use]
    pub fn results(&self) -> &[StackItem] {
        &self.results
    }

    /// The calls in progress; the last is the current one.
    #[must_use]
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// The loaded script that the context at this place of [`Engine::contexts`] belongs to.
    #[must_use]
    pub fn frame_of(&self, context: usize) -> Option<FrameView<'_>> {
        let owners = self.contexts.get(..=context)?.iter().filter(|context| context.owns_frame).count();
        let frame = self.frames.get(owners.checked_sub(1)?)?;
        Some(FrameView { script: &frame.script, stack: &frame.stack, statics: frame.statics.as_deref() })
    }

    /// Number of loaded scripts.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.frames.len()
    }

    /// State of the host for the executing script.
    #[must_use]
    pub fn current(&self) -> Option<&H::State> {
        self.frames.last().map(|frame| &frame.state)
    }

    /// The same, to change.
    pub fn current_mut(&mut self) -> Option<&mut H::State> {
        self.frames.last_mut().map(|frame| &mut frame.state)
    }

    /// State of the host for the loaded script at this place, counted from the entry script, to change.
    pub fn state_at_mut(&mut self, index: usize) -> Option<&mut H::State> {
        self.frames.get_mut(index).map(|frame| &mut frame.state)
    }

    /// States of the host in the same order, to change.
    pub fn states_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut H::State> {
        self.frames.iter_mut().map(|frame| &mut frame.state)
    }

    /// States of the host, from the entry script to the executing one.
    pub fn states(&self) -> impl DoubleEndedIterator<Item = &H::State> + ExactSizeIterator {
        self.frames.iter().map(|frame| &frame.state)
    }
}

/// The stack of the executing script, for instructions and interop services.
impl<H: Host> Engine<H> {
    /// Offset of the instruction that is being executed; 0 outside of any.
    #[must_use]
    pub fn position(&self) -> usize {
        self.contexts.last().map_or(0, Context::position)
    }

    /// Items on the stack.
    #[inline]
    #[must_use]
    pub fn stack_len(&self) -> usize {
        self.stack().len()
    }

    /// Pushes an item and counts it.
    #[inline]
    pub fn push(&mut self, item: StackItem) {
        self.heap.add_reference(&item);
        self.push_uncounted(item);
    }

    /// Pops an item and takes its count back.
    ///
    /// # Errors
    /// The stack is empty.
    #[inline]
    pub fn pop(&mut self) -> Result<StackItem> {
        let item = self.pop_counted()?;
        self.heap.remove_reference(&item);
        Ok(item)
    }

    /// Pushes an integer.
    ///
    /// # Errors
    /// It has more than 32 bytes.
    #[inline]
    pub fn push_int(&mut self, value: impl Into<neo_base::Int>) -> Result<()> {
        let value = value.into();
        if !value.fits_vm() {
            return Err(Fault::IntegerTooLarge);
        }
        self.heap.adjust(1);
        self.push_uncounted(StackItem::Integer(value));
        Ok(())
    }

    /// Pushes a boolean.
    #[inline]
    pub fn push_bool(&mut self, value: bool) {
        self.heap.adjust(1);
        self.push_uncounted(StackItem::Boolean(value));
    }

    /// Pushes bytes.
    pub fn push_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.push(StackItem::ByteString(bytes.into()));
    }

    /// Pushes an object of the host.
    pub fn push_interop(&mut self, object: Interop) {
        self.push(StackItem::Interop(object));
    }

    /// Pops an integer.
    ///
    /// # Errors
    /// The stack is empty, or the item is no integer.
    #[inline]
    pub fn pop_int(&mut self) -> Result<neo_base::Int> {
        self.pop()?.to_int()
    }

    /// Pops an integer that fits 32 bits with sign.
    ///
    /// # Errors
    /// The stack is empty, the item is no integer, or it does not fit.
    pub fn pop_i32(&mut self) -> Result<i32> {
        self.pop_int()?.to_i32().ok_or(Fault::OutOfRange)
    }

    /// Pops an integer that is a length or index: a C# `int` that is not negative.
    ///
    /// # Errors
    /// As [`Engine::pop_i32`], or negative.
    pub fn pop_index(&mut self) -> Result<usize> {
        usize::try_from(self.pop_i32()?).map_err(|_| Fault::OutOfRange)
    }

    /// Pops a condition.
    ///
    /// # Errors
    /// The stack is empty, or the item is too long.
    pub fn pop_bool(&mut self) -> Result<bool> {
        self.pop()?.to_bool()
    }

    /// Pops the bytes of a primitive item or buffer.
    ///
    /// # Errors
    /// The stack is empty, or another type.
    pub fn pop_bytes(&mut self) -> Result<Vec<u8>> {
        let item = self.pop()?;
        self.heap.bytes_of(&item)
    }

    #[inline]
    pub(crate) fn push_uncounted(&mut self, item: StackItem) {
        self.stack_mut().push(item);
    }

    /// Pops an item whose count stays.
    #[inline]
    pub(crate) fn pop_counted(&mut self) -> Result<StackItem> {
        self.stack_mut().pop().ok_or(Fault::StackUnderflow)
    }

    /// The item at a depth, 0 for the top.
    ///
    /// # Errors
    /// The stack has fewer items.
    #[inline]
    pub fn peek(&self, depth: usize) -> Result<&StackItem> {
        let stack = self.stack();
        stack
            .len()
            .checked_sub(depth.saturating_add(1))
            .and_then(|at| stack.get(at))
            .ok_or(Fault::StackUnderflow)
    }

    #[inline]
    pub(crate) fn stack(&self) -> &Vec<StackItem> {
        &self.frame().stack
    }

    #[inline]
    pub(crate) fn stack_mut(&mut self) -> &mut Vec<StackItem> {
        &mut self.frame_mut().stack
    }

    #[inline]
    pub(crate) fn frame(&self) -> &Frame<H::State> {
        self.frames.last().expect("an instruction runs in a frame")
    }

    #[inline]
    pub(crate) fn frame_mut(&mut self) -> &mut Frame<H::State> {
        self.frames.last_mut().expect("an instruction runs in a frame")
    }

    #[inline]
    pub(crate) fn context(&self) -> &Context {
        self.contexts.last().expect("an instruction runs in a context")
    }

    #[inline]
    pub(crate) fn context_mut(&mut self) -> &mut Context {
        self.contexts.last_mut().expect("an instruction runs in a context")
    }
}

/// Control flow.
impl<H: Host> Engine<H> {
    fn execute(&mut self) -> Result<()> {
        let running = self.contexts.len().saturating_sub(1);
        let frame = self.frames.last().expect("a context has a frame");
        let next = frame.script.instruction(self.context().position)?;
        let instruction = next.unwrap_or(Instruction { op: OpCode::RET, operand: 0, end: 0 });
        self.host.before(&frame.state, instruction.op)?;
        self.dispatch(instruction)?;
        if self.heap.count() > MAX_STACK_SIZE {
            return Err(Fault::StackOverflow(self.heap.count()));
        }
        if !std::mem::take(&mut self.jumped)
            && next.is_some()
            && let Some(context) = self.contexts.get_mut(running)
        {
            context.position = instruction.end;
        }
        if self.heap.wants_collection() {
            self.collect();
        }
        Ok(())
    }

    fn push_context(&mut self, position: usize, returns: Option<usize>, owns_frame: bool) -> Result<()> {
        if self.contexts.len() >= MAX_INVOCATION_DEPTH {
            return Err(Fault::InvocationTooDeep);
        }
        let (locals, arguments, tries) = (None, None, Vec::new());
        self.contexts.push(Context { position, returns, locals, arguments, tries, owns_frame });
        Ok(())
    }

    /// The position `offset` bytes from the current instruction, a 32-bit number in the reference.
    pub(crate) fn target(&self, offset: i64) -> Result<i64> {
        let position = i64::try_from(self.context().position).unwrap_or(i64::MAX).saturating_add(offset);
        if i32::try_from(position).is_ok() { Ok(position) } else { Err(Fault::OutOfScript(position)) }
    }

    /// Sets the position, which may be the end of the script.
    fn set_position(&mut self, position: i64) -> Result<()> {
        let len = self.frame().script.len();
        let valid = usize::try_from(position).ok().filter(|position| *position <= len);
        self.context_mut().position = valid.ok_or(Fault::OutOfScript(position))?;
        self.jumped = true;
        Ok(())
    }

    pub(crate) fn jump(&mut self, offset: i64) -> Result<()> {
        let position = self.target(offset)?;
        let len = self.frame().script.len();
        if usize::try_from(position).is_ok_and(|position| position < len) {
            self.set_position(position)
        } else {
            Err(Fault::OutOfScript(position))
        }
    }

    /// Calls a position of the executing script, as `CALL` does; the called part shares the stack.
    ///
    /// # Errors
    /// The position is outside the script, or there are too many contexts.
    pub fn call(&mut self, position: i64) -> Result<()> {
        let len = self.frame().script.len();
        let valid = usize::try_from(position).ok().filter(|position| *position <= len);
        self.push_context(valid.ok_or(Fault::OutOfScript(position))?, Some(0), false)
    }

    pub(crate) fn call_pointer(&mut self) -> Result<()> {
        let item = self.pop()?;
        let StackItem::Pointer(pointer) = item else { return Err(Fault::InvalidType(item.item_type())) };
        if pointer.script != self.frame().script {
            return Err(Fault::ForeignPointer);
        }
        self.push_context(pointer.position, Some(0), false)
    }

    pub(crate) fn ret(&mut self) -> Result<()> {
        let context = self.contexts.pop().ok_or(Fault::StackUnderflow)?;
        self.jumped = true;
        if context.owns_frame {
            let found = self.stack_len();
            if let Some(expected) = context.returns
                && found != expected
            {
                return Err(Fault::ReturnCount { found, expected });
            }
            let items = std::mem::take(self.stack_mut());
            let below = self.frames.len().checked_sub(2).and_then(|at| self.frames.get_mut(at));
            below.map_or(&mut self.results, |frame| &mut frame.stack).extend(items);
            self.unload(&context, found)?;
        } else {
            self.unload(&context, 0)?;
        }
        if self.contexts.is_empty() {
            self.state = State::Halt;
        }
        Ok(())
    }

    /// Takes back the counts of the slots of a context that has been removed, and of its frame if it was the last.
    /// Items left on the stack of a frame that an exception unloads keep their count, as in the reference.
    fn unload(&mut self, context: &Context, items: usize) -> Result<()> {
        let frame = if context.owns_frame { self.frames.pop() } else { None };
        let statics = frame.as_ref().and_then(|frame| frame.statics.as_ref());
        for slots in [statics, context.locals.as_ref(), context.arguments.as_ref()].into_iter().flatten() {
            slots.iter().for_each(|item| self.heap.remove_reference(item));
        }
        match frame {
            Some(frame) => H::unloaded(self, Unloaded { state: frame.state, items }),
            None => Ok(()),
        }
    }

    pub(crate) fn begin_try(&mut self, catch: i64, finally: i64) -> Result<()> {
        if catch == 0 && finally == 0 {
            return Err(Fault::NoTry);
        }
        if self.context().tries.len() >= MAX_TRY_NESTING {
            return Err(Fault::TryTooDeep);
        }
        // a negative position means that there is no such part
        let part = |offset| match offset {
            0 => Ok(None),
            _ => self.target(offset).map(|position| Some(position).filter(|position| *position >= 0)),
        };
        let block = Try { catch: part(catch)?, finally: part(finally)?, end: -1, state: TryState::Try };
        self.context_mut().tries.push(block);
        Ok(())
    }

    pub(crate) fn end_try(&mut self, offset: i64) -> Result<()> {
        let block = self.context().tries.last().ok_or(Fault::NoTry)?;
        if block.state == TryState::Finally {
            return Err(Fault::NoTry);
        }
        let end = self.target(offset)?;
        let block = self.context_mut().tries.last_mut().ok_or(Fault::NoTry)?;
        if let Some(finally) = block.finally {
            block.state = TryState::Finally;
            block.end = end;
            return self.set_position(finally);
        }
        self.context_mut().tries.pop();
        self.set_position(end)
    }

    pub(crate) fn end_finally(&mut self) -> Result<()> {
        let block = self.context_mut().tries.pop().ok_or(Fault::NoTry)?;
        match self.uncaught.take() {
            None => self.set_position(block.end),
            Some(exception) => self.throw(exception),
        }
    }

    /// Throws a text, as instructions and services do for errors that scripts may catch.
    ///
    /// # Errors
    /// Nothing catches it.
    pub fn throw_text(&mut self, text: &str) -> Result<()> {
        self.throw(StackItem::bytes(text.as_bytes()))
    }

    /// Throws an item: unwinds to the nearest handler.
    ///
    /// # Errors
    /// Nothing catches it, or the host refuses to unload a script.
    pub fn throw(&mut self, exception: StackItem) -> Result<()> {
        self.uncaught = Some(exception);
        let mut handler = None;
        'search: for (index, context) in self.contexts.iter_mut().enumerate().rev() {
            while let Some(block) = context.tries.last() {
                let spent = match block.state {
                    TryState::Try => false,
                    TryState::Catch => block.finally.is_none(),
                    TryState::Finally => true,
                };
                if !spent {
                    handler = Some(index);
                    break 'search;
                }
                context.tries.pop();
            }
        }
        let Some(handler) = handler else {
            let exception = self.uncaught.as_ref().map(|item| self.describe(item)).unwrap_or_default();
            return Err(Fault::Unhandled(exception));
        };
        while self.contexts.len() > handler.saturating_add(1) {
            let Some(context) = self.contexts.pop() else { break };
            let items = if context.owns_frame { self.stack_len() } else { 0 };
            self.unload(&context, items)?;
        }
        let block = self.context_mut().tries.last_mut().ok_or(Fault::NoTry)?;
        if let (TryState::Try, Some(catch)) = (block.state, block.catch) {
            block.state = TryState::Catch;
            if let Some(exception) = self.uncaught.take() {
                self.push(exception);
            }
            return self.set_position(catch);
        }
        block.state = TryState::Finally;
        let finally = block.finally.unwrap_or(-1);
        self.set_position(finally)
    }

    /// Text of an item for messages to people.
    pub(crate) fn describe(&self, item: &StackItem) -> String {
        match self.heap.bytes_of(item) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => format!("{:?}", item.item_type()),
        }
    }

    fn collect(&mut self) {
        let Self { host, heap, pinned, contexts, frames, results, uncaught, .. } = self;
        heap.collect(|mark| {
            for frame in frames.iter() {
                frame.stack.iter().for_each(&mut *mark);
                frame.statics.iter().flatten().for_each(&mut *mark);
            }
            for context in contexts.iter() {
                context.locals.iter().flatten().for_each(&mut *mark);
                context.arguments.iter().flatten().for_each(&mut *mark);
            }
            results.iter().chain(pinned.iter()).chain(uncaught.iter()).for_each(&mut *mark);
            host.trace(mark);
        });
    }
}

fn out_of_script(position: usize) -> Fault {
    Fault::OutOfScript(i64::try_from(position).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
