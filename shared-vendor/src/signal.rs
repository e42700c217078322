//! Signals as a stream of values, and the service manager. Signals are read on a thread of their own, so that a second
//! TERM ends the process even when the main runtime is stuck.

use std::{io, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: stop in order. A second one never arrives here: it ends the process at once with 128+n.
    Stop,
    /// HUP: reopen the log, reload what can be reloaded.
    Reload,
    /// USR1: log a summary of the state.
    Summary,
    /// USR2: the daemon's own.
    User2,
}

/// Starts to listen. SIGPIPE is ignored by Rust's runtime already.
///
/// # Errors
/// The thread or a handler cannot be installed.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    let (send, receive) = mpsc::channel(16);
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                if let Err(err) = forward(&send, &ready).await {
                    let _ = ready.send(Err(err));
                }
            }),
            Err(err) => {
                let _ = ready.send(Err(err));
            }
        }
    })?;
    is_ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
    Ok(receive)
}

async fn forward(
    send: &mpsc::Sender<Signal>,
    ready: &std::sync::mpsc::SyncSender<io::Result<()>>,
) -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut usr1 = signal(SignalKind::user_defined1())?;
    let mut usr2 = signal(SignalKind::user_defined2())?;
    let _ = ready.send(Ok(()));
    let mut stopping = false;
    loop {
        let (value, number) = tokio::select! {
            Some(()) = term.recv() => (Signal::Stop, 15),
            Some(()) = int.recv() => (Signal::Stop, 2),
            Some(()) = hup.recv() => (Signal::Reload, 1),
            Some(()) = usr1.recv() => (Signal::Summary, 10),
            Some(()) = usr2.recv() => (Signal::User2, 12),
            else => return Ok(()),
        };
        if value == Signal::Stop && std::mem::replace(&mut stopping, true) {
            leave(number);
        }
        let _ = send.try_send(value); // a full queue means that nobody listens: only TERM matters then
    }
}

/// Ends the process now. Stores commit atomically, so the data is consistent.
#[allow(clippy::disallowed_methods)] // the operator asked twice; the main thread may be stuck
fn leave(signal: i32) -> ! {
    std::process::exit(128 + signal)
}

/// The service manager's view of this process. Does nothing where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Service;

impl Service {
    /// RPC answers.
    pub fn ready(self) {
        send(&[NotifyState::Ready]);
    }

    /// One line for `systemctl status`: the progress line.
    pub fn status(self, line: &str) {
        send(&[NotifyState::Status(line)]);
    }

    /// A reload has begun; [`Self::ready`] ends it.
    pub fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(_) => send(&[NotifyState::Reloading]),
        }
    }

    /// The process has begun to stop.
    pub fn stopping(self) {
        send(&[NotifyState::Stopping]);
    }

    /// Asks for more time, during migration and flush.
    pub fn extend(self, by: Duration) {
        send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))]);
    }

    /// The main loops tick. Call it from the loops' own heartbeat, not from a timer.
    pub fn alive(self) {
        send(&[NotifyState::Watchdog]);
    }

    /// How often the service manager wants [`Self::alive`], halved for safety.
    #[must_use]
    pub fn watchdog(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }
}

fn send(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states); // nothing depends on it, and there is nobody to tell
}
