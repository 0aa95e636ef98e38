//! What goes wrong, when it did, and which words of a record's error are true of it.

use std::fmt;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use commcare_sf_integration::clock;

/// Whose trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    Salesforce,
    CommCare,
    Postgis,
    Firestore,
    /// The disk of a queue in `SQLite`.
    Disk,
}

/// What a vendor does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Connections are cut.
    Down,
    /// Nothing passes.
    Hanging,
    /// Noise instead of an answer.
    Noisy,
    /// The work is done, the answer does not arrive.
    LosingAnswers,
    /// Every piece of a call takes a while.
    Slow,
    /// A web page with status 200 instead of an answer.
    Page,
    /// Too much to do: 503, or what the vendor says for it.
    Overloaded,
    /// It lets nobody in.
    LoginRefused,
    /// No calls, submissions or connections are left, or no room.
    QuotaUsedUp,
}

use Trouble::{Down, Hanging, LoginRefused, LosingAnswers, Noisy, Overloaded, Page, QuotaUsedUp, Slow};

/// What is told of a call that took too long, whatever the reason: a trouble, the end of the time that
/// all tries of a delivery have, or a machine that has too much to do.
const TIMED_OUT: [&str; 2] = ["no answer in time", "PostgreSQL did not end within"];
/// What is told of a lease that ran out although nobody died.
const QUEUE_AWAY: &str = "the queue took no writes";
/// What is told of a record, or of a part of it, that was not tried since its vendor was known to be in trouble.
const NOT_TRIED: [&str; 4] =
    ["since CommCare is in trouble", "does not answer: ", "takes nothing: ", "refuses this service"];
/// The shortest of the times that it may have taken (`REQUEST_TIMEOUT_SECONDS`), less a clock's tick.
const SHORTEST: TimeDelta = TimeDelta::milliseconds(990);
const NO_DATABASE: &str = "no connection to PostgreSQL";
const CUT_OFF: &str = "the connection to PostgreSQL failed (";

impl Vendor {
    /// The troubles that it can be in.
    pub(super) fn troubles(self) -> Vec<Trouble> {
        let mut troubles = vec![Down, Hanging, Noisy, LosingAnswers, Slow, LoginRefused, QuotaUsedUp];
        match self {
            Self::Salesforce | Self::CommCare => troubles.extend([Page, Overloaded]),
            Self::Firestore => troubles.push(Overloaded),
            Self::Postgis => {}
            Self::Disk => troubles = vec![QuotaUsedUp],
        }
        troubles
    }

    /// Whether records are in it.
    pub(super) fn is_queue(self) -> bool {
        matches!(self, Self::Firestore | Self::Disk)
    }

    /// What it does in a siege.
    pub(super) fn siege(self) -> Trouble {
        if self == Self::Disk { QuotaUsedUp } else { Down }
    }

    /// The words that a record's error may have because of a trouble, beside [`TIMED_OUT`]. None where no record is told
    /// of it.
    fn words(self, trouble: Trouble) -> &'static [&'static str] {
        match (self, trouble) {
            (Self::Firestore | Self::Disk, _) => &[],
            (Self::Salesforce, LoginRefused) => &["Salesforce refused the login"],
            (Self::Salesforce, QuotaUsedUp) => &["HTTP 403", "TotalRequests Limit", "daily API calls"],
            (Self::CommCare, LoginRefused) => &["HTTP Status: 401"],
            (Self::Postgis, LoginRefused) => &["SQLSTATE 28000", "SQLSTATE 57P01", NO_DATABASE, CUT_OFF],
            (Self::Postgis, QuotaUsedUp) => &["SQLSTATE 53300", "SQLSTATE 57P01", NO_DATABASE, CUT_OFF],
            (Self::Postgis, _) => &[NO_DATABASE, CUT_OFF],
            (_, Down | Noisy | LosingAnswers) => &["no connection (", "the answer broke off ("],
            (_, Hanging | Slow) => &[],
            (Self::Salesforce, Page) => {
                &["is not a whole one", "HTTP 301", "HTTP 307", "HTTP 403", "HTTP 404", "HTTP 410"]
            }
            (Self::Salesforce, Overloaded) => {
                &["HTTP 503", "HTTP 429", "HTTP 500", "HTTP 403", "ConcurrentRequests Limit"]
            }
            (Self::CommCare, Page) => {
                &["HTTP Status: 200", "HTTP Status: 302", "HTTP Status: 404", "HTTP Status: 405"]
            }
            (Self::CommCare, Overloaded) => &["HTTP Status: 503"],
            (Self::CommCare, QuotaUsedUp) => &["HTTP Status: 429"],
        }
    }
}

/// A trouble and its time.
#[derive(Debug, Clone, Copy)]
struct Episode {
    vendor: Vendor,
    trouble: Trouble,
    began: DateTime<Utc>,
    ended: Option<DateTime<Utc>>,
}

/// Everything that went wrong in a run.
#[derive(Default)]
pub(super) struct Journal(Mutex<Vec<Episode>>);

impl Journal {
    pub(super) fn begin(&self, vendor: Vendor, trouble: Trouble) {
        let episode = Episode { vendor, trouble, began: clock::now(), ended: None };
        self.0.lock().unwrap().push(episode);
    }

    pub(super) fn end(&self, vendor: Vendor, trouble: Trouble) {
        let mut episodes = self.0.lock().unwrap();
        let open = |episode: &&mut Episode| {
            (episode.vendor, episode.trouble, episode.ended) == (vendor, trouble, None)
        };
        episodes.iter_mut().find(open).unwrap().ended = Some(clock::now());
    }

    /// What is untrue of an error that a call of `vendor` between these times is said to have met: its
    /// words tell of no trouble at all, or of one that was not there then.
    pub(super) fn untruth(
        &self,
        vendor: Vendor,
        error: &str,
        (started, finished): (DateTime<Utc>, DateTime<Utc>),
    ) -> Option<String> {
        // A connection that trouble has ended may be found out a moment later.
        let slack = TimeDelta::seconds(3);
        let episodes = self.0.lock().unwrap();
        if error.contains(QUEUE_AWAY) {
            let met = |episode: &Episode| {
                let lasted = episode.began <= finished && episode.ended.is_none_or(|ended| started <= ended);
                episode.vendor.is_queue() && lasted
            };
            return (!episodes.iter().any(met)).then(|| "the queue was there".to_owned());
        }
        let of_vendor: Vec<&Episode> = episodes.iter().filter(|episode| episode.vendor == vendor).collect();
        let was_there = |episode: &&&Episode| {
            episode.began <= finished && episode.ended.is_none_or(|ended| started <= ended + slack)
        };
        let true_words: Vec<&str> = of_vendor
            .iter()
            .filter(was_there)
            .flat_map(|episode| vendor.words(episode.trouble))
            .copied()
            .collect();
        let was_known = of_vendor.iter().any(|episode| episode.began <= finished);
        if was_known && NOT_TRIED.iter().any(|words| error.contains(words)) {
            return None;
        }
        let told = vendor.troubles().into_iter().flat_map(|trouble| vendor.words(trouble));
        let mut told: Vec<&str> = told.copied().filter(|words| error.contains(words)).collect();
        told.dedup();
        let timed_out = TIMED_OUT.iter().any(|words| error.contains(words));
        if timed_out && finished - started < SHORTEST {
            return Some(format!("it took only {}", finished - started));
        }
        if told.is_empty() && !timed_out {
            return Some("it tells of no trouble that was made".to_owned());
        }
        let untrue = told.iter().find(|words| !true_words.contains(words))?;
        Some(format!("{untrue:?}, but from {started} to {finished} there was {true_words:?}"))
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Episode { vendor, trouble, began, ended } in &*self.0.lock().unwrap() {
            let ended = ended.map(|ended| ended.format("%T%.3f").to_string()).unwrap_or_default();
            writeln!(f, "{} – {ended}  {vendor:?} {trouble:?}", began.format("%T%.3f"))?;
        }
        Ok(())
    }
}
