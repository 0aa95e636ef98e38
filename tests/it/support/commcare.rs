//! A CommCare HQ stand-in: the form receiver, as `docs/mappings/salesforce-to-commcare.md`, sections 4 and 7, says
//! that it behaves. Real HTTP on 127.0.0.1; hooks make it fail in the ways that HQ fails.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::DateTime;
use commcare_sf_integration::config::commcare::CommCareSettings;
use futures::stream;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::xml::{self, Element};

pub(crate) const DOMAIN: &str = "demo-domain";
pub(crate) const USERNAME: &str = "integration@example.org";
pub(crate) const API_KEY: &str = "0123456789abcdef";

/// What it does to a submission instead of taking it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers this.
    Answer(u16, String),
    /// The same, with this `Retry-After`.
    Busy(u16, String),
    /// Sends the caller elsewhere.
    Redirect(u16, String),
    /// Never answers.
    Hang,
    /// Cuts the connection before the form was looked at.
    CutBefore,
    /// Takes the form and cuts the connection.
    CutAfter,
}

/// What became of the forms of one instance id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pub(crate) bytes: Vec<u8>,
    pub(crate) processed: bool,
    pub(crate) duplicates: usize,
    pub(crate) edits: usize,
}

#[derive(Default)]
struct Inner {
    forms: BTreeMap<String, Form>,
    cases: BTreeMap<String, BTreeMap<String, String>>,
    /// In the order in which they were processed.
    processed: Vec<String>,
    requests: usize,
    without_version: usize,
    under_way: usize,
    most_under_way: usize,
    connections: std::collections::HashSet<std::net::SocketAddr>,
    delay: Duration,
    checks_parents: bool,
    ignores_version: bool,
    faults: HashMap<String, VecDeque<Fault>>,
    outage: Option<Fault>,
    next: VecDeque<Fault>,
    /// What the list of forms answers instead.
    list_status: Option<u16>,
}

type Shared = Arc<Mutex<Inner>>;

/// A running stand-in; stops when dropped.
pub(crate) struct CommCareStandIn {
    pub(crate) url: String,
    state: Shared,
    server: AbortHandle,
}

impl CommCareStandIn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Shared::default();
        let router = Router::new()
            .route(&format!("/a/{DOMAIN}/receiver/GCP_Forms/"), post(receive))
            .route(&format!("/a/{DOMAIN}/api/form/v1/"), get(list_forms))
            .with_state(Arc::clone(&state));
        let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { url, state, server: server.abort_handle() }
    }

    /// The settings of a destination that sends here.
    pub(crate) fn settings(&self) -> CommCareSettings {
        CommCareSettings {
            domain: DOMAIN.to_owned(),
            receiver: format!("{}/a/{DOMAIN}/receiver/GCP_Forms/", self.url).parse().unwrap(),
            forms: format!("{}/a/{DOMAIN}/api/form/v1/", self.url).parse().unwrap(),
            username: USERNAME.to_owned(),
            api_key: API_KEY.into(),
            concurrency: 50,
            request_timeout: Duration::from_secs(10),
            retry_budget: Duration::from_secs(10),
            retry_delay: Duration::from_millis(2),
        }
    }

    /// The variables of a service that sends here.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("CC_BASE_URL", &self.url),
            ("CC_DOMAIN", DOMAIN),
            ("CC_USERNAME", USERNAME),
            ("CC_API_KEY", API_KEY),
        ]
    }

    /// What every submission meets from now on; `None` is an HQ that is well.
    pub(crate) fn set_outage(&self, outage: Option<Fault>) {
        self.inner().outage = outage;
    }

    /// What the list of forms answers from now on: 403 is a user without the right.
    pub(crate) fn answer_list(&self, status: u16) {
        self.inner().list_status = Some(status);
    }

    /// What the next submission of this case meets that no earlier fault is meant for.
    pub(crate) fn fail(&self, case_id: &str, fault: Fault) {
        self.inner().faults.entry(case_id.to_owned()).or_default().push_back(fault);
    }

    /// What the next submissions meet, whatever they are.
    pub(crate) fn fail_next(&self, count: usize, fault: &Fault) {
        self.inner().next.extend(std::iter::repeat_n(fault.clone(), count));
    }

    /// How long every submission takes.
    pub(crate) fn delay(&self, delay: Duration) {
        self.inner().delay = delay;
    }

    /// From now on an index to a case that is not there is refused.
    pub(crate) fn check_parents(&self) {
        self.inner().checks_parents = true;
    }

    /// From now on it answers as if the version header were missing.
    pub(crate) fn ignore_version(&self) {
        self.inner().ignores_version = true;
    }

    /// Submissions that reached it.
    pub(crate) fn requests(&self) -> usize {
        self.inner().requests
    }

    /// Submissions that came without the version header.
    pub(crate) fn without_version(&self) -> usize {
        self.inner().without_version
    }

    /// The most that were under way at a time.
    pub(crate) fn most_under_way(&self) -> usize {
        self.inner().most_under_way
    }

    /// Connections that were used.
    pub(crate) fn connections(&self) -> usize {
        self.inner().connections.len()
    }

    /// Forms by instance id.
    pub(crate) fn forms(&self) -> BTreeMap<String, Form> {
        self.inner().forms.clone()
    }

    /// Cases with their properties.
    pub(crate) fn cases(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.inner().cases.clone()
    }

    /// The documents that were processed, in that order.
    pub(crate) fn processed(&self) -> Vec<String> {
        self.inner().processed.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }
}

impl Drop for CommCareStandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Counts a submission as under way for as long as it is.
struct UnderWay(Shared);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().under_way -= 1;
    }
}

/// The list of forms: for those who may, and none is told.
async fn list_forms(State(state): State<Shared>, headers: HeaderMap) -> Response {
    let known = format!("ApiKey {USERNAME}:{API_KEY}");
    if headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()) != Some(&known) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match state.lock().unwrap().list_status {
        Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
        None => r#"{"meta":{"limit":1,"offset":0,"next":null,"previous":null,"total_count":0},"objects":[]}"#
            .into_response(),
    }
}

async fn receive(
    State(state): State<Shared>,
    axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<std::net::SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (delay, fault) = {
        let mut inner = state.lock().unwrap();
        inner.requests += 1;
        inner.under_way += 1;
        inner.most_under_way = inner.most_under_way.max(inner.under_way);
        inner.connections.insert(peer);
        (inner.delay, inner.fault_of(&body))
    };
    let _under_way = UnderWay(Arc::clone(&state));
    tokio::time::sleep(delay).await;
    let status = |code| StatusCode::from_u16(code).unwrap();
    match fault {
        Some(Fault::Answer(code, body)) => (status(code), body).into_response(),
        Some(Fault::Busy(code, retry_after)) => {
            (status(code), [(header::RETRY_AFTER, retry_after)]).into_response()
        }
        Some(Fault::Redirect(code, location)) => {
            (status(code), [(header::LOCATION, location)]).into_response()
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::CutBefore) => cut(),
        Some(Fault::CutAfter) => {
            state.lock().unwrap().submit(&headers, &body);
            cut()
        }
        None => state.lock().unwrap().submit(&headers, &body),
    }
}

impl Inner {
    fn fault_of(&mut self, body: &[u8]) -> Option<Fault> {
        if let Some(outage) = &self.outage {
            return Some(outage.clone());
        }
        if let Some(fault) = self.next.pop_front() {
            return Some(fault);
        }
        let text = String::from_utf8_lossy(body);
        let document = xml::parse(&text).ok()?;
        let case_id = document.find("case")?.attributes.get("case_id")?.clone();
        self.faults.get_mut(&case_id)?.pop_front()
    }

    fn submit(&mut self, headers: &HeaderMap, body: &[u8]) -> Response {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if header("authorization") != Some(&format!("ApiKey {USERNAME}:{API_KEY}")) {
            return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
        }
        assert_eq!(header("content-type"), Some("text/xml"));
        let versioned = header("x-openrosa-version") == Some("3.0") && !self.ignores_version;
        self.without_version += usize::from(!versioned);
        let (status, nature) = if versioned { (422, "processing_failure") } else { (201, "submit_error") };
        let refuse = |why: &str| openrosa(status, nature, why);
        let document = match std::str::from_utf8(body).map_err(|e| e.to_string()).and_then(xml::parse) {
            Ok(document) => document,
            Err(error) => return refuse(&format!("Problem processing form: {error}")),
        };
        let id = document.find("instanceID").map(|id| id.text.clone()).unwrap_or_default();
        if let Some(known) = self.forms.get_mut(&id) {
            if known.bytes == body && known.processed {
                known.duplicates += 1;
                if versioned {
                    return openrosa(201, "submit_success", "   √   ");
                }
                return openrosa(201, "submit_error", &format!("Form is a duplicate of another! ({id})"));
            }
            known.edits += usize::from(known.bytes != body);
        }
        let outcome = self.process(&document);
        let form = self.forms.entry(id).or_default();
        form.bytes = body.to_vec();
        form.processed = outcome.is_ok();
        match outcome {
            Ok(()) => {
                self.processed.push(String::from_utf8_lossy(body).into_owned());
                openrosa(201, "submit_success", "   √   ")
            }
            Err(why) => refuse(&why),
        }
    }

    fn process(&mut self, document: &Element) -> Result<(), String> {
        let blocks: Vec<&Element> =
            document.all().into_iter().filter(|element| element.local() == "case").collect();
        for block in &blocks {
            let case_id = block.attributes.get("case_id").map(String::as_str).unwrap_or_default();
            if case_id.is_empty() {
                return Err("IllegalCaseId: case_id must not be empty".to_owned());
            }
            DateTime::parse_from_rfc3339(&block.attributes["date_modified"])
                .map_err(|_| "PhoneDateValueError".to_owned())?;
            for name in ["case_name", "case_type", "owner_id"] {
                if block.find(name).is_some_and(|element| element.text.chars().count() > 255) {
                    return Err(format!("CaseValueError: Invalid value for {name}"));
                }
            }
            let parent = block.find("parent").filter(|parent| !parent.text.is_empty());
            if let Some(parent) = parent.filter(|_| self.checks_parents)
                && !self.cases.contains_key(&parent.text)
            {
                let parent = &parent.text;
                return Err(format!(
                    "InvalidCaseIndex: Case '{case_id}' references non-existent case '{parent}'"
                ));
            }
        }
        for block in blocks {
            let properties = self.cases.entry(block.attributes["case_id"].clone()).or_default();
            for part in ["create", "update"] {
                let elements = block.find(part).into_iter().flat_map(|part| &part.children);
                properties.extend(elements.map(|element| (element.local().to_owned(), element.text.clone())));
            }
        }
        Ok(())
    }
}

/// An OpenRosa response.
pub(crate) fn openrosa_body(nature: &str, message: &str) -> String {
    let message = quick_xml::escape::escape(message);
    format!(
        "<OpenRosaResponse xmlns=\"http://openrosa.org/http/response\"><message nature=\"{nature}\">{message}\
         </message></OpenRosaResponse>"
    )
}

fn openrosa(status: u16, nature: &str, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), openrosa_body(nature, message)).into_response()
}

/// An answer whose connection is cut before its first byte.
fn cut() -> Response {
    let broken = stream::iter([Err::<Bytes, _>(io::Error::other("cut by the test"))]);
    ([(header::CONTENT_LENGTH, "1")], Body::from_stream(broken)).into_response()
}
