//! Forms as CommCare forwards them, with the members that the tests look at and no others. All ids in a form
//! are made of the form's id, so that two forms touch no record in common.

use serde_json::{Value, json};

/// A new farmer of a new household.
pub(crate) fn registration(id: &str) -> Value {
    json!({
        "id": id,
        "form": {
            "@name": "Farmer Registration",
            "survey_detail": "New Farmer New Household",
            "trainer": "a1HACw5xJrfhL3ed48",
            "training_session": format!("session-{id}"),
            "registration_date": "2026-02-11",
            "Training_Group_Id": format!("group-{id}"),
            "Update_Household_Counter": "18",
            "Household_Id": format!("household-{id}"),
            "Household_Number": "18",
            "Farmer_Id": format!("number-{id}"),
            "Farmer_Number": "1",
            "First_Name": "Almaz",
            "Middle_Name": "Tesfaye",
            "Last_Name": "Bekele",
            "Age": "41",
            "Gender": "f",
            "Status": "Active",
            "Phone_Number": "0911428067",
            "Primary_Household_Member": "Yes",
            "Number_of_Trees": "1250",
            "Number_of_Plots": "2",
            "subcase_0": { "case": { "@case_id": format!("farmer-{id}") } },
        },
    })
}

/// A registration that no mapping takes: the new farmer has no case.
pub(crate) fn unmappable(id: &str) -> Value {
    let mut form = registration(id);
    form["form"]["subcase_0"] = "".into();
    form
}

/// Why [`unmappable`] fails.
pub(crate) const UNMAPPABLE: &str =
    "form.subcase_0.case.@case_id: an external id is built from it, but it is missing or blank";

/// So many participants at a training session.
pub(crate) fn attendance(id: &str, participants: usize) -> Value {
    let present: Vec<String> = (0..participants).map(|n| format!("farmer-{id}-{n}")).collect();
    json!({
        "id": id,
        "form": {
            "@name": "Attendance Full - Current Module",
            "survey_detail": "Attendance Full",
            "trainer": "a1HZTBY7AwhXpavvB2",
            "training_session": format!("session-{id}"),
            "date": "2026-02-18",
            "attendance_count": participants.to_string(),
            "present_participants": present.join(" "),
            "photo": "1759320295017.jpg",
            "gps_coordinates": "6.8391204 38.4170663 1921.5 4.2",
        },
    })
}

/// A light attendance: one Salesforce record of its own, `session-` and the form's id.
pub(crate) fn attendance_light(id: &str) -> Value {
    json!({
        "id": id,
        "form": {
            "@name": "Attendance Light - Current Module",
            "selected_training_module": format!("session-{id}"),
            "trainer": "a1H000000000001AAA",
        },
    })
}

/// A wet mill of its own.
pub(crate) fn mill(id: &str) -> Value {
    json!({
        "id": id,
        "domain": "coffee-kenya-demo",
        "form": {
            "@name": "Wet Mill Registration Form",
            "survey_type": "Wet Mill Registration - KE",
            "wetmill_tns_id": format!("tns-{id}"),
            "wet_mill_details": { "mill_registered_name": "Karuthi Hill", "office_gps": "-0.41 37.02 1702 5" },
            "subcase_0": { "case": { "@case_id": format!("case-{id}") } },
            "meta": { "instanceID": format!("instance-{id}") },
        },
    })
}

/// A visit of the mill that [`mill`] registers, where these answers were given.
pub(crate) fn mill_visit(id: &str, mill: &str, answers: &Value) -> Value {
    json!({
        "id": id,
        "domain": "coffee-kenya-demo",
        "form": {
            "@name": "Wet Mill Visit",
            "survey_type": "Wet Mill Visit - KE",
            "date": "2026-03-17",
            "introduction": { "gps": "-0.42 37.03 1701.4 4.3" },
            "case": { "@case_id": format!("case-{mill}") },
            "surveys": { "kpis": answers },
            "meta": { "instanceID": format!("instance-{id}") },
        },
    })
}
