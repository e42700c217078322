//! Protocol cores as state machines without I/O, and the driver that runs one on tokio. The other driver is the
//! simulator (`testing::sim`). A machine never waits, never reads a clock and never panics on what a peer sends.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use crate::{
    clock::{Clock, Time},
    tasks::Stop,
};

/// A protocol core: a pure function from state and input to state and effects.
pub trait Machine {
    /// Message received, request from above, timer fired, peer gone.
    type Input;
    /// Send, disconnect, ask the store, set state visible to RPC, score a peer.
    type Effect;

    /// Takes one input at `now` and appends what is to be done, in order, to `out`.
    fn step(&mut self, now: Time, input: Self::Input, out: &mut Vec<Self::Effect>);

    /// When to be called again if nothing arrives. A step at or after it must move it or clear it.
    fn deadline(&self) -> Option<Time>;
}

/// The input that a driver makes itself when a machine's deadline has come: `impl From<Tick> for MyInput`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick;

/// Carries out the effects of a driven machine, in order.
pub trait Perform<E>: Send {
    /// Does one effect; `Break` ends the machine.
    fn perform(&mut self, effect: E) -> impl Future<Output = ControlFlow<()>> + Send;
}

/// Runs a machine until told to stop, until its mailbox is closed, or until an effect breaks; returns it as it is then.
/// The mailbox is a bounded channel, so whoever sends too fast waits.
pub async fn drive<M>(
    mut machine: M,
    mut mailbox: mpsc::Receiver<M::Input>,
    clock: &dyn Clock,
    stop: Stop,
    mut performer: impl Perform<M::Effect>,
) -> M
where
    M: Machine,
    M::Input: From<Tick>,
{
    let mut effects = Vec::new();
    loop {
        let input = tokio::select! {
            biased;
            () = stop.wait() => return machine,
            () = until(clock, machine.deadline()) => M::Input::from(Tick),
            input = mailbox.recv() => match input {
                Some(input) => input,
                None => return machine,
            },
        };
        machine.step(clock.now(), input, &mut effects);
        for effect in effects.drain(..) {
            if performer.perform(effect).await.is_break() {
                return machine;
            }
        }
    }
}

async fn until(clock: &dyn Clock, deadline: Option<Time>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left = deadline.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;

    /// Says how many inputs it has had, and once more five milliseconds after the second.
    struct Counter {
        seen: u32,
        wake: Option<Time>,
    }

    enum Input {
        Add,
        Quiet,
    }

    impl From<Tick> for Input {
        fn from(_: Tick) -> Self {
            Self::Quiet
        }
    }

    impl Machine for Counter {
        type Input = Input;
        type Effect = (u32, bool);

        fn step(&mut self, now: Time, input: Input, out: &mut Vec<(u32, bool)>) {
            match input {
                Input::Add => {
                    self.seen += 1;
                    self.wake = (self.seen == 2).then(|| now.after(Duration::from_millis(5)));
                    out.push((self.seen, false));
                }
                Input::Quiet => {
                    self.wake = None;
                    out.push((self.seen, true));
                }
            }
        }

        fn deadline(&self) -> Option<Time> {
            self.wake
        }
    }

    struct UntilQuiet(Vec<(u32, bool)>);

    impl Perform<(u32, bool)> for &mut UntilQuiet {
        async fn perform(&mut self, effect: (u32, bool)) -> ControlFlow<()> {
            self.0.push(effect);
            if effect.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    #[tokio::test]
    async fn inputs_are_stepped_in_order_and_the_deadline_fires_when_none_come() {
        let (send, mailbox) = mpsc::channel(4);
        send.send(Input::Add).await.ok();
        send.send(Input::Add).await.ok();
        let mut performer = UntilQuiet(Vec::new());
        let machine = Counter { seen: 0, wake: None };
        let machine = drive(machine, mailbox, &SystemClock::default(), Stop::never(), &mut performer).await;
        assert_eq!(performer.0, [(1, false), (2, false), (2, true)]);
        assert_eq!(machine.wake, None);
    }

    #[tokio::test]
    async fn a_closed_mailbox_ends_the_machine() {
        let (send, mailbox) = mpsc::channel(1);
        drop(send);
        let machine = Counter { seen: 3, wake: None };
        let mut none = UntilQuiet(Vec::new());
        assert_eq!(drive(machine, mailbox, &SystemClock::default(), Stop::never(), &mut none).await.seen, 3);
    }
}
