//! What HQ answers now and then, and what a destination makes of it.

use std::time::Duration;

use commcare_sf_integration::config::commcare::CommCareSettings;
use commcare_sf_integration::destinations::commcare::CommCare;
use commcare_sf_integration::destinations::{Admission, DeliveryError, Failure, Suspicion, Tally};
use commcare_sf_integration::plan::{Document, Effects, Plan};

use crate::support::commcare::{CommCareStandIn, Fault, openrosa_body};

const ADDRESS: &str = "are CC_BASE_URL and CC_DOMAIN right?";

/// A plan of so many documents, each of a case of its own.
fn documents(count: u32) -> Plan {
    let document = |position| {
        let xml = format!(
            "<data xmlns=\"http://openrosa.org/formdesigner/x\"><case case_id=\"case-{position}\" \
             date_modified=\"2026-01-05T10:00:00Z\" xmlns=\"http://commcarehq.org/case/transaction/v2\"><update><name>\
             Wanjiru</name></update></case><meta><instanceID>id-{position}</instanceID></meta></data>"
        );
        Document { position, case_id: format!("case-{position}"), parent_id: None, xml }
    };
    Plan::commcare((1..=count).map(document).collect(), Vec::new(), Vec::new())
}

async fn start() -> (CommCareStandIn, CommCare) {
    let hq = CommCareStandIn::start().await;
    let commcare = CommCare::new(hq.settings()).unwrap();
    (hq, commcare)
}

async fn failure(commcare: &CommCare, plan: &Plan) -> DeliveryError {
    commcare.execute(plan, &Tally::default(), Suspicion::None).await.unwrap_err()
}

fn is_paused(commcare: &CommCare) -> bool {
    matches!(commcare.admission(), Admission::Paused { .. })
}

#[tokio::test]
async fn a_wrong_address_is_told_in_hqs_words_and_stops_the_work_at_once() {
    let page = "<html><head><title>Page Not Found</title></head><body>No such domain, Wanjiru</body></html>";
    for (fault, words) in [
        (Fault::Answer(404, page.to_owned()), "CommCare says: Page Not Found No such domain, [masked]"),
        (Fault::Answer(405, "Method Not Allowed".to_owned()), "CommCare says: Method Not Allowed"),
        (
            Fault::Redirect(302, "https://www.commcarehq.org/accounts/login/?next=/a/Wanjiru/".to_owned()),
            "CommCare sends on to https://www.commcarehq.org/accounts/login/",
        ),
        (Fault::Redirect(301, "/a/other/".to_owned()), "/a/other/"),
    ] {
        let (hq, commcare) = start().await;
        hq.set_outage(Some(fault.clone()));
        let error = failure(&commcare, &documents(1)).await;
        assert_eq!((error.failure, hq.requests()), (Failure::Unclear, 1), "{error}");
        for part in [words, ADDRESS] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(!error.message.contains("Wanjiru"), "{error}");
        assert!(is_paused(&commcare), "{fault:?}");
        commcare.drain_begins();
        assert_eq!(commcare.admission(), Admission::Probing, "the next drain tries at once");
        hq.set_outage(None);
        commcare.execute(&documents(1), &Tally::default(), Suspicion::None).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_may_be_hqs_trouble() {
    for status in [200, 201, 400, 413, 500, 502] {
        let (hq, commcare) = start().await;
        hq.set_outage(Some(Fault::Answer(status, "<html><h1>Just a moment</h1></html>".to_owned())));
        for _ in 0..3 {
            assert!(!is_paused(&commcare), "{status}");
            let error = failure(&commcare, &documents(1)).await;
            assert_eq!(error.failure, Failure::Unclear, "{error}");
            assert!(error.message.contains("CommCare says: Just a moment"), "{error}");
        }
        assert!(is_paused(&commcare), "{status}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_reported_as_one_however_long_it_lasts() {
    let hq = CommCareStandIn::start().await;
    let settings = CommCareSettings {
        request_timeout: Duration::from_millis(700),
        retry_budget: Duration::from_millis(700),
        retry_delay: Duration::from_millis(200),
        ..hq.settings()
    };
    hq.set_outage(Some(Fault::Answer(429, String::new())));
    let commcare = CommCare::new(settings).unwrap();
    let error = failure(&commcare, &documents(3)).await;
    assert_eq!(error.failure, Failure::Unclear);
    assert_eq!(error.message.matches("HTTP Status: 429").count(), 3, "{error}");
    assert_eq!(error.message.matches("CommCare asks to slow down").count(), 3, "{error}");
}

#[tokio::test]
async fn a_rate_limit_is_reported_as_one_although_the_last_try_was_cut_short() {
    for limit in [Fault::Answer(429, String::new()), Fault::Busy(429, "0".to_owned())] {
        let hq = CommCareStandIn::start().await;
        let settings = CommCareSettings {
            request_timeout: Duration::from_millis(700),
            retry_budget: Duration::from_millis(700),
            retry_delay: Duration::from_millis(200),
            ..hq.settings()
        };
        let commcare = CommCare::new(settings).unwrap();
        hq.fail_next(1, &limit);
        hq.fail("case-1", Fault::Hang);
        let error = failure(&commcare, &documents(1)).await;
        assert_eq!((error.failure, hq.requests()), (Failure::Unclear, 2), "{error}");
        assert!(error.message.contains("HTTP Status: 429") && error.message.contains("slow down"), "{error}");
        hq.fail("case-1", Fault::Hang);
        let error = failure(&commcare, &documents(1)).await;
        assert!(error.message.contains("no answer in time"), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_holds_the_words_of_an_error_changes_nothing() {
    let (hq, commcare) = start().await;
    let plan = |name: &str| {
        let mut plan = documents(1);
        let Effects::Documents(documents) = &mut plan.effects else { panic!("documents") };
        documents[0].xml = documents[0].xml.replace("Wanjiru", name);
        plan
    };
    let refused = |message: &str| Fault::Answer(422, openrosa_body("processing_failure", message));
    hq.fail("case-1", refused("CaseValueError: invalid value for name: Mr InvalidCaseIndex Wanjiru"));
    let error = failure(&commcare, &plan("Mr InvalidCaseIndex Wanjiru")).await;
    assert_eq!(error.failure, Failure::Permanent, "{error}");
    assert!(!error.message.contains("Wanjiru"), "{error}");
    hq.fail("case-1", refused("InvalidCaseIndex: Case 'case-1' references non-existent case 'p'"));
    let error = failure(&commcare, &plan("Mr InvalidCaseIndex Wanjiru")).await;
    assert_eq!(error.failure, Failure::Dependency, "{error}");
}

#[tokio::test]
async fn a_document_that_hq_chokes_on_is_told_from_an_outage_by_those_after_it() {
    let hq = CommCareStandIn::start().await;
    let settings = CommCareSettings { concurrency: 1, retry_budget: Duration::ZERO, ..hq.settings() };
    let commcare = CommCare::new(settings).unwrap();
    hq.fail("case-1", Fault::Answer(500, String::new()));
    assert_eq!(failure(&commcare, &documents(2)).await.failure, Failure::Transient);
    hq.fail("case-2", Fault::Answer(500, String::new()));
    assert_eq!(failure(&commcare, &documents(2)).await.failure, Failure::Unclear, "nothing came after it");
}
