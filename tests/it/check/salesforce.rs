//! The org, by `describe`.

use std::collections::BTreeSet;

use commcare_sf_integration::jobs::JOBS;
use commcare_sf_integration::submission::Destination;
use serde_json::json;

use super::{check, findings, report, to_salesforce};
use crate::support::process::borrowed;
use crate::support::salesforce::{Fault, SalesforceStandIn};

#[tokio::test]
async fn the_org_that_the_mappings_imply_is_fine_and_each_object_is_asked_for_once() {
    let salesforce = SalesforceStandIn::start().await;
    let (code, printed) = check(&[], &borrowed(&to_salesforce(&salesforce))).await;
    assert_eq!(code, 0, "{printed}");
    assert!(printed.starts_with("salesforce  checked: "), "{printed}");
    assert!(printed.ends_with(
        "nothing found that would fail; checked: salesforce; not checked: commcare, postgis, firestore\n"
    ));
    let asked = salesforce.described();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len(), "{asked:?}");
    assert!(asked.len() >= 14 && salesforce.logins() == 1, "{asked:?}");
    assert!(salesforce.bodies().is_empty() && salesforce.lone_calls().is_empty(), "nothing is written");
}

/// A place and how its problem begins, for each kind of fault in `faults.json`.
const EXPECTED: &[(&str, &str)] = &[
    ("Attendance__c", "the object does not exist, or the user may not see it"),
    ("Check__c.Attended_Any_Trainings__c", "\"N/A\" is an inactive value of the restricted picklist"),
    ("Check__c.RecordTypeId", "the object has no record type 012Oj000009dilZIAQ"),
    ("Coffee_Variety__c.Name", "the field is no external id: no record can be found by it"),
    (
        "FV_Best_Practice_Results__c.Best_Practice_Result_Type__c",
        "\"Kitchen Garden\" is no value of the restricted picklist",
    ),
    (
        "FV_Best_Practices__c.take_a_photo_of_the_record_book__c",
        "the field holds 100 characters, and the address of a photo has up to ",
    ),
    (
        "Farm_Visit__c.Farm_Visited__r.CommCare_Case_Id__c",
        "no lookup has this relationship name, or the user may not see it",
    ),
    ("Farm_Visit__c.No_of_curedas__c", "the field is a formula: nothing can be written to it"),
    ("Farm_Visit__c.Region__c", "the field is required, and no mapping sends it"),
    (
        "Farm_Visit__c.Secondary_Farmer__r.CommCare_Case_Id__c",
        "it refers to Contact, which does not exist, or the user may not see it",
    ),
    ("Farm__c.Main_Coffee_Field__c", "the field is of the type string, which takes no true or false"),
    ("Farm__c.TNS_Id__c", "the external id is not unique: two records may share it"),
    ("Household__c", "the user may not change records of this object"),
    ("Household__c.Farm_Size_After__c", "the user may not change the field"),
    (
        "Observation_Result__c.Observation_Criterion__r.Unique_Name__c",
        "Observation_Criterion__c has no field Unique_Name__c, or the user may not see it",
    ),
    ("Participant__c.Age__c", "the field does not exist, or the user may not see it"),
    ("Participant__c.Gender__c", "the field is of the type location, which takes no single answer"),
    ("Training_Group__c", "the user may not create records of this object"),
    (
        "Training_Session__c.Session_Photo_URL_2__c",
        "the field is of the type double, which takes no address of a photo",
    ),
    ("Training_Session__c.Updated_from_CommCare__c", "the user may not set the field in a new record"),
];

#[tokio::test]
async fn a_fault_of_each_kind_is_found_with_the_form_types_that_it_stops() {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.break_org();
    let (code, report) = report(&borrowed(&to_salesforce(&salesforce))).await;
    assert_eq!(code, 1);
    let found = findings(&report);
    for (place, problem) in EXPECTED {
        assert!(
            found.iter().any(|(field, what)| field == place && what.starts_with(*problem)),
            "{place}: {problem}\nis not in\n{found:#?}"
        );
    }
    let places: BTreeSet<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    let known: BTreeSet<&str> = EXPECTED.iter().map(|(place, _)| *place).collect();
    // Labels are held against their field one by one.
    let others: Vec<&&str> = places.difference(&known).collect();
    let by_label = [
        "Coffee_Variety__c.Farm__r.TNS_Id__c",
        "FV_Best_Practice_Results__c.Best_Practice_Result_Description__c",
        "FV_Best_Practices__c.year_stumping__c",
    ];
    assert_eq!(others, by_label.iter().collect::<Vec<_>>());
    let too_long: Vec<&str> = found
        .iter()
        .filter(|(place, _)| place.ends_with(".Best_Practice_Result_Description__c"))
        .map(|(_, problem)| problem.as_str())
        .collect();
    assert!(
        !too_long.is_empty()
            && too_long.iter().all(|problem| problem.ends_with(" characters, and the field holds 80"))
    );
    let stumping = found.iter().filter(|(place, _)| place == "FV_Best_Practices__c.year_stumping__c").count();
    assert_eq!(stumping, 6, "every year of every cohort");

    let of = |place: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["field"] == place).unwrap()["job_names"].clone()
    };
    assert_eq!(of("Farm_Visit__c.Region__c"), json!(["Farm Visit - AA", "Farm Visit Full"]));
    assert_eq!(
        of("Training_Session__c.Session_Photo_URL_2__c"),
        json!(["Attendance Light - Current Module"])
    );
    assert_eq!(of("Check__c.RecordTypeId"), json!(["Training Observation"]));
}

#[tokio::test]
async fn each_finding_is_one_line_and_a_summary_ends_them() {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.patch_org(&json!({ "Participant__c": { "Age__c": null } }));
    let (code, printed) = check(&[], &borrowed(&to_salesforce(&salesforce))).await;
    assert_eq!(code, 1);
    let line =
        "salesforce  Participant__c.Age__c: the field does not exist, or the user may not see it; stops ";
    assert!(printed.starts_with(line), "{printed}");
    assert!(printed.lines().next().unwrap().contains("Farmer Registration"), "{printed}");
    assert!(printed.contains("\n1 finding: it would fail; checked: salesforce; not checked: "), "{printed}");
}

#[tokio::test]
async fn labels_of_a_multi_select_picklist_are_joined_by_semicolons() {
    let salesforce = SalesforceStandIn::start().await;
    let many = |values: &[&str]| json!({ "Attendance__c": { "Status__c": { "type": "multipicklist", "values": values } } });
    salesforce.patch_org(&many(&["Present", "Absent"]));
    assert_eq!(check(&[], &borrowed(&to_salesforce(&salesforce))).await.0, 0);
    salesforce.patch_org(&many(&["Present;Absent"]));
    let (code, report) = report(&borrowed(&to_salesforce(&salesforce))).await;
    let problem = "\"Present\" is no value of the restricted picklist".to_owned();
    assert_eq!((code, findings(&report)), (1, vec![("Attendance__c.Status__c".to_owned(), problem)]));
}

#[tokio::test]
async fn an_open_picklist_and_an_autonumber_name_are_fine() {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.patch_org(&json!({
        "Attendance__c": {
            "Status__c": { "restrictedPicklist": false, "values": [] },
            "Name": { "type": "string", "length": 80, "nillable": false, "createable": false, "autoNumber": true },
        },
        // Fields that describe says nothing about are no finding.
        "Farm__c": { "Something__c": { "type": "boolean", "nillable": false } },
    }));
    let (code, printed) = check(&[], &borrowed(&to_salesforce(&salesforce))).await;
    assert_eq!(code, 0, "{printed}");
}

#[tokio::test]
async fn a_refused_log_in_would_fail_and_an_org_out_of_reach_could_not_be_asked() {
    let salesforce = SalesforceStandIn::start().await;
    salesforce.refuse_logins(true);
    let (code, report_of_refusal) = report(&borrowed(&to_salesforce(&salesforce))).await;
    let found = findings(&report_of_refusal);
    assert_eq!((code, found.len(), found[0].0.as_str()), (1, 1, "login"), "{found:?}");
    let forms = JOBS.iter().filter(|job| job.destination == Destination::Salesforce).count();
    assert_eq!(report_of_refusal["findings"][0]["job_names"].as_array().unwrap().len(), forms);

    salesforce.refuse_logins(false);
    salesforce.set_outage(Some(Fault::Answer(503, "<html>maintenance</html>".to_owned())));
    let (code, report_of_outage) = report(&borrowed(&to_salesforce(&salesforce))).await;
    assert_eq!(code, 2, "{report_of_outage}");
    assert_eq!(report_of_outage["destinations"][0]["status"], "unreachable");
    assert!(findings(&report_of_outage).is_empty());
}
