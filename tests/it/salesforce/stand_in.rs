//! The stand-in refuses what Salesforce refuses: tests that pass against it mean something.

use super::*;

/// Sends a Composite request of these subrequests past the destination.
async fn post(stand_in: &SalesforceStandIn, subrequests: Vec<Value>) -> (u16, Value) {
    let client = reqwest::Client::new();
    let url = stand_in.settings().login_url;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", crate::support::salesforce::CLIENT_ID),
        ("client_secret", crate::support::salesforce::CLIENT_SECRET),
    ];
    let token = client.post(url.join("services/oauth2/token").unwrap()).form(&form).send().await.unwrap();
    let token: Value = token.json().await.unwrap();
    let body = json!({ "allOrNone": true, "collateSubrequests": false, "compositeRequest": subrequests });
    let call = client.post(url.join("services/data/v66.0/composite").unwrap()).json(&body);
    let response = call.bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn subrequest(n: usize, url: &str, body: impl Into<Value>) -> Value {
    json!({
        "method": "PATCH",
        "url": format!("/services/data/v66.0/{url}"),
        "referenceId": format!("r{n}"),
        "body": body.into(),
    })
}

fn single(n: usize, id: &str) -> Value {
    subrequest(n, &format!("sobjects/Household__c/Household_ID__c/{id}"), json!({ "Name": "12" }))
}

fn collection(n: usize, ids: &[String]) -> Value {
    let records =
        ids.iter().map(|id| json!({ "attributes": { "type": "Household__c" }, "Household_ID__c": id }));
    let body = json!({ "allOrNone": true, "records": records.collect::<Vec<_>>() });
    subrequest(n, "composite/sobjects/Household__c/Household_ID__c", body)
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("hh-{n}")).collect()
}

/// The code of the one subrequest's error, and its status.
async fn refused(subrequest: Value) -> (u64, String) {
    let stand_in = SalesforceStandIn::start().await;
    let (status, answer) = post(&stand_in, vec![subrequest]).await;
    assert_eq!(status, 200, "{answer}");
    assert!(stand_in.records("Household__c").is_empty());
    let answer = &answer["compositeResponse"][0];
    let rows = answer["body"].as_array().unwrap();
    let errors = rows.iter().map(|row| row["errors"].get(0).unwrap_or(row));
    let codes = errors.filter_map(|error| error.get("errorCode").or(error.get("statusCode"))?.as_str());
    let cause = codes.into_iter().find(|code| *code != "ALL_OR_NONE_OPERATION_ROLLED_BACK").unwrap();
    (answer["httpStatusCode"].as_u64().unwrap(), cause.to_owned())
}

#[tokio::test]
async fn a_request_beyond_the_limits_is_refused_as_a_whole() {
    let stand_in = SalesforceStandIn::start().await;
    for (subrequests, expected) in [
        ((0..25).map(|n| single(n, &format!("a{n}"))).collect(), 200),
        ((0..26).map(|n| single(n, &format!("b{n}"))).collect(), 400),
        ((0..5).map(|n| collection(n, &ids(2))).collect(), 200),
        ((0..6).map(|n| collection(n, &ids(2))).collect(), 400),
        (vec![single(0, "c"), single(0, "d")], 400),
        (vec![], 400),
    ] {
        let (status, answer) = post(&stand_in, subrequests).await;
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(stand_in.records("Household__c").len(), 27);
}

#[tokio::test]
async fn a_subrequest_against_the_rules_is_refused() {
    let with = |key: &str, value: Value| {
        let mut subrequest = single(0, "a");
        subrequest[key] = value;
        subrequest
    };
    let mut untyped = collection(0, &ids(2));
    untyped["body"]["records"][1].as_object_mut().unwrap().remove("attributes");
    for (subrequest, expected) in [
        (with("method", json!("POST")), (405, "METHOD_NOT_ALLOWED")),
        (with("url", json!("/services/data/v66.0/sobjects/Household__c")), (404, "NOT_FOUND")),
        (single(0, "a b"), (404, "NOT_FOUND")),
        (subrequest(0, "sobjects/Nothing__c/Key__c/a", json!({})), (404, "NOT_FOUND")),
        (subrequest(0, "sobjects/Household__c/Name/a", json!({})), (404, "NOT_FOUND")),
        (subrequest(0, "composite/sobjects/Household__c/Id", json!({})), (404, "NOT_FOUND")),
        (with("body", json!({ "Household_ID__c": "a" })), (400, "INVALID_FIELD")),
        (with("body", json!({ "Nobody__r": { "Key__c": "a" } })), (400, "INVALID_FIELD")),
        (collection(0, &ids(201)), (400, "INVALID_INPUT")),
        (collection(0, &["a".to_owned(), "b".to_owned(), "A".to_owned()]), (200, "DUPLICATE_VALUE")),
        (untyped, (200, "INVALID_TYPE")),
    ] {
        let shown = subrequest.to_string();
        assert_eq!(refused(subrequest).await, (expected.0, expected.1.to_owned()), "{shown}");
    }
}

#[tokio::test]
async fn a_failure_rolls_back_creations_and_updates() {
    let stand_in = SalesforceStandIn::start().await;
    stand_in.seed("Household__c", "Household_ID__c", "hh-0", json!({ "Name": "old" }));
    stand_in.refuse_row("last", 400, "STRING_TOO_LONG", "no");
    let (_, answer) =
        post(&stand_in, vec![single(0, "hh-0"), single(1, "new"), single(2, "last"), single(3, "x")]).await;
    let code = |n: usize| answer["compositeResponse"][n]["body"][0]["errorCode"].as_str().unwrap().to_owned();
    assert_eq!(
        [0, 1, 2, 3].map(code),
        ["PROCESSING_HALTED", "PROCESSING_HALTED", "STRING_TOO_LONG", "PROCESSING_HALTED"]
    );
    let records = stand_in.records("Household__c");
    assert_eq!((records.len(), &records[0]["Name"]), (1, &json!("old")));
    let (_, answer) = post(&stand_in, vec![single(0, "HH-0"), single(1, "new")]).await;
    assert_eq!(answer["compositeResponse"][0]["body"]["created"], false, "ids are compared without case");
    assert_eq!(answer["compositeResponse"][1]["httpStatusCode"], 201);
}
