//! Every vendor in every trouble at random moments, under load, with two processes on one queue that
//! are killed and deployed anew. In the end each acknowledged payload has had its effect exactly once,
//! or is in the queue with an error that tells what really happened, and its retry to come: none waits for a person.
//! A siege ends the storm: every vendor is away for longer than a first back-off, then the queue is.
//!
//! A run is made from a seed, which it prints: `CHAOS_SEED` makes the same troubles and payloads again,
//! `CHAOS_SECONDS` more of them. Timing stays the machine's, so a seed leads close to a failure rather
//! than to it.

mod audit;
mod calm;
mod dice;
mod load;
mod services;
mod trouble;
mod vendors;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use commcare_sf_integration::clock;
use commcare_sf_integration::queue::Queue;
use commcare_sf_integration::submission::{ErrorKind, Origin};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::queue::backend::Backend;
use audit::{Books, brief};
use calm::State;
use dice::Dice;
use load::{Ledger, Mail};
use services::Services;
use trouble::{Journal, Trouble, Vendor};
use vendors::Vendors;

/// How long troubles are made, unless `CHAOS_SECONDS` says otherwise.
const SECONDS: u64 = 6;
const SENDERS: usize = 4;
/// How long a calm service may take to work off what is left.
const AFTERMATH: Duration = Duration::from_mins(1);
/// How long a siege lasts, for the vendors and for the queue.
const SIEGE: Duration = Duration::from_secs(3);
/// Short times, so that what takes minutes in production takes seconds here.
const TIMES: [(&str, &str); 7] = [
    ("LEASE_SECONDS", "3"),
    ("RETRY_BACKOFF_SECONDS", "1"),
    ("REQUEST_TIMEOUT_SECONDS", "1"),
    ("DRAIN_BUDGET_SECONDS", "4"),
    ("INLINE_SECONDS", "2"),
    ("CC_BATCH_SIZE", "4"),
    ("MAX_RETRIES", "3"),
];

/// What all tasks of a run share.
struct Run {
    seed: u64,
    until: Instant,
    vendors: Vendors,
    services: Services,
    /// The queue past its line, for the test to look into.
    queue: Queue,
    ledger: Ledger,
    journal: Journal,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_with_the_queue_in_sqlite() {
    chaos(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_with_the_queue_in_firestore() {
    chaos(Backend::firestore()).await;
}

#[expect(clippy::print_stdout, reason = "a run that fails has to be had again")]
async fn chaos(backend: Backend) {
    let seed = setting("CHAOS_SEED").unwrap_or_else(rand::random);
    let seconds = setting("CHAOS_SECONDS").unwrap_or(SECONDS);
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={seconds}");
    let queue = backend.open().await;
    let vendors = Vendors::start(backend).await;
    let mut variables = vendors.variables();
    variables.extend(TIMES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let run = Arc::new(Run {
        seed,
        services: Services::start(variables).await,
        vendors,
        queue,
        ledger: Ledger::default(),
        journal: Journal::default(),
        until: Instant::now() + Duration::from_secs(seconds),
    });
    run.storm().await;
    run.siege().await;
    let acknowledged = run.ledger.all();
    let books = run.until_quiet(&acknowledged).await;
    books.assert_truthful(&run.journal, run.services.kills());
    books.assert_nobody_is_needed();
    let (payloads, left, kills) = (acknowledged.len(), books.left().len(), run.services.kills());
    println!("{payloads} payloads, {kills} kills, {left} not completed by themselves\n{}", run.journal);
    let books = run.retry_by_hand(&acknowledged).await;
    let found = State::of(&run.vendors.salesforce, &run.vendors.hq, &run.vendors.database).await;
    let difference = found.difference(&calm::after(&books.by_arrival()).await);
    let stories = difference.as_deref().map(|difference| books.told_of(difference)).unwrap_or_default();
    assert_eq!(difference, None, "{stories}{}", run.journal);
    let Ok(run) = Arc::try_unwrap(run).map_err(drop) else { panic!("a task still runs") };
    run.services.finish();
    run.vendors.close().await;
}

#[expect(clippy::disallowed_methods, reason = "says which chaos a person wants, isn't configuration")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: not a number")))
}

impl Run {
    /// Senders, the scheduler, the troubles of every vendor and the killer, all at once.
    async fn storm(self: &Arc<Self>) {
        let mut tasks = JoinSet::new();
        for vendor in self.vendors.all() {
            let run = Arc::clone(self);
            tasks.spawn(async move { run.trouble(vendor).await });
        }
        for slot in 0..2 {
            let run = Arc::clone(self);
            tasks.spawn(async move { run.schedule(slot).await });
        }
        for sender in 0..SENDERS {
            let run = Arc::clone(self);
            tasks.spawn(async move {
                load::send(&run, sender).await;
            });
        }
        let run = Arc::clone(self);
        tasks.spawn(async move { run.kill().await });
        tasks.join_all().await;
    }

    /// One trouble of a vendor after the other, each of its kinds in turn, with a breath between.
    async fn trouble(&self, vendor: Vendor) {
        let mut dice = Dice::new(self.seed, &format!("{vendor:?}"));
        // Nothing at all is acknowledged while the queue is away: a few of its bad moments are enough.
        let (breath, length) =
            if vendor == Vendor::Firestore { (800..2_000, 200..1_200) } else { (200..900, 300..1_800) };
        loop {
            let mut troubles = vendor.troubles();
            dice.shuffle(&mut troubles);
            for trouble in troubles {
                sleep(dice.millis(breath.clone())).await;
                if Instant::now() >= self.until {
                    return;
                }
                self.journal.begin(vendor, trouble);
                self.vendors.begin(vendor, trouble, &mut dice).await;
                sleep(dice.millis(length.clone())).await;
                self.vendors.end(vendor, trouble).await;
                self.journal.end(vendor, trouble);
                // Whoever sets a refused credential right deploys it.
                if trouble == Trouble::LoginRefused
                    && vendor != Vendor::Firestore
                    && vendor != Vendor::Postgis
                {
                    self.services.deploy().await;
                }
            }
        }
    }

    /// Every vendor is away, then the queue, while the scheduler goes on calling.
    async fn siege(&self) {
        let (queue, vendors): (Vec<Vendor>, Vec<Vendor>) =
            self.vendors.all().into_iter().partition(|vendor| *vendor == Vendor::Firestore);
        let mut dice = Dice::new(self.seed, "siege");
        for besieged in [vendors, queue] {
            for vendor in &besieged {
                self.journal.begin(*vendor, Trouble::Down);
                self.vendors.begin(*vendor, Trouble::Down, &mut dice).await;
            }
            let end = Instant::now() + SIEGE;
            while !besieged.is_empty() && Instant::now() < end {
                tokio::join!(self.services.scheduled(0), self.services.scheduled(1));
                sleep(Duration::from_millis(100)).await;
            }
            for vendor in &besieged {
                self.vendors.end(*vendor, Trouble::Down).await;
                self.journal.end(*vendor, Trouble::Down);
            }
        }
    }

    async fn schedule(&self, slot: usize) {
        let mut dice = Dice::new(self.seed, &format!("scheduler {slot}"));
        while Instant::now() < self.until {
            self.services.scheduled(slot).await;
            sleep(dice.millis(50..300)).await;
        }
    }

    async fn kill(&self) {
        let mut dice = Dice::new(self.seed, "killer");
        loop {
            sleep(dice.millis(1_500..4_000)).await;
            if Instant::now() >= self.until {
                return;
            }
            self.services.kill(dice.below(2), dice.millis(50..600)).await;
        }
    }

    /// What the scheduler does, until nothing more happens by itself soon.
    async fn until_quiet(&self, acknowledged: &[Mail]) -> Books {
        let deadline = Instant::now() + AFTERMATH;
        loop {
            tokio::join!(self.services.scheduled(0), self.services.scheduled(1));
            let books = Books::open(&self.queue, acknowledged).await;
            if books.is_quiet(clock::now() + TimeDelta::seconds(3)) {
                return books;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.story(&books));
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// What a person has to know of a run that did not end.
    fn story(&self, books: &Books) -> String {
        format!("{}{}{}", books.left_briefly(), self.journal, self.services.last_words())
    }

    /// What an operator does about the rest, until all is completed: nothing is stuck.
    async fn retry_by_hand(&self, acknowledged: &[Mail]) -> Books {
        let deadline = Instant::now() + AFTERMATH;
        loop {
            let books = Books::open(&self.queue, acknowledged).await;
            let left = books.left();
            if left.is_empty() {
                return books;
            }
            assert!(Instant::now() < deadline, "it cannot be completed:\n{}", self.story(&books));
            for (mail, record) in left {
                let dest = if mail.origin == Origin::CommCare { "sf" } else { "cc" };
                assert_ne!(record.error_kind, Some(ErrorKind::Permanent), "{}", brief(mail, record));
                self.services.post(0, &format!("/retry/{dest}/{}", mail.id()), String::new()).await;
            }
        }
    }
}
