//! The demo's payloads: one for every mapped form type.

use std::fs;

use commcare_sf_integration::jobs::{self, Facts, JOBS};
use commcare_sf_integration::plan::{record_key, search_keys};
use commcare_sf_integration::submission::Origin;
use serde_json::Value;

use super::{PRODUCTION, map, map_with};

/// The demo payload of a job name.
pub(crate) fn sample(job_name: &str) -> Value {
    let mut file = String::new();
    for c in job_name.chars() {
        if c.is_ascii_alphanumeric() {
            file.push(c.to_ascii_lowercase());
        } else if !file.ends_with('_') {
            file.push('_');
        }
    }
    let path = format!("{}/src/samples/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of CommCare's jobs that have a mapping.
pub(super) fn mapped() -> impl Iterator<Item = &'static str> {
    JOBS.iter().filter(|job| job.origin == Origin::CommCare).map(|job| job.name)
}

#[test]
fn photos_and_signatures_are_where_the_configured_hq_keeps_them() {
    let facts = Facts { hq: "https://eu.commcarehq.org".into(), ..PRODUCTION };
    let mut with_photos = 0;
    for name in mapped() {
        let shown = |facts: &Facts| map_with(&sample(name), facts).unwrap().to_json().to_string();
        let (default, eu) = (shown(&PRODUCTION), shown(&facts));
        assert_eq!(
            default.replace("https://www.commcarehq.org/a/", "https://eu.commcarehq.org/a/"),
            eu,
            "{name}"
        );
        with_photos += usize::from(default != eu);
    }
    assert!(with_photos >= 4, "{with_photos} form types with photos or signatures");
}

#[test]
fn every_sample_writes_something_and_knows_all_its_codes() {
    for name in mapped() {
        let sample = sample(name);
        assert_eq!(jobs::job_name(Origin::CommCare, &sample), Some(name));
        let plan = map(&sample).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!plan.writes().is_empty(), "{name}: {:?}", plan.note);
        assert_eq!(plan.unmapped, [], "{name}");
    }
}

#[test]
fn every_record_that_a_sample_writes_is_of_an_object_that_the_search_knows() {
    for job in JOBS {
        let plan = (job.mapping)(&sample(job.name), &Facts::new(true)).unwrap();
        for (object, id) in plan.writes() {
            let key = record_key(object, id);
            assert!(search_keys(id).contains(&key), "{}: {key}", job.name);
        }
    }
}
