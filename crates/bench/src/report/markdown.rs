//! `benchmarks.md`. Every number in it comes from the report.

use std::fmt::Write as _;

use crate::cases::{self, SCHEMES};
use crate::machine::Machine;
use crate::measure::Row;
use crate::parts::Kind;
use crate::sections::{Keys, Point};
use crate::{Depth, Report};

use super::plots::Plot;

/// A document being written.
struct Document(String);

impl Document {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn paragraph(&mut self, text: impl AsRef<str>) {
        self.line(text);
        self.line("");
    }

    fn table(&mut self, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        self.line(format!("| {} |", head.join(" | ")));
        self.line(format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            self.line(format!("| {} |", row.join(" | ")));
        }
        self.line("");
    }

    fn plots(&mut self, plots: &[Plot], wanted: impl Fn(&str) -> bool) {
        for plot in plots.iter().filter(|p| wanted(p.file)) {
            self.paragraph(format!("![{}](benchmarks/{})", plot.alt, plot.file));
        }
    }
}

/// The whole document.
pub fn document(report: &Report, plots: &[Plot]) -> String {
    let mut doc = Document(String::new());
    head(&mut doc, report);
    machine(&mut doc, &report.machine);
    signing(&mut doc, report, plots);
    if let Some(row) = &report.published {
        published(&mut doc, row);
    }
    if let Some(keys) = &report.keys {
        self::keys(&mut doc, keys, plots);
    }
    if !report.growth.is_empty() {
        growth(&mut doc, &report.growth, plots);
    }
    if !report.endurance.is_empty() {
        endurance(&mut doc, &report.endurance, plots);
    }
    failures(&mut doc, report);
    meaning(&mut doc);
    doc.0
}

fn head(doc: &mut Document, report: &Report) {
    doc.paragraph("# Benchmarks of a whole cluster");
    doc.paragraph(format!("    {}", report.command));
    doc.paragraph(format!(
        "Written by that command, numbers and all: {}, in {:.0} s. [benchmarks.json](benchmarks.json) has every latency. What single \
         parts cost, such as a ceremony against the bare library, is in `docs/benchmarks-parts.md`; what profiles showed, and \
         what was aimed at, in `docs/benchmarks-profile.md`.",
        report.began, report.took_seconds
    ));
    doc.paragraph(
        "A cluster is provisioned by `quorate init` and runs as in production, all of it on one machine: each agent and the orchestrator a \
         process of its own, release build, production security level, fsync on; a real `nats-server` with mutual TLS and the permissions \
         that `quorate init` writes; the plain policy of a new cluster. The load is made by Quorate's own API client over HTTPS with \
         mutual TLS, in one further process: it builds a transaction, signs the intent, hands it in, waits for the result, verifies the \
         signature and assembles the transaction. All that is in the latency.",
    );
    doc.paragraph(
        "Two things differ from production. Safe primes made beforehand are put into the agents' stores before they start, so that none \
         searches for primes while it is measured: such clusters guard nothing. And agents wait ten minutes for a silent peer, because \
         the interactive ECDSA ceremonies of large committees, eight at once, take long for each round.",
    );
}

fn machine(doc: &mut Document, machine: &Machine) {
    doc.paragraph("## The machine");
    let mut row = |name: &str, value: String| doc.line(format!("- {name}: {value}"));
    row(
        "CPU",
        format!("{}, {} cores for everything", machine.cpu, machine.cores),
    );
    row("memory", format!("{:.1} GiB", machine.memory_gib));
    row(
        "system",
        format!("{}, kernel {}", machine.system, machine.kernel),
    );
    row(
        "disk",
        format!(
            "{}, {:.0} fsyncs of 4 KiB a second",
            machine.file_system, machine.fsyncs_per_second
        ),
    );
    row(
        "programs",
        format!(
            "{}, {} build; {}; source {}",
            machine.rustc, machine.profile, machine.nats_server, machine.commit
        ),
    );
    row(
        "load average when it began",
        format!(
            "{} (other work on the machine makes every number worse; the tables say how many cores it took)",
            machine.load
        ),
    );
    doc.line("");
}

fn signing(doc: &mut Document, report: &Report, plots: &[Plot]) {
    if report.signing.is_empty() {
        return;
    }
    doc.paragraph("## Signing");
    for scheme in SCHEMES {
        doc.line(format!("- `{}`: {}", scheme.name, scheme.what));
    }
    doc.line("");
    doc.plots(plots, |file| file == "throughput.svg");
    latencies(doc, report.signing.iter());
    costs(doc, report.signing.iter());
    doc.plots(plots, |file| file.starts_with("latency"));
    if !report.refills.is_empty() {
        refills(doc, report);
    }
    if report.setups.is_empty() {
        return;
    }
    doc.paragraph(
        "ECDSA with CGGMP24 needs a committee setup, once for all keys. With the primes given:",
    );
    let rows = report.setups.iter();
    doc.table(
        &["committee", "setup"],
        rows.map(|s| vec![format!("{}-of-{}", s.t, s.n), format!("{:.1} s", s.seconds)]),
    );
}

fn refills(doc: &mut Document, report: &Report) {
    doc.paragraph(
        "Pools of presignatures, filled while nothing else is asked for. The last column: of what all cores of the machine could make of \
         them with the ceremonies alone (all signers' steps in one thread, with the same tables), so many percent were made.",
    );
    let head = [
        "committee",
        "made",
        "for each second",
        "agents' CPU ms each",
        "ceremonies alone, CPU ms each",
        "of what is possible",
    ];
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"));
    doc.table(
        &head,
        report.refills.iter().map(|r| {
            vec![
                format!("{}-of-{}", r.t, r.n),
                r.count.to_string(),
                format!("{:.2}", r.per_second()),
                format!("{:.0}", r.cpu_ms),
                number(r.ceremony_ms),
                r.share()
                    .map_or_else(|| "-".to_owned(), |s| format!("{s:.0} %")),
            ]
        }),
    );
    if report.beside.is_empty() {
        return;
    }
    doc.paragraph(
        "Signing with a key of FROST by itself, and while the same custodians fill another key's pool with all cores:",
    );
    let head = [
        "in flight",
        "",
        "samples",
        "signatures/s",
        "p50 ms",
        "p99 ms",
        "p99 against by itself",
        "presignatures made",
    ];
    let made = |count: Option<usize>| count.map_or_else(|| "-".to_owned(), |n| n.to_string());
    let rows = report.beside.iter().flat_map(|beside| {
        let change = 100.0 * (beside.filling.latency.p99 / beside.quiet.latency.p99 - 1.0);
        [
            (&beside.quiet, "by itself", [String::new(), String::new()]),
            (
                &beside.filling,
                "while filling",
                [format!("{change:+.0} %"), made(beside.made)],
            ),
        ]
    });
    doc.table(
        &head,
        rows.map(|(row, which, [change, made])| {
            vec![
                in_flight(row),
                which.to_owned(),
                samples(row),
                short(row.per_second),
                short(row.latency.p50),
                short(row.latency.p99),
                change,
                made,
            ]
        }),
    );
}

fn endurance(doc: &mut Document, points: &[Point], plots: &[Plot]) {
    doc.paragraph("## Memory over many signatures");
    doc.plots(plots, |file| file == "endurance.svg");
    doc.paragraph("FROST on Ed25519, 2-of-3, 64 in flight, without a pause:");
    let head = [
        "signatures",
        "failed",
        "signatures/s",
        "MiB, largest agent",
        "MiB, orchestrator",
    ];
    doc.table(
        &head,
        points.iter().map(|point| {
            vec![
                point.signatures.to_string(),
                point.failures.to_string(),
                short(point.per_second),
                format!("{:.0}", point.agents.resident_mib),
                format!("{:.0}", point.orchestrator.resident_mib),
            ]
        }),
    );
}

fn latencies<'a>(doc: &mut Document, rows: impl Iterator<Item = &'a Row>) {
    let head = [
        "scheme",
        "committee",
        "in flight",
        "samples",
        "signatures/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "up against",
    ];
    doc.table(
        &head,
        rows.map(|row| {
            vec![
                row.scheme.clone(),
                row.committee(),
                in_flight(row),
                samples(row),
                format!("**{}**", short(row.per_second)),
                short(row.latency.p50),
                short(row.latency.p90),
                short(row.latency.p99),
                short(row.latency.max),
                row.limit.clone(),
            ]
        }),
    );
}

fn costs<'a>(doc: &mut Document, rows: impl Iterator<Item = &'a Row>) {
    doc.paragraph("What one signature costs; CPU milliseconds, all processes of a kind together:");
    let head = [
        "scheme",
        "committee",
        "in flight",
        "agents",
        "ceremonies alone",
        "ratio",
        "orchestrator",
        "nats-server",
        "client",
        "cores ours + others",
        "messages",
        "KiB in / out",
        "KiB to disk",
        "MiB per agent, now / peak",
    ];
    doc.table(
        &head,
        rows.map(|row| {
            let cpu = |kind| short(row.cpu_ms.get(&kind).copied().unwrap_or_default());
            vec![
                row.scheme.clone(),
                row.committee(),
                in_flight(row),
                cpu(Kind::Agent),
                row.ceremony_ms.map_or_else(|| "-".to_owned(), short),
                row.overhead()
                    .map_or_else(|| "-".to_owned(), |r| format!("{r:.1}")),
                cpu(Kind::Orchestrator),
                cpu(Kind::Nats),
                cpu(Kind::Client),
                format!("{:.2} + {:.2}", row.cores.ours, row.cores.others),
                format!("{:.0}", row.messages),
                format!("{:.1} / {:.1}", row.kib_in, row.kib_out),
                format!("{:.0}", row.kib_disk),
                format!(
                    "{:.0} / {:.0}",
                    row.memory.resident_mib, row.memory.peak_mib
                ),
            ]
        }),
    );
}

fn published(doc: &mut Document, row: &Row) {
    doc.paragraph("## In the form that others publish");
    doc.paragraph(format!(
        "{} signatures with FROST on Ed25519, 2-of-3, in batches of {} in flight, each batch waited for: **{:.1} s**, {} a second.",
        row.samples,
        row.in_flight,
        row.seconds,
        short(row.per_second)
    ));
    latencies(doc, std::iter::once(row));
    costs(doc, std::iter::once(row));
}

fn keys(doc: &mut Document, keys: &Keys, plots: &[Plot]) {
    doc.paragraph("## Keys");
    doc.paragraph(format!(
        "{} Ed25519 keys created one after the other, 2-of-3: a key generation among all three, each one's share sealed and fsynced, \
         and everyone's attestation. The first came before a restart of the cluster, the others after it.",
        keys.created
    ));
    let ends = keys.ends;
    doc.table(
        &["creation", "ms"],
        [
            ("p50 of all".to_owned(), keys.latency.p50),
            ("p99 of all".to_owned(), keys.latency.p99),
            ("slowest".to_owned(), keys.latency.max),
            ("the first".to_owned(), keys.first_ms),
            (format!("number {}", keys.created), keys.last_ms),
            (format!("p50 of the first {ends}"), keys.early_ms),
            (format!("p50 of the last {ends}"), keys.late_ms),
        ]
        .into_iter()
        .map(|(what, ms)| vec![what, short(ms)]),
    );
    doc.plots(plots, |file| file == "keys.svg");
    if keys.starts.iter().any(|start| start.keys > keys.created) {
        doc.paragraph(
            "The largest number is of records put into the ledgers while the cluster stood still, copies of one key's under other names and \
             ids; their shares do not exist, since a share is opened when it is first used.",
        );
    }
    doc.paragraph("What they cost at the start of all agents (until all of them serve), and one signature at a time:");
    doc.table(
        &["keys", "start s", "MiB per agent"],
        keys.starts.iter().map(|start| {
            vec![
                start.keys.to_string(),
                format!("{:.2}", start.seconds),
                format!("{:.0}", start.memory.resident_mib),
            ]
        }),
    );
    doc.plots(plots, |file| file == "stored.svg");
    let head = [
        "keys",
        "samples",
        "p50 ms",
        "max ms",
        "CPU ms, agents",
        "CPU ms, orchestrator",
        "KiB in",
    ];
    doc.table(
        &head,
        keys.signing.iter().map(|row| {
            let cpu = |kind| short(row.cpu_ms.get(&kind).copied().unwrap_or_default());
            vec![
                row.keys.to_string(),
                samples(row),
                short(row.latency.p50),
                short(row.latency.max),
                cpu(Kind::Agent),
                cpu(Kind::Orchestrator),
                format!("{:.1}", row.kib_in),
            ]
        }),
    );
}

fn growth(doc: &mut Document, rows: &[Row], plots: &[Plot]) {
    doc.paragraph("## Growth with t");
    doc.paragraph("FROST on Ed25519, one signature at a time, as many custodians as signers, all on the same cores:");
    let head = [
        "t",
        "samples",
        "p50 ms",
        "CPU ms, agents",
        "for each signer",
        "CPU ms, orchestrator",
        "messages",
        "KiB in / out",
    ];
    doc.table(
        &head,
        rows.iter().map(|row| {
            let cpu = |kind| row.cpu_ms.get(&kind).copied().unwrap_or_default();
            vec![
                row.t.to_string(),
                samples(row),
                short(row.latency.p50),
                short(cpu(Kind::Agent)),
                short(cpu(Kind::Agent) / f64::from(row.t)),
                short(cpu(Kind::Orchestrator)),
                format!("{:.0}", row.messages),
                format!("{:.1} / {:.1}", row.kib_in, row.kib_out),
            ]
        }),
    );
    doc.plots(plots, |file| file == "growth.svg");
}

/// Nothing that failed is passed over.
fn failures(doc: &mut Document, report: &Report) {
    let failed: Vec<&Row> = report.rows().filter(|row| row.failures > 0).collect();
    if failed.is_empty() {
        return;
    }
    doc.paragraph("## Requests that failed");
    doc.paragraph("They are in no latency and no rate.");
    let mut list = String::new();
    for row in failed {
        let why: String = row
            .first_failure
            .iter()
            .flat_map(|w| w.chars())
            .take(300)
            .collect();
        let _ = writeln!(
            list,
            "- {} {}, {} in flight: {} of {}; the first: {why}",
            row.scheme,
            row.committee(),
            row.in_flight,
            row.failures,
            row.failures + row.samples
        );
    }
    doc.paragraph(list);
}

fn meaning(doc: &mut Document) {
    doc.paragraph("## What the numbers mean, and what they do not");
    let warm = cases::growth_plan(Depth::Full).warm_up;
    for line in [
        "**In flight**: so many requests at any time, the next one handed in when one has ended. Latency is what each of them waited.",
        "**p50, p90, p99**: nearest ranks of the samples, so with fewer than 100 samples p99 is the slowest.",
        "**Signatures/s**: good signatures between the first request and the last answer. The end of a row, when fewer are in flight, is in it.",
        "**CPU**: user and system time of the processes from `/proc/<pid>/stat`, before and after the row, divided by the good signatures. \
         All agents count, those that did not sign as well; so does what they do anyway, such as heartbeats.",
        "**Ceremonies alone**: CPU time of all signers' protocol steps in one thread, without sealing, sessions, processes or disk, measured in \
         the same run. The ratio is the agents' CPU time to that: what custody costs on top of the mathematics.",
        "**Cores**: CPU time by wall-clock time; `others` is everything on the machine that is not the cluster or its client.",
        "**Up against**: CPU where ours took more than 85 % of all cores, with the kind of process that took most; otherwise requests wait for \
         each other: for round trips, fsyncs, the scheduler.",
        "**Messages, KiB in / out**: what nats-server counts, payloads only, without TLS: into it from all clients, out of it to all.",
        "**KiB to disk**: what the agents caused to be written, from `/proc/<pid>/io`.",
        "**MiB per agent**: resident memory of the largest agent after the row, and its peak since its start.",
    ] {
        doc.line(format!("- {line}"));
    }
    doc.line("");
    doc.paragraph(format!(
        "Limits. One machine: no network between custodians, but n agents, a server, an orchestrator and a client share its cores, which \
         a real cluster does not. Payloads are small and the policy plain: no approvals, no limits, so custodians do not show each other \
         what they spent. Each row runs for some seconds (rows of FROST after a warm-up, those of the growth table after {warm} \
         signatures), so nothing is said about days. Samples of the slow rows are few; the tables say how many."
    ));
}

fn in_flight(row: &Row) -> String {
    match row.batches {
        true => format!("batches of {}", row.in_flight),
        false => row.in_flight.to_string(),
    }
}

fn samples(row: &Row) -> String {
    match row.failures {
        0 => row.samples.to_string(),
        failed => format!("{} ({failed} failed)", row.samples),
    }
}

/// Three digits or so.
fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
