//! What `/metrics` and `/status` count, since the start of the process: one row per metric.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use securemodel_link::traffic::Traffic;

/// What the process counts as it goes.
#[derive(Default)]
pub struct Counters {
    pub batches: AtomicU64,
    pub rows: AtomicU64,
    /// Batches of more than 2^(i - 1) and at most 2^i rows.
    pub batch_rows: [AtomicU64; SIZES],
    pub batch_micros: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    pub rejected: AtomicU64,
    /// Frames and client bodies.
    pub traffic: Arc<Traffic>,
    pub hops: AtomicU64,
    /// Epochs that began to serve.
    pub epochs: AtomicU64,
}

/// Up to 2^16 rows, the most that --max-rows takes.
const SIZES: usize = 17;

impl Counters {
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// A batch has ended.
    pub fn batch(&self, rows: usize, took: Duration, hops: u16) {
        let size = (rows.next_power_of_two().ilog2() as usize).min(SIZES - 1);
        Counters::add(&self.batches, 1);
        Counters::add(&self.rows, rows);
        Counters::add(&self.batch_rows[size], 1);
        Counters::add(&self.batch_micros, took.as_micros() as usize);
        self.hops.store(u64::from(hops), Ordering::Relaxed);
    }
}

/// What the metrics are made of.
pub struct Snapshot<'a> {
    pub counters: &'a Counters,
    pub ready: bool,
    /// Requests that wait for a batch.
    pub waiting: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

struct Metric {
    /// After `securemodel_player_`; a counter's ends in `_total`.
    name: &'static str,
    /// Among the counters of `/status`, if it is there.
    status: Option<&'static str>,
    kind: Kind,
    help: &'static str,
    value: fn(&Snapshot<'_>) -> f64,
}

fn read(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// Every metric with one value; the histogram of batch sizes stands apart.
const METRICS: &[Metric] = {
    use Kind::{Counter, Gauge};
    &[
        Metric {
            name: "batches_total",
            status: Some("batches"),
            kind: Counter,
            help: "Batches that were computed.",
            value: |seen| read(&seen.counters.batches),
        },
        Metric {
            name: "rows_total",
            status: Some("rows"),
            kind: Counter,
            help: "Rows of these batches.",
            value: |seen| read(&seen.counters.rows),
        },
        Metric {
            name: "requests_total",
            status: Some("requests"),
            kind: Counter,
            help: "Predictions that clients asked for.",
            value: |seen| read(&seen.counters.requests),
        },
        Metric {
            name: "errors_total",
            status: Some("errors"),
            kind: Counter,
            help: "Requests that were answered with an error.",
            value: |seen| read(&seen.counters.errors),
        },
        Metric {
            name: "rejected_total",
            status: Some("rejected"),
            kind: Counter,
            help: "Errors because too much was waiting already.",
            value: |seen| read(&seen.counters.rejected),
        },
        Metric {
            name: "bytes_sent_total",
            status: Some("bytes_sent"),
            kind: Counter,
            help: "Bytes of frames and answers, before TLS.",
            value: |seen| read(&seen.counters.traffic.sent),
        },
        Metric {
            name: "bytes_received_total",
            status: Some("bytes_received"),
            kind: Counter,
            help: "Bytes of frames and of clients' requests, after TLS.",
            value: |seen| read(&seen.counters.traffic.received),
        },
        Metric {
            name: "last_batch_hops",
            status: Some("hops"),
            kind: Gauge,
            help: "The longest chain of messages of the last batch, client to client.",
            value: |seen| read(&seen.counters.hops),
        },
        Metric {
            name: "epochs_total",
            status: None,
            kind: Counter,
            help: "Times that the three players linked anew and served.",
            value: |seen| read(&seen.counters.epochs),
        },
        Metric {
            name: "ready",
            status: None,
            kind: Gauge,
            help: "Whether predictions are served: 1, or 0.",
            value: |seen| f64::from(u8::from(seen.ready)),
        },
        Metric {
            name: "waiting",
            status: Some("waiting"),
            kind: Gauge,
            help: "Requests that wait for a batch.",
            value: |seen| seen.waiting as f64,
        },
        Metric {
            name: "batch_seconds_total",
            status: None,
            kind: Counter,
            help: "Time that batches took.",
            value: |seen| read(&seen.counters.batch_micros) / 1e6,
        },
    ]
};

/// The counters of `/status`, by name.
pub fn status(seen: &Snapshot<'_>) -> impl Iterator<Item = (&'static str, u64)> {
    let row = |metric: &Metric| Some((metric.status?, (metric.value)(seen) as u64));
    METRICS.iter().filter_map(row).collect::<Vec<_>>().into_iter()
}

/// All of it in Prometheus's text format.
pub fn exposition(seen: &Snapshot<'_>) -> String {
    let mut text = String::new();
    for Metric { name, kind, help, value, .. } in METRICS {
        let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
        let value = value(seen);
        let _ = writeln!(text, "# HELP securemodel_player_{name} {help}");
        let _ = writeln!(text, "# TYPE securemodel_player_{name} {kind}");
        let _ = writeln!(text, "securemodel_player_{name} {value}");
    }
    batch_sizes(seen.counters, &mut text);
    text
}

fn batch_sizes(counters: &Counters, text: &mut String) {
    const NAME: &str = "securemodel_player_batch_rows";
    let _ = writeln!(text, "# HELP {NAME} Rows of a batch.");
    let _ = writeln!(text, "# TYPE {NAME} histogram");
    let mut batches = 0;
    for (i, count) in counters.batch_rows.iter().enumerate() {
        batches += count.load(Ordering::Relaxed);
        let _ = writeln!(text, "{NAME}_bucket{{le=\"{}\"}} {batches}", 1 << i);
    }
    let _ = writeln!(text, "{NAME}_bucket{{le=\"+Inf\"}} {batches}");
    let _ = writeln!(text, "{NAME}_sum {}", counters.rows.load(Ordering::Relaxed));
    let _ = writeln!(text, "{NAME}_count {batches}");
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::path::Path;

    use super::*;

    #[test]
    fn batches_are_counted_by_size() {
        let counters = Counters::default();
        for rows in [1, 2, 3, 4, 5, 256, 1 << 16] {
            counters.batch(rows, Duration::from_millis(2), 9);
        }
        let sizes = counters.batch_rows.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(sizes, [1, 1, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(counters.batch_micros.load(Ordering::Relaxed), 14_000);
    }

    #[test]
    fn batch_sizes_are_a_cumulative_histogram() {
        let counters = Counters::default();
        let batches = [1, 3, 4, 200].into_iter();
        batches.for_each(|rows| counters.batch(rows, Duration::from_millis(500), 9));
        let text = exposition(&Snapshot { counters: &counters, ready: true, waiting: 0 });
        for line in [
            "seconds_total 2",
            "rows_bucket{le=\"2\"} 1",
            "rows_bucket{le=\"4\"} 3",
            "rows_bucket{le=\"+Inf\"} 4",
            "rows_sum 208",
            "rows_count 4",
        ] {
            assert!(
                text.contains(&format!("\nsecuremodel_player_batch_{line}\n")),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn every_metric_says_what_it_is_once() {
        let counters = Counters::default();
        let text = exposition(&Snapshot { counters: &counters, ready: true, waiting: 3 });
        for Metric { name, kind, .. } in METRICS {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(text.matches(&format!("# TYPE securemodel_player_{name} ")).count(), 1);
        }
        assert!(text.contains("\nsecuremodel_player_ready 1\n"), "{text}");
        assert!(text.contains("\nsecuremodel_player_waiting 3\n"), "{text}");
    }

    /// A document of docs/.
    fn document(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    #[test]
    fn operators_are_told_of_every_metric() {
        let text = document("operations.md");
        let (_, table) = text.split_once("| metric | kind |").expect("the table of metrics");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or("").split(", "));
        let told: HashSet<_> = names.map(|name| name.trim().trim_matches('`')).collect();

        let ours = METRICS.iter().map(|metric| metric.name).chain(["batch_rows"]);
        assert_eq!(told, ours.collect());
    }

    #[test]
    fn the_counters_of_status_are_those_of_the_document() {
        let text = document("wire.md");
        let (_, rest) = text.split_once("\"counters\": ").expect("an example of /status");
        let example = rest.split_inclusive('}').next().expect("an object");
        let told: BTreeMap<String, u64> = serde_json::from_str(example).expect("JSON");

        let ours = METRICS.iter().filter_map(|metric| metric.status);
        assert_eq!(told.keys().map(String::as_str).collect::<HashSet<_>>(), ours.collect());
    }
}
