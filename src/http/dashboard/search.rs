//! A record by any of its ids, in both collections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::super::params::Params;
use super::page::{PageProblem, direction, page, record_path, time};
use crate::app::App;
use crate::submission::Origin;

pub(super) async fn show(State(app): State<Arc<App>>, params: Params) -> Result<Response, PageProblem> {
    let id = params.text("id").unwrap_or_default().trim();
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for origin in Origin::ALL {
        let records = app.queue.find(origin, id).await?;
        found.extend(records.records.into_iter().map(|(doc_id, record)| (origin, doc_id, record)));
        unreadable.extend(records.unreadable);
    }
    if let ([(origin, doc_id, _)], true) = (&found[..], unreadable.is_empty()) {
        return Ok(Redirect::to(&record_path(*origin, doc_id)).into_response());
    }
    let content = html! {
        (super::record::unreadable(&unreadable))
        @if found.is_empty() && unreadable.is_empty() {
            p role="status" { "No record has the id " code { (id) } ". Ids are compared whole, and by case." }
        } @else {
            ul {
                @for (origin, doc_id, record) in &found {
                    li {
                        a href=(record_path(*origin, doc_id)) { code { (doc_id) } }
                        " · " (record.job_name) " · " (record.status.as_str()) " · " (direction(*origin))
                        " · arrived " (time(record.arrived()))
                    }
                }
            }
        }
    };
    Ok(page("Search", &content).into_response())
}
