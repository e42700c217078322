//! Stepping through a script. Mirrors `Debugger.cs`.

use std::collections::BTreeSet;

use crate::engine::{Engine, Host, State};

/// Runs an engine in steps and up to break points, which hold in every script.
#[derive(Debug, Default)]
pub struct Debugger {
    break_points: BTreeSet<usize>,
}

impl Debugger {
    /// Stops before the instruction at this position of any script.
    pub fn add_break_point(&mut self, position: usize) {
        self.break_points.insert(position);
    }

    /// Removes a break point.
    pub fn remove_break_point(&mut self, position: usize) {
        self.break_points.remove(&position);
    }

    /// Runs to the end or to a break point.
    pub fn run<H: Host>(&self, engine: &mut Engine<H>) -> State {
        resume(engine);
        while engine.state() == State::Running {
            self.step(engine);
        }
        engine.state()
    }

    /// Runs one instruction.
    pub fn step_into<H: Host>(&self, engine: &mut Engine<H>) -> State {
        if ended(engine) {
            return engine.state();
        }
        engine.step();
        pause(engine)
    }

    /// Runs one instruction, and what it calls.
    pub fn step_over<H: Host>(&self, engine: &mut Engine<H>) -> State {
        if ended(engine) {
            return engine.state();
        }
        engine.set_state(State::Running);
        let depth = engine.contexts().len();
        loop {
            self.step(engine);
            if engine.state() != State::Running || engine.contexts().len() <= depth {
                return pause(engine);
            }
        }
    }

    /// Runs until the current call has returned.
    pub fn step_out<H: Host>(&self, engine: &mut Engine<H>) -> State {
        resume(engine);
        let depth = engine.contexts().len();
        while engine.state() == State::Running && engine.contexts().len() >= depth {
            self.step(engine);
        }
        pause(engine)
    }

    fn step<H: Host>(&self, engine: &mut Engine<H>) {
        engine.step();
        let stop =
            engine.contexts().last().is_some_and(|context| self.break_points.contains(&context.position()));
        if stop && engine.state() == State::Running {
            engine.set_state(State::Break);
        }
    }
}

fn ended<H: Host>(engine: &Engine<H>) -> bool {
    matches!(engine.state(), State::Halt | State::Fault)
}

fn resume<H: Host>(engine: &mut Engine<H>) {
    if engine.state() == State::Break {
        engine.set_state(State::Running);
    }
}

fn pause<H: Host>(engine: &mut Engine<H>) -> State {
    if engine.state() == State::Running {
        engine.set_state(State::Break);
    }
    engine.state()
}
