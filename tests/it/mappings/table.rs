//! What keeps the table of jobs whole.

use std::collections::HashSet;

use commcare_sf_integration::jobs::JOBS;

#[test]
fn no_job_is_in_the_table_twice() {
    let mut seen = HashSet::new();
    for job in JOBS {
        assert!(seen.insert((job.origin, job.name)), "{} is there twice", job.name);
    }
}
