//! Registrations and attendances: errors and their texts, steps that are left out and the reasons.

use commcare_sf_integration::jobs::{self, Facts};
use commcare_sf_integration::submission::Origin;
use serde_json::{Value, json};

use super::samples::sample;
use super::{PRODUCTION, map, map_with, steps, with};

/// A registration that moves a farmer to another training group.
fn moving() -> Value {
    let payload = with(sample("Farmer Registration"), "form.survey_detail", "Existing Farmer Change in FFG");
    with(payload, "form.existing_farmer_change_in_ffg.old_farmer_id", "b0c9")
}

#[test]
fn a_missing_or_blank_id_is_an_error_that_names_its_path() {
    let new = || sample("Farmer Registration");
    let edit = || sample("Edit Farmer Details");
    let field_day = || sample("Field Day Farmer Registration");
    let full = || sample("Attendance Full - Current Module");
    let light = || sample("Attendance Light - Current Module");
    let groups = || sample("Field Day Attendance Full");
    let primary = || with(field_day(), "form.existing_household.both_filled.replaced_member_full", "1");
    let cases: [(Value, &str); 15] = [
        (new(), "form.Training_Group_Id"),
        (new(), "form.Household_Id"),
        (new(), "form.subcase_0.case.@case_id"),
        (new(), "form.training_session"),
        (moving(), "form.existing_farmer_change_in_ffg.old_farmer_id"),
        (moving(), "form.training_session"),
        (edit(), "form.Household_Id"),
        (edit(), "form.case.@case_id"),
        (field_day(), "form.Household_Id"),
        (field_day(), "form.existing_household.existing_secondary_farmer_id"),
        (primary(), "form.existing_household.existing_primary_farmer_id"),
        (full(), "form.training_session"),
        (light(), "form.selected_training_module"),
        (groups(), "form.barrios_repeat_group.item[0].training_session"),
        (groups(), "form.barrios_repeat_group.item[2].training_session"),
    ];
    for (payload, path) in cases {
        let at = path.replace('[', ".").replace(']', "");
        for (value, rule) in [
            (json!(""), "missing or blank"),
            (json!("  "), "missing or blank"),
            (json!(null), "missing or blank"),
            (json!("a\u{7}b"), "control character"),
            (json!({"#text": "Abebe"}), "must be text, but is a group"),
            (json!(["Abebe"]), "must be text, but is a list"),
        ] {
            let error = map(&with(payload.clone(), &at, value)).unwrap_err();
            assert_eq!(error.path, path);
            assert!(error.rule.contains(rule), "{error}");
        }
    }
}

#[test]
fn an_id_in_a_number_is_its_text() {
    let plan = map(&with(sample("Attendance Full - Current Module"), "form.training_session", 17)).unwrap();
    assert_eq!(plan.upserts()[0].external_id, "17");
}

#[test]
fn a_participant_with_a_control_character_is_an_error() {
    let payload = with(sample("Attendance Full - Current Module"), "form.present_participants", "a b\nc");
    assert_eq!(map(&payload).unwrap_err().path, "form.present_participants");
}

#[test]
fn a_group_of_another_type_is_an_error_that_names_path_and_type() {
    let new = || sample("Farmer Registration");
    let cases = [
        (with(new(), "form", json!(["Abebe"])), "form: must be a group, but is a list"),
        (with(new(), "form.subcase_0", "Abebe"), "form.subcase_0: must be a group, but is text"),
        (with(new(), "form.subcase_0.case", 7), "form.subcase_0.case: must be a group, but is a number"),
        (
            with(new(), "form.existing_household", true),
            "form.existing_household: must be a group, but is a boolean",
        ),
        (
            with(sample("Field Day Farmer Registration"), "form.participant_data", " "),
            "form.participant_data: must be a group, but is text",
        ),
        (
            with(sample("Field Day Attendance Full"), "form.barrios_repeat_group.item", "Abebe"),
            "form.barrios_repeat_group.item: must be a group, but is text",
        ),
        (
            with(sample("Field Day Attendance Full"), "form.barrios_repeat_group.item.1", 5),
            "form.barrios_repeat_group.item[1]: must be a group, but is a number",
        ),
    ];
    for (payload, message) in cases {
        let name = payload.pointer("/form/@name").and_then(Value::as_str).unwrap_or("Farmer Registration");
        let mapping = jobs::find(Origin::CommCare, name).unwrap().mapping;
        assert_eq!(mapping(&payload, &PRODUCTION).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_sandbox_leaves_out_a_registrations_attendance_only() {
    let sandbox = Facts::new(false);
    for payload in [sample("Farmer Registration"), sample("Field Day Farmer Registration"), moving()] {
        let production = map(&payload).unwrap();
        let (attendance, others) = production.upserts().split_last().unwrap();
        assert_eq!(attendance.object, "Attendance__c");
        assert_eq!(map_with(&payload, &sandbox).unwrap().upserts(), others);
    }
    let attendance = sample("Attendance Full - Current Module");
    assert_eq!(map_with(&attendance, &sandbox).unwrap(), map(&attendance).unwrap());
}

#[test]
fn a_form_that_matches_nothing_says_which_answer_decided() {
    let registration = |detail: Value| with(sample("Edit Farmer Details"), "form.survey_detail", detail);
    let light = |session: &str| with(sample("Attendance Light - Current Module"), "form.session", session);
    let groups = |items: Value| {
        with(sample("Field Day Attendance Full"), "form.barrios_repeat_group", json!({ "item": items }))
    };
    let uncounted = json!([{"attendance_count_repeat": "0"}, {}, {"attendance_count_repeat": "0"}]);
    let cases = [
        (
            registration(json!("Something Else")),
            r#"survey_detail "Something Else" matches no registration step"#,
        ),
        (registration(json!("")), r#"survey_detail "" matches no registration step"#),
        (registration(json!(null)), "survey_detail (missing) matches no registration step"),
        (
            registration(json!("a sentence that somebody wrote into a field that holds options")),
            "survey_detail (text that is no option) matches no registration step",
        ),
        (
            registration(json!("call 0911 428 067")),
            "survey_detail (text that is no option) matches no registration step",
        ),
        (light("Zawditu Wolde"), "session (text that is no option) matches no light attendance"),
        (light("0911428067"), "session (text that is no option) matches no light attendance"),
        (light("third_session"), r#"session "third_session" matches no light attendance"#),
        (
            groups(uncounted),
            r#"barrios_repeat_group counts no attendance: attendance_count_repeat "0", (missing)"#,
        ),
        (groups(json!("")), "barrios_repeat_group counts no attendance: attendance_count_repeat (missing)"),
    ];
    for (payload, note) in cases {
        let plan = map(&payload).unwrap();
        assert_eq!((plan.upserts().len(), plan.note.as_deref()), (0, Some(note)));
    }
}

#[test]
fn a_followup_is_a_light_attendance() {
    let light = sample("Attendance Light - Current Module");
    let followup = with(light.clone(), "form.@name", "Followup");
    assert_eq!(map(&followup).unwrap(), map(&light).unwrap());
}

#[test]
fn sessions_go_before_all_attendances() {
    let plan = map(&sample("Field Day Attendance Full")).unwrap();
    let objects: Vec<_> = steps(&plan).into_iter().map(|(object, _)| object).collect();
    assert_eq!(objects[..2], ["Training_Session__c"; 2]);
    assert_eq!(objects[2..], ["Attendance__c"; 5]);
}
