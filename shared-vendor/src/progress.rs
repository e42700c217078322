//! Percent, rate and time left from samples of work done: one calculation for the log line, the status page and the
//! metrics, so that they never disagree.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::{
    clock::Time,
    metrics,
    ops::{Phase, Status},
};

/// The rate is measured over this much time.
const WINDOW: Duration = Duration::from_secs(300);
/// No guess before this.
const FIRST_GUESS: Duration = Duration::from_secs(30);
/// Samples closer than this are merged, so the window holds at most 300.
const STEP: Duration = Duration::from_secs(1);
/// Without progress for this long, synchronisation is stalled.
const STALLED: Duration = Duration::from_secs(300);

/// Follows one synchronisation. Work is whatever the caller weighs blocks in; work found done at the start (resume,
/// replay, cache hits) counts for the percentage but not for the rate.
#[derive(Clone, Debug)]
pub struct Progress {
    stage: &'static str,
    began: Time,
    moved: Time,
    /// Time and work done by this run.
    samples: VecDeque<(Time, f64)>,
    own: f64,
    work: f64,
    total: f64,
    height: u64,
    target: Option<u64>,
}

/// The numbers at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// What is being done: `headers`, `blocks`.
    pub stage: &'static str,
    /// 0 to 100; nothing without a target.
    pub percent: Option<f64>,
    /// Height reached.
    pub height: u64,
    /// Best validated claim.
    pub target: Option<u64>,
    /// Work a second over the last five minutes.
    pub rate: Option<f64>,
    /// Time left; nothing in the first 30 seconds or without a rate.
    pub eta: Option<Duration>,
    /// Whether nothing has moved for five minutes although there is work left.
    pub stalled: bool,
}

impl Progress {
    /// Begins at `height` with `work` done before this run.
    #[must_use]
    pub fn new(stage: &'static str, now: Time, height: u64, work: f64) -> Self {
        let samples = VecDeque::from([(now, 0.0)]);
        Self { stage, began: now, moved: now, samples, own: 0.0, work, total: work, height, target: None }
    }

    /// Names another stage; rate and window go on.
    pub fn stage(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    /// The best validated claim: its height and the work from the beginning up to it.
    pub fn aim(&mut self, target: u64, total: f64) {
        self.target = Some(target);
        self.total = total;
    }

    /// Notes that this run has done `work` more and is at `height` now. Undone work after a reorganisation is negative.
    pub fn advance(&mut self, now: Time, height: u64, work: f64) {
        self.height = height;
        self.work += work;
        self.own += work;
        if work > 0.0 {
            self.moved = now;
        }
        let first = self.samples.len() < 2;
        match self.samples.back_mut() {
            Some((last, own)) if !first && now.since(*last) < STEP => *own = self.own,
            _ => self.samples.push_back((now, self.own)),
        }
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// The numbers now.
    #[must_use]
    pub fn numbers(&self, now: Time) -> Numbers {
        let left = (self.total - self.work).max(0.0);
        let rate = self.samples.front().and_then(|(from, own)| {
            let seconds = now.since(*from).as_secs_f64();
            (seconds >= 1.0).then(|| ((self.own - own) / seconds).max(0.0))
        });
        let known = self.target.is_some();
        let guess = known && now.since(self.began) >= FIRST_GUESS;
        let eta = rate.filter(|rate| guess && *rate > 0.0).map(|rate| left / rate);
        Numbers {
            stage: self.stage,
            percent: known
                .then(|| if left > 0.0 { (100.0 * self.work / self.total).clamp(0.0, 100.0) } else { 100.0 }),
            height: self.height,
            target: self.target,
            rate,
            eta: eta.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            stalled: known && left > 0.0 && now.since(self.moved) >= STALLED,
        }
    }
}

impl Numbers {
    /// Puts the numbers on the status page.
    pub fn show(&self, status: &mut Status) {
        status.unit = self.stage;
        status.height = self.height;
        status.target = self.target;
        status.percent = self.percent;
        status.rate = self.rate;
        status.eta_seconds = self.eta.map(|eta| eta.as_secs());
    }

    /// Puts the numbers into the common metrics.
    #[allow(clippy::cast_precision_loss)] // a gauge is a float; heights stay far below 2^53
    pub fn export(&self, metrics: &metrics::Common, phase: Phase) {
        metrics.head_height.set(self.height as f64);
        metrics.target_height.set(self.target.unwrap_or(self.height) as f64);
        metrics.sync_progress.set(self.percent.unwrap_or(0.0) / 100.0);
        metrics.sync_eta.set(self.eta.map_or(-1.0, |eta| eta.as_secs_f64()));
        metrics.sync_stalled.set(f64::from(u8::from(self.stalled)));
        let states = [
            ("starting", Phase::Starting),
            ("syncing", Phase::Syncing),
            ("synced", Phase::Synced),
            ("stopping", Phase::Stopping),
        ];
        for (name, state) in states {
            metrics.sync_state.with(&[name]).set(f64::from(u8::from(state == phase)));
        }
    }
}

/// The progress line: `headers 41.2% height=3629110 target=8804200 rate=5210/s eta=16m35s`.
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stage)?;
        if let Some(percent) = self.percent {
            // Rounded down: 100.0 % is said only of what is complete.
            write!(f, " {:.1}%", (percent * 10.0).floor() / 10.0)?;
        }
        write!(f, " height={}", self.height)?;
        if let Some(target) = self.target {
            write!(f, " target={target}")?;
        }
        match self.rate {
            Some(rate) if rate >= 10.0 => write!(f, " rate={rate:.0}/s")?,
            Some(rate) => write!(f, " rate={rate:.1}/s")?,
            None => {}
        }
        match self.eta {
            Some(eta) => write!(f, " eta={}", short(eta)),
            None => f.write_str(" eta=?"),
        }
    }
}

/// The two largest units of a duration: `16m35s`, `2h05m`, `3d04h`.
#[must_use]
pub fn short(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_millis(secs * 1000)
    }

    #[test]
    fn the_line_reads_as_the_conventions_say() {
        let mut progress = Progress::new("headers", at(0), 3_000_000, 3_000_000.0);
        progress.aim(8_804_200, 8_804_200.0);
        assert_eq!(progress.numbers(at(0)).to_string(), "headers 34.0% height=3000000 target=8804200 eta=?");
        for second in 1..=100 {
            progress.advance(at(second), 3_000_000 + second * 5210, 5210.0);
        }
        let line = progress.numbers(at(100)).to_string();
        assert_eq!(line, "headers 39.9% height=3521000 target=8804200 rate=5210/s eta=16m54s");
    }

    #[test]
    fn work_of_earlier_runs_does_not_count_for_the_rate() {
        let mut progress = Progress::new("blocks", at(0), 900, 900.0);
        progress.aim(1000, 1000.0);
        progress.advance(at(40), 904, 4.0);
        let numbers = progress.numbers(at(40));
        assert_eq!(numbers.rate, Some(0.1));
        assert_eq!(numbers.eta, Some(Duration::from_secs(960)));
    }

    #[test]
    fn the_rate_forgets_what_is_older_than_the_window() {
        let mut progress = Progress::new("blocks", at(0), 0, 0.0);
        progress.aim(1_000_000, 1_000_000.0);
        (1..=300).for_each(|second| progress.advance(at(second), second * 100, 100.0));
        (301..=700).for_each(|second| progress.advance(at(second), 30_000 + second, 1.0));
        let rate = progress.numbers(at(700)).rate.unwrap();
        assert!((0.9..1.1).contains(&rate), "{rate}");
        assert!(progress.samples.len() <= 302);
    }

    #[test]
    fn it_is_never_negative_and_never_above_one_hundred() {
        let mut progress = Progress::new("blocks", at(0), 0, 0.0);
        assert_eq!(progress.numbers(at(60)).percent, None);
        progress.aim(10, 10.0);
        progress.advance(at(31), 12, 12.0);
        let numbers = progress.numbers(at(31));
        assert_eq!((numbers.percent, numbers.eta), (Some(100.0), Some(Duration::ZERO)));
        progress.advance(at(32), 2, -20.0);
        let numbers = progress.numbers(at(33));
        assert_eq!((numbers.percent, numbers.rate, numbers.eta), (Some(0.0), Some(0.0), None));
    }

    #[test]
    fn it_is_stalled_after_five_minutes_with_work_left() {
        let mut progress = Progress::new("blocks", at(0), 0, 0.0);
        progress.aim(10, 10.0);
        progress.advance(at(1), 1, 1.0);
        assert!(!progress.numbers(at(300)).stalled);
        assert!(progress.numbers(at(301)).stalled);
        progress.advance(at(302), 10, 9.0);
        assert!(!progress.numbers(at(999)).stalled);
    }
}
