//! `docs/errors.md`, made from the tables of codes. `QUORATE_UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use quorate_types::{Class, CodeSet, FailureCode, PayloadCode, ProblemCode, RefusalCode};

use super::Exit;

const HEAD: &str = "# Errors, and what to do about them

<!-- Made from crates/types/src/code and crates/quorate/src/exit.rs. To change it, change those, then:
     QUORATE_UPDATE_GOLDEN=1 cargo xtask test --features quorate/tpm,quorate/kms --only 'quorate bin' -->

Every refusal, failure and problem has a stable **code** for programs, beside a message for people. With `--json` the command line
prints a problem document (RFC 9457) on standard error, the API answers with one; both have the code in `code`.

A code that a program does not know, because a newer one sent it, stays as it is. It is taken for one that does not pass by itself.

## Exit codes of the command line

| exit code | class | meaning |
|---|---|---|
| 0 | | done |
";

fn meaning(class: Class) -> &'static str {
    match class {
        Class::Waiting => "the request waits for approvals or for time",
        Class::Denied => "the policy, the custodians or the person at the terminal said no",
        Class::Caller => "the command cannot be carried out as it was given",
        Class::PeerAbsent => {
            "the orchestrator, or too many custodians, cannot be reached or cannot take part now"
        }
        Class::PeerMisbehaved => "a custodian or the orchestrator misbehaved",
        Class::LocalFault => {
            "something failed on the machine that reports it: a file, a device, a clock"
        }
        Class::Bug => "a program contradicts itself; please report it",
        Class::Unknown => "a code that this program does not know",
    }
}

fn table<C: CodeSet>(out: &mut String, title: &str, intro: &str, codes: &[C]) {
    write!(out, "\n## {title}\n\n{intro}\n\n").unwrap();
    out.push_str("| code | class | passes | cause | what to do |\n|---|---|---|---|---|\n");
    for code in codes {
        let about = code.about();
        let passes = if about.transient { "yes" } else { "" };
        let (class, cause) = (about.class.as_str(), about.cause.trim());
        let row = format!(
            "| `{}` | {class} | {passes} | {cause} | {} |\n",
            about.name, about.remedy
        );
        out.push_str(&row);
    }
}

fn document() -> String {
    let mut out = HEAD.to_owned();
    let classes = Class::KNOWN.iter().chain([&Class::Unknown]);
    let mut rows: Vec<_> = classes.map(|class| (Exit::of(*class), *class)).collect();
    rows.sort_by_key(|(exit, _)| *exit as u8);
    for (exit, class) in rows {
        let row = format!(
            "| {} | {} | {} |\n",
            exit as u8,
            class.as_str(),
            meaning(class)
        );
        out.push_str(&row);
    }
    out.push_str(
        "\nIn the tables below, *passes* says whether the same request, sent again in a moment, may be answered otherwise.\n",
    );
    let own = |code: &RefusalCode| !matches!(code, RefusalCode::Payload(_));
    let refusals: Vec<_> = RefusalCode::all().into_iter().filter(own).collect();
    let own = |code: &FailureCode| !matches!(code, FailureCode::Refused(_));
    let failures: Vec<_> = FailureCode::all().into_iter().filter(own).collect();
    let own = |code: &ProblemCode| !matches!(code, ProblemCode::Failed(_));
    let problems: Vec<_> = ProblemCode::all().into_iter().filter(own).collect();
    let intro = "A custodian's agent does not take part. Its refusal is signed, unless the agent is sealed or could not read what it was asked.";
    table(&mut out, "Refusals", intro, &refusals);
    let intro = "A payload is not understood well enough to be signed, or not with this key.";
    table(&mut out, "Payloads", intro, &PayloadCode::all());
    let intro = "A ceremony between custodians ended without a result.";
    table(&mut out, "Failures", intro, &failures);
    let intro = "The orchestrator's API or the command line itself.";
    table(&mut out, "Problems", intro, &problems);
    out
}

#[test]
fn the_document_of_errors_is_made_from_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = document();
    if std::env::var_os("QUORATE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == expected,
        "docs/errors.md is not what the code says; run with QUORATE_UPDATE_GOLDEN=1"
    );
}
