//! `mappings`.

use serde_json::Value;

use super::{fail, succeed};
use crate::support::app::TestApp;

#[test]
fn a_form_type_is_shown_for_people() {
    let printed = succeed(&["mappings", "Farm Visit Full"], &[], "");
    assert!(
        printed.starts_with("Farm Visit Full (CommCare → Salesforce)\n\nHousehold__c, found by"),
        "{printed}"
    );
    for lines in [
        "Farm_Visit__c, found by FV_Submission_ID__c = FV-{payload.id}\n",
        "  Farm_Visit_Type__c                           form.survey_type\n",
        "  Still_original_trees__c                      form.number_of_trees_confirmation.still_original_trees\n",
        "the label of the code; blank for a code without label [ZM]\n",
        "    1 → Yes\n",
    ] {
        assert!(printed.contains(lines), "{lines}\nis not in\n{printed}");
    }
    assert!(!printed.contains("Attendance Full"), "no other form type");
}

#[tokio::test]
async fn json_and_csv_are_the_answers_of_the_http_call() {
    let app = TestApp::start().await;
    let printed = succeed(&["mappings", "Wet Mill Visit", "--format", "json"], &[], "");
    assert_eq!(printed, succeed(&["mappings", "Wet Mill Visit", "--json"], &[], ""));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let answered = app.get("/mappings?job_name=Wet+Mill+Visit").await.expect(200);
    assert_eq!(printed, answered);
    let all = app.get("/mappings").await.expect(200);
    assert!(all["mappings"].as_array().unwrap().len() > 1_000);

    let printed = succeed(&["mappings", "--csv"], &[], "");
    assert_eq!(printed, succeed(&["mappings", "--format", "csv"], &[], ""));
    assert!(
        printed.starts_with("direction,job_name,countries,object,external_id_field,external_id,when,field,")
    );
    assert_eq!(printed.matches("\r\n").count(), all["mappings"].as_array().unwrap().len() + 1);
}

#[test]
fn an_unknown_form_type_is_named_with_what_was_meant() {
    let complaint = fail(1, &["mappings", "farm visit full"], &[], "");
    assert_eq!(
        complaint,
        "error: no form type is named \"farm visit full\"; did you mean \"Farm Visit Full\"?\n"
    );
    let complaint = fail(2, &["mappings", "--json", "--csv"], &[], "");
    assert!(complaint.contains("cannot be used with"), "{complaint}");
}
