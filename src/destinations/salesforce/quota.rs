//! The daily calls, as Salesforce counts them, and the reserve that is left to others.
//!
//! Every REST answer says how many of the org's daily calls are used, so watching them costs none.
//! Below the reserve, or once Salesforce refuses a call for it, work pauses until the `limits`
//! resource says that there is room: the 24 hours roll on, so the room comes back bit by bit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use tracing::warn;

use crate::destinations::breaker::Pauses;

/// How often the `limits` resource is asked while there is no room: at once when work comes, then ever more rarely,
/// since asking is a call too.
const ASKING: Pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_mins(1) };

/// Calls used and allowed in the running 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiUsage {
    /// Calls used.
    pub used: u64,
    /// Calls allowed.
    pub limit: u64,
}

/// Whether work may go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There are calls left.
    Enough,
    /// Nobody knows: ask, now.
    Ask,
    /// There are too few calls left, or it is too early to ask again.
    TooLittle(String),
}

/// Watches the usage.
pub(super) struct Quota {
    /// `SF_API_RESERVE_PERCENT`.
    reserve_percent: u8,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    usage: Option<ApiUsage>,
    pause: Option<Pause>,
}

struct Pause {
    reason: String,
    asked: u32,
    /// When the `limits` resource may be asked.
    ask_at: Instant,
}

impl Quota {
    pub(super) fn new(reserve_percent: u8) -> Self {
        Self { reserve_percent, state: Mutex::default() }
    }

    /// What the last answer said.
    pub(super) fn usage(&self) -> Option<ApiUsage> {
        self.state().usage
    }

    /// Why no work may start, if so.
    pub(super) fn pause(&self) -> Option<String> {
        self.state().pause.as_ref().map(|pause| pause.reason.clone())
    }

    /// Keeps and gives what the headers of any answer say. Headers can only begin a pause, never end one: answers
    /// may come late. The `limits` resource says whether there is room again.
    pub(super) fn note(&self, headers: &HeaderMap, now: Instant) -> Option<ApiUsage> {
        let header = headers.get("Sforce-Limit-Info").and_then(|value| value.to_str().ok());
        let usage = header.and_then(parse)?;
        self.state().usage = Some(usage);
        if let Some(reason) = self.too_little(usage) {
            self.begin_pause(reason, now);
        }
        Some(usage)
    }

    /// Salesforce refused a call because the daily calls are used up.
    pub(super) fn used_up(&self, now: Instant) {
        self.begin_pause("Salesforce's daily API calls are used up".to_owned(), now);
    }

    /// Lets the `limits` resource be asked at once.
    pub(super) fn hasten(&self, now: Instant) {
        if let Some(pause) = &mut self.state().pause {
            pause.ask_at = now.min(pause.ask_at);
        }
    }

    /// Whether work may start. Who gets [`Room::Ask`] asks and [learns](Self::learn); others wait meanwhile.
    pub(super) fn room(&self, now: Instant) -> Room {
        let mut state = self.state();
        match &mut state.pause {
            None => Room::Enough,
            Some(pause) if now >= pause.ask_at => {
                pause.ask_at = now + ASKING.after(pause.asked);
                pause.asked += 1;
                Room::Ask
            }
            Some(pause) => Room::TooLittle(pause.reason.clone()),
        }
    }

    /// Takes what the `limits` resource said; `None` where the user may not read it and the answer's headers say
    /// nothing either. Then the next call has to show whether there is room.
    pub(super) fn learn(&self, usage: Option<ApiUsage>) {
        let reason = usage.and_then(|usage| self.too_little(usage));
        let mut state = self.state();
        state.usage = usage.or(state.usage);
        match (&mut state.pause, reason) {
            (Some(pause), Some(reason)) => pause.reason = reason,
            (_, Some(_)) => {}
            (_, None) => state.pause = None,
        }
    }

    fn begin_pause(&self, reason: String, now: Instant) {
        let mut state = self.state();
        if let Some(pause) = &mut state.pause {
            pause.reason = reason;
        } else {
            warn!(reason, "Salesforce's daily API calls run low");
            state.pause = Some(Pause { reason, asked: 0, ask_at: now });
        }
    }

    /// Why `usage` leaves too few calls, if it does.
    fn too_little(&self, usage: ApiUsage) -> Option<String> {
        let ApiUsage { used, limit } = usage;
        let left = limit.saturating_sub(used);
        let reserve = u128::from(limit) * u128::from(self.reserve_percent);
        if limit == 0 || (left > 0 && u128::from(left) * 100 >= reserve) {
            return None;
        }
        Some(format!(
            "{left} of Salesforce's {limit} daily API calls are left; work goes on above the reserve of {}%",
            self.reserve_percent
        ))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `api-usage=18/5000; per-app-api-usage=17/250(appName=sample)` (REST API guide, Limit Info
/// Header): the org's pair counts, in whichever place it stands.
fn parse(header: &str) -> Option<ApiUsage> {
    let pair = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, limit) = pair.split_once('/')?;
    Some(ApiUsage { used: used.trim().parse().ok()?, limit: limit.trim().parse().ok()? })
}

/// Reads the `limits` resource (REST API guide, Limits): `DailyApiRequests` with `Max` and
/// `Remaining`.
pub(super) fn of_limits(body: &[u8]) -> Option<ApiUsage> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let daily = body.get("DailyApiRequests")?;
    // Salesforce lets some orgs go beyond the limit; then `Remaining` is negative.
    let remaining = daily.get("Remaining")?.as_i64()?;
    let limit = daily.get("Max")?.as_u64()?;
    Some(ApiUsage { used: limit.saturating_sub(u64::try_from(remaining).unwrap_or(0)), limit })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(used: u64, limit: u64) -> HeaderMap {
        let value = HeaderValue::from_str(&format!("api-usage={used}/{limit}")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Sforce-Limit-Info", value);
        headers
    }

    #[test]
    fn the_orgs_usage_is_read_beside_an_apps() {
        let usage = Some(ApiUsage { used: 18, limit: 5_000 });
        assert_eq!(parse("api-usage=18/5000"), usage);
        assert_eq!(parse("api-usage=18/5000; per-app-api-usage=17/250(appName=sample)"), usage);
        assert_eq!(parse("per-app-api-usage=17/250(appName=sample); api-usage=18/5000"), usage);
        for broken in ["", "api-usage=", "api-usage=x/5", "per-app-api-usage=17/250"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_limits_resource_is_read() {
        let body = |daily: &str| format!(r#"{{"DailyApiRequests": {daily}, "DataStorageMB": {{}}}}"#);
        let read = |daily: &str| of_limits(body(daily).as_bytes());
        assert_eq!(read(r#"{"Max": 15000, "Remaining": 14998}"#), Some(ApiUsage { used: 2, limit: 15_000 }));
        assert_eq!(read(r#"{"Max": 100, "Remaining": -7}"#), Some(ApiUsage { used: 100, limit: 100 }));
        assert_eq!(read("null"), None);
        assert_eq!(of_limits(b"<html>"), None);
        assert_eq!(of_limits(b"[]"), None);
    }

    #[test]
    fn work_stops_below_the_reserve_and_not_at_it() {
        let now = Instant::now();
        let quota = Quota::new(5);
        quota.note(&headers(9_500, 10_000), now);
        assert_eq!((quota.room(now), quota.pause()), (Room::Enough, None));
        quota.note(&headers(9_501, 10_000), now);
        let reason = quota.pause().unwrap();
        assert!(reason.contains("499 of") && reason.contains("10000") && reason.contains("5%"), "{reason}");
        assert_eq!(quota.usage(), Some(ApiUsage { used: 9_501, limit: 10_000 }));
    }

    #[test]
    fn without_a_reserve_the_last_call_may_be_used() {
        let now = Instant::now();
        let quota = Quota::new(0);
        quota.note(&headers(9_999, 10_000), now);
        assert_eq!(quota.pause(), None);
        quota.note(&headers(10_400, 10_000), now);
        assert!(quota.pause().is_some());
        let unknown = Quota::new(100);
        unknown.note(&headers(0, 0), now);
        unknown.note(&HeaderMap::new(), now);
        assert_eq!(unknown.pause(), None);
    }

    #[test]
    fn one_asks_and_the_others_wait_ever_longer() {
        let mut now = Instant::now();
        let quota = Quota::new(5);
        quota.used_up(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(quota.room(now), Room::Ask, "{seconds}");
            assert!(matches!(quota.room(now), Room::TooLittle(_)), "{seconds}");
            quota.learn(Some(ApiUsage { used: 99, limit: 100 }));
            quota.used_up(now);
            now += Duration::from_millis(seconds * 1_000 - 1);
            assert!(matches!(quota.room(now), Room::TooLittle(_)), "{seconds}");
            now += Duration::from_millis(1);
        }
        assert_eq!(quota.room(now), Room::Ask);
        quota.learn(Some(ApiUsage { used: 50, limit: 100 }));
        assert_eq!(quota.room(now), Room::Enough);
    }

    #[test]
    fn a_late_answer_ends_no_pause_and_an_unreadable_limit_does() {
        let now = Instant::now();
        let quota = Quota::new(5);
        quota.used_up(now);
        quota.note(&headers(1, 10_000), now);
        assert!(quota.pause().is_some());
        quota.learn(None);
        assert_eq!(quota.pause(), None);
        assert_eq!(quota.usage(), Some(ApiUsage { used: 1, limit: 10_000 }));
    }
}
