//! Errors name ids and hold no other value, however Salesforce quotes it.

use super::*;
use crate::support::salesforce::Fault;

const CASE: &str = "9c1d2e3f-0a1b-4c2d-8e3f-4a5b6c7d8e9f";

fn participant() -> Plan {
    let participant = Upsert::new("Participant__c", "CommCare_Case_Id__c", CASE)
        .set("Name", "Al")
        .set("Middle_Name__c", "Jean Bosco")
        .set("Last_Name__c", "Uwimana")
        .set("Phone_Number__c", "0788123456")
        .set("GPS_Latitude__c", "-1.9403")
        .set("GPS_Longitude__c", "30.0644")
        .set("Other_Id_Number__c", "1199880012345678")
        .set("Age__c", 57)
        .set("Training_Group__c", "a0X5g000001AbCdEAK");
    Plan::salesforce(vec![participant])
}

#[tokio::test]
async fn a_rows_error_quotes_no_value() {
    let (stand_in, salesforce) = start().await;
    let message = format!(
        "Last Name UWIMANA, jean  bosco (Al) with phone 0788-123-456 at -1.9403 30.0644, aged 57 and \
         1199880012345678 already exists: Last_Name__c of {CASE} in a0X5g000001AbCdEAK"
    );
    stand_in.refuse_row(CASE, 400, "DUPLICATES_DETECTED", &message);
    let error = failure(&salesforce, &participant()).await;
    assert_eq!(
        error.message,
        format!(
            "Participant__c with CommCare_Case_Id__c {CASE} was refused: DUPLICATES_DETECTED (HTTP 400): Last \
             Name [masked], [masked] ([masked]) with phone [masked] at [masked] [masked], aged [masked] and \
             [masked] already exists: Last_Name__c of {CASE} in a0X5g000001AbCdEAK"
        )
    );
}

#[tokio::test]
async fn a_whole_requests_error_quotes_no_value() {
    let (stand_in, salesforce) = start().await;
    let message = "Unexpected character in 'Uwimana' at [line:1, column:80]";
    stand_in.fail_next(Fault::Answer(400, error_body("JSON_PARSER_ERROR", message)));
    let error = failure(&salesforce, &participant()).await;
    assert!(
        error
            .message
            .ends_with("JSON_PARSER_ERROR: Unexpected character in '[masked]' at [line:1, column:80]")
    );
}

#[tokio::test]
async fn a_value_in_place_of_a_code_is_not_shown() {
    let (stand_in, salesforce) = start().await;
    stand_in.refuse_row(CASE, 400, "Jean Bosco is no code", "Uwimana");
    let error = failure(&salesforce, &participant()).await;
    assert!(!error.message.contains("Bosco") && !error.message.contains("Uwimana"), "{error}");
}

#[tokio::test]
async fn another_rows_value_is_masked_too() {
    let (stand_in, salesforce) = start().await;
    let plan = Plan::salesforce(vec![household("hh-1", "Mukamana"), household("hh-2", "Habimana")]);
    stand_in.refuse_row("hh-2", 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "Mukamana has hh-1");
    let error = failure(&salesforce, &plan).await;
    assert!(error.message.ends_with("[masked] has hh-1"), "{error}");
}

#[tokio::test]
async fn a_value_is_masked_however_salesforce_changes_it_in_quoting() {
    let comment = "Zawditu Wolde's house by the river Kirinyaga, call 0955 123 987. ".repeat(6);
    let participant = Upsert::new("Participant__c", "CommCare_Case_Id__c", CASE)
        .set("Last_Name__c", "Zoë O'Wolde & Söhne")
        .set("Phone_Number__c", "0955123987")
        .set("Comments__c", format!("{comment}\nSecond line"));
    let beginning: String = comment.chars().take(255).collect();
    let (stand_in, salesforce) = start().await;
    for (message, expected) in [
        (format!("Comments: data value too large: {beginning} (max length=255)"), None),
        (format!("Comments: data value too large: {}… (max length=255)", &beginning[..30]), None),
        ("bad value: Zo&euml; O&#39;Wolde &amp; S&ouml;hne.".to_owned(), Some("bad value: [masked].")),
        ("bad value: Zoe\u{308} O'Wolde & So\u{308}hne.".to_owned(), Some("bad value: [masked].")),
        ("bad value: Zo%C3%AB%20O%27Wolde%20%26%20S%C3%B6hne.".to_owned(), Some("bad value: [masked].")),
        ("bad last line: 987. \\nSecond line.".to_owned(), None),
        ("the name Wolde is taken".to_owned(), Some("the name [masked] is taken")),
        ("number +251955123987 is taken".to_owned(), Some("number +[masked] is taken")),
        ("number (955) 123-987 is taken".to_owned(), None),
        (
            "Participant: bad value for restricted picklist field Status in Last_Name__c".to_owned(),
            Some("Participant: bad value for restricted picklist field Status in Last_Name__c"),
        ),
    ] {
        stand_in.refuse_row(CASE, 400, "FIELD_INTEGRITY_EXCEPTION", &message);
        let error = failure(&salesforce, &Plan::salesforce(vec![participant.clone()])).await;
        for part in ["Zo", "Wolde", "hne", "Kirinyaga", "123", "987", "Second", "river"] {
            assert!(!error.message.replace(CASE, "").contains(part), "{message}: {error}");
        }
        if let Some(expected) = expected {
            assert!(error.message.ends_with(expected), "{error}");
        }
    }
}
