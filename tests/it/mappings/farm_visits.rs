//! Farm visits: ids, countries, versions, cohorts, unknown codes, field inventory.

use commcare_sf_integration::plan::fields::FieldValue;
use commcare_sf_integration::plan::{Plan, Upsert};
use serde_json::{Value, json};

use super::samples::sample;
use super::{map, steps, unmapped, with};

fn zambia() -> Value {
    sample("Farm Visit Full")
}

fn advisor() -> Value {
    sample("Farm Visit - AA")
}

/// A visit in the country with this code, with the best practices in their usual group.
fn visit(country: &str) -> Value {
    let visit = with(advisor(), "form.@name", "Farm Visit Full");
    with(visit, "form.survey_type", format!("Farm Visit Full - {country}"))
}

fn best_practice(payload: Value, answers: &[(&str, Value)]) -> Value {
    answers.iter().fold(payload, |payload, (path, answer)| {
        with(payload, &format!("form.best_practice_questions.{path}"), answer.clone())
    })
}

fn practices(plan: &Plan) -> &Upsert {
    plan.upserts().iter().find(|upsert| upsert.object == "FV_Best_Practices__c").unwrap()
}

/// The descriptions of one family's rows, by the end of the row's external id.
fn results<'a>(plan: &'a Plan, infix: &str) -> Vec<(&'a str, &'a Value)> {
    let infix = format!("_{infix}_");
    let rows = plan.upserts().iter().filter(|upsert| upsert.object == "FV_Best_Practice_Results__c");
    rows.filter_map(|row| {
        let (_, code) = row.external_id.split_once(&infix)?;
        let Some(FieldValue::Plain(value)) = row.fields.get("Best_Practice_Result_Description__c") else {
            panic!("{row:?}");
        };
        Some((code, value))
    })
    .collect()
}

#[test]
fn a_missing_or_blank_id_is_an_error_that_names_its_path() {
    let new = || {
        let details = json!({"Household_Id": "PR1", "First_Name": "Lourdes"});
        let new = with(visit("PR"), "form.new_farmer", "1");
        let new = with(new, "form.participant_data.farmer_registration_details", details);
        with(new, "form.subcase_0.case.@case_id", "b7")
    };
    let cases = [
        (zambia(), "payload.id"),
        (new(), "form.participant_data.farmer_registration_details.Household_Id"),
        (new(), "form.subcase_0.case.@case_id"),
        (zambia(), "form.household_tns_id"),
        (zambia(), "form.field_inventory_survey.general_plot_information[1].current_index"),
        (advisor(), "form.case.@case_id"),
    ];
    for (payload, path) in cases {
        assert!(map(&payload).is_ok());
        let at = path.trim_start_matches("payload.").replace('[', ".").replace(']', "");
        for value in [json!(null), json!(""), json!(" "), json!("a\u{1b}b"), json!({"a": "Lourdes"})] {
            assert_eq!(map(&with(payload.clone(), &at, value)).unwrap_err().path, path);
        }
    }
}

#[test]
fn a_group_of_another_type_is_an_error_at_the_root_that_the_version_uses() {
    let error = map(&with(zambia(), "form.weeding", "Mwila")).unwrap_err();
    assert_eq!(error.to_string(), "form.weeding: must be a group, but is text");
    let error = map(&with(advisor(), "form.best_practice_questions.weeding", json!([1]))).unwrap_err();
    assert_eq!(error.to_string(), "form.best_practice_questions.weeding: must be a group, but is a list");
}

#[test]
fn only_listed_builds_of_zambia_ask_the_best_practices_at_the_root() {
    let asked_at_root = |build: Value| {
        let plan = map(&with(zambia(), "metadata.app_build_version", build)).unwrap();
        practices(&plan).fields.to_json()["Have_herbicides_been_used_on_the_field__c"] == "yes"
    };
    for build in [json!(97), json!(233), json!(267), json!(463), json!(" 463.0 ")] {
        assert!(asked_at_root(build));
    }
    for build in [json!(462), json!(""), json!(null), json!("newest"), json!([463]), json!(true)] {
        assert!(!asked_at_root(build));
    }
}

#[test]
fn a_code_that_no_table_of_the_country_knows_is_reported() {
    let path = "form.best_practice_questions.nutrition.type_chemical_applied_on_coffee_last_12_months";
    let fertilizers = |country| {
        best_practice(
            visit(country),
            &[("nutrition.type_chemical_applied_on_coffee_last_12_months", json!("10 21"))],
        )
    };
    let plan = map(&fertilizers("KE")).unwrap();
    assert_eq!(results(&plan, "fertilizer"), [("10", &json!("WonderGro")), ("21", &json!(""))]);
    assert_eq!(unmapped(&plan), [(path, "21")]);
    let plan = map(&fertilizers("BU")).unwrap();
    assert_eq!(results(&plan, "fertilizer"), [("10", &json!("")), ("21", &json!(""))]);
    assert!(unmapped(&plan).contains(&(path, "10")));
}

#[test]
fn an_answer_in_words_is_no_unknown_code() {
    let plan = map(&zambia()).unwrap();
    assert_eq!(unmapped(&plan), []);
    assert_eq!(results(&plan, "kitchen_garden").last(), Some(&("99", &json!("Okra"))));
    assert_eq!(results(&plan, "weeding").last(), Some(&("3", &json!("Basta"))));
    let visit = plan.upserts().iter().find(|upsert| upsert.object == "Farm_Visit__c").unwrap();
    assert_eq!(
        visit.fields.to_json()["What_happened_to_most_of_the_trees__c"],
        "Other: Goats ate the seedlings"
    );
}

#[test]
fn words_in_a_coded_answer_are_not_reported() {
    for words in [json!("she said that it died"), json!("x".repeat(65)), json!("a\tb")] {
        let plan =
            map(&best_practice(visit("KE"), &[("compost.do_you_have_compost_manure", words)])).unwrap();
        assert_eq!(practices(&plan).fields.to_json()["do_you_have_compost_manure__c"], "");
        assert_eq!(unmapped(&plan), []);
    }
}

#[test]
fn the_year_of_stumping_depends_on_the_apps_cohort() {
    let year = |app: &str, code: Value| {
        let payload = with(best_practice(visit("ET"), &[("stumping.year_stumping", code)]), "app_id", app);
        let plan = map(&payload).unwrap();
        let reported = plan.unmapped.iter().any(|found| found.path.ends_with("year_stumping"));
        (practices(&plan).fields.to_json()["year_stumping__c"].clone(), reported)
    };
    let app = "521097abbcfd4fa79668cb6ca3dca28a";
    let start = json!("January to March 2025 just after the training started");
    assert_eq!(year(app, json!("0")), (start, false));
    assert_eq!(year("next", json!("both_periods")), (json!("Both Stumping Periods"), false));
    assert_eq!(year("next", json!("0")), (json!(""), true));
    assert_eq!(year(app, json!("2")), (json!(null), true));
    assert_eq!(year(app, json!("")), (json!(null), false));
    assert_eq!(year(app, json!(null)), (json!(null), false));
}

#[test]
fn young_farms_of_pr_and_zm_get_one_pruning_row_without_an_answer() {
    let pruning = |country, age: Value, answer: Value| {
        let payload = best_practice(visit(country), &[("pruning.pruning_method_on_majority_trees", answer)]);
        map(&with(payload, "form.field_age", age)).unwrap()
    };
    let not_asked = json!("N/A");
    for country in ["PR", "ZM"] {
        for age in [json!("2.9"), json!(""), json!(null), json!("young"), json!("-1"), json!(2)] {
            let plan = pruning(country, age.clone(), json!("  "));
            assert_eq!(results(&plan, "pruning"), [("", &not_asked)]);
            let plan = pruning(country, age, json!("1  9"));
            assert_eq!(results(&plan, "pruning"), [("1", &not_asked), ("9", &not_asked)]);
        }
        assert_eq!(results(&pruning(country, json!("3"), json!("")), "pruning"), []);
    }
    assert_eq!(results(&pruning("KE", json!("1"), json!("")), "pruning"), []);
}

#[test]
fn a_field_inventory_lists_farms_then_varieties_then_the_household() {
    let plan = map(&zambia()).unwrap();
    let inventory = steps(&plan).split_off(plan.upserts().len() - 6);
    assert_eq!(
        inventory,
        [
            ("Farm__c", "F-01-ZMMBA050128"),
            ("Farm__c", "F-02-ZMMBA050128"),
            ("Coffee_Variety__c", "CV-01-F-01-ZMMBA050128"),
            ("Coffee_Variety__c", "CV-02-F-01-ZMMBA050128"),
            ("Coffee_Variety__c", "CV-09-F-02-ZMMBA050128"),
            ("Household__c", "ZMMBA050128"),
        ]
    );
}

#[test]
fn a_single_plot_is_a_list_of_one_and_an_unknown_variety_is_reported() {
    let path = "form.field_inventory_survey.general_plot_information";
    let plot = json!({"current_index": 4, "varieties": "1.5", "variety_1.5": "30", "final_gps": "1 2"});
    let plan = map(&with(zambia(), path, plot)).unwrap();
    let [farm, variety, household] = &plan.upserts()[plan.upserts().len() - 3..] else { unreachable!() };
    assert_eq!(farm.external_id, "F-04-ZMMBA050128");
    assert_eq!(farm.fields.to_json()["Altitude__c"], "");
    assert_eq!(farm.fields.to_json()["Main_Coffee_Field__c"], true);
    assert_eq!(variety.fields.to_json()["Variety_Number_of_Trees__c"], "30");
    assert_eq!(household.fields.to_json()["FIS_Completed__c"], true);
    let varieties = format!("{path}.varieties");
    assert_eq!(unmapped(&plan), [(varieties.as_str(), "1.5")]);

    let plan = map(&with(zambia(), path, json!([]))).unwrap();
    assert_eq!(steps(&plan).last(), Some(&("Household__c", "ZMMBA050128")));
    for nothing in [json!(null), json!("")] {
        let plan = map(&with(with(zambia(), path, nothing), "form.household_tns_id", "")).unwrap();
        assert!(steps(&plan).iter().all(|(object, _)| *object != "Household__c" && *object != "Farm__c"));
    }
}

#[test]
fn an_advisors_farmers_are_checked_where_they_are_named() {
    let checks = |payload: &Value| {
        let plan = map(payload).unwrap();
        plan.upserts().iter().filter(|upsert| upsert.object == "Check__c").count()
    };
    assert_eq!(checks(&advisor()), 2);
    for none in [json!(null), json!(""), json!({})] {
        assert_eq!(checks(&with(advisor(), "form.farmer_2_questions", none.clone())), 1);
        assert_eq!(checks(&with(advisor(), "form.farmer_1_questions", none)), 1);
    }
    for path in ["form.farmer_1_questions.farmer_id", "form.farmer_2_questions.farmer_id"] {
        for nobody in [json!(null), json!(""), json!(" ")] {
            let plan = map(&with(advisor(), path, nobody)).unwrap();
            assert_eq!(plan.upserts().len(), map(&advisor()).unwrap().upserts().len() - 1);
        }
        for wrong in [json!("a\u{1b}b"), json!({"a": "Lourdes"})] {
            assert_eq!(map(&with(advisor(), path, wrong)).unwrap_err().path, path);
        }
    }
    assert_eq!(checks(&with(advisor(), "metadata.app_build_version", 68)), 0);
    assert_eq!(checks(&with(advisor(), "form.@name", "Farm Visit Full")), 0);
    let error = map(&with(advisor(), "metadata.app_build_version", "newest")).unwrap_err();
    assert_eq!(error.path, "payload.metadata.app_build_version");
}
