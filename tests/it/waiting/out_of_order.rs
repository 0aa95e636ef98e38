//! Related forms of all types, delivered in any order, with duplicates, edits, kills and outages in between: Salesforce,
//! PostGIS and CommCare end as if everything had come in the right order, by themselves (`docs/service.md`, guarantees 10
//! and 11). The queue's clock is the test's, so that days pass in milliseconds.

mod family;
mod vendors;

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::postgres::TestDatabase;
use crate::support::process::{borrowed, queue_variables};
use family::{Mail, in_the_right_order};
use vendors::{Vendor, Vendors};

/// Looks at the queue until nothing is left that goes on by itself, eight hours apart: fewer days than a form waits.
const LOOKS: usize = 60;
const BETWEEN_LOOKS: TimeDelta = TimeDelta::hours(8);

/// What happens between two deliveries.
#[derive(Debug, Clone)]
enum Event {
    /// The scheduler makes its calls.
    Work,
    /// It does, and the process dies so many milliseconds later.
    Killed(u64),
    /// It does while a vendor is away.
    Away(Vendor),
    /// A vendor takes the next submission, and its answer is lost.
    AnswerLost(Vendor),
    /// A participant's case is busy, as often as one run tries.
    Busy,
    /// So many hours pass.
    Hours(i64),
}

/// What is delivered, in this order, and what happens after each delivery.
type Story = Vec<(Mail, Option<Event>)>;

fn event() -> impl Strategy<Value = Event> {
    let vendor = || prop::sample::select(Vendor::ALL.to_vec());
    prop_oneof![
        4 => Just(Event::Work),
        2 => (0..40_u64).prop_map(Event::Killed),
        1 => vendor().prop_map(Event::Away),
        1 => vendor().prop_map(Event::AnswerLost),
        2 => Just(Event::Busy),
        1 => (1..30_i64).prop_map(Event::Hours),
    ]
}

/// Most of a family, some of it twice or edited, in any order.
fn story() -> impl Strategy<Value = Story> {
    let chosen: Vec<_> = family::all()
        .into_iter()
        .map(|mail| {
            let share = if mail.is_needed { 1.0 } else { 0.7 };
            (prop::bool::weighted(share), prop::bool::weighted(0.2), prop::bool::weighted(0.5)).prop_map(
                move |(is_sent, is_repeated, is_edited)| {
                    let edited = mail.edited().filter(|_| is_sent && is_edited);
                    let sent = [is_sent, is_sent && is_repeated].into_iter().filter(|sent| *sent);
                    sent.map(|_| mail.clone()).chain(edited).collect::<Vec<_>>()
                },
            )
        })
        .collect();
    let mails = chosen.prop_map(|mails| mails.concat()).prop_shuffle();
    mails.prop_flat_map(|mails| {
        let events = prop::collection::vec(prop::option::weighted(0.4, event()), mails.len());
        events.prop_map(move |events| mails.iter().cloned().zip(events).collect())
    })
}

fn ends_as_in_the_right_order(backend: fn() -> Backend, cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let databases =
        runtime.block_on(async { [TestDatabase::migrated().await, TestDatabase::migrated().await] });
    let config = Config { cases, max_shrink_iters: 8, failure_persistence: None, ..Config::default() };
    let told = TestRunner::new(config).run(&story(), |story| {
        runtime.block_on(async {
            let (found, expected) =
                (Vendors::start(&databases[0]).await, Vendors::start(&databases[1]).await);
            let arrived = play(&backend(), &found, &story).await;
            deliver_calmly(&expected, in_the_right_order(&arrived)).await;
            prop_assert_eq!(found.difference(&expected).await, None);
            Ok(())
        })
    });
    match told {
        Ok(()) => {}
        Err(TestError::Fail(why, story)) => {
            let story: Vec<String> =
                story.iter().map(|(mail, event)| format!("{mail:?}, {event:?}")).collect();
            panic!("{why}\n{}", story.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
}

/// The service lives through a story; the last editions, in the order in which they were taken.
async fn play(backend: &Backend, vendors: &Vendors<'_>, story: &Story) -> Vec<Mail> {
    let queue = queue_variables(backend);
    let app = TestApp::sending_to(
        &vendors.salesforce,
        &[&borrowed(&queue), &vendors.variables()[..], &[("MAX_RETRIES", "20")]].concat(),
    )
    .await;
    let mut arrived: Vec<Mail> = Vec::new();
    for (mail, event) in story {
        let answer = app.post(mail.path(), mail.payload.to_string()).await.expect(200);
        if answer["duplicate"] != true && answer["stale"] != true {
            arrived.retain(|known| known.id() != mail.id());
            arrived.push(mail.clone());
        }
        match event {
            None => {}
            Some(Event::Work) => work(&app).await,
            // What the process had in work stays so until its lease runs out.
            Some(Event::Killed(after)) => drop(timeout(Duration::from_millis(*after), work(&app)).await),
            Some(Event::Away(vendor)) => {
                vendors.leave(*vendor).await;
                work(&app).await;
                vendors.come_back(*vendor).await;
            }
            Some(Event::AnswerLost(vendor)) => vendors.lose_an_answer(*vendor),
            Some(Event::Busy) => {
                vendors.be_busy();
                work(&app).await;
            }
            Some(Event::Hours(hours)) => app.app.queue.pass(TimeDelta::hours(*hours)),
        }
    }
    for _ in 0..LOOKS {
        app.app.queue.pass(BETWEEN_LOOKS);
        work(&app).await;
        if left(&app).await.is_empty() {
            return arrived;
        }
    }
    panic!("not done by themselves: {}", json!(left(&app).await));
}

/// What the scheduler calls.
async fn work(app: &TestApp) {
    for dest in ["sf", "cc"] {
        for call in ["process", "auto-retry"] {
            app.post(&format!("/{call}-firestore-to-{dest}?drain=true"), "").await.expect(200);
        }
    }
}

/// Records that are not done. One that a newer one has overtaken is: nothing of it is left to be written.
async fn left(app: &TestApp) -> Vec<Value> {
    let mut left = Vec::new();
    for (dest, collection) in [("sf", "commcare_collection"), ("cc", "salesforce_collection")] {
        let counts =
            app.get(&format!("/status-count/{collection}")).await.expect(200)["status_counts"].clone();
        if counts["new"] != 0 || counts["processing"] != 0 {
            left.push(json!({ collection: counts }));
        }
        let failed = app.get(&format!("/failed/{dest}?summary=true")).await.expect(200);
        let failed = failed["failed_jobs"].as_array().unwrap().iter();
        let failed = failed.filter(|job| job["cause"] != "superseded");
        left.extend(failed.map(|job| json!([job["id"], job["awaits"], job["error"], job["run_retries"]])));
    }
    left
}

/// The same on a service that nothing troubles.
async fn deliver_calmly(vendors: &Vendors<'_>, mails: Vec<Mail>) {
    let app = TestApp::sending_to(&vendors.salesforce, &vendors.variables()).await;
    for mail in mails {
        app.post(mail.path(), mail.payload.to_string()).await.expect(200);
        work(&app).await;
    }
    assert_eq!(left(&app).await, [] as [Value; 0], "not even in the right order");
}

#[test]
fn in_any_order_they_end_as_in_the_right_one_with_the_queue_in_sqlite() {
    ends_as_in_the_right_order(Backend::sqlite, 12);
}

#[test]
fn in_any_order_they_end_as_in_the_right_one_with_the_queue_in_firestore() {
    ends_as_in_the_right_order(Backend::firestore, 3);
}
