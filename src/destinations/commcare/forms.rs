//! CommCare HQ's list of the forms that it has: the List Forms API (`form-v1.json` among the API descriptions of
//! dimagi/commcare-hq; `docs/senders/commcare-hq.md`, "What could not be delivered").
//!
//! One request at a time, however many calls of this service ask. An answer is read up to a limit and given form by form:
//! its text is in memory once, and of its trees only a few at a time.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Span, field, instrument};

use super::page;
use crate::bounded::{ANSWER_LIMIT, ReadError, read};
use crate::clock;
use crate::config::commcare::CommCareSettings;
use crate::destinations::transport::{broken, client, retry_after};
use crate::retry::{Retries, RetryTimes};
use crate::text::shorten;

/// Forms that HQ lists in one answer, at most ("limit" in its description).
pub const MOST: usize = 1_000;
/// Forms of an answer whose trees are in memory at a time.
const AT_A_TIME: usize = 50;
/// Tries that one page is worth. HQ's limits are counted by the second, minute and hour.
const TRIES: u32 = 6;
/// Characters of HQ's words that are kept.
const KEPT: usize = 300;

/// What is asked for. HQ lists by the time when it indexed a form, which is later than when it received it; an edited or
/// archived form is indexed anew.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Forms that were indexed from this time on, in milliseconds.
    pub indexed_from: DateTime<Utc>,
    /// Forms that were received up to this time.
    pub received_until: Option<DateTime<Utc>>,
    /// How many of them are passed by: where more than a page has one time.
    pub offset: usize,
    /// Forms of one answer.
    pub limit: usize,
}

/// Why HQ could not be asked, in words for an operator.
#[derive(Debug, Clone)]
pub struct ListTrouble {
    /// HQ's own words, and what to do.
    pub reason: String,
    /// Whether an answer was longer than is read: fewer forms at a time may do.
    pub is_too_long: bool,
    /// Whether the same again may go better, and the time that HQ asks for.
    passes: Option<Duration>,
}

impl ListTrouble {
    fn lasting(reason: String) -> Self {
        Self { reason, is_too_long: false, passes: None }
    }
}

impl fmt::Display for ListTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The list of one domain's forms.
pub struct FormList {
    settings: CommCareSettings,
    client: Client,
    /// Whoever asks HQ.
    turn: Mutex<()>,
}

impl fmt::Debug for FormList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FormList").field(&self.settings.forms.as_str()).finish()
    }
}

impl FormList {
    /// A list that connects when it is first asked.
    pub fn new(settings: CommCareSettings) -> Result<Self, super::SetUpError> {
        let client = client(settings.request_timeout).build().map_err(super::SetUpError)?;
        Ok(Self { settings, client, turn: Mutex::default() })
    }

    /// A page of the list. Trouble that may pass is waited for until `deadline`.
    pub async fn page(&self, query: &ListQuery, deadline: Instant) -> Result<FormPage, ListTrouble> {
        let _turn = self.turn.lock().await;
        let started = Instant::now();
        let times = RetryTimes {
            tries: TRIES,
            budget: deadline.saturating_duration_since(started),
            first_wait: self.settings.retry_delay,
        };
        let body = Retries::new(started, times).run(|| self.ask(query), |trouble| trouble.passes).await?;
        Ok(FormPage::new(body))
    }

    #[instrument(name = "commcare.forms", skip_all, fields(offset = query.offset, http.status = field::Empty))]
    async fn ask(&self, query: &ListQuery) -> Result<Vec<u8>, ListTrouble> {
        let key = format!("ApiKey {}:{}", self.settings.username, self.settings.api_key.expose_secret());
        let mut url = self.settings.forms.clone();
        url.query_pairs_mut()
            .append_pair("indexed_on_start", &time(query.indexed_from))
            .append_pair("order_by", "indexed_on")
            .append_pair("include_archived", "true")
            .append_pair("limit", &query.limit.to_string())
            .append_pair("offset", &query.offset.to_string());
        if let Some(until) = query.received_until {
            url.query_pairs_mut().append_pair("received_on_end", &time(until));
        }
        let answer = async {
            let response = self.client.get(url).header(AUTHORIZATION, key).send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, read(response, ANSWER_LIMIT).await?))
        }
        .await;
        let (status, headers, body) = answer.map_err(unanswered)?;
        Span::current().record("http.status", status.as_u16());
        if status == StatusCode::OK {
            return Ok(body);
        }
        let location = headers.get(reqwest::header::LOCATION).and_then(|to| to.to_str().ok());
        Err(refused(status, &body, location, retry_after(&headers, clock::now())))
    }
}

/// A time as HQ takes it: it refuses a zone behind seconds (`SUPPORTED_DATE_FORMATS` in its `corehq/apps/api/es.py`).
fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

fn unanswered(error: ReadError) -> ListTrouble {
    let is_too_long = matches!(error, ReadError::TooLong(_));
    let reason = format!("CommCare HQ does not answer: {}", broken(error));
    ListTrouble { reason, is_too_long, passes: (!is_too_long).then_some(Duration::ZERO) }
}

/// What an answer other than 200 says.
fn refused(
    status: StatusCode,
    body: &[u8],
    location: Option<&str>,
    retry_after: Option<Duration>,
) -> ListTrouble {
    let words = words(body);
    let elsewhere = location.map(|location| {
        let (to, _) = location.split_once('?').unwrap_or((location, ""));
        format!("it sends on to {}", shorten(to, KEPT))
    });
    let (advice, passes) = match status.as_u16() {
        401 => ("are CC_USERNAME and CC_API_KEY right, and may the domain use the API?", false),
        403 => {
            ("the key's user needs the permissions \"edit data\" and \"access APIs\" in this domain", false)
        }
        300..=399 | 404 | 405 | 410 => ("are CC_BASE_URL and CC_DOMAIN right?", false),
        429 => ("it asks to be asked less often", true),
        408 | 425 | 500..=599 => ("", true),
        _ => ("", false),
    };
    let colon = if words.is_empty() { "" } else { ": " };
    let says = format!("CommCare HQ answers HTTP {}{colon}{words}", status.as_u16());
    let parts = [Some(says), elsewhere, (!advice.is_empty()).then(|| advice.to_owned())];
    let reason = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let passes = passes.then(|| retry_after.unwrap_or_default());
    ListTrouble { passes, ..ListTrouble::lasting(reason) }
}

/// HQ's words: its API answers `{"error": …}`, and what stands before it a page.
fn words(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| {
        ["error", "error_message", "detail"].iter().find_map(|name| json.get(name)?.as_str())
    });
    said.map_or_else(|| page::words(body), |said| shorten(said, KEPT))
}

/// An answer of the list, form by form.
#[derive(Debug)]
pub struct FormPage {
    forms: mpsc::Receiver<Value>,
    reading: JoinHandle<Result<Meta, serde_json::Error>>,
}

impl FormPage {
    fn new(body: Vec<u8>) -> Self {
        let (sender, forms) = mpsc::channel(AT_A_TIME);
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = serde_json::Deserializer::from_slice(&body);
            let meta = Answer(&sender).deserialize(&mut text)?;
            text.end().map(|()| meta)
        });
        Self { forms, reading }
    }

    /// The next forms; none at the end of the answer.
    pub async fn next(&mut self) -> Vec<Value> {
        let mut forms = Vec::with_capacity(AT_A_TIME);
        self.forms.recv_many(&mut forms, AT_A_TIME).await;
        forms
    }

    /// Whether the list goes on after this answer.
    pub async fn has_next(self) -> Result<bool, ListTrouble> {
        // Whoever still reads is to stop.
        drop(self.forms);
        match self.reading.await {
            Ok(Ok(meta)) => Ok(meta.next.is_some_and(|next| !next.is_null())),
            Ok(Err(error)) => {
                let reason = format!("CommCare HQ's answer is no list of forms: {error}");
                Err(ListTrouble::lasting(shorten(&reason, KEPT)))
            }
            // The panic hook has logged the place.
            Err(_panic) => Err(ListTrouble::lasting("an answer of CommCare HQ could not be read".to_owned())),
        }
    }
}

/// What an answer says about the list.
#[derive(Debug, Deserialize)]
struct Meta {
    /// The address of the next page, without a host.
    next: Option<Value>,
}

/// Reads an answer and gives its forms away.
struct Answer<'s>(&'s mpsc::Sender<Value>);

impl<'de> DeserializeSeed<'de> for Answer<'_> {
    type Value = Meta;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Meta, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = Meta;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with meta and objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Meta, A::Error> {
        let (mut meta, mut has_forms) = (None, false);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "meta" => meta = Some(members.next_value()?),
                "objects" => {
                    members.next_value_seed(Forms(self.0))?;
                    has_forms = true;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        if !has_forms {
            return Err(A::Error::missing_field("objects"));
        }
        meta.ok_or_else(|| A::Error::missing_field("meta"))
    }
}

struct Forms<'s>(&'s mpsc::Sender<Value>);

impl<'de> DeserializeSeed<'de> for Forms<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Forms<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of forms")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut forms: A) -> Result<(), A::Error> {
        while let Some(form) = forms.next_element::<Value>()? {
            self.0.blocking_send(form).map_err(|_| A::Error::custom("nobody reads it any more"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_form_by_form() {
        let forms: Vec<Value> = (0..120).map(|n| json!({ "id": n })).collect();
        let body =
            json!({ "extra": [1], "objects": forms, "meta": { "next": "/a/d/?offset=120", "limit": 120 } });
        let mut page = FormPage::new(body.to_string().into_bytes());
        let mut given = Vec::new();
        loop {
            let some = page.next().await;
            assert!(some.len() <= AT_A_TIME);
            if some.is_empty() {
                break;
            }
            given.extend(some);
        }
        assert_eq!(given, forms);
        assert!(page.has_next().await.unwrap());
        let last = FormPage::new(br#"{"meta": {"next": null}, "objects": []}"#.to_vec());
        assert!(!last.has_next().await.unwrap());
    }

    #[tokio::test]
    async fn what_is_no_list_of_forms_says_so() {
        for body in [
            "",
            "[]",
            "null",
            r#"{"objects": []}"#,
            r#"{"meta": {"next": null}}"#,
            r#"{"meta": {}, "objects": [{}"#,
            r#"{"meta": {"next": null}, "objects": {}}"#,
            "<html>Maintenance</html>",
        ] {
            let mut page = FormPage::new(body.as_bytes().to_vec());
            while !page.next().await.is_empty() {}
            let trouble = page.has_next().await.unwrap_err();
            assert!(trouble.reason.starts_with("CommCare HQ's answer is no list of forms: "), "{trouble}");
        }
    }

    #[test]
    fn a_refusal_is_in_the_words_of_hq_and_says_what_to_do() {
        let says = |status: u16, body: &str| {
            refused(StatusCode::from_u16(status).unwrap(), body.as_bytes(), None, None)
        };
        for (status, body, expected) in [
            (
                401,
                r#"{"error": "not authorized"}"#,
                "CommCare HQ answers HTTP 401: not authorized; are CC_USERNAME and CC_API_KEY right, and may the domain use the API?",
            ),
            (
                403,
                "",
                "CommCare HQ answers HTTP 403; the key's user needs the permissions \"edit data\" and \"access APIs\" in this domain",
            ),
            (
                404,
                "<h1>Not found</h1>",
                "CommCare HQ answers HTTP 404: Not found; are CC_BASE_URL and CC_DOMAIN right?",
            ),
            (400, r#"{"error": "Bad query parameter"}"#, "CommCare HQ answers HTTP 400: Bad query parameter"),
            (502, "<p>Bad Gateway</p>", "CommCare HQ answers HTTP 502: Bad Gateway"),
        ] {
            assert_eq!(says(status, body).reason, expected);
            assert_eq!(says(status, body).passes.is_some(), status == 502);
        }
        let busy = refused(StatusCode::TOO_MANY_REQUESTS, b"", None, Some(Duration::from_secs(7)));
        assert_eq!(busy.passes, Some(Duration::from_secs(7)));
        let elsewhere = refused(StatusCode::FOUND, b"", Some("https://hq.example/login?next=x"), None);
        assert!(elsewhere.reason.contains("it sends on to https://hq.example/login; are"), "{elsewhere}");
    }

    #[test]
    fn a_time_has_no_zone_and_the_precision_of_hq() {
        let at = Utc.timestamp_micros(1_770_799_269_100_999).unwrap();
        assert_eq!(time(at), "2026-02-11T08:41:09.100");
    }
}
