//! What fails, what it is called, and that nothing of it stays behind.

use commcare_sf_integration::destinations::Suspicion;
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::support::salesforce::Fault;

fn nothing_written(stand_in: &SalesforceStandIn) {
    for object in ["Training_Session__c", "Attendance__c", "Household__c"] {
        assert!(stand_in.records(object).is_empty(), "{object}");
    }
}

#[tokio::test]
async fn the_last_rows_failure_leaves_nothing_behind_and_names_the_row() {
    let (stand_in, salesforce) = start().await;
    seed_participants(&stand_in, 30);
    let id = format!("{SESSION}p-29");
    stand_in.refuse_row(&id, 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "The module is closed");
    let error = failure(&salesforce, &attendance(30)).await;
    assert_eq!((error.failure, error.step.as_str()), (Failure::Permanent, "Attendance__c"));
    for part in ["Submission_ID__c", &id, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "The module is closed"] {
        assert!(error.message.contains(part), "{error}");
    }
    nothing_written(&stand_in);
}

#[tokio::test]
async fn the_first_steps_failure_is_found_before_the_consequences() {
    let (stand_in, salesforce) = start().await;
    stand_in.refuse_row(SESSION, 400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Date__c]");
    let error = failure(&salesforce, &attendance(3)).await;
    assert_eq!(error.step, "Training_Session__c");
    assert!(error.message.contains("REQUIRED_FIELD_MISSING"), "{error}");
}

#[tokio::test]
async fn an_unknown_reference_is_a_dependency() {
    let (stand_in, salesforce) = start().await;
    let error = failure(&salesforce, &attendance(2)).await;
    assert_eq!((error.failure, error.step.as_str()), (Failure::Dependency, "Attendance__c"));
    assert!(error.message.contains("Foreign key external ID: p-0 not found"), "{error}");
    nothing_written(&stand_in);
    seed_participants(&stand_in, 2);
    salesforce.execute(&attendance(2), Suspicion::None).await.unwrap();

    let farm = Upsert::new("Farm__c", "TNS_Id__c", "f-1").relate("Household__r", "Household_ID__c", "hh-9");
    let error = failure(&salesforce, &Plan::salesforce(vec![farm])).await;
    assert_eq!(error.failure, Failure::Dependency, "a single upsert: {error}");
}

#[tokio::test]
async fn a_reference_to_a_later_row_is_not_there_yet() {
    let (_stand_in, salesforce) = start().await;
    let farm = Upsert::new("Farm__c", "TNS_Id__c", "f-1").relate("Household__r", "Household_ID__c", "hh-1");
    let plan = Plan::salesforce(vec![farm.clone(), household("hh-1", "12")]);
    assert_eq!(failure(&salesforce, &plan).await.failure, Failure::Dependency);
    salesforce
        .execute(&Plan::salesforce(vec![household("hh-1", "12"), farm]), Suspicion::None)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_rows_code_decides() {
    let stand_in = SalesforceStandIn::start().await;
    for (status, code, expected) in [
        (400, "INVALID_CROSS_REFERENCE_KEY", Failure::Dependency),
        (400, "DUPLICATE_VALUE", Failure::Transient),
        (400, "UNABLE_TO_LOCK_ROW", Failure::Transient),
        (503, "SERVER_UNAVAILABLE", Failure::Unclear),
        (500, "SOMETHING_NEW", Failure::Unclear),
        (400, "SOMETHING_NEW", Failure::Permanent),
        (403, "INSUFFICIENT_ACCESS_OR_READONLY", Failure::Permanent),
        (403, "REQUEST_LIMIT_EXCEEDED", Failure::Unavailable),
        (300, "", Failure::Permanent),
    ] {
        stand_in.refuse_row("hh-0", status, code, "why");
        let message = expect(&fresh(&stand_in), expected).await;
        assert!(
            message.contains(code) && message.contains("Household__c with Household_ID__c hh-0"),
            "{message}"
        );
    }
    nothing_written(&stand_in);
}

#[tokio::test]
async fn several_matches_are_permanent_in_the_middle_of_a_request_too() {
    let (stand_in, salesforce) = start().await;
    stand_in.create_unknown_references();
    stand_in.seed("Training_Session__c", "CommCare_Case_Id__c", SESSION, json!({}));
    stand_in.seed("Training_Session__c", "CommCare_Case_Id__c", SESSION, json!({}));
    let error = failure(&salesforce, &attendance(2)).await;
    assert_eq!((error.failure, error.step.as_str()), (Failure::Permanent, "Training_Session__c"));
    assert!(error.message.contains("several records"), "{error}");
}

#[tokio::test]
async fn a_whole_requests_refusal_is_classified() {
    let stand_in = SalesforceStandIn::start().await;
    for (status, body, expected) in [
        (403, error_body("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), Failure::Unavailable),
        (403, error_body("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded."), Failure::Unclear),
        (403, error_body("API_DISABLED_FOR_ORG", "The REST API is not enabled"), Failure::Unavailable),
        (403, error_body("SOMETHING_NEW", "no"), Failure::Unclear),
        (403, "<html>Access denied</html>".to_owned(), Failure::Unclear),
        (400, "<html>Bad request</html>".to_owned(), Failure::Unclear),
        (407, String::new(), Failure::Unclear),
        (451, String::new(), Failure::Unclear),
        (404, error_body("NOT_FOUND", "The requested resource does not exist"), Failure::Unclear),
        (400, error_body("JSON_PARSER_ERROR", "unexpected"), Failure::Permanent),
        (410, String::new(), Failure::Unclear),
        (429, String::new(), Failure::Unclear),
        (420, "<html>We are setting things up</html>".to_owned(), Failure::Unclear),
        (500, error_body("UNKNOWN_EXCEPTION", "An unexpected error occurred"), Failure::Unclear),
        (502, "<html>Bad gateway</html>".to_owned(), Failure::Unclear),
        (503, error_body("SERVER_UNAVAILABLE", "maintenance"), Failure::Unclear),
        (302, String::new(), Failure::Unclear),
    ] {
        stand_in.fail_next(Fault::Answer(status, body));
        let message = expect(&fresh(&stand_in), expected).await;
        assert!(message.contains(&status.to_string()), "{message}");
        assert!(!message.contains('<'), "a proxy's page stays out: {message}");
    }
    nothing_written(&stand_in);
}

#[tokio::test]
async fn an_answer_that_is_not_whole_is_never_a_success() {
    let stand_in = SalesforceStandIn::start().await;
    stand_in.create_unknown_references();
    let rewrites: [fn(Value) -> Value; 9] = [
        |_| Value::Null,
        |_| json!({ "compositeResponse": [] }),
        |_| json!([]),
        |mut answer| {
            answer["compositeResponse"].as_array_mut().unwrap().pop();
            answer
        },
        |mut answer| {
            let extra = answer["compositeResponse"][0].clone();
            answer["compositeResponse"].as_array_mut().unwrap().push(extra);
            answer
        },
        |mut answer| {
            answer["compositeResponse"].as_array_mut().unwrap().swap(0, 1);
            answer
        },
        |mut answer| {
            answer["compositeResponse"][1]["body"].as_array_mut().unwrap().pop();
            answer
        },
        |mut answer| {
            answer["compositeResponse"][1]["body"][0].as_object_mut().unwrap().remove("success");
            answer
        },
        |mut answer| {
            answer["compositeResponse"][1]["body"] = json!(null);
            answer
        },
    ];
    for rewrite in rewrites {
        stand_in.fail_next(Fault::Rewrite(rewrite));
        let error = failure(&fresh(&stand_in), &attendance(3)).await;
        assert_eq!(error.failure, Failure::Unclear, "{error}");
    }
    stand_in.fail_next(Fault::Answer(200, "{\"compositeResponse\": [".to_owned()));
    assert_eq!(failure(&fresh(&stand_in), &attendance(3)).await.failure, Failure::Unclear);
}

#[tokio::test]
async fn a_refused_row_counts_although_the_collection_answers_200() {
    let (stand_in, salesforce) = start().await;
    stand_in.fail_next(Fault::Rewrite(|mut answer| {
        let body = &mut answer["compositeResponse"][0]["body"];
        body[1] =
            json!({ "success": false, "errors": [{ "statusCode": "STRING_TOO_LONG", "message": "Name" }] });
        answer
    }));
    let error = failure(&salesforce, &Plan::salesforce(households(3))).await;
    assert_eq!(error.failure, Failure::Permanent);
    assert!(error.message.contains("hh-1") && error.message.contains("STRING_TOO_LONG"), "{error}");
}

#[tokio::test]
async fn a_roll_back_that_names_no_cause_is_no_answer() {
    let stand_in = SalesforceStandIn::start().await;
    stand_in.fail_next(Fault::Rewrite(|mut answer| {
        let halted = json!([{ "errorCode": "PROCESSING_HALTED", "message": "rolled back" }]);
        answer["compositeResponse"][0]["body"] = halted;
        answer["compositeResponse"][0]["httpStatusCode"] = json!(400);
        answer
    }));
    expect(&fresh(&stand_in), Failure::Unclear).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let stand_in = SalesforceStandIn::start().await;
    let settings = SalesforceSettings {
        request_timeout: Duration::from_millis(300),
        retry_budget: Duration::ZERO,
        ..stand_in.settings()
    };
    let salesforce = Salesforce::new(settings, Metrics::default()).unwrap();
    stand_in.fail_next(Fault::Hang);
    let message = expect(&salesforce, Failure::Unclear).await;
    assert!(message.contains("no answer in time"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let stand_in = SalesforceStandIn::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let login_url = Url::parse(&format!("http://{free}")).unwrap();
    let salesforce =
        Salesforce::new(SalesforceSettings { login_url, ..stand_in.settings() }, Metrics::default()).unwrap();
    let message = expect(&salesforce, Failure::Unclear).await;
    assert!(message.contains("no connection"), "{message}");
    assert!(!message.contains(&free.to_string()), "{message}");
}
