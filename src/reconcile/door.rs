//! The door through which listed forms come: the same as the webhook's (`docs/service.md`, section 2.1).

use std::sync::Arc;

use serde_json::Value;
use tracing::info;

use super::asked::Asked;
use super::report::Tally;
use super::window::Window;
use crate::jobs;
use crate::queue::{Arriving, Fate, ID_LIMIT, Known, Queue, QueueError};
use crate::submission::{Origin, commcare_time};

/// Lets forms in; of a dry run only counts them.
pub(super) async fn let_in(
    queue: &Queue,
    asked: &Asked,
    window: &Window,
    forms: Vec<Value>,
    tally: &mut Tally,
) -> Result<(), QueueError> {
    let arriving: Vec<Arriving> =
        forms.into_iter().filter_map(|form| identified(form, window, tally)).collect();
    let ids: Vec<String> = arriving.iter().map(|form| form.job_id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let known = queue.known(Origin::CommCare, &ids).await?;
    for form in arriving {
        let fate = match known.fate(&form) {
            Ok(Fate::Stored | Fate::Replaced) if !asked.dry_run => {
                queue.accept_fetched(form.clone()).await.map(|accepted| accepted.fate)
            }
            fate => fate,
        };
        match fate {
            Ok(fate) => count(tally, &form, fate, &known, asked.dry_run),
            Err(error @ QueueError::Unavailable { .. }) => return Err(error),
            // The form's own trouble, or its stored document's: the others go on.
            Err(
                error @ (QueueError::TooLarge { .. }
                | QueueError::Unreadable(_)
                | QueueError::Contended { .. }),
            ) => tally.refuse(Some(form.job_id), error.to_string()),
        }
    }
    Ok(())
}

/// A form of a handled type, with an id; the others are counted.
fn identified(form: Value, window: &Window, tally: &mut Tally) -> Option<Arriving> {
    tally.checked += 1;
    let job_name = jobs::job_name(Origin::CommCare, &form).map(str::to_owned);
    let Some((job, job_name)) = job_name.and_then(|name| Some((jobs::find(Origin::CommCare, &name)?, name)))
    else {
        tally.unhandled += 1;
        return None;
    };
    if !window.holds(commcare_time(&form, "received_on")) {
        tally.outside += 1;
        return None;
    }
    match jobs::job_id(&form) {
        None => {
            tally.refuse(None, "it has no id".to_owned());
            None
        }
        Some(id) if id.len() > ID_LIMIT => {
            tally.refuse(None, format!("its id has more than {ID_LIMIT} bytes"));
            None
        }
        Some(job_id) => Some(Arriving {
            origin: Origin::CommCare,
            job_name,
            job_id,
            data: Arc::new(form),
            records: job.records,
        }),
    }
}

fn count(tally: &mut Tally, form: &Arriving, fate: Fate, known: &Known, dry_run: bool) {
    match fate {
        Fate::Duplicate => tally.already_there += 1,
        Fate::Stale => tally.newer_there += 1,
        Fate::Stored | Fate::Replaced => {
            let is_new = fate == Fate::Stored;
            let day = commcare_time(&form.data, "received_on").map(|received| received.date_naive());
            tally.add_missing(&form.job_name, day, is_new);
            let archived = Some(&Value::Bool(true));
            let was_archived =
                |id: &str| known.record(id).and_then(|record| record.data.get("archived")) == archived;
            if !is_new && form.data.get("archived") == archived && !was_archived(&form.job_id) {
                tally.add_archived(form.job_id.clone());
            }
            if !dry_run {
                let fate = fate.as_str();
                info!(
                    request_id = form.job_id,
                    job_name = form.job_name,
                    fate,
                    "form was missing and is fetched"
                );
            }
        }
    }
}
