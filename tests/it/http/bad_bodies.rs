//! Bodies that are no payload at all are refused in words: never a panic, never a 500.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::support::app::{TestAnswer, TestApp};
use crate::support::forms::registration;

/// The calls that read a payload, each with a job name that it knows.
const TAKE_PAYLOADS: [&str; 3] = ["/process-data-cc", "/process-data-sf", "/preview/cc"];

async fn post_as(app: &TestApp, path: &str, content_type: Option<&str>, body: impl Into<Body>) -> TestAnswer {
    let mut request = Request::post(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    app.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn what_is_no_json_object_with_members_is_refused() {
    let app = TestApp::start().await;
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_form = r#"{"id":"f-1","form":{"@name":"Farmer Registration","a":"#.to_owned()
        + &r#"{"a":"#.repeat(10_000)
        + "1"
        + &"}".repeat(10_002);
    let good = registration("f-1").to_string();
    let (cut, twice) = (&good[..good.len() - 1], format!("{good}{good}"));
    let end = |text: &str| format!("the JSON ends too early, at line 1, column {}", text.len());
    let behind = |text: &str| format!("not JSON at line 1, column {}", text.len() + 1);
    let bodies: Vec<(String, String)> = [
        ("", "the JSON ends too early, at line 1, column 0"),
        (" \n", "the JSON ends too early, at line 2, column 0"),
        ("{}", "is an empty object"),
        ("[]", "must be an object, but is a list"),
        ("[{\"id\":\"f-1\"}]", "must be an object, but is a list"),
        ("\"\"", "must be an object, but is a text"),
        ("\"Almaz\"", "must be an object, but is a text"),
        ("true", "must be an object, but is true or false"),
        ("null", "must be an object, but is null"),
        ("7", "must be an object, but is a number"),
        ("{", "the JSON ends too early, at line 1, column 1"),
        ("{\"id\":}", "not JSON at line 1, column 7"),
        ("{\"id\":1,\n\"name\": Almaz}", "not JSON at line 2, column 9"),
        ("id=f-1&form=x", "not JSON at line 1, column 1"),
        (&format!("{good} x"), &behind(&format!("{good} "))),
        (&twice, &behind(&good)),
        (cut, &end(cut)),
        (&deep, "nested too deeply at line 1, column 128"),
        (&deep_form, &format!("nested too deeply at line 1, column {}", 54 + 5 * 125 + 1)),
    ]
    .map(|(body, details)| (body.to_owned(), details.to_owned()))
    .into();
    for path in TAKE_PAYLOADS {
        for (body, details) in &bodies {
            let answer = post_as(&app, path, Some("application/json"), body.clone()).await.expect(400);
            let shown = body.chars().take(60).collect::<String>();
            assert_eq!(answer, json!({ "error": "Invalid payload", "details": details }), "{path}: {shown}");
        }
    }
}

#[tokio::test]
async fn xml_is_told_by_its_content_type_or_its_first_character() {
    let app = TestApp::start().await;
    let form = "<data xmlns=\"http://openrosa.org\"/>";
    let calls = [
        (Some("text/xml"), form.to_owned()),
        (Some("application/xml; charset=utf-8"), form.to_owned()),
        (Some("Application/XML"), form.to_owned()),
        (Some("application/json"), form.to_owned()),
        (None, format!(" \r\n\t{form}")),
        (None, format!("\u{feff}{form}")),
        (None, format!("\u{feff}\n{form}")),
        (Some("text/xml"), registration("f-1").to_string()),
    ];
    let commcare = "set the format of the forwarding to JSON";
    let salesforce = "send JSON instead, with Apex or an HTTP callout of a flow";
    for (path, advice) in [
        ("/process-data-cc", commcare),
        ("/preview/cc", commcare),
        ("/process-data-sf", salesforce),
        ("/preview/sf", salesforce),
    ] {
        for (content_type, body) in &calls {
            let answer = post_as(&app, path, *content_type, body.clone()).await.expect(415);
            let error = answer["error"].as_str().unwrap();
            assert!(error.contains(advice), "{path}: {error}");
            assert!(!error.contains("openrosa"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_outbound_message_of_salesforce_is_told_what_to_use_instead() {
    let app = TestApp::start().await;
    let message = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
 <soapenv:Body>
  <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
   <OrganizationId>00D000000000001EAA</OrganizationId>
   <Notification><Id>04l000000000001AAA</Id></Notification>
  </notifications>
 </soapenv:Body>
</soapenv:Envelope>"#;
    let headers = [("content-type", "text/xml; charset=utf-8"), ("soapaction", "\"\"")];
    let answer = app.call_with("POST", "/process-data-sf", &headers, message).await.expect(415);
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("outbound messages") && !error.contains("CommCare"), "{error}");
}

#[tokio::test]
async fn json_is_taken_whatever_it_is_called() {
    let app = TestApp::start().await;
    for (id, content_type) in
        [("f-1", None), ("f-2", Some("text/plain")), ("f-3", Some("application/x-www-form-urlencoded"))]
    {
        let body = registration(id).to_string();
        let answer = post_as(&app, "/process-data-cc", content_type, body).await.expect(200);
        assert_eq!(answer["request_id"], id);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_stores_nothing() {
    let app = TestApp::start().await;
    let half: Vec<Result<&str, std::io::Error>> =
        vec![Ok(r#"{"id":"f-1","form":"#), Err(std::io::Error::other("hung up"))];
    let body = Body::from_stream(futures::stream::iter(half));
    let answer = post_as(&app, "/process-data-cc", None, body).await.expect(400);
    assert_eq!(answer, json!({ "error": "Invalid payload", "details": "the body broke off" }));
    app.get("/record/commcare_collection/f-1").await.expect(404);
}
