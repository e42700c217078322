//! Prometheus metrics over `prometheus-client`: names and units are checked when a metric is registered, every
//! registered metric is in the catalogue, and the text is format 0.0.4. A daemon's `metrics.rs` declares all it emits.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::text,
    metrics::{counter, family::Family, gauge, histogram},
    registry,
};

/// A value that only grows. Its name ends in `_total`.
pub type Counter = counter::Counter;
/// A value that goes up and down, as a floating-point number in base units.
pub type Gauge = gauge::Gauge<f64, AtomicU64>;
/// A distribution over fixed buckets.
pub type Histogram = histogram::Histogram;

/// Buckets for durations of local work, in seconds: 0.1 ms to about 26 s, each four times the last.
pub const DURATION_BUCKETS: [f64; 10] =
    [0.0001, 0.0004, 0.0016, 0.0064, 0.0256, 0.1024, 0.4096, 1.6384, 6.5536, 26.2144];

/// One registered metric, as the catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Full name with prefix, as scraped.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names, in order.
    pub labels: Vec<&'static str>,
    /// The HELP text.
    pub help: &'static str,
}

type LabelSet = Vec<(&'static str, String)>;

/// A metric with labels. Values of labels come from fixed sets in the code, never from the network.
#[derive(Debug, Clone)]
pub struct Labelled<M> {
    names: &'static [&'static str],
    family: Family<LabelSet, M, fn() -> M>,
}

impl<M: Clone> Labelled<M> {
    /// The metric for these label values, in the order of the declared names; created at first use.
    #[must_use]
    pub fn with(&self, values: &[&str]) -> M {
        let set = self.names.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect();
        self.family.get_or_create(&set).clone()
    }
}

/// All metrics of a process under one prefix. Clones share the same metrics.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    inner: registry::Registry,
    prefix: &'static str,
    catalogue: Vec<Entry>,
}

impl Registry {
    /// An empty registry. `prefix` is the daemon's, without underscore: `rustock`.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        let inner = registry::Registry::with_prefix(prefix);
        Self { shared: Arc::new(Mutex::new(Shared { inner, prefix, catalogue: Vec::new() })) }
    }

    /// Registers a counter; the name ends in `_total`.
    ///
    /// # Panics
    /// The name breaks the naming rules or is taken: a mistake in the code, found by the first test that starts.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        let metric = Counter::default();
        self.add(name, "counter", &[], help, metric.clone());
        metric
    }

    /// Registers a gauge.
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        let metric = Gauge::default();
        self.add(name, "gauge", &[], help, metric.clone());
        metric
    }

    /// Registers a histogram of durations in seconds with [`DURATION_BUCKETS`]; the name ends in `_seconds`.
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn duration(&self, name: &'static str, help: &'static str) -> Histogram {
        let metric = new_duration();
        self.add(name, "histogram", &[], help, metric.clone());
        metric
    }

    /// Registers a counter with labels.
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn counters(
        &self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Labelled<Counter> {
        self.labelled(name, "counter", labels, help, Counter::default)
    }

    /// Registers a gauge with labels.
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn gauges(
        &self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Labelled<Gauge> {
        self.labelled(name, "gauge", labels, help, Gauge::default)
    }

    /// Registers a histogram of durations with labels.
    ///
    /// # Panics
    /// As [`Registry::counter`].
    pub fn durations(
        &self,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Labelled<Histogram> {
        self.labelled(name, "histogram", labels, help, new_duration)
    }

    /// What is registered, sorted by name. Tests compare it with dashboards and alerts.
    #[must_use]
    pub fn catalogue(&self) -> Vec<Entry> {
        let mut entries = self.shared.lock().catalogue.clone();
        entries.sort();
        entries
    }

    /// The text of `/metrics`, Prometheus format 0.0.4, with the `process_*` values of this process.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut openmetrics = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut openmetrics, &self.shared.lock().inner);
        let mut out = to_text_format(&openmetrics);
        process::write(&mut out);
        out
    }

    fn labelled<M: registry::Metric + Clone>(
        &self,
        name: &'static str,
        kind: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        new: fn() -> M,
    ) -> Labelled<M>
    where
        Family<LabelSet, M, fn() -> M>: registry::Metric,
    {
        let family = Family::new_with_constructor(new);
        self.add(name, kind, labels, help, family.clone());
        Labelled { names: labels, family }
    }

    fn add(
        &self,
        name: &'static str,
        kind: &'static str,
        labels: &[&'static str],
        help: &'static str,
        metric: impl registry::Metric,
    ) {
        let mut shared = self.shared.lock();
        let full = format!("{}_{name}", shared.prefix);
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{full}: not snake_case"
        );
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{full}: counters, and only they, end in _total"
        );
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{full}: a duration is in seconds");
        assert!(shared.catalogue.iter().all(|entry| entry.name != full), "{full}: registered twice");
        // prometheus-client appends `_total` and a full stop itself.
        shared.inner.register(
            name.strip_suffix("_total").unwrap_or(name),
            help.trim_end_matches('.'),
            metric,
        );
        shared.catalogue.push(Entry { name: full, kind, labels: labels.to_vec(), help });
    }
}

fn new_duration() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// OpenMetrics names a counter's family without `_total` and ends in `# EOF`; format 0.0.4 does neither.
fn to_text_format(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take() {
                let _ = writeln!(out, "# HELP {name}{suffix} {text}");
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// The metrics that every daemon exports under the same name after its prefix.
#[derive(Debug, Clone)]
pub struct Common {
    /// Height of the best verified block or header.
    pub head_height: Gauge,
    /// Timestamp of that block, Unix seconds.
    pub head_timestamp: Gauge,
    /// Best validated claim of the peers.
    pub target_height: Gauge,
    /// One series per state, 1 on the present one.
    pub sync_state: Labelled<Gauge>,
    /// 0 to 1.
    pub sync_progress: Gauge,
    /// Seconds left, -1 while unknown.
    pub sync_eta: Gauge,
    /// 1 after five minutes without progress.
    pub sync_stalled: Gauge,
    /// Time to verify and commit one block or batch.
    pub block_apply: Histogram,
    /// Reorganisations seen.
    pub reorgs: Counter,
    /// Depth of the last one.
    pub reorg_depth: Gauge,
    /// Connected peers by direction (`in`, `out`).
    pub peers: Labelled<Gauge>,
    /// Closed connections by reason.
    pub peer_disconnects: Labelled<Counter>,
    /// Bans by reason.
    pub peer_bans: Labelled<Counter>,
    /// Bytes by direction.
    pub p2p_bytes: Labelled<Counter>,
    /// Messages by direction and type.
    pub p2p_messages: Labelled<Counter>,
    /// Refused messages by reason.
    pub p2p_rejected: Labelled<Counter>,
}

impl Common {
    /// Registers the set, and `build_info` with its constant labels.
    ///
    /// # Panics
    /// One of the names is registered already.
    #[must_use]
    pub fn register(registry: &Registry, version: &str, commit: &str, rustc: &str) -> Self {
        registry
            .gauges("build_info", &["version", "commit", "rustc"], "Always 1; the labels describe the build")
            .with(&[version, commit, rustc])
            .set(1.0);
        let common = Self {
            head_height: registry.gauge("head_height", "Height of the best verified block"),
            head_timestamp: registry.gauge("head_timestamp_seconds", "Timestamp of the best verified block"),
            target_height: registry.gauge("target_height", "Best validated height claimed by peers"),
            sync_state: registry.gauges(
                "sync_state",
                &["state"],
                "1 on the present state of synchronisation",
            ),
            sync_progress: registry.gauge("sync_progress_ratio", "Part of the chain that is synchronised"),
            sync_eta: registry.gauge("sync_eta_seconds", "Time until synchronised, -1 while unknown"),
            sync_stalled: registry.gauge("sync_stalled", "1 after five minutes without progress"),
            block_apply: registry
                .duration("block_apply_duration_seconds", "Time to verify and commit a block"),
            reorgs: registry.counter("reorgs_total", "Reorganisations of the best chain"),
            reorg_depth: registry.gauge("reorg_depth_blocks", "Blocks undone by the last reorganisation"),
            peers: registry.gauges("peers", &["direction"], "Connected peers"),
            peer_disconnects: registry.counters("peer_disconnects_total", &["reason"], "Connections closed"),
            peer_bans: registry.counters("peer_bans_total", &["reason"], "Peers banned"),
            p2p_bytes: registry.counters("p2p_bytes_total", &["direction"], "Bytes exchanged with peers"),
            p2p_messages: registry.counters(
                "p2p_messages_total",
                &["direction", "type"],
                "Messages exchanged with peers",
            ),
            p2p_rejected: registry.counters(
                "p2p_rejected_total",
                &["reason"],
                "Messages of peers that were refused",
            ),
        };
        // Both directions are there from the first page on: a series that comes later looks like a gap.
        for direction in ["in", "out"] {
            common.peers.with(&[direction]).set(0.0);
            common.p2p_bytes.with(&[direction]).inc_by(0);
        }
        common
    }
}

/// What the kernel knows of this process, read from `/proc/self` at each scrape; absent elsewhere.
mod process {
    use std::{fmt::Write, fs};

    /// Resident memory in bytes, if the system tells.
    pub(super) fn resident_bytes() -> Option<u64> {
        let statm = fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        pages.checked_mul(4096)
    }

    pub(super) fn write(out: &mut String) {
        let mut line = |name: &str, kind: &str, help: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
            }
        };
        let resident = resident_bytes().map(|bytes| bytes.to_string());
        line("process_resident_memory_bytes", "gauge", "Resident memory.", resident);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // Fields after the command's closing parenthesis; user and system time are the 12th and 13th, 100 ticks a second.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let cpu = ticks(11).zip(ticks(12)).map(|(user, system)| {
            let total = user.saturating_add(system);
            format!("{}.{:02}", total / 100, total % 100)
        });
        line("process_cpu_seconds_total", "counter", "User and system time.", cpu);
        let files = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().to_string());
        line("process_open_fds", "gauge", "Open file descriptors.", files);
    }
}

/// Resident memory of this process in bytes, if the system tells.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    process::resident_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_keep_their_name_in_help_type_and_sample() {
        let registry = Registry::new("demo");
        registry.counter("things_total", "Things seen").inc_by(3);
        registry.gauges("peers", &["direction"], "Peers").with(&["in"]).set(2.0);
        registry.duration("apply_duration_seconds", "Time").observe(0.001);
        let text = registry.encode();
        assert!(text.starts_with(
            "# HELP demo_things_total Things seen.\n# TYPE demo_things_total counter\ndemo_things_total 3\n"
        ));
        assert!(text.contains("demo_peers{direction=\"in\"} 2"));
        assert!(text.contains("demo_apply_duration_seconds_bucket{le=\"0.0016\"} 1"));
        assert!(!text.contains("EOF"));
        assert_eq!(registry.catalogue().len(), 3);
    }

    #[test]
    #[should_panic(expected = "only they, end in _total")]
    fn a_counter_without_total_is_a_mistake() {
        Registry::new("demo").counter("things", "Things");
    }
}
