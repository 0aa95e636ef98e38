//! CommCare HQ's List Forms API as dimagi/commcare-hq describes it (`form-v1.json`) and programs it
//! (`corehq/apps/api/es.py`, tastypie's paginator). Real HTTP on 127.0.0.1; hooks make it fail in the ways that HQ fails.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

const DOMAIN: &str = "demo-domain";
const USERNAME: &str = "integration@example.org";
const API_KEY: &str = "0123456789abcdef";

/// tastypie's `max_limit`.
const MAX_LIMIT: usize = 1_000;
/// Elasticsearch's `index.max_result_window`.
const MAX_WINDOW: usize = 10_000;
/// The parameters that it knows. By any other one no form is found.
const KNOWN: [&str; 9] = [
    "limit",
    "offset",
    "order_by",
    "format",
    "indexed_on_start",
    "indexed_on_end",
    "received_on_start",
    "received_on_end",
    "include_archived",
];

/// What it does instead of listing.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Answers this.
    Answer(u16, String),
    /// Asks to be left alone for so many seconds, and notes who does not.
    Busy(u64),
    /// Lists in the order in which nobody asked.
    Reversed,
    /// Never answers.
    Hang,
}

/// A request's parameters.
pub(crate) type Asked = HashMap<String, String>;

struct Listed {
    form: Value,
    indexed: DateTime<Utc>,
}

#[derive(Default)]
struct Inner {
    forms: BTreeMap<String, Listed>,
    asked: Vec<Asked>,
    troubles: VecDeque<Option<Trouble>>,
    down: Option<Trouble>,
    not_before: Option<Instant>,
    impatient: usize,
}

type Shared = Arc<Mutex<Inner>>;

/// A running HQ with forms; stops when dropped.
pub(crate) struct HqForms {
    pub(crate) url: String,
    state: Shared,
    server: AbortHandle,
}

impl HqForms {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Shared::default();
        let router = Router::new()
            .route(&format!("/a/{DOMAIN}/api/form/v1/"), get(list))
            .with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server: server.abort_handle() }
    }

    /// The variables of a service that asks it.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("CC_BASE_URL", &self.url),
            ("CC_DOMAIN", DOMAIN),
            ("CC_USERNAME", USERNAME),
            ("CC_API_KEY", API_KEY),
        ]
    }

    /// It has this form, as [`forwarded`] makes it, and indexed it a second after it received it.
    pub(crate) fn has(&self, form: &Value) {
        let received = form["received_on"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        self.has_indexed(form, received + Duration::from_secs(1));
    }

    /// The same, indexed at this time.
    pub(crate) fn has_indexed(&self, form: &Value, indexed: DateTime<Utc>) {
        let key = form["id"].as_str().map_or_else(|| form.to_string(), str::to_owned);
        self.inner().forms.insert(key, Listed { form: form.clone(), indexed });
    }

    /// What the next requests meet, one each.
    pub(crate) fn fail_next(&self, troubles: impl IntoIterator<Item = Option<Trouble>>) {
        self.inner().troubles.extend(troubles);
    }

    /// What every request meets from now on.
    pub(crate) fn set_down(&self, down: Option<Trouble>) {
        self.inner().down = down;
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner().asked.clone()
    }

    /// Requests that came although it had asked to be left alone.
    pub(crate) fn impatient(&self) -> usize {
        self.inner().impatient
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }
}

impl Drop for HqForms {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn list(State(state): State<Shared>, headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let error = |status: u16, words: &str| {
        (StatusCode::from_u16(status).unwrap(), Json(json!({ "error": words }))).into_response()
    };
    let trouble = {
        let mut inner = state.lock().unwrap();
        inner.asked.push(asked.clone());
        inner.impatient += usize::from(inner.not_before.is_some_and(|until| Instant::now() < until));
        inner.troubles.pop_front().unwrap_or_else(|| inner.down.clone())
    };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization != Some(&format!("ApiKey {USERNAME}:{API_KEY}")) {
        return error(401, "not authorized");
    }
    let reversed = match trouble {
        None => false,
        Some(Trouble::Reversed) => true,
        Some(Trouble::Answer(status, body)) => {
            return (StatusCode::from_u16(status).unwrap(), body).into_response();
        }
        Some(Trouble::Busy(seconds)) => {
            state.lock().unwrap().not_before = Some(Instant::now() + Duration::from_secs(seconds));
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())])
                .into_response();
        }
        Some(Trouble::Hang) => std::future::pending().await,
    };
    match page(&state.lock().unwrap(), &asked, reversed) {
        Ok(page) => Json(page).into_response(),
        Err((status, words)) => error(status, &words),
    }
}

type Refused = (u16, String);

fn page(inner: &Inner, asked: &Asked, reversed: bool) -> Result<Value, Refused> {
    let number = |name: &str, default: usize| match asked.get(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| {
            (400, format!("Invalid {name} '{text}' provided. Please provide a positive integer."))
        }),
    };
    let limit = match number("limit", 20)? {
        0 => MAX_LIMIT,
        limit => limit.min(MAX_LIMIT),
    };
    let offset = number("offset", 0)?;
    if offset + limit > MAX_WINDOW {
        return Err((500, "Result window is too large".to_owned()));
    }
    let time = |name: &str| asked.get(name).map(|text| date(text)).transpose();
    let indexed = (time("indexed_on_start")?, time("indexed_on_end")?);
    let received = (time("received_on_start")?, time("received_on_end")?);
    let is_known = asked.keys().all(|name| KNOWN.contains(&name.as_str()));
    let within = |time: DateTime<Utc>, (start, end): (Option<DateTime<Utc>>, Option<DateTime<Utc>>)| {
        let time = time.trunc_subsecs(3);
        start.is_none_or(|start| time >= start) && end.is_none_or(|end| time <= end)
    };
    let received_on = |form: &Value| form["received_on"].as_str().and_then(|text| text.parse().ok());
    let mut found: Vec<&Listed> = inner
        .forms
        .values()
        .filter(|listed| is_known && within(listed.indexed, indexed))
        .filter(|listed| received_on(&listed.form).is_none_or(|time| within(time, received)))
        .filter(|listed| asked.contains_key("include_archived") || listed.form["archived"] != true)
        .collect();
    // Forms of one millisecond are in no order that anybody could use.
    let chance = |listed: &Listed| {
        let mut hasher = DefaultHasher::new();
        listed.form["id"].to_string().hash(&mut hasher);
        hasher.finish()
    };
    let by_indexed = |listed: &&Listed| (listed.indexed.trunc_subsecs(3), chance(listed));
    match asked.get("order_by").map(String::as_str) {
        Some("indexed_on") => found.sort_by_key(by_indexed),
        None | Some("-received_on") => {
            found.sort_by_key(|listed| std::cmp::Reverse(received_on(&listed.form)));
        }
        Some(other) => return Err((400, format!("No matching '{other}' field for ordering on."))),
    }
    if reversed {
        found.reverse();
    }
    let count = found.len();
    let objects: Vec<Value> = found.into_iter().skip(offset).take(limit).map(listed).collect();
    let next = (offset + limit < count)
        .then(|| format!("/a/{DOMAIN}/api/form/v1/?limit={limit}&offset={}", offset + limit));
    let meta =
        json!({ "limit": limit, "next": next, "offset": offset, "previous": null, "total_count": count });
    Ok(json!({ "meta": meta, "objects": objects }))
}

/// `SUPPORTED_DATE_FORMATS`: seconds with a zone are none of them. Elasticsearch compares milliseconds.
fn date(text: &str) -> Result<DateTime<Utc>, Refused> {
    let time = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let parsed = day()
        .or_else(|| time("%Y-%m-%dT%H:%M:%S"))
        .or_else(|| time("%Y-%m-%dT%H:%M:%S%.f").filter(|_| text.contains('.')));
    parsed
        .map(|time| time.and_utc().trunc_subsecs(3))
        .ok_or_else(|| (400, format!("Bad query parameter: Unknown date format: {text}")))
}

/// A form as HQ forwards it, with what its serialiser adds.
pub(crate) fn forwarded(form: Value, received: DateTime<Utc>) -> Value {
    let mut form = form;
    let id = form["id"].as_str().unwrap_or_default().to_owned();
    let time = received.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    form["domain"] = json!(DOMAIN);
    form["received_on"] = json!(time);
    form["server_modified_on"] = json!(time);
    form["edited_on"] = Value::Null;
    form["archived"] = json!(false);
    form["type"] = json!("data");
    form["problem"] = Value::Null;
    form["submit_ip"] = json!("10.0.0.1");
    form["resource_uri"] = json!("");
    form["indexed_on"] =
        json!((received + Duration::from_millis(350)).format("%Y-%m-%dT%H:%M:%S%.6f").to_string());
    form["attachments"] = json!({ "form.xml": {
        "content_type": "text/xml",
        "length": 4711,
        "url": format!("https://www.commcarehq.org/a/{DOMAIN}/api/form/attachment/{id}/form.xml"),
    } });
    let point = json!({ "lat": "6.8391204", "lon": "38.4170663" });
    form["form"]["meta"]["instanceID"] = json!(id);
    form["form"]["meta"]["location"] = json!("6.8391204 38.4170663 1921.5 4.2");
    form["form"]["meta"]["geo_point"] = point;
    form["metadata"] = form["form"]["meta"].clone();
    form
}

/// The same form as HQ lists it: from its index, which was made at another time and by another encoder.
fn listed(listed: &Listed) -> Value {
    let mut form = listed.form.clone();
    let id = form["id"].as_str().unwrap_or_default().to_owned();
    form["indexed_on"] = json!(listed.indexed.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    form["resource_uri"] = json!(format!("/a/{DOMAIN}/api/form/v1/{id}/"));
    if form["attachments"].is_object() {
        form["attachments"]["form.xml"]["url"] =
            json!(format!("https://www.commcarehq.org/a/{DOMAIN}/api/form_attachment/v1/{id}/form.xml"));
    }
    let point = json!({ "lat": 6.839_120_4, "lon": 38.417_066_3 });
    for meta in ["/form/meta", "/metadata"] {
        if let Some(meta) = form.pointer_mut(meta).and_then(Value::as_object_mut) {
            meta.insert("geo_point".to_owned(), point.clone());
            meta.insert("commcare_version".to_owned(), json!("2.55.2"));
            meta.insert("app_build_version".to_owned(), json!(204));
        }
    }
    form["initial_processing_complete"] = json!(true);
    form["is_phone_submission"] = json!(true);
    form["edited_by_user_id"] = Value::Null;
    form
}
