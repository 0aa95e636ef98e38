//! Every vendor in every trouble at random moments, under load, with two processes on one queue that
//! are killed and deployed anew. Some forms are poisoned: Salesforce chokes on them. After the storm both processes are
//! killed again and again in mid-work; then every vendor is away for longer than all back-offs together, and after that
//! the queue is, or its disk is full. In the end each acknowledged payload has had its effect exactly once, by itself;
//! only the poisoned ones are left, and each error of a record tells what really happened.
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

use commcare_sf_integration::queue::Queue;
use commcare_sf_integration::submission::{ErrorKind, Origin};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::queue::backend::Backend;
use crate::support::salesforce::Fault;
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
const AFTERMATH: Duration = Duration::from_mins(2);
/// How long a siege lasts, for the vendors and for the queue: longer than all back-offs together, with [`IN_A_SIEGE`].
const SIEGE: Duration = Duration::from_secs(3);
/// One back-off of a second, a fifth more at most.
const IN_A_SIEGE: (&str, &str) = ("MAX_RETRIES", "1");
/// Kills of a crash loop, and the time that a process has between two of them.
const CRASHES: usize = 4;
const BETWEEN_CRASHES: Duration = Duration::from_millis(400);
const POISONED: usize = 3;
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
    chaos(Backend::sqlite_on_disk()).await;
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
    run.vendors.salesforce.choke_on("session-poison", Some(Fault::Answer(500, String::new())));
    run.storm().await;
    run.crash_loop().await;
    run.until_only_poison_is_left(&run.ledger.all()).await;
    run.services.deploy_with(IN_A_SIEGE).await;
    run.siege().await;
    let acknowledged = run.ledger.all();
    let books = run.until_only_poison_is_left(&acknowledged).await;
    books.assert_truthful(&run.journal, run.services.kills());
    let (payloads, left, kills) = (acknowledged.len(), books.left().len(), run.services.kills());
    println!("{payloads} payloads, {kills} kills, {left} poisoned\n{}", run.journal);
    run.vendors.salesforce.choke_on("", None);
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
                load::send(&run, sender, run.until).await;
            });
        }
        let run = Arc::clone(self);
        tasks.spawn(async move { load::send_poison(&run, POISONED).await });
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

    /// Both processes are killed in the midst of drains, again and again, while forms come in.
    async fn crash_loop(self: &Arc<Self>) {
        let end = Instant::now() + BETWEEN_CRASHES * u32::try_from(CRASHES).unwrap();
        let run = Arc::clone(self);
        let sending = tokio::spawn(async move { load::send(&run, SENDERS, end).await });
        for crash in 0..CRASHES {
            let slot = crash % 2;
            tokio::select! {
                () = self.services.scheduled(slot) => {}
                () = sleep(BETWEEN_CRASHES) => {}
            }
            self.services.kill(slot, Duration::ZERO).await;
        }
        sending.await.unwrap();
    }

    /// Every vendor is away, then the queue, while forms come in and the scheduler goes on calling.
    async fn siege(self: &Arc<Self>) {
        let (queue, vendors): (Vec<Vendor>, Vec<Vendor>) =
            self.vendors.all().into_iter().partition(|vendor| vendor.is_queue());
        let mut dice = Dice::new(self.seed, "siege");
        for (number, besieged) in [vendors, queue].into_iter().enumerate().filter(|(_, all)| !all.is_empty())
        {
            for vendor in &besieged {
                self.journal.begin(*vendor, vendor.siege());
                self.vendors.begin(*vendor, vendor.siege(), &mut dice).await;
            }
            let end = Instant::now() + SIEGE;
            let run = Arc::clone(self);
            let sending =
                tokio::spawn(async move { load::send(&run, SENDERS + 1 + number, end - SIEGE / 2).await });
            while Instant::now() < end {
                tokio::join!(self.services.scheduled(0), self.services.scheduled(1));
                sleep(Duration::from_millis(100)).await;
            }
            for vendor in &besieged {
                self.vendors.end(*vendor, vendor.siege()).await;
                self.journal.end(*vendor, vendor.siege());
            }
            sending.await.unwrap();
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

    /// What the scheduler does, until everything is completed that nobody has poisoned.
    async fn until_only_poison_is_left(&self, acknowledged: &[Mail]) -> Books {
        let deadline = Instant::now() + AFTERMATH;
        loop {
            tokio::join!(self.services.scheduled(0), self.services.scheduled(1));
            let books = Books::open(&self.queue, acknowledged).await;
            books.assert_nobody_is_needed();
            if books.left().iter().all(|(mail, _)| mail.is_poison()) {
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
