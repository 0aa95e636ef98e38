//! Fetches the forms that CommCare could not deliver (`docs/service.md`, guarantee 12).
//!
//! HQ lists its forms by the time when it indexed them, and the list is read page by page. Each form goes through the same
//! door as one of the webhook ([`door`]): a form that the queue holds changes nothing. After each page the place is
//! kept ([`kept`]), so that a call that was cut goes on, and calls that overlap only do some of the work twice.

mod asked;
mod door;
mod kept;
mod place;
mod report;
mod window;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::ReconcileSettings;
use crate::destinations::commcare::forms::{FormList, FormPage, ListTrouble, MOST};
use crate::queue::{HeldSweep, Queue, QueueError};
use crate::submission::Origin;
use crate::worker::Shutdown;

pub use asked::{Asked, AskedError};
use kept::OpenRun;
pub use kept::{Kept, PastRun, RUNS};
use place::PageSeen;
pub use report::{Missing, NotInCommCare, RefusedForm, Report, StoppedAt, Tally};
use window::Window;

/// Time that a call goes on which nobody waits for.
const NO_BUDGET: Duration = Duration::from_hours(24);
/// HQ lists a form some time after it received it. Until then a form that it forwarded is no form that it lacks.
const LAG: TimeDelta = TimeDelta::hours(1);
/// The words where there is no credential.
const NO_CREDENTIALS: &str = "CC_DOMAIN, CC_USERNAME and CC_API_KEY are not set: CommCare HQ cannot be asked";
/// The words where the queue is empty.
const EMPTY: &str = "the queue is empty, so nothing is fetched; since= brings the forms of the past in";

/// Asks CommCare HQ for what the queue lacks; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reconciler {
    queue: Queue,
    forms: Option<Arc<FormList>>,
    settings: ReconcileSettings,
    /// How long completed records are kept.
    retention: Option<Duration>,
    /// How long one call goes on.
    budget: Duration,
    shutdown: Shutdown,
}

/// One call's work.
struct Call {
    /// What this call did.
    tally: Tally,
    /// Ids that HQ has listed in this run; `None` where an earlier call has read some of it.
    listed: Option<HashSet<u128>>,
    /// Forms of one answer.
    limit: usize,
    deadline: Instant,
}

/// How the reading of a page ended.
enum PageEnd {
    /// The list goes on.
    More,
    /// That was all.
    Last,
    /// The same again, with fewer forms.
    Smaller,
    /// HQ could not be asked.
    Stopped(String),
    /// The time is up, or the service stops.
    Cut,
}

impl Reconciler {
    /// One that asks the list, if there is one.
    pub fn new(
        queue: Queue,
        forms: Option<FormList>,
        settings: ReconcileSettings,
        retention: Option<Duration>,
        budget: Duration,
        shutdown: Shutdown,
    ) -> Self {
        Self { queue, forms: forms.map(Arc::new), settings, retention, budget, shutdown }
    }

    /// How long completed records are kept: what was removed is not known any more.
    pub fn retention(&self) -> Option<Duration> {
        self.retention
    }

    /// `RECONCILE_ALERT`.
    pub fn alert(&self) -> u64 {
        self.settings.alert
    }

    /// What is kept of the runs that were not asked for the past.
    pub async fn kept(&self) -> Result<Kept, QueueError> {
        Kept::load(&self.queue, &Asked::default()).await
    }

    /// What is kept of the runs that brought the past.
    pub async fn kept_of_the_past(&self) -> Result<Kept, QueueError> {
        Kept::load(&self.queue, &Asked { since: Some(DateTime::UNIX_EPOCH), ..Asked::default() }).await
    }

    /// Goes on with the run that is under way, or begins one, for as long as one call may take.
    pub async fn reconcile(&self, asked: &Asked) -> Result<Report, QueueError> {
        self.run(asked, Instant::now() + self.budget).await
    }

    /// The same, to the end of the list.
    pub async fn reconcile_all(&self, asked: &Asked) -> Result<Report, QueueError> {
        self.run(asked, Instant::now() + NO_BUDGET).await
    }

    async fn run(&self, asked: &Asked, deadline: Instant) -> Result<Report, QueueError> {
        let Some(forms) = &self.forms else { return Ok(Report::stopped(asked, NO_CREDENTIALS)) };
        let mut kept = Kept::load(&self.queue, asked).await?;
        let now = self.queue.now();
        let resumed = kept.take_open(asked);
        let listed = resumed.is_none().then(HashSet::new);
        let mut run = match resumed {
            Some(run) => run,
            None => match self.window(asked, &kept, now).await? {
                Some(window) => OpenRun::new(asked, window, now),
                None => return Ok(Report::nothing(asked, EMPTY)),
            },
        };
        let mut call = Call { tally: Tally::default(), listed, limit: MOST, deadline };
        let end = loop {
            match self.page(forms, asked, &mut run, &mut call).await? {
                PageEnd::More => kept.keep_open(&self.queue, asked, &run).await?,
                PageEnd::Smaller => call.limit = (call.limit / 2).max(1),
                end => break end,
            }
        };
        let finished = matches!(end, PageEnd::Last);
        let stopped = if let PageEnd::Stopped(reason) = end { Some(reason) } else { None };
        let not_in_commcare = match call.listed.as_ref().filter(|_| finished) {
            Some(listed) => Some(self.not_listed(&run.window, run.started_at, listed).await?),
            None => None,
        };
        let up_to = if finished { Some(run.started_at) } else { run.place.reached() };
        kept.end_call(
            &self.queue,
            asked,
            run,
            PastRun::ended(up_to, finished, stopped.clone(), self.queue.now()),
        )
        .await?;
        self.tell(asked, &kept, &call.tally, stopped.as_deref());
        Ok(Report::new(asked, call.tally, up_to, finished, not_in_commcare, stopped))
    }

    /// What to ask for; `None` where the queue is empty and nobody asks for the past.
    async fn window(
        &self,
        asked: &Asked,
        kept: &Kept,
        now: DateTime<Utc>,
    ) -> Result<Option<Window>, QueueError> {
        if let Some(since) = asked.since {
            return Ok(Some(Window::of_the_past(since, asked.until)));
        }
        let Some((first, arrived)) = self.queue.first_held(Origin::CommCare).await? else { return Ok(None) };
        let first = first.received().unwrap_or(arrived);
        Ok(Some(Window::of_late(now, self.settings.days, self.retention, first, kept.finished_up_to())))
    }

    /// Reads a page of the list, and goes on to the next place.
    async fn page(
        &self,
        forms: &FormList,
        asked: &Asked,
        run: &mut OpenRun,
        call: &mut Call,
    ) -> Result<PageEnd, QueueError> {
        if self.shutdown.is_stopping() || Instant::now() >= call.deadline {
            return Ok(PageEnd::Cut);
        }
        let query = run.place.query(&run.window, call.limit);
        let page = tokio::select! {
            page = forms.page(&query, call.deadline) => page,
            () = self.shutdown.begun() => return Ok(PageEnd::Cut),
        };
        let page = match page {
            Ok(page) => page,
            Err(ListTrouble { is_too_long: true, .. }) if call.limit > 1 => return Ok(PageEnd::Smaller),
            Err(trouble) => return Ok(PageEnd::Stopped(trouble.reason)),
        };
        let (seen, tally, page) = self.take(asked, run, call, page).await?;
        call.tally.add(&tally);
        run.tally.add(&tally);
        match page.has_next().await {
            Err(trouble) => Ok(PageEnd::Stopped(trouble.reason)),
            Ok(has_next) => Ok(match run.place.advance(seen) {
                Err(reason) => PageEnd::Stopped(reason),
                Ok(true) if has_next => PageEnd::More,
                Ok(_) => PageEnd::Last,
            }),
        }
    }

    /// Lets the forms of a page in.
    async fn take(
        &self,
        asked: &Asked,
        run: &OpenRun,
        call: &mut Call,
        mut page: FormPage,
    ) -> Result<(PageSeen, Tally, FormPage), QueueError> {
        let (mut seen, mut tally) = (PageSeen::default(), Tally::default());
        loop {
            let mut forms = page.next().await;
            if forms.is_empty() {
                return Ok((seen, tally, page));
            }
            forms.retain(|form| {
                let id = seen.add(form, &run.place);
                if let (Some(listed), Some(id)) = (&mut call.listed, &id) {
                    listed.insert(place::fingerprint(id));
                }
                id.is_none_or(|id| !run.place.was_given(&id))
            });
            door::let_in(&self.queue, asked, &run.window, forms, &mut tally).await?;
        }
    }

    /// The other way round: forms that the queue holds and HQ did not list, although it received them in the time that was
    /// asked for. They are only named: somebody has deleted them, or the key is another domain's.
    async fn not_listed(
        &self,
        window: &Window,
        started: DateTime<Utc>,
        listed: &HashSet<u128>,
    ) -> Result<NotInCommCare, QueueError> {
        let mut sweep = HeldSweep::since(Origin::CommCare, window.indexed_from);
        let mut found = NotInCommCare::default();
        loop {
            let held = self.queue.next_held(&mut sweep).await?;
            if held.is_empty() {
                return Ok(found);
            }
            for held in held {
                let due = held.received().is_some_and(|received| {
                    received >= window.indexed_from
                        && received + LAG <= started
                        && window.holds(Some(received))
                });
                let Some(id) = held.job_id.filter(|_| due) else { continue };
                if !listed.contains(&place::fingerprint(&id)) {
                    found.add(id);
                }
            }
        }
    }

    /// The one log line of a call.
    fn tell(&self, asked: &Asked, kept: &Kept, tally: &Tally, stopped: Option<&str>) {
        let Tally { checked, accepted, replaced, .. } = *tally;
        if let Some(reason) = stopped {
            warn!(reason, checked, accepted, replaced, "reconciliation stopped");
            return;
        }
        info!(checked, accepted, replaced, dry_run = asked.dry_run, "reconciliation ended");
        let missing = kept.last_missing();
        if asked.is_routine() && accepted + replaced > 0 && missing > self.settings.alert {
            warn!(missing, "forms were missing and have been fetched");
        }
    }
}
