//! The three vendors of one service, and what they hold.

use std::collections::{BTreeMap, BTreeSet};

use commcare_sf_integration::plan::Plan;
use regex::Regex;
use serde_json::{Value, json};

use super::family;
use crate::postgis::rows;
use crate::support::commcare::{self, CommCareStandIn};
use crate::support::postgres::TestDatabase;
use crate::support::salesforce::{self, SalesforceStandIn};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    Salesforce,
    CommCare,
    Postgis,
}

impl Vendor {
    pub(super) const ALL: [Self; 3] = [Self::Salesforce, Self::CommCare, Self::Postgis];
}

pub(super) struct Vendors<'d> {
    pub(super) salesforce: SalesforceStandIn,
    hq: CommCareStandIn,
    database: &'d TestDatabase,
}

impl<'d> Vendors<'d> {
    /// Vendors that hold nothing but what no form writes.
    pub(super) async fn start(database: &'d TestDatabase) -> Self {
        database.run("TRUNCATE wetmills, form_visits, survey_responses, survey_question_responses").await;
        let (salesforce, hq) = (SalesforceStandIn::start().await, CommCareStandIn::start().await);
        salesforce.set_usage(0, 1_000_000);
        hq.check_parents();
        let plans: Vec<_> = family::all().iter().map(family::Mail::plan).collect();
        let mut there = BTreeSet::new();
        for plan in &plans {
            there.extend(
                family::referred_before_written(plan).map(|id| ("Household__c", "Household_ID__c", id)),
            );
        }
        for upsert in plans.iter().flat_map(Plan::upserts) {
            if upsert.external_id_field == "Id" {
                there.insert((upsert.object, "Id", upsert.external_id.clone()));
            }
            if let Some(criterion) = upsert.fields.get("Observation_Criterion__r") {
                let name = criterion.to_json()["Unique_Name__c"].as_str().unwrap().to_owned();
                there.insert(("Observation_Criterion__c", "Unique_Name__c", name));
            }
        }
        for (object, field, id) in there {
            salesforce.seed(object, field, &id, json!({}));
        }
        Self { salesforce, hq, database }
    }

    pub(super) fn variables(&self) -> Vec<(&str, &str)> {
        [&self.hq.variables()[..], &[("DATABASE_URL", self.database.url.as_str())]].concat()
    }

    /// A vendor that cannot be found any more: no call is worth a second try. Logins go on, since one that is refused is not
    /// tried again for half a minute.
    pub(super) async fn leave(&self, vendor: Vendor) {
        let gone = "<html>Not Found</html>".to_owned();
        match vendor {
            Vendor::Salesforce => {
                self.salesforce.set_composite_outage(Some(salesforce::Fault::Answer(404, gone)));
            }
            Vendor::CommCare => self.hq.set_outage(Some(commcare::Fault::Answer(404, gone))),
            Vendor::Postgis => self.database.run("ALTER TABLE wetmills RENAME TO elsewhere").await,
        }
    }

    pub(super) async fn come_back(&self, vendor: Vendor) {
        match vendor {
            Vendor::Salesforce => self.salesforce.set_composite_outage(None),
            Vendor::CommCare => self.hq.set_outage(None),
            Vendor::Postgis => self.database.run("ALTER TABLE elsewhere RENAME TO wetmills").await,
        }
    }

    pub(super) fn lose_an_answer(&self, vendor: Vendor) {
        match vendor {
            Vendor::Salesforce => self.salesforce.fail_next(salesforce::Fault::CutAfter),
            Vendor::CommCare => self.hq.fail_next(1, &commcare::Fault::CutAfter),
            // A transaction whose commit is not answered is as good as none: the rows are written again.
            Vendor::Postgis => {}
        }
    }

    /// CommCare has processed nothing of the next submissions of a participant's case: more than one call sends.
    pub(super) fn be_busy(&self) {
        let later = commcare::openrosa_body("post_processing_failure", "later");
        for _ in 0..4 {
            self.hq.fail("case-people-1", commcare::Fault::Answer(422, later.clone()));
        }
    }

    /// What these hold and the others don't, and the other way round.
    pub(super) async fn difference(&self, expected: &Self) -> Option<String> {
        let (found, expected) = (self.held().await, expected.held().await);
        let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
            these.difference(those).cloned().collect::<Vec<_>>().join("\n  ")
        };
        (found != expected).then(|| {
            format!("found\n  {}\ninstead of\n  {}", only(&found, &expected), only(&expected, &found))
        })
    }

    /// Every record, row and case, without what each org, database and HQ numbers for itself.
    async fn held(&self) -> BTreeSet<String> {
        let plans: Vec<_> = family::all().iter().map(family::Mail::plan).collect();
        let objects: BTreeSet<&str> =
            plans.iter().flat_map(Plan::upserts).map(|upsert| upsert.object).collect();
        let mut held = BTreeSet::new();
        for object in objects {
            for mut record in self.salesforce.records(object) {
                record.remove("Id");
                held.insert(json!({ object: record }).to_string());
            }
        }
        let cases: BTreeMap<_, _> = self.hq.cases();
        held.extend(cases.into_iter().map(|case| json!({ "case": case }).to_string()));
        let tables: Value = rows::stored(self.database).await;
        for (table, rows) in tables.as_object().unwrap() {
            held.extend(rows.as_array().unwrap().iter().map(|row| json!({ table: row }).to_string()));
        }
        // Photos are at an HQ of the test's own, and a session case holds the time of its arrival.
        let differs = r"http://127\.0\.0\.1:\d+|\d{4}-\d\d-\d\dT[0-9:]{8}\.\d{3}Z";
        let differs = Regex::new(differs).unwrap();
        held.into_iter().map(|one| differs.replace_all(&one, "(any)").into_owned()).collect()
    }
}
