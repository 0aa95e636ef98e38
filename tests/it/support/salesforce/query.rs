//! Queries, as far as the service asks them: one field of a project role by its id.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{SalesforceStandIn, Shared, arrive, error, no_session};

#[derive(Deserialize)]
pub(super) struct Parameters {
    q: String,
}

impl SalesforceStandIn {
    /// A project role that exists, and its staff member.
    pub(crate) fn set_role(&self, id: &str, staff: Option<&str>) {
        self.inner().roles.insert(id.to_owned(), staff.map(str::to_owned));
    }

    /// The queries that reached it with a valid session.
    pub(crate) fn queries(&self) -> Vec<String> {
        self.inner().queries.clone()
    }
}

pub(super) async fn query_call(
    State(state): State<Shared>,
    headers: HeaderMap,
    Query(Parameters { q }): Query<Parameters>,
) -> Response {
    if let Some(fault) = arrive(&state, &headers).await {
        return fault.instead().await;
    }
    let mut inner = state.lock().unwrap();
    if !inner.knows_session(&headers) {
        return no_session();
    }
    inner.used += 1;
    inner.queries.push(q.clone());
    let id = q.strip_prefix("SELECT Staff__c FROM Project_Role__c WHERE Id = ").and_then(literal);
    let Some(id) = id else {
        return error(StatusCode::BAD_REQUEST, "MALFORMED_QUERY", &format!("unexpected token: {q}"));
    };
    let found = inner.roles.get(&id).map(|staff| {
        let url = format!("/services/data/v66.0/sobjects/Project_Role__c/{id}");
        json!({ "attributes": { "type": "Project_Role__c", "url": url }, "Staff__c": staff })
    });
    let records: Vec<Value> = found.into_iter().collect();
    let body = json!({ "totalSize": records.len(), "done": true, "records": records });
    inner.finish(body.to_string().into_response())
}

/// The text of a SOQL literal that is the whole of `soql`.
fn literal(soql: &str) -> Option<String> {
    let mut characters = soql.strip_prefix('\'')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '\'' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next().filter(|escaped| "\\'".contains(*escaped))?),
            character => text.push(character),
        }
    }
}
