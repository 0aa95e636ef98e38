//! What is sent, and what is there afterwards.

use super::*;
use commcare_sf_integration::destinations::Suspicion;

/// Rows per subrequest of every request so far.
fn shapes(stand_in: &SalesforceStandIn) -> Vec<Vec<usize>> {
    let rows = |s: &Value| s["body"]["records"].as_array().map_or(1, Vec::len);
    stand_in.bodies().iter().map(|body| subrequests(body).iter().map(rows).collect()).collect()
}

#[tokio::test]
async fn an_attendance_of_thirty_is_one_request() {
    let (stand_in, salesforce) = start().await;
    seed_participants(&stand_in, 30);
    salesforce.execute(&attendance(30), Suspicion::None).await.unwrap();
    assert_eq!(shapes(&stand_in), [[1, 30]]);
    let rows = stand_in.records("Attendance__c");
    assert_eq!(rows.len(), 30);
    assert_eq!(rows[29]["Submission_ID__c"], format!("{SESSION}p-29"));
    assert_eq!(rows[29]["Participant__r"], json!({ "CommCare_Case_Id__c": "p-29" }));
    assert_eq!(stand_in.records("Training_Session__c")[0]["Female__c"], 12);
}

#[tokio::test]
async fn an_attendance_of_two_hundred_is_one_request() {
    let (stand_in, salesforce) = start().await;
    stand_in.create_unknown_references();
    salesforce.execute(&attendance(200), Suspicion::None).await.unwrap();
    assert_eq!(shapes(&stand_in), [[1, 200]]);
}

#[tokio::test]
async fn rows_beyond_two_hundred_go_into_further_collections_of_the_same_request() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::salesforce(households(450)), Suspicion::None).await.unwrap();
    assert_eq!(shapes(&stand_in), [[200, 200, 50]]);
    assert_eq!(stand_in.records("Household__c").len(), 450);
}

#[tokio::test]
async fn more_steps_than_a_request_holds_go_out_as_several_in_order() {
    let (stand_in, salesforce) = start().await;
    let plan = (0..60).map(|n| match n % 2 {
        0 => household(&format!("hh-{n}"), "12"),
        _ => Upsert::new("Farm__c", "TNS_Id__c", format!("farm-{n}")).relate(
            "Household__r",
            "Household_ID__c",
            format!("hh-{}", n - 1),
        ),
    });
    let plan = Plan::salesforce(plan.collect());
    stand_in.refuse_row("hh-50", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "no");
    let error = failure(&salesforce, &plan).await;
    assert!(error.message.ends_with("(request 3 of 3; those before it are written)"), "{error}");
    assert_eq!(stand_in.records("Household__c").len() + stand_in.records("Farm__c").len(), 50);
    salesforce.execute(&plan, Suspicion::None).await.unwrap();
    assert_eq!(shapes(&stand_in)[3..], [vec![1; 25], vec![1; 25], vec![1; 10]]);
    assert_eq!(stand_in.records("Household__c").len() + stand_in.records("Farm__c").len(), 60);
}

#[tokio::test]
async fn of_two_rows_with_one_id_the_last_is_written() {
    let (stand_in, salesforce) = start().await;
    let plan = Plan::salesforce(vec![household("a", "1"), household("b", "2"), household("a", "3")]);
    salesforce.execute(&plan, Suspicion::None).await.unwrap();
    assert_eq!(shapes(&stand_in), [[2]]);
    let names: Vec<_> =
        stand_in.records("Household__c").iter().map(|record| record["Name"].clone()).collect();
    assert_eq!(names, ["3", "2"]);
}

#[tokio::test]
async fn two_spellings_of_one_id_are_written_one_after_the_other() {
    let (stand_in, salesforce) = start().await;
    let plan = Plan::salesforce(vec![household("a", "1"), household("b", "2"), household("A", "3")]);
    salesforce.execute(&plan, Suspicion::None).await.unwrap();
    assert_eq!(stand_in.records("Household__c")[0]["Name"], "3");
}

#[tokio::test]
async fn an_external_id_is_safe_in_the_url_whatever_it_holds() {
    let (stand_in, salesforce) = start().await;
    let ids = ["a b", "a/b", "a+b", "a%2Fb", "a?b#c&d", "né@ü", "a;b:c,d", "..", "日本"];
    for id in ids {
        salesforce.execute(&Plan::salesforce(vec![household(id, "12")]), Suspicion::None).await.unwrap();
    }
    let written: Vec<_> =
        stand_in.records("Household__c").iter().map(|record| record["Household_ID__c"].clone()).collect();
    assert_eq!(written, ids);
}

#[tokio::test]
async fn an_upsert_by_id_updates_and_never_creates() {
    let (stand_in, salesforce) = start().await;
    let id =
        stand_in.seed("Household__c", "Household_ID__c", "hh-1", json!({ "Name": "7", "Farm_Size__c": "3" }));
    let by_id = |id: &str| Upsert::new("Household__c", "Id", id).set("Name", "8");
    salesforce.execute(&Plan::salesforce(vec![by_id(&id), by_id(&id)]), Suspicion::None).await.unwrap();
    let records = stand_in.records("Household__c");
    assert_eq!((records[0]["Name"].as_str(), records[0]["Farm_Size__c"].as_str()), (Some("8"), Some("3")));
    let unknown = "a0X5g0000099999AAA";
    let error = failure(&salesforce, &Plan::salesforce(vec![by_id(unknown)])).await;
    assert_eq!(error.failure, Failure::Permanent);
    assert_eq!(stand_in.records("Household__c").len(), 1);
    stand_in.seed("Household__c", "Id", unknown, json!({}));
    salesforce.execute(&Plan::salesforce(vec![by_id(unknown)]), Suspicion::None).await.unwrap();
}

#[tokio::test]
async fn a_repeat_changes_nothing() {
    let (stand_in, salesforce) = start().await;
    stand_in.create_unknown_references();
    salesforce.execute(&attendance(3), Suspicion::None).await.unwrap();
    let before = stand_in.records("Attendance__c");
    salesforce.execute(&attendance(3), Suspicion::None).await.unwrap();
    assert_eq!(stand_in.records("Attendance__c"), before);
}

#[tokio::test]
async fn a_plan_without_effects_calls_nobody() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::nothing("no rule matched"), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.logins(), stand_in.requests()), (0, 0));
}

#[tokio::test]
async fn the_daily_calls_are_known_after_a_call() {
    let (stand_in, salesforce) = start().await;
    assert_eq!(salesforce.health(), Health { api_usage: None, admission: Admission::Available });
    stand_in.set_usage(14_249, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    let usage = salesforce.health().api_usage.unwrap();
    assert_eq!((usage.used, usage.limit), (14_250, 15_000));
}
