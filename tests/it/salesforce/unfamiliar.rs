//! What Salesforce answers now and then, and what few integrations know.

use commcare_sf_integration::destinations::Suspicion;

use super::*;
use crate::support::salesforce::Fault;

fn commented(id: &str, comment: &str) -> Upsert {
    household(id, "12").set("Comments__c", comment)
}

fn comments(stand_in: &SalesforceStandIn) -> Vec<Value> {
    let records = stand_in.records("Household__c");
    records.iter().map(|record| record.get("Comments__c").cloned().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_text_that_looks_like_a_reference_arrives_as_it_is() {
    for text in [
        "see @{home}",
        "@{step_0.id}",
        "@{step_0.records[0].Id}",
        "{@{x}}",
        "@{ }",
        "@{} @{x}",
        "a @{b\nc} d",
    ] {
        let (stand_in, salesforce) = start().await;
        salesforce
            .execute(
                &Plan::salesforce(vec![household("hh-0", "1"), commented("hh-1", text)]),
                Suspicion::None,
            )
            .await
            .unwrap();
        assert_eq!(comments(&stand_in)[1], text);
        let calls = stand_in.lone_calls();
        assert_eq!((calls.len(), stand_in.requests()), (1, 0), "both rows in one collection");
        assert!(calls[0].0.ends_with("/composite/sobjects/Household__c/Household_ID__c"), "{}", calls[0].0);
    }
}

#[tokio::test]
async fn such_a_text_in_an_id_or_a_reference_arrives_too() {
    let (stand_in, salesforce) = start().await;
    let farm =
        Upsert::new("Farm__c", "TNS_Id__c", "f@{1}").relate("Household__r", "Household_ID__c", "@{hh}/?#");
    salesforce
        .execute(&Plan::salesforce(vec![household("@{hh}/?#", "1"), farm]), Suspicion::None)
        .await
        .unwrap();
    assert_eq!(stand_in.records("Household__c")[0]["Household_ID__c"], "@{hh}/?#");
    assert_eq!(stand_in.records("Farm__c")[0]["TNS_Id__c"], "f@{1}");
    assert_eq!((stand_in.requests(), stand_in.lone_calls().len()), (0, 2));
}

/// A comment that holds the words of an error is quoted by another error.
#[tokio::test]
async fn words_of_an_error_in_a_comment_change_nothing() {
    for words in [
        "Invalid reference specified",
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record",
        "Record Currently Unavailable",
        "retry your request",
        "System.LimitException: Too many SOQL queries: 101",
        "Foreign key external ID: x not found for field Key__c in entity A__c",
        "duplicate value found: Household_ID__c duplicates value on record with id: a0X",
    ] {
        for code in ["STRING_TOO_LONG", "INVALID_FIELD", "FIELD_CUSTOM_VALIDATION_EXCEPTION"] {
            let (stand_in, salesforce) = start().await;
            let comment = format!("He said: {words}, twice");
            stand_in.refuse_row("hh-1", 400, code, &format!("Comments: data value too large: {comment}"));
            let plan = Plan::salesforce(vec![household("hh-0", "1"), commented("hh-1", &comment)]);
            let error = failure(&salesforce, &plan).await;
            assert_eq!((error.failure, stand_in.requests()), (Failure::Permanent, 1), "{error}");
            assert!(!error.message.contains("twice"), "{error}");
            salesforce.execute(&plan, Suspicion::None).await.unwrap();
            assert_eq!(stand_in.requests(), 2, "{words}: no size was learnt");
        }
    }
}

#[tokio::test]
async fn a_call_that_needs_no_composite_is_not_repeated_for_its_words() {
    let (stand_in, salesforce) = start().await;
    stand_in.refuse_row(
        "hh-1",
        400,
        "PROCESSING_HALTED",
        "Invalid reference specified. No value for home found",
    );
    let error = failure(&salesforce, &Plan::salesforce(vec![commented("hh-1", "see @{home}")])).await;
    assert_eq!((error.failure, stand_in.lone_calls().len()), (Failure::Permanent, 1), "{error}");
}

#[tokio::test]
async fn a_text_that_only_resembles_one_stays_in_composite() {
    let (stand_in, salesforce) = start().await;
    for text in ["@{", "@{}", "a @ {b}", "{home}", "@home}"] {
        salesforce.execute(&Plan::salesforce(vec![commented("hh-1", text)]), Suspicion::None).await.unwrap();
        assert_eq!(comments(&stand_in), [text]);
    }
    assert_eq!((stand_in.requests(), stand_in.lone_calls().len()), (5, 0));
}

#[tokio::test]
async fn what_stands_around_such_a_text_goes_in_order_and_a_retry_completes_it() {
    let (stand_in, salesforce) = start().await;
    let farm = |id: &str, household: &str| {
        Upsert::new("Farm__c", "TNS_Id__c", id).relate("Household__r", "Household_ID__c", household)
    };
    let plan = Plan::salesforce(vec![
        commented("hh-1", "see @{home}"),
        farm("f-1", "hh-1"),
        household("hh-2", "12"),
        farm("f-2", "hh-2").set("Comments__c", "at @{the} well"),
    ]);
    stand_in.refuse_row("f-2", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "no");
    let error = failure(&salesforce, &plan).await;
    assert_eq!((error.failure, error.step.as_str()), (Failure::Permanent, "Farm__c"));
    assert!(error.message.contains("TNS_Id__c f-2"), "{error}");
    assert!(error.message.ends_with("(request 3 of 3; those before it are written)"), "{error}");
    salesforce.execute(&plan, Suspicion::None).await.unwrap();
    assert_eq!((stand_in.records("Household__c").len(), stand_in.records("Farm__c").len()), (2, 2));
    assert_eq!(stand_in.records("Farm__c")[1]["Comments__c"], "at @{the} well");
}

#[tokio::test]
async fn an_update_by_id_with_such_a_text_is_a_call_of_its_own() {
    let (stand_in, salesforce) = start().await;
    let id = stand_in.seed("Household__c", "Household_ID__c", "hh-1", json!({}));
    let update = |id: &str| Upsert::new("Household__c", "Id", id).set("Comments__c", "@{home}");
    salesforce.execute(&Plan::salesforce(vec![update(&id)]), Suspicion::None).await.unwrap();
    assert_eq!(comments(&stand_in), ["@{home}"]);
    let error = failure(&salesforce, &Plan::salesforce(vec![update("a0X5g0000099999AAA")])).await;
    assert_eq!((error.failure, error.step.as_str()), (Failure::Permanent, "Household__c"), "{error}");
}

#[tokio::test]
async fn a_text_that_composite_misreads_all_the_same_is_sent_without_it() {
    let (stand_in, salesforce) = start().await;
    stand_in.fail_next(Fault::Rewrite(|mut answer| {
        let message = "Invalid reference specified. No value for home found in home";
        for subrequest in answer["compositeResponse"].as_array_mut().unwrap() {
            subrequest["body"] = json!([{ "errorCode": "PROCESSING_HALTED", "message": "rolled back" }]);
            subrequest["httpStatusCode"] = json!(400);
        }
        answer["compositeResponse"][1]["body"][0]["message"] = json!(message);
        answer
    }));
    let plan =
        vec![household("hh-1", "1"), Upsert::new("Farm__c", "TNS_Id__c", "f-1"), household("hh-2", "2")];
    salesforce.execute(&Plan::salesforce(plan), Suspicion::None).await.unwrap();
    assert_eq!((stand_in.requests(), stand_in.lone_calls().len()), (1, 3));
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn an_org_that_moved_is_found_by_the_next_probe() {
    let not_reset = || error_body("URL_NOT_RESET", "Destination URL not reset.");
    for (answer, meaning) in [
        (Fault::Answer(301, String::new()), Failure::Unclear),
        (Fault::Answer(307, String::new()), Failure::Unclear),
        (Fault::Answer(308, "<html>moved</html>".to_owned()), Failure::Unclear),
        (Fault::Redirect(301, "https://other.my.salesforce.com/".to_owned()), Failure::Unclear),
        (Fault::Redirect(302, "/elsewhere".to_owned()), Failure::Unclear),
        (Fault::Answer(404, not_reset()), Failure::Unavailable),
        (Fault::Answer(400, not_reset()), Failure::Unavailable),
        (Fault::Answer(410, String::new()), Failure::Unclear),
        (Fault::Answer(404, "<html>no such host</html>".to_owned()), Failure::Unclear),
    ] {
        let (stand_in, salesforce) = start().await;
        salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
        stand_in.move_org(&answer);
        expect(&salesforce, meaning).await;
        paused(&salesforce).await;
        salesforce.drain_begins();
        assert_eq!(salesforce.admission().await, Admission::Probing, "{answer:?}");
        salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
        assert_eq!(
            (stand_in.logins(), salesforce.admission().await),
            (2, Admission::Available),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn an_org_that_moved_while_it_did_not_answer_is_found_too() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.move_org(&Fault::CutBefore);
    for _ in 0..3 {
        expect(&salesforce, Failure::Unclear).await;
    }
    salesforce.drain_begins();
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
}

#[tokio::test]
async fn a_session_that_salesforce_no_longer_takes_is_renewed_however_it_says_so() {
    let body = error_body("INVALID_SESSION_ID", "Session expired or invalid");
    for fault in [
        Fault::Answer(401, body.clone()),
        Fault::Answer(403, body),
        Fault::Rewrite(|mut answer| {
            answer["compositeResponse"][0]["body"] =
                json!([{ "errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid" }]);
            answer["compositeResponse"][0]["httpStatusCode"] = json!(401);
            answer
        }),
        Fault::Rewrite(|mut answer| {
            answer["compositeResponse"][0]["body"] = Value::Null;
            answer["compositeResponse"][0]["httpStatusCode"] = json!(401);
            answer
        }),
        Fault::Rewrite(|mut answer| {
            let error =
                json!({ "statusCode": "INVALID_SESSION_ID", "message": "Session expired or invalid" });
            answer["compositeResponse"][0]["body"] = json!([{ "success": false, "errors": [error] }]);
            answer
        }),
    ] {
        let (stand_in, salesforce) = start().await;
        stand_in.fail_next(fault.clone());
        salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
        assert_eq!((stand_in.logins(), stand_in.requests()), (2, 2), "{fault:?}");
    }
    let (stand_in, salesforce) = start().await;
    for _ in 0..2 {
        stand_in.fail_next(Fault::Rewrite(|mut answer| {
            answer["compositeResponse"][0]["body"] = Value::Null;
            answer["compositeResponse"][0]["httpStatusCode"] = json!(401);
            answer
        }));
    }
    expect(&salesforce, Failure::Unavailable).await;
    assert!(
        paused(&salesforce).await.contains("401"),
        "a session that is refused after its renewal needs a person"
    );
    let salesforce = fresh(&stand_in);
    let logins = stand_in.logins();
    salesforce
        .execute(&Plan::salesforce(vec![commented("hh-1", "INVALID_SESSION_ID, 401")]), Suspicion::None)
        .await
        .unwrap();
    assert_eq!(stand_in.logins(), logins + 1, "a text with the word is none");
}

#[tokio::test]
async fn rows_that_are_too_many_for_the_triggers_go_in_smaller_collections() {
    for message in [
        "Household: execution of BeforeInsert caused by: System.LimitException: Too many SOQL queries: 101",
        "Household: System.LimitException: Apex CPU time limit exceeded",
        "System.LimitException: npsp:Too many query rows: 50001",
        "The flow Totals failed. This error occurred: Number of Iterations  Exceeded",
    ] {
        let (stand_in, salesforce) = start().await;
        stand_in.bear("Household__c", 30, message);
        salesforce.execute(&Plan::salesforce(households(100)), Suspicion::None).await.unwrap();
        assert_eq!(stand_in.records("Household__c").len(), 100);
        let rows = |s: &Value| s["body"]["records"].as_array().map_or(1, Vec::len);
        let shapes = || -> Vec<Vec<usize>> {
            stand_in.bodies().iter().map(|body| subrequests(body).iter().map(rows).collect()).collect()
        };
        assert_eq!(shapes(), [vec![100], vec![50, 50], vec![25; 4]]);
        salesforce.execute(&Plan::salesforce(households(60)), Suspicion::None).await.unwrap();
        assert_eq!(shapes()[3..], [[25, 25, 10]], "the next form starts with what was learnt");
        pass(3_600).await;
        salesforce.execute(&Plan::salesforce(households(60)), Suspicion::None).await.unwrap();
        assert_eq!(shapes()[4..], [vec![60], vec![30, 30]], "and an hour later with all again");
    }
}

#[tokio::test]
async fn too_many_rows_are_known_wherever_the_answer_says_so() {
    const SAID: &str = "Household: System.LimitException: Too many DML rows: 10001";
    for fault in [
        Fault::Answer(400, error_body("APEX_ERROR", SAID)),
        Fault::Answer(500, error_body("UNKNOWN_EXCEPTION", SAID)),
        Fault::Rewrite(|mut answer| {
            answer["compositeResponse"][0]["body"] =
                json!([{ "errorCode": "CANNOT_EXECUTE_FLOW_TRIGGER", "message": SAID }]);
            answer["compositeResponse"][0]["httpStatusCode"] = json!(500);
            answer
        }),
        Fault::Rewrite(|mut answer| {
            let error = json!({ "statusCode": "UNKNOWN_EXCEPTION", "message": SAID });
            for row in answer["compositeResponse"][0]["body"].as_array_mut().unwrap() {
                *row = json!({ "success": false, "errors": [error] });
            }
            answer
        }),
    ] {
        let (stand_in, salesforce) = start().await;
        stand_in.fail_next(fault.clone());
        salesforce.execute(&Plan::salesforce(households(40)), Suspicion::None).await.unwrap();
        let bodies = stand_in.bodies();
        let steps = subrequests(&bodies[1]);
        assert_eq!(
            (bodies.len(), steps.len(), stand_in.records("Household__c").len()),
            (2, 2, 40),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_collection_outside_composite_is_halved_too() {
    let (stand_in, salesforce) = start().await;
    stand_in.bear("Household__c", 3, "System.LimitException: Apex heap size too large: 6000001");
    let plan = (0..8).map(|n| commented(&format!("hh-{n}"), "see @{home}")).collect();
    salesforce.execute(&Plan::salesforce(plan), Suspicion::None).await.unwrap();
    let rows: Vec<usize> =
        stand_in.lone_calls().iter().map(|(_, body)| body["records"].as_array().unwrap().len()).collect();
    assert_eq!(rows, [8, 4, 2, 2, 2, 2]);
}

#[tokio::test]
async fn what_stands_before_smaller_collections_is_written_with_them() {
    let (stand_in, salesforce) = start().await;
    stand_in.create_unknown_references();
    stand_in.bear("Attendance__c", 20, "System.LimitException: Too many DML statements: 151");
    salesforce.execute(&attendance(40), Suspicion::None).await.unwrap();
    assert_eq!(stand_in.requests(), 2, "one transaction was refused, the next did it all");
    assert_eq!(stand_in.records("Attendance__c").len(), 40);
}

#[tokio::test]
async fn one_row_that_is_too_much_for_the_triggers_fails_alone_and_says_so() {
    let (stand_in, salesforce) = start().await;
    let message = "System.LimitException: Too many SOQL queries: 101";
    stand_in.refuse_row("hh-0", 400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message);
    let told = expect(&salesforce, Failure::Permanent).await;
    assert!(told.contains("hh-0") && told.contains("Too many SOQL queries"), "{told}");
    assert_eq!(stand_in.requests(), 1);
    let settings = SalesforceSettings { collection_size: 1, ..stand_in.settings() };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    stand_in.refuse_row("hh-1", 500, "UNKNOWN_EXCEPTION", message);
    let error = failure(&salesforce, &Plan::salesforce(households(3))).await;
    assert_eq!((error.failure, stand_in.requests()), (Failure::Permanent, 2), "{error}");
    assert!(error.message.contains("hh-1"), "{error}");
}

#[tokio::test]
async fn the_configured_size_bounds_collections_from_the_start() {
    let stand_in = SalesforceStandIn::start().await;
    let settings = SalesforceSettings { collection_size: 10, ..stand_in.settings() };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    salesforce.execute(&Plan::salesforce(households(25)), Suspicion::None).await.unwrap();
    let bodies = stand_in.bodies();
    let sizes: Vec<_> =
        subrequests(&bodies[0]).iter().map(|s| s["body"]["records"].as_array().unwrap().len()).collect();
    assert_eq!((bodies.len(), sizes), (1, vec![10, 10, 5]));
}

#[tokio::test]
async fn a_duplicate_on_another_unique_field_needs_a_person_and_names_field_and_record() {
    let (stand_in, salesforce) = start().await;
    let message = "duplicate value found: TNS_Id__c duplicates value on record with id: a0X5g0000012345AAA";
    stand_in.refuse_row("hh-0", 400, "DUPLICATE_VALUE", message);
    let told = expect(&salesforce, Failure::Permanent).await;
    assert!(told.contains("TNS_Id__c") && told.contains("a0X5g0000012345AAA"), "{told}");
    assert_eq!(stand_in.requests(), 1);
    let race =
        "duplicate value found: Household_ID__c duplicates value on record with id: a0X5g0000012345AAA";
    for race in [
        race,
        "duplicate value found: ns__Household_ID__c duplicates value on record with id: a0X5g0000012345AAA",
        "duplicate value found: <unknown> duplicates value on record with id: <unknown>",
        "duplicate value found: &lt;unknown&gt; duplicates value on record with id: &lt;unknown&gt;",
        "duplicate value found:  duplicates value on record with id: ",
    ] {
        stand_in.refuse_row("hh-0", 400, "DUPLICATE_VALUE", race);
        salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    }
    let other = "duplicate value found: ns__TNS_Id__c duplicates value on record with id: a0X5g0000012345AAA";
    stand_in.refuse_row("hh-0", 400, "DUPLICATE_VALUE", other);
    assert!(expect(&salesforce, Failure::Permanent).await.contains("ns__TNS_Id__c"));
}

#[tokio::test]
async fn locks_pass_in_whatever_words_they_come() {
    let (stand_in, salesforce) = start().await;
    for (code, message) in [
        (
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            "The flow failed: unable to obtain exclusive access to this record or 1 records: a0X5g0000012345AAA",
        ),
        (
            "APEX_ERROR",
            "Record Currently Unavailable: The record you are attempting to edit, or one of its related records, is \
             currently being modified by another user. Please try again.",
        ),
        (
            "APEX_ERROR",
            "Unable to obtain\n exclusive&nbsp;access to this record or 200 records: a0X5g0000012345AAA",
        ),
    ] {
        stand_in.refuse_row("hh-0", 400, code, message);
        salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    }
    assert_eq!(stand_in.requests(), 6);
    stand_in.refuse_row(
        "hh-1",
        400,
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record",
    );
    let plan = Plan::salesforce(vec![commented("hh-1", "see @{home}")]);
    salesforce.execute(&plan, Suspicion::None).await.unwrap();
    assert_eq!(stand_in.lone_calls().len(), 2);
}

#[tokio::test]
async fn an_id_that_ends_like_a_files_name_gets_a_hint_when_it_is_not_found() {
    let (stand_in, salesforce) = start().await;
    for (id, hint) in [("coop.inc", Some("ends in .inc")), ("hh-0", None), ("1.2345678", None)] {
        stand_in.refuse_row(id, 404, "NOT_FOUND", "The requested resource does not exist");
        let error = failure(&salesforce, &Plan::salesforce(vec![household(id, "12")])).await;
        assert_eq!(error.failure, Failure::Permanent);
        match hint {
            Some(hint) => assert!(error.message.contains(hint), "{error}"),
            None => assert!(error.message.ends_with("The requested resource does not exist"), "{error}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_unpacks_to_more_than_anyone_needs_is_not_read() {
    const BYTES: usize = 20 * 1024 * 1024;
    let too_long = "the answer has more than 16777216 bytes";
    let stand_in = SalesforceStandIn::start().await;
    stand_in.fail_next(Fault::Bomb(BYTES));
    assert!(expect(&fresh(&stand_in), Failure::Unclear).await.contains(too_long));
    stand_in.fail_next_login(Fault::Bomb(BYTES));
    assert!(expect(&fresh(&stand_in), Failure::Unclear).await.contains(too_long));

    let salesforce = fresh(&stand_in);
    stand_in.set_usage(14_999, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.set_outage(Some(Fault::Bomb(BYTES)));
    let admission = salesforce.admission().await;
    assert!(matches!(&admission, Admission::Paused { reason } if reason.contains(too_long)), "{admission:?}");

    stand_in.set_outage(None);
    let salesforce = fresh(&stand_in);
    stand_in.set_usage(1, 15_000);
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    stand_in.set_outage(Some(Fault::Bomb(BYTES)));
    let error = salesforce.query(&Soql::select_by_id("Staff__c", "Project_Role__c", "a")).await.unwrap_err();
    assert!(error.message.contains(too_long), "{error}");
}

#[tokio::test]
async fn a_query_that_is_too_long_is_no_trouble_of_salesforces() {
    let (stand_in, salesforce) = start().await;
    salesforce.execute(&Plan::salesforce(households(1)), Suspicion::None).await.unwrap();
    for status in [414, 431, 414, 431] {
        stand_in.set_outage(Some(Fault::Answer(status, "<html>too long</html>".to_owned())));
        let error =
            salesforce.query(&Soql::select_by_id("Staff__c", "Project_Role__c", "a")).await.unwrap_err();
        assert_eq!(error.failure, Failure::Permanent, "{error}");
    }
    assert_eq!(salesforce.admission().await, Admission::Available);
}

#[tokio::test]
async fn a_query_that_is_wrong_is_no_trouble_of_salesforces() {
    let (stand_in, salesforce) = start().await;
    for _ in 0..4 {
        let soql = Soql::select_by_id("No_Such_Field__c", "Project_Role__c", "a");
        let error = salesforce.query(&soql).await.unwrap_err();
        assert_eq!(error.failure, Failure::Permanent, "{error}");
    }
    assert_eq!((stand_in.queries().len(), salesforce.admission().await), (4, Admission::Available));
}
