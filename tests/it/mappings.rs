//! The pure mappings of CommCare's forms: the golden cases of `tests/vectors/`, and rules that the golden
//! cases don't show.

mod document;
mod farm_visits;
mod goldens;
mod observations;
mod properties;
mod registration_and_attendance;
pub(crate) mod samples;
mod table;
mod wet_mills;

use commcare_sf_integration::jobs::{self, Facts, MapError};
use commcare_sf_integration::plan::Plan;
use commcare_sf_integration::submission::Origin;
use serde_json::{Map, Value};

/// The facts of production, where registrations write attendance.
const PRODUCTION: Facts = Facts::new(true);

/// Routes and maps a CommCare payload.
pub(crate) fn map(payload: &Value) -> Result<Plan, MapError> {
    map_with(payload, &PRODUCTION)
}

fn map_with(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let name = jobs::job_name(Origin::CommCare, payload).expect("the payload names a job");
    let job = jobs::find(Origin::CommCare, name).expect("the job is in the table");
    (job.mapping)(payload, facts)
}

/// `payload` with `value` at `path`, which has dots between keys and numbers for list items. Missing groups are
/// made.
fn with(mut payload: Value, path: &str, value: impl Into<Value>) -> Value {
    let mut at = &mut payload;
    for key in path.split('.') {
        if let Ok(index) = key.parse::<usize>() {
            at = &mut at[index];
            continue;
        }
        if !at.is_object() {
            *at = Map::new().into();
        }
        at = at.as_object_mut().unwrap().entry(key).or_insert(Value::Null);
    }
    *at = value.into();
    payload
}

/// The codes that a plan reports, with their paths.
fn unmapped(plan: &Plan) -> Vec<(&str, &str)> {
    plan.unmapped.iter().map(|found| (found.path.as_str(), found.code.as_str())).collect()
}

/// The objects and external ids of a plan, in order.
fn steps(plan: &Plan) -> Vec<(&str, &str)> {
    plan.upserts().iter().map(|upsert| (upsert.object, upsert.external_id.as_str())).collect()
}
