//! `soak.md` and `soak.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::{Soak, Usage};
use crate::report::write_file;

/// Writes both.
pub fn write(soak: &Soak, out: &Path) -> anyhow::Result<()> {
    write_file(
        &out.join("soak.json"),
        &(serde_json::to_string(soak)? + "\n"),
    )?;
    write_file(&out.join("soak.md"), &document(soak)?)
}

fn document(soak: &Soak) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "# Soak\n")?;
    writeln!(
        text,
        "    quorate-bench --soak {} --seed {}\n",
        soak.minutes, soak.seed
    )?;
    writeln!(
        text,
        "Written by that command. A cluster of three custodians, two of whom sign, each a process of its own, under mixed load for {} minutes, while custodians were killed ({} times, one at a time, as by a power cut) and started again at random. [soak.json](soak.json) has everything.\n",
        soak.minutes, soak.deaths
    )?;
    requests(soak, &mut text)?;
    let audit = &soak.audit;
    writeln!(
        text,
        "\nThe ledgers afterwards, all three together: {} runs begun, {} results, {} presignatures and nonces used up, {} of them twice; {} sessions begun twice.\n",
        audit.begun,
        audit.finished,
        audit.used,
        audit.used_twice.len(),
        audit.begun_twice.len()
    )?;
    usage(soak, &mut text)?;
    Ok(text)
}

fn requests(soak: &Soak, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "| scheme | signed | refused, by code | no clear end | slowest, s |"
    )?;
    writeln!(text, "|---|---|---|---|---|")?;
    for (scheme, requests) in &soak.requests {
        let codes = requests.refused.iter();
        let codes: Vec<String> = codes.map(|(code, n)| format!("{code}: {n}")).collect();
        writeln!(
            text,
            "| {scheme} | {} | {} | {} | {:.1} |",
            requests.signed,
            codes.join(", "),
            requests.unclear.len(),
            requests.slowest
        )?;
    }
    Ok(())
}

/// Of each process the life that lasted longest, at a quarter, half and the end of it: what leaks only grows.
fn usage(soak: &Soak, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "Memory, threads and open files of each process in its longest life, a quarter, half and all of the way through it:\n"
    )?;
    writeln!(text, "| process | life, s | MiB | threads | files |")?;
    writeln!(text, "|---|---|---|---|---|")?;
    for (name, samples) in &soak.usage {
        let mut lives: BTreeMap<u32, Vec<&Usage>> = BTreeMap::new();
        for sample in samples {
            lives.entry(sample.pid).or_default().push(sample);
        }
        let Some(life) = lives.into_values().max_by_key(Vec::len) else {
            continue;
        };
        let at = |part: usize| life.get((life.len() * part / 4).saturating_sub(1)).copied();
        let three: Vec<&Usage> = [1, 2, 4].into_iter().filter_map(at).collect();
        let show = |what: &dyn Fn(&Usage) -> String| {
            let shown: Vec<String> = three.iter().map(|u| what(u)).collect();
            shown.join(", ")
        };
        let seconds = three
            .last()
            .zip(life.first())
            .map_or(0.0, |(l, f)| l.at - f.at);
        writeln!(
            text,
            "| {name} | {seconds:.0} | {} | {} | {} |",
            show(&|u| (u.resident_kib / 1024).to_string()),
            show(&|u| u.threads.to_string()),
            show(&|u| u.files.to_string())
        )?;
    }
    Ok(())
}
