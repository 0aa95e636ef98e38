//! What the fuzz targets of `tests/fuzz` feed: every parser of what others write, and what must hold
//! whatever they write.
//!
//! Built for cargo-fuzz and for the unit tests, which replay the corpora; never into the service. A
//! target says whether it took its input for what was hoped for, so that a corpus can be held to reach
//! that far.

use crate::config::salesforce::PrivateKey;
use crate::destinations::{commcare, salesforce};
use crate::http;
use crate::http::auth;
use crate::jobs::{Facts, JOBS};
use crate::submission::Origin;

/// A payload posted to the webhooks: read, identified, and mapped by every job, whatever it calls
/// itself. Taken where a webhook would store it and its job makes a plan of it.
///
/// # Panics
/// Where a parser panics, or a plan is not sound.
pub fn webhook_payload(body: &[u8]) -> bool {
    let facts = Facts::new(true);
    let mut taken = false;
    for origin in Origin::ALL {
        let Some((job, data)) = http::taken(origin, body) else { continue };
        taken |= (job.mapping)(&data, &facts).is_ok();
        for map in JOBS.iter().map(|job| job.mapping) {
            let plan = map(&data, &facts);
            assert!(plan == map(&data, &facts), "the same payload gives another plan");
            if let Ok(plan) = plan {
                assert!(plan.to_json().is_object(), "what is recorded can be shown");
                assert!(plan.writes().iter().all(|(_, id)| !id.trim().is_empty()), "a blank id: {plan:?}");
            }
        }
    }
    taken
}

/// CommCare's answer to a submission. Taken where it says that the form was.
///
/// # Panics
/// Where the reader panics, takes for a success what is none, or quotes what was sent.
pub fn openrosa_answer(input: &[u8]) -> bool {
    let (status, body) = answer(input);
    commcare::fuzzing::read(status, body)
}

/// Salesforce's answer to anything: a Composite request, a login, a query, `limits`. Taken where one
/// of them is a success.
///
/// # Panics
/// Where a reader panics, takes for a success what is none, or quotes what was sent.
pub fn salesforce_answer(input: &[u8]) -> bool {
    let (status, body) = answer(input);
    salesforce::fuzzing::read(status, body)
}

/// The scheduler's identity token, or a private key in PEM. Taken where it opens the endpoints, or
/// signs.
///
/// # Panics
/// Where a parser panics.
pub fn token_or_key(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    if text.contains("-----BEGIN") {
        PrivateKey::from_pem_or_path(&text).is_ok()
    } else {
        auth::fuzzing::admits(&text)
    }
}

/// An input is an answer's status on a line of its own, then the body.
fn answer(input: &[u8]) -> (u16, &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = input.split_at(end);
    let status = std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok());
    (status.unwrap_or(200), body.strip_prefix(b"\n").unwrap_or(body))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    type Target = (&'static str, fn(&[u8]) -> bool);

    /// The targets, by the name of their corpus.
    const TARGETS: [Target; 4] = [
        ("webhook_payload", webhook_payload),
        ("openrosa_answer", openrosa_answer),
        ("salesforce_answer", salesforce_answer),
        ("token_or_key", token_or_key),
    ];
    /// Mutations of each seed; cargo-fuzz tries more.
    const MUTATIONS: u32 = 40;

    fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let files = files.map(|file| file.unwrap().path());
        files
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
            .collect()
    }

    #[test]
    fn every_corpus_is_read_and_its_good_seeds_are_taken() {
        for (name, target) in TARGETS {
            let seeds = corpus(name);
            assert!(seeds.len() >= 5, "{name}: {} seeds", seeds.len());
            for (seed, input) in seeds {
                let taken = target(&input);
                assert_eq!(taken, seed.starts_with("good-"), "{name}/{seed}");
            }
        }
    }

    #[test]
    fn mutated_seeds_break_nothing() {
        for (name, target) in TARGETS {
            for (seed, input) in corpus(name) {
                let config =
                    ProptestConfig { cases: MUTATIONS, failure_persistence: None, ..Default::default() };
                let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..8);
                let mutated = edits.prop_map(move |edits| mutate(input.clone(), &edits));
                TestRunner::new(config)
                    .run(&mutated, |input| {
                        target(&input);
                        Ok(())
                    })
                    .unwrap_or_else(|error| panic!("{name}/{seed}: {error}"));
            }
        }
    }

    /// Changes bytes, takes some away and repeats some.
    fn mutate(mut input: Vec<u8>, edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
        for (place, kind, byte) in edits {
            if input.is_empty() {
                break;
            }
            let at = place.index(input.len());
            let end = (at + usize::from(*byte)).min(input.len());
            match kind {
                0 => input[at] = *byte,
                1 => drop(input.drain(at..end)),
                _ => {
                    let again = input[at..end].to_vec();
                    input.splice(at..at, again);
                }
            }
        }
        input
    }
}
