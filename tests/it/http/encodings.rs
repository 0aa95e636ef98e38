//! `Content-Encoding`, and texts that are no Unicode.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::support::app::{TestAnswer, TestApp};
use crate::support::forms::registration;

/// The calls that read a body.
const TAKE_BODIES: [&str; 5] =
    ["/process-data-cc", "/process-data-sf", "/preview/cc", "/preview/sf", "/batch_retry/sf"];

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_ref()).unwrap();
    packed.finish().unwrap()
}

async fn post_encoded(app: &TestApp, path: &str, encoding: &str, body: Vec<u8>) -> TestAnswer {
    let headers = [("content-type", "application/json"), ("content-encoding", encoding)];
    app.call_with("POST", path, &headers, body).await
}

#[tokio::test]
async fn a_packed_body_is_the_same_payload() {
    let app = TestApp::start().await;
    let form = registration("f-1");
    let packed = gzip(form.to_string());
    assert!(packed.len() < form.to_string().len());
    for (encoding, duplicate) in
        [("gzip", false), ("GZIP", true), ("x-gzip", true), (" gzip ,identity", true)]
    {
        let answer = post_encoded(&app, "/process-data-cc", encoding, packed.clone()).await.expect(200);
        assert_eq!(answer["duplicate"], duplicate, "{encoding}");
    }
    // Plain, and named so: the same once more.
    let plain = form.to_string().into_bytes();
    assert_eq!(
        post_encoded(&app, "/process-data-cc", "identity", plain).await.expect(200)["duplicate"],
        true
    );
    assert_eq!(app.record("f-1").await["data"], form);
    let job = gzip(json!({ "id": "j-1", "jobType": "Participant" }).to_string());
    post_encoded(&app, "/process-data-sf", "gzip", job).await.expect(200);
    post_encoded(&app, "/preview/cc", "gzip", packed).await.expect(200);
    let ids = gzip(r#"{"ids":["f-1"]}"#);
    post_encoded(&app, "/batch_retry/sf?dry_run=true", "gzip", ids).await.expect(200);
}

#[tokio::test]
async fn several_packed_pieces_are_one_body() {
    let app = TestApp::start().await;
    let form = registration("f-1").to_string();
    let (begin, end) = form.split_at(form.len() / 2);
    let packed = [gzip(begin), gzip(end)].concat();
    post_encoded(&app, "/process-data-cc", "gzip", packed).await.expect(200);
}

#[tokio::test]
async fn the_body_limit_holds_after_unpacking_too() {
    let form = registration("f-1").to_string();
    let app = TestApp::with(&[("MAX_BODY_BYTES", &form.len().to_string())]).await;
    post_encoded(&app, "/process-data-cc", "gzip", gzip(&form)).await.expect(200);
    let padded = registration("f-2").to_string() + &" ".repeat(form.len());
    let bomb = gzip(vec![b' '; 50_000_000]);
    for (body, limit) in [(gzip(padded), form.len()), (bomb, form.len())] {
        let answer = post_encoded(&app, "/process-data-cc", "gzip", body).await.expect(413);
        assert_eq!(answer, json!({ "error": format!("The payload is larger than {limit} bytes") }));
    }
    // Pieces that unpack to nothing do not keep the call open for ever.
    let nothing = gzip("").repeat(form.len());
    post_encoded(&app, "/process-data-cc", "gzip", nothing).await.expect(413);
    app.get("/record/commcare_collection/f-2").await.expect(404);
}

#[tokio::test]
async fn a_body_that_does_not_unpack_is_refused_saying_so() {
    let app = TestApp::start().await;
    let packed = gzip(registration("f-1").to_string());
    let half = packed[..packed.len() / 2].to_vec();
    let mut damaged = packed.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    for path in TAKE_BODIES {
        for body in [registration("f-1").to_string().into_bytes(), half.clone(), damaged.clone()] {
            let answer = post_encoded(&app, path, "gzip", body).await.expect(400);
            let details = "Content-Encoding says gzip, and the body is none, or is cut";
            assert_eq!(answer, json!({ "error": "Invalid payload", "details": details }), "{path}");
        }
        assert_eq!(
            post_encoded(&app, path, "gzip", gzip("")).await.expect(400),
            json!({ "error": "Invalid payload", "details": "the JSON ends too early, at line 1, column 0" })
        );
    }
    app.get("/record/commcare_collection/f-1").await.expect(404);
}

#[tokio::test]
async fn another_encoding_is_refused_by_its_name() {
    let app = TestApp::start().await;
    let form = registration("f-1").to_string();
    for path in TAKE_BODIES {
        for (encoding, named) in [
            ("br", "br"),
            ("Deflate", "deflate"),
            ("zstd", "zstd"),
            ("gzip, gzip", "gzip, gzip"),
            ("gzip;q=1", "gzip;q=1"),
        ] {
            let answer = post_encoded(&app, path, encoding, form.clone().into_bytes()).await;
            let expected =
                format!("Content-Encoding {named} is not read here; send the body as it is, or with gzip");
            assert_eq!(answer.expect(415), json!({ "error": expected }), "{path}");
            assert_eq!(answer.headers["accept-encoding"], "gzip");
        }
    }
    app.get("/record/commcare_collection/f-1").await.expect(404);
}

#[tokio::test]
async fn a_text_that_is_no_unicode_is_refused_naming_the_place() {
    let app = TestApp::start().await;
    let latin =
        b"{\"id\":\"f-1\",\"form\":{\"@name\":\"Farmer Registration\",\"farmers\":[{\"n\":\"Z\xfcrich\"}]}}";
    let latin_place = "form.farmers[0].n: byte 69 of the payload is not UTF-8";
    let half = br#"{"id":"f-1","form":{"@name":"Farmer Registration","note":"\ud83d"}}"#;
    let half_place =
        "form.note: byte 59 of the payload begins an escape of half a surrogate pair, which is no character";
    let key = br#"{"jobType":"Participant","id":"f-1","\udc00":1}"#;
    let key_place = "byte 38 of the payload begins an escape of half a surrogate pair, which is no character";
    let utf_16 = b"\xff\xfe{\0\"\0i\0d\0\"\0";
    let utf_16_place = "byte 1 of the payload is not UTF-8";
    for path in TAKE_BODIES {
        for (body, place) in [
            (latin.to_vec(), latin_place),
            (half.to_vec(), half_place),
            (key.to_vec(), key_place),
            (utf_16.to_vec(), utf_16_place),
        ] {
            let answer = app.post(path, body).await.expect(400);
            assert_eq!(answer, json!({ "error": "Invalid payload", "details": place }), "{path}");
        }
    }
    app.get("/record/commcare_collection/f-1").await.expect(404);
}

#[tokio::test]
async fn a_byte_order_mark_and_whole_surrogate_pairs_are_read() {
    let app = TestApp::start().await;
    let mut form = registration("f-1");
    form["form"]["note"] = "NOTE".into();
    let text = format!("\u{feff}{form}").replace("NOTE", r"\ud83c\udf31 \\ud83c");
    app.post("/process-data-cc", text.clone()).await.expect(200);
    assert_eq!(app.record("f-1").await["data"]["form"]["note"], "🌱 \\ud83c");
    post_encoded(&app, "/preview/cc", "gzip", gzip(text)).await.expect(200);
}
