//! Which of two forms is the newer (`docs/service.md`, guarantee 10).

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use super::Record;

/// A form's place among the forms that write the same records.
///
/// Forms of the webhook are ordered by their arrival. A form that a reconciliation fetched never arrived, and the forms
/// around it may have arrived late: it is compared by when CommCare got either form.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    arrived: DateTime<Utc>,
    /// When CommCare received the form, or when somebody edited it there; `None` where it does not say so.
    sent: Option<DateTime<Utc>>,
    fetched: bool,
}

impl Turn {
    /// Which of the two comes first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.sent, other.sent) {
            (Some(sent), Some(other_sent)) if self.fetched || other.fetched => sent.cmp(&other_sent),
            _ => self.arrived.cmp(&other.arrived),
        }
    }

    /// The time that no later form has a `created_at` before.
    pub fn earliest(&self) -> DateTime<Utc> {
        self.sent.map_or(self.arrived, |sent| sent.min(self.arrived))
    }
}

impl Record {
    /// The form's place among others.
    pub fn turn(&self) -> Turn {
        Turn { arrived: self.arrived(), sent: sent(&self.data), fetched: self.fetched_at.is_some() }
    }
}

/// When CommCare got a form as it is now.
pub(crate) fn sent(payload: &Value) -> Option<DateTime<Utc>> {
    commcare_time(payload, "edited_on").or_else(|| commcare_time(payload, "received_on"))
}

/// A time of a form's own members. CommCare's times are UTC, with or without saying so.
pub fn commcare_time(payload: &Value, member: &str) -> Option<DateTime<Utc>> {
    let text = payload.get(member)?.as_str()?;
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let naive = || text.parse::<NaiveDateTime>().map(|time| time.and_utc());
    zoned.or_else(|_| naive()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(arrived: &str, received: Option<&str>, fetched: bool) -> Turn {
        let time = |day: &str| format!("2026-03-{day}T00:00:00Z");
        let record = json!({
            "status": "new",
            "created_at": time(arrived),
            "fetched_at": fetched.then(|| time("30")),
            "data": { "received_on": received.map(time) },
        });
        serde_json::from_value::<Record>(record).unwrap().turn()
    }

    #[test]
    fn forms_of_the_webhook_are_ordered_by_their_arrival() {
        let late = turn("09", Some("01"), false);
        assert_eq!(late.compare(&turn("05", Some("04"), false)), Ordering::Greater);
        assert_eq!(late.earliest(), turn("01", None, false).arrived);
    }

    #[test]
    fn a_fetched_form_is_compared_by_when_commcare_got_either() {
        let fetched = turn("04", Some("04"), true);
        assert_eq!(fetched.compare(&turn("09", Some("01"), false)), Ordering::Greater, "that one came late");
        assert_eq!(turn("09", Some("01"), false).compare(&fetched), Ordering::Less);
        assert_eq!(fetched.compare(&turn("09", Some("08"), false)), Ordering::Less);
        assert_eq!(fetched.compare(&turn("05", Some("05"), true)), Ordering::Less);
        assert_eq!(
            fetched.compare(&turn("09", None, false)),
            Ordering::Less,
            "by arrival where nothing else is said"
        );
    }
}
