//! Visits stored in PostGIS, beside bare inserts of the same rows.
//!
//! Needs a server with PostGIS: `BENCH_DATABASE_URL`, else `TEST_DATABASE_URL`.

use std::sync::Arc;
use std::time::Instant;

use commcare_sf_integration::config::Config;
use commcare_sf_integration::destinations::Suspicion;
use commcare_sf_integration::destinations::postgis::{self, Postgis};
use commcare_sf_integration::jobs::{self, Facts};
use commcare_sf_integration::plan::Effects;
use commcare_sf_integration::plan::rows::{Rows, Typed, Visit};
use commcare_sf_integration::submission::Origin;
use serde_json::Value;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, QueryBuilder};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::service::Service;
use crate::{Table, client};

const MILL: &str = include_str!("../../src/samples/wet_mill_registration_form.json");
const VISIT: &str = include_str!("../../src/samples/wet_mill_visit.json");

/// Visits of each measurement.
const VISITS: usize = 1_000;
/// `DATABASE_MAX_CONNECTIONS`'s default, and visits stored at a time.
const CONNECTIONS: usize = 5;

/// Measures, or says that it cannot.
pub(crate) async fn measure(lines: &mut Table) {
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration")]
    let variable = |name| std::env::var(name).ok();
    let Some(server) = variable("BENCH_DATABASE_URL").or_else(|| variable("TEST_DATABASE_URL")) else {
        lines.add("visits in PostGIS", "left out".to_owned(), "BENCH_DATABASE_URL is not set", "0.5");
        return;
    };
    let database = Database::create(&server).await;
    let pool = PgPoolOptions::new().max_connections(5).connect(&database.url).await.unwrap();
    let answers: usize = visit("any").surveys.iter().map(|survey| survey.answers.len()).sum();
    lines.add("rows of one visit", format!("{}", 1 + visit("any").surveys.len() + answers), "", "");
    let limit = bare(&pool).await;
    lines.add("bare multi-row inserts, a visit a transaction", format!("{limit:.0}/s"), "the limit", "");
    let rate = stored(&database.url).await;
    let share = format!("{:.2} of the limit", rate / limit);
    lines.add("visits stored in PostGIS", format!("{rate:.0}/s"), &share, "0.5");
    let rate = through_the_webhook(&database.url).await;
    let share = format!("{:.2} of the limit", rate / limit);
    lines.add("  through the webhook and the queue", format!("{rate:.0}/s"), &share, "");
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM form_visits").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, i64::try_from(3 * VISITS).unwrap());
    pool.close().await;
    database.drop().await;
}

/// A migrated database with one mill.
struct Database {
    url: String,
    server: String,
    name: String,
}

impl Database {
    async fn create(server: &str) -> Self {
        let name = format!("bench_{}", Uuid::new_v4().simple());
        run(server, &format!("CREATE DATABASE {name}")).await;
        let (address, _) = server.rsplit_once('/').unwrap();
        let database = Self { url: format!("{address}/{name}"), server: server.to_owned(), name };
        postgis::migrate(&database.url.parse().unwrap()).await.unwrap();
        destination(&database.url).execute(&rows(MILL), None, Suspicion::None).await.unwrap();
        database
    }

    async fn drop(self) {
        run(&self.server, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn run(server: &str, sql: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
}

fn destination(url: &str) -> Postgis {
    let lookup = |name: &str| (name == "DATABASE_URL").then(|| url.to_owned());
    Postgis::new(&Config::load(&lookup).unwrap().postgis.unwrap())
}

fn rows(payload: &str) -> Rows {
    let payload: Value = serde_json::from_str(payload).unwrap();
    let job = jobs::find(Origin::CommCare, jobs::job_name(Origin::CommCare, &payload).unwrap()).unwrap();
    let plan = (job.mapping)(&payload, &Facts::new(true)).unwrap();
    match plan.effects {
        Effects::Rows(rows) => rows,
        Effects::Upserts(_) | Effects::Documents(_) => panic!("{} goes to PostGIS", job.name),
    }
}

/// The sample's visit under another id.
fn visit(id: &str) -> Visit {
    let sample: Value = serde_json::from_str(VISIT).unwrap();
    match rows(&VISIT.replace(sample["id"].as_str().unwrap(), id)) {
        Rows::Visit(visit) => *visit,
        Rows::Mill(_) => panic!("a visit"),
    }
}

/// Visits a second that `store` stores, `CONNECTIONS` at a time.
async fn rate<F, S>(store: F) -> f64
where
    F: Fn(Visit) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut waiting: Vec<Visit> = (0..VISITS).map(|_| visit(&Uuid::new_v4().to_string())).collect();
    let mut storing = JoinSet::new();
    let began = Instant::now();
    loop {
        while storing.len() < CONNECTIONS
            && let Some(visit) = waiting.pop()
        {
            storing.spawn(store(visit));
        }
        match storing.join_next().await {
            Some(stored) => stored.unwrap(),
            None => return VISITS as f64 / began.elapsed().as_secs_f64(),
        }
    }
}

/// By the service's destination.
async fn stored(url: &str) -> f64 {
    let destination = Arc::new(destination(url));
    rate(|visit| {
        let destination = Arc::clone(&destination);
        async move { destination.execute(&Rows::Visit(Box::new(visit)), None, Suspicion::None).await.unwrap() }
    })
    .await
}

/// Posted to the binary, which queues each and stores it within its call.
async fn through_the_webhook(url: &str) -> f64 {
    let service = Service::start(&[("DATABASE_URL", url)]).await;
    let load = client::load(service.address, CONNECTIONS, VISITS, VISIT).await;
    VISITS as f64 / load.took.as_secs_f64()
}

/// By three inserts with nothing around them.
async fn bare(pool: &PgPool) -> f64 {
    let mill: Uuid = sqlx::query_scalar::<_, String>("SELECT id::text FROM wetmills")
        .fetch_one(pool)
        .await
        .unwrap()
        .parse()
        .unwrap();
    rate(|visit| {
        let pool = pool.clone();
        async move { insert(&pool, mill, &visit).await }
    })
    .await
}

async fn insert(pool: &PgPool, mill: Uuid, visit: &Visit) {
    let mut transaction = pool.begin().await.unwrap();
    let key = Uuid::new_v4().to_string();
    let mut sql = QueryBuilder::<Postgres>::new(
        "INSERT INTO form_visits (id, submission_id, wetmill_id, form_name, visit_date) VALUES (",
    );
    sql.push_bind(&key).push("::uuid, ").push_bind(&visit.submission_id).push(", ");
    sql.push_bind(mill.to_string()).push("::uuid, ").push_bind(&visit.form_name).push(", ");
    sql.push_bind(visit.visit_date).push(")");
    sql.build().execute(&mut *transaction).await.unwrap();
    let surveys: Vec<_> = visit.surveys.iter().map(|survey| (Uuid::new_v4().to_string(), survey)).collect();
    let mut sql = QueryBuilder::<Postgres>::new(
        "INSERT INTO survey_responses
             (id, form_visit_id, submission_id, survey_type, completed_date, general_feedback) ",
    );
    sql.push_values(&surveys, |mut row, (id, survey)| {
        row.push_bind(id).push_unseparated("::uuid").push_bind(&key).push_unseparated("::uuid");
        row.push_bind(&survey.submission_id).push_bind(survey.survey_type);
        row.push_bind(survey.completed_date).push_bind(&survey.general_feedback);
    });
    sql.build().execute(&mut *transaction).await.unwrap();
    let answers =
        surveys.iter().flat_map(|(id, survey)| survey.answers.iter().map(move |answer| (id, answer)));
    let mut sql = QueryBuilder::<Postgres>::new(
        "INSERT INTO survey_question_responses
             (survey_response_id, submission_id, section_name, question_name, field_type,
              value_text, value_number, value_boolean, value_date) ",
    );
    sql.push_values(answers, |mut row, (survey, answer)| {
        row.push_bind(survey).push_unseparated("::uuid").push_bind(&answer.submission_id);
        row.push_bind(&answer.section_name).push_bind(&answer.question_name);
        row.push_bind(answer.value.field_type());
        let value = &answer.value;
        row.push_bind(if let Typed::Text(text) = value { text.as_deref() } else { None });
        row.push_bind(if let Typed::Number(number) = value { Some(*number) } else { None });
        row.push_bind(if let Typed::Boolean(boolean) = value { Some(*boolean) } else { None });
        row.push_bind(if let Typed::Date(date) = value { Some(*date) } else { None });
    });
    sql.build().execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}
