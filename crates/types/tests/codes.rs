//! Codes on the wire: each round-trips, an unknown one survives, and nobody compares them as text.
#![allow(
    clippy::unwrap_used,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quorate_types::code::UnknownCode;
use quorate_types::node::Refusal;
use quorate_types::{Class, Code, CodeSet, FailureCode, PayloadCode, ProblemCode, RefusalCode};

fn round_trips<C: CodeSet>() {
    for code in C::all() {
        let wire = Code::from(code);
        let json = serde_json::to_string(&wire).unwrap();
        assert_eq!(json, format!("\"{}\"", code.as_str()));
        assert_eq!(serde_json::from_str::<Code<C>>(&json).unwrap(), wire);
        let bytes = borsh::to_vec(&wire).unwrap();
        // On the wire a code is a string and nothing more.
        assert_eq!(bytes, borsh::to_vec(code.as_str()).unwrap());
        assert_eq!(borsh::from_slice::<Code<C>>(&bytes).unwrap(), wire);
        assert_eq!(
            code.as_str().parse::<Code<C>>().unwrap().known(),
            Some(code)
        );
    }
}

#[test]
fn every_code_round_trips() {
    round_trips::<PayloadCode>();
    round_trips::<RefusalCode>();
    round_trips::<FailureCode>();
    round_trips::<ProblemCode>();
}

#[test]
fn every_code_has_one_meaning_a_kebab_case_name_and_a_remedy() {
    let mut names = BTreeMap::new();
    for code in ProblemCode::all() {
        let about = code.about();
        assert!(about.name.parse::<UnknownCode>().is_ok(), "{about:?}");
        assert!(!about.name.starts_with('-') && !about.name.ends_with('-'));
        assert!(!about.name.contains(['.', '_']), "{}", about.name);
        assert!(about.cause.trim().ends_with('.'), "{about:?}");
        assert!(about.remedy.trim().ends_with('.'), "{about:?}");
        assert!(Class::KNOWN.contains(&about.class), "{about:?}");
        assert_eq!(names.insert(about.name, code), None, "{} twice", about.name);
    }
    assert!(names.len() > 100);
}

#[test]
fn a_code_of_a_newer_program_stays_readable_and_denies() {
    let text = "\"moon-in-wrong-phase\"";
    let code: Code<RefusalCode> = serde_json::from_str(text).unwrap();
    assert_eq!(code.known(), None);
    assert_eq!((code.class(), code.is_transient()), (Class::Unknown, false));
    assert_eq!(code.to_string(), "moon-in-wrong-phase");
    assert_eq!(serde_json::to_string(&code).unwrap(), text);
    assert_eq!(code.widen::<ProblemCode>().as_str(), "moon-in-wrong-phase");

    // A whole refusal with it survives agent, orchestrator and client.
    let refusal = Refusal {
        code,
        ..Refusal::new(RefusalCode::Busy, "why".to_owned())
    };
    let bytes = borsh::to_vec(&refusal).unwrap();
    let heard: Refusal = borsh::from_slice(&bytes).unwrap();
    assert_eq!(heard, refusal);
    assert_eq!(heard.to_string(), "why [moon-in-wrong-phase]");
    assert_ne!(heard.code, RefusalCode::Busy);

    // A custodian cannot say for the command line that its user said no.
    let code: Code<RefusalCode> = ProblemCode::Declined.as_str().parse().unwrap();
    assert_eq!(code.known(), None);
    let wider: Code<ProblemCode> = code.widen();
    assert_eq!((wider.known(), wider.class()), (None, Class::Unknown));
}

#[test]
fn codes_of_earlier_programs_stay_readable() {
    let bytes = borsh::to_vec("evm.wrong_chain_id").unwrap();
    let code: Code<RefusalCode> = borsh::from_slice(&bytes).unwrap();
    assert_eq!(code.to_string(), "evm.wrong_chain_id");
    assert_eq!(borsh::to_vec(&code).unwrap(), bytes);
}

#[test]
fn text_that_is_no_code_is_refused() {
    let long = "a".repeat(UnknownCode::MAX_LEN + 1);
    for text in ["", "a b", "Busy", "ü", "a\n", "\u{1b}[2J", &long] {
        assert!(text.parse::<Code<RefusalCode>>().is_err(), "{text:?}");
        let bytes = borsh::to_vec(text).unwrap();
        assert!(borsh::from_slice::<Code<RefusalCode>>(&bytes).is_err());
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        if path.is_dir() && name != "tests" && name != "code" {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// Lines of production code that spell a code as text, or compare one as text. Codes that are plain
/// words ("busy") are found only where something is compared.
fn complaints(text: &str) -> Vec<String> {
    let production = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let spelt = |line: &&str| {
        ProblemCode::all()
            .iter()
            .map(|code| code.as_str())
            .any(|name| name.contains('-') && line.contains(&format!("\"{name}\"")))
    };
    let compared = |line: &&str| {
        let text = [
            "code.as_str()",
            "code().as_str()",
            "code.to_string()",
            "code().to_string()",
        ];
        let compares = ["==", "!=", "match ", "matches!", "starts_with", "contains("];
        text.iter().any(|t| line.contains(t)) && compares.iter().any(|c| line.contains(c))
    };
    let lines = production.lines();
    let bad = lines.filter(|line| spelt(line) || compared(line));
    bad.map(str::to_owned).collect()
}

#[test]
fn no_code_is_spelt_or_compared_as_text_outside_its_table() {
    for bad in [
        "if refusal.code.as_str() == \"busy\" {",
        "code.to_string().starts_with(\"policy-\")",
        "code: \"wrong-partial\".parse()?,",
    ] {
        assert_eq!(complaints(bad).len(), 1, "{bad}");
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let src = entry.unwrap().path().join("src");
        if src.is_dir() {
            sources(&src, &mut files);
        }
    }
    assert!(files.len() > 200, "{} files", files.len());
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = complaints(&text).into_iter();
        found.extend(lines.map(|line| format!("{}: {line}", file.display())));
    }
    assert!(found.is_empty(), "{found:#?}");
}
