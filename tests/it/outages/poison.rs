//! Records that a destination chokes on, alone and among healthy ones.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{PAGE, scheduled};
use crate::support::app::TestApp;
use crate::support::commcare::{CommCareStandIn, Fault as HqFault};
use crate::support::forms::{attendance_light, mill};
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::{Fault, SalesforceStandIn};

/// Short times, but for the answers: a healthy record whose call runs into its time-out is one more suspect, and the
/// figures are of the poisoned ones alone.
const TIMES: [(&str, &str); 4] = [
    ("LEASE_SECONDS", "2"),
    ("MAX_RETRIES", "1"),
    ("RETRY_BACKOFF_SECONDS", "1"),
    ("REQUEST_TIMEOUT_SECONDS", "30"),
];

/// How often CommCare is to choke on a record: more often than anyone tries it.
const TRIES: usize = 200;

/// From now on Salesforce chokes on the forms whose ids begin so.
fn poison(salesforce: &SalesforceStandIn, id: &str, fault: &Fault) {
    salesforce.choke_on(&format!("session-{id}"), Some(fault.clone()));
}

/// An answer without a code, as of something that broke down inside.
fn broken() -> Fault {
    Fault::Answer(500, String::new())
}

fn payload(id: &str) -> Value {
    json!({
        "id": id,
        "jobType": "Training Group",
        "uniqueProjectKey": "Coffee_KE_2024AC",
        "trainingGroups": [{ "commCareCaseId": format!("case-{id}"), "trainingGroupName": "Kiriga FFG" }],
    })
}

/// A service, one of its destinations, and how a payload for that comes.
struct Lane {
    app: TestApp,
    dest: &'static str,
    collection: &'static str,
    form: fn(&str) -> Value,
}

impl Lane {
    fn to_salesforce(app: TestApp) -> Self {
        Self { app, dest: "sf", collection: "commcare_collection", form: attendance_light }
    }

    async fn accept(&self, id: &str) {
        let path = if self.dest == "sf" { "/process-data-cc" } else { "/process-data-sf" };
        self.app.post(path, (self.form)(id).to_string()).await.expect(200);
    }

    async fn drain(&self) -> Value {
        self.app.post(&format!("/process-firestore-to-{}?drain=true", self.dest), "").await.expect(200)
    }

    async fn counts(&self) -> Value {
        let counts = self.app.get(&format!("/status-count/{}", self.collection)).await.expect(200);
        counts["status_counts"].clone()
    }

    async fn failed(&self) -> Vec<Value> {
        let failed = self.app.get(&format!("/failed/{}?limit=1000", self.dest)).await.expect(200);
        failed["failed_jobs"].as_array().unwrap().clone()
    }

    /// How many healthy ones have gone after each drain, until all have.
    async fn until_through(&self, healthy: u64) -> Vec<u64> {
        let mut through = Vec::new();
        while through.last() != Some(&healthy) {
            self.drain().await;
            through.push(self.counts().await["completed"].as_u64().unwrap());
            assert!(through.len() <= 3, "healthy ones after each drain: {through:?}");
        }
        through
    }

    /// Others come and go until each poisoned record waits for a person, and no other does; how many others.
    async fn until_given_up(&self, poisoned: u64) -> u64 {
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut more = 0;
        loop {
            let failed = self.failed().await;
            let given_up = failed.iter().filter(|job| job["next_retry_at"].is_null()).count() as u64;
            if given_up == poisoned {
                break;
            }
            assert!(Instant::now() < deadline, "{given_up} of {poisoned}, {}", self.counts().await);
            self.accept(&format!("more-{more}")).await;
            more += 1;
            scheduled(&self.app, self.dest).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        scheduled(&self.app, self.dest).await;
        for job in self.failed().await {
            assert!(job["id"].as_str().unwrap().starts_with("poison-"), "{job}");
            assert_eq!(
                (&job["error_kind"], &job["cause"]),
                (&json!("transient"), &json!("unanswered")),
                "{job}"
            );
            assert_eq!(job["run_retries"], 1, "{job}");
        }
        more
    }

    /// A dozen at the head of the queue that somebody has poisoned, and a hundred healthy ones.
    #[expect(clippy::print_stdout, reason = "the figures of the run")]
    async fn a_dozen_at_the_head(&self, healthy: u64, what: &str) {
        const POISONED: u64 = 12;
        for number in 0..POISONED {
            self.accept(&format!("poison-{number}")).await;
        }
        for number in 0..healthy {
            self.accept(&format!("f-{number}")).await;
        }
        let through = self.until_through(healthy).await;
        let more = self.until_given_up(POISONED).await;
        let counts = self.counts().await;
        println!("{what}: healthy ones after each drain {through:?}; {more} rounds more: {counts}");
        let all = json!({ "new": 0, "processing": 0, "completed": healthy + more, "failed": POISONED });
        assert_eq!(counts, all, "{what}");
        assert!(through.len() <= 2, "{what}: {through:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_at_the_head_hold_up_the_healthy_ones_for_two_drains_at_most() {
    let runs = ["1", "2", "4", "8", "16"].into_iter().flat_map(|concurrency| {
        [broken(), Fault::Answer(404, PAGE.to_owned())].map(|fault| (concurrency, fault))
    });
    join_all(runs.map(|(concurrency, fault)| async move {
        let salesforce = SalesforceStandIn::start().await;
        let variables = [&TIMES[..], &[("SF_CONCURRENCY", concurrency)]].concat();
        let app = TestApp::sending_to(&salesforce, &variables).await;
        poison(&salesforce, "poison-", &fault);
        let what = format!("Salesforce, {concurrency} at a time, {fault:?}");
        Lane::to_salesforce(app).a_dozen_at_the_head(100, &what).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_for_commcare_hold_up_no_more() {
    join_all(["1", "4"].map(|concurrency| async move {
        let hq = CommCareStandIn::start().await;
        let variables = [&hq.variables()[..], &TIMES, &[("CC_CONCURRENCY", concurrency)]].concat();
        let app = TestApp::with(&variables).await;
        for number in 0..12 {
            for _ in 0..TRIES {
                hq.fail(&format!("case-poison-{number}"), HqFault::Answer(500, String::new()));
            }
        }
        let lane = Lane { app, dest: "cc", collection: "salesforce_collection", form: payload };
        lane.a_dozen_at_the_head(30, &format!("CommCare, {concurrency} at a time")).await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dozen_for_postgis_hold_up_no_more() {
    let database = TestDatabase::migrated().await;
    // PostgreSQL runs out of memory over some rows.
    database
        .run(
            "CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'too much' USING ERRCODE = '53200'; END $$; \
             CREATE TRIGGER choke BEFORE INSERT ON wetmills FOR EACH ROW \
             WHEN (NEW.commcare_case_id LIKE 'case-poison-%') EXECUTE FUNCTION choke()",
        )
        .await;
    let variables = [&TIMES[..], &[("DATABASE_URL", &database.url), ("INLINE_SECONDS", "1")]].concat();
    let app = TestApp::with(&variables).await;
    let lane = Lane { app, dest: "sf", collection: "commcare_collection", form: mill };
    lane.a_dozen_at_the_head(30, "PostGIS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_at_both_ends_of_the_queue_holds_up_the_healthy_ones_for_three_drains_at_most() {
    join_all(["1", "8"].map(|concurrency| async move {
        let salesforce = SalesforceStandIn::start().await;
        let variables = [&TIMES[..], &[("SF_CONCURRENCY", concurrency)]].concat();
        let lane = Lane::to_salesforce(TestApp::sending_to(&salesforce, &variables).await);
        poison(&salesforce, "poison-", &broken());
        for id in (0..11).map(|number| format!("poison-{number}")) {
            lane.accept(&id).await;
        }
        for number in 0..50 {
            lane.accept(&format!("f-{number}")).await;
        }
        lane.accept("poison-11").await;
        lane.until_through(50).await;
        lane.until_given_up(12).await;
    }))
    .await;
}

#[tokio::test]
async fn a_lone_one_costs_a_call_a_drain_and_is_counted_as_soon_as_another_goes_through() {
    let salesforce = SalesforceStandIn::start().await;
    let lane = Lane::to_salesforce(TestApp::sending_to(&salesforce, &TIMES).await);
    poison(&salesforce, "lone", &broken());
    lane.accept("lone").await;
    let mut calls = Vec::new();
    for _ in 0..6 {
        let before = salesforce.requests();
        lane.drain().await;
        calls.push(salesforce.requests() - before);
    }
    let record = lane.app.record("lone").await;
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("new"), &json!(0)), "{record}");
    assert!(
        calls[0] > 1 && calls[1..] == [1; 5],
        "only at first it is worth tries within the call: {calls:?}"
    );
    lane.accept("f-0").await;
    let drained = lane.drain().await;
    assert_eq!(drained["processed_records"], json!(["f-0"]), "{drained}");
    let record = lane.app.record("lone").await;
    assert_eq!((&record["status"], &record["run_retries"]), (&json!("failed"), &json!(0)), "{record}");
    assert_eq!(record["cause"], "unanswered", "{record}");
    // Its retries count by the same rule, and cost as little.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut others = 1;
    while lane.app.record("lone").await["next_retry_at"].is_string() {
        assert!(Instant::now() < deadline, "{}", lane.app.record("lone").await);
        let before = salesforce.requests();
        lane.app.auto_retry().await;
        assert!(salesforce.requests() - before <= 1);
        lane.accept(&format!("f-{others}")).await;
        lane.drain().await;
        others += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lane.app.record("lone").await["run_retries"], 1);
    let all = json!({ "new": 0, "processing": 0, "completed": others, "failed": 1 });
    assert_eq!(lane.counts().await, all);
    // It waits for a person: no drain calls for it.
    let before = salesforce.requests();
    for _ in 0..3 {
        scheduled(&lane.app, "sf").await;
    }
    assert_eq!(salesforce.requests(), before);
}

#[tokio::test]
async fn a_destination_that_is_away_costs_a_few_calls_and_then_one_a_drain() {
    let salesforce = SalesforceStandIn::start().await;
    let variables = [&TIMES[..], &[("SF_CONCURRENCY", "1")]].concat();
    let lane = Lane::to_salesforce(TestApp::sending_to(&salesforce, &variables).await);
    for number in 0..40 {
        lane.accept(&format!("f-{number}")).await;
    }
    salesforce.set_composite_outage(Some(broken()));
    let mut calls = Vec::new();
    for _ in 0..5 {
        let before = salesforce.requests();
        let drained = lane.drain().await;
        assert_eq!(drained["stopped"]["destination"], "salesforce", "{drained}");
        calls.push(salesforce.requests() - before);
    }
    // The first record's tries, two more records that say the same, and one from the other end of the queue.
    assert!(calls[0] <= 4 + 2 + 1 && calls[1..] == [1; 4], "{calls:?}");
    let untouched = json!({ "new": 40, "processing": 0, "completed": 0, "failed": 0 });
    assert_eq!(lane.counts().await, untouched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_comes_and_goes_burns_nothing() {
    let salesforce = SalesforceStandIn::start().await;
    let lane = Lane::to_salesforce(TestApp::sending_to(&salesforce, &TIMES).await);
    for number in 0..30 {
        lane.accept(&format!("f-{number}")).await;
    }
    // Away for some drains, there for a single record: far more often than a record has retries.
    let mut gone = 0;
    for _ in 0..10 {
        salesforce.set_composite_outage(Some(broken()));
        for _ in 0..4 {
            scheduled(&lane.app, "sf").await;
        }
        salesforce.set_composite_outage(None);
        let drained = lane.app.post("/process-firestore-to-sf?limit=1", "").await.expect(200);
        gone += drained["processed_records"].as_array().unwrap().len() as u64;
    }
    assert!(gone >= 10, "{gone}");
    // A record that was taken between two failures of another may convict that one, once.
    for job in lane.failed().await {
        assert!(job["next_retry_at"].is_string(), "it waits for a person: {job}");
    }
    lane.app.until_completed(30).await;
}
