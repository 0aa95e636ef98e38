//! A record by any of its ids, in both collections.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::super::error::HttpError;
use super::super::params::Params;
use super::page::{page, record_path};
use crate::app::App;
use crate::submission::Origin;

pub(super) async fn show(State(app): State<Arc<App>>, params: Params) -> Result<Response, HttpError> {
    let id = params.text("id").unwrap_or_default().trim();
    if id.is_empty() {
        let content = html! { p role="status" { "Nothing was searched for: type the id of a record into the field above." } };
        return Ok(page("Search", &content).into_response());
    }
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for origin in Origin::ALL {
        let records = app.queue.search(origin, id).await?;
        found.extend(records.records.into_iter().map(|(doc_id, record)| (origin, doc_id, record)));
        unreadable.extend(records.unreadable);
    }
    if let ([(origin, doc_id, _)], true) = (&found[..], unreadable.is_empty()) {
        return Ok(Redirect::to(&record_path(*origin, doc_id)).into_response());
    }
    let content = html! {
        (super::record::unreadable(&unreadable))
        @if found.is_empty() && unreadable.is_empty() {
            p role="status" { "No record has the id " code { (id) } ", writes a record with it, or waits for one. Ids are compared whole." }
        } @else {
            (super::record::list(&found))
        }
    };
    Ok(page("Search", &content).into_response())
}
