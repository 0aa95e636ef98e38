//! What Salesforce answers.
#![no_main]

use commcare_sf_integration::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    fuzzing::salesforce_answer(input);
});
