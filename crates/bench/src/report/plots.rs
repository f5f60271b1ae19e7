//! Which plots there are.

use crate::cases::CONCURRENCIES;
use crate::measure::Row;
use crate::parts::Kind;
use crate::sections::{Keys, Point, StartUp};
use crate::stats::number;

use super::Report;
use super::svg::{Axis, Bars, Lines, Scale, Series};

/// A finished plot.
pub struct Plot {
    /// Its file's name.
    pub file: &'static str,
    /// For those who do not see it.
    pub alt: &'static str,
    /// The drawing.
    pub svg: String,
}

/// All for which there is something to plot.
pub fn all(report: &Report) -> Vec<Plot> {
    let mut plots = Vec::new();
    if !report.signing.is_empty() {
        plots.push(throughput(&report.signing));
        plots.extend(CONCURRENCIES.iter().filter_map(|c| latency(report, *c)));
    }
    if let Some(keys) = &report.keys {
        plots.push(creation(keys));
        plots.push(stored(keys));
    }
    if !report.growth.is_empty() {
        plots.push(growth(&report.growth));
    }
    if !report.endurance.is_empty() {
        plots.push(endurance(&report.endurance));
    }
    plots
}

fn throughput(rows: &[Row]) -> Plot {
    let mut groups: Vec<(String, Vec<(String, f64)>)> = Vec::new();
    for row in rows {
        let name = format!("{} {}", row.scheme, row.committee());
        let bar = (format!("{} in flight", row.in_flight), row.per_second);
        match groups.iter_mut().find(|(group, _)| *group == name) {
            Some((_, bars)) => bars.push(bar),
            None => groups.push((name, vec![bar])),
        }
    }
    let bars = Bars {
        title: "Signatures per second, whole cluster".to_owned(),
        label: "signatures per second, logarithmic",
        groups,
    };
    Plot {
        file: "throughput.svg",
        alt: "signatures per second by scheme, committee and requests in flight",
        svg: bars.svg(),
    }
}

/// How many of all signatures took no longer than this.
fn latency(report: &Report, in_flight: usize) -> Option<Plot> {
    let rows = report.signing.iter();
    let series: Vec<Series> = rows
        .filter(|row| row.in_flight == in_flight && row.samples > 0)
        .map(|row| Series {
            name: format!("{} {}", row.scheme, row.committee()),
            points: cumulative(&row.latencies),
        })
        .collect();
    if series.is_empty() {
        return None;
    }
    let lines = Lines {
        title: format!("Latency, {in_flight} in flight"),
        x: Axis {
            label: "milliseconds from intent to verified signature, logarithmic",
            scale: Scale::Log,
        },
        y: Axis {
            label: "percent of signatures",
            scale: Scale::Linear,
        },
        series,
        marks: false,
    };
    let file = match in_flight {
        1 => "latency-1.svg",
        8 => "latency-8.svg",
        _ => "latency-64.svg",
    };
    Some(Plot {
        file,
        alt: "distribution of latencies by scheme and committee",
        svg: lines.svg(),
    })
}

fn cumulative(latencies: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = latencies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all = number(sorted.len()).max(1.0);
    let point = |(index, latency)| (latency, 100.0 * number(index) / all);
    (1..).zip(sorted).map(point).collect()
}

fn series<T>(name: &str, measured: &[T], point: impl Fn(&T) -> (f64, f64)) -> Series {
    Series {
        name: name.to_owned(),
        points: measured.iter().map(point).collect(),
    }
}

fn creation(keys: &Keys) -> Plot {
    let points = (1..)
        .zip(&keys.latencies)
        .map(|(index, ms)| (number(index), *ms));
    let lines = Lines {
        title: "Creating keys one after the other, 2-of-3, Ed25519".to_owned(),
        x: Axis {
            label: "keys created",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "milliseconds",
            scale: Scale::Linear,
        },
        series: vec![Series {
            name: "creation".to_owned(),
            points: points.collect(),
        }],
        marks: false,
    };
    Plot {
        file: "keys.svg",
        alt: "latency of key creation against the number of keys",
        svg: lines.svg(),
    }
}

/// What many keys cost at the start, in memory, and when one of them signs.
fn stored(keys: &Keys) -> Plot {
    let of_starts = |name, value: fn(&StartUp) -> f64| {
        series(name, &keys.starts, |start| {
            (number(start.keys), value(start))
        })
    };
    let lines = Lines {
        title: "What many keys cost, 2-of-3, Ed25519".to_owned(),
        x: Axis {
            label: "keys, logarithmic",
            scale: Scale::Log,
        },
        y: Axis {
            label: "milliseconds or MiB, logarithmic",
            scale: Scale::Log,
        },
        series: vec![
            of_starts("start of all agents, ms", |start| 1000.0 * start.seconds),
            of_starts("memory per agent, MiB", |start| start.memory.resident_mib),
            series("a signature, p50, ms", &keys.signing, |row| {
                (number(row.keys), row.latency.p50)
            }),
        ],
        marks: true,
    };
    Plot {
        file: "stored.svg",
        alt: "start-up time, memory and signing latency against the number of keys",
        svg: lines.svg(),
    }
}

fn endurance(points: &[Point]) -> Plot {
    let line = |name, value: fn(&Point) -> f64| {
        series(name, points, |point| {
            (number(point.signatures), value(point))
        })
    };
    let lines = Lines {
        title: "Memory over many signatures, 2-of-3".to_owned(),
        x: Axis {
            label: "signatures",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "MiB",
            scale: Scale::Linear,
        },
        series: vec![
            line("largest agent", |point| point.agents.resident_mib),
            line("orchestrator", |point| point.orchestrator.resident_mib),
        ],
        marks: true,
    };
    Plot {
        file: "endurance.svg",
        alt: "memory of agents and orchestrator over many signatures",
        svg: lines.svg(),
    }
}

fn growth(rows: &[Row]) -> Plot {
    let line = |name, value: &dyn Fn(&Row) -> f64| {
        series(name, rows, |row| (f64::from(row.t), value(row)))
    };
    let cpu = |row: &Row, kind| row.cpu_ms.get(&kind).copied().unwrap_or_default();
    let lines = Lines {
        title: "FROST Ed25519, t-of-t, one at a time".to_owned(),
        x: Axis {
            label: "t",
            scale: Scale::Linear,
        },
        y: Axis {
            label: "milliseconds",
            scale: Scale::Linear,
        },
        series: vec![
            line("latency, p50", &|row| row.latency.p50),
            line("CPU of all agents", &|row| cpu(row, Kind::Agent)),
            line("CPU of the orchestrator", &|row| {
                cpu(row, Kind::Orchestrator)
            }),
            line("CPU of nats-server", &|row| cpu(row, Kind::Nats)),
        ],
        marks: true,
    };
    Plot {
        file: "growth.svg",
        alt: "latency and CPU time of a signature against t",
        svg: lines.svg(),
    }
}
