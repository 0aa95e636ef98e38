//! CommCare HQ: the credential and the user's rights.

use super::{check, findings, report};
use crate::support::commcare::CommCareStandIn;

#[tokio::test]
async fn a_user_who_may_submit_and_read_is_fine_and_nothing_is_submitted() {
    let hq = CommCareStandIn::start().await;
    let (code, printed) = check(&[], &hq.variables()).await;
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("commcare    checked: "), "{printed}");
    assert_eq!((hq.requests(), hq.forms().len()), (0, 0));
}

#[tokio::test]
async fn a_wrong_key_a_missing_right_and_a_wrong_domain_are_told_apart() {
    let hq = CommCareStandIn::start().await;
    let with = |name: &str, value: &'static str| {
        hq.variables().map(|(known, own)| (known, if known == name { value } else { own }))
    };
    let (code, wrong_key) = report(&with("CC_API_KEY", "another")).await;
    assert_eq!((code, findings(&wrong_key)[0].0.as_str()), (1, "credential"));
    assert!(findings(&wrong_key)[0].1.contains("CC_API_KEY"), "{wrong_key}");
    let (code, wrong_domain) = report(&with("CC_DOMAIN", "another")).await;
    let places: Vec<String> = findings(&wrong_domain).into_iter().map(|(place, _)| place).collect();
    assert_eq!((code, places), (1, vec!["domain".to_owned(), "receiver".to_owned()]));
    hq.answer_list(403);
    let (code, no_right) = report(&hq.variables()).await;
    assert_eq!((code, findings(&no_right)[0].0.as_str()), (1, "rights"));
    assert_eq!(no_right["findings"][0]["job_names"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn an_hq_that_does_not_answer_could_not_be_asked() {
    let hq = CommCareStandIn::start().await;
    hq.answer_list(503);
    let (code, busy) = report(&hq.variables()).await;
    assert_eq!((code, &busy["destinations"][1]["status"]), (2, &serde_json::json!("unreachable")));
    let nowhere = hq.variables().map(|(name, value)| match name {
        "CC_BASE_URL" => (name, "http://127.0.0.1:1"),
        _ => (name, value),
    });
    let (code, gone) = report(&nowhere).await;
    assert_eq!((code, &gone["destinations"][1]["status"]), (2, &serde_json::json!("unreachable")));
}
